//! `cargo xtask synth PROFILE OUT`: writes a capture made by the traffic generator.
use crate::Outcome;
use benches::mix::UnknownProfile;
use benches::{ATTACKS, Attack, Profile, Totals, write_attacks, write_capture};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Write a capture: realistic, small64 or syn traffic, or attacks among others', the same bytes for the same seed
#[derive(clap::Args)]
pub(crate) struct Args {
    /// realistic, small64, syn or attacks
    profile: What,
    /// Packets in the capture; with attacks, 12 times the flows of the background, which there are by default
    #[arg(long, default_value_t = 100_000)]
    packets: u64,
    /// Only these attacks (default: all)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<Attack>,
    /// Flows; 0 lets the profile choose
    #[arg(long, default_value_t = 0)]
    flows: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The pcap file to write
    out: PathBuf,
}

#[derive(Clone, Copy)]
enum What {
    Profile(Profile),
    Attacks,
}

impl FromStr for What {
    type Err = UnknownProfile;

    fn from_str(name: &str) -> Result<Self, UnknownProfile> {
        if name == "attacks" { Ok(What::Attacks) } else { name.parse().map(What::Profile) }
    }
}

pub(crate) fn run(args: &Args) -> Outcome {
    let totals = match args.profile {
        What::Profile(profile) => write(profile, args.packets, args.flows, args.seed, &args.out)?,
        What::Attacks => {
            let flows = if args.flows == 0 { args.packets / 12 } else { args.flows };
            let attacks = if args.only.is_empty() { ATTACKS } else { &args.only };
            into(&args.out, |file| write_attacks(attacks, flows, args.seed, file))?
        }
    };
    let Totals { packets, bytes, ip_bytes, flows } = totals;
    println!("{}: {packets} packets, {bytes} bytes ({ip_bytes} of IP), {flows} flows", args.out.display());
    Ok(())
}

pub(crate) fn write(profile: Profile, packets: u64, flows: u64, seed: u64, out: &Path) -> Result<Totals, String> {
    into(out, |file| write_capture(profile, packets, flows, seed, file))
}

fn into(out: &Path, write: impl FnOnce(&mut File) -> io::Result<Totals>) -> Result<Totals, String> {
    File::create(out).and_then(|mut file| write(&mut file)).map_err(|e| format!("cannot write {}: {e}", out.display()))
}
