//! Socket source: connects when asked, waits for HELLO, reads (trap.md sections 4.2 and 6).

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use super::Filled;
use crate::deframer::Deframer;
use crate::error::TrapError;
use crate::hello::HELLO_LEN;
use crate::link::Link;
use crate::log;
use crate::net;
use crate::patience::Patience;
use crate::place::{Place, STOP_POLL, Stop};
use crate::tls::{self, TlsStream};

/// Wait for the 8 bytes of HELLO, and again for its specifier. The original gives up, and most of its modules end, after 8 times 25 ms:
/// too soon on a machine that is busy, where nothing is wrong with the sender. Counted in [`Patience`].
const HELLO_WAIT: Duration = Duration::from_secs(2);
/// Pause after a failed attempt to connect.
const RETRY: Duration = Duration::from_secs(1);
/// Pause after a session that brought nothing; a sender that accepts and closes must not make us spin.
const IDLE_SESSION_RETRY: Duration = Duration::from_millis(10);
/// Longest single attempt to connect where the timeout sets no limit.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// Shortest attempt, also with `NO_WAIT`.
const CONNECT_MIN: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(super) struct SocketSource {
    peer: Peer,
    session: Option<Session>,
    /// No attempt before this moment.
    next_attempt: Instant,
    stop: Stop,
}

#[derive(Debug)]
enum Peer {
    Unix { name: String, path: PathBuf },
    Tcp { host: String, port: String },
    Tls { host: String, port: String, config: Arc<ClientConfig> },
}

#[derive(Debug)]
struct Session {
    link: Link,
    waiting: Waiting,
    /// For the part of HELLO that is due.
    hello_patience: Patience,
    has_hello_header: bool,
    has_container_bytes: bool,
}

/// How the socket waits at present; kept so that it is set once, not per read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    No,
    For(Duration),
    Unset,
}

impl SocketSource {
    pub(super) fn unix(name: &str, place: &Place) -> Self {
        let path = net::cut_to_sun_path(place.socket_path(name));
        Self::new(Peer::Unix { name: name.to_owned(), path }, place)
    }

    pub(super) fn tcp(host: String, port: String, place: &Place) -> Self {
        Self::new(Peer::Tcp { host, port }, place)
    }

    pub(super) fn tls(host: String, port: String, config: Arc<ClientConfig>, place: &Place) -> Self {
        Self::new(Peer::Tls { host, port, config }, place)
    }

    fn new(peer: Peer, place: &Place) -> Self {
        Self { peer, session: None, next_attempt: Instant::now(), stop: place.stop.clone() }
    }

    /// Brings bytes into the deframer, connecting first if needed. No deadline means no limit.
    pub(super) fn fill(&mut self, deframer: &mut Deframer, deadline: Option<Instant>) -> Result<Filled, TrapError> {
        if self.stop.is_set() {
            return Ok(Filled::Terminated);
        }
        if self.session.is_none() {
            return self.connect(deframer, deadline);
        }
        loop {
            let read = self.read(deframer, deadline)?;
            match read {
                Some(filled) => return Ok(filled),
                None if self.stop.is_set() => return Ok(Filled::Terminated),
                None => {}
            }
        }
    }

    /// The sender does not know its format yet: close and try again in a second.
    pub(super) fn not_ready(&mut self, deframer: &mut Deframer) {
        deframer.reset();
        self.close_for_a_while();
    }

    pub(super) fn close_for_a_while(&mut self) {
        self.session = None;
        self.next_attempt = Instant::now() + RETRY;
    }

    pub(super) fn is_connected(&self) -> bool {
        self.session.is_some()
    }

    pub(super) fn id(&self) -> String {
        match &self.peer {
            Peer::Unix { name, .. } => name.clone(),
            Peer::Tcp { port, .. } | Peer::Tls { port, .. } => port.clone(),
        }
    }

    /// Tries until connected, the deadline or the stop request. A pause that reaches beyond the deadline is a timeout.
    fn connect(&mut self, deframer: &mut Deframer, deadline: Option<Instant>) -> Result<Filled, TrapError> {
        loop {
            let until = deadline.map_or(self.next_attempt, |deadline| deadline.min(self.next_attempt));
            if !self.stop.sleep_until(until) {
                return Ok(Filled::Terminated);
            }
            if Instant::now() < self.next_attempt {
                return Ok(Filled::Timeout);
            }
            let budget = deadline.map_or(CONNECT_MAX, |deadline| net::left(deadline).clamp(CONNECT_MIN, CONNECT_MAX));
            match self.attempt(budget) {
                Ok(link) => {
                    deframer.reset();
                    let hello_wait = self.hello_wait();
                    self.session = Some(Session {
                        link,
                        waiting: Waiting::Unset,
                        hello_patience: Patience::new(hello_wait),
                        has_hello_header: false,
                        has_container_bytes: false,
                    });
                    return Ok(Filled::Fresh);
                }
                Err(reason) => {
                    log::verbose!("no connection to {}: {reason}", self.id());
                    self.next_attempt = Instant::now() + RETRY;
                    if let Some(fault) = tls::certificate_fault(&reason) {
                        return Err(TrapError::BadCertificate(fault));
                    }
                }
            }
        }
    }

