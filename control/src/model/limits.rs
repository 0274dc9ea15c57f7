//! What a module may use of the machine, and as whom it runs.
use serde::{Deserialize, Serialize};

/// Most that may be asked for: processors, MiB of memory, percent of one processor, processes, open files.
pub const CORES_MAX: u16 = 1_023;
pub const MIB_MAX: u32 = 1 << 24;
pub const PERCENT_MAX: u32 = 100 * CORES_MAX as u32;
pub const PROCESSES_MAX: u32 = 1 << 20;
pub const OPEN_FILES_MAX: u32 = 1 << 20;

/// Bounds of a module; what is `None` or empty is as the supervisor has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Processors that it may run on.
    pub cores: Vec<u16>,
    pub user: Option<String>,
    /// In place of the groups of its user.
    pub group: Option<String>,
    /// -20 (first) to 19 (last).
    pub nice: Option<i8>,
    /// Memory and page cache of all its processes; who needs more is killed by the kernel.
    pub memory_mib: Option<u32>,
    /// Of one processor, for all its processes.
    pub cpu_percent: Option<u32>,
    /// Processes and threads.
    pub processes: Option<u32>,
    pub open_files: Option<u32>,
    /// Of a core dump.
    pub core_mib: Option<u32>,
    /// Modules of ours give up what they have no use for.
    pub sandbox: bool,
}

/// What a cgroup bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Controller {
    Memory,
    Cpu,
    Pids,
}

impl Controller {
    pub const ALL: [Self; 3] = [Self::Memory, Self::Cpu, Self::Pids];

    /// As the kernel calls it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Pids => "pids",
        }
    }
}

impl Limits {
    /// All, with the names of their keys, as text; empty where nothing is said.
    #[must_use]
    pub fn told(&self) -> [(&'static str, String); 10] {
        fn text<T: ToString>(value: &Option<T>) -> String {
            value.as_ref().map_or(String::new(), T::to_string)
        }
        let cores: Vec<String> = self.cores.iter().map(u16::to_string).collect();
        [
            ("cores", cores.join(",")),
            ("user", text(&self.user)),
            ("group", text(&self.group)),
            ("nice", text(&self.nice)),
            ("memory_mib", text(&self.memory_mib)),
            ("cpu_percent", text(&self.cpu_percent)),
            ("processes", text(&self.processes)),
            ("open_files", text(&self.open_files)),
            ("core_mib", text(&self.core_mib)),
            ("sandbox", self.sandbox.to_string()),
        ]
    }

    /// The limit that this controller keeps, with the name of its key.
    #[must_use]
    pub fn of(&self, controller: Controller) -> (&'static str, Option<u32>) {
        match controller {
            Controller::Memory => ("memory_mib", self.memory_mib),
            Controller::Cpu => ("cpu_percent", self.cpu_percent),
            Controller::Pids => ("processes", self.processes),
        }
    }
}
