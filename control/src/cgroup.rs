//! Groups of processes that the kernel bounds (cgroups(7)): one for each module that has such a limit.
//!
//! Contract: where a controller is, and in which version, comes from /proc; both versions are used, also side by side. A supervisor makes a folder
//! of its own in the group that it runs in, and one for each module in there. What cannot be had is [`Cgroups::missing`], with the reason: the
//! module runs without it. What is counted there is read again at any time, also of modules that were taken over.
use crate::model::{Config, Limits, limits::Controller};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

mod find;

/// Time in which a share of processors is meant, microseconds; the kernel's default.
const PERIOD_US: u64 = 100_000;

/// Name of the group that the supervisor itself is in where the one above is its own, in version 2.
const SUBGROUP: &str = "supervisor";

/// Version of the hierarchy that a controller is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// Where a controller is: the folder of the group whose part the modules are to be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hierarchy {
    version: Version,
    own: PathBuf,
}

/// The groups of a supervisor.
#[derive(Debug, Clone)]
pub struct Cgroups {
    /// Each controller's, or why it cannot be had.
    found: [(Controller, Result<Hierarchy, String>); 3],
    /// Name of the folder.
    name: String,
}

/// What became of a module in its groups, since they were made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Processes that were killed because the memory was used up.
    pub killed: u64,
    /// Periods of 100 ms in which it had to wait for processors.
    pub throttled: u64,
    /// Times that it could not have one more process or thread.
    pub refused: u64,
}

impl Cgroups {
    /// What this machine has, for a supervisor with this socket. Changes nothing.
    #[must_use]
    pub fn find(socket: &Path) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let found = find::hierarchies(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"));
        Self { found, name: name_of(socket) }
    }

    /// Makes the folder, for those limits that are asked for. What fails is missing from then on.
    pub fn prepare(&mut self, config: &Config) {
        for (controller, found) in &mut self.found {
            let is_wanted = config.modules().any(|(_, module)| module.limits.of(*controller).1.is_some());
            if let Ok(hierarchy) = found
                && is_wanted
                && let Err(why) = hierarchy.prepare(*controller, &self.name)
            {
                *found = Err(format!("{}: {why}", hierarchy.own.display()));
            }
        }
    }

    /// One line for each kind of limit that is asked for and cannot be kept here.
    #[must_use]
    pub fn missing(&self, config: &Config) -> Vec<String> {
        let lines = self.found.iter().filter_map(|(controller, found)| {
            let why = found.as_ref().err()?;
            let asks = |limits: &Limits| limits.of(*controller).1.is_some();
            let modules = config.modules().filter(|(_, module)| asks(&module.limits));
            let names: Vec<&str> = modules.map(|(_, module)| module.name.as_str()).collect();
            let key = Limits::default().of(*controller).0;
            (!names.is_empty()).then(|| {
                format!("[WARNING] {key} has no effect on this machine ({why}); without it run: {}", names.join(", "))
            })
        });
        lines.collect()
    }

    /// Makes the groups of a module; answers the files that its process enters them by. A group that cannot be made is told by `failed`.
    pub fn enter(&self, module: &str, limits: &Limits, failed: &mut dyn FnMut(String)) -> Vec<PathBuf> {
        let mut doors = Vec::new();
        for (controller, hierarchy) in self.usable() {
            let (key, Some(limit)) = limits.of(controller) else { continue };
            let folder = hierarchy.folder(&self.name, module);
            let door = folder.join("cgroup.procs");
            match make(&folder).and_then(|()| set(hierarchy.version, controller, &folder, limit)) {
                // Version 2 has one group for all controllers.
                Ok(()) if doors.contains(&door) => {}
                Ok(()) => doors.push(door),
                Err(why) => failed(format!("[WARNING] {module} runs without {key}: {}: {why}", folder.display())),
            }
        }
        doors
    }

