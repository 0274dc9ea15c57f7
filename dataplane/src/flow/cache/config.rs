//! The size of a cache, and when its flows end.
use crate::face::Face;
use crate::flow::Timeouts;
use crate::flow::table::Shape;

/// What a cache is told at start.
#[derive(Clone, Copy, Debug)]
pub struct CacheConfig {
    pub shape: Shape,
    /// Longest life of a record before it is cut, seconds.
    pub active_secs: u64,
    /// Quiet time after which a flow has ended, seconds.
    pub inactive_secs: u64,
    /// In place of both, timeouts by protocol and state.
    pub timeouts: Option<Timeouts>,
    pub face: Face,
    /// Number of the source's first interface, from which the others count on.
    pub interface: u32,
}

impl Default for CacheConfig {
    fn default() -> Self {
        CacheConfig {
            shape: Shape::default(),
            active_secs: 300,
            inactive_secs: 30,
            timeouts: None,
            face: Face::Native,
            interface: 0,
        }
    }
}
