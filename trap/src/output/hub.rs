//! What the producer of a socket output shares with its accepting, autoflush and client threads.
//!
//! One mutex guards the active container and the ring. It is held for the copy of a message or of a container, never
//! during I/O, so accepting (and with it HELLO) is not delayed by sending.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use socket2::Socket;

use super::ring::Ring;
use crate::container::Builder;
use crate::format::Format;
use crate::hello;
use crate::patience::Patience;
use crate::place::{STOP_POLL, Stop};
use crate::spec::{Autoflush, RingLimits, Timeout};

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
    /// Socket name or port, for messages.
    pub(super) name: String,
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
    /// How clients are greeted that must show a certificate.
    pub(super) tls: Option<Arc<ServerConfig>>,
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
    /// Clients that left the ring and of whom it is yet to be said.
    pub(super) departing: usize,
    /// Sockets of joined clients by their key, to cut them off.
    pub(super) sockets: Vec<(u64, Arc<Socket>)>,
    pub(super) refused: u64,
    pub(super) autoflushes: u64,
    pub(super) closing: bool,
    pub(super) cut_off: bool,
}

impl Hub {
    pub(super) fn new(name: &str, limits: RingLimits, settings: Settings) -> Self {
        Self {
            name: name.to_owned(),
            state: Mutex::new(State {
                ring: Ring::new(limits.buffer_count),
                active: Builder::wire(limits.buffer_size),
                active_since: None,
                settings,
                hello: hello::encode(&Format::Unknown).into(),
                is_announced: false,
                generation: 0,
                greeting: 0,
                departing: 0,
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
            tls: None,
        }
    }

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
    pub(super) fn wait_until<'a>(
        &self,
        ready: fn(&State) -> bool,
        mut state: MutexGuard<'a, State>,
        stop: &Stop,
        mut patience: Option<Patience>,
    ) -> (MutexGuard<'a, State>, bool) {
        loop {
            if ready(&state) {
                return (state, true);
            }
            let is_over = patience.as_mut().map_or_else(|| stop.is_set(), Patience::is_spent);
            if is_over {
                return (state, false);
            }
            let most = patience.map_or(STOP_POLL, |patience| patience.slice());
            state = self.wait_on(&self.room, state, most);
        }
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
    pub(super) fn has_room(&self) -> bool {
        // Without buffering the message to come is published at once, so an empty active container is no room.
        let is_safe = self.is_lossy() || self.ring.has_room() || self.settings.buffered && self.active.is_empty();
        is_safe && (self.settings.timeout != Timeout::Wait || self.ring.listeners() > 0)
    }

    /// True when slow clients lose messages.
    pub(super) fn is_lossy(&self) -> bool {
        matches!(self.settings.timeout, Timeout::NoWait | Timeout::Micros(_))
    }

    /// True when publishing now would overwrite nothing that a reliable client still needs.
    pub(super) fn is_safe_to_publish(&self) -> bool {
        self.is_lossy() || self.active.is_empty() || self.ring.has_room()
    }
}

/// Publishes a container that waits longer than the autoflush period for its next message (trap.md section 7.4). Counted
/// from its first message, so the age is the period exactly; the original needs up to two periods.
pub(super) fn autoflush(hub: &Hub) {
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
