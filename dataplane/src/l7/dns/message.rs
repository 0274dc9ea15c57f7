//! DNS messages as bytes: header, questions, resource records and names with their compression.
//!
//! Nothing is copied and nothing is trusted: counts end with the payload, a name is at most [`LABELS_MAX`] labels and pointers, so a
//! loop of pointers ends as [`Malformed`]. RFC 1035 section 4; names 4.1.4, TCP 4.2.2.

use record::Text;

/// Labels and pointers that one name may have; the original stops there too.
const LABELS_MAX: u32 = 128;
const LABEL_LEN_MAX: u8 = 63;
/// Bytes that so many of the shortest labels take: a name of more may have too many.
const LABELS_LEN_MAX: usize = 2 * LABELS_MAX as usize;
const HEADER_LEN: usize = 12;

/// A name that cannot be: a loop, a label over 63 bytes, or an end outside the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Why reading a message ends before its counts say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The message ends inside a question or record: what was read before it stands.
    Truncated,
    /// This is no DNS message.
    Malformed,
}

impl From<Malformed> for Stop {
    fn from(_: Malformed) -> Stop {
        Stop::Malformed
    }
}

/// A message with at least a whole header.
#[derive(Clone, Copy, Debug)]
pub struct Message<'m> {
    bytes: &'m [u8],
}

impl<'m> Message<'m> {
    /// The message in a payload. Over TCP two bytes of length stand before it and must match: nothing is reassembled.
    pub fn of_payload(payload: &'m [u8], tcp: bool) -> Option<Message<'m>> {
        let bytes = if tcp {
            let (len, rest) = payload.split_first_chunk()?;
            (u16::from_be_bytes(*len) as usize == rest.len()).then_some(rest)?
        } else {
            payload
        };
        (bytes.len() >= HEADER_LEN).then_some(Message { bytes })
    }

    pub fn id(self) -> u16 {
        self.word(0)
    }
    pub fn rcode(self) -> u8 {
        self.word(2) as u8 & 0x0f
    }
    pub fn is_response(self) -> bool {
        self.word(2) & 0x8000 != 0
    }
    pub fn questions(self) -> u16 {
        self.word(4)
    }
    pub fn answers(self) -> u16 {
        self.word(6)
    }
    pub fn authorities(self) -> u16 {
        self.word(8)
    }
    pub fn additionals(self) -> u16 {
        self.word(10)
    }

    /// Reads from the first question on.
    pub fn body(self) -> Cursor<'m> {
        Cursor { bytes: self.bytes, at: HEADER_LEN }
    }

    fn word(self, at: usize) -> u16 {
        self.bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u16::from_be_bytes(*b))
    }
}

/// A question without its name.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    pub kind: u16,
    pub class: u16,
}

/// A resource record; its RDATA lies inside the message.
#[derive(Clone, Copy, Debug)]
pub struct ResourceRecord<'m> {
    pub owner: Name<'m>,
    pub kind: u16,
    pub class: u16,
    pub ttl: u32,
    message: &'m [u8],
    data_at: usize,
    data_len: usize,
}

impl<'m> ResourceRecord<'m> {
    /// RDATA.
    pub fn data(&self) -> &'m [u8] {
        self.message.get(self.data_at..self.data_at + self.data_len).unwrap_or(&[])
    }

    /// Reads RDATA field by field. `past_the_end`: up to the message's end, as the original does, instead of RDATA's own.
    pub fn fields(&self, past_the_end: bool) -> Cursor<'m> {
        let end = if past_the_end { self.message.len() } else { self.data_at + self.data_len };
        Cursor { bytes: self.message.get(..end).unwrap_or(self.message), at: self.data_at }
    }
}

/// A place in a message.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'m> {
    bytes: &'m [u8],
    at: usize,
}

