//! What happens to modules next: a state machine without I/O and without a clock, so that tests can play years of it.
//!
//! Contract: the caller tells what happened ([`Core::started`], [`Core::exited`], [`Core::answered`], what operators want) and asks
//! [`Core::tick`] what to do. Times are those since any fixed moment and never go back. Each process that was started or adopted is
//! running, has exited or was killed ([`Books`], identity I16). Rules: section 4.
use crate::model::{Module, Settings};
use std::collections::VecDeque;
use std::time::Duration;

pub mod apply;
mod events;
pub mod plan;

pub use apply::Applied;

/// Restarts count for so long.
pub const WINDOW: Duration = Duration::from_secs(60);
/// Time before the first restart; it doubles with each further one in the window.
const BACKOFF_MIN: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// What counts of the time between two ticks as silence of modules, at the most: if the supervisor itself was held up, nobody could be heard.
const SILENCE_MAX: Duration = Duration::from_millis(500);
/// A look at lanes that nothing was published since counts for so long, however long ago the look before it was.
pub const LANE_LOOK: Duration = Duration::from_millis(100);
/// Whoever starts after a module waits until it answers at its service interface, or for so long.
const READY: Duration = Duration::from_secs(2);

/// All modules and what became of them.
#[derive(Debug, Default)]
pub struct Core {
    modules: Vec<Supervised>,
    profiles: Vec<ProfileState>,
    settings: Settings,
    events: Vec<String>,
    books: Books,
    last_tick: Duration,
    is_ending: bool,
}

/// A profile and whether it is enabled now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileState {
    pub name: String,
    pub enabled: bool,
    /// What the file says; operators change `enabled` only.
    pub enabled_in_file: bool,
}

/// A module and what became of it.
#[derive(Debug)]
pub struct Supervised {
    /// How to start it; `spec.enabled` is what the file says.
    pub spec: Module,
    /// Name of its profile.
    pub profile: String,
    /// Whether it is to run, as far as it is its own matter.
    pub enabled: bool,
    pub run: Run,
    /// Why it was given up: `enabled` is false then.
    pub parked: Option<String>,
    /// When it was restarted, within [`WINDOW`].
    restarts: VecDeque<Duration>,
    not_before: Duration,
    was_started: bool,
    is_failed: bool,
    is_leaving: bool,
    wants_restart: bool,
    /// Looks at its process, one after the other, at which a lane of it stood still.
    looks_still: u32,
}

/// The process of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// None.
    Stopped,
    /// Since when, and how long it is silent since it answered at its service interface.
    Running { pid: u32, since: Duration, silent: Option<Duration> },
    /// It was asked to end, or killed, and is not gone.
    Stopping { pid: u32, since: Duration, why: Why, is_killed: bool },
}

/// Why a process is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is no longer wanted, or wanted anew.
    Asked,
    /// It does not answer: a failure of its own.
    Hung,
    /// A lane of it stands still: a failure of its own, too.
    Stuck,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Exited(i32),
    Killed(i32),
    /// It was adopted, so nobody was told.
    Unknown,
}

/// What the caller is to do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start the module of this name, then call [`Core::started`] or [`Core::start_failed`].
    Start(String),
    /// SIGINT to its process group.
    Interrupt { name: String, pid: u32 },
    /// SIGABRT to its process group, so that it leaves a core.
    Abort { name: String, pid: u32 },
    /// SIGKILL to its process group.
    Kill { name: String, pid: u32 },
}

/// `spawned + adopted = running + exited + killed + lost`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Books {
    pub spawned: u64,
    pub adopted: u64,
    pub exited: u64,
    pub killed: u64,
    /// Adopted ones whose end nobody told.
    pub lost: u64,
    /// Times that a module was given up.
    pub parked: u64,
}

