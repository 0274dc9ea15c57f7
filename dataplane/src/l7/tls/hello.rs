//! ClientHello and ServerHello as bytes: found in a TLS record or a bare handshake message, read in place.
//!
//! Nothing is copied, lists are iterated where they stand, and a list that lies about its length is empty. RFC 8446 section 4.1,
//! RFC 5246 7.4.1, GREASE RFC 8701, server_name RFC 6066, ALPN RFC 7301.
use crate::face::Face;

/// Extension numbers.
pub mod extension {
    pub const SERVER_NAME: u16 = 0;
    pub const SUPPORTED_GROUPS: u16 = 10;
    pub const EC_POINT_FORMATS: u16 = 11;
    pub const SIGNATURE_ALGORITHMS: u16 = 13;
    pub const ALPN: u16 = 16;
    pub const SUPPORTED_VERSIONS: u16 = 43;
}

pub const RECORD_HANDSHAKE: u8 = 22;
/// Major version of SSL 3.0 and all of TLS.
pub(super) const MAJOR: u8 = 3;
pub const RECORD_HEADER_LEN: usize = 5;
pub const HANDSHAKE_HEADER_LEN: usize = 4;
const RANDOM_LEN: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Client = 1,
    Server = 2,
}

/// A whole hello.
#[derive(Clone, Copy, Debug)]
pub struct Hello<'m> {
    pub kind: Kind,
    /// Legacy version, as a number in the usual order: 0x0303 is TLS 1.2.
    pub version: u16,
    /// The client's offer or the server's choice, two bytes each.
    ciphers: &'m [u8],
    extensions: Extensions<'m>,
    index: Index<'m>,
}

/// The extensions that are asked for by number and the headers of the first ones, found in one pass.
#[derive(Clone, Copy, Debug)]
struct Index<'m> {
    data: [Option<&'m [u8]>; INDEXED.len()],
    /// One of them stands there twice, which no honest hello has: then they are looked for where they stand.
    repeated: bool,
    kinds: [u16; LISTED],
    lens: [u16; LISTED],
    /// All extensions, those behind the first [`LISTED`] too.
    count: usize,
}

/// Extensions whose headers are kept in a list; few hellos have half as many.
const LISTED: usize = 32;

const INDEXED: [u16; 6] = [
    extension::SERVER_NAME,
    extension::SUPPORTED_GROUPS,
    extension::EC_POINT_FORMATS,
    extension::SIGNATURE_ALGORITHMS,
    extension::ALPN,
    extension::SUPPORTED_VERSIONS,
];

/// The place of each small extension number in [`INDEXED`], or a place behind it.
const PLACES: [u8; 64] = {
    let mut places = [INDEXED.len() as u8; 64];
    let mut at = 0;
    while at < INDEXED.len() {
        places[INDEXED[at] as usize] = at as u8;
        at += 1;
    }
    places
};

#[inline(always)]
fn index_of(kind: u16) -> Option<usize> {
    PLACES.get(kind as usize).map(|place| *place as usize).filter(|place| *place < INDEXED.len())
}

