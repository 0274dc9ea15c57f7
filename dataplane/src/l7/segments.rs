//! Messages that span several TCP segments: ClientHellos with post-quantum key shares, algorithm lists of SSH, tickets of Kerberos.
//!
//! A plugin holds [`MESSAGES_MAX`] unfinished messages on each lane, of at most [`MESSAGE_LEN_MAX`] bytes; the next one takes the place
//! of the oldest, which is then never whole.
use super::assembly::Assembly;
use crate::packet::{PacketView, protocol};

/// Unfinished messages of one plugin on one lane. The rest of a message follows within a round trip, mostly at once.
pub const MESSAGES_MAX: usize = 64;
/// Longest message that is joined; today's ClientHellos and algorithm lists are below 2 KiB.
pub const MESSAGE_LEN_MAX: usize = 4096;

/// What a flow keeps of its unfinished message; the default stands for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticket(u64);

record::packed!(Ticket { 0: u64 });

pub struct Segments {
    messages: Vec<Unfinished>,
    last: Ticket,
}

#[derive(Clone)]
struct Unfinished {
    owner: Ticket,
    wanted: usize,
    assembly: Assembly,
    bytes: [u8; MESSAGE_LEN_MAX],
}

impl Segments {
    /// Takes the memory.
    pub fn new() -> Segments {
        let none = Unfinished {
            owner: Ticket::default(),
            wanted: 0,
            assembly: Assembly::default(),
            bytes: [0; MESSAGE_LEN_MAX],
        };
        Segments { messages: vec![none; MESSAGES_MAX], last: Ticket::default() }
    }

    /// Holds the first segment of a message of `wanted` bytes; `None` if that is too long, or here already.
    pub fn begin(&mut self, payload: &[u8], sequence: u32, wanted: usize) -> Option<Ticket> {
        if wanted > MESSAGE_LEN_MAX || payload.len() >= wanted {
            return None;
        }
        self.last.0 += 1;
        let message = &mut self.messages[place(self.last)];
        message.owner = self.last;
        message.wanted = wanted;
        message.assembly = Assembly::new(sequence);
        message.add(payload, sequence);
        Some(self.last)
    }

    /// Adds a segment; answers the message once it is whole.
    pub fn add(&mut self, ticket: Ticket, payload: &[u8], sequence: u32) -> Option<&[u8]> {
        let message = &mut self.messages[place(ticket)];
        if message.owner != ticket || ticket == Ticket::default() {
            return None;
        }
        message.add(payload, sequence);
        if message.assembly.len() < message.wanted {
            return None;
        }
        message.owner = Ticket::default();
        Some(&message.bytes[..message.wanted])
    }
}

impl Default for Segments {
    fn default() -> Self {
        Segments::new()
    }
}

impl Unfinished {
    fn add(&mut self, payload: &[u8], sequence: u32) {
        self.assembly.add(&mut self.bytes[..self.wanted], payload, sequence);
    }
}

fn place(ticket: Ticket) -> usize {
    (ticket.0 % MESSAGES_MAX as u64) as usize
}

/// Sequence number of a TCP segment.
pub(crate) fn sequence_of(packet: &PacketView<'_, '_>) -> Option<u32> {
    let number = packet.l4_header().get(4..8)?.first_chunk()?;
    (packet.packet.protocol == protocol::TCP).then_some(u32::from_be_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_make_a_message() {
        let mut s = Segments::new();
        let t = s.begin(b"abc", u32::MAX - 1, 8).expect("room");
        assert_eq!(s.add(t, b"abc", u32::MAX - 1), None, "sent again");
        assert_eq!(s.add(t, b"ghijk", 4), None, "early");
        assert_eq!(s.add(t, b"def", 1), Some(&b"abcdefgh"[..]));
        assert_eq!(s.add(t, b"x", 9), None, "done");
    }

    #[test]
    fn the_oldest_gives_way() {
        let mut s = Segments::new();
        assert_eq!(s.begin(b"a", 1, MESSAGE_LEN_MAX + 1), None);
        assert_eq!(s.begin(b"ab", 1, 2), None);
        let first = s.begin(b"a", 1, 2).expect("room");
        let others: Vec<_> = (0..MESSAGES_MAX).filter_map(|_| s.begin(b"a", 1, 2)).collect();
        assert_eq!(s.add(first, b"b", 2), None);
        assert!(others.iter().all(|t| s.add(*t, b"b", 2) == Some(b"ab")));
        assert_eq!(s.add(Ticket::default(), b"b", 2), None);
    }
}
