//! What a configuration would do, module by module, without doing it.
use super::apply::changes;
use super::{Core, Run};
use crate::model::{Config, Module, Profile};
use serde::Serialize;

/// What would become of one module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    pub module: String,
    pub action: Verdict,
    /// What changes, or why it is refused.
    pub why: Vec<String>,
}

/// What would be done with a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing changes.
    Keep,
    /// Something changes that needs no restart.
    Live,
    Restart,
    Start,
    Stop,
    /// The whole configuration is refused, and this module is why.
    Refuse,
}

impl Verdict {
    /// As it is shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Live => "live",
            Self::Restart => "restart",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Refuse => "refuse",
        }
    }
}

impl Core {
    /// What [`Core::apply`] of `config` would lead to. `refuse` says why a module cannot run as it is configured.
    pub fn plan(&self, config: &Config, refuse: impl Fn(&Module) -> Option<String>) -> Vec<Step> {
        let mut steps: Vec<Step> = config.modules().map(|(profile, new)| self.step(profile, new, &refuse)).collect();
        let gone = self.modules.iter().filter(|known| config.modules().all(|(_, new)| new.name != known.spec.name));
        steps.extend(gone.map(|known| Step {
            module: known.spec.name.clone(),
            action: Verdict::Stop,
            why: vec!["it is not in the new configuration".into()],
        }));
        steps
    }

    fn step(&self, profile: &Profile, new: &Module, refuse: &impl Fn(&Module) -> Option<String>) -> Step {
        let will_run = new.enabled && profile.enabled;
        let known = self.module(&new.name);
        let (action, why) = match (known, will_run.then(|| refuse(new)).flatten()) {
            (_, Some(why)) => (Verdict::Refuse, vec![why]),
            (None, None) => (if will_run { Verdict::Start } else { Verdict::Keep }, vec!["it is new".into()]),
            (Some(known), None) => {
                let mut why: Vec<String> = changes(&known.spec, new).iter().map(|change| change.short()).collect();
                let must_restart = !why.is_empty();
                why.extend(light_changes(known.spec.restarts, &known.profile, &known.spec.after, profile, new));
                let is_running = matches!(known.run, Run::Running { .. });
                let action = match (is_running, will_run) {
                    (true, true) if must_restart => Verdict::Restart,
                    (true, false) => Verdict::Stop,
                    (false, true) => Verdict::Start,
                    _ if why.is_empty() => Verdict::Keep,
                    _ => Verdict::Live,
                };
                (action, why)
            }
        };
        Step { module: new.name.clone(), action, why }
    }
}

/// What differs and needs no restart.
fn light_changes(restarts: u8, profile: &str, after: &[String], to: &Profile, new: &Module) -> Vec<String> {
    let mut why = Vec::new();
    if restarts != new.restarts {
        why.push(format!("restarts: {restarts} -> {}", new.restarts));
    }
    if profile != to.name {
        why.push(format!("profile: \"{profile}\" -> \"{}\"", to.name));
    }
    if after != new.after {
        why.push(format!("after: [{}] -> [{}]", after.join(", "), new.after.join(", ")));
    }
    why
}
