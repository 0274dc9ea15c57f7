//! The limits of modules, as the runner keeps them: groups are made and taken away, and what they stopped is told and counted.
use crate::cgroup::{Cgroups, Counts};
use crate::config::text_of;
use crate::model::{Config, Module};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What is known of limits.
#[derive(Debug)]
pub(super) struct Bounds {
    cgroups: Cgroups,
    /// Limits that cannot be kept, as they were told last.
    missing: Vec<String>,
    counted: HashMap<String, Counted>,
    sandboxes: HashMap<String, Sandbox>,
}

/// Parts of a module's sandbox, and whether each is in force; empty for a module that has none, or has not begun.
pub type Sandbox = Vec<(String, bool)>;

/// Bytes of the file in which a module tells of its sandbox, at the most.
const REPORT_MAX: usize = 4_096;

/// What happened to a module because of its limits.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    /// The kernel's counts at the last look; they begin anew with each group.
    last: Counts,
    total: Counts,
}

impl Bounds {
    pub(super) fn new(socket: &Path) -> Self {
        Self { cgroups: Cgroups::find(socket), missing: Vec::new(), counted: HashMap::new(), sandboxes: HashMap::new() }
    }

    /// Gets ready for a configuration; answers what cannot be kept, unless it was told before.
    pub(super) fn prepare(&mut self, config: &Config) -> Vec<String> {
        self.cgroups.prepare(config);
        let missing = self.cgroups.missing(config);
        let news = missing.iter().filter(|line| !self.missing.contains(line)).cloned().collect();
        self.missing = missing;
        self.counted.retain(|name, _| config.modules().any(|(_, module)| module.name == *name));
        news
    }

    /// Makes the groups of a module that starts; answers the files by which it enters them.
    pub(super) fn enter(&mut self, module: &Module, failed: &mut dyn FnMut(String)) -> Vec<PathBuf> {
        let doors = self.cgroups.enter(&module.name, &module.limits, failed);
        // A group that could not be taken away goes on counting.
        let last = self.cgroups.counts(&module.name);
        self.counted.entry(module.name.clone()).or_default().last = last;
        doors
    }

    /// Reads what the kernel counted of a module; answers what is to be told.
    pub(super) fn look(&mut self, module: &Module) -> Vec<String> {
        let name = &module.name;
        let now = self.cgroups.counts(name);
        let Counted { last, total } = self.counted.entry(name.clone()).or_default();
        let since = |now: u64, last: u64| if now < last { now } else { now - last };
        let (killed, refused) = (since(now.killed, last.killed), since(now.refused, last.refused));
        total.killed += killed;
        total.throttled += since(now.throttled, last.throttled);
        total.refused += refused;
        let was_refused = last.refused > 0;
        *last = now;
        let mut events = Vec::new();
        if let Some(most) = module.limits.memory_mib.filter(|_| killed > 0) {
            events.push(format!("[LIMIT] Module {name} needed more than memory_mib = {most}: the kernel killed {killed} of its processes."));
        }
        // Once for each group: who tries again tries often.
        if let Some(most) = module.limits.processes.filter(|_| refused > 0 && !was_refused) {
            events.push(format!("[LIMIT] Module {name} wanted more than processes = {most}; it was refused."));
        }
        events
    }

    /// Reads what a module says of its sandbox, in this file; answers what is to be told.
    pub(super) fn look_at_sandbox(&mut self, module: &Module, report: &Path) -> Option<String> {
        let text = text_of(report, REPORT_MAX).ok().filter(|_| module.limits.sandbox).unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        let now: Sandbox = lines.map(|(part, state)| (part.replace(char::is_control, "?"), state == "yes")).collect();
        let missing: Vec<&str> = now.iter().filter(|(_, is)| !is).map(|(part, _)| part.as_str()).collect();
        let name = &module.name;
        let told = format!(
            "[WARNING] Module {name} runs without a part of its sandbox ({}); its log says why.",
            missing.join(", ")
        );
        let is_news = !missing.is_empty() && self.sandboxes.get(name) != Some(&now);
        self.sandboxes.insert(name.clone(), now);
        is_news.then_some(told)
    }

    /// The sandboxes of modules that run.
    pub(super) fn sandboxes(&self) -> &HashMap<String, Sandbox> {
        &self.sandboxes
    }

    /// The module's process ended.
    pub(super) fn leave(&mut self, module: &Module) -> Vec<String> {
        let events = self.look(module);
        self.sandboxes.remove(&module.name);
        self.cgroups.leave(&module.name);
        events
    }

    /// No module is left.
    pub(super) fn end(&self) {
        self.cgroups.end();
    }

    /// Limits that cannot be kept here.
    pub(super) fn missing(&self) -> &[String] {
        &self.missing
    }

    /// What happened to each module so far.
    pub(super) fn counts(&self) -> HashMap<String, Counts> {
        self.counted.iter().map(|(name, counted)| (name.clone(), counted.total)).collect()
    }
}