impl Core {
    /// What is to be done now. Call it again when something happened, and every 100 ms or so.
    pub fn tick(&mut self, now: Duration) -> Vec<Action> {
        let mut actions = Vec::new();
        let passed = now.saturating_sub(std::mem::replace(&mut self.last_tick, now)).min(SILENCE_MAX);
        self.modules.retain(|module| !(module.is_leaving && module.run == Run::Stopped));
        for at in 0..self.modules.len() {
            let wanted = self.is_wanted(&self.modules[at]);
            match self.modules[at].run {
                Run::Stopped if wanted && now >= self.modules[at].not_before && self.is_ready(at, now) => {
                    actions.push(Action::Start(self.modules[at].spec.name.clone()));
                }
                Run::Stopped => {}
                Run::Running { pid, .. } if !wanted || self.modules[at].wants_restart => {
                    actions.push(self.interrupt(at, pid, now));
                }
                Run::Running { pid, since, silent } => {
                    let silent = silent.map(|silent| silent + passed);
                    self.modules[at].run = Run::Running { pid, since, silent };
                    let still = LANE_LOOK * self.modules[at].looks_still;
                    if self.settings.heartbeat.zip(silent).is_some_and(|(most, silent)| silent > most) {
                        actions.push(self.kill(at, pid, now, Why::Hung));
                    } else if self.settings.lane_heartbeat.is_some_and(|most| still >= most) {
                        actions.push(self.abort(at, pid, now, still));
                    }
                }
                Run::Stopping { pid, since, why, .. } => {
                    if now.saturating_sub(since) >= self.settings.stop_grace {
                        actions.push(self.kill(at, pid, now, why));
                    }
                }
            }
        }
        actions
    }

    /// The module runs now, as a child.
    pub fn started(&mut self, name: &str, pid: u32, now: Duration) {
        let Some(at) = self.place(name) else { return };
        let module = &mut self.modules[at];
        let event = if module.was_started { "[RESTART] Restarting module" } else { "[START] Starting module" };
        let event = format!("{event} {name}{}", if module.was_started { "" } else { "." });
        if module.is_failed {
            module.restarts.push_back(now);
        }
        (module.was_started, module.is_failed, module.looks_still) = (true, false, 0);
        module.run = Run::Running { pid, since: now, silent: None };
        self.books.spawned += 1;
        self.events.push(event);
    }

    /// The module could not be started, which counts as an end of it.
    pub fn start_failed(&mut self, name: &str, why: &str, now: Duration) {
        let Some(at) = self.place(name) else { return };
        let module = &mut self.modules[at];
        if module.is_failed {
            module.restarts.push_back(now);
        }
        self.events.push(format!("[WARNING] Module {name} cannot be started: {why}"));
        self.fail(at, now);
    }

    /// A process that an earlier supervisor started goes on as this module.
    pub fn adopt(&mut self, name: &str, pid: u32, now: Duration) {
        let Some(at) = self.place(name) else { return };
        let module = &mut self.modules[at];
        (module.was_started, module.is_failed, module.looks_still) = (true, false, 0);
        module.run = Run::Running { pid, since: now, silent: None };
        self.books.adopted += 1;
        self.events.push(format!("[START] Module {name} goes on as it was found running (PID: {pid})."));
    }

    /// What an earlier supervisor knew of a module that is not as its file says: an operator changed it, or it was given up.
    pub fn restore(&mut self, name: &str, enabled: bool, parked: Option<String>) {
        if let Some(at) = self.place(name) {
            (self.modules[at].enabled, self.modules[at].parked) = (enabled, parked);
        }
    }

