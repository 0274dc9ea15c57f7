//! The thread of the service: waits for all its clients at once.

use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::CLIENTS_MAX;
use super::board::Board;
use super::session::Session;
use crate::log;
use crate::net;

/// Pause when the system refuses to poll or accept, as when the limit of open files is reached.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until the other end of `woken` is closed.
pub(super) fn run(listener: &UnixListener, woken: &UnixStream, board: &Board) {
    let mut sessions: Vec<Session> = Vec::new();
    loop {
        let waiting = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut fds = vec![waiting(woken.as_fd()), waiting(listener.as_fd())];
        fds.extend(sessions.iter().map(Session::poll_fd));
        match poll(&mut fds, next_look(&sessions)) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(error) => {
                log::verbose!("service interface: poll failed: {error}");
                thread::sleep(PAUSE);
            }
        }
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
        if ready[0] {
            return;
        }
        let mut of_sessions = ready[2..].iter();
        sessions.retain_mut(|session| session.go_on(of_sessions.next() == Some(&true), board).is_continue());
        if ready[1] {
            accept(listener, &mut sessions);
        }
    }
}

/// Time until the first client is to be closed; no limit when there is no client.
fn next_look(sessions: &[Session]) -> PollTimeout {
    let Some(first) = sessions.iter().map(Session::deadline).min() else { return PollTimeout::NONE };
    // One millisecond more, so that it has passed when we look.
    let left = first.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
    PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
}

fn accept(listener: &UnixListener, sessions: &mut Vec<Session>) {
    match listener.accept() {
        // Closed at once, as the original.
        Ok(_) if sessions.len() >= CLIENTS_MAX => {}
        Ok((socket, _)) => match socket.set_nonblocking(true) {
            Ok(()) => sessions.push(Session::new(socket)),
            Err(error) => log::verbose!("service interface: client refused: {error}"),
        },
        Err(error) if net::is_transient(&error) => {}
        Err(error) => {
            log::verbose!("service interface: accepting failed: {error}");
            thread::sleep(PAUSE);
        }
    }
}
