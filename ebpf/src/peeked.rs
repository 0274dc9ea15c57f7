//! What the program reads in a frame, for tests that hold it against the decoder.
use crate::offload::Tuple;

/// `struct peeked` of the program.
pub(crate) const PEEKED: usize = 112;

/// What the program read in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peeked {
    pub tuple: Tuple,
    pub ip_len: u32,
    pub wire_len: u32,
    /// Whether the source is the tuple's second end.
    pub reversed: bool,
    pub has_ip: bool,
    pub has_ports: bool,
    /// TCP or UDP and whole, with nothing around it: the tuple is the flow's key.
    pub is_plain: bool,
    pub tcp_flags: u8,
    pub hash: u64,
    /// By which the sockets of a queue share packets; 0 if no addresses were found.
    pub spread: u64,
}

impl Peeked {
    pub(crate) fn of(bytes: &[u8; PEEKED]) -> Peeked {
        let word = |at: usize| bytes[at..].first_chunk().copied().map_or(0, u32::from_ne_bytes);
        Peeked {
            tuple: Tuple(*bytes.first_chunk().unwrap_or(&[0; 40])),
            ip_len: word(40),
            wire_len: word(44),
            reversed: bytes[84] != 0,
            has_ip: bytes[85] != 0,
            has_ports: bytes[86] != 0,
            is_plain: bytes[87] != 0,
            tcp_flags: bytes[88],
            hash: bytes[96..].first_chunk().copied().map_or(0, u64::from_ne_bytes),
            spread: bytes[104..].first_chunk().copied().map_or(0, u64::from_ne_bytes),
        }
    }
}