    fn attempt(&self, budget: Duration) -> io::Result<Link> {
        let tcp = |host: &str, port: &str| {
            let port = net::port(port).inspect_err(|reason| log::error!("{reason}"));
            net::connect_tcp(host, port.map_err(io::Error::other)?, budget).map(Arc::new)
        };
        match &self.peer {
            Peer::Unix { path, .. } => net::connect_unix(path, budget).map(Arc::new).map(Link::Plain),
            Peer::Tcp { host, port } => tcp(host, port).map(Link::Plain),
            // The handshake has its own time, whatever the timeout is, as HELLO.
            Peer::Tls { host, port, config } => {
                let stream = TlsStream::connect(config, host, tcp(host, port)?, || !self.stop.is_set())?;
                Ok(Link::Tls(Box::new(stream)))
            }
        }
    }

    /// Under TLS the server looks at our certificate before it says HELLO.
    fn hello_wait(&self) -> Duration {
        if matches!(self.peer, Peer::Tls { .. }) { tls::HANDSHAKE_WAIT } else { HELLO_WAIT }
    }

    /// One read; none when it should be tried again.
    fn read(&mut self, deframer: &mut Deframer, deadline: Option<Instant>) -> Result<Option<Filled>, TrapError> {
        let hello_wait = self.hello_wait();
        let Some(session) = &mut self.session else { return Ok(Some(Filled::Ended)) };
        let expects_hello = deframer.expects_hello();
        if expects_hello && !session.has_hello_header && deframer.buffered() >= HELLO_LEN {
            (session.has_hello_header, session.hello_patience) = (true, Patience::new(hello_wait));
        }
        // HELLO has its own time, whatever the timeout is.
        let budget = if expects_hello {
            session.hello_patience.slice()
        } else {
            deadline.map_or(STOP_POLL, |deadline| net::left(deadline).min(STOP_POLL))
        };
        session.wait_for(budget)?;
        let read = session.link.read(deframer.spare());
        let is_over = if expects_hello {
            session.hello_patience.is_spent()
        } else {
            deadline.is_some_and(|deadline| Instant::now() >= deadline)
        };
        match read {
            Ok(0) if expects_hello => {
                self.close_for_a_while();
                deframer.reset();
                Err(TrapError::NegotiationFailed("the sender closed before its HELLO was complete".into()))
            }
            Ok(0) => Ok(Some(self.disconnected(deframer))),
            Ok(count) => {
                deframer.filled(count);
                session.has_container_bytes |= !expects_hello;
                Ok(Some(Filled::Bytes(count)))
            }
            Err(error) if net::is_transient(&error) => {
                if !is_over {
                    return Ok(None);
                }
                if !expects_hello {
                    return Ok(Some(Filled::Timeout));
                }
                self.close_for_a_while();
                deframer.reset();
                Err(TrapError::NegotiationFailed(format!("no HELLO within {} ms", hello_wait.as_millis())))
            }
            Err(error) if expects_hello => {
                self.close_for_a_while();
                deframer.reset();
                Err(match tls::certificate_fault(&error) {
                    Some(fault) => TrapError::BadCertificate(fault),
                    None => TrapError::NegotiationFailed(format!("connection lost before HELLO: {error}")),
                })
            }
            Err(error) => {
                log::verbose!("connection to {} lost: {error}", self.id());
                Ok(Some(self.disconnected(deframer)))
            }
        }
    }

    /// A lost connection drops its partial container; the next attempt follows at once.
    fn disconnected(&mut self, deframer: &mut Deframer) -> Filled {
        let was_useful = self.session.take().is_some_and(|session| session.has_container_bytes);
        self.next_attempt = Instant::now() + if was_useful { Duration::ZERO } else { IDLE_SESSION_RETRY };
        deframer.reset();
        Filled::Ended
    }
}

impl Session {
    /// Makes the next read wait at most `budget`; zero means not at all.
    fn wait_for(&mut self, budget: Duration) -> Result<(), TrapError> {
        let waiting = if budget.is_zero() { Waiting::No } else { Waiting::For(budget) };
        if waiting == self.waiting {
            return Ok(());
        }
        let socket = self.link.socket();
        let set = match waiting {
            Waiting::No | Waiting::Unset => socket.set_nonblocking(true),
            // The system knows microseconds; less would mean forever.
            Waiting::For(budget) => socket
                .set_nonblocking(false)
                .and_then(|()| socket.set_read_timeout(Some(budget.max(Duration::from_micros(1))))),
        };
        self.waiting = waiting;
        set.map_err(|error| TrapError::io("cannot set the timeout of a socket", error))
    }
}
