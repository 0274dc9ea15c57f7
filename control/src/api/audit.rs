//! The audit log: who asked for a change, and what came of it. Lines of JSON that are only ever appended.
use super::role::{Peer, Who};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Its name in the folder of logs.
const NAME: &str = "control_audit";
/// Letters of what was asked that are kept.
const WHAT_MAX: usize = 512;

/// The log, open.
#[derive(Debug)]
pub(super) struct Audit {
    path: PathBuf,
    file: Mutex<File>,
    /// Answers that could not be written down; what was asked is there.
    lost: AtomicU64,
}

impl Audit {
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(NAME);
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
        Ok(Self { path, file: Mutex::new(file), lost: 0.into() })
    }

    /// Before it is done.
    pub(super) fn asked(&self, peer: Option<&Peer>, what: &str) -> Result<(), String> {
        self.write(peer, what, None).map_err(|why| format!("{} cannot be written: {why}", self.path.display()))
    }

    /// After it was done.
    pub(super) fn answered(&self, peer: Option<&Peer>, what: &str, status: StatusCode) {
        if self.write(peer, what, Some(status)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn write(&self, peer: Option<&Peer>, what: &str, status: Option<StatusCode>) -> io::Result<()> {
        let (uid, pid, by, name) = match peer.map(|peer| &peer.who) {
            None | Some(Who::Nobody) => (None, None, None, None),
            Some(Who::Process { uid, pid }) => (Some(*uid), *pid, Some("process"), None),
            Some(Who::Token { name, .. }) => (None, None, Some("token"), Some(name)),
            Some(Who::Session { name }) => (None, None, Some("session"), Some(name)),
            Some(Who::Certificate { name }) => (None, None, Some("certificate"), Some(name)),
        };
        let line = json!({
            "time": Timestamp::now().to_string(),
            "by": by,
            "uid": uid,
            "pid": pid,
            "name": name,
            "source": peer.and_then(|peer| peer.source),
            "role": peer.map(|peer| peer.role),
            "what": what.chars().take(WHAT_MAX).collect::<String>(),
            "status": status.map(|status| status.as_u16()),
            "lost": self.lost.load(Ordering::Relaxed),
        });
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // One write for each line: lines of two supervisors do not mix.
        file.write_all(format!("{line}\n").as_bytes())
    }
}
