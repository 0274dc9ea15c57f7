//! The control plane: who runs, what it counts, who may ask. Never sees a packet.
#![forbid(unsafe_code)]

pub mod metrics;
pub mod pages;
