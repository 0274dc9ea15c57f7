//! Packets with long headers, as they lie in a datagram one behind the other (RFC 9000 sections 12.2 and 17.2).
use super::version::{self, Family, NEGOTIATION};

/// Bytes below which a datagram is not looked at.
pub const DATAGRAM_MIN: usize = 8;
/// Longest connection id (section 17.2).
const ID_MAX: usize = 20;
/// Packets that one datagram may carry; a real one has three.
const PACKETS_MAX: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Initial,
    ZeroRtt,
    Handshake,
    Retry,
    Negotiation,
}

/// One packet with a long header.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'d> {
    pub kind: Kind,
    pub version: u32,
    /// Connection ids of the receiver and of the sender.
    pub destination: &'d [u8],
    pub source: &'d [u8],
    /// Of an Initial: length of its token.
    pub token_len: u64,
    /// The whole packet as far as it was captured.
    pub bytes: &'d [u8],
    /// Where the protected packet number stands.
    pub number_at: usize,
}

/// The packets of a datagram; ends at one with a short header, or where something cannot be.
pub struct Packets<'d> {
    rest: &'d [u8],
    left: usize,
}

impl<'d> Packets<'d> {
    pub fn of(datagram: &'d [u8]) -> Self {
        let rest = if datagram.len() < DATAGRAM_MIN { &[] } else { datagram };
        Packets { rest, left: PACKETS_MAX }
    }
}

impl<'d> Iterator for Packets<'d> {
    type Item = Packet<'d>;

    fn next(&mut self) -> Option<Packet<'d>> {
        self.left = self.left.checked_sub(1)?;
        let (packet, rest) = split(self.rest)?;
        self.rest = rest;
        Some(packet)
    }
}

/// Whether a datagram begins with a long header of a version that is known. The fixed bit may be greased (RFC 9287).
#[inline]
pub fn is_long(datagram: &[u8]) -> bool {
    let Some(&[first, a, b, c, d]) = datagram.first_chunk() else { return false };
    let version = u32::from_be_bytes([a, b, c, d]);
    first & 0x80 != 0
        && datagram.len() >= DATAGRAM_MIN
        && (version == NEGOTIATION || version::family(version).is_some())
}

/// The first packet, and what follows it.
fn split(bytes: &[u8]) -> Option<(Packet<'_>, &[u8])> {
    if !is_long(bytes) {
        return None;
    }
    let mut reader = Reader { bytes, at: 0 };
    let first = reader.take(1)?[0];
    let version = u32::from_be_bytes(*reader.take(4)?.first_chunk()?);
    let destination = reader.id()?;
    let source = reader.id()?;
    let kind = match version::family(version) {
        None => Kind::Negotiation,
        Some(family) => kind_of(first >> 4 & 3, family),
    };
    let mut packet = Packet { kind, version, destination, source, token_len: 0, bytes, number_at: bytes.len() };
    if matches!(kind, Kind::Retry | Kind::Negotiation) {
        return Some((packet, &[]));
    }
    if kind == Kind::Initial {
        packet.token_len = reader.number()?;
        reader.take(usize::try_from(packet.token_len).ok()?)?;
    }
    let len = usize::try_from(reader.number()?).ok()?;
    packet.number_at = reader.at;
    let end = reader.at.checked_add(len)?;
    packet.bytes = bytes.get(..end).unwrap_or(bytes);
    Some((packet, bytes.get(end..).unwrap_or_default()))
}

/// The types of version 2 are one place on (RFC 9369 section 3.2).
fn kind_of(bits: u8, family: Family) -> Kind {
    let shift = if family == Family::Two { 3 } else { 0 };
    match (bits + shift) & 3 {
        0 => Kind::Initial,
        1 => Kind::ZeroRtt,
        2 => Kind::Handshake,
        _ => Kind::Retry,
    }
}

/// A place in bytes, for fields one behind the other.
pub(super) struct Reader<'d> {
    pub(super) bytes: &'d [u8],
    pub(super) at: usize,
}

impl<'d> Reader<'d> {
    pub(super) fn take(&mut self, len: usize) -> Option<&'d [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some(taken)
    }

    /// A variable-length integer (section 16).
    pub(super) fn number(&mut self) -> Option<u64> {
        let first = *self.bytes.get(self.at)?;
        let bytes = self.take(1 << (first >> 6))?;
        Some(bytes[1..].iter().fold(u64::from(first & 0x3f), |n, byte| n << 8 | u64::from(*byte)))
    }

    fn id(&mut self) -> Option<&'d [u8]> {
        let len = usize::from(self.take(1)?[0]);
        if len <= ID_MAX { self.take(len) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn packets_one_behind_the_other() {
        let mut datagram = vec![0xc0, 0, 0, 0, 1, 2, 7, 8, 1, 9, 1, 0xaa, 3, 1, 2, 3];
        datagram.extend([0xe0, 0, 0, 0, 1, 0, 0, 0x40, 2, 5, 6]);
        datagram.extend([0x40, 1, 2, 3]);
        let packets: Vec<_> = Packets::of(&datagram).collect();
        let [initial, handshake] = &packets[..] else { panic!("two packets") };
        assert_eq!((initial.kind, initial.destination, initial.source), (Kind::Initial, &[7, 8][..], &[9][..]));
        assert_eq!((initial.token_len, initial.number_at, initial.bytes.len()), (1, 13, 16));
        assert_eq!((handshake.kind, handshake.bytes.len(), handshake.number_at), (Kind::Handshake, 11, 9));
    }

    #[test]
    fn kinds_by_version() {
        let kinds = |family| [0, 1, 2, 3].map(|bits| kind_of(bits, family));
        assert_eq!(kinds(Family::One), [Kind::Initial, Kind::ZeroRtt, Kind::Handshake, Kind::Retry]);
        assert_eq!(kinds(Family::Two), [Kind::Retry, Kind::Initial, Kind::ZeroRtt, Kind::Handshake]);
        let negotiation = [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        assert_eq!(Packets::of(&negotiation).next().map(|p| p.kind), Some(Kind::Negotiation));
    }

    #[test]
    fn numbers() {
        for (bytes, number) in [
            (&[0x25][..], Some(37)),
            (&[0x7b, 0xbd], Some(15_293)),
            (&[0x9d, 0x7f, 0x3e, 0x7d], Some(494_878_333)),
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c], Some(151_288_809_941_952_652)),
            (&[0x80, 0], None),
        ] {
            assert_eq!(Reader { bytes, at: 0 }.number(), number);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end(first in 0x80u8.., tail in prop::collection::vec(any::<u8>(), 0..200)) {
            let datagram = [&[first, 0, 0, 0, 1], &tail[..]].concat();
            for packet in Packets::of(&datagram) {
                prop_assert!(packet.number_at <= packet.bytes.len() + packet.bytes.len());
            }
        }
    }
}
