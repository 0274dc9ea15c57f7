//! Unix and TCP outputs: the producer's side (trap.md section 7). What it shares with its threads is in `hub`; the
//! threads for accepting and sending are in `client`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::Socket;

use super::client;
use super::clients::Clients;
use super::hub::{Hub, Settings, State, autoflush};
use super::stats::{ClientStats, OutputStats};
use super::{DropReason, Sent};
use crate::batch::Batch;
use crate::error::TrapError;
use crate::format::Format;
use crate::hello;
use crate::net;
use crate::patience::Patience;
use crate::place::{Place, STOP_POLL, Stop};
use crate::spec::{RingLimits, Timeout};
use crate::tls::TlsFiles;

/// At the end, a client that takes no byte for this long is given up: it was stopped itself, or its machine is. What it has not read is lost.
/// As the others below, counted in [`Patience`].
const FINISH_PATIENCE: Duration = Duration::from_secs(30);
/// The same after a stop request, when somebody waits for the program to end.
const FINISH_STALL: Duration = Duration::from_secs(2);
/// After a stop request clients are given up after this time however fast they read.
const FINISH_MAX: Duration = Duration::from_secs(30);
/// How long cut-off client threads may take to notice.
const CUT_OFF_WAIT: Duration = Duration::from_secs(1);

/// A listening output.
#[derive(Debug)]
pub(super) struct SocketOutput {
    hub: Arc<Hub>,
    stop: Stop,
    listener: Arc<Socket>,
    threads: Vec<JoinHandle<()>>,
    /// Socket file with its device and inode: another server may take the name, then it is not ours to remove.
    file: Option<(PathBuf, (u64, u64))>,
    finished: bool,
}

impl SocketOutput {
    pub(super) fn unix(name: &str, limits: RingLimits, settings: Settings, place: &Place) -> Result<Self, TrapError> {
        let path = net::cut_to_sun_path(place.socket_path(name));
        let failed = |error| {
            let what = format!("cannot listen on {}; does the directory exist and is it writable?", path.display());
            TrapError::io(what, error)
        };
        let listener = net::listen_unix(&path, limits.clients_max).map_err(failed)?;
        let inode = fs::metadata(&path).map(|meta| (meta.dev(), meta.ino())).map_err(failed)?;
        Self::start(listener, Some((path, inode)), Hub::new(name, limits, settings), place)
    }

    pub(super) fn tcp(port: &str, limits: RingLimits, settings: Settings, place: &Place) -> Result<Self, TrapError> {
        Self::start(listen(port, limits)?, None, Hub::new(port, limits, settings), place)
    }

    pub(super) fn tls(
        port: &str,
        files: &TlsFiles,
        limits: RingLimits,
        settings: Settings,
        place: &Place,
    ) -> Result<Self, TrapError> {
        let mut hub = Hub::new(port, limits, settings);
        hub.tls = Some(files.server()?);
        Self::start(listen(port, limits)?, None, hub, place)
    }

    fn start(
        listener: Socket,
        file: Option<(PathBuf, (u64, u64))>,
        hub: Hub,
        place: &Place,
    ) -> Result<Self, TrapError> {
        let hub = Arc::new(hub);
        let listener = Arc::new(listener);
        let mut output = Self {
            hub: Arc::clone(&hub),
            stop: place.stop.clone(),
            listener: Arc::clone(&listener),
            threads: Vec::new(),
            file,
            finished: false,
        };
        let spawned = [
            thread::Builder::new().name("trap-accept".into()).spawn({
                let hub = Arc::clone(&hub);
                move || client::accept(&hub, &listener)
            }),
            thread::Builder::new().name("trap-autoflush".into()).spawn(move || autoflush(&hub)),
        ];
        for thread in spawned {
            output.threads.push(thread.map_err(|error| TrapError::io("cannot start a thread of an output", error))?);
        }
        Ok(output)
    }

