//! Endless noise for payloads: cheap to copy, hard to mistake for a protocol, and the same for the same position.
use crate::Rng;

const TABLE_BYTES: usize = 16 * 1024;

static TABLE: [u8; TABLE_BYTES] = table();

pub(super) fn append(out: &mut Vec<u8>, position: u64, length: usize) {
    let mut at = (position % TABLE_BYTES as u64) as usize;
    let mut left = length;
    while left > 0 {
        let piece = left.min(TABLE_BYTES - at);
        out.extend_from_slice(&TABLE[at..at + piece]);
        left -= piece;
        at = 0;
    }
}

const fn table() -> [u8; TABLE_BYTES] {
    let mut table = [0; TABLE_BYTES];
    let mut rng = Rng::new(0x50_4144);
    let mut at = 0;
    while at < TABLE_BYTES {
        // The top bit keeps noise away from ASCII, so that no parser of a text protocol takes it for its own.
        table[at] = rng.draw() as u8 | 0x80;
        at += 1;
    }
    table
}
