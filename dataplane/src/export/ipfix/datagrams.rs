//! IPFIX over UDP: messages are gathered and leave by one system call for many.
use super::wire::Loss;
use crate::export::RecordDrop;
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use sys::{SEND_MAX, send_many};

/// Bytes gathered at the most; one message more may lie behind them.
const GATHER_BYTES: usize = 128 << 10;
/// Refusals in a row after which a datagram is given up: each is an error that the kernel tells once, about an earlier one.
const REFUSALS_MAX: u32 = 4;

/// Datagrams to a connected socket. A port where nobody listens answers with an ICMP error, which the kernel tells once, on the next
/// datagram, and keeps that one from going out (`sock_error` in net/core/sock.c): it is about the datagram before, and this one goes
/// again. A message that is given up has its place in the sequence numbers, so the collector sees the gap.
pub(super) struct Datagrams {
    socket: UdpSocket,
    to: String,
    /// Messages that wait, back to back.
    waiting: Vec<u8>,
    /// Where each of them ends, and its records.
    ends: Vec<(usize, u64)>,
    /// Records of the datagram sent last.
    last: u64,
    lost: u64,
    trouble: Option<String>,
    templates_lost: bool,
}

impl Datagrams {
    /// `to` is for messages.
    pub(super) fn new(socket: UdpSocket, to: String) -> Datagrams {
        Datagrams {
            socket,
            to,
            waiting: Vec::with_capacity(GATHER_BYTES + usize::from(u16::MAX)),
            ends: Vec::with_capacity(SEND_MAX),
            last: 0,
            lost: 0,
            trouble: None,
            templates_lost: false,
        }
    }

    pub(super) fn send(&mut self, message: &[u8], records: u64) {
        self.waiting.extend_from_slice(message);
        self.ends.push((self.waiting.len(), records));
        if self.ends.len() >= SEND_MAX || self.waiting.len() >= GATHER_BYTES {
            self.flush();
        }
    }

    /// Sends what waits. Each turn of the loop sends a datagram, gives one up, or takes one of few refusals.
    pub(super) fn flush(&mut self) {
        let (mut at, mut refusals, mut suspect) = (0, 0, false);
        while at < self.ends.len() {
            let messages = (at..self.ends.len()).map(|n| &self.waiting[self.start(n)..self.ends[n].0]);
            match send_many(self.socket.as_fd(), messages) {
                Ok(sent) if sent > 0 => {
                    // What went wrong between the calls is gone with the second try: it was about a datagram sent before.
                    if suspect {
                        self.refused("a datagram was refused");
                    }
                    at += sent;
                    refusals = 0;
                    self.last = self.ends[at - 1].1;
                    suspect = at < self.ends.len();
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused && refusals < REFUSALS_MAX => {
                    self.refused(&e.to_string());
                    refusals += 1;
                    suspect = false;
                }
                failed => {
                    // The error is this datagram's own, and so was the one that was swallowed before.
                    let why = failed.map_or_else(|e| e.to_string(), |_| "nothing was sent".into());
                    let records = self.ends[at].1;
                    self.templates_lost |= records == 0;
                    self.lose(records, &why);
                    (self.last, suspect, refusals) = (0, false, 0);
                    at += 1;
                }
            }
        }
        self.waiting.clear();
        self.ends.clear();
    }

    /// Sends what waits and hears what became of it.
    pub(super) fn close(&mut self) {
        self.flush();
        if let Ok(Some(e)) = self.socket.take_error() {
            self.refused(&e.to_string());
        }
    }

    /// Records that turned out to be lost.
    pub(super) fn loss(&mut self) -> Option<Loss> {
        if self.lost == 0 && self.trouble.is_none() {
            return None;
        }
        let records = std::mem::take(&mut self.lost);
        Some(Loss { reason: RecordDrop::SendFailed, records, trouble: self.trouble.take() })
    }

    /// Whether templates were among what was lost, since the last time this was asked.
    pub(super) fn templates_lost(&mut self) -> bool {
        std::mem::take(&mut self.templates_lost)
    }

    fn start(&self, n: usize) -> usize {
        n.checked_sub(1).map_or(0, |before| self.ends[before].0)
    }

    /// The datagram sent last did not arrive.
    fn refused(&mut self, why: &str) {
        let records = std::mem::take(&mut self.last);
        self.lose(records, why);
    }

    fn lose(&mut self, records: u64, why: &str) {
        self.lost += records;
        self.trouble = Some(format!("{}: {why}", self.to));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(port: u16) -> Datagrams {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.connect(("127.0.0.1", port)).expect("loopback");
        Datagrams::new(socket, "udp here".into())
    }

    #[test]
    fn gathered_messages_go_out_when_many_wait_and_at_the_end() {
        let there = UdpSocket::bind("127.0.0.1:0").expect("a port");
        there.set_nonblocking(true).expect("a socket");
        let mut datagrams = to(there.local_addr().expect("bound").port());
        let arrived = || std::iter::from_fn(|| there.recv(&mut [0; 2000]).ok()).count();
        for _ in 1..SEND_MAX {
            datagrams.send(&[1; 1400], 3);
        }
        assert_eq!(arrived(), 0);
        datagrams.send(&[1; 1400], 3);
        assert_eq!(arrived(), SEND_MAX);
        datagrams.send(&[1; 20], 1);
        datagrams.close();
        assert_eq!((arrived(), datagrams.loss().is_none()), (1, true));
    }

    #[test]
    fn every_record_to_a_closed_port_is_lost_once() {
        let closed = UdpSocket::bind("127.0.0.1:0").and_then(|s| s.local_addr()).expect("a port that is free again");
        for messages in [1, 2, SEND_MAX, SEND_MAX + 1, 1000] {
            let mut datagrams = to(closed.port());
            for n in 0..messages {
                datagrams.send(&[0; 100], n as u64);
            }
            datagrams.close();
            let loss = datagrams.loss().expect("nobody listens");
            assert_eq!(loss.records, (0..messages as u64).sum::<u64>(), "{messages} messages");
            assert!(loss.trouble.expect("words").contains("refused"));
            assert!(!datagrams.templates_lost(), "a refused datagram is as good as one lost on the way");
        }
    }

    #[test]
    fn a_datagram_that_is_too_large_is_lost_alone() {
        let there = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let mut datagrams = to(there.local_addr().expect("bound").port());
        for (bytes, records) in [(100, 1), (65_535, 0), (100, 2), (65_535, 40), (100, 4), (65_535, 80)] {
            datagrams.send(&vec![0; bytes], records);
        }
        datagrams.close();
        assert_eq!(datagrams.loss().map(|l| l.records), Some(120));
        assert!(datagrams.templates_lost() && !datagrams.templates_lost());
    }
}