impl<'m> Index<'m> {
    // Made part of its callers, or half a kilobyte is moved from one to the next.
    #[inline(always)]
    fn of(extensions: Extensions<'m>) -> Index<'m> {
        let mut index =
            Index { data: [None; INDEXED.len()], repeated: false, kinds: [0; LISTED], lens: [0; LISTED], count: 0 };
        for e in extensions {
            if let (Some(kind), Some(len)) = (index.kinds.get_mut(index.count), index.lens.get_mut(index.count)) {
                (*kind, *len) = (e.kind, e.len);
            }
            index.count += 1;
            if let Some(at) = index_of(e.kind) {
                index.repeated |= index.data[at].replace(e.data).is_some();
            }
        }
        index
    }
}

impl<'m> Hello<'m> {
    /// The hello that a TCP payload begins with.
    #[inline(always)]
    pub fn of_record(payload: &'m [u8], face: Face) -> Option<Hello<'m>> {
        let (header, rest) = payload.split_first_chunk::<RECORD_HEADER_LEN>()?;
        if header[..2] != [RECORD_HANDSHAKE, MAJOR] {
            return None;
        }
        // The original minds neither the record's length nor the message's: all that follows may belong to the hello. Further messages
        // of the record, such as a certificate, may be cut.
        let len = if face.is_original() { usize::MAX } else { u16::from_be_bytes([header[3], header[4]]) as usize };
        let record = &rest[..rest.len().min(len)];
        Hello::of_handshake(record, face)
    }

    /// The hello that handshake bytes begin with, without a record layer (QUIC).
    #[inline(always)]
    pub fn of_handshake(bytes: &'m [u8], face: Face) -> Option<Hello<'m>> {
        let (header, rest) = bytes.split_first_chunk::<HANDSHAKE_HEADER_LEN>()?;
        let kind = match header[0] {
            1 => Kind::Client,
            2 => Kind::Server,
            _ => return None,
        };
        let len = u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
        let body = if face.is_original() { rest } else { rest.get(..len)? };

        let (version, body) = body.split_first_chunk::<2>()?;
        if version[0] != MAJOR {
            return None;
        }
        let (_session, body) = split_list8(body.get(RANDOM_LEN..)?)?;
        let (ciphers, body) = match kind {
            Kind::Client => split_list16(body)?,
            Kind::Server => body.split_at_checked(2)?,
        };
        let body = match kind {
            Kind::Client => split_list8(body)?.1,
            Kind::Server => body.get(1..)?,
        };
        let extensions = Extensions::new(body, face)?;
        let index = Index::of(extensions);
        Some(Hello { kind, version: u16::from_be_bytes(*version), ciphers, extensions, index })
    }

    pub fn ciphers(&self) -> impl Iterator<Item = u16> + 'm {
        words(self.ciphers)
    }

    /// All extensions in their order.
    pub fn extensions(&self) -> Extensions<'m> {
        self.extensions
    }

    /// Types and lengths of all extensions in their order, `None` if there are very many.
    #[inline]
    pub fn headers(&self) -> Option<(&[u16], &[u16])> {
        let Index { kinds, lens, count, .. } = &self.index;
        Some((kinds.get(..*count)?, lens.get(..*count)?))
    }

    /// The data of each extension of a number.
    #[inline]
    fn data_of(&self, kind: u16) -> impl Iterator<Item = &'m [u8]> + 'm {
        let (one, all) = match index_of(kind) {
            Some(at) if !self.index.repeated => (self.index.data[at], Extensions { bytes: &[], claimed: 0 }),
            _ => (None, self.extensions),
        };
        one.into_iter().chain(all.filter(move |e| e.kind == kind).map(|e| e.data))
    }

    /// Whether the extension is there at all.
    pub fn has(&self, kind: u16) -> bool {
        self.data_of(kind).next().is_some()
    }

    /// (type, name) of each entry of server_name; type 0 is a host name.
    pub fn server_names(&self) -> impl Iterator<Item = (u8, &'m [u8])> + 'm {
        self.data_of(extension::SERVER_NAME).flat_map(|data| {
            let mut left = list16(data).len();
            let mut data = data.get(2..).unwrap_or(&[]);
            std::iter::from_fn(move || {
                let (&[kind, high, low], rest) = data.split_first_chunk().filter(|_| left >= 3)?;
                let (name, rest) = rest.split_at_checked(u16::from_be_bytes([high, low]) as usize)?;
                left = left.saturating_sub(3 + name.len());
                data = rest;
                Some((kind, name))
            })
        })
    }

    /// Names of ALPN: the client's offer, the server's choice.
    pub fn protocols(&self) -> impl Iterator<Item = &'m [u8]> + 'm {
        self.data_of(extension::ALPN).flat_map(|data| {
            let mut list = list16(data);
            std::iter::from_fn(move || {
                let (name, rest) = split_list8(list)?;
                list = rest;
                Some(name)
            })
        })
    }

    pub fn groups(&self) -> impl Iterator<Item = u16> + 'm {
        self.data_of(extension::SUPPORTED_GROUPS).flat_map(|data| words(list16(data)))
    }

    pub fn point_formats(&self) -> impl Iterator<Item = u16> + 'm {
        self.data_of(extension::EC_POINT_FORMATS).flat_map(|data| list8(data).iter().map(|b| *b as u16))
    }

