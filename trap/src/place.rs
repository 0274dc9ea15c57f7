//! Where an interface lives: its socket directory, its number, and the flag that asks it to stop.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Upstream's compiled-in directory of unix sockets (trap.md section 3).
pub const SOCKET_DIR: &str = "/tmp";
/// A blocked call looks at the stop flag at least this often; signals wake it earlier.
pub(crate) const STOP_POLL: Duration = Duration::from_millis(100);

/// Surroundings of an interface. `Default` takes them from the environment.
#[derive(Debug, Clone)]
pub struct Place {
    /// Directory of `trap-NAME.sock` files.
    pub socket_dir: PathBuf,
    /// Number of the interface within its direction; appears in messages only.
    pub index: usize,
    /// Set to end blocking calls.
    pub stop: Stop,
}

impl Default for Place {
    /// `TRAP_SOCKET_DIR` when set and not empty, else `/tmp`. We are never set-uid, so the original's check is not needed.
    fn default() -> Self {
        let dir = std::env::var_os("TRAP_SOCKET_DIR").filter(|dir| !dir.is_empty());
        Self { socket_dir: dir.map_or_else(|| SOCKET_DIR.into(), PathBuf::from), index: 0, stop: Stop::default() }
    }
}

impl Place {
    /// A place with another socket directory.
    #[must_use]
    pub fn with_socket_dir(dir: impl AsRef<Path>) -> Self {
        Self { socket_dir: dir.as_ref().into(), index: 0, stop: Stop::default() }
    }

    /// Path of the unix socket `name`: `DIR/trap-NAME.sock`; the name may contain `/` (trap.md section 3).
    #[must_use]
    pub fn socket_path(&self, name: &str) -> PathBuf {
        let mut path = self.socket_dir.clone().into_os_string();
        path.push(format!("/trap-{name}.sock"));
        path.into()
    }
}

/// Shared request to stop; clones see the same flag.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks all holders to stop: blocked `send` and `recv` return within about 100 ms.
    pub fn request(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// True after [`Stop::request`] or a signal.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// The flag itself, for libraries that want one.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }

    /// Lets SIGINT and SIGTERM set this flag; a second signal ends the process with 128 + its number, so that a peer
    /// that does not read can never make a module unkillable (trap.md section 7.5).
    ///
    /// # Errors
    /// When the system refuses the handler.
    pub fn on_signals(&self) -> io::Result<()> {
        for signal in [SIGINT, SIGTERM] {
            // Order matters: the shutdown is armed by the flag that the second registration sets.
            flag::register_conditional_shutdown(signal, 128 + signal, self.flag())?;
            flag::register(signal, self.flag())?;
        }
        Ok(())
    }

    /// Sleeps until `deadline` or the stop request; false when stopped.
    pub(crate) fn sleep_until(&self, deadline: Instant) -> bool {
        loop {
            if self.is_set() {
                return false;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(STOP_POLL));
        }
    }
}
