//! One direction's bytes by their sequence numbers (RFC 9293 section 3.4): which were seen, which were not, which were acknowledged.
//!
//! All comparisons are those of serial numbers: what lies within 2^30, the largest window (RFC 7323 section 2.3), is before or behind; what lies farther
//! away belongs to another connection. Kept are the highest number and up to [`GAPS_MAX`] gaps below it. If there are more, the lowest one is forgotten as
//! it is: what fills it later counts as sent again.
use crate::packet::PacketView;
use crate::packet::tcp::{self, after, distance};
use record::Time;
use record::pack::{Pack, Packer, Unpacker};

/// Gaps of a direction that are kept.
pub(super) const GAPS_MAX: usize = 8;
/// Bytes between two numbers of one connection at the most.
const WINDOW_MAX: u32 = 1 << 30;

/// What one packet says of its stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) seq: u32,
    pub(super) ack: u32,
    /// Payload bytes by the IP header's length: a snap length does not shorten it.
    pub(super) len: u32,
    pub(super) flags: u8,
    pub(super) window: u16,
    pub(super) at: Time,
}

impl Segment {
    /// `None` if the packet does not carry its TCP header.
    pub(super) fn of(view: &PacketView<'_, '_>) -> Option<Segment> {
        Some(Segment {
            seq: view.tcp_seq()?,
            ack: view.tcp_ack()?,
            len: view.packet.payload_wire.into(),
            flags: view.packet.tcp_flags,
            window: view.tcp_window()?,
            at: view.packet.at,
        })
    }

    /// Whether it has any of these flags.
    pub(super) fn has(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }

    /// The number behind it: SYN and FIN have one each.
    fn end(&self) -> u32 {
        let marks = u32::from(self.has(tcp::SYN)) + u32::from(self.has(tcp::FIN));
        self.seq.wrapping_add(self.len).wrapping_add(marks)
    }
}

/// What a segment was for its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// No byte, or a probe whether the other side is still there.
    Nothing,
    /// What was expected next, or something beyond it.
    New { is_behind_gap: bool },
    /// Late, but so soon that it cannot have been sent again.
    OutOfOrder,
    /// Sent again; so many bytes of payload below the highest number.
    Again { bytes: u32 },
}

/// One direction of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stream {
    /// Whether there is a highest number.
    is_known: bool,
    /// Whether the other side has acknowledged anything.
    is_acked: bool,
    /// The first number seen, and when: what is below was before our time.
    floor: u32,
    since: Time,
    /// Behind the highest byte seen.
    next: u32,
    /// The highest acknowledgement of this stream.
    acked: u32,
    /// The window that its sender announced last.
    window: u16,
    gaps: Gaps,
}

record::packed!(Stream {
    is_known: bool,
    is_acked: bool,
    floor: u32,
    since: Time,
    next: u32,
    acked: u32,
    window: u16,
    gaps: Gaps,
});

impl Stream {
    /// Whether the segment is of another connection than what was seen: its SYN has another number, or the numbers are too far apart.
    pub(super) fn starts_anew(&self, segment: &Segment) -> bool {
        if !self.is_known {
            return false;
        }
        if segment.has(tcp::SYN) {
            // Data that came before its SYN begins right behind it.
            return segment.seq != self.floor && segment.seq.wrapping_add(1) != self.floor;
        }
        distance(self.next, segment.seq).unsigned_abs() > WINDOW_MAX
    }

    /// Whether a segment of this side is a duplicate acknowledgement (RFC 5681 section 2) of the other side's stream: nothing but the highest
    /// acknowledgement once more, with the same window, while more is on its way. A closed window's answers to probes are none.
    pub(super) fn repeats_ack(&self, peer: &Stream, segment: &Segment) -> bool {
        let is_bare = segment.len == 0 && !segment.has(tcp::SYN | tcp::FIN) && segment.window != 0;
        // A probe whether we are still there has an older number (RFC 9293 section 3.8.4).
        let is_last = self.is_known && segment.seq == self.next && segment.window == self.window;
        let is_repeated = peer.is_acked && segment.ack == peer.acked;
        is_bare && is_last && is_repeated && peer.is_known && after(peer.next, segment.ack)
    }

    /// The other side has got all below `ack`: what of it is in gaps moves from the one count to the other.
    pub(super) fn acknowledge(&mut self, ack: u32, missing: &mut u64, unseen: &mut u64) {
        if !self.is_known || distance(self.next, ack).unsigned_abs() > WINDOW_MAX {
            return;
        }
        if self.is_acked && !after(ack, self.acked) {
            return;
        }
        let before = self.gaps.iter().map(|gap| self.acked_of(gap)).sum::<u64>();
        (self.is_acked, self.acked) = (true, ack);
        let moved = self.gaps.iter().map(|gap| self.acked_of(gap)).sum::<u64>().saturating_sub(before);
        *missing = missing.saturating_sub(moved);
        *unseen += moved;
    }

