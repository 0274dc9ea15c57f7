//! How everything stands at one moment: all that clients, menus, files and later the web are told.
use crate::cgroup::Counts;
use crate::core::{Books, Core, Run};
use crate::model::{Config, Module, Profile};
use crate::process::Usage;
use crate::runner::{Remains, Sandbox};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

/// The supervisor and its modules.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub about: About,
    pub profiles: Vec<ProfileView>,
    /// In the order of their numbers.
    pub modules: Vec<ModuleView>,
    pub books: Books,
    /// What the limits of modules stopped so far, by module.
    pub limited: HashMap<String, Counts>,
    /// Kinds of limits that are asked for and cannot be kept on this machine.
    pub limits_missing: usize,
    /// What modules that died had in hand, all of their processes together.
    pub lost: HashMap<String, Remains>,
    /// Texts for logs and terminal that nobody took.
    pub lost_logs: u64,
    /// When the certificate of the control API expires, in seconds since 1970; `None`: it is not served over TLS.
    pub certificate_expiry: Option<u64>,
    /// Parts of the sandboxes of modules that run, and whether each is in force.
    pub sandboxes: HashMap<String, Sandbox>,
}

/// What does not change while the supervisor runs.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// As `ctime` says it.
    pub started: String,
    pub logs: PathBuf,
    /// The file that operators edit, and the one that was read.
    pub template: PathBuf,
    pub loaded: PathBuf,
    pub socket: PathBuf,
    pub is_daemon: bool,
}

/// A profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileView {
    pub name: String,
    pub enabled: bool,
}

/// A module.
#[derive(Debug, Clone)]
pub struct ModuleView {
    pub spec: Module,
    pub profile: String,
    pub enabled: bool,
    /// Its process, also while it is being stopped.
    pub pid: Option<u32>,
    /// Restarts of the last minute.
    pub restarts: usize,
    /// Why it was given up.
    pub parked: Option<String>,
    pub usage: Usage,
    /// What it told of its interfaces; `None` without a connection.
    pub counters: Option<Counters>,
}

/// What a module tells at its service interface (section 5). Other keys do not count.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Counters {
    #[serde(rename = "in_cnt")]
    _inputs: Lenient,
    #[serde(rename = "out_cnt")]
    _outputs: Lenient,
    #[serde(rename = "in")]
    pub inputs: Vec<Input>,
    #[serde(rename = "out")]
    pub outputs: Vec<Output>,
}

/// An input interface.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Input {
    #[serde(rename = "ifc_type")]
    pub kind: Lenient,
    #[serde(rename = "ifc_id")]
    pub id: String,
    #[serde(rename = "ifc_state")]
    pub is_connected: Lenient,
    pub messages: Lenient,
    pub buffers: Lenient,
}

/// An output interface.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Output {
    #[serde(rename = "ifc_type")]
    pub kind: Lenient,
    #[serde(rename = "ifc_id")]
    pub id: String,
    #[serde(rename = "num_clients")]
    pub clients: Lenient,
    #[serde(rename = "sent-messages")]
    pub sent: Lenient,
    #[serde(rename = "dropped-messages")]
    pub dropped: Lenient,
    pub buffers: Lenient,
    #[serde(rename = "autoflushes")]
    pub autoflush: Lenient,
}

/// A number; anything else counts as 0, as for `trap_stats`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(from = "Value")]
pub struct Lenient(pub u64);

impl From<Value> for Lenient {
    fn from(value: Value) -> Self {
        Self(value.as_u64().unwrap_or(0))
    }
}

impl Lenient {
    /// The number as the letter of an interface's type.
    #[must_use]
    pub fn letter(self) -> char {
        u8::try_from(self.0).ok().filter(u8::is_ascii_graphic).map_or('?', char::from)
    }
}

impl Counters {
    /// Reads an answer. Control characters in names are replaced, for they go to terminals.
    ///
    /// # Errors
    /// It is no JSON, or a key is missing.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        let mut counters: Self = serde_json::from_slice(json)?;
        let ids = counters.inputs.iter_mut().map(|ifc| &mut ifc.id);
        for id in ids.chain(counters.outputs.iter_mut().map(|ifc| &mut ifc.id)) {
            *id = id.replace(char::is_control, "?");
        }
        Ok(counters)
    }
}

impl Snapshot {
    /// How `core` stands, with what was measured.
    #[must_use]
    pub fn of(core: &Core, about: About, now: Duration, measured: &HashMap<String, (Usage, Option<Counters>)>) -> Self {
        let profiles =
            core.profiles().iter().map(|p| ProfileView { name: p.name.clone(), enabled: p.enabled }).collect();
        let modules = core.modules().iter().map(|module| {
            let pid = module.run.pid();
            let (usage, counters) =
                measured.get(&module.spec.name).filter(|_| pid.is_some()).cloned().unwrap_or_default();
            ModuleView {
                spec: module.spec.clone(),
                profile: module.profile.clone(),
                enabled: module.enabled,
                pid,
                restarts: module.restarts_in_window(now),
                parked: module.parked.clone(),
                usage,
                counters: counters.filter(|_| matches!(module.run, Run::Running { .. })),
            }
        });
        Self { about, profiles, modules: modules.collect(), books: core.books(), ..Self::default() }
    }