    /// Takes the groups of a module away. Those with a process in them stay: the next start of it uses them again.
    pub fn leave(&self, module: &str) {
        for (_, hierarchy) in self.usable() {
            // Most modules have none.
            let _none = fs::remove_dir(hierarchy.folder(&self.name, module));
        }
    }

    /// Takes away the folder, when no module is left.
    pub fn end(&self) {
        for (_, hierarchy) in self.usable() {
            let _none = fs::remove_dir(hierarchy.own.join(&self.name));
        }
    }

    /// What became of a module.
    #[must_use]
    pub fn counts(&self, module: &str) -> Counts {
        let mut counts = Counts::default();
        for (controller, hierarchy) in self.usable() {
            let folder = hierarchy.folder(&self.name, module);
            let number = |file: &str, key: &str| number_of(&folder.join(file), key);
            match (controller, hierarchy.version) {
                (Controller::Memory, Version::V2) => counts.killed = number("memory.events", "oom_kill"),
                (Controller::Memory, Version::V1) => counts.killed = number("memory.oom_control", "oom_kill"),
                (Controller::Cpu, _) => counts.throttled = number("cpu.stat", "nr_throttled"),
                (Controller::Pids, _) => counts.refused = number("pids.events", "max"),
            }
        }
        counts
    }

    fn usable(&self) -> impl Iterator<Item = (Controller, &Hierarchy)> {
        self.found.iter().filter_map(|(controller, found)| Some((*controller, found.as_ref().ok()?)))
    }
}

impl Hierarchy {
    /// Of a module, whose name has no slash and begins with no dot.
    fn folder(&self, supervisor: &str, module: &str) -> PathBuf {
        // No file of the kernel's is called so.
        self.own.join(supervisor).join(format!("module-{module}"))
    }

    fn prepare(&self, controller: Controller, name: &str) -> io::Result<()> {
        let folder = self.own.join(name);
        make(&folder)?;
        if self.version == Version::V1 {
            return Ok(());
        }
        let switch = format!("+{}", controller.word());
        // A group with processes of its own hands nothing on, the root alone does (cgroups(7), no internal processes).
        let handed = fs::write(self.own.join("cgroup.subtree_control"), &switch);
        handed.map_err(|why| {
            io::Error::other(format!(
                "{why}; start the supervisor in a group called {SUBGROUP} of a group that is its own, under systemd 254 by \
                 `Delegate=memory cpu pids` and `DelegateSubgroup={SUBGROUP}`"
            ))
        })?;
        fs::write(folder.join("cgroup.subtree_control"), &switch)
    }
}

/// The socket's path as one name, which tells supervisors of a machine apart.
fn name_of(socket: &Path) -> String {
    format!("sonda{}", socket.display().to_string().replace('/', "-"))
}

fn make(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn set(version: Version, controller: Controller, folder: &Path, limit: u32) -> io::Result<()> {
    let limit = u64::from(limit);
    let quota = limit * PERIOD_US / 100;
    let settings: &[(&str, String)] = match (controller, version) {
        // Swapping would only hide a leak; a machine without swap has no such file.
        (Controller::Memory, Version::V2) => {
            let _no_swap = fs::write(folder.join("memory.swap.max"), "0");
            &[("memory.max", (limit << 20).to_string())]
        }
        (Controller::Memory, Version::V1) => &[("memory.limit_in_bytes", (limit << 20).to_string())],
        (Controller::Cpu, Version::V2) => &[("cpu.max", format!("{quota} {PERIOD_US}"))],
        (Controller::Cpu, Version::V1) => {
            &[("cpu.cfs_period_us", PERIOD_US.to_string()), ("cpu.cfs_quota_us", quota.to_string())]
        }
        (Controller::Pids, _) => &[("pids.max", limit.to_string())],
    };
    settings.iter().try_for_each(|(file, value)| fs::write(folder.join(file), value))
}

/// The number behind a word in a file of lines `word number`; 0 if there is none.
fn number_of(path: &Path, key: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(word, _)| *word == key).and_then(|(_, number)| number.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
