//! The processes of the chain: started, watched, waited for, and gone when the run is over, whatever became of it.
use super::PATIENCE;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// Bytes of a page; /proc counts memory in them.
const PAGE: u64 = 4096;

/// For each process its resident bytes, look after look.
type Memory = Vec<Vec<u64>>;

/// The chain in the order of its records.
pub(super) struct Members {
    sonda: PathBuf,
    folder: PathBuf,
    running: Vec<Process>,
    watch: Option<(Arc<AtomicBool>, JoinHandle<Memory>)>,
    memory: Vec<(&'static str, u64, u64)>,
}

/// A process and the thread that listens to its standard error.
pub(super) struct Process {
    name: &'static str,
    child: Child,
    said: Option<JoinHandle<String>>,
}

/// What a process wrote to standard error before it ended well.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) name: &'static str,
    pub(super) text: String,
}

impl Process {
    /// Starts `sonda NAME ARGUMENT...`, which finds sockets in `folder`.
    pub(super) fn start(sonda: &Path, folder: &Path, name: &'static str, args: &[String]) -> Result<Process, String> {
        let mut command = Command::new(sonda);
        command.arg(name).args(args).env("TRAP_SOCKET_DIR", folder).env("TZ", "UTC");
        let stdin = if name == "probe" { Stdio::piped() } else { Stdio::null() };
        let stdout = if name == "logger" { Stdio::piped() } else { Stdio::null() };
        command.stdin(stdin).stdout(stdout).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| format!("{}: {e}", sonda.display()))?;
        let stderr = child.stderr.take();
        let said = thread::spawn(move || {
            let mut text = Vec::new();
            if let Some(mut stderr) = stderr {
                let _cut_short = stderr.read_to_end(&mut text);
            }
            String::from_utf8_lossy(&text).into_owned()
        });
        Ok(Process { name, child, said: Some(said) })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for the end; a bad one is an error with what was said.
    pub(super) fn finish(mut self) -> Result<Said, String> {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(2)),
                Ok(None) => return Err(format!("{} does not end", self.name)),
                Err(e) => return Err(format!("{}: {e}", self.name)),
            }
        };
        let text = self.said.take().and_then(|said| said.join().ok()).unwrap_or_default();
        if !status.success() {
            return Err(format!("{} ended with {status}: {text}", self.name));
        }
        Ok(Said { name: self.name, text })
    }

    /// Ends it as a crash would.
    pub(super) fn kill(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Members {
    pub(super) fn new(sonda: &Path, folder: &Path) -> Members {
        let (sonda, folder) = (sonda.to_owned(), folder.to_owned());
        Members { sonda, folder, running: Vec::new(), watch: None, memory: Vec::new() }
    }

    pub(super) fn start(&mut self, name: &'static str, args: Vec<String>) -> Result<(), String> {
        self.running.push(Process::start(&self.sonda, &self.folder, name, &args)?);
        Ok(())
    }

    /// Where the first process is fed.
    pub(super) fn stdin(&mut self) -> Result<ChildStdin, String> {
        let first = self.running.first_mut().and_then(|process| process.child.stdin.take());
        first.ok_or_else(|| "the first process has no standard input".to_owned())
    }

    /// What the last process prints.
    pub(super) fn stdout(&mut self) -> Result<ChildStdout, String> {
        let last = self.running.last_mut().and_then(|process| process.child.stdout.take());
        last.ok_or_else(|| "the last process has no standard output".to_owned())
    }

    /// Waits until each output of the chain has a client, as `sonda trap_stats` tells.
    pub(super) fn until_connected(&self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        for process in self.running.iter().take(self.running.len().saturating_sub(1)) {
            while !self.clients(process.pid())?.iter().all(|clients| *clients > 0) {
                if Instant::now() > deadline {
                    return Err(format!("clients do not come to {}; {}", process.name, self.last_words()));
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// Clients of each output of a process; one that tells no output counts as one without clients.
    fn clients(&self, pid: u32) -> Result<Vec<u64>, String> {
        let text = trap_stats(&self.sonda, &self.folder, pid)?;
        let counts: Vec<u64> = numbers_after(&text, "NUM_CLI: ").collect();
        Ok(if counts.is_empty() { vec![0] } else { counts })
    }

    pub(super) fn pids(&self) -> Vec<u32> {
        self.running.iter().map(Process::pid).collect()
    }

    /// Begins to look at the memory of each process.
    pub(super) fn watch_memory(&mut self) {
        let (pids, is_over) = (self.pids(), Arc::new(AtomicBool::new(false)));
        let over = Arc::clone(&is_over);
        let watch = thread::spawn(move || {
            let mut all = vec![Vec::new(); pids.len()];
            while !over.load(Ordering::Relaxed) {
                for (pid, seen) in pids.iter().zip(&mut all) {
                    seen.extend(resident(*pid));
                }
                thread::sleep(LOOK);
            }
            all
        });
        self.watch = Some((is_over, watch));
    }

    /// Ends that.
    pub(super) fn end_of_memory(&mut self) {
        let Some((is_over, watch)) = self.watch.take() else { return };
        is_over.store(true, Ordering::Relaxed);
        let seen = watch.join().unwrap_or_default();
        let quarters = self.running.iter().zip(seen).filter_map(|(process, seen)| {
            let quarter = seen.len().div_ceil(4);
            let first = median(seen.get(..quarter)?)?;
            Some((process.name, first, median(&seen[seen.len() - quarter..])?))
        });
        self.memory = quarters.collect();
    }

    pub(super) fn memory(&mut self) -> Vec<(&'static str, u64, u64)> {
        std::mem::take(&mut self.memory)
    }

    /// Waits for all, in order.
    pub(super) fn finish(mut self) -> Result<Vec<Said>, String> {
        std::mem::take(&mut self.running).into_iter().map(Process::finish).collect()
    }

    /// Which processes ended already.
    pub(super) fn last_words(&self) -> String {
        let is_there = |pid: u32| Path::new(&format!("/proc/{pid}/fd/0")).exists();
        let ended: Vec<_> =
            self.running.iter().filter(|process| !is_there(process.pid())).map(|process| process.name).collect();
        if ended.is_empty() { "all processes are there".into() } else { format!("ended: {}", ended.join(", ")) }
    }
}

/// What `sonda trap_stats` prints of a process.
pub(super) fn trap_stats(sonda: &Path, folder: &Path, pid: u32) -> Result<String, String> {
    let mut command = Command::new(sonda);
    command.args(["trap_stats", "-1", &pid.to_string()]).env("TRAP_SOCKET_DIR", folder).stdin(Stdio::null());
    let output = command.output().map_err(|e| format!("{}: {e}", sonda.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The numbers that stand behind a label.
pub(super) fn numbers_after<'t>(text: &'t str, label: &'t str) -> impl Iterator<Item = u64> + 't {
    text.split(label).skip(1).filter_map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok())
}

fn resident(pid: u32) -> Option<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    statm.split(' ').nth(1)?.parse::<u64>().ok().map(|pages| pages * PAGE)
}

fn median(seen: &[u64]) -> Option<u64> {
    let mut seen = seen.to_vec();
    seen.sort_unstable();
    seen.get(seen.len() / 2).copied()
}
