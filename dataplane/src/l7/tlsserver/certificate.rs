//! The names in an X.509 certificate (RFC 5280 section 4.1) that may be there up to its subject only.
use crate::l7::der::Der;
use record::Text;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const OBJECT: u8 = 0x06;
/// The version, which certificates of version 1 have not.
const VERSION: u8 = 0xa0;
/// UTF-16, big endian; the other kinds of strings are UTF-8, or near enough.
const BMP_STRING: u8 = 0x1e;
/// 2.5.4.3, id-at-commonName.
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
/// Lengths of the list and of its first certificate (RFC 5246 section 7.4.2).
const LENGTHS_LEN: usize = 6;

pub(super) struct Names<'m> {
    pub(super) issuer: Name<'m>,
    pub(super) subject: Name<'m>,
}

/// A common name as it lies there.
#[derive(Default)]
pub(super) struct Name<'m> {
    tag: u8,
    bytes: &'m [u8],
}

impl<'m> Names<'m> {
    /// Those of the first certificate in a message; `None` if it does not reach to the end of the subject.
    pub(super) fn of(message: &'m [u8]) -> Option<Self> {
        let mut fields = Der::new(message.get(LENGTHS_LEN..)?).sequence()?.sequence()?;
        let (tag, _) = fields.next()?;
        if tag == VERSION {
            fields.tagged(INTEGER)?;
        }
        fields.tagged(SEQUENCE)?;
        let issuer = fields.tagged(SEQUENCE)?;
        fields.tagged(SEQUENCE)?;
        let subject = fields.tagged(SEQUENCE)?;
        // The key follows: without a byte of it the subject may be cut.
        (!fields.bytes().is_empty()).then(|| Names { issuer: Name::of(issuer), subject: Name::of(subject) })
    }
}

impl<'m> Name<'m> {
    /// The last common name, empty if there is none.
    fn of(name: Der<'m>) -> Self {
        let attributes = name.filter(|(tag, _)| *tag == SET).flat_map(|(_, set)| set);
        let common = attributes.filter_map(|(_, mut attribute)| {
            attribute.tagged(OBJECT).filter(|object| object.bytes() == COMMON_NAME)?;
            attribute.next()
        });
        common.last().map(|(tag, value)| Name { tag, bytes: value.bytes() }).unwrap_or_default()
    }

    pub(super) fn write<const N: usize>(&self, out: &mut Text<N>) {
        if self.tag != BMP_STRING {
            return out.set(self.bytes);
        }
        out.set(&[]);
        for character in char::decode_utf16(self.bytes.as_chunks().0.iter().map(|unit| u16::from_be_bytes(*unit))) {
            let mut room = [0; 4];
            let text = character.unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut room);
            if out.room() < text.len() {
                break;
            }
            out.push(text.as_bytes());
        }
    }
}
