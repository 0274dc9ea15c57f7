//! What is left over of byte streams: messages of text protocols, of DNS and TLS, that span TCP segments.
//!
//! A message that lies in one segment is read from the packet and never comes here. The rest of a payload that is not whole is held with the
//! flow's key and direction, and joined with what follows: also with segments that come early, twice or overlapping ([`Assembly`]). A plugin holds
//! [`STREAMS_MAX`] such rests on each lane, of so many bytes as it asked for; the next one takes the place of the oldest that it may.
use super::assembly::{Added, Assembly};
use super::segments::sequence_of;
use crate::flow::FlowKey;
use crate::packet::{PacketView, tcp};

/// Unfinished streams of one plugin on one lane. The rest of a message follows within a round trip, mostly at once.
pub(super) const STREAMS_MAX: usize = SETS * WAYS;
const SETS: usize = 16;
const WAYS: usize = 4;

pub(super) struct Streams {
    streams: Vec<Stream>,
    /// The buffers of all, one behind the other; never touched where nothing is split.
    bytes: Vec<u8>,
    len_max: usize,
    /// Streams that are in use.
    held: usize,
    /// Streams so far: the ages of those that are held.
    begun: u64,
}

#[derive(Clone, Default)]
struct Stream {
    key: FlowKey,
    /// The direction: whether the sender stands second in the key.
    reversed: bool,
    /// 0 if the place is free.
    age: u64,
    assembly: Assembly,
}

/// What follows the messages of a text.
pub(super) enum Rest {
    /// A message that is not whole begins here.
    Cut(usize),
    /// The next message begins so many bytes behind the text.
    Behind(usize),
    /// Nothing that is known.
    None,
}

/// Content that is passed over up to the next message, bytes.
const SKIPPED_MAX: usize = 1 << 18;

/// What a packet brings.
pub(super) enum Arrival<'t> {
    /// What is to be read: its payload, or what was held before it and is in order now (true).
    Text(&'t [u8], bool),
    /// Nothing new.
    Known,
    /// Something that waits behind a gap.
    Early,
}

/// What came of joining a packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Joined<'s> {
    /// More is in order than before: all of it.
    Text(&'s [u8]),
    /// The packet was sent again.
    Known,
    /// It waits behind a gap, or had no room.
    Early,
    /// Nothing is held of its direction.
    Nothing,
}

impl Streams {
    /// Takes the memory: `len_max` bytes for each stream.
    pub(super) fn new(len_max: usize) -> Streams {
        Streams {
            streams: vec![Stream::default(); STREAMS_MAX],
            bytes: vec![0; STREAMS_MAX * len_max],
            len_max,
            held: 0,
            begun: 0,
        }
    }

    /// Whether nothing at all is held, which is the usual case.
    #[inline(always)]
    pub(super) fn is_idle(&self) -> bool {
        self.held == 0
    }

