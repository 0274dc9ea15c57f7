//! Packets in, records out: capture, decode, flow cache, process plugins, export.
//!
//! The tree is the pipeline: [`capture`] lends bursts of frames, [`packet`] decodes them, [`flow`] keeps one live biflow for each key,
//! [`stat`] and [`l7`] add fields to it, [`batch`] carries ended flows to the sinks in [`export`]; [`lane`] joins them on one core.
//! No async, no locks; time comes from the packets. The exporters' threads ([`export::ring`]) are the one place that looks at a clock.
#![forbid(unsafe_code)]

pub mod batch;
pub mod capture;
pub mod cpus;
pub mod export;
pub mod face;
pub mod flow;
pub mod fuzzing;
pub mod l7;
pub mod lane;
pub mod packet;
pub mod plugin;
pub mod registry;
pub mod services;
pub mod stat;
pub mod talkers;

pub use face::Face;