    pub fn signature_algorithms(&self) -> impl Iterator<Item = u16> + 'm {
        self.data_of(extension::SIGNATURE_ALGORITHMS).flat_map(|data| words(list16(data)))
    }

    /// The words of signature_algorithms whatever its length field says, for the original's reading of it.
    pub fn signature_words(&self) -> impl Iterator<Item = u16> + 'm {
        self.data_of(extension::SIGNATURE_ALGORITHMS).flat_map(words).skip(1)
    }

    /// The lists that a client's fingerprints are made of, as bytes; `None` if an extension stands there twice.
    #[inline]
    pub fn lists(&self) -> Option<Lists<'m>> {
        let data = |kind: u16| index_of(kind).and_then(|at| self.index.data[at]).unwrap_or_default();
        (!self.index.repeated).then(|| Lists {
            ciphers: self.ciphers,
            groups: list16(data(extension::SUPPORTED_GROUPS)),
            point_formats: list8(data(extension::EC_POINT_FORMATS)),
            signature_data: data(extension::SIGNATURE_ALGORITHMS),
            versions: list8(data(extension::SUPPORTED_VERSIONS)),
        })
    }

    /// The client's offer or the server's choice.
    pub fn supported_versions(&self) -> impl Iterator<Item = u16> + 'm {
        let kind = self.kind;
        self.data_of(extension::SUPPORTED_VERSIONS).flat_map(move |data| match kind {
            Kind::Client => words(list8(data)),
            Kind::Server => words(data.get(..2).unwrap_or(&[])),
        })
    }
}

/// See [`Hello::lists`].
pub struct Lists<'m> {
    pub ciphers: &'m [u8],
    pub groups: &'m [u8],
    pub point_formats: &'m [u8],
    /// With the length field.
    pub signature_data: &'m [u8],
    pub versions: &'m [u8],
}

/// One extension.
#[derive(Clone, Copy, Debug)]
pub struct Extension<'m> {
    pub kind: u16,
    /// Length by its header.
    pub len: u16,
    /// As much of it as there is.
    pub data: &'m [u8],
}

/// Extensions, read until one does not fit.
#[derive(Clone, Copy, Debug)]
pub struct Extensions<'m> {
    bytes: &'m [u8],
    /// Length by the header of the block.
    claimed: usize,
}

impl<'m> Extensions<'m> {
    /// From the block's length field on. A hello may end before it (RFC 5246 7.4.1.2); the original then reads foreign memory,
    /// which mostly fails, so to its face such a hello is none.
    fn new(block: &'m [u8], face: Face) -> Option<Extensions<'m>> {
        if block.is_empty() && !face.is_original() {
            return Some(Extensions { bytes: block, claimed: 0 });
        }
        let (len, bytes) = block.split_first_chunk()?;
        let claimed = u16::from_be_bytes(*len) as usize;
        // QUIRK: the original forgets the length field itself, so a block may lack its last two bytes.
        let room = if face.is_original() { block.len() } else { bytes.len() };
        (claimed <= room).then_some(Extensions { bytes, claimed })
    }
}

impl<'m> Iterator for Extensions<'m> {
    type Item = Extension<'m>;

    #[inline]
    fn next(&mut self) -> Option<Extension<'m>> {
        let (&[k0, k1, l0, l1], rest) = self.bytes.split_first_chunk()?;
        let len = u16::from_be_bytes([l0, l1]);
        self.claimed = self.claimed.checked_sub(4 + len as usize)?;
        let (data, rest) = rest.split_at(rest.len().min(len as usize));
        self.bytes = rest;
        Some(Extension { kind: u16::from_be_bytes([k0, k1]), len, data })
    }
}

/// Values that clients sprinkle in to keep servers tolerant.
pub fn is_grease(value: u16, face: Face) -> bool {
    let [high, low] = value.to_be_bytes();
    // QUIRK: the original's mask takes any two equal bytes made of the bits 0xfa, such as 0x0202 or 0x5858.
    let shape = if face.is_original() { low != 0 && low & !0xfa == 0 } else { low & 0x0f == 0x0a };
    high == low && shape
}

#[inline(always)]
pub(super) fn words(list: &[u8]) -> impl Iterator<Item = u16> + '_ {
    list.chunks_exact(2).map(|w| u16::from_be_bytes([w[0], w[1]]))
}

/// The list behind one byte of length, and what follows it.
fn split_list8(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&len, rest) = bytes.split_first()?;
    rest.split_at_checked(len as usize)
}

fn split_list16(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u16::from_be_bytes(*len) as usize)
}

fn list8(bytes: &[u8]) -> &[u8] {
    split_list8(bytes).map_or(&[], |(list, _)| list)
}

