//! NEMEA modules and detectors, one file each.
//!
//! A module sees records only, never a packet: its inputs and outputs are TRAP interfaces, so that each can be replaced by the
//! original NEMEA module of the same name or moved to another machine. The list is in [`modules`].
#![forbid(unsafe_code)]

pub mod argparse;
pub mod bloom;
pub mod fuzzing;
pub mod http;
pub(crate) mod lines;
pub mod modules;
pub mod options;
pub mod pyjson;
pub(crate) mod pytrap;
pub mod reading;
pub(crate) mod stats_socket;
