//! Messages over UDP (IPFIX, NetFlow): they are gathered and leave by one system call for many, those of equal size by one way through
//! the kernel.
use crate::export::{Loss, RecordDrop};
use order::Arranger;
use std::io;
use std::net::UdpSocket;
use std::ops::Range;
use std::os::fd::AsFd;
use sys::{RUN_BYTES_MAX, RUN_MAX, Run, SEND_MAX, send_many};

mod order;

/// Messages gathered at the most: a receiver's usual buffer (net.core.rmem_default) has room for some 92 datagrams of 1,458 bytes. The more there
/// are, the more are of equal size.
const GATHER_MAX: usize = 64;
/// Bytes gathered at the most, unless a message alone is longer.
const GATHER_BYTES: usize = GATHER_MAX * 1_458;
/// Refusals in a row after which a datagram is given up: each is an error that the kernel tells once, about an earlier one.
const REFUSALS_MAX: u32 = 4;

/// Datagrams to a connected socket. A port where nobody listens answers with an ICMP error, which the kernel tells once, on the next
/// datagram, and keeps that one from going out (`sock_error` in net/core/sock.c): it is about the datagram before, and this one goes
/// again. A message that is given up has its place in the sequence numbers, so the collector sees the gap.
///
/// Messages of equal size go as a [`Run`], which is one datagram in all of this until the kernel cuts it: refused as one, lost as one.
/// Flows of one kind fill all their messages alike; those of several kinds are put in an order that makes runs, where that is free.
pub(super) struct Datagrams {
    socket: UdpSocket,
    to: String,
    /// Messages that wait, back to back.
    waiting: Vec<u8>,
    /// Where each of them ends, and its records.
    ends: Vec<(usize, u64)>,
    /// Where the order of messages is free: puts those that wait in a better one.
    arranger: Option<Arranger>,
    /// Messages in a run at the most: 1 if the kernel, or the way to the peer, does not take runs.
    run_max: usize,
    /// Length of each of them at the most: a longer message is one that IP has to cut, which it does with datagrams but not with runs.
    each_max: usize,
    /// Records of the run sent last.
    last: u64,
    lost: u64,
    trouble: Option<String>,
    templates_lost: bool,
}

impl Datagrams {
    /// `to` is for messages.
    pub(super) fn new(socket: UdpSocket, to: String) -> Datagrams {
        Datagrams {
            run_max: if sys::cuts_runs(socket.as_fd()) { RUN_MAX } else { 1 },
            each_max: usize::from(u16::MAX),
            socket,
            to,
            waiting: Vec::with_capacity(GATHER_BYTES.max(usize::from(u16::MAX))),
            ends: Vec::with_capacity(GATHER_MAX),
            arranger: None,
            last: 0,
            lost: 0,
            trouble: None,
            templates_lost: false,
        }
    }

    /// As [`Datagrams::new`], for IPFIX: messages with flows that wait together go in any order, and are numbered in it; those above
    /// `mtu` go alone.
    pub(super) fn of_ipfix(socket: UdpSocket, to: String, mtu: u16) -> Datagrams {
        Datagrams { arranger: Some(Arranger::default()), each_max: mtu.into(), ..Datagrams::new(socket, to) }
    }

    pub(super) fn send(&mut self, message: &[u8], records: u64) {
        if self.ends.len() >= GATHER_MAX || self.waiting.len() + message.len() > GATHER_BYTES {
            self.flush();
        }
        self.waiting.extend_from_slice(message);
        self.ends.push((self.waiting.len(), records));
    }

