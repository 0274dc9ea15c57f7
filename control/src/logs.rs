//! The files in the folder of logs (section 9), kept within a size.
//!
//! Difference from the original, which left that to logrotate: with a bound a file that has grown beyond it becomes `FILE.1`, that one
//! `FILE.2` and so on. Modules write theirs on their own, so what is in such a file is copied and the file cut: what a module writes in
//! between is lost.
use crate::time::ctime;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

mod terminal;
use terminal::Terminal;

/// For a terminal that is slow.
const SETTLE: Duration = Duration::from_secs(1);

/// Folder of what modules print.
pub const MODULES: &str = "modules_logs";
pub const SUPERVISOR: &str = "supervisor_log";
pub const EVENTS: &str = "modules_events";
pub const STATISTICS: &str = "modules_statistics";

/// How the columns of modules_statistics are called. The original's claimed another order.
const LEGEND: &str = "Legend for an interface statistics:\n\
    \tmodule_name,interface_direction,interface_type,interface_ID,statistics\n\
    \tStatistics of an input interface: received_messages(RM),received_buffers(RB)\n\
    \tStatistics of an output interface: sent_messages(SM),dropped_messages(DM),sent_buffers(SB),autoflushes(AF)\n";

/// The logs of a supervisor.
#[derive(Debug)]
pub struct Logs {
    folder: PathBuf,
    /// Without one what is said goes to supervisor_log.
    terminal: Option<Terminal>,
    lost: AtomicU64,
}

impl Logs {
    /// Opens the logs in `folder` and writes the separators.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn open(folder: &Path, is_daemon: bool) -> io::Result<Self> {
        fs::create_dir_all(folder.join(MODULES))?;
        let terminal = (!is_daemon).then(|| Terminal::new(io::stdout())).transpose()?;
        let logs = Self { folder: folder.into(), terminal, lost: 0.into() };
        let separator = format!("-------------------- {} --------------------\n", ctime());
        for name in [EVENTS, STATISTICS].into_iter().chain(is_daemon.then_some(SUPERVISOR)) {
            append(&logs.path(name), &separator)?;
        }
        append(&logs.path(STATISTICS), LEGEND)?;
        Ok(logs)
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What the supervisor says: to its log, or to the terminal.
    pub fn say(&self, text: &str) {
        match &self.terminal {
            Some(_) => self.print(stamped(text)),
            None => self.write(SUPERVISOR, &stamped(text)),
        }
    }

    /// Shows a text at the terminal as it is; a daemon has none.
    pub fn print(&self, text: String) {
        if self.terminal.as_ref().is_some_and(|terminal| !terminal.print(text)) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until the terminal shows all, or has not taken it for a while.
    pub fn settle(&self) {
        if let Some(terminal) = &self.terminal {
            terminal.settle(SETTLE);
        }
    }

    /// What became of a module.
    pub fn event(&self, text: &str) {
        self.write(EVENTS, &stamped(text));
    }

    /// Lines for modules_statistics.
    pub fn statistics(&self, lines: &str) {
        self.write(STATISTICS, &format!("------> {}\n{lines}", ctime()));
    }

    /// Texts that the disk or the terminal did not take.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Moves on the files that are longer than `bytes_max`; 0 is no bound.
    pub fn rotate<'a>(&self, modules: impl Iterator<Item = &'a str>, bytes_max: u64, files_max: u8) {
        if bytes_max == 0 {
            return;
        }
        let own = [SUPERVISOR, EVENTS, STATISTICS].map(|name| self.path(name));
        let of_modules = modules.flat_map(|name| {
            ["stdout", "stderr"].map(|stream| self.folder.join(MODULES).join(format!("{name}_{stream}")))
        });
        for path in own.into_iter().chain(of_modules) {
            if fs::metadata(&path).is_ok_and(|meta| meta.len() > bytes_max) && move_on(&path, files_max).is_err() {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn write(&self, name: &str, text: &str) {
        if append(&self.path(name), text).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Time in front of what begins with a kind in brackets; other lines belong to one before.
fn stamped(text: &str) -> String {
    let now = ctime();
    let line = |line: &str| if line.starts_with('[') { format!("{now} {line}\n") } else { format!("{line}\n") };
    text.lines().map(line).collect()
}

/// Opened each time, so that who moves the file away needs to tell nobody.
fn append(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().create(true).append(true).mode(0o644).open(path)?.write_all(text.as_bytes())
}

fn move_on(path: &Path, files_max: u8) -> io::Result<()> {
    let older = |age: u8| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{age}"));
        PathBuf::from(name)
    };
    for age in (1..files_max.max(1)).rev() {
        if older(age).exists() {
            fs::rename(older(age), older(age + 1))?;
        }
    }
    fs::copy(path, older(1))?;
    File::options().write(true).open(path)?.set_len(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_stay_within_their_size_and_number() {
        let dir = tempfile::tempdir().expect("a folder");
        let logs = Logs::open(dir.path(), true).expect("writable");
        let module = dir.path().join(MODULES).join("m_stdout");
        // A module keeps its file open for ever.
        let mut out = OpenOptions::new().create(true).append(true).open(&module).expect("open");
        for round in 0..5 {
            out.write_all(format!("{round}").repeat(200).as_bytes()).expect("room");
            logs.rotate(["m"].into_iter(), 100, 2);
        }
        out.write_all(b"now").expect("room");
        let text = |name: &str| fs::read_to_string(dir.path().join(MODULES).join(name)).unwrap_or_default();
        assert_eq!((text("m_stdout").as_str(), text("m_stdout.3").as_str()), ("now", ""));
        assert_eq!((text("m_stdout.1"), text("m_stdout.2")), ("4".repeat(200), "3".repeat(200)));
        logs.say("[INFO] one\ntwo");
        let said = fs::read_to_string(logs.path(SUPERVISOR)).expect("readable");
        assert!(said.contains(" [INFO] one\ntwo\n"), "{said}");
        assert_eq!(logs.lost(), 0);
    }
}
