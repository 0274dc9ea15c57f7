//! The XDP program (program/sonda.bpf.c) and its loader: packets go to the AF_XDP socket of their queue, unless a rule, sampling or
//! offloading ends them first.
//!
//! One [`Program`] serves one interface. Loading, attaching and filling the map of sockets need CAP_BPF and CAP_NET_ADMIN; afterwards
//! rules are changed, counters read and flows offloaded through maps that are open, without detaching and without a capability.
//! What became of each packet is in [`Counts`], by queue: seen = redirected + passed + dropped (RELIABILITY.md, I2).
#![forbid(unsafe_code)]

mod counts;
mod generator;
mod interface;
mod offload;
mod program;
mod rules;

pub use counts::{Counts, Ended, Reader};
pub use generator::Generator;
pub use interface::{Attached, attached};
pub use offload::{Offload, OffloadError, Tally, Tuple};
pub use program::{Action, EbpfError, Mode, Peeked, Program, Watch};
pub use rules::{Fault, Policy, PolicyError, Prefix, Sampling, Verdict};

/// Queues of an interface that can have a socket.
pub const QUEUES_MAX: u32 = 128;
/// Flows of an interface that can be offloaded at a time.
pub const FLOWS_MAX: u32 = 65536;
