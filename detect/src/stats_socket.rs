//! A unix socket that hands a text to whoever connects, as link_traffic and proto_traffic do for Munin; and its reader.
use crate::reading::ReadError;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often the server looks for clients and for its end.
const POLL: Duration = Duration::from_millis(50);
/// A client that does not take its text for so long is closed.
const CLIENT_LIMIT: Duration = Duration::from_secs(1);
/// A server that does not answer for so long has failed.
const SERVER_LIMIT: Duration = Duration::from_secs(10);
/// Bytes of a text, at the most.
const TEXT_MAX: u64 = 1024 * 1024;

/// Why a module that counts for Munin ended early.
#[derive(Debug, thiserror::Error)]
pub enum CountError {
    #[error("Error: Bind failed.\n{path}: {source}. Create its directory, or let this user write there.")]
    Socket { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Serves until it is dropped.
#[derive(Debug)]
pub(crate) struct StatsSocket {
    is_done: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl StatsSocket {
    /// Listens at `path`, which is replaced, open to everybody. Each client gets what `text` answers and is closed.
    pub(crate) fn serve(path: &Path, text: impl Fn() -> String + Send + 'static) -> Result<StatsSocket, CountError> {
        StatsSocket::bind(path, text).map_err(|source| CountError::Socket { path: path.to_owned(), source })
    }

    fn bind(path: &Path, text: impl Fn() -> String + Send + 'static) -> io::Result<StatsSocket> {
        match std::fs::remove_file(path) {
            Err(why) if why.kind() != ErrorKind::NotFound => return Err(why),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
        listener.set_nonblocking(true)?;
        let is_done = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&is_done);
        let server = thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((client, _)) => {
                        // A client that goes away or sleeps gets no text; the next one is not affected.
                        let _gone = answer(client, text().as_bytes());
                    }
                    Err(_) => thread::sleep(POLL),
                }
            }
        });
        Ok(StatsSocket { is_done, server: Some(server) })
    }
}

impl Drop for StatsSocket {
    fn drop(&mut self) {
        self.is_done.store(true, Ordering::Relaxed);
        if let Some(server) = self.server.take() {
            // It can only have panicked, which was printed.
            let _panicked = server.join();
        }
    }
}

fn answer(mut client: UnixStream, text: &[u8]) -> io::Result<()> {
    client.set_nonblocking(false)?;
    client.set_write_timeout(Some(CLIENT_LIMIT))?;
    client.write_all(text)
}

/// The text that a server at `path` hands out.
pub(crate) fn fetch(path: &Path) -> io::Result<String> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(SERVER_LIMIT))?;
    let mut text = String::new();
    stream.take(TEXT_MAX).read_to_string(&mut text)?;
    Ok(text)
}
