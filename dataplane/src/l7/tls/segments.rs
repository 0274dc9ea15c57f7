//! ClientHellos that span several TCP segments, as post-quantum key shares make them: joined on the native face only.
//!
//! A lane holds [`HELLOS_MAX`] unfinished hellos of at most [`HELLO_LEN_MAX`] bytes; the next one takes the place of the oldest, whose
//! flow then goes without a record. Segments are joined in order only; others are ignored.

/// Unfinished hellos on one lane. The rest of a hello follows within a round trip, mostly at once.
pub const HELLOS_MAX: usize = 64;
/// Longest hello that is joined; today's are below 2 KiB.
pub const HELLO_LEN_MAX: usize = 4096;

/// What a flow keeps of its unfinished hello; the default stands for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticket(u64);

record::packed!(Ticket { 0: u64 });

pub struct Segments {
    hellos: Vec<Unfinished>,
    last: Ticket,
}

#[derive(Clone)]
struct Unfinished {
    owner: Ticket,
    /// Sequence number of the next segment.
    next: u32,
    wanted: usize,
    len: usize,
    bytes: [u8; HELLO_LEN_MAX],
}

impl Segments {
    /// Takes the memory.
    pub fn new() -> Segments {
        let none = Unfinished { owner: Ticket::default(), next: 0, wanted: 0, len: 0, bytes: [0; HELLO_LEN_MAX] };
        Segments { hellos: vec![none; HELLOS_MAX], last: Ticket::default() }
    }

    /// Holds the first segment of a hello of `wanted` bytes; `None` if that is too long, or here already.
    pub fn begin(&mut self, payload: &[u8], sequence: u32, wanted: usize) -> Option<Ticket> {
        if wanted > HELLO_LEN_MAX || payload.len() >= wanted {
            return None;
        }
        self.last.0 += 1;
        let hello = &mut self.hellos[place(self.last)];
        hello.owner = self.last;
        hello.wanted = wanted;
        hello.len = 0;
        hello.add(payload, sequence);
        Some(self.last)
    }

    /// Adds a segment; answers the hello once it is whole.
    pub fn add(&mut self, ticket: Ticket, payload: &[u8], sequence: u32) -> Option<&[u8]> {
        let hello = &mut self.hellos[place(ticket)];
        if hello.owner != ticket || ticket == Ticket::default() || hello.next != sequence {
            return None;
        }
        hello.add(payload, sequence);
        if hello.len < hello.wanted {
            return None;
        }
        hello.owner = Ticket::default();
        Some(&hello.bytes[..hello.len])
    }
}

impl Default for Segments {
    fn default() -> Self {
        Segments::new()
    }
}

impl Unfinished {
    fn add(&mut self, payload: &[u8], sequence: u32) {
        let taken = payload.len().min(self.wanted - self.len);
        self.bytes[self.len..self.len + taken].copy_from_slice(&payload[..taken]);
        self.len += taken;
        self.next = sequence.wrapping_add(payload.len() as u32);
    }
}

fn place(ticket: Ticket) -> usize {
    (ticket.0 % HELLOS_MAX as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_in_order_make_a_hello() {
        let mut s = Segments::new();
        let t = s.begin(b"abc", u32::MAX - 1, 8).expect("room");
        assert_eq!(s.add(t, b"abc", u32::MAX - 1), None, "sent again");
        assert_eq!(s.add(t, b"gh", 4), None, "too early");
        assert_eq!(s.add(t, b"def", 1), None);
        assert_eq!(s.add(t, b"ghijk", 4), Some(&b"abcdefgh"[..]));
        assert_eq!(s.add(t, b"x", 9), None, "done");
    }

    #[test]
    fn the_oldest_gives_way() {
        let mut s = Segments::new();
        assert_eq!(s.begin(b"a", 1, HELLO_LEN_MAX + 1), None);
        assert_eq!(s.begin(b"ab", 1, 2), None);
        let first = s.begin(b"a", 1, 2).expect("room");
        let others: Vec<_> = (0..HELLOS_MAX).filter_map(|_| s.begin(b"a", 1, 2)).collect();
        assert_eq!(s.add(first, b"b", 2), None);
        assert!(others.iter().all(|t| s.add(*t, b"b", 2) == Some(b"ab")));
        assert_eq!(s.add(Ticket::default(), b"b", 2), None);
    }
}
