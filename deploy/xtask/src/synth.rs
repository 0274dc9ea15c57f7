//! `cargo xtask synth PROFILE OUT`: writes a capture made by the traffic generator.
use crate::Outcome;
use benches::{Profile, Totals, write_capture};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Write a capture: realistic, small64 or syn traffic, the same bytes for the same seed
#[derive(clap::Args)]
pub(crate) struct Args {
    /// realistic, small64 or syn
    profile: Profile,
    /// Packets in the capture
    #[arg(long, default_value_t = 100_000)]
    packets: u64,
    /// Flows; 0 lets the profile choose
    #[arg(long, default_value_t = 0)]
    flows: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The pcap file to write
    out: PathBuf,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let totals = write(args.profile, args.packets, args.flows, args.seed, &args.out)?;
    let Totals { packets, bytes, ip_bytes, flows } = totals;
    println!("{}: {packets} packets, {bytes} bytes ({ip_bytes} of IP), {flows} flows", args.out.display());
    Ok(())
}

pub(crate) fn write(profile: Profile, packets: u64, flows: u64, seed: u64, out: &Path) -> Result<Totals, String> {
    let told = |e: std::io::Error| format!("cannot write {}: {e}", out.display());
    let mut file = File::create(out).map_err(told)?;
    write_capture(profile, packets, flows, seed, &mut file).map_err(told)
}
