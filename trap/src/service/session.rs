//! One client of the service: asks, gets its answer, may ask again. Nothing blocks; what takes too long is closed.

use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};

use super::board::Board;
use super::wire::{self, Requests};
use crate::net;

/// For the rest of a request that has begun: 8 times 25 ms in the original.
const REQUEST_WAIT: Duration = Duration::from_millis(200);
/// For taking an answer.
const REPLY_WAIT: Duration = Duration::from_secs(1);
/// A client that asks nothing for so long gives its place to others. The supervisor asks every 2 s, `trap_stats` every 3 s.
const IDLE_MAX: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Session {
    socket: UnixStream,
    requests: Requests,
    /// Answer under way, and how much of it was taken.
    reply: Vec<u8>,
    sent: usize,
    /// When what is awaited must have come.
    deadline: Instant,
}

impl Session {
    pub(super) fn new(socket: UnixStream) -> Self {
        let (requests, reply) = (Requests::default(), Vec::new());
        Self { socket, requests, reply, sent: 0, deadline: Instant::now() + IDLE_MAX }
    }

    /// What to wait for. While an answer is under way no further request is read, so one answer is all that is held.
    pub(super) fn poll_fd(&self) -> PollFd<'_> {
        let wanted = if self.reply.is_empty() { PollFlags::POLLIN } else { PollFlags::POLLOUT };
        PollFd::new(self.socket.as_fd(), wanted)
    }

    /// Goes on as far as it can without waiting. `Break` means that the client is gone or to be closed.
    pub(super) fn go_on(&mut self, is_ready: bool, board: &Board) -> ControlFlow<()> {
        if is_ready {
            if self.reply.is_empty() {
                self.read(board)?;
            }
            self.write()?;
        }
        if Instant::now() < self.deadline { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    /// When to look again even if nothing comes.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    fn read(&mut self, board: &Board) -> ControlFlow<()> {
        let was_pending = self.requests.is_pending();
        match self.socket.read(self.requests.spare()) {
            Ok(0) => return ControlFlow::Break(()),
            Ok(len) => {
                if let Some(request) = self.requests.filled(len)? {
                    self.reply = wire::reply(request, &board.to_json());
                    (self.sent, self.deadline) = (0, Instant::now() + REPLY_WAIT);
                } else if !was_pending {
                    self.deadline = Instant::now() + REQUEST_WAIT;
                }
            }
            Err(error) if net::is_transient(&error) => {}
            Err(_) => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    fn write(&mut self) -> ControlFlow<()> {
        while self.sent < self.reply.len() {
            match self.socket.write(&self.reply[self.sent..]) {
                Ok(0) => return ControlFlow::Break(()),
                Ok(len) => self.sent += len,
                Err(error) if net::is_transient(&error) => return ControlFlow::Continue(()),
                Err(_) => return ControlFlow::Break(()),
            }
        }
        if !self.reply.is_empty() {
            self.reply = Vec::new();
            self.deadline = Instant::now() + IDLE_MAX;
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_trickles_gets_no_more_time() {
        let (socket, mut client) = UnixStream::pair().expect("a pair");
        socket.set_nonblocking(true).expect("set");
        let (mut session, board) = (Session::new(socket), Board { inputs: vec![], outputs: vec![] });
        let idle = session.deadline();
        let mut after = |bytes: &[u8]| {
            client.write_all(bytes).expect("room");
            assert!(session.go_on(true, &board).is_continue());
            session.deadline()
        };
        let first = after(&[10]);
        assert!(first < idle);
        assert_eq!([after(&[0]), after(&[0, 0]), after(&[0])], [first; 3]);
    }
}
