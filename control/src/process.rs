//! Processes as /proc knows them: who they are, whether they live, what they use; and signals to them.
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::fs;

/// Threads of a process that are looked at, at the most: a probe has one for each lane and output and a few more.
const THREADS_MAX: usize = 4_096;

/// A process and when it began: a number alone may belong to another one later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub pid: u32,
    /// Clock ticks between the machine's start and the process's.
    pub start: u64,
}

/// What is read of /proc/PID/stat (proc_pid_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    pub state: char,
    /// Its process group: that of a module has the module's number.
    pub group: u32,
    /// Clock ticks in user mode and in the kernel.
    pub user: u64,
    pub system: u64,
    pub start: u64,
    /// Bytes of address space.
    pub virtual_bytes: u64,
}

/// What a module uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Usage {
    /// Percent of all processors together.
    pub cpu_user: u64,
    pub cpu_system: u64,
    /// Bytes.
    pub virtual_bytes: u64,
    pub resident_bytes: u64,
}

/// Clock ticks at the last look, for [`Usage`] since then.
#[derive(Debug, Clone, Copy, Default)]
pub struct Meter {
    last: Option<(u64, u64, u64)>,
}

impl Identity {
    /// Who has this number now; `None` if nobody lives.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        stat(pid).filter(Stat::is_alive).map(|stat| Self { pid, start: stat.start })
    }

    /// True while this very process lives.
    #[must_use]
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

impl Stat {
    /// Reads the line of the kernel. The name of the program may hold anything, also brackets.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let (_, behind) = line.rsplit_once(')')?;
        let fields: Vec<&str> = behind.split_ascii_whitespace().collect();
        // The third field of the manual is the first behind the name.
        let number = |field: usize| -> Option<u64> { fields.get(field - 3)?.parse().ok() };
        Some(Self {
            state: fields.first()?.chars().next()?,
            group: number(5)?.try_into().ok()?,
            user: number(14)?,
            system: number(15)?,
            start: number(22)?,
            virtual_bytes: number(23)?,
        })
    }

    /// A zombie has ended, too.
    fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }
}

impl Meter {
    /// What `pid` uses now, CPU since the last call. `total` is [`total_ticks`].
    pub fn read(&mut self, pid: u32, total: u64) -> Option<Usage> {
        let stat = stat(pid)?;
        let (user, system, all) = self.last.map_or((0, 0, 0), |(user, system, then)| {
            (stat.user.saturating_sub(user), stat.system.saturating_sub(system), total.saturating_sub(then))
        });
        self.last = Some((stat.user, stat.system, total));
        let percent = |ticks: u64| (100 * ticks).checked_div(all).unwrap_or(0);
        Some(Usage {
            cpu_user: percent(user),
            cpu_system: percent(system),
            virtual_bytes: stat.virtual_bytes,
            resident_bytes: resident(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?).unwrap_or(0),
        })
    }
}

/// `VmRSS` of /proc/PID/status, bytes.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().split(' ').next()?.parse::<u64>().ok()? * 1024)
}

/// What the kernel tells of a process; `None` if there is none of this number.
#[must_use]
pub fn stat(pid: u32) -> Option<Stat> {
    Stat::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Threads of a process that want a processor now, and how long each has had one since its start, in nanoseconds (proc_pid_schedstat).
#[must_use]
pub fn runnable_threads(pid: u32) -> Vec<(u32, u64)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten().take(THREADS_MAX);
    let runnable = tasks.filter_map(|task| {
        let stat = Stat::parse(&fs::read_to_string(task.path().join("stat")).ok()?)?;
        let ran = fs::read_to_string(task.path().join("schedstat")).ok()?;
        let ran = ran.split_ascii_whitespace().next()?.parse().ok()?;
        (stat.state == 'R').then_some((task.file_name().to_str()?.parse().ok()?, ran))
    });
    runnable.collect()
}

/// Clock ticks of all processors since the machine's start, idle ones as well.
#[must_use]
pub fn total_ticks() -> u64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    first.split_ascii_whitespace().skip(1).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

/// What tells this run of the machine from others.
#[must_use]
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Sends SIGINT to a module: to its group, or to it alone while it has none yet.
pub fn interrupt(pid: u32) {
    send(pid, Signal::SIGINT);
}

/// Sends SIGABRT, as [`interrupt`]: what has no handler for it leaves a core, where its limits and the system allow one.
pub fn abort(pid: u32) {
    send(pid, Signal::SIGABRT);
    // One that was stopped does not end before it goes on.
    send(pid, Signal::SIGCONT);
}

/// Sends SIGKILL, as [`interrupt`].
pub fn end(pid: u32) {
    send(pid, Signal::SIGKILL);
}

fn send(pid: u32, signal: Signal) {
    // 0 and 1 would mean others than a module.
    let Some(pid) = i32::try_from(pid).ok().filter(|pid| *pid > 1).map(Pid::from_raw) else { return };
    if killpg(pid, signal).is_err() {
        // It is gone then, or not ours; the next look at it tells.
        let _gone = kill(pid, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernel() {
        let line = "42 (a) b (c)) S 1 43 42 0 -1 4194560 1 0 0 0 7 9 0 0 20 0 1 0 1234 5678 90 18446744073709551615";
        let expected = Stat { state: 'S', group: 43, user: 7, system: 9, start: 1234, virtual_bytes: 5678 };
        assert_eq!(Stat::parse(line), Some(expected));
        for bad in ["", "42 (x", "42 (x) S", "1 (x) S a b c"] {
            assert_eq!(Stat::parse(bad), None, "{bad}");
        }
        assert_eq!(resident("Name:\tx\nVmRSS:\t    5928 kB\n"), Some(6_070_272));
    }

    #[test]
    fn this_process_lives_and_uses_memory() {
        let own = Identity::of(std::process::id()).expect("it runs");
        assert!(own.is_alive() && !Identity { start: own.start + 1, ..own }.is_alive());
        let usage = Meter::default().read(own.pid, total_ticks()).expect("it runs");
        assert!(usage.resident_bytes > 0 && usage.virtual_bytes >= usage.resident_bytes);
        assert!(!boot_id().is_empty());
        let busy = runnable_threads(own.pid);
        assert!(busy.iter().any(|(_, ran)| *ran > 0), "the one that asks runs: {busy:?}");
    }
}