    /// What there is to read of a packet. Where nothing is held of its direction that is its payload.
    #[inline(always)]
    pub(super) fn arrival<'t>(&'t mut self, packet: &PacketView<'_, 't>) -> Arrival<'t> {
        if self.is_idle() { Arrival::Text(packet.payload(), false) } else { self.joined(packet) }
    }

    #[cold]
    fn joined<'t>(&'t mut self, packet: &PacketView<'_, 't>) -> Arrival<'t> {
        match self.join(packet) {
            Joined::Text(text) => Arrival::Text(text, true),
            Joined::Known => Arrival::Known,
            Joined::Early => Arrival::Early,
            Joined::Nothing => Arrival::Text(packet.payload(), false),
        }
    }

    /// Holds what [`arrival`](Streams::arrival) gave from `at` on; `is_held`: it was held before. `false` as in [`begin`](Streams::begin).
    pub(super) fn hold(&mut self, packet: &PacketView<'_, '_>, is_held: bool, at: usize) -> bool {
        if !is_held {
            return self.begin(packet, at);
        }
        self.keep(packet, false, at);
        true
    }

    /// Passes over so many bytes behind all that is in order of a packet's direction. `false` if they are too many, or none.
    #[cold]
    pub(super) fn skip(&mut self, packet: &PacketView<'_, '_>, skipped: usize) -> bool {
        let next = self.next(packet).filter(|_| (1..=SKIPPED_MAX).contains(&skipped));
        match next {
            Some(next) => self.expect(packet, next.wrapping_add(skipped as u32)),
            None => self.end(packet),
        }
        next.is_some()
    }

    /// Holds the payload of a segment from `at` on. What was held of its direction before is forgotten. `false` if that is too much, not TCP,
    /// or a packet that the capture has cut, which nothing can follow.
    #[cold]
    pub(super) fn begin(&mut self, packet: &PacketView<'_, '_>, at: usize) -> bool {
        let Some(sequence) = sequence_of(packet).map(|s| s.wrapping_add(at as u32)) else { return false };
        let rest = packet.payload().get(at..).unwrap_or_default();
        if rest.len() >= self.len_max || packet.packet.payload_len < packet.packet.payload_wire {
            self.end(packet);
            return false;
        }
        self.expect(packet, sequence);
        if let Some((stream, buffer)) = self.of(packet, false) {
            stream.assembly.add(buffer, rest, sequence);
        }
        true
    }

    /// Waits for the byte of this number in the packet's direction: what it carries is early.
    #[cold]
    pub(super) fn expect(&mut self, packet: &PacketView<'_, '_>, sequence: u32) {
        self.end(packet);
        let place = self.place(packet);
        self.held += usize::from(self.streams[place].age == 0);
        self.begun += 1;
        let packet = packet.packet;
        self.streams[place] =
            Stream { key: packet.key, reversed: packet.reversed, age: self.begun, assembly: Assembly::new(sequence) };
    }

    /// Whether anything is held of a packet's flow, in either direction.
    #[cold]
    pub(super) fn has(&self, packet: &PacketView<'_, '_>) -> bool {
        [false, true].iter().any(|opposite| self.find(packet, *opposite).is_some())
    }

    /// Whether anything is held of a packet's direction.
    #[cold]
    pub(super) fn has_direction(&self, packet: &PacketView<'_, '_>) -> bool {
        self.find(packet, false).is_some()
    }

    /// Joins a packet with what is held of its direction.
    #[cold]
    pub(super) fn join(&mut self, packet: &PacketView<'_, '_>) -> Joined<'_> {
        let Some(sequence) = sequence_of(packet) else { return Joined::Nothing };
        let Some((stream, buffer)) = self.of(packet, false) else { return Joined::Nothing };
        let mut added = match packet.packet.tcp_flags & tcp::SYN {
            0 => stream.assembly.add(buffer, packet.payload(), sequence),
            _ => Added::Foreign,
        };
        // So much does not overtake one segment: it was lost.
        if added == Added::Early && stream.assembly.end() > buffer.len() / 2 && stream.assembly.skip_gap(buffer) {
            added = Added::Grew;
        }
        let len = stream.assembly.len();
        match added {
            Added::Grew => self.of(packet, false).map_or(Joined::Nothing, |(_, buffer)| Joined::Text(&buffer[..len])),
            Added::Known => Joined::Known,
            Added::Early => Joined::Early,
            Added::Foreign => {
                self.end(packet);
                Joined::Nothing
            }
        }
    }

    /// What waits behind a gap in the opposite direction, if this packet acknowledges the gap: it has passed unseen.
    #[cold]
    pub(super) fn acknowledged(&mut self, packet: &PacketView<'_, '_>) -> Option<&[u8]> {
        let number = u32::from_be_bytes(*packet.l4_header().get(8..12)?.first_chunk()?);
        let (stream, buffer) = self.of(packet, true)?;
        let passed = tcp::after(number, stream.assembly.next());
        if !passed || packet.packet.tcp_flags & tcp::ACK == 0 || !stream.assembly.skip_gap(buffer) {
            return None;
        }
        let len = stream.assembly.len();
        self.of(packet, true).map(|(_, buffer)| &buffer[..len])
    }

    /// Forgets the first `read` bytes of what [`join`](Streams::join) gave, or with `opposite` [`acknowledged`](Streams::acknowledged): the rest waits
    /// for more. A message that fills the buffer is given up.
    #[cold]
    pub(super) fn keep(&mut self, packet: &PacketView<'_, '_>, opposite: bool, read: usize) {
        let len_max = self.len_max;
        let Some((stream, buffer)) = self.of(packet, opposite) else { return };
        stream.assembly.drop_front(buffer, read);
        let left = stream.assembly.len();
        if left == len_max || (left == 0 && !stream.assembly.has_gap()) {
            stream.age = 0;
            self.held -= 1;
        }
    }

    /// The number behind all that is in order of a packet's direction, or behind the packet.
    #[cold]
    pub(super) fn next(&self, packet: &PacketView<'_, '_>) -> Option<u32> {
        match self.find(packet, false) {
            Some(place) => Some(self.streams[place].assembly.next()),
            None => sequence_of(packet).map(|sequence| sequence.wrapping_add(packet.payload().len() as u32)),
        }
    }

    /// The number behind all that is in order of the opposite direction, 0 if nothing is held of it.
    #[cold]
    pub(super) fn next_opposite(&self, packet: &PacketView<'_, '_>) -> u32 {
        self.find(packet, true).map_or(0, |place| self.streams[place].assembly.next())
    }

    /// Forgets what is held of a packet's direction.
    #[cold]
    pub(super) fn end(&mut self, packet: &PacketView<'_, '_>) {
        if let Some(place) = self.find(packet, false) {
            self.streams[place].age = 0;
            self.held -= 1;
        }
    }

    fn of(&mut self, packet: &PacketView<'_, '_>, opposite: bool) -> Option<(&mut Stream, &mut [u8])> {
        let place = self.find(packet, opposite)?;
        let buffer = self.bytes.get_mut(place * self.len_max..(place + 1) * self.len_max)?;
        Some((&mut self.streams[place], buffer))
    }

    fn find(&self, packet: &PacketView<'_, '_>, opposite: bool) -> Option<usize> {
        let packet = packet.packet;
        let is_it = |s: &Stream| s.age != 0 && s.reversed == (packet.reversed != opposite) && s.key == packet.key;
        let first = first_way(packet.hash);
        self.streams[first..first + WAYS].iter().position(is_it).map(|way| first + way)
    }

    /// The place of a new stream: a free one, or that of the oldest.
    fn place(&self, packet: &PacketView<'_, '_>) -> usize {
        let first = first_way(packet.packet.hash);
        let oldest = (first..first + WAYS).min_by_key(|place| self.streams[*place].age);
        oldest.unwrap_or(first)
    }
}

