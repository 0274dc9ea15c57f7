//! Actions: what rules do with messages, one file each; one word in [`read`] adds one (spec/idea.md section 2.4).
mod dedup;
mod delivery;
mod email;
mod file;
mod kafka;
mod mark;
mod mongo;
mod rate;
mod stix;
mod store;
mod syslog;
mod trap_output;
mod warden;
mod webhook;

use super::config::{ConfigError, Section, SectionError};
use super::log;
use serde_json::Value;
use std::path::Path;
use trap::{Output, Stop};

/// What follows an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    GoOn,
    /// No further actions of this rule.
    EndRule,
    /// No further actions and rules.
    Drop,
}

/// What an action does.
pub trait Act {
    /// Does it. The message is the rule's copy.
    ///
    /// # Errors
    /// The alert did not get where it should; said and counted as lost.
    fn run(&mut self, message: &mut Value, scene: &mut Scene<'_>) -> Result<Flow, String>;

    /// Goes on with what waits; called while nothing comes, and between messages.
    fn idle(&mut self) {}

    /// Ends; with `tries` what waits is tried for the last time. What waits in files stays, what waits in memory does not.
    fn finish(&mut self, _tries: bool) {}

    /// What is worth telling: how many wait, were held back, were lost for want of room.
    fn tell(&self) -> Option<String> {
        None
    }
}

/// What actions find when they run.
#[derive(Default)]
pub struct Scene<'a> {
    /// The TRAP output, with `--trap`.
    pub output: Option<&'a mut Output>,
}

/// What actions find when they are read.
pub struct Setup<'a> {
    /// The module as `Node[0].Name` names it.
    pub module: &'a str,
    pub namespace: String,
    /// The value of `-n`.
    pub name: Option<&'a str>,
    pub stop: &'a Stop,
    pub has_trap: bool,
    /// The Warden client's configuration.
    pub warden: Option<&'a Path>,
    pub(super) connections: Vec<Section>,
    pub(super) spool: Option<Section>,
    /// Of the action that is read.
    pub(super) id: String,
    /// Nothing is opened, for fuzzing.
    pub(super) is_inert: bool,
}

/// An action of the configuration, and its counts.
pub struct Action {
    pub id: String,
    kind: &'static str,
    act: Box<dyn Act>,
    runs: u64,
    lost: u64,
}

/// Makes an action of its section.
type Read = fn(&Section, &mut Setup<'_>) -> Result<Box<dyn Act>, String>;

/// The registry: key of the configuration, and what reads it.
const KINDS: &[(&str, Read)] = &[
    ("dedup", dedup::read),
    ("email", email::read),
    ("file", file::read),
    ("kafka", kafka::read),
    ("mark", mark::read),
    ("mongo", mongo::read),
    ("rate_limit", rate::read),
    ("stix", stix::read),
    ("store", store::read),
    ("syslog", syslog::read),
    ("trap", trap_output::read),
    ("warden", warden::read),
    ("webhook", webhook::read),
];

/// Reads an item of `custom_actions`; none for `drop`, which needs none.
///
/// # Errors
/// It has no id, is of no known kind, or its kind refuses it.
pub fn read(item: &Section, setup: &mut Setup<'_>) -> Result<Option<Action>, ConfigError> {
    let id = item.need("id")?;
    if item.has("drop") || id == "drop" {
        log::warning!("the action drop is always there: {} is ignored.", item.place());
        return Ok(None);
    }
    let undefined = || {
        let keys: Vec<_> = item.keys().map(|(key, _)| key.as_str()).filter(|key| *key != "id").collect();
        ConfigError::Undefined(format!("{id} ({})", keys.join(", ")))
    };
    let mut found = item.keys().filter_map(|(key, value)| {
        let kind = KINDS.iter().find(|(name, _)| name == key)?;
        Some((kind, value))
    });
    let ((kind, read), value) = found.next().ok_or_else(undefined)?;
    if item.keys().count() != 2 {
        return Err(undefined());
    }
    if setup.is_inert && !matches!(*kind, "mark" | "trap" | "dedup" | "rate_limit") {
        return Err(undefined());
    }
    setup.id.clone_from(&id);
    let act = read(&item.inner(kind, value), setup).map_err(|why| ConfigError::Action(id.clone(), why))?;
    Ok(Some(Action { id, kind, act, runs: 0, lost: 0 }))
}

impl From<SectionError> for String {
    fn from(why: SectionError) -> String {
        why.to_string()
    }
}

impl<'a> Setup<'a> {
    pub fn new(module: &'a str, stop: &'a Stop) -> Setup<'a> {
        Setup {
            module,
            namespace: String::new(),
            name: None,
            stop,
            has_trap: false,
            warden: None,
            connections: Vec::new(),
            spool: None,
            id: String::new(),
            is_inert: false,
        }
    }
}

impl Action {
    /// The action that ends all.
    pub(super) fn drop(id: &str) -> Action {
        struct Drop;
        impl Act for Drop {
            fn run(&mut self, _message: &mut Value, _scene: &mut Scene<'_>) -> Result<Flow, String> {
                Ok(Flow::Drop)
            }
        }
        Action { id: id.to_owned(), kind: "drop", act: Box::new(Drop), runs: 0, lost: 0 }
    }

    /// Runs it; a failure is said and counted, and the rule goes on.
    pub(super) fn run(&mut self, message: &mut Value, scene: &mut Scene<'_>) -> Flow {
        self.runs += 1;
        match self.act.run(message, scene) {
            Ok(flow) => flow,
            Err(why) => {
                self.lost += 1;
                log::error!("action {}: {why}", self.id);
                Flow::GoOn
            }
        }
    }

    pub(super) fn idle(&mut self) {
        self.act.idle();
    }

    pub(super) fn finish(&mut self, tries: bool) {
        self.act.finish(tries);
        if self.lost > 0 {
            eprintln!("Warning: action {} failed for {} of {} alerts.", self.id, self.lost, self.runs);
        }
        if let Some(told) = self.act.tell() {
            eprintln!("Warning: action {}: {told}", self.id);
        }
    }

    pub(super) fn show(&self) -> String {
        let told = self.act.tell().map(|told| format!("; {told}")).unwrap_or_default();
        format!("{} ({}) [{}x, {} failed{told}]", self.id, self.kind, self.runs, self.lost)
    }
}
