//! What the module says on standard output and in its log file, each line with the time of the newest record.
use jiff::Timestamp;
use std::fmt::{Arguments, Display};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Journal {
    file: Option<File>,
    /// Unix seconds.
    pub(super) now: u64,
}

impl Journal {
    /// A journal that also appends to a file.
    pub(super) fn open(path: Option<&Path>) -> Journal {
        let open = |path: &Path| {
            let file = OpenOptions::new().append(true).create(true).open(path);
            file.inspect_err(|why| eprintln!("Error open log file: {}! {why}", path.display())).ok()
        };
        Journal { file: path.and_then(open), now: 0 }
    }

    /// Says a line.
    pub(super) fn line(&mut self, text: Arguments<'_>) {
        let line = format!("{};{text}\n", date(self.now));
        // A reader that is gone has no interest in it.
        let _ = io::stdout().lock().write_all(line.as_bytes());
        if let Some(file) = &mut self.file
            && let Err(why) = file.write_all(line.as_bytes())
        {
            eprintln!("Error: the log file cannot be written and ends here: {why}");
            self.file = None;
        }
    }
}

/// A time in UTC, as `2023-01-02 10:15:00`.
pub(super) fn date(secs: u64) -> impl Display {
    let at = i64::try_from(secs).ok().and_then(|secs| Timestamp::from_second(secs).ok()).unwrap_or_default();
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}
