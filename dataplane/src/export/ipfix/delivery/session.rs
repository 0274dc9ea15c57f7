//! One transport session to a collector: what was sent in it and is not acknowledged, and which templates it was told.
use crate::export::ipfix::link::Link;
use crate::export::spool::Mark;
use record::ipfix::{Decoder, Limits};
use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A collector that acknowledges nothing for so long is left.
const STALL: Duration = Duration::from_secs(30);
/// Largest receive buffer of a Linux socket by default (tcp(7), tcp_rmem), bytes.
const UNREAD_MAX: u64 = 6 << 20;
/// Messages remembered for that, at the most.
const UNREAD_MESSAGES_MAX: usize = 16_384;

/// Of what it told itself: all templates of a run, those of options among them.
const LIMITS: Limits = Limits { domains_max: 1, templates_max: 8192, fields_max: u16::MAX, memory_max: 256 << 20 };

pub(super) struct Session {
    pub(super) link: Link,
    /// Whose messages these are.
    pub(super) run: u64,
    sequence: u32,
    /// Counts the options records in messages without flows.
    reader: Decoder,
    /// Templates of this run that were sent, and when all of them were.
    told: usize,
    told_at: Instant,
    /// Template messages of an earlier run that were sent.
    told_earlier: Vec<Vec<u8>>,
    /// What has not been acknowledged, in order.
    pub(super) window: VecDeque<Sent>,
    /// Records that were acknowledged.
    pub(super) arrived: u64,
    /// Ends and records of what was acknowledged last.
    pub(super) unread: VecDeque<(u64, u32)>,
    /// When something was acknowledged last.
    pub(super) progress: Instant,
}

pub(super) struct Sent {
    /// Where in the stream it ends.
    pub(super) end: u64,
    pub(super) records: u32,
    pub(super) origin: Origin,
}

pub(super) enum Origin {
    /// It exists here alone.
    Memory(Vec<u8>),
    Spool(Mark),
    /// Sent anew by each session, or not worth it.
    Preface,
}

impl Session {
    pub(super) fn new(link: Link, run: u64) -> Session {
        Session {
            link,
            run,
            sequence: 0,
            reader: Decoder::new(LIMITS),
            told: 0,
            told_at: Instant::now(),
            told_earlier: Vec::new(),
            window: VecDeque::new(),
            arrived: 0,
            unread: VecDeque::new(),
            progress: Instant::now(),
        }
    }

    /// Sends the templates and lasting options of this run that it has not sent.
    pub(super) fn tell(&mut self, templates: &[Vec<u8>]) {
        let from = self.told;
        self.told = templates.len();
        templates[from..].iter().for_each(|message| self.push(message, 0, Origin::Preface));
    }

    /// Sends the templates of this run again if that was so long ago: over datagrams nobody says whether they arrived.
    pub(super) fn repeat(&mut self, templates: &[Vec<u8>], every: Duration) {
        if self.told_at.elapsed() >= every {
            self.told_at = Instant::now();
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as u32);
            for message in &templates[..self.told] {
                let mut message = message.clone();
                if let Some(time) = message.get_mut(EXPORT_TIME) {
                    time.copy_from_slice(&now.to_be_bytes());
                }
                self.push(&message, 0, Origin::Preface);
            }
        }
    }

    /// Sends a message that waited.
    pub(super) fn again(&mut self, templates: &[Vec<u8>], own: u64, message: &[u8], records: u32, origin: Origin) {
        if self.run == own {
            self.tell(templates);
        }
        let known = records == 0 && (self.run == own || self.told_earlier.iter().any(|told| same(told, message)));
        if known {
            // Nothing to send, but what it marks has its turn behind all that was sent before.
            let end = self.window.back().map_or(0, |last| last.end);
            return self.window.push_back(Sent { end, records, origin });
        }
        if records == 0 {
            self.told_earlier.push(message.to_vec());
        }
        self.push(message, records, origin);
    }

    pub(super) fn push(&mut self, message: &[u8], records: u32, origin: Origin) {
        if self.window.is_empty() {
            self.progress = Instant::now();
        }
        let mut message = message.to_vec();
        if let Some(sequence) = message.get_mut(SEQUENCE) {
            sequence.copy_from_slice(&self.sequence.to_be_bytes());
        }
        let options = |reader: &mut Decoder| reader.decode(&message, &mut |_| {}).map_or(0, |summary| summary.records);
        let counted = if records == 0 { options(&mut self.reader) } else { records };
        self.sequence = self.sequence.wrapping_add(counted);
        let end = self.link.push(&message);
        self.window.push_back(Sent { end, records, origin });
    }

    /// The collector's kernel has it; the collector may not.
    pub(super) fn read_maybe(&mut self, sent: &Sent) {
        self.unread.push_back((sent.end, sent.records));
        let oldest = sent.end.saturating_sub(UNREAD_MAX);
        while self.unread.len() > UNREAD_MESSAGES_MAX || self.unread.front().is_some_and(|(end, _)| *end <= oldest) {
            self.unread.pop_front();
        }
    }

    pub(super) fn is_stalled(&self) -> bool {
        !self.window.is_empty() && self.progress.elapsed() > STALL
    }
}

/// Where the time of a message stands in it, seconds, and the sequence number (RFC 7011 section 3.1).
const EXPORT_TIME: std::ops::Range<usize> = 4..8;
const SEQUENCE: std::ops::Range<usize> = 8..12;

/// Whether two messages say the same, whenever they were sent.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.get(16..) == b.get(16..)
}
