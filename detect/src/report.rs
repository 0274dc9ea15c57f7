//! Reporters: alerts of detectors become IDEA messages (IDEA0 of CESNET) and go where rules say (spec/idea.md).
//!
//! ```text
//! input --record--> source (mapping/*) --message--> check, validate --> config (rules) --> action/*
//! ```
//!
//! A reporter is one file in `mapping/`: what it needs of a record and what it makes of it. An action is one file in `action/`. Contract: every
//! record becomes a message, is skipped as its mapping says, or is refused with a reason, counted; every message meets all rules until
//! one drops it; what an action could not do is said and counted.
pub mod action;
pub mod check;
pub mod condition;
pub mod config;
pub mod idea;
pub mod jpath;
mod log;
pub mod mapping;
mod options;
mod run;
pub mod source;
pub mod time;
pub mod validate;

pub use options::{Given, Reporter, with};
pub use run::main;
pub use source::{Converted, Refused, messages, records};
