//! What a reporter says about its work, on standard error, as loud as `-v` asks (spec/idea.md section 1).
use std::fmt::Arguments;
use std::sync::atomic::{AtomicU8, Ordering};

/// Lowest level that is printed.
static LEVEL: AtomicU8 = AtomicU8::new(Level::Warning as u8);

/// Levels of Python's logging, divided by ten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Level {
    Warning = 3,
    Error = 4,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Warning => "Warning",
            Level::Error => "Error",
        }
    }
}

/// 1 prints everything, 5 next to nothing.
pub(super) fn set_level(level: u8) {
    LEVEL.store(level, Ordering::Relaxed);
}

pub(super) fn say(level: Level, text: Arguments<'_>) {
    if level as u8 >= LEVEL.load(Ordering::Relaxed) {
        eprintln!("{}: {text}", level.name());
    }
}

macro_rules! warning {
    ($($text:tt)*) => { $crate::report::log::say($crate::report::log::Level::Warning, format_args!($($text)*)) };
}
macro_rules! error {
    ($($text:tt)*) => { $crate::report::log::say($crate::report::log::Level::Error, format_args!($($text)*)) };
}
pub(super) use {error, warning};
