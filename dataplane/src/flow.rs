//! Live flows: the key, the basic record, the table, expiry.
pub mod basic;
pub mod frag;
pub mod key;

pub use basic::{Basic, EndReason, Flow};
pub use key::FlowKey;
