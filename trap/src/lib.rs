//! TRAP interfaces and the module runtime: how records travel between the processes of a NEMEA installation.
//!
//! Contract: bytes on the wire and in files are those of libtrap 1.18 (container header of 14 bytes); behaviour differs
//! only where the original loses, mixes or corrupts records, and each such place says so. Source of every rule:
//! `spec/trap.md`, cited by section.
//!
//! Reading order follows the data: [`spec`] (what the user asked for), [`hello`] and [`container`] (bytes),
//! [`output`], [`input`], [`module`] (the command line around them), [`service`] (the counters for outsiders).
#![forbid(unsafe_code)]

pub mod batch;
pub mod container;
pub mod deframer;
pub mod error;
pub mod expand;
pub mod format;
pub mod fuzzing;
pub mod hello;
pub mod help;
mod help_text;
pub mod input;
mod link;
pub mod log;
pub mod module;
mod net;
pub mod output;
mod patience;
pub mod pem;
pub mod place;
pub mod service;
pub mod spec;
pub mod tls;
pub mod trap_stats;

pub use batch::{Batch, Gathered};
pub use error::TrapError;
pub use format::Format;
pub use input::{Event, Input, InputDefaults, InputStats};
pub use output::{ClientStats, DropReason, Output, OutputDefaults, OutputStats, Sent, SentBatch};
pub use place::{Place, Stop};
pub use service::ServiceName;
pub use spec::{IfcSpec, IfcType, Spec, SpecError, Timeout};
