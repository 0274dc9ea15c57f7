//! The supervisor at work: it starts and ends processes as [`Core`] says, measures them, and answers commands.
//!
//! Contract: one task owns everything here and never waits for a module. Others have a [`Handle`]: they see a [`Snapshot`] and send
//! [`Command`]s, which are done one after the other. Reloads that come close together are one.
use crate::api::gate::Gate;
use crate::config::{Refused, why_not};
use crate::core::{Action, Core, End, LANE_LOOK};
use crate::launch::Launch;
use crate::logs::{self, Logs};
use crate::model::{Config, Direction, Kind};
use crate::process::{self, Identity, Meter, Usage};
use crate::snapshot::{About, Counters, Snapshot};
use crate::time::ctime;
use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

pub mod backup;
mod bounds;
mod handle;
mod look;
mod pulse;
mod reload;
mod remains;
pub mod service;
pub mod state;

pub use bounds::Sandbox;
pub use handle::{Command, Handle, Options, Reply, Target};
pub use remains::Remains;

use bounds::Bounds;
use handle::Request;
use pulse::Pulses;
use service::{Answer, Services};
use state::State;

/// How often modules are looked at.
const LOOK: Duration = LANE_LOOK;
/// Looks between two measurements: 2 s, the cycle of the original.
const LOOKS_A_CYCLE: u64 = 20;
/// Cycles between two entries of modules_statistics.
const CYCLES_A_MINUTE: u64 = 30;
/// Commands that wait, at the most; whoever sends more waits himself.
const COMMANDS_MAX: usize = 64;

/// A supervisor.
#[derive(Debug)]
pub struct Runner {
    core: Core,
    options: Options,
    about: About,
    logs: Arc<Logs>,
    gate: Arc<Gate>,
    began: Instant,
    looks: u64,
    /// Processes that run or are to end.
    identities: HashMap<u32, Identity>,
    /// Those of them that are no children, whose end nobody tells.
    adopted: HashMap<u32, Identity>,
    meters: HashMap<u32, Meter>,
    measured: HashMap<String, (Usage, Option<Counters>)>,
    services: Services,
    pulses: Pulses,
    ends: (mpsc::UnboundedSender<Ended>, mpsc::UnboundedReceiver<Ended>),
    answers: mpsc::UnboundedReceiver<Answer>,
    commands: mpsc::Receiver<Request>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    reloads: reload::Pending,
    bounds: Bounds,
    lost: HashMap<String, Remains>,
    /// When the certificate of the control API expires, as it was at the last measurement.
    expiry: Option<u64>,
    /// Something may have to be saved and told.
    is_changed: bool,
    saved: String,
    is_leaving: bool,
    is_stopping: bool,
}

#[derive(Debug)]
struct Ended {
    name: String,
    pid: u32,
    how: End,
}

impl Runner {
    /// A supervisor with the modules that the configuration asks for, and those that an earlier one left running. A configuration that
    /// is refused leaves it with the latter; why is said in the log and answered.
    ///
    /// # Errors
    /// The logs cannot be written.
    pub fn new(options: Options) -> std::io::Result<(Self, Handle, Option<Refused>)> {
        let logs = Arc::new(Logs::open(&options.logs, options.is_daemon)?);
        let about = About {
            started: ctime(),
            logs: options.logs.clone(),
            template: options.source.path().to_owned(),
            loaded: options.source.loaded(),
            socket: options.socket.clone(),
            is_daemon: options.is_daemon,
        };
        let (request, commands) = mpsc::channel(COMMANDS_MAX);
        let (told, answers) = mpsc::unbounded_channel();
        let (snapshots, seen) = watch::channel(Arc::default());
        let bounds = Bounds::new(&options.socket);
        let mut runner = Self {
            core: Core::default(),
            options,
            about,
            logs: Arc::clone(&logs),
            gate: Arc::default(),
            began: Instant::now(),
            looks: 0,
            identities: HashMap::new(),
            adopted: HashMap::new(),
            meters: HashMap::new(),
            measured: HashMap::new(),
            services: Services::new(told),
            pulses: Pulses::default(),
            ends: mpsc::unbounded_channel(),
            answers,
            commands,
            snapshots,
            reloads: reload::Pending::default(),
            bounds,
            lost: HashMap::new(),
            expiry: None,
            is_changed: false,
            saved: String::new(),
            is_leaving: false,
            is_stopping: false,
        };
        let gate = Arc::clone(&runner.gate);
        let refused = runner.begin();
        // Whoever asks first sees what was begun.
        runner.is_changed = true;
        runner.advance();
        Ok((runner, Handle { commands: request, snapshots: seen, logs, gate }, refused))
    }

