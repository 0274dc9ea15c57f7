//! Live flows: the key, the basic record, the table, the cache with its timeouts.
pub mod basic;
pub mod cache;
pub mod frag;
pub mod key;
pub mod offload;
pub mod table;
pub mod timeouts;

pub use basic::{Basic, EndReason, Flow, Heading};
pub use cache::{Cache, CacheConfig, CacheStats};
pub use key::FlowKey;
pub use timeouts::{TimeoutRules, Timeouts};
