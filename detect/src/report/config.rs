//! The configuration of a reporter: namespace, address groups, actions, rules (spec/idea.md section 2).
//!
//! YAML is read by serde-saphyr into plain values, with bounds on nesting and aliases; of a key that is repeated the last one counts.
mod groups;
mod rule;
mod section;

pub use groups::{Group, replace_words};
pub use rule::{Counts, Outcome, Rule};
pub use section::{Section, SectionError};

use super::action::{self, Action, Setup};
use super::condition::ConditionError;
use super::log;
use serde_json::Value;
use std::fmt::Write;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes of the file, at the most.
const FILE_MAX: u64 = 8 * 1024 * 1024;
/// Namespace without one in the file.
const NAMESPACE: &str = "com.example";
/// The action that is always there.
const DROP: &str = "drop";

/// What the file says.
pub struct Config {
    pub namespace: String,
    groups: Vec<Group>,
    actions: Vec<Action>,
    rules: Vec<Rule>,
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration {0}: {1}")]
    Open(String, io::Error),
    #[error("the configuration is longer than {FILE_MAX} bytes, or not UTF-8")]
    Text,
    #[error("YAML: {0}")]
    Yaml(String),
    #[error("YAML file must contain `rules`.")]
    NoRules,
    #[error("YAML file must contain at least one rule.")]
    EmptyRules,
    #[error(transparent)]
    Section(#[from] SectionError),
    #[error("action {0}: {1}")]
    Action(String, String),
    #[error("Undefined action: {0}")]
    Undefined(String),
    #[error("rule {0}: Missing action with ID {1}")]
    NoAction(String, String),
    #[error("rule {0}: {1}")]
    Condition(String, ConditionError),
}

impl Config {
    /// Reads a file and opens what its actions need.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(path: &Path, setup: &mut Setup<'_>) -> Result<Config, ConfigError> {
        let failed = |why| ConfigError::Open(path.display().to_string(), why);
        let mut bytes = Vec::new();
        File::open(path).map_err(failed)?.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
        Config::parse(&bytes, setup)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn parse(bytes: &[u8], setup: &mut Setup<'_>) -> Result<Config, ConfigError> {
        let root = Section::new("the file", yaml(bytes)?);
        let namespace = root.text("namespace")?.unwrap_or_else(|| {
            log::error!("the configuration has no namespace: {NAMESPACE} is used.");
            NAMESPACE.into()
        });
        let rules = root.list("rules")?.ok_or(ConfigError::NoRules)?;
        if rules.is_empty() {
            return Err(ConfigError::EmptyRules);
        }
        let groups = root.list("addressgroups")?.unwrap_or_default();
        if let Some(group) = groups.iter().find(|group| setup.is_inert && group.has("file")) {
            return Err(ConfigError::Undefined(group.place().to_owned()));
        }
        let groups = groups.iter().map(Group::read).collect::<Result<Vec<_>, _>>()?;
        setup.connections = root.list("smtp_connections")?.unwrap_or_default();
        setup.spool = root.section("spool")?;
        setup.namespace.clone_from(&namespace);
        let mut actions = vec![Action::drop(DROP)];
        for item in root.list("custom_actions")?.unwrap_or_default() {
            actions.extend(action::read(&item, setup)?);
        }
        let rules = rules.iter().map(|rule| Rule::read(rule, &actions, &groups));
        let rules = rules.collect::<Result<Vec<_>, ConfigError>>()?;
        Ok(Config { namespace, groups, actions, rules })
    }

    /// Runs all rules on a message, each on a copy of its own, until one drops it.
    pub fn run(&mut self, message: &Value, scene: &mut action::Scene<'_>) {
        for rule in &mut self.rules {
            if rule.run(message, &mut self.actions, scene) == Outcome::Dropped {
                return;
            }
        }
    }

    /// What can be done while nothing comes: what waits for a far end is tried again.
    pub fn idle(&mut self) {
        self.actions.iter_mut().for_each(Action::idle);
    }

    /// Says what the actions did not do; with `tries` they try for the last time.
    pub fn finish(&mut self, tries: bool) {
        self.actions.iter_mut().for_each(|action| action.finish(tries));
    }

    /// The configuration as `--dry` and SIGUSR2 print it, with what was counted.
    pub fn show(&self) -> String {
        let mut out = format!("Namespace: {}\n----------------\n", self.namespace);
        // A String takes every write.
        let mut line = |text: String| {
            let _ = writeln!(out, "{text}");
        };
        line("Address Groups:".into());
        self.groups.iter().for_each(|group| line(format!("{}: {} addresses", group.id, group.ranges.len())));
        line("----------------\nCustom Actions:".into());
        self.actions.iter().for_each(|action| line(action.show()));
        line("----------------\nRules:".into());
        self.rules.iter().for_each(|rule| line(rule.show(&self.actions)));
        out
    }
}

/// Reads YAML.
fn yaml(bytes: &[u8]) -> Result<Value, ConfigError> {
    let text = str::from_utf8(bytes).ok().filter(|text| text.len() as u64 <= FILE_MAX).ok_or(ConfigError::Text)?;
    let options = serde_saphyr::options! {
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::LastWins,
        strict_booleans: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|why| ConfigError::Yaml(why.to_string()))
}

/// Any file as a configuration without actions that reach out: it is read or refused, and what was read runs.
pub fn fuzz_config(input: &[u8]) {
    let stop = trap::Stop::default();
    let mut setup = Setup::new("fuzz", &stop);
    setup.is_inert = true;
    let Ok(mut config) = Config::parse(input, &mut setup) else { return };
    let message = serde_json::json!({"ID": "x", "ConnCount": 2, "Source": [{"IP4": ["192.0.2.1"]}]});
    config.run(&message, &mut action::Scene::default());
    assert!(!config.show().is_empty());
}

#[cfg(test)]
#[path = "config/config_tests.rs"]
mod tests;