    /// The process of a module ended. Another process than the module's is none of its own.
    pub fn exited(&mut self, name: &str, pid: u32, how: End, now: Duration) {
        let Some(at) = self.place(name).filter(|at| self.modules[*at].run.pid() == Some(pid)) else { return };
        match how {
            End::Exited(_) => self.books.exited += 1,
            End::Killed(_) => self.books.killed += 1,
            End::Unknown => self.books.lost += 1,
        }
        let module = &mut self.modules[at];
        let was_asked = matches!(module.run, Run::Stopping { why: Why::Asked, .. });
        module.run = Run::Stopped;
        module.wants_restart = false;
        if was_asked {
            module.not_before = now;
            self.events.push(format!("[STOP] Module {name} (PID: {pid}) {how}."));
        } else {
            let told = format!("[STOP] kill -0: module \"{name}\" (PID: {pid}) is not running! ({how})");
            self.events.push(told);
            self.fail(at, now);
        }
    }

    /// The module answered at its service interface.
    pub fn answered(&mut self, name: &str, pid: u32) {
        let found = self.modules.iter_mut().find(|module| module.spec.name == name);
        if let Some(Run::Running { pid: running, silent, .. }) = found.map(|module| &mut module.run)
            && *running == pid
        {
            *silent = Some(Duration::ZERO);
        }
    }

    /// Somebody looked at the lanes of a module's process, [`LANE_LOOK`] or more after the look before: whether one of them stands still.
    pub fn looked_at_lanes(&mut self, name: &str, pid: u32, is_still: bool) {
        let Some(at) = self.place(name).filter(|at| self.modules[*at].run.pid() == Some(pid)) else { return };
        let looks = &mut self.modules[at].looks_still;
        *looks = if is_still { looks.saturating_add(1) } else { 0 };
    }

    /// Enables or disables a module until its configuration is loaded anew; one that was given up gets all its restarts again.
    pub fn enable_module(&mut self, name: &str, enabled: bool) {
        let Some(at) = self.place(name) else { return };
        self.modules[at].set_enabled(enabled);
        self.events.push(format!("[ENABLED] Module {name} set to {}.", events::word(enabled)));
    }

    /// As [`Core::enable_module`], for a profile.
    pub fn enable_profile(&mut self, name: &str, enabled: bool) {
        if let Some(profile) = self.profiles.iter_mut().find(|profile| profile.name == name) {
            profile.enabled = enabled;
            self.events.push(format!("[ENABLED] Profile {name} set to {}.", events::word(enabled)));
        }
    }

    /// Stops a running module and starts it again; this is no failure.
    pub fn restart(&mut self, name: &str) {
        if let Some(at) = self.place(name) {
            self.modules[at].wants_restart = matches!(self.modules[at].run, Run::Running { .. });
        }
    }

    /// Stops all modules for good.
    pub fn end(&mut self) {
        self.is_ending = true;
    }

