//! The supervisor: it runs the probe, detectors and reporters as child processes and keeps them as the configuration says.
//!
//! Contract: what is to run is [`model::Config`], whichever file it came from ([`config`]); what happens next is decided by
//! [`core::Core`], which does no I/O and knows no clock; [`runner`] does it and publishes a [`snapshot::Snapshot`]. Clients see
//! snapshots and send [`runner::Command`]s, nothing else. The supervisor never sees a packet, nor a record. Texts, files and protocol
//! are those of nemea-supervisor 1.8.3 (`spec/supervisor.md`, cited by section); docs/compatibility.md has what differs.
#![forbid(unsafe_code)]

pub mod api;
pub mod cgroup;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod core;
pub mod fuzzing;
pub mod history;
mod http;
pub mod ipfixprobed;
pub mod launch;
pub mod links;
pub mod logs;
pub mod metrics;
pub mod model;
pub mod pages;
pub mod process;
pub mod runner;
pub mod snapshot;
pub mod time;

pub use cli::{ctl, modulesinfo, munin, supcli, supervisor};