    /// Takes what its sender sent. `late_ns`: how late it may come and still be out of order.
    pub(super) fn send(&mut self, segment: &Segment, late_ns: u64, missing: &mut u64, unseen: &mut u64) -> Sent {
        let (seq, end) = (segment.seq, segment.end());
        self.window = segment.window;
        if !self.is_known {
            (self.is_known, self.floor, self.since, self.next) = (true, seq, segment.at, end);
            return Sent::New { is_behind_gap: false };
        }
        let next = self.next;
        if !after(next, seq) {
            let is_behind_gap = after(seq, next);
            if is_behind_gap {
                let gap = Gap { from: next, to: seq, at: segment.at };
                let acked = self.acked_of(&gap);
                *unseen += acked;
                *missing += gap.len() - acked;
                self.gaps.push(gap);
            }
            self.next = end;
            return if is_behind_gap || end != seq { Sent::New { is_behind_gap } } else { Sent::Nothing };
        }
        if end == seq {
            return Sent::Nothing;
        }
        let (was_below, ends_beyond) = (if after(end, next) { next } else { end }, after(end, next));
        let filled = self.fill(seq, was_below, missing, unseen);
        if ends_beyond {
            self.next = end;
        }
        let below = was_below.wrapping_sub(seq);
        match filled {
            // Keep-alives (RFC 9293 section 3.8.4) and repeated probes of a closed window (3.8.6.1) have the last byte once more.
            None if below == 1 && end == next && !segment.has(tcp::SYN | tcp::FIN) => Sent::Nothing,
            // When a window opens, the probe's byte is sent with the rest.
            None if below == 1 && ends_beyond && segment.len > 1 => Sent::New { is_behind_gap: false },
            Some(Filled { bytes, at }) if bytes == below && segment.at.0.saturating_sub(at.0) < late_ns => {
                Sent::OutOfOrder
            }
            _ => Sent::Again { bytes: segment.len.min(below - u32::from(segment.has(tcp::SYN))) },
        }
    }

    /// How long the last segment was is not known: the next one tells where the stream has come to.
    pub(super) fn lose_track(&mut self) {
        self.is_known = false;
        self.gaps = Gaps::default();
    }

    /// Bytes acknowledged beyond the highest seen.
    pub(super) fn unseen_tail(&self) -> u64 {
        let is_beyond = self.is_known && self.is_acked && after(self.acked, self.next);
        if is_beyond { self.acked.wrapping_sub(self.next).into() } else { 0 }
    }

    /// Bytes of `from..to`, all below the highest number, that had not been seen; `None` if there were none.
    fn fill(&mut self, from: u32, to: u32, missing: &mut u64, unseen: &mut u64) -> Option<Filled> {
        let mut filled: Option<Filled> = None;
        let mut note = |bytes: u32, at: Time| match &mut filled {
            Some(all) => {
                all.bytes += bytes;
                all.at = all.at.min(at);
            }
            None => filled = Some(Filled { bytes, at }),
        };
        if after(self.floor, from) {
            let end = if after(to, self.floor) { self.floor } else { to };
            note(end.wrapping_sub(from), self.since);
            // Now that part is known, if nothing lies between.
            if !after(self.floor, to) {
                self.floor = from;
            }
        }
        let mut left = Gaps::default();
        for gap in self.gaps.iter() {
            let start = if after(from, gap.from) { from } else { gap.from };
            let end = if after(gap.to, to) { to } else { gap.to };
            if !after(end, start) {
                left.push(*gap);
                continue;
            }
            let part = Gap { from: start, to: end, at: gap.at };
            let acked = self.acked_of(&part);
            *unseen = unseen.saturating_sub(acked);
            *missing = missing.saturating_sub(part.len() - acked);
            note(end.wrapping_sub(start), gap.at);
            for rest in [Gap { to: start, ..*gap }, Gap { from: end, ..*gap }] {
                if rest.len() > 0 {
                    left.push(rest);
                }
            }
        }
        self.gaps = left;
        filled
    }

    /// Bytes of a gap that the other side has acknowledged.
    fn acked_of(&self, gap: &Gap) -> u64 {
        if !self.is_acked || !after(self.acked, gap.from) {
            return 0;
        }
        gap.len().min(self.acked.wrapping_sub(gap.from).into())
    }
}

/// Bytes that a segment had for gaps, and when the oldest of these came to be.
struct Filled {
    bytes: u32,
    at: Time,
}

/// Bytes that were not seen when others behind them came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Gap {
    from: u32,
    to: u32,
    at: Time,
}

record::packed!(Gap { from: u32, to: u32, at: Time });

impl Gap {
    fn len(&self) -> u64 {
        self.to.wrapping_sub(self.from).into()
    }
}

/// Gaps from the lowest to the highest.
#[derive(Clone, Copy, Debug, Default)]
struct Gaps {
    count: u8,
    list: [Gap; GAPS_MAX],
}

impl Gaps {
    fn iter(&self) -> impl Iterator<Item = &Gap> {
        self.list.iter().take(self.count.into())
    }

    /// Behind the others; the lowest one makes room.
    fn push(&mut self, gap: Gap) {
        if usize::from(self.count) == GAPS_MAX {
            self.list.rotate_left(1);
            self.count -= 1;
        }
        self.list[usize::from(self.count)] = gap;
        self.count += 1;
    }
}

/// Their number, then so many.
impl Pack for Gaps {
    const PACKED_MAX: usize = 1 + GAPS_MAX * Gap::PACKED_MAX;
    const FIXED: usize = 1;
    fn pack_fixed(&self, out: &mut [u8]) {
        self.count.pack_fixed(out);
    }
    fn unpack_fixed(&mut self, from: &[u8]) {
        self.count.unpack_fixed(from);
        self.count = self.count.min(GAPS_MAX as u8);
    }
    fn rest_len(&self) -> usize {
        usize::from(self.count) * Gap::PACKED_MAX
    }
    fn pack_rest(&self, out: &mut Packer<'_>) {
        self.iter().for_each(|gap| gap.pack(out));
    }
    fn unpack_rest(&mut self, from: &mut Unpacker<'_>) {
        self.list.iter_mut().take(self.count.into()).for_each(|gap| gap.unpack(from));
    }
}
