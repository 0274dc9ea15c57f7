//! Harnesses: each takes any bytes and must return.
use super::{FILE_HEADER, FileHeader, Flow, Reader, filter};

/// A file of nfdump. The first byte chooses the compression, and the rest of the header is made, so that any bytes come to be blocks.
pub fn fuzz_nfdump_file(data: &[u8]) {
    let read = |file: &[u8]| {
        let Ok(mut reader) = Reader::new(file) else { return };
        // A record has four bytes at least, so there are no more records than fit into blocks that were read.
        while let Ok(Some(_)) = reader.next_flow() {}
    };
    read(data);
    let Some((choice, blocks)) = data.split_first() else { return };
    let Some(compression) = super::Compression::from_number(choice % 4) else { return };
    let header = FileHeader { created: 0, compression, appendix_blocks: 0, appendix: 0, blocks: u32::MAX };
    let header: [u8; FILE_HEADER] = header.to_bytes();
    read(&[&header[..], blocks].concat());
}

/// Any text as a filter; an accepted one has an answer for a flow, the same at each call.
pub fn fuzz_nfdump_filter(data: &[u8]) {
    let Ok(filter) = filter::parse(&String::from_utf8_lossy(data)) else { return };
    let flow = Flow { packets: 3, bytes: 500, protocol: 6, ports: [50_000, 443], ..Flow::default() };
    // Not the opposite under `not`: flags by letters are another question there.
    assert_eq!(filter.matches(&flow, 1), filter.matches(&flow, 1));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes(data in prop::collection::vec(any::<u8>(), 0..400)) {
            fuzz_nfdump_file(&data);
        }

        #[test]
        fn nearly_valid_blocks(records in 1u8..4, content in prop::collection::vec(prop_oneof![any::<u8>(), 0u8..12], 0..200)) {
            let size = (content.len() as u32).to_le_bytes();
            fuzz_nfdump_file(&[&[0, records, 0, 0, 0][..], &size, &[3, 0, 0, 0], &content].concat());
        }
    }
}
