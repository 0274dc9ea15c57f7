//! Lines to stderr in the original's form `PREFIX: text`, filtered by the level of `-v` (trap.md section 10.4).

use std::fmt;
use std::sync::atomic::{AtomicI8, Ordering};

/// Importance of a line; a line is printed when the current level is at least its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub enum Level {
    /// -3, always printed.
    Error = -3,
    /// -2.
    Warning = -2,
    /// -1, printed by default.
    Notice = -1,
    /// 0, with `-v`.
    Verbose = 0,
    /// 1, with `-vv`.
    Advanced = 1,
    /// 2, with `-vvv`.
    Library = 2,
}

/// Default of the original: notices and worse.
static LEVEL: AtomicI8 = AtomicI8::new(Level::Notice as i8);

/// Sets the level of the process; values outside -3..=2 are moved to the nearest bound.
pub fn set_level(level: i8) {
    LEVEL.store(level.clamp(Level::Error as i8, Level::Library as i8), Ordering::Relaxed);
}

/// Level of the process, -3..=2.
#[must_use]
pub fn level() -> i8 {
    LEVEL.load(Ordering::Relaxed)
}

/// Prints one line when the level allows it.
pub fn report(level_of_line: Level, text: fmt::Arguments<'_>) {
    if level() < level_of_line as i8 {
        return;
    }
    let prefix = match level_of_line {
        Level::Error => "ERROR",
        Level::Warning => "WARNING",
        Level::Notice => "NOTICE",
        Level::Verbose => "VERBOSE",
        Level::Advanced => "ADVANCED VERBOSE",
        Level::Library => "LIBRARY VERBOSE",
    };
    eprintln!("{prefix}: {text}");
}

macro_rules! error { ($($t:tt)*) => { $crate::log::report($crate::log::Level::Error, format_args!($($t)*)) } }
macro_rules! warning { ($($t:tt)*) => { $crate::log::report($crate::log::Level::Warning, format_args!($($t)*)) } }
macro_rules! notice { ($($t:tt)*) => { $crate::log::report($crate::log::Level::Notice, format_args!($($t)*)) } }
macro_rules! verbose { ($($t:tt)*) => { $crate::log::report($crate::log::Level::Verbose, format_args!($($t)*)) } }
pub(crate) use {error, notice, verbose, warning};

/// True for 1, 2, 4, 8, ...: a repeated failure is reported with its count, ever more rarely.
pub(crate) fn worth_a_line(occurrence: u64) -> bool {
    occurrence.is_power_of_two()
}
