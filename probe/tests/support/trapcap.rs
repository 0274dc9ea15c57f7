//! Files of the TRAP file interface, read independently of the `trap` crate (layout: fixtures/INDEX.md, trap.md section 9).
use std::path::Path;

/// What a file holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Trapcap {
    pub(crate) spec: String,
    /// Records without the end-of-stream message.
    pub(crate) records: Vec<Vec<u8>>,
    /// There was an end-of-stream message.
    pub(crate) ended: bool,
}

#[track_caller]
pub(crate) fn read(path: &Path) -> Trapcap {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let be32 = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
    let be16 = |at: usize| usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
    assert_eq!(bytes[..4], [2, 0, 0, 0], "UniRec");
    let mut at = 8 + be32(4);
    let spec = String::from_utf8(bytes[8..at].to_vec()).expect("text");
    let (mut records, mut ended) = (Vec::new(), false);
    while at < bytes.len() {
        let end = at + 4 + be32(at);
        at += 4;
        while at < end {
            let record = bytes[at + 2..at + 2 + be16(at)].to_vec();
            at += 2 + record.len();
            if record == [0] { ended = true } else { records.push(record) }
        }
        assert_eq!(at, end, "messages fill their buffer");
    }
    Trapcap { spec, records, ended }
}