    /// Modules with the numbers that menus give them.
    pub fn of_profile<'a>(&'a self, profile: &'a str) -> impl Iterator<Item = (usize, &'a ModuleView)> {
        self.modules.iter().enumerate().filter(move |(_, module)| module.profile == profile)
    }

    /// How many modules have a process.
    #[must_use]
    pub fn running(&self) -> usize {
        self.modules.iter().filter(|module| module.pid.is_some()).count()
    }

    /// The answer to `-x`: modules that run. Without any the original said nothing, which no JSON reader takes.
    #[must_use]
    pub fn statistics(&self) -> String {
        let running = self.modules.iter().filter(|module| module.pid.is_some());
        Value::Object(running.map(|module| (module.spec.name.clone(), Value::Object(module.counted()))).collect())
            .to_string()
    }

    /// The answer to `-i`: all modules.
    #[must_use]
    pub fn inventory(&self) -> String {
        let all = self.modules.iter().enumerate().map(|(at, module)| {
            let mut map = module.counted();
            map.insert("idx".into(), at.into());
            map.insert("params".into(), module.spec.params.as_deref().unwrap_or("none").into());
            map.insert("path".into(), module.spec.path.as_str().into());
            map.insert("status".into(), module.status().into());
            (module.spec.name.clone(), Value::Object(map))
        });
        Value::Object(all.collect()).to_string()
    }

    /// Lines of modules_statistics: one for each interface of each module that answered.
    #[must_use]
    pub fn statistics_lines(&self) -> String {
        let mut text = String::new();
        for module in &self.modules {
            let Some(counters) = &module.counters else { continue };
            let name = &module.spec.name;
            for ifc in &counters.inputs {
                text += &format!("{name},in,{},{},{},{}\n", ifc.kind.letter(), ifc.id, ifc.messages.0, ifc.buffers.0);
            }
            for ifc in &counters.outputs {
                let Output { id, sent, dropped, buffers, autoflush, .. } = ifc;
                let kind = ifc.kind.letter();
                text += &format!("{name},out,{kind},{id},{},{},{},{}\n", sent.0, dropped.0, buffers.0, autoflush.0);
            }
        }
        text
    }
}

impl ModuleView {
    /// `running` or `stopped`.
    #[must_use]
    pub fn status(&self) -> &'static str {
        if self.pid.is_some() { "running" } else { "stopped" }
    }

    fn counted(&self) -> Map<String, Value> {
        let (inputs, outputs) = self.counters.as_ref().map_or((vec![], vec![]), |counters| {
            let inputs = counters.inputs.iter().map(|ifc| {
                json!({"type": ifc.kind.letter(), "ID": ifc.id, "is-conn": ifc.is_connected.0,
                    "messages": ifc.messages.0, "buffers": ifc.buffers.0})
            });
            let outputs = counters.outputs.iter().map(|ifc| {
                json!({"type": ifc.kind.letter(), "ID": ifc.id, "cli-num": ifc.clients.0, "sent-msg": ifc.sent.0,
                    "drop-msg": ifc.dropped.0, "buffers": ifc.buffers.0, "autoflush": ifc.autoflush.0})
            });
            (inputs.collect(), outputs.collect())
        });
        let usage = &self.usage;
        let mut map = Map::new();
        map.insert("CPU-u".into(), usage.cpu_user.into());
        map.insert("CPU-s".into(), usage.cpu_system.into());
        map.insert("MEM-vms".into(), usage.virtual_bytes.into());
        map.insert("MEM-rss".into(), usage.resident_bytes.into());
        map.insert("inputs".into(), Value::Array(inputs));
        map.insert("outputs".into(), Value::Array(outputs));
        map
    }
}

/// What is to run now, as the files said it; for the state file. Modules that are being removed are in it: they run.
#[must_use]
pub fn config_of(core: &Core) -> Config {
    let mut profiles: Vec<Profile> = core
        .profiles()
        .iter()
        .map(|profile| Profile { name: profile.name.clone(), enabled: profile.enabled_in_file, modules: Vec::new() })
        .collect();
    for module in core.modules() {
        let at = profiles.iter().position(|profile| profile.name == module.profile).unwrap_or_else(|| {
            profiles.push(Profile { name: module.profile.clone(), enabled: false, modules: Vec::new() });
            profiles.len() - 1
        });
        profiles[at].modules.push(module.spec.clone());
    }
    Config { settings: core.settings().clone(), profiles }
}
