//! Threads of a socket output: one accepts, one per client greets it and sends (trap.md sections 0, 4.1 and 7.3).
//!
//! HELLO, and the handshake of TLS before it, happen in the client's own thread, so that a bad peer delays nobody; every write has a timeout.

use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use socket2::Socket;

use super::hub::Hub;
use super::ring::Task;
use super::stats::ClientStats;
use crate::link::Link;
use crate::log;
use crate::net;
use crate::patience::Patience;
use crate::tls::{self, TlsStream};

/// A client that takes no HELLO for so long, counted in [`Patience`], is gone. A real one gives up about 200 ms after connecting.
const HELLO_WAIT: Duration = Duration::from_secs(2);
/// Longest single write; between writes the thread looks whether it must end.
const WRITE_SLICE: Duration = Duration::from_millis(100);
/// How often an idle client is checked for having left.
const IDLE_PROBE: Duration = Duration::from_millis(250);
/// Accept answers at least this often, in case its shutdown is missed.
const ACCEPT_SLICE: Duration = Duration::from_millis(500);

/// Accepts clients until the output closes.
pub(super) fn accept(hub: &Arc<Hub>, listener: &Socket) {
    // SO_RCVTIMEO applies to accept as well.
    let _unsupported = listener.set_read_timeout(Some(ACCEPT_SLICE));
    let mut number = 0;
    loop {
        let accepted = listener.accept();
        let mut state = hub.lock();
        if state.closing {
            return;
        }
        match accepted {
            Ok((socket, address)) => {
                if state.ring.connected() + state.greeting >= hub.clients_max {
                    state.refused += 1;
                    // No HELLO at all, as the original (trap.md section 4.1).
                    let _already_closed = socket.shutdown(Shutdown::Both);
                    continue;
                }
                state.greeting += 1;
                drop(state);
                number += 1;
                prepare(&socket, address.is_ipv4() || address.is_ipv6());
                let id = address.as_socket().map(|address| u32::from(address.port()));
                let id = id.or_else(|| net::peer_pid(&socket)).unwrap_or(number);
                start(hub, socket, id);
            }
            Err(error) if net::is_transient(&error) => {}
            Err(error) => {
                drop(state);
                log::warning!("accepting a client failed: {error}; is the limit of open files reached?");
                thread::sleep(WRITE_SLICE);
            }
        }
    }
}

/// A vanished host must be noticed some day, and the end of a container must not wait for an acknowledgement.
fn prepare(socket: &Socket, is_tcp: bool) {
    if is_tcp {
        let _only_slower = socket.set_tcp_nodelay(true);
        let _only_later = socket.set_keepalive(true);
    }
}

fn start(hub: &Arc<Hub>, socket: Socket, id: u32) {
    let thread_hub = Arc::clone(hub);
    let spawned =
        thread::Builder::new().name("trap-client".into()).spawn(move || attend(&thread_hub, Arc::new(socket), id));
    if let Err(error) = spawned {
        log::warning!("no thread for a client: {error}");
        hub.lock().greeting -= 1;
    }
}

/// All that one client gets, from the handshake of TLS to the end.
fn attend(hub: &Hub, socket: Arc<Socket>, id: u32) {
    let link = match &hub.tls {
        None => Ok(Link::Plain(socket)),
        Some(config) => {
            TlsStream::accept(config, socket, || !hub.lock().closing).map(|stream| Link::Tls(Box::new(stream)))
        }
    };
    let mut link = match link {
        Ok(link) => link,
        Err(error) => {
            match tls::certificate_fault(&error) {
                Some(why) => log::warning!("client {id} refused: {why}"),
                None => log::verbose!("client {id} refused: {error}"),
            }
            hub.lock().greeting -= 1;
            return;
        }
    };
    if let Some(key) = greet(hub, &mut link, id) {
        serve(hub, &mut link, key);
        leave(hub, key);
    }
    link.close();
}

/// Sends HELLO and joins the ring; none when the client is to be closed.
fn greet(hub: &Hub, link: &mut Link, id: u32) -> Option<u64> {
    let socket = Arc::clone(link.socket());
    let (hello, generation, is_announced) = {
        let state = hub.lock();
        (Arc::clone(&state.hello), state.generation, state.is_announced)
    };
    let mut patience = Patience::new(HELLO_WAIT);
    let greeted =
        socket.set_write_timeout(Some(WRITE_SLICE)).and_then(|()| link.send_all(&hello, |_| !patience.is_spent()));
    let mut state = hub.lock();
    state.greeting -= 1;
    // Between HELLO and here the format may have changed; such a client has to ask again.
    if greeted.is_err() || !is_announced || state.generation != generation || state.closing {
        return None;
    }
    let key = state.ring.join(id);
    state.sockets.push((key, socket));
    drop(state);
    hub.room.notify_all();
    Some(key)
}

/// Sends containers until the client leaves or has got its last one.
fn serve(hub: &Hub, link: &mut Link, key: u64) {
    let mut state = hub.lock();
    while !state.cut_off {
        match state.ring.task(key) {
            Task::Close => return,
            Task::Wait => {
                let before = Instant::now();
                state = hub.wait_on(&hub.work, state, IDLE_PROBE);
                if before.elapsed() >= IDLE_PROBE {
                    drop(state);
                    if !link.is_listening_peer() {
                        return;
                    }
                    state = hub.lock();
                }
            }
            Task::Send(bytes) => {
                drop(state);
                if let Err(error) = send_container(hub, link, &bytes) {
                    log_departure(&error);
                    return;
                }
                let count = u16::from_le_bytes([bytes[12], bytes[13]]);
                // The ring may fill its memory again.
                drop(bytes);
                state = hub.lock();
                state.ring.delivered(key, count);
                hub.room.notify_all();
            }
        }
    }
}

fn send_container(hub: &Hub, link: &mut Link, bytes: &[u8]) -> io::Result<()> {
    let mut counted = 0;
    let outcome = link.send_all(bytes, |sent| {
        hub.progress.fetch_add((sent - counted) as u64, Ordering::Relaxed);
        counted = sent;
        !hub.lock().cut_off
    });
    hub.progress.fetch_add((bytes.len() - counted) as u64, Ordering::Relaxed);
    outcome
}

fn leave(hub: &Hub, key: u64) {
    let mut state = hub.lock();
    let left = state.ring.leave(key);
    state.sockets.retain(|(other, _)| *other != key);
    // The end of the program waits for what is said of its clients.
    state.departing += 1;
    drop(state);
    hub.room.notify_all();
    if let Some((client, before)) = left {
        let ClientStats { id, published, sent_messages, skipped_messages, queued_messages, .. } = client;
        log::verbose!(
            "output {}: client {id} left: {published} messages after {before} = {sent_messages} sent + {skipped_messages} skipped \
             + {queued_messages} not delivered",
            hub.name
        );
    }
    hub.lock().departing -= 1;
    hub.room.notify_all();
}

fn log_departure(error: &io::Error) {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::TimedOut => {
            log::verbose!("client left: {error}");
        }
        _ => log::notice!("client removed after an unexpected error: {error}"),
    }
}
