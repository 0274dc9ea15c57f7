//! `cargo xtask memory` and `cargo xtask hostile`: benches/rig/examples/extremes.rs, and `cargo xtask live`: live.rs, built for release.
use crate::{Outcome, shell};
use std::process::Command;

/// Resident memory for a million live flows with five parsers on
#[derive(clap::Args)]
pub(crate) struct Memory {
    /// Flows of the generated traffic; six in ten of them are live at the end, lookups of names are not. The default fills 83 % of the
    /// default table
    #[arg(long, default_value_t = 2_800_000)]
    flows: u64,
    /// log2 of the flow table's slots
    #[arg(long, default_value_t = 21)]
    size_exp: u64,
}

/// New flows, fragments and hash collisions against harmless 64-byte packets
#[derive(clap::Args)]
pub(crate) struct Hostile {
    #[arg(long, default_value_t = 2_000_000)]
    packets: u64,
    /// Rounds in turns; the median counts
    #[arg(long, default_value_t = 5)]
    rounds: u64,
}

/// What a packet from AF_XDP costs a lane, on veth in a namespace of its own; as root
#[derive(clap::Args)]
pub(crate) struct Live {
    #[arg(long, default_value_t = 4_000_000)]
    packets: u64,
    #[arg(long, default_value_t = 60_000)]
    flows: u64,
}

pub(crate) fn live(args: &Live) -> Outcome {
    let mut cargo = Command::new("cargo");
    cargo.args(["run", "--quiet", "--release", "--locked", "-p", "rig", "--example", "live", "--"]);
    shell::call(cargo.args([args.packets, args.flows].map(|n| n.to_string())))
}

pub(crate) fn memory(args: &Memory) -> Outcome {
    extremes("memory", [args.flows, args.size_exp])
}

pub(crate) fn hostile(args: &Hostile) -> Outcome {
    extremes("hostile", [args.packets, args.rounds])
}

fn extremes(name: &str, numbers: [u64; 2]) -> Outcome {
    let mut cargo = Command::new("cargo");
    cargo.args(["run", "--quiet", "--release", "--locked", "-p", "rig", "--example", "extremes", "--", name]);
    shell::call(cargo.args(numbers.map(|n| n.to_string())))
}