    /// Sends what waits. Each turn of the loop sends a run, gives one up, takes one of few refusals, or goes over to single messages.
    pub(super) fn flush(&mut self) {
        let (mut at, mut refusals, mut suspect) = (0, 0, false);
        let mut run_max = self.run_max;
        if let Some(arranger) = self.arranger.as_mut().filter(|_| run_max > 1) {
            arranger.arrange(&mut self.waiting, &mut self.ends);
        }
        while at < self.ends.len() {
            let waiting = self.runs_from(at, run_max).map(|run| self.bytes(&run));
            match send_many(self.socket.as_fd(), waiting) {
                Ok(sent) if sent > 0 => {
                    // What went wrong between the calls is gone with the second try: it was about a run sent before.
                    if suspect {
                        self.refused("a datagram was refused");
                    }
                    let last = self.runs_from(at, run_max).nth(sent - 1).unwrap_or(at..self.ends.len());
                    at = last.end;
                    refusals = 0;
                    self.last = self.records(last);
                    suspect = sent < SEND_MAX && at < self.ends.len();
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused && refusals < REFUSALS_MAX => {
                    self.refused(&e.to_string());
                    refusals += 1;
                    suspect = false;
                }
                // The error is the run's own. What does not go in one piece may well go message by message; nothing of it was sent.
                Err(e) if self.run(at, run_max).len() > 1 => {
                    (run_max, suspect) = (1, false);
                    if sys::refuses_runs(&e) {
                        self.run_max = run_max;
                    }
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

    /// What waits from a message on.
    fn runs_from(&self, at: usize, run_max: usize) -> impl Iterator<Item = Range<usize>> + '_ {
        let first = (at < self.ends.len()).then(|| self.run(at, run_max));
        std::iter::successors(first, move |before| {
            (before.end < self.ends.len()).then(|| self.run(before.end, run_max))
        })
    }

    /// The run that begins with a message. Templates go alone: they may be longer than the path's MTU, which runs may not.
    fn run(&self, from: usize, run_max: usize) -> Range<usize> {
        let each = self.length(from);
        let (mut to, mut bytes) = (from + 1, each);
        let mut open = self.ends[from].1 > 0 && each <= self.each_max;
        while open && to < self.ends.len() && to - from < run_max {
            let length = self.length(to);
            bytes += length;
            if self.ends[to].1 == 0 || length > each || bytes > RUN_BYTES_MAX {
                break;
            }
            // A shorter one is the last.
            open = length == each;
            to += 1;
        }
        from..to
    }

    fn bytes(&self, run: &Range<usize>) -> Run<'_> {
        Run { bytes: &self.waiting[self.start(run.start)..self.start(run.end)], each: self.length(run.start) }
    }

    fn records(&self, run: Range<usize>) -> u64 {
        self.ends[run].iter().map(|(_, records)| records).sum()
    }

    /// Where message `n` begins, and the one before it ends.
    fn start(&self, n: usize) -> usize {
        n.checked_sub(1).map_or(0, |before| self.ends[before].0)
    }

    fn length(&self, n: usize) -> usize {
        self.start(n + 1) - self.start(n)
    }

    /// The run sent last did not arrive.
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

    /// A receiver that does not wait, and the way to it.
    fn pair() -> (UdpSocket, Datagrams) {
        let there = UdpSocket::bind("127.0.0.1:0").expect("a port");
        there.set_nonblocking(true).expect("a socket");
        let here = to(there.local_addr().expect("bound").port());
        (there, here)
    }

    fn arrived(there: &UdpSocket) -> Vec<Vec<u8>> {
        let mut buffer = vec![0; 1 << 16];
        std::iter::from_fn(|| there.recv(&mut buffer).ok().map(|length| buffer[..length].to_vec())).collect()
    }

    #[test]
    fn gathered_messages_go_out_when_many_wait_and_at_the_end() {
        let (there, mut datagrams) = pair();
        for _ in 0..GATHER_MAX {
            datagrams.send(&[1; 1400], 3);
        }
        assert_eq!(arrived(&there).len(), 0);
        datagrams.send(&[1; 1400], 3);
        assert_eq!(arrived(&there).len(), GATHER_MAX);
        datagrams.send(&[1; 20], 1);
        datagrams.close();
        assert_eq!((arrived(&there).len(), datagrams.loss().is_none()), (2, true));
    }

    /// Messages of sizes that make runs of all kinds, with templates among them.
    fn messages() -> Vec<(Vec<u8>, u64)> {
        let sizes =
            [1397, 1397, 1397, 440, 1397, 125, 1397, 1458, 1458, 90, 90, 2000, 700, 30_000, 30_000, 30_000, 65_000, 1];
        let sizes = sizes.into_iter().chain([600; 70]).chain([20; 300]).chain([1397; 100]);
        let message = |(n, size): (usize, usize)| {
            let bytes = (0..size).map(|at| (n * 31 + at) as u8).collect();
            (bytes, if n % 23 == 11 { 0 } else { n as u64 + 1 })
        };
        sizes.enumerate().map(message).collect()
    }

    #[test]
    fn datagrams_are_the_messages_in_order_with_runs_and_without() {
        for run_max in [RUN_MAX, 2, 1] {
            let (there, mut datagrams) = pair();
            datagrams.run_max = run_max;
            let mut seen = Vec::new();
            for (message, records) in messages() {
                datagrams.send(&message, records);
                seen.extend(arrived(&there));
            }
            datagrams.close();
            seen.extend(arrived(&there));
            let sent: Vec<_> = messages().into_iter().map(|(message, _)| message).collect();
            assert!(seen == sent, "in runs of {run_max}");
            assert!(datagrams.loss().is_none());
            assert_eq!(datagrams.run_max, run_max);
        }
    }

    #[test]
    fn messages_of_equal_size_are_a_run_and_a_shorter_one_ends_it() {
        let (_there, mut datagrams) = pair();
        for (bytes, records) in [(50, 0), (40, 1), (40, 1), (30, 1), (30, 1), (40, 1), (40, 0), (40, 1), (50, 1)] {
            datagrams.send(&vec![0; bytes], records);
        }
        let runs = |max| datagrams.runs_from(0, max).map(|run| run.len()).collect::<Vec<_>>();
        assert_eq!(runs(RUN_MAX), [1, 3, 1, 1, 1, 1, 1]);
        assert_eq!(runs(1), [1; 9]);
    }

    #[test]
    fn what_the_kernel_does_not_take_as_a_run_goes_message_by_message() {
        let (there, mut datagrams) = pair();
        // More than UDP_MAX_SEGMENTS, and more than one call sends alone.
        let messages: Vec<_> = (0..200).map(|n| vec![n; 20]).collect();
        datagrams.run_max = messages.len();
        for message in &messages {
            datagrams.waiting.extend(message);
            datagrams.ends.push((datagrams.waiting.len(), 1));
        }
        datagrams.close();
        assert!(arrived(&there) == messages);
        assert_eq!((datagrams.run_max, datagrams.loss().is_none()), (1, true));
    }

    #[test]
    fn every_record_to_a_closed_port_is_lost_once() {
        let closed = UdpSocket::bind("127.0.0.1:0").and_then(|s| s.local_addr()).expect("a port that is free again");
        for (messages, run_max) in
            [1, 2, SEND_MAX, SEND_MAX + 1, RUN_MAX + 1, 1000].map(|n| [(n, 1), (n, RUN_MAX)]).as_flattened()
        {
            let mut datagrams = to(closed.port());
            datagrams.run_max = *run_max;
            for n in 0..*messages {
                datagrams.send(&vec![0; 100 + n % 3 / 2], n as u64);
            }
            datagrams.close();
            let loss = datagrams.loss().expect("nobody listens");
            assert_eq!(loss.records, (0..*messages as u64).sum::<u64>(), "{messages} messages, runs of {run_max}");
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
