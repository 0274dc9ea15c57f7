//! What is to run, whichever file said so: profiles of modules, how to start each, and when to give up.
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub mod command;
pub mod limits;
pub mod order;

pub use limits::Limits;

/// Restarts of a module within a minute, where nothing else is said (section 3.2).
pub const RESTARTS: u8 = 3;
/// Mebibytes of a log, and how many old ones are kept, where nothing else is said.
pub const LOG_MIB: u64 = 64;
pub const LOG_FILES: u8 = 5;
/// Most that may be asked for.
pub const RESTARTS_MAX: u8 = 30;
/// Modules and profiles together, at the most: indices, menus and answers stay small.
pub const MODULES_MAX: usize = 4_096;

/// Everything that a configuration says.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// How the supervisor treats all modules.
    pub settings: Settings,
    /// In the order of the file; menus and numbers follow it.
    pub profiles: Vec<Profile>,
}

/// How the supervisor treats all modules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Time between SIGINT and SIGKILL.
    pub stop_grace: Duration,
    /// A module whose service interface answered before and is silent for so long is killed and restarted; `None`: never.
    pub heartbeat: Option<Duration>,
    /// A probe, one of whose lanes published nothing in looks of so long, is aborted and restarted; `None`: never.
    #[serde(default)]
    pub lane_heartbeat: Option<Duration>,
    /// Bytes of a log file, at the most; what is longer becomes `FILE.1`. 0: no bound.
    pub log_bytes_max: u64,
    /// Old files kept of each log.
    pub log_files_max: u8,
    /// Where the control API is served over TCP, too; `None`: nowhere.
    #[serde(default)]
    pub api: Option<Listen>,
    /// The alert store that the control API shows.
    #[serde(default = "alert_store")]
    pub alerts: PathBuf,
    /// The folder of nfdump's files in which it looks for the flows of alerts.
    #[serde(default = "flow_folder")]
    pub flows: PathBuf,
}

/// The control API over TCP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listen {
    pub address: SocketAddr,
    /// The server's certificate and those up to its CA, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// Certificates that vouch for those of clients; `None`: clients show none.
    pub client_ca: Option<PathBuf>,
    /// The file of `sonda ctl token`.
    pub tokens: PathBuf,
}

/// Modules that are enabled together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Unique among profiles.
    pub name: String,
    /// A module runs if it and its profile are enabled.
    pub enabled: bool,
    /// In the order of the file.
    pub modules: Vec<Module>,
}

/// One process to run.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// Unique among all modules; what `ps` shows.
    pub name: String,
    /// A module runs if it and its profile are enabled.
    pub enabled: bool,
    /// Binary or script; without a `/` it is looked for in PATH.
    pub path: String,
    /// Arguments as one text, see [`command::tokens`]; `None` where the file has no such element.
    pub params: Option<String>,
    /// Restarts within a minute before it is parked.
    pub restarts: u8,
    /// In the order of the file, both directions.
    pub interfaces: Vec<Interface>,
    /// Modules that start before this one.
    pub after: Vec<String>,
    /// What it may use; a state file of an earlier version has none.
    #[serde(default)]
    pub limits: Limits,
}

/// A TRAP interface of a module. What is missing is missing in the file, too; such a module does not start (section 3.2).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Interface {
    /// For people.
    pub note: Option<String>,
    /// Which medium.
    pub kind: Option<Kind>,
    /// Which way.
    pub direction: Option<Direction>,
    /// Parameters behind the type's letter.
    pub params: Option<String>,
}

/// Way of an interface, seen from the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    In,
    Out,
}

/// Medium of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    Tcp,
    Unix,
    File,
    Blackhole,
    Tls,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            stop_grace: Duration::from_secs(3),
            heartbeat: None,
            lane_heartbeat: None,
            log_bytes_max: LOG_MIB << 20,
            log_files_max: LOG_FILES,
            api: None,
            alerts: alert_store(),
            flows: flow_folder(),
        }
    }
}

fn alert_store() -> PathBuf {
    detect::store::PATH.into()
}

fn flow_folder() -> PathBuf {
    detect::nfdump::FOLDER.into()
}

impl Config {
    /// All modules with their profiles, in order.
    pub fn modules(&self) -> impl Iterator<Item = (&Profile, &Module)> {
        self.profiles.iter().flat_map(|profile| profile.modules.iter().map(move |module| (profile, module)))
    }
}

impl Direction {
    /// Both, with their word in files.
    pub const ALL: [(Self, &'static str); 2] = [(Self::In, "IN"), (Self::Out, "OUT")];

    /// The word in files and menus.
    #[must_use]
    pub fn word(self) -> &'static str {
        if self == Self::In { "IN" } else { "OUT" }
    }
}

impl Kind {
    /// Letter of a specifier, and the word in files (section 3.2).
    const WORDS: [(Self, char, &'static str); 5] = [
        (Self::Tcp, 't', "TCP"),
        (Self::Unix, 'u', "UNIXSOCKET"),
        (Self::File, 'f', "FILE"),
        (Self::Blackhole, 'b', "BLACKHOLE"),
        (Self::Tls, 'T', "TLS"),
    ];

    /// The kind of a word in a file.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(.., known)| *known == word).map(|(kind, ..)| *kind)
    }

    /// The kind of a letter in a specifier.
    #[must_use]
    pub fn of_letter(letter: char) -> Option<Self> {
        Self::WORDS.iter().find(|(_, known, _)| *known == letter).map(|(kind, ..)| *kind)
    }

    /// Letter in a specifier.
    #[must_use]
    pub fn letter(self) -> char {
        Self::WORDS[self as usize].1
    }

    /// The word in files and menus.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS[self as usize].2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_stand_at_their_places() {
        for (at, (kind, letter, word)) in Kind::WORDS.into_iter().enumerate() {
            assert_eq!((kind as usize, kind.letter(), kind.word()), (at, letter, word));
            assert_eq!((Kind::of_letter(letter), Kind::of_word(word)), (Some(kind), Some(kind)));
        }
    }
}
