//! Compressed streams: any bytes are read within fixed memory, the same however they are chunked, and messages come back.
use crate::ipfix::{Lz4Error, Lz4Reader, Lz4Writer};

/// Reads any bytes as a stream, with and without a good start, and writes and reads them as messages.
pub(super) fn fuzz_ipfix_lz4(data: &[u8]) {
    let begun = [b"LZ4c\0\0\x11\x16", data].concat();
    for stream in [data, &begun] {
        assert_eq!(read(stream, stream.len()), read(stream, 3));
    }
    let Some((&knob, data)) = data.split_first() else { return };
    let messages: Vec<&[u8]> = data.chunks(1 + usize::from(knob)).collect();
    let (mut writer, mut stream) = (Lz4Writer::new(usize::from(knob) * 37), Vec::new());
    for message in &messages {
        writer.put(message, &mut stream);
    }
    let (back, end) = read(&stream, 1 + usize::from(knob) / 2);
    assert_eq!((back.iter().map(Vec::as_slice).collect::<Vec<_>>(), end), (messages, Ok(())));
}

fn read(stream: &[u8], chunk: usize) -> (Vec<Vec<u8>>, Result<(), Lz4Error>) {
    let (mut reader, mut messages) = (Lz4Reader::default(), Vec::new());
    for chunk in stream.chunks(chunk.max(1)) {
        // An error is told again at the end.
        let _ = reader.push(chunk, &mut |message| messages.push(message.to_vec()));
    }
    (messages, reader.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn any_bytes(data in prop::collection::vec(any::<u8>(), 0..3000)) {
            fuzz_ipfix_lz4(&data);
        }

        #[test]
        fn repetitions(data in prop::collection::vec(0..3u8, 0..3000)) {
            fuzz_ipfix_lz4(&data);
        }
    }
}
