//! The service interface: a unix socket on which a module tells its counters as JSON to `trap_stats` and the supervisor
//! (trap.md section 8).
//!
//! Contract: one thread answers all clients and never holds up the data. A client that says anything but GET, begins a
//! request and does not end it, or does not read its answer, is closed in time; all that one costs is a place among
//! [`CLIENTS_MAX`]. The socket lives as long as any interface of the module.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::input::Input;
use crate::log;
use crate::net;
use crate::output::Output;
use crate::place::Place;

pub(crate) mod board;
mod server;
mod session;
pub mod wire;

use board::Board;

/// Clients served at once; one more is accepted and closed.
pub const CLIENTS_MAX: usize = 64;

/// What the socket of a module's service is called.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ServiceName {
    /// `service_PID`, where `trap_stats PID` and the supervisor look.
    #[default]
    Pid,
    /// Another name, as for an interface `u:NAME`.
    Named(String),
    /// No service.
    Off,
}

/// A running service; dropping it closes the socket.
#[derive(Debug)]
pub(crate) struct Service {
    thread: Option<JoinHandle<()>>,
    /// Its end tells the thread to end.
    wake: Option<UnixStream>,
    path: PathBuf,
    /// Device and inode: another process may have taken the name, then it is not ours to remove.
    inode: (u64, u64),
}

/// Tells the counters of these interfaces until the last of them is dropped. A socket that cannot be made is a notice and
/// no failure: the data does not depend on it.
pub fn start<'a>(
    name: &ServiceName,
    place: &Place,
    inputs: impl IntoIterator<Item = &'a mut Input>,
    outputs: impl IntoIterator<Item = &'a mut Output>,
) {
    let (mut inputs, mut outputs) = (Vec::from_iter(inputs), Vec::from_iter(outputs));
    let name = match name {
        ServiceName::Pid => format!("service_{}", std::process::id()),
        ServiceName::Named(name) => name.clone(),
        ServiceName::Off => return,
    };
    let path = net::cut_to_sun_path(place.socket_path(&name));
    let board = Board {
        inputs: inputs.iter().map(|input| input.meter()).collect(),
        outputs: outputs.iter().map(|output| output.meter()).collect(),
    };
    match Service::open(&path, board) {
        Ok(service) => {
            let service = Arc::new(service);
            inputs.iter_mut().for_each(|input| input.keep(Arc::clone(&service)));
            outputs.iter_mut().for_each(|output| output.keep(Arc::clone(&service)));
        }
        Err(error) => log::notice!("no service interface at {}: {error}", path.display()),
    }
}

impl Service {
    fn open(path: &Path, board: Board) -> io::Result<Self> {
        let listener = UnixListener::from(std::os::fd::OwnedFd::from(net::listen_unix(path, CLIENTS_MAX)?));
        listener.set_nonblocking(true)?;
        let meta = fs::metadata(path)?;
        let (wake, woken) = UnixStream::pair()?;
        let thread =
            thread::Builder::new().name("trap-service".into()).spawn(move || server::run(&listener, &woken, &board))?;
        Ok(Self { thread: Some(thread), wake: Some(wake), path: path.into(), inode: (meta.dev(), meta.ino()) })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            // A panic there was already printed; the socket is removed either way.
            let _panicked = thread.join();
        }
        if fs::metadata(&self.path).is_ok_and(|meta| (meta.dev(), meta.ino()) == self.inode) {
            let _already_gone = fs::remove_file(&self.path);
        }
    }
}