    /// Adopts and configures.
    fn begin(&mut self) -> Option<Refused> {
        let state = State::read(&state::path_of(&self.options.socket));
        let now = self.now();
        if let Some(state) = &state {
            self.adopted = state.restore(&mut self.core, now);
            self.identities = self.adopted.clone();
        }
        let loaded = self.load();
        if let Some(state) = &state {
            let config = loaded.as_ref().map_or(&state.config, |(config, _)| config);
            state.restore_switches(&mut self.core, config);
        }
        loaded.err()
    }

    /// Works until it is told to end.
    pub async fn run(mut self) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let watchdog = sd_notify::watchdog_enabled().map(|within| within / 3);
        let mut fed = Instant::now();
        loop {
            tokio::select! {
                _ = looks.tick() => self.look(),
                Some(ended) = self.ends.1.recv() => self.ended(ended),
                Some(answer) = self.answers.recv() => self.answered(answer),
                Some(request) = self.commands.recv() => self.command(request),
            }
            self.advance();
            if watchdog.is_some_and(|every| fed.elapsed() >= every) {
                fed = Instant::now();
                // Without systemd nobody listens.
                let _unheard = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
            }
            if self.is_leaving || (self.is_stopping && self.core.is_idle()) {
                return self.end();
            }
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Does what the core says, remembers it and tells it.
    fn advance(&mut self) {
        for action in self.core.tick(self.now()) {
            self.is_changed = true;
            match action {
                Action::Start(name) => self.start(&name),
                Action::Interrupt { pid, .. } => process::interrupt(pid),
                Action::Abort { pid, .. } => process::abort(pid),
                Action::Kill { pid, .. } => process::end(pid),
            }
        }
        for event in self.core.take_events() {
            self.is_changed = true;
            self.logs.event(&event);
            self.logs.say(&event);
        }
        if std::mem::take(&mut self.is_changed) {
            self.save();
            self.publish();
        }
    }

    fn start(&mut self, name: &str) {
        let Some(module) = self.core.module(name) else { return };
        let doors = self.bounds.enter(&module.spec, &mut |why| self.logs.say(&why));
        let launch = Launch::of(&module.spec, &self.logs.path(logs::MODULES), doors);
        let spawned = launch.map_err(|why| why.to_string()).and_then(|launch| {
            let mut command = tokio::process::Command::from(launch.command());
            command.spawn().map_err(|why| why.to_string())
        });
        let now = self.now();
        match spawned {
            Ok(mut child) => {
                // A child that was not waited for has its number.
                let pid = child.id().unwrap_or(0);
                self.core.started(name, pid, now);
                self.identities.extend(Identity::of(pid).map(|identity| (pid, identity)));
                self.save();
                let (name, ends) = (name.to_owned(), self.ends.0.clone());
                tokio::spawn(async move {
                    let how =
                        child.wait().await.map_or(End::Unknown, |status| match (status.code(), status.signal()) {
                            (Some(code), _) => End::Exited(code),
                            (None, Some(signal)) => End::Killed(signal),
                            _ => End::Unknown,
                        });
                    // The supervisor may have ended.
                    let _unread = ends.send(Ended { name, pid, how });
                });
            }
            Err(why) => self.core.start_failed(name, &why, now),
        }
    }

    fn ended(&mut self, ended: Ended) {
        let Ended { name, pid, how } = ended;
        self.identities.remove(&pid);
        self.adopted.remove(&pid);
        self.meters.remove(&pid);
        self.services.forget(pid);
        // The next process of this name begins with nothing.
        self.measured.remove(&name);
        if !matches!(how, End::Exited(_)) {
            self.clean(&name, pid);
            self.mourn(&name, pid);
        }
        let events = self.core.module(&name).map(|module| self.bounds.leave(&module.spec)).unwrap_or_default();
        events.iter().for_each(|event| self.logs.event(event));
        self.core.exited(&name, pid, how, self.now());
    }

    /// A probe that was killed leaves its page behind.
    fn mourn(&mut self, name: &str, pid: u32) {
        let Some(remains) = Remains::of(pid) else { return };
        let Remains { flows, packets, records } = remains;
        self.logs.event(&format!(
            "[LOST] Module {name} (PID: {pid}) had {flows} live flows with {packets} packets, and {records} records that were not sent."
        ));
        self.lost.entry(name.to_owned()).or_default().add(remains);
    }

    /// A process that was killed leaves its sockets behind.
    fn clean(&self, name: &str, pid: u32) {
        let Some(module) = self.core.module(name) else { return };
        let unix = module.spec.interfaces.iter().filter(|ifc| ifc.kind == Some(Kind::Unix));
        let outputs = unix.filter(|ifc| ifc.direction == Some(Direction::Out)).filter_map(|ifc| ifc.params.as_deref());
        let sockets = outputs.map(|params| self.services.unix_socket(params)).chain([self.services.socket(pid)]);
        for socket in sockets {
            // One that another process has taken over is in use.
            if std::os::unix::net::UnixStream::connect(&socket).is_err() && std::fs::remove_file(&socket).is_ok() {
                self.logs.event(&format!("[CLEAN] Deleting socket {}", socket.display()));
            }
        }
    }

    fn command(&mut self, (command, reply): Request) {
        let done = |text: String| Reply { is_done: true, text };
        let answer = match command {
            Command::Reload => return self.reloads.push(reply),
            Command::Plan => self.plan(),
            Command::Enable { target: Target::Module(name), enabled } => {
                self.core.enable_module(&name, enabled);
                done(String::new())
            }
            Command::Enable { target: Target::Profile(name), enabled } => {
                self.core.enable_profile(&name, enabled);
                done(String::new())
            }
            Command::Restart(name) => {
                self.core.restart(&name);
                done(String::new())
            }
            Command::Leave => {
                self.is_leaving = true;
                done(String::new())
            }
            Command::Stop => {
                self.is_stopping = true;
                self.core.end();
                done(String::new())
            }
        };
        // Who asked sees what came of it.
        self.is_changed = true;
        self.advance();
        // Who asked may be gone.
        let _unread = reply.send(answer);
    }

    /// Reads the files and makes the modules theirs.
    fn load(&mut self) -> Result<(Config, String), Refused> {
        let loaded = self.options.source.load(&mut |why| self.logs.say(&why));
        let result = loaded.and_then(|config| {
            let steps = self.core.plan(&config, why_not);
            self.options.source.judge(&steps).map_or(Ok(()), Err)?;
            let settled = self.gate.prepare(&config.settings)?;
            let text = reload::success(&self.core.apply(&config));
            self.gate.set(settled);
            Ok((config, text))
        });
        if let Ok((config, _)) = &result {
            self.bounds.prepare(config).iter().for_each(|line| self.logs.say(line));
        }
        let text = match &result {
            Ok((_, text)) => text.clone(),
            Err(refused) => reload::failure(refused),
        };
        self.logs.say(&text);
        self.is_changed = true;
        result
    }

    fn save(&mut self) {
        let text = State::of(&self.core, &self.identities).to_text();
        if text == self.saved {
            return;
        }
        let path = state::path_of(&self.options.socket);
        match state::write(&path, &text) {
            Ok(()) => self.saved = text,
            Err(why) if self.looks.is_multiple_of(LOOKS_A_CYCLE) => {
                self.logs.say(&format!("[WARNING] {}: {why}; a restart would not find the modules", path.display()));
            }
            Err(_) => {}
        }
    }

    /// The last words.
    fn end(mut self) {
        self.logs.say("[SERVICE] Aborting service thread!");
        if self.is_leaving && !self.core.is_idle() {
            self.save();
            self.logs.say("[WARNING] I let modules continue running!");
            let folder = self.options.socket.parent().map(PathBuf::from).unwrap_or_default();
            match backup::write(&folder, &self.snapshot()) {
                Ok(_) => self.logs.say("[WARNING] Phew, backup file saved !!"),
                Err(why) => self.logs.say(&format!("[WARNING] The backup file cannot be written: {why}")),
            }
        } else {
            self.bounds.end();
            self.logs.say("[WARNING] I stopped all modules!");
            let _none = std::fs::remove_file(state::path_of(&self.options.socket));
        }
        let books = self.core.books();
        self.logs.say(&format!(
            "[INFO] Processes: {} started, {} taken over, {} ended, {} killed, {} gone.",
            books.spawned, books.adopted, books.exited, books.killed, books.lost
        ));
        self.logs.settle();
    }
}
