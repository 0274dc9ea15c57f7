//! The state file: what runs, written at each change, so that the next supervisor goes on with the same processes however this one ended.
//!
//! It lies beside the daemon's socket. A process is taken over only if number, start time and run of the machine are the same.
use crate::config::replace;
use crate::core::Core;
use crate::model::Config;
use crate::process::{Identity, boot_id};
use crate::snapshot::config_of;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Another number: the file is of another version, and is left alone.
const VERSION: u32 = 1;
/// Bytes of the file, at the most.
const BYTES_MAX: usize = 32 << 20;

/// What the file says.
#[derive(Debug, Serialize, Deserialize)]
pub struct State {
    version: u32,
    boot: String,
    /// As the files said it.
    pub(super) config: Config,
    /// What differs from the files since.
    profiles: Vec<(String, bool)>,
    modules: Vec<(String, bool, Option<String>)>,
    running: Vec<(String, Identity)>,
}

/// Where the state of a supervisor with this socket is.
#[must_use]
pub fn path_of(socket: &Path) -> PathBuf {
    let mut name = socket.as_os_str().to_owned();
    name.push(".state");
    name.into()
}

impl State {
    /// What is to be remembered of `core`.
    #[must_use]
    pub fn of(core: &Core, identities: &HashMap<u32, Identity>) -> Self {
        let profiles = core.profiles().iter().filter(|profile| profile.enabled != profile.enabled_in_file);
        let modules = core.modules().iter().filter(|module| module.enabled != module.spec.enabled);
        let running = core
            .modules()
            .iter()
            .filter_map(|module| Some((module.spec.name.clone(), *identities.get(&module.run.pid()?)?)));
        Self {
            version: VERSION,
            boot: boot_id(),
            config: config_of(core),
            profiles: profiles.map(|profile| (profile.name.clone(), profile.enabled)).collect(),
            modules: modules.map(|m| (m.spec.name.clone(), m.enabled, m.parked.clone())).collect(),
            running: running.collect(),
        }
    }

    /// The text of the file.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a file; `None` if there is none that is of use.
    #[must_use]
    pub fn read(path: &Path) -> Option<Self> {
        let text = crate::config::text_of(path, BYTES_MAX).ok()?;
        serde_json::from_str::<Self>(&text).ok().filter(|state| state.version == VERSION)
    }

    /// Makes a new core know what the last one knew. Answers the processes that go on.
    pub fn restore(&self, core: &mut Core, now: Duration) -> HashMap<u32, Identity> {
        core.apply(&self.config);
        let is_same_run = self.boot == boot_id();
        let alive = self.running.iter().filter(|(_, identity)| is_same_run && identity.is_alive());
        alive
            .map(|(name, identity)| {
                core.adopt(name, identity.pid, now);
                (identity.pid, *identity)
            })
            .collect()
    }

    /// What operators had changed goes on, unless the files changed that very thing.
    pub fn restore_switches(&self, core: &mut Core, new: &Config) {
        let old: HashMap<&str, bool> = self.config.modules().map(|(_, m)| (m.name.as_str(), m.enabled)).collect();
        let now: HashMap<&str, bool> = new.modules().map(|(_, m)| (m.name.as_str(), m.enabled)).collect();
        for (name, enabled, parked) in &self.modules {
            if old.get(name.as_str()) == now.get(name.as_str()) {
                core.restore(name, *enabled, parked.clone());
            }
        }
        for (name, enabled) in &self.profiles {
            let of = |config: &Config| config.profiles.iter().find(|p| p.name == *name).map(|profile| profile.enabled);
            if of(&self.config) == of(new) && of(new).is_some() {
                core.enable_profile(name, *enabled);
            }
        }
    }
}

/// Writes the file, or says why not.
///
/// # Errors
/// Those of the disk.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    replace(path, text.as_bytes(), 0o600)
}
