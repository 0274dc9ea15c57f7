//! Packets and captures made in code: the same seed gives the same bytes on every machine.
//!
//! [`frame`] builds one packet layer by layer, [`dialog`] tells whole conversations, [`cases`](mod@cases) names small golden captures and [`mix`]
//! streams captures of any size. Nothing here uses the decoder of `dataplane`: two independent readings of the RFCs that agree prove more.
#![forbid(unsafe_code)]

pub mod attacks;
pub mod cases;
mod checksum;
pub mod dialog;
pub mod frame;
pub mod mix;
pub mod pcap;
pub mod pcapng;
pub mod rng;

pub use attacks::{ATTACKS, Attack, write_attacks};
pub use cases::{Case, cases};
pub use frame::Frame;
pub use mix::{Profile, Totals, write_capture, write_syn_while};
pub use rng::Rng;

/// Nanoseconds; a moment when counted from 1970, else a duration.
pub type Nanos = u64;

/// All captures begin here: 2020-09-13T12:26:40Z.
pub const EPOCH: Nanos = 1_600_000_000 * SECOND;
pub const SECOND: Nanos = 1_000_000_000;
pub const MILLISECOND: Nanos = 1_000_000;
pub const MICROSECOND: Nanos = 1_000;