impl<'m> Cursor<'m> {
    /// The name that begins here; the cursor stays.
    pub fn name(&self) -> Name<'m> {
        Name { message: self.bytes, at: self.at }
    }

    /// Moves behind the name that begins here, without following its pointers.
    pub fn skip_name(&mut self) -> Result<(), Malformed> {
        loop {
            match *self.bytes.get(self.at).ok_or(Malformed)? {
                0 => {
                    self.at += 1;
                    return Ok(());
                }
                0xc0.. => {
                    self.at += 2;
                    return Ok(());
                }
                label => self.at += label as usize + 1,
            }
        }
    }

    /// Appends the name that begins here, as [`Name::write`] does, and moves behind it.
    pub fn read_name<const N: usize>(&mut self, out: &mut Text<N>) -> Result<(), Malformed> {
        let (name, from) = (self.at, out.len());
        // Where labels stand one behind the other they are copied at once, and dots written where their lengths were.
        let mut end = name;
        while let Some(&len @ 1..=LABEL_LEN_MAX) = self.bytes.get(end)
            && end - name <= LABELS_LEN_MAX
        {
            end += usize::from(len) + 1;
        }
        if self.bytes.get(end) != Some(&0) || end - name > LABELS_LEN_MAX {
            self.name().write(out)?;
            return self.skip_name();
        }
        self.at = end + 1;
        out.push(self.bytes.get(name + 1..end).unwrap_or_default());
        let text = &mut out.as_bytes_mut()[from..];
        let mut at = name;
        while let Some(len) = self.bytes.get(at) {
            at += usize::from(*len) + 1;
            match text.get_mut(at - name - 1) {
                Some(byte) if at < end => *byte = b'.',
                _ => break,
            }
        }
        Ok(())
    }

    pub fn question(&mut self) -> Result<Question, Stop> {
        self.skip_name()?;
        self.question_behind_name()
    }

    pub fn question_behind_name(&mut self) -> Result<Question, Stop> {
        let [a, b, c, d] = *self.take().ok_or(Stop::Truncated)?;
        Ok(Question { kind: u16::from_be_bytes([a, b]), class: u16::from_be_bytes([c, d]) })
    }

    pub fn record(&mut self) -> Result<ResourceRecord<'m>, Stop> {
        let owner = self.name();
        self.skip_name()?;
        let fixed: &[u8; 10] = self.take().ok_or(Stop::Truncated)?;
        let word = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        let record = ResourceRecord {
            owner,
            kind: word(0),
            class: word(2),
            ttl: (word(4) as u32) << 16 | word(6) as u32,
            message: self.bytes,
            data_at: self.at,
            data_len: word(8) as usize,
        };
        self.at += record.data_len;
        if self.at > self.bytes.len() { Err(Stop::Truncated) } else { Ok(record) }
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.take().map(|[b]| *b)
    }
    pub fn u16(&mut self) -> Option<u16> {
        self.take().map(|b| u16::from_be_bytes(*b))
    }
    pub fn u32(&mut self) -> Option<u32> {
        self.take().map(|b| u32::from_be_bytes(*b))
    }
    pub fn take<const N: usize>(&mut self) -> Option<&'m [u8; N]> {
        let taken = self.bytes.get(self.at..)?.first_chunk()?;
        self.at += N;
        Some(taken)
    }
}

/// A name at a place in a message, not yet followed.
#[derive(Clone, Copy, Debug)]
pub struct Name<'m> {
    message: &'m [u8],
    at: usize,
}

