//! The settings' file.
use super::stratum::Patience;
use crate::configurator::{Elements, SettingsError};
use std::path::PathBuf;
use std::time::Duration;

/// What the file says. Sizes are numbers of entries; the original's stashes are added to its tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) blacklist: ListSettings,
    pub(super) whitelist: ListSettings,
    pub(super) suspects_max: usize,
    /// Whether suspected pools are asked; nothing is connected to without.
    pub(super) asks: Option<Patience>,
    /// Seconds of flow time.
    pub(super) active: u64,
    pub(super) inactive: u64,
    /// By the clock of the machine; one second at least.
    pub(super) check_period: Duration,
    pub(super) threshold: u32,
}

/// Of one list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListSettings {
    pub(super) load: Option<PathBuf>,
    pub(super) store: Option<PathBuf>,
    pub(super) max: usize,
}

impl Settings {
    /// Takes the settings from a file's elements.
    ///
    /// # Errors
    /// A required element is missing.
    pub(super) fn of(elements: &Elements) -> Result<Settings, SettingsError> {
        let file = |key| elements.text(key).filter(|path| !path.is_empty() && *path != "-").map(PathBuf::from);
        let size = |table, stash| -> Result<usize, SettingsError> {
            Ok(elements.number(table)? as usize + elements.number(stash)? as usize)
        };
        let secs = |key| elements.number(key).map(|secs| Duration::from_secs(secs.into()));
        let patience = Patience { connect: secs("conn_timeout")?, read: secs("read_timeout")? };
        let asks = elements.required("stratum_check")? == "true";
        Ok(Settings {
            blacklist: ListSettings {
                load: file("blacklist_file"),
                store: file("store_blacklist_file"),
                max: size("blacklist_db_size", "blacklist_db_stash_size")?,
            },
            whitelist: ListSettings {
                load: file("whitelist_file"),
                store: file("store_whitelist_file"),
                max: size("whitelist_db_size", "whitelist_db_stash_size")?,
            },
            suspects_max: size("suspect_db_size", "suspect_db_stash_size")?,
            asks: asks.then_some(patience),
            active: elements.number("timeout_active")?.into(),
            inactive: elements.number("timeout_inactive")?.into(),
            check_period: secs("check_period")?.max(Duration::from_secs(1)),
            threshold: elements.number("score_treshold")?,
        })
    }
}