/// Where the places of a flow begin. Both directions share them.
fn first_way(hash: u64) -> usize {
    (hash >> 32) as usize % SETS * WAYS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Direction, Packet, protocol};
    use crate::plugin::testing::frame;

    struct Segment(Packet, Vec<u8>);

    impl Segment {
        fn view(&self) -> PacketView<'_, '_> {
            PacketView { packet: &self.0, bytes: &self.1 }
        }
    }

    /// A segment between a port, which says which flow it is, and port 80.
    fn segment(port: u16, direction: Direction, sequence: u32, acknowledged: u32, payload: &[u8]) -> Segment {
        let ports = if direction == Direction::Forward { (port, 80) } else { (80, port) };
        let (packet, mut bytes) = frame(direction, ports.0, ports.1, protocol::TCP, &[], payload);
        bytes[24..28].copy_from_slice(&sequence.to_be_bytes());
        bytes[28..32].copy_from_slice(&acknowledged.to_be_bytes());
        Segment(packet, bytes)
    }

    use Direction::{Forward, Reverse};

    #[test]
    fn a_rest_is_joined_with_what_follows() {
        let mut s = Streams::new(16);
        assert!(s.is_idle() && s.begin(&segment(1, Forward, 10, 0, b"xxabc").view(), 2));
        assert!(
            s.has(&segment(1, Reverse, 0, 0, b"").view()) && !s.has_direction(&segment(1, Reverse, 0, 0, b"").view())
        );
        assert_eq!(s.join(&segment(1, Forward, 17, 0, b"fg").view()), Joined::Early);
        assert_eq!(s.join(&segment(2, Forward, 15, 0, b"de").view()), Joined::Nothing, "another flow");
        assert_eq!(s.join(&segment(1, Forward, 15, 0, b"de").view()), Joined::Text(b"abcdefg"));
        s.keep(&segment(1, Forward, 15, 0, b"de").view(), false, 5);
        assert_eq!(s.join(&segment(1, Forward, 12, 0, b"abc").view()), Joined::Known);
        assert_eq!(s.join(&segment(1, Forward, 19, 0, b"h").view()), Joined::Text(b"fgh"));
        s.keep(&segment(1, Forward, 19, 0, b"h").view(), false, 3);
        assert!(s.is_idle());
    }

    #[test]
    fn bounds() {
        let mut s = Streams::new(4);
        assert!(!s.begin(&segment(1, Forward, 0, 0, b"abcd").view(), 0), "too long");
        assert!(s.begin(&segment(1, Forward, 0, 0, b"abc").view(), 0));
        assert_eq!(s.join(&segment(1, Forward, 3, 0, b"defg").view()), Joined::Text(b"abcd"));
        s.keep(&segment(1, Forward, 3, 0, b"defg").view(), false, 0);
        assert!(s.is_idle(), "given up");
        for port in 0..100 {
            assert!(s.begin(&segment(port, Forward, 0, 0, b"a").view(), 0));
        }
        assert_eq!(s.held, WAYS, "all of one set here, where packets have no hash");
        assert_eq!(s.join(&segment(99, Forward, 1, 0, b"b").view()), Joined::Text(b"ab"));
        assert_eq!(s.join(&segment(95, Forward, 1, 0, b"b").view()), Joined::Nothing);
        assert_eq!(s.join(&segment(99, Forward, 1 << 30, 0, b"b").view()), Joined::Nothing);
        assert_eq!(s.held, WAYS - 1, "another connection of the same ports");
    }

    #[test]
    fn what_arrives_is_the_payload_or_what_was_held_with_it() {
        let mut s = Streams::new(16);
        let arrives = |s: &mut Streams, sequence: u32, payload: &[u8]| match s
            .arrival(&segment(1, Forward, sequence, 0, payload).view())
        {
            Arrival::Text(text, is_held) => (text.to_vec(), is_held),
            Arrival::Known => (b"known".to_vec(), true),
            Arrival::Early => (b"early".to_vec(), true),
        };
        assert_eq!(arrives(&mut s, 10, b"abc"), (b"abc".to_vec(), false));
        assert!(s.hold(&segment(1, Forward, 10, 0, b"abc").view(), false, 1));
        assert_eq!(arrives(&mut s, 15, b"f"), (b"early".to_vec(), true));
        assert_eq!(arrives(&mut s, 11, b"bc"), (b"known".to_vec(), true));
        assert_eq!(arrives(&mut s, 13, b"de"), (b"bcdef".to_vec(), true));
        assert!(s.hold(&segment(1, Forward, 13, 0, b"de").view(), true, 4));
        assert_eq!(arrives(&mut s, 1 << 30, b"new"), (b"new".to_vec(), false), "another connection");
        assert!(s.is_idle());
        assert!(!s.skip(&segment(1, Forward, 20, 0, b"x").view(), SKIPPED_MAX + 1) && s.is_idle());
        assert!(s.skip(&segment(1, Forward, 20, 0, b"x").view(), 4));
        assert_eq!(arrives(&mut s, 21, b"abcdef"), (b"ef".to_vec(), true));
    }

    #[test]
    fn a_gap_that_was_acknowledged_is_over() {
        let mut s = Streams::new(16);
        s.expect(&segment(1, Forward, 12, 0, b"cd").view(), 10);
        assert_eq!(s.join(&segment(1, Forward, 12, 0, b"cd").view()), Joined::Early);
        assert_eq!(s.acknowledged(&segment(1, Reverse, 0, 10, b"x").view()), None, "it may still come");
        assert_eq!(s.acknowledged(&segment(1, Reverse, 0, 14, b"x").view()), Some(&b"cd"[..]));
        s.keep(&segment(1, Reverse, 0, 14, b"x").view(), true, 2);
        assert!(s.is_idle());
    }
}