    /// True when no process is left.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.modules.iter().all(|module| module.run == Run::Stopped)
    }

    /// What happened since the last call, for people.
    pub fn take_events(&mut self) -> Vec<String> {
        std::mem::take(&mut self.events)
    }

    /// All modules, in the order of their numbers.
    #[must_use]
    pub fn modules(&self) -> &[Supervised] {
        &self.modules
    }

    /// All profiles, in order.
    #[must_use]
    pub fn profiles(&self) -> &[ProfileState] {
        &self.profiles
    }

    /// How all modules are treated.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What became of processes.
    #[must_use]
    pub fn books(&self) -> Books {
        self.books
    }

    /// The module of this name.
    #[must_use]
    pub fn module(&self, name: &str) -> Option<&Supervised> {
        self.modules.iter().find(|module| module.spec.name == name)
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.modules.iter().position(|module| module.spec.name == name)
    }

    fn is_wanted(&self, module: &Supervised) -> bool {
        let of_profile = || self.profiles.iter().any(|profile| profile.name == module.profile && profile.enabled);
        !self.is_ending && !module.is_leaving && module.enabled && of_profile()
    }

    /// Whether all that this module starts after are up, or will not be.
    fn is_ready(&self, at: usize, now: Duration) -> bool {
        let mut before = self.modules[at].spec.after.iter().filter_map(|name| self.module(name));
        before.all(|module| match module.run {
            _ if !self.is_wanted(module) => true,
            Run::Running { since, silent, .. } => silent.is_some() || now.saturating_sub(since) >= READY,
            _ => false,
        })
    }

    fn interrupt(&mut self, at: usize, pid: u32, now: Duration) -> Action {
        let name = self.modules[at].spec.name.clone();
        self.modules[at].run = Run::Stopping { pid, since: now, why: Why::Asked, is_killed: false };
        self.events.push(format!("[STOP] Stopping module {name}... sending SIGINT"));
        Action::Interrupt { name, pid }
    }

    fn kill(&mut self, at: usize, pid: u32, now: Duration, why: Why) -> Action {
        let name = self.modules[at].spec.name.clone();
        self.modules[at].run = Run::Stopping { pid, since: now, why, is_killed: true };
        let hung = if why == Why::Hung { " It does not answer at its service interface." } else { "" };
        self.events.push(format!("[STOP] Stopping module {name}... sending SIGKILL{hung}"));
        Action::Kill { name, pid }
    }

    fn abort(&mut self, at: usize, pid: u32, now: Duration, still: Duration) -> Action {
        let name = self.modules[at].spec.name.clone();
        self.modules[at].run = Run::Stopping { pid, since: now, why: Why::Stuck, is_killed: false };
        let looks = still.as_millis();
        self.events.push(format!(
            "[STOP] Stopping module {name}... sending SIGABRT: a lane of it has published nothing in {looks} ms of looks at it."
        ));
        Action::Abort { name, pid }
    }

    /// The module is down and was not asked to be: it waits for its restart, or is given up.
    fn fail(&mut self, at: usize, now: Duration) {
        let module = &mut self.modules[at];
        while module.restarts.front().is_some_and(|then| now.saturating_sub(*then) >= WINDOW) {
            module.restarts.pop_front();
        }
        module.is_failed = true;
        let (restarts, limit) = (module.restarts.len() as u32, u32::from(module.spec.restarts));
        if restarts >= limit {
            let name = &module.spec.name;
            module.enabled = false;
            module.parked = Some(format!("restarted {restarts} times per minute and down again"));
            self.events.push(format!(
                "[RESTART] Module: {name} was restarted {restarts} times per minute and it is down again. I set it disabled."
            ));
            self.books.parked += 1;
        } else {
            module.not_before = now + backoff(restarts, limit);
        }
    }
}

/// Doubles with each restart. All that are allowed fit in the window, so that a module that never comes up is given up.
fn backoff(restarts: u32, limit: u32) -> Duration {
    let most = BACKOFF_MAX.min(WINDOW / (limit + 4));
    (BACKOFF_MIN * (1 << restarts.min(16))).min(most)
}

impl Supervised {
    fn new(spec: Module, profile: String) -> Self {
        Self {
            enabled: spec.enabled,
            spec,
            profile,
            run: Run::Stopped,
            parked: None,
            restarts: VecDeque::new(),
            not_before: Duration::ZERO,
            was_started: false,
            is_failed: false,
            is_leaving: false,
            wants_restart: false,
            looks_still: 0,
        }
    }

    fn set_enabled(&mut self, enabled: bool) {
        if enabled && !self.enabled {
            self.restarts.clear();
            (self.not_before, self.was_started, self.is_failed, self.parked) = (Duration::ZERO, false, false, None);
        }
        self.enabled = enabled;
    }

    /// Restarts that count against its limit now.
    #[must_use]
    pub fn restarts_in_window(&self, now: Duration) -> usize {
        self.restarts.iter().filter(|then| now.saturating_sub(**then) < WINDOW).count()
    }
}

impl Run {
    /// The process, if there is one.
    #[must_use]
    pub fn pid(self) -> Option<u32> {
        match self {
            Self::Stopped => None,
            Self::Running { pid, .. } | Self::Stopping { pid, .. } => Some(pid),
        }
    }
}

#[cfg(test)]
mod tests;
