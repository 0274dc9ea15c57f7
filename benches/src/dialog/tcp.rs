//! A TCP connection that carries turns: handshake, segments, acknowledgements, an optional retransmission, an ending (RFC 9293).
use std::collections::VecDeque;

use super::{Dialog, Route, Side, Turn};
use crate::frame::{Frame, Tcp, flags, option};
use crate::{MICROSECOND, MILLISECOND, Nanos};

/// How a connection ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// The client closes, both sides say FIN.
    #[default]
    Fin,
    /// The client gives up.
    Rst,
    /// The capture ends first.
    Open,
    /// Nobody answers the SYN: nothing else is sent.
    Unanswered,
}

/// A connection that is still to be told. The fields may be changed until the first packet is taken.
#[derive(Clone, Debug)]
pub struct TcpSession {
    pub route: Route,
    pub turns: VecDeque<Turn>,
    /// Payload bytes of a segment, at the most.
    pub segment: u16,
    pub rtt: Nanos,
    /// Between segments of one turn.
    pub pace: Nanos,
    pub ending: Ending,
    /// This data segment (counted from 0) is sent twice.
    pub retransmit: Option<u32>,
    /// Initial sequence numbers of client and server.
    pub isn: [u32; 2],
    /// Whether packets carry the timestamp option.
    pub timestamps: bool,
    handshaken: bool,
    ended: bool,
    /// Bytes of the current turn that were sent.
    offset: u64,
    unacknowledged: u8,
    segments: u32,
    /// Sequence numbers used by each side, SYN and FIN included.
    used: [u32; 2],
    /// Since the SYN.
    clock: Nanos,
    queue: VecDeque<Segment>,
}

impl TcpSession {
    pub fn new(route: Route, turns: Vec<Turn>) -> Self {
        Self {
            route,
            turns: turns.into(),
            segment: 1448,
            rtt: 10 * MILLISECOND,
            pace: 20 * MICROSECOND,
            ending: Ending::Fin,
            retransmit: None,
            isn: [0x1000_0000, 0x9000_0000],
            timestamps: true,
            handshaken: false,
            ended: false,
            offset: 0,
            unacknowledged: 0,
            segments: 0,
            used: [0; 2],
            clock: 0,
            queue: VecDeque::new(),
        }
    }

