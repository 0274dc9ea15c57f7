//! A new configuration takes the place of the old one: modules are matched by name, and only what changed is touched (section 6).
use super::{Core, ProfileState, Run, Supervised, events};
use crate::model::{Config, Interface, Module};

/// What a new configuration did. `Display` is the original's summary.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    pub inserted: usize,
    pub removed: usize,
    pub modified: usize,
    pub unmodified: usize,
    /// One line for each change, in the words of the original.
    pub lines: Vec<String>,
}

impl Core {
    /// Makes the modules those of `config`. Nothing is started or stopped here: the next ticks do.
    pub fn apply(&mut self, config: &Config) -> Applied {
        let mut applied = Applied::default();
        self.settings = config.settings.clone();
        self.profiles = config
            .profiles
            .iter()
            .map(|profile| {
                let (name, enabled) = (profile.name.clone(), profile.enabled);
                let line = format!("[INFO] Valid modules profile (name: \"{name}\", {}).", events::word(enabled));
                applied.lines.push(line);
                ProfileState { name, enabled, enabled_in_file: enabled }
            })
            .collect();
        let mut old = std::mem::take(&mut self.modules);
        let mut inserted = Vec::new();
        let mut kept: Vec<&str> = Vec::new();
        for (profile, module) in config.modules() {
            match old.iter_mut().find(|known| known.spec.name == module.name) {
                Some(known) => {
                    kept.push(&module.name);
                    known.profile.clone_from(&profile.name);
                    known.take_over(module, &mut applied);
                }
                None => inserted.push(Supervised::new(module.clone(), profile.name.clone())),
            }
        }
        for gone in old.iter_mut().filter(|known| !kept.contains(&known.spec.name.as_str())) {
            if !gone.is_leaving {
                applied.removed += 1;
                let name = &gone.spec.name;
                applied.lines.push(format!(
                    "[WARNING] {name} was not found in new configuration, it will be stopped and removed."
                ));
            }
            (gone.is_leaving, gone.enabled) = (true, false);
        }
        applied.inserted = inserted.len();
        old.append(&mut inserted);
        self.modules = old;
        applied
    }
}

impl Supervised {
    fn take_over(&mut self, new: &Module, applied: &mut Applied) {
        self.is_leaving = false;
        let changes = changes(&self.spec, new);
        let name = &new.name;
        if self.enabled != new.enabled {
            let (from, to) = (events::word(self.enabled), events::word(new.enabled));
            applied.lines.push(format!("[WARNING] {name} enabled flag has been modified: {from} -> {to}."));
        }
        if changes.is_empty() {
            applied.unmodified += 1;
        } else {
            applied.modified += 1;
            applied.lines.extend(changes.iter().map(|change| change.line(name)));
            if new.enabled && matches!(self.run, Run::Running { .. }) {
                applied.lines.push(format!(
                    "[WARNING] {name} was modified by reload and it has been running -> it will be restarted with new configuration."
                ));
                self.wants_restart = true;
            }
        }
        // One that was given up gets a chance, whatever changed.
        self.set_enabled(new.enabled);
        self.spec = new.clone();
    }
}

/// An attribute that makes a restart necessary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    attribute: String,
    from: String,
    to: String,
}

impl Change {
    fn line(&self, module: &str) -> String {
        let Self { attribute, from, to } = self;
        match (from.is_empty(), to.is_empty()) {
            (true, _) => format!(
                "[WARNING] {module}'s attribute \"{attribute}\" was empty and is \"{to}\" now, gonna update it."
            ),
            (_, true) => {
                format!("[WARNING] {module}'s attribute \"{attribute}\" (\"{from}\") should be empty, gonna update it.")
            }
            _ => format!(
                "[WARNING] {module}'s attribute \"{attribute}\" has been changed ({from} -> {to}), gonna update it."
            ),
        }
    }

    /// In a few words, for plans.
    pub(super) fn short(&self) -> String {
        format!("{}: \"{}\" -> \"{}\"", self.attribute, self.from, self.to)
    }
}

/// What differs of two modules with one name so that the process must be another one.
pub(super) fn changes(old: &Module, new: &Module) -> Vec<Change> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut all = vec![
        ("path".to_owned(), old.path.clone(), new.path.clone()),
        ("params".to_owned(), text(&old.params), text(&new.params)),
    ];
    let limits = old.limits.told().into_iter().zip(new.limits.told());
    all.extend(limits.map(|((key, from), (_, to))| (key.to_owned(), from, to)));
    if old.interfaces.len() != new.interfaces.len() {
        let (from, to) = (old.interfaces.len().to_string(), new.interfaces.len().to_string());
        all.push(("number of interfaces".to_owned(), from, to));
    } else {
        for (at, (old, new)) in old.interfaces.iter().zip(&new.interfaces).enumerate() {
            all.extend(
                of_interface(old)
                    .into_iter()
                    .zip(of_interface(new))
                    .map(|((what, from), (_, to))| (format!("interface {at} {what}"), from, to)),
            );
        }
    }
    let changed = all.into_iter().filter(|(_, from, to)| from != to);
    changed.map(|(attribute, from, to)| Change { attribute, from, to }).collect()
}

fn of_interface(interface: &Interface) -> [(&'static str, String); 4] {
    [
        ("note", interface.note.clone().unwrap_or_default()),
        ("type", interface.kind.map_or("", |kind| kind.word()).to_owned()),
        ("direction", interface.direction.map_or("", |way| way.word()).to_owned()),
        ("params", interface.params.clone().unwrap_or_default()),
    ]
}

impl std::fmt::Display for Applied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { inserted, removed, modified, unmodified, .. } = self;
        write!(
            f,
            "\n[RELOAD] Result:\nInserted modules:\t{inserted}\nRemoved modules:\t{removed}\nModified modules:\t{modified}\n\
             Unmodified modules:\t{unmodified}\n"
        )
    }
}
