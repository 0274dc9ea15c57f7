//! Words of events.
use super::End;
use std::fmt;

/// As events say it.
pub(super) fn word(enabled: bool) -> &'static str {
    if enabled { "enabled" } else { "disabled" }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "ended with status {code}"),
            Self::Killed(signal) => write!(f, "was ended by signal {signal}"),
            Self::Unknown => f.write_str("ended"),
        }
    }
}
