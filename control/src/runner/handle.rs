//! What outsiders have of a supervisor: they send commands and see snapshots.
use crate::api::gate::Gate;
use crate::config::Source;
use crate::logs::Logs;
use crate::snapshot::Snapshot;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// What is to be run and where it is written down.
#[derive(Debug, Clone)]
pub struct Options {
    pub source: Source,
    pub logs: PathBuf,
    /// The daemon's socket; the state file lies beside it.
    pub socket: PathBuf,
    /// Without a terminal.
    pub is_daemon: bool,
}

/// What can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Enables or disables until the configuration is loaded anew.
    Enable {
        target: Target,
        enabled: bool,
    },
    Restart(String),
    /// Reads the configuration again and makes it so.
    Reload,
    /// Says what [`Command::Reload`] would do.
    Plan,
    /// Ends the supervisor; modules go on.
    Leave,
    /// Ends modules and then the supervisor.
    Stop,
}

/// What is enabled or disabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Module(String),
    Profile(String),
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub is_done: bool,
    /// For people, or JSON for [`Command::Plan`].
    pub text: String,
}

/// A command and who waits for its answer.
pub(super) type Request = (Command, oneshot::Sender<Reply>);

/// The way to a supervisor.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(super) commands: mpsc::Sender<Request>,
    pub(super) snapshots: watch::Receiver<Arc<Snapshot>>,
    pub(super) logs: Arc<Logs>,
    pub(super) gate: Arc<Gate>,
}

impl Handle {
    /// The way to a supervisor that has ended; its logs are in `folder`.
    ///
    /// # Errors
    /// The logs cannot be written.
    pub(crate) fn to_nobody(folder: &Path) -> io::Result<Self> {
        let logs = Arc::new(Logs::open(folder, true)?);
        Ok(Self {
            commands: mpsc::channel(1).0,
            snapshots: watch::channel(Arc::default()).1,
            logs,
            gate: Arc::default(),
        })
    }

    /// Does a command and waits until it is done.
    pub async fn ask(&self, command: Command) -> Reply {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send((command, reply)).await;
        let ended = || Reply { is_done: false, text: "[ERROR] The supervisor ends.\n".into() };
        if sent.is_err() { ended() } else { answer.await.unwrap_or_else(|_| ended()) }
    }

    /// How everything stands.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshots.borrow().clone()
    }

    /// Snapshots as they come.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    /// The logs.
    #[must_use]
    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    /// The logs, for what outlives the handle.
    #[must_use]
    pub fn shared_logs(&self) -> Arc<Logs> {
        Arc::clone(&self.logs)
    }

    /// Whether and where the API is served over TCP.
    #[must_use]
    pub fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }
}
