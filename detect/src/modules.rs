//! The registry: one word adds one module, which is one file of that name with `INFO` and `main`.
use std::ffi::OsString;

/// A NEMEA module as the multi-call binary starts it.
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// Name of the file, the command and the link.
    pub name: &'static str,
    /// One line.
    pub about: &'static str,
    /// Runs it with the arguments behind its name and answers the exit code.
    pub run: fn(&[OsString]) -> u8,
}

macro_rules! modules {
    ($($name:ident),+ $(,)?) => {
        $(pub mod $name;)+

        /// All modules, in the order of the documentation.
        pub const ALL: &[Module] = &[$(Module { name: stringify!($name), about: $name::ABOUT, run: $name::main }),+];
    };
}

modules! { logger, logreplay }

/// The module of this name.
pub fn find(name: &str) -> Option<&'static Module> {
    ALL.iter().find(|m| m.name == name)
}
