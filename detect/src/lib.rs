//! NEMEA modules and detectors, one file each.
//!
//! A module sees records only, never a packet: its inputs and outputs are TRAP interfaces, so that each can be replaced by the
//! original NEMEA module of the same name or moved to another machine. The list is in [`modules`].
#![forbid(unsafe_code)]

pub mod argparse;
pub mod blacklist;
pub mod bloom;
pub mod bounded;
pub mod client;
pub(crate) mod clock;
pub mod configurator;
pub(crate) mod csv;
pub(crate) mod detector;
pub mod filter;
pub(crate) mod flow_clock;
pub mod fold;
pub mod fuzzing;
pub mod http;
pub(crate) mod lines;
pub mod links;
pub mod modules;
#[cfg(feature = "mongo")]
pub(crate) mod mongo;
pub mod muxed;
pub mod networks;
pub mod nfdump;
pub mod options;
pub mod pages;
pub(crate) mod pair;
pub mod progress;
pub mod pyjson;
pub(crate) mod pytrap;
pub mod reading;
pub mod recast;
pub mod report;
pub mod sdk;
pub mod settings;
pub(crate) mod slices;
pub mod stats_socket;
pub mod stix;
pub mod store;
pub mod stream;
pub(crate) mod uuid;
pub(crate) mod xml;
