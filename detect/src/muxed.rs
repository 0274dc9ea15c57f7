//! Messages of several interfaces on one: what mux sends and demux takes apart (spec/modules.md section 16).
//!
//! A message is a header of 5 bytes, little endian as the original's machine writes it, and the payload. The original's mux counts its
//! header as 6 bytes, so that one byte of no meaning follows its payload: see [`payload_of`].
use record::unirec::{Template, View};
use trap::{Format, OutputStats};

/// Bytes of a header.
pub const HEADER: usize = 5;

/// Interfaces that can be joined, at the most.
pub const LINKS_MAX: u64 = 32;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Meaning {
    /// The payload is a message of the interface.
    Data = 1,
    /// The payload is the interface's new template, with a NUL at its end.
    Hello = 2,
    /// The interface failed; there is no payload.
    Failed = 65_535,
}

/// The header of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub meaning: Meaning,
    /// Number of the interface, from 0.
    pub interface: u16,
    /// TRAP's number of the data format.
    pub format: u8,
}

impl Header {
    pub fn to_bytes(self) -> [u8; HEADER] {
        let ([m0, m1], [i0, i1]) = ((self.meaning as u16).to_le_bytes(), self.interface.to_le_bytes());
        [m0, m1, i0, i1, self.format]
    }

    /// Header and payload of a message; `None` if it is none.
    pub fn split(message: &[u8]) -> Option<(Header, &[u8])> {
        let ([m0, m1, i0, i1, format], payload) = message.split_first_chunk::<HEADER>()?;
        let meaning = match u16::from_le_bytes([*m0, *m1]) {
            1 => Meaning::Data,
            2 => Meaning::Hello,
            65_535 => Meaning::Failed,
            _ => return None,
        };
        Some((Header { meaning, interface: u16::from_le_bytes([*i0, *i1]), format: *format }, payload))
    }
}

/// The format that a hello tells; `None` if its number or its text is none.
pub fn format_of(number: u8, payload: &[u8]) -> Option<Format> {
    let end = payload.iter().position(|b| *b == 0).unwrap_or(payload.len());
    let spec = str::from_utf8(&payload[..end]).ok()?.to_owned();
    match number {
        1 => Some(Format::Raw),
        2 => Template::parse(&spec).ok().filter(|template| !template.fields().is_empty()).map(|_| Format::UniRec(spec)),
        3 => Some(Format::Json(spec)),
        _ => None,
    }
}

/// What a data message carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    Record(&'a [u8]),
    EndOfStream,
}

/// The payload without the byte of no meaning that the original's mux leaves behind it. It can be told where the length of a record
/// is known, which is so for UniRec; in other formats the byte stays, as in the original.
pub fn payload_of<'a>(template: Option<&Template>, payload: &'a [u8]) -> Payload<'a> {
    let Some(template) = template else {
        return if payload.len() < 2 { Payload::EndOfStream } else { Payload::Record(payload) };
    };
    // One byte ends a stream, and the original makes two of it.
    if payload.len() < 2 || (payload.len() == 2 && template.static_size() > 2) {
        return Payload::EndOfStream;
    }
    let without_last = &payload[..payload.len() - 1];
    match View::new(template, without_last).ok().and_then(|view| size_of(&view)) {
        Some(size) if size == without_last.len() => Payload::Record(without_last),
        _ => Payload::Record(payload),
    }
}

/// Says what an output that waits for nobody did not deliver.
pub fn say_missed(stats: &OutputStats) {
    let missed = stats.skipped + stats.unheard + stats.too_large + stats.no_format + stats.abandoned;
    if missed > 0 {
        eprintln!(
            "Warning: {missed} messages were not delivered (an output with :timeout=WAIT waits for its receivers)."
        );
    }
}

/// Bytes of a record without what may follow it.
fn size_of(view: &View<'_>) -> Option<usize> {
    let template = view.template();
    let variable = template.first_var()..template.fields().len();
    variable
        .map(|index| view.raw(index).map(<[u8]>::len))
        .sum::<Option<usize>>()
        .map(|sum| sum + template.static_size())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn headers() {
        let header = Header { meaning: Meaning::Hello, interface: 258, format: 2 };
        assert_eq!(header.to_bytes(), [2, 0, 2, 1, 2]);
        assert_eq!(Header::split(&[2, 0, 2, 1, 2, 7]), Some((header, &[7][..])));
        assert_eq!(Header::split(&[2, 0, 2, 1]), None);
        assert_eq!(Header::split(&[3, 0, 2, 1, 2]), None);
        assert_eq!(format_of(2, b"uint16 A\0x"), Some(Format::UniRec("uint16 A".into())));
        assert_eq!(format_of(3, b""), Some(Format::Json(String::new())));
        assert_eq!(format_of(1, b"x"), Some(Format::Raw));
        for (number, text) in [(2, &b"\0"[..]), (2, b"uint9 A"), (0, b""), (9, b""), (3, &[0xff])] {
            assert_eq!(format_of(number, text), None);
        }
    }

    #[test]
    fn both_lengths_of_a_payload() {
        let template = Template::parse("uint16 A,string S").unwrap();
        let record = [9, 0, 0, 0, 2, 0, b'h', b'i'];
        let with_byte = [&record[..], &[77]].concat();
        for payload in [&record[..], &with_byte] {
            assert_eq!(payload_of(Some(&template), payload), Payload::Record(&record));
        }
        // One byte more than the original adds: whatever it is, it is passed on.
        let longer = [&with_byte[..], &[1]].concat();
        assert_eq!(payload_of(Some(&template), &longer), Payload::Record(&longer));
        for end in [&[][..], &[0], &[0, 77]] {
            assert_eq!(payload_of(Some(&template), end), Payload::EndOfStream);
        }
        let short = Template::parse("uint16 A").unwrap();
        assert_eq!(payload_of(Some(&short), &[1, 2]), Payload::Record(&[1, 2]));
        assert_eq!(payload_of(None, b"{}"), Payload::Record(b"{}"));
        assert_eq!(payload_of(None, b"x"), Payload::EndOfStream);
    }

    proptest! {
        #[test]
        fn any_bytes(message in prop::collection::vec(any::<u8>(), 0..60)) {
            let template = Template::parse("uint8 A,string S,bytes B").unwrap();
            if let Some((header, payload)) = Header::split(&message) {
                prop_assert_eq!(&header.to_bytes()[..], &message[..HEADER]);
                let _ = format_of(header.format, payload);
                if let Payload::Record(record) = payload_of(Some(&template), payload) {
                    prop_assert!(payload.len() - record.len() <= 1);
                }
            }
        }
    }
}