impl<'m> Name<'m> {
    /// The name in dots, without the last one, piece by piece. On an error some pieces may have been given already.
    pub fn dotted(self, mut piece: impl FnMut(&'m [u8])) -> Result<(), Malformed> {
        let Name { message, mut at } = self;
        let mut first = true;
        for _ in 0..=LABELS_MAX {
            match *message.get(at).ok_or(Malformed)? {
                0 => return Ok(()),
                high @ 0xc0.. => {
                    let low = *message.get(at + 1).ok_or(Malformed)?;
                    at = u16::from_be_bytes([high & 0x3f, low]) as usize;
                }
                len @ ..=LABEL_LEN_MAX => {
                    let label = message.get(at + 1..at + 1 + len as usize).ok_or(Malformed)?;
                    if !std::mem::replace(&mut first, false) {
                        piece(b".");
                    }
                    piece(label);
                    at += 1 + len as usize;
                }
                _ => return Err(Malformed),
            }
        }
        Err(Malformed)
    }

    /// Appends the name in dots, without the last one, cut at the bound. On an error some of it may have been appended already.
    pub fn write<const N: usize>(self, out: &mut Text<N>) -> Result<(), Malformed> {
        self.dotted(|piece| {
            out.push(piece);
        })
    }

    /// Follows the name to its end.
    pub fn check(self) -> Result<(), Malformed> {
        self.dotted(|_| {})
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A message under construction; counts are those given, whatever is added.
    pub(crate) struct Builder(pub(crate) Vec<u8>);

    impl Builder {
        pub(crate) fn new(id: u16, flags: u16, counts: [u16; 4]) -> Builder {
            let words = [[id, flags].as_slice(), &counts].concat();
            Builder(words.iter().flat_map(|w| w.to_be_bytes()).collect())
        }
        pub(crate) fn name(mut self, dotted: &str) -> Builder {
            for label in dotted.split('.').filter(|l| !l.is_empty()) {
                self.0.push(label.len() as u8);
                self.0.extend(label.as_bytes());
            }
            self.0.push(0);
            self
        }
        pub(crate) fn words(mut self, words: &[u16]) -> Builder {
            self.0.extend(words.iter().flat_map(|w| w.to_be_bytes()));
            self
        }
        pub(crate) fn raw(mut self, bytes: &[u8]) -> Builder {
            self.0.extend(bytes);
            self
        }
        pub(crate) fn question(self, name: &str, kind: u16) -> Builder {
            self.name(name).words(&[kind, 1])
        }
        /// A record of class IN whose TTL is 300.
        pub(crate) fn record(self, name: &str, kind: u16, data: &[u8]) -> Builder {
            self.name(name).words(&[kind, 1, 0, 300, data.len() as u16]).raw(data)
        }
    }

    fn dotted(message: &[u8], at: usize) -> Result<String, Malformed> {
        let mut out = Vec::new();
        Name { message, at }.dotted(|piece| out.extend(piece)).map(|()| String::from_utf8(out).expect("ASCII"))
    }

    #[test]
    fn names_follow_pointers() {
        let m = b"\x03com\x00\x07example\xc0\x00\x03www\xc0\x05";
        assert_eq!(dotted(m, 0).as_deref(), Ok("com"));
        assert_eq!(dotted(m, 15).as_deref(), Ok("www.example.com"));
        assert_eq!(dotted(m, 4).as_deref(), Ok(""));
    }

    proptest! {
        /// Bytes that are mostly short labels.
        #[test]
        fn a_name_that_is_read_is_one_written_and_one_passed_over(
            bytes in prop::collection::vec(prop_oneof![4 => 0u8..4, 1 => any::<u8>()], 0..400),
            at in 0usize..20,
        ) {
            let mut texts = [Text::<60>::default(); 2];
            texts.iter_mut().for_each(|text| _ = text.push(b"x"));
            let mut cursors = [Cursor { bytes: &bytes, at }; 2];
            let [a, b] = &mut cursors;
            let read = a.read_name(&mut texts[0]);
            let both = b.name().write(&mut texts[1]).and_then(|()| b.skip_name());
            prop_assert_eq!((read, &texts[0], a.at), (both, &texts[1], b.at));
        }
    }

    #[test]
    fn impossible_names_are_malformed() {
        for (what, m) in [
            ("pointer to itself", &b"\xc0\x00"[..]),
            ("pointers in a ring", b"\xc0\x02\xc0\x00"),
            ("a label and a pointer back", b"\x01a\xc0\x00"),
            ("pointer out of the message", b"\xc0\x30"),
            ("pointer cut in half", b"\xc0"),
            ("reserved label type 01", &[&[0x41][..], &[b'a'; 70]].concat()),
            ("reserved label type 10", &[&[0x80][..], &[b'a'; 200]].concat()),
            ("label over the end", b"\x05abc"),
            ("no terminator", b"\x03abc"),
            ("nothing", b""),
            ("129 labels", &[b"\x01a".repeat(129), vec![0]].concat()),
        ] {
            assert_eq!(dotted(m, 0), Err(Malformed), "{what}");
        }
        assert!(dotted(&[b"\x01a".repeat(128), vec![0]].concat(), 0).is_ok());
    }

    #[test]
    fn the_length_before_a_tcp_message_must_match() {
        let m = Builder::new(7, 0, [0; 4]).0;
        let framed = |len: u16| [&len.to_be_bytes()[..], &m].concat();
        assert_eq!(Message::of_payload(&framed(12), true).map(Message::id), Some(7));
        assert!(Message::of_payload(&framed(11), true).is_none());
        assert!(Message::of_payload(b"\x00", true).is_none());
        assert!(Message::of_payload(&m[..11], false).is_none());
    }

    #[test]
    fn a_record_over_the_end_is_truncated() {
        let m = Builder::new(1, 0, [0, 1, 0, 0]).record("a", 1, &[1, 2, 3, 4]).0;
        for cut in 15..m.len() {
            let message = Message::of_payload(&m[..cut], false).expect("a whole header");
            assert_eq!(message.body().record().err(), Some(Stop::Truncated), "{cut}");
        }
        assert_eq!(Message { bytes: &m }.body().record().map(|r| r.data()), Ok(&[1, 2, 3, 4][..]));
    }
}
