//! The machine's clock, for what the originals do by it.
use std::time::{SystemTime, UNIX_EPOCH};

/// Whole seconds since 1970; 0 on a machine that thinks it is earlier.
pub(crate) fn unix_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