    /// Closes the old format's clients behind their last container; a client that lags keeps its place until then.
    pub(super) fn set_format(&mut self, format: &Format) {
        let mut state = self.hub.lock();
        state = self.hub.wait_until(State::is_safe_to_publish, state, &self.stop, None).0;
        state.publish();
        state.ring.end_all();
        state.hello = hello::encode(format).into();
        state.is_announced = *format != Format::Unknown;
        state.generation += 1;
        drop(state);
        self.hub.work.notify_all();
    }

    pub(super) fn send(&mut self, msg: &[u8]) -> Sent {
        self.send_until(msg, None)
    }

    /// Takes messages of a batch and answers those that it did not take: what needs a wait that may fail, a container each, or a
    /// container that no message fits is left to [`SocketOutput::send`], one by one.
    pub(super) fn send_batch<'a>(&self, batch: Batch<'a>) -> Batch<'a> {
        let mut rest = batch;
        let mut state = self.hub.lock();
        while !rest.is_empty() && state.settings.buffered {
            if state.settings.timeout == Timeout::Wait && state.ring.listeners() == 0 {
                break;
            }
            let before = rest.len();
            rest = state.active.push_batch(&rest);
            if rest.len() < before {
                state.active_since.get_or_insert_with(Instant::now);
            } else if state.active.is_empty() {
                break;
            }
            if !rest.is_empty() {
                let (locked, is_ready) = self.hub.wait_until(State::has_room, state, &self.stop, None);
                state = locked;
                if !is_ready {
                    break;
                }
                state.publish();
                self.hub.work.notify_all();
            }
        }
        rest
    }

    pub(super) fn send_eof(&mut self) -> Sent {
        let patience = self.stop.is_set().then(|| Patience::new(FINISH_STALL));
        let sent = self.send_until(&[0], patience);
        self.flush();
        sent
    }

    /// Waits for room until `patience`; without one until the stop request.
    fn send_until(&self, msg: &[u8], patience: Option<Patience>) -> Sent {
        let mut state = self.hub.lock();
        if state.active.is_oversize(msg.len()) {
            return Sent::Dropped(DropReason::TooLarge);
        }
        let is_blocked =
            !state.settings.buffered || state.settings.timeout == Timeout::Wait && state.ring.listeners() == 0;
        if is_blocked {
            let (locked, is_ready) = self.hub.wait_until(State::has_room, state, &self.stop, patience);
            state = locked;
            if !is_ready {
                return Sent::Dropped(DropReason::Terminated);
            }
        }
        if !state.active.push(msg) {
            let (locked, is_ready) = self.hub.wait_until(State::has_room, state, &self.stop, patience);
            state = locked;
            if !is_ready {
                return Sent::Dropped(DropReason::Terminated);
            }
            state.publish();
            self.hub.work.notify_all();
            // Not oversize, so it fits an empty container.
            let _fits = state.active.push(msg);
        }
        if !state.settings.buffered {
            state.publish();
            drop(state);
            self.hub.work.notify_all();
        } else if state.active_since.is_none() {
            state.active_since = Some(Instant::now());
        }
        Sent::Sent
    }

    pub(super) fn flush(&mut self) {
        let mut state = self.hub.lock();
        if state.ring.listeners() == 0 || state.active.is_empty() {
            return;
        }
        let patience = self.stop.is_set().then(|| Patience::new(FINISH_STALL));
        let (locked, is_ready) = self.hub.wait_until(State::has_room, state, &self.stop, patience);
        state = locked;
        if is_ready && state.publish() {
            state.autoflushes += 1;
            drop(state);
            self.hub.work.notify_all();
        }
    }

    pub(super) fn finish(&mut self) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        let mut state = self.hub.lock();
        state.closing = true;
        let (mut patience, mut is_stopped) = (self.patience(&state), self.stop.is_set());
        while !state.is_safe_to_publish() && !patience.is_spent() {
            state = self.hub.wait_on(&self.hub.room, state, patience.slice());
            if self.stop.is_set() && !std::mem::replace(&mut is_stopped, true) {
                patience = self.patience(&state);
            }
        }
        state.publish();
        state.ring.end_all();
        self.hub.work.notify_all();
        self.hub.tick.notify_all();
        // Wakes the blocked accept; on Linux it then answers an error.
        let _already_closed = self.listener.shutdown(std::net::Shutdown::Both);
        state = self.drain(state);
        state.cut_off = true;
        for (_, socket) in &state.sockets {
            let _already_closed = socket.shutdown(std::net::Shutdown::Both);
        }
        self.hub.work.notify_all();
        let mut patience = Patience::new(CUT_OFF_WAIT);
        while state.ring.connected() + state.departing > 0 && !patience.is_spent() {
            state = self.hub.wait_on(&self.hub.room, state, STOP_POLL);
        }
        drop(state);
        for thread in self.threads.drain(..) {
            // A panic there was already printed; the output is closed either way.
            let _panicked = thread.join();
        }
        if let Some((path, inode)) = self.file.take()
            && fs::metadata(&path).is_ok_and(|meta| (meta.dev(), meta.ino()) == inode)
        {
            let _already_gone = fs::remove_file(path);
        }
    }

    /// Waits until every client took its last container, while bytes flow.
    fn drain<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let mut seen = self.hub.progress.load(Ordering::Relaxed);
        let mut patience = self.patience(&state);
        let mut after_stop = None;
        while state.ring.connected() > 0 {
            let progress = self.hub.progress.load(Ordering::Relaxed);
            if progress != seen {
                (seen, patience) = (progress, self.patience(&state));
            }
            if after_stop.is_none() && self.stop.is_set() {
                (after_stop, patience) = (Some(Patience::new(FINISH_MAX)), self.patience(&state));
            }
            if patience.is_spent() || after_stop.as_mut().is_some_and(Patience::is_spent) {
                break;
            }
            state = self.hub.wait_on(&self.hub.room, state, STOP_POLL);
        }
        state
    }

    /// How long a client may take no byte at the end.
    fn patience(&self, state: &State) -> Patience {
        Patience::new(if self.stop.is_set() || state.is_lossy() { FINISH_STALL } else { FINISH_PATIENCE })
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Settings)) {
        let mut state = self.hub.lock();
        let was_buffered = state.settings.buffered;
        change(&mut state.settings);
        if was_buffered && !state.settings.buffered {
            // Messages taken before must not wait for the next one, and their header needs the buffered number.
            state.settings.buffered = true;
            state.publish();
            state.settings.buffered = false;
        }
        drop(state);
        self.hub.work.notify_all();
        self.hub.room.notify_all();
        self.hub.tick.notify_all();
    }

    pub(super) fn clients(&self) -> Vec<ClientStats> {
        self.hub.lock().ring.client_stats()
    }

    pub(super) fn clients_for_service(&self) -> Clients {
        Clients(Arc::clone(&self.hub))
    }

    pub(super) fn add_to(&self, stats: &mut OutputStats) {
        let state = self.hub.lock();
        let totals = state.ring.totals();
        stats.buffers += totals.containers;
        stats.skipped += totals.skipped;
        stats.unheard += totals.unheard;
        stats.abandoned += totals.abandoned;
        stats.clients_accepted += totals.joined;
        stats.clients_refused += state.refused;
        stats.autoflushes += state.autoflushes;
        stats.clients += state.ring.connected();
    }
}

fn listen(port: &str, limits: RingLimits) -> Result<Socket, TrapError> {
    let number = net::port(port).map_err(TrapError::BadParams)?;
    net::listen_tcp(number, limits.clients_max)
        .map_err(|error| TrapError::io(format!("cannot listen on TCP port {number}"), error))
}

impl Drop for SocketOutput {
    fn drop(&mut self) {
        self.finish();
    }
}