    #[must_use]
    pub const fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }

    /// Puts the next packets into the queue; an empty queue afterwards is the end.
    fn plan(&mut self) {
        let half = self.rtt / 2;
        if !self.handshaken {
            self.handshaken = true;
            if self.ending == Ending::Unanswered {
                self.turns.clear();
                self.queue.push_back(Segment::bare(Side::Client, flags::SYN, 0));
                return;
            }
            self.queue.extend([
                Segment::bare(Side::Client, flags::SYN, 0),
                Segment::bare(Side::Server, flags::SYN | flags::ACK, half),
                Segment::bare(Side::Client, flags::ACK, half),
            ]);
        } else if !self.turns.is_empty() {
            self.plan_data();
        } else if !self.ended {
            self.ended = true;
            match self.ending {
                Ending::Fin => self.queue.extend([
                    Segment::bare(Side::Client, flags::FIN | flags::ACK, MILLISECOND),
                    Segment::bare(Side::Server, flags::FIN | flags::ACK, half),
                    Segment::bare(Side::Client, flags::ACK, half),
                ]),
                Ending::Rst => self.queue.push_back(Segment::bare(Side::Client, flags::RST | flags::ACK, MILLISECOND)),
                Ending::Open | Ending::Unanswered => {}
            }
        }
    }

    /// One segment of the first turn and the acknowledgement that it earns.
    fn plan_data(&mut self) {
        let turn = &self.turns[0];
        let (side, left) = (turn.side, turn.body.len() - self.offset);
        let length = left.min(u64::from(self.segment)) as u16;
        let last = u64::from(length) == left;
        let gap = if self.offset == 0 { turn.pause + self.rtt / 2 } else { self.pace };
        let push = if last { flags::PSH } else { 0 };
        let segment = Segment { side, flags: flags::ACK | push, gap, length, repeated: false };
        self.queue.push_back(segment);
        if self.retransmit == Some(self.segments) {
            self.queue.push_back(Segment { gap: 200 * MILLISECOND, repeated: true, ..segment });
        }
        self.segments += 1;
        self.unacknowledged += 1;
        // An answer acknowledges by itself; otherwise every second segment and the last one are acknowledged.
        let answered = last && self.turns.get(1).is_some_and(|next| next.side != side);
        if answered {
            self.unacknowledged = 0;
        } else if self.unacknowledged == 2 || last {
            self.unacknowledged = 0;
            self.queue.push_back(Segment::bare(side.other(), flags::ACK, self.pace));
        }
    }

    fn build(&mut self, segment: Segment, frame: &mut Frame) {
        let (me, peer) = (segment.side as usize, segment.side.other() as usize);
        let back = if segment.repeated { u32::from(segment.length) } else { 0 };
        let (own, ports) = (self.used[me].wrapping_sub(back), self.route.ends(segment.side));
        let mut header = Tcp::new(ports.0.port, ports.1.port, segment.flags);
        header.sequence = self.isn[me].wrapping_add(own);
        let stamp = (self.clock / MILLISECOND) as u32 + 1000 * (1 + me as u32);
        if segment.flags & flags::ACK != 0 {
            header.acknowledgement = self.isn[peer].wrapping_add(self.used[peer]);
        }
        let echo = if segment.flags & flags::ACK != 0 { stamp } else { 0 };
        let (long, short) = (option::syn(1460, stamp, echo), option::timestamps(stamp, echo));
        let plain = option::mss(1460);
        header.options = match (segment.flags & flags::SYN != 0, self.timestamps) {
            (true, true) => &long,
            (true, false) => &plain,
            (false, true) => &short,
            (false, false) => &[],
        };
        self.route.open(segment.side, frame);
        frame.tcp(&header);
        if segment.length > 0 {
            self.say(segment, frame);
        }
        if segment.flags & (flags::SYN | flags::FIN) != 0 {
            self.used[me] = self.used[me].wrapping_add(1);
        }
        frame.finish();
    }

    /// Appends the payload; the turn goes when its last byte was sent and no repetition waits.
    fn say(&mut self, segment: Segment, frame: &mut Frame) {
        let length = u64::from(segment.length);
        let place = u64::from(self.isn[segment.side as usize]);
        let offset = if segment.repeated { self.offset - length } else { self.offset };
        let Some(turn) = self.turns.front() else { return };
        turn.body.put(frame, offset, usize::from(segment.length), place);
        if !segment.repeated {
            let me = segment.side as usize;
            self.offset += length;
            self.used[me] = self.used[me].wrapping_add(u32::from(segment.length));
        }
        let repetition_waits = self.queue.front().is_some_and(|next| next.repeated);
        if self.offset == turn.body.len() && !repetition_waits {
            self.turns.pop_front();
            self.offset = 0;
        }
    }
}

impl Dialog for TcpSession {
    fn gap(&mut self) -> Option<Nanos> {
        while self.turns.front().is_some_and(|turn| turn.body.is_empty()) {
            self.turns.pop_front();
        }
        if self.queue.is_empty() {
            self.plan();
        }
        self.queue.front().map(|segment| segment.gap)
    }

    fn packet(&mut self, frame: &mut Frame) {
        if self.gap().is_some()
            && let Some(segment) = self.queue.pop_front()
        {
            self.clock += segment.gap;
            self.build(segment, frame);
        }
    }
}

/// A packet to be sent.
#[derive(Clone, Copy, Debug)]
struct Segment {
    side: Side,
    flags: u8,
    gap: Nanos,
    length: u16,
    /// Already sent once, just before.
    repeated: bool,
}

impl Segment {
    const fn bare(side: Side, flags: u8, gap: Nanos) -> Self {
        Self { side, flags, gap, length: 0, repeated: false }
    }
}
