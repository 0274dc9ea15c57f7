//! The XDP program (program/sonda.bpf.c) and its loader: packets go to an AF_XDP socket of their queue, unless a rule, sampling or
//! offloading ends them first.
//!
//! One [`Program`] serves one interface. Loading, attaching and filling the map of sockets need CAP_BPF and CAP_NET_ADMIN; afterwards
//! rules are changed, counters read and flows offloaded through maps that are open, without detaching and without a capability.
//! What became of each packet is in [`Counts`], by socket: seen = redirected + passed + dropped (RELIABILITY.md, I2).
#![forbid(unsafe_code)]

mod counts;
mod generator;
mod interface;
mod offload;
mod program;
mod rules;
mod steer;

pub use counts::{Counts, Ended, Reader};
pub use generator::Generator;
pub use interface::{Attached, attached};
pub use offload::{Offload, OffloadError, Tally, Tuple};
pub use program::{Action, EbpfError, Mode, Peeked, Program, Watch};
pub use rules::{Policy, PolicyError, Prefix, Sampling, Verdict};
pub use steer::{hash_of_addresses, turn};

/// Queues of an interface that can have a socket.
pub const QUEUES_MAX: u32 = 128;
/// Rows of sockets and counters: one for each queue, those of further sockets on a queue, and one for packets of queues beyond.
pub(crate) const ROWS_MAX: u32 = 1024;
/// Sockets beside the first one of each queue, of all queues together.
pub const MORE_SOCKETS_MAX: u32 = ROWS_MAX - QUEUES_MAX - 1;
