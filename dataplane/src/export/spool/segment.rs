//! The form of a segment: a header that names the run that wrote it, then blocks, each a message with its checksum.
//!
//! What is read is trusted as far as the checksums go: the first block that is cut or does not have its checksum ends the segment, since
//! where the next one begins is not known then.
use flate2::Crc;

const MAGIC: &[u8; 8] = b"SONDAsp1";
/// Magic and the number of the run.
pub(super) const HEADER: usize = 16;
/// Length, records, checksum of both and the message.
const BLOCK_HEADER: usize = 12;

/// A message as it was spooled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::export) struct Block<'s> {
    pub(in crate::export) message: &'s [u8],
    /// Data records in it; 0 for templates.
    pub(in crate::export) records: u32,
}

pub(super) fn header(run: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8..].copy_from_slice(&run.to_be_bytes());
    header
}

/// The run that wrote a segment, if this is one.
pub(super) fn run_of(segment: &[u8]) -> Option<u64> {
    let (magic, rest) = segment.split_first_chunk::<8>()?;
    (magic == MAGIC).then_some(u64::from_be_bytes(*rest.first_chunk()?))
}

/// Bytes that a message takes in a segment.
pub(super) fn block_bytes(message: &[u8]) -> u64 {
    (BLOCK_HEADER + message.len()) as u64
}

/// Appends a block.
pub(super) fn put(out: &mut Vec<u8>, block: Block<'_>) {
    let length = (block.message.len() as u32).to_be_bytes();
    let records = block.records.to_be_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&records);
    out.extend_from_slice(&checksum(length, records, block.message).to_be_bytes());
    out.extend_from_slice(block.message);
}

/// The block at the front of what is left of a segment, and what is behind it. `None` at the end, and where it is broken: then something is
/// left.
pub(super) fn split(rest: &[u8]) -> Option<(Block<'_>, &[u8])> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (records, after) = after.split_first_chunk::<4>()?;
    let (crc, after) = after.split_first_chunk::<4>()?;
    let (message, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    let good = checksum(*length, *records, message) == u32::from_be_bytes(*crc);
    good.then_some((Block { message, records: u32::from_be_bytes(*records) }, after))
}

fn checksum(length: [u8; 4], records: [u8; 4], message: &[u8]) -> u32 {
    let mut crc = Crc::new();
    [&length[..], &records, message].into_iter().for_each(|part| crc.update(part));
    crc.sum()
}

/// Fuzz target: reads any bytes as a segment; what is read is what a segment of these blocks begins with.
pub(crate) fn fuzz_segment(data: &[u8]) {
    let Some(run) = run_of(data) else { return };
    let mut again = header(run).to_vec();
    let mut rest = &data[HEADER..];
    while let Some((block, after)) = split(rest) {
        put(&mut again, block);
        assert!(after.len() < rest.len());
        rest = after;
    }
    assert!(data.starts_with(&again));
    assert_eq!(again.len() + rest.len(), data.len());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn segment(messages: &[Vec<u8>]) -> Vec<u8> {
        let mut segment = header(7).to_vec();
        (1..).zip(messages).for_each(|(records, message)| put(&mut segment, Block { message, records }));
        segment
    }

    fn read(segment: &[u8]) -> Vec<Vec<u8>> {
        let mut rest = &segment[HEADER..];
        let next = || {
            let (block, after) = split(rest)?;
            rest = after;
            Some(block.message.to_vec())
        };
        std::iter::from_fn(next).collect()
    }

    proptest! {
        /// Wherever a segment is cut and whatever bit flips, what is read are the first of the messages that were written.
        #[test]
        fn a_torn_segment_gives_whole_messages(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..9),
            cut in any::<prop::sample::Index>(),
            flip in any::<prop::sample::Index>(),
            bit in 0u32..8,
        ) {
            let whole = segment(&messages);
            prop_assert_eq!(&read(&whole), &messages);
            let cut = HEADER + cut.index(whole.len() - HEADER + 1);
            let torn = read(&whole[..cut]);
            prop_assert!(messages.starts_with(&torn));
            if whole.len() > HEADER {
                let mut flipped = whole.clone();
                flipped[HEADER + flip.index(whole.len() - HEADER)] ^= 1 << bit;
                let read = read(&flipped);
                prop_assert!(read.len() < messages.len() && messages.starts_with(&read));
                fuzz_segment(&flipped);
            }
            fuzz_segment(&whole);
        }
    }
}
