//! Unix and TCP outputs: the producer's side (trap.md section 7). Threads for accepting and sending are in `client`.
//!
//! One mutex guards the active container and the ring. It is held for the copy of a message or of a container, never
//! during I/O, so accepting (and with it HELLO) is not delayed by sending.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::Socket;

use super::client;
use super::ring::Ring;
use super::stats::{ClientStats, OutputStats};
use super::{DropReason, Sent};
use crate::container::Builder;
use crate::error::TrapError;
use crate::format::Format;
use crate::hello;
use crate::net;
use crate::place::{Place, STOP_POLL, Stop};
use crate::spec::{Autoflush, RingLimits, Timeout};

/// At the end, a client that takes no byte for this long is given up.
const FINISH_STALL: Duration = Duration::from_secs(2);
/// At the end, clients are given up after this time however fast they read.
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

/// What the module may change while running.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) timeout: Timeout,
    pub(super) buffered: bool,
    pub(super) autoflush: Autoflush,
}

/// What producer, accepting, autoflush and client threads share.
#[derive(Debug)]
pub(super) struct Hub {
    state: Mutex<State>,
    /// Something was published, or a client must end.
    pub(super) work: Condvar,
    /// A client came, went, or took a container.
    pub(super) room: Condvar,
    /// The output closes or its autoflush period changed.
    pub(super) tick: Condvar,
    /// Bytes taken by all clients; shows progress inside a container.
    pub(super) progress: AtomicU64,
    pub(super) clients_max: usize,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) ring: Ring,
    pub(super) active: Builder,
    /// When the first message came into the active container.
    pub(super) active_since: Option<Instant>,
    pub(super) settings: Settings,
    pub(super) hello: Arc<[u8]>,
    /// True while HELLO tells a real format.
    pub(super) is_announced: bool,
    /// Moves with each format, so that a client that got the old HELLO is not given new containers.
    pub(super) generation: u64,
    /// Clients accepted that did not join the ring yet.
    pub(super) greeting: usize,
    /// Sockets of joined clients by their key, to cut them off.
    pub(super) sockets: Vec<(u64, Arc<Socket>)>,
    pub(super) refused: u64,
    pub(super) autoflushes: u64,
    pub(super) closing: bool,
    pub(super) cut_off: bool,
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
        Self::start(listener, Some((path, inode)), limits, settings, place)
    }

    pub(super) fn tcp(port: &str, limits: RingLimits, settings: Settings, place: &Place) -> Result<Self, TrapError> {
        let number = net::port(port).map_err(TrapError::BadParams)?;
        let listener = net::listen_tcp(number, limits.clients_max)
            .map_err(|error| TrapError::io(format!("cannot listen on TCP port {number}"), error))?;
        Self::start(listener, None, limits, settings, place)
    }

    fn start(
        listener: Socket,
        file: Option<(PathBuf, (u64, u64))>,
        limits: RingLimits,
        settings: Settings,
        place: &Place,
    ) -> Result<Self, TrapError> {
        let hub = Arc::new(Hub {
            state: Mutex::new(State {
                ring: Ring::new(limits.buffer_count),
                active: Builder::wire(limits.buffer_size),
                active_since: None,
                settings,
                hello: hello::encode(&Format::Unknown).into(),
                is_announced: false,
                generation: 0,
                greeting: 0,
                sockets: Vec::new(),
                refused: 0,
                autoflushes: 0,
                closing: false,
                cut_off: false,
            }),
            work: Condvar::new(),
            room: Condvar::new(),
            tick: Condvar::new(),
            progress: AtomicU64::new(0),
            clients_max: limits.clients_max,
        });
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

    pub(super) fn send_eof(&mut self) -> Sent {
        let patience = self.stop.is_set().then(|| Instant::now() + FINISH_STALL);
        let sent = self.send_until(&[0], patience);
        self.flush();
        sent
    }

    /// Waits for room until `patience`; without one until the stop request.
    fn send_until(&self, msg: &[u8], patience: Option<Instant>) -> Sent {
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
        let patience = self.stop.is_set().then(|| Instant::now() + FINISH_STALL);
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
        let deadline = Instant::now() + FINISH_MAX;
        let mut state = self.hub.lock();
        state.closing = true;
        let patience = Some(Instant::now() + FINISH_STALL);
        state = self.hub.wait_until(State::is_safe_to_publish, state, &self.stop, patience).0;
        state.publish();
        state.ring.end_all();
        self.hub.work.notify_all();
        self.hub.tick.notify_all();
        // Wakes the blocked accept; on Linux it then answers an error.
        let _already_closed = self.listener.shutdown(std::net::Shutdown::Both);
        state = self.drain(state, deadline);
        state.cut_off = true;
        for (_, socket) in &state.sockets {
            let _already_closed = socket.shutdown(std::net::Shutdown::Both);
        }
        self.hub.work.notify_all();
        let give_up = Instant::now() + CUT_OFF_WAIT;
        while state.ring.connected() > 0 && Instant::now() < give_up {
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
    fn drain<'a>(&self, mut state: MutexGuard<'a, State>, deadline: Instant) -> MutexGuard<'a, State> {
        let mut seen = self.hub.progress.load(Ordering::Relaxed);
        let mut stalled_at = Instant::now() + FINISH_STALL;
        while state.ring.connected() > 0 {
            let now = Instant::now();
            let progress = self.hub.progress.load(Ordering::Relaxed);
            if progress != seen {
                (seen, stalled_at) = (progress, now + FINISH_STALL);
            }
            if now >= deadline || now >= stalled_at {
                break;
            }
            state = self.hub.wait_on(&self.hub.room, state, STOP_POLL);
        }
        state
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

impl State {
    /// Moves the active container into the ring; false when it was empty.
    pub(super) fn publish(&mut self) -> bool {
        self.active_since = None;
        self.ring.publish(&mut self.active, self.settings.buffered)
    }

    /// True when a message may be taken and published: nothing a reliable client still needs would be overwritten, and
    /// with `Wait` somebody listens.
    fn has_room(&self) -> bool {
        self.is_safe_to_publish() && (self.settings.timeout != Timeout::Wait || self.ring.listeners() > 0)
    }

    /// True when publishing now would overwrite nothing that a reliable client still needs.
    fn is_safe_to_publish(&self) -> bool {
        matches!(self.settings.timeout, Timeout::NoWait | Timeout::Micros(_))
            || self.active.is_empty()
            || self.ring.has_room()
    }
}

impl Hub {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // The state is consistent between any two statements that can panic, so a poisoned lock is still good.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait_on<'a>(
        &self,
        on: &Condvar,
        state: MutexGuard<'a, State>,
        most: Duration,
    ) -> MutexGuard<'a, State> {
        on.wait_timeout(state, most).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Blocks until `ready` (true), or until `patience`, or without one until `stop` (false).
    fn wait_until<'a>(
        &self,
        ready: fn(&State) -> bool,
        mut state: MutexGuard<'a, State>,
        stop: &Stop,
        patience: Option<Instant>,
    ) -> (MutexGuard<'a, State>, bool) {
        loop {
            if ready(&state) {
                return (state, true);
            }
            let is_over = patience.map_or_else(|| stop.is_set(), |deadline| Instant::now() >= deadline);
            if is_over {
                return (state, false);
            }
            state = self.wait_on(&self.room, state, STOP_POLL);
        }
    }
}

/// Publishes a container that waits longer than the autoflush period for its next message (trap.md section 7.4). Counted
/// from its first message, so the age is the period exactly; the original needs up to two periods.
fn autoflush(hub: &Hub) {
    let mut state = hub.lock();
    while !state.closing {
        let Autoflush::Micros(micros) = state.settings.autoflush else {
            state = hub.wait_on(&hub.tick, state, Duration::from_secs(3600));
            continue;
        };
        let period = Duration::from_micros(micros);
        let age = state.active_since.map_or(Duration::ZERO, |since| since.elapsed());
        if age < period {
            state = hub.wait_on(&hub.tick, state, period - age);
        } else if state.ring.listeners() > 0 && state.has_room() {
            state.publish();
            state.autoflushes += 1;
            hub.work.notify_all();
        } else {
            state = hub.wait_on(&hub.tick, state, period.clamp(Duration::from_millis(1), STOP_POLL));
        }
    }
}