fn list16(bytes: &[u8]) -> &[u8] {
    split_list16(bytes).map_or(&[], |(list, _)| list)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// `bytes` behind their length in `width` bytes.
    fn sized(width: usize, bytes: &[u8]) -> Vec<u8> {
        [&(bytes.len() as u64).to_be_bytes()[8 - width..], bytes].concat()
    }
    fn wire(words: &[u16]) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_be_bytes()).collect()
    }
    fn block(extensions: &[(u16, &[u8])]) -> Vec<u8> {
        let each = extensions.iter().flat_map(|(kind, data)| [wire(&[*kind]), sized(2, data)].concat());
        sized(2, &each.collect::<Vec<_>>())
    }

    pub(crate) fn record(handshake: &[u8]) -> Vec<u8> {
        [&[22, 3, 1][..], &sized(2, handshake)].concat()
    }
    /// A ClientHello as a handshake message; without extensions there is no block for them either.
    pub(crate) fn client_hello(version: u16, ciphers: &[u16], extensions: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body =
            [wire(&[version]), vec![7; RANDOM_LEN], sized(1, &[9; 32]), sized(2, &wire(ciphers)), vec![1, 0]].concat();
        if !extensions.is_empty() {
            body.extend(block(extensions));
        }
        [vec![1], sized(3, &body)].concat()
    }
    pub(crate) fn server_hello(version: u16, extensions: &[(u16, &[u8])]) -> Vec<u8> {
        let body =
            [wire(&[version]), vec![7; RANDOM_LEN], sized(1, &[9; 32]), wire(&[0x1301]), vec![0], block(extensions)]
                .concat();
        [vec![2], sized(3, &body)].concat()
    }
    pub(crate) fn server_name(kind: u8, name: &[u8]) -> Vec<u8> {
        sized(2, &[vec![kind], sized(2, name)].concat())
    }
    pub(crate) fn alpn(names: &[&[u8]]) -> Vec<u8> {
        sized(2, &names.iter().flat_map(|n| sized(1, n)).collect::<Vec<_>>())
    }
    pub(crate) fn list16(words: &[u16]) -> Vec<u8> {
        sized(2, &wire(words))
    }
    pub(crate) fn list8(bytes: &[u8]) -> Vec<u8> {
        sized(1, bytes)
    }

    const FACES: [Face; 2] = [Face::Ipfixprobe, Face::Native];

    #[test]
    fn a_hello_must_be_whole() {
        let whole = record(&client_hello(0x0303, &[1, 2], &[(21, &[0; 9])]));
        for cut in 0..=whole.len() {
            let known = FACES.map(|face| Hello::of_record(&whole[..cut], face).is_some());
            // The original does not miss the last two bytes.
            assert_eq!(known, [cut + 2 >= whole.len(), cut == whole.len()], "{cut} of {}", whole.len());
        }
        for (at, byte) in [(0, 23), (1, 2), (5, 3), (9, 2)] {
            let mut other = whole.clone();
            other[at] = byte;
            assert!(FACES.iter().all(|face| Hello::of_record(&other, *face).is_none()), "byte {at}");
        }
    }

    #[test]
    fn what_follows_the_hello_may_be_cut() {
        let certificate = [&[11, 0, 16, 0][..], &[0; 4096]].concat();
        let hello = server_hello(0x0303, &[(16, &alpn(&[b"h2"]))]);
        let end = RECORD_HEADER_LEN + hello.len();
        let both = record(&[hello, certificate].concat());
        for face in FACES {
            assert!(Hello::of_record(&both[..1400], face).is_some_and(|h| h.protocols().eq([b"h2"])));
        }
        assert!(Hello::of_record(&both[..end - 1], Face::Native).is_none());
    }

    #[test]
    fn a_hello_may_have_no_extensions() {
        let bare = record(&client_hello(0x0301, &[0x2f], &[]));
        assert!(Hello::of_record(&bare, Face::Ipfixprobe).is_none());
        assert_eq!(Hello::of_record(&bare, Face::Native).map(|h| h.extensions().count()), Some(0));
    }

    #[test]
    fn lying_extensions_end_the_list() {
        let mut lying = record(&client_hello(0x0303, &[1], &[(5, b"ab"), (6, b"cd")]));
        let at = lying.len() - 3;
        lying[at] = 200;
        for face in FACES {
            let hello = Hello::of_record(&lying, face).expect("whole");
            assert_eq!(hello.extensions().map(|e| e.kind).collect::<Vec<_>>(), [5]);
        }
    }

    #[test]
    fn grease() {
        for (value, original, native) in [
            (0x0a0a, true, true),
            (0xfafa, true, true),
            (0x1a2a, false, false),
            (0, false, false),
            (0x0202, true, false),
            (0x3a3a, true, true),
            (0x0505, false, false),
        ] {
            assert_eq!(FACES.map(|face| is_grease(value, face)), [original, native], "{value:04x}");
        }
    }
}
