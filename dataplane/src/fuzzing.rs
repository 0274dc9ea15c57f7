//! Every fuzz target of this crate (RELIABILITY.md part 3): the packet path, the flow table, whole lanes, and one for each process
//! plugin, made by the registry, so that a plugin without a target cannot exist.
//!
//! Each takes any bytes and panics where a property does not hold. `fuzz/targets.rs` joins the tables of all crates.
mod books;
mod flows;
mod lane;
mod offload;
mod quality;
pub mod script;
mod table;
mod timeouts;

use crate::capture::fuzzing as capture;
use crate::export::{rule, spool};
use crate::packet::fuzzing as packet;
use crate::registry;
use crate::stat::osquery::answer;
use record::fuzzing::Target;

/// The targets of this crate.
pub const TARGETS: &[Target] = &joined();

const STAGES: [Target; 14] = [
    ("pcap", capture::fuzz_pcap),
    ("pcapng", capture::fuzz_pcapng),
    ("packet", packet::fuzz_decode),
    ("tcp_options", packet::fuzz_tcp_options),
    ("fragments", packet::fuzz_fragments),
    ("flow_table", table::fuzz_table),
    ("flow_cache", flows::fuzz_cache),
    ("flow_timeouts", timeouts::fuzz_timeouts),
    ("flow_offload", offload::fuzz_offload),
    ("tcp_quality", quality::fuzz_quality),
    ("lane", lane::fuzz_lane),
    ("spool_segment", spool::fuzz_segment),
    ("rule", rule::fuzzing::fuzz_rule),
    ("osquery_answer", answer::fuzz_answer),
];

const fn joined() -> [Target; STAGES.len() + registry::TARGETS.len()] {
    let mut all = [STAGES[0]; STAGES.len() + registry::TARGETS.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] = if at < STAGES.len() { STAGES[at] } else { registry::TARGETS[at - STAGES.len()] };
        at += 1;
    }
    all
}
