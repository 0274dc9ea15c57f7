//! Properties of the capture readers: see `dataplane::capture::fuzzing` for what is asserted of any bytes.
use dataplane::capture::fuzzing::{Told, fuzz_pcap, fuzz_pcapng};
use dataplane::capture::write::PcapWriter;
use dataplane::capture::{Frame, LinkType, OpenOptions, open};
use proptest::prelude::*;
use record::Time;
use std::io::Write;

fn frames() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..200)
}

fn pcap(frames: &[Vec<u8>], nanos: bool) -> Vec<u8> {
    let mut file = PcapWriter::new(Vec::new(), LinkType::Ethernet, nanos).unwrap();
    for (n, bytes) in frames.iter().enumerate() {
        let at = Time(1_700_000_000_000_000_000 + n as u64 * 1_234_567);
        file.frame(&Frame {
            bytes,
            wire_len: bytes.len() as u32 + 4,
            at,
            link: LinkType::Ethernet,
            ..Frame::default()
        })
        .unwrap();
    }
    file.finish().unwrap()
}

/// Sections in both byte orders, with packet blocks of the three kinds and one to be skipped.
fn pcapng(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for (n, bytes) in frames.iter().enumerate() {
        let big = n / 32 % 2 == 1;
        let word = |number: u32| if big { number.to_be_bytes() } else { number.to_le_bytes() };
        let half = |number: u16| if big { number.to_be_bytes() } else { number.to_le_bytes() };
        let mut block = |kind: u32, body: &[u8]| {
            let len = word((body.len().next_multiple_of(4) + 12) as u32);
            let padding = &[0; 3][..body.len().next_multiple_of(4) - body.len()];
            file.extend([&word(kind)[..], &len, body, padding, &len].concat());
        };
        if n % 32 == 0 {
            block(0x0a0d_0d0a, &[&word(0x1a2b_3c4d)[..], &half(1), &half(0), &[255; 8]].concat());
            block(1, &[&half(1)[..], &half(0), &word(0)].concat());
        }
        let len = word(bytes.len() as u32);
        match n % 4 {
            0 => block(3, &[&len[..], bytes].concat()),
            1 => block(2, &[&half(0)[..], &half(9), &word(1), &word(n as u32), &len, &len, bytes].concat()),
            2 => block(6, &[&word(0)[..], &word(1), &word(n as u32), &len, &len, bytes].concat()),
            _ => block(0x0bad, bytes),
        }
    }
    file
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes(data in prop::collection::vec(any::<u8>(), 0..2_000)) {
        fuzz_pcap(&data);
        fuzz_pcapng(&data);
    }

    #[test]
    fn damaged_files(frames in frames(), nanos: bool, cut: prop::sample::Index, hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8)) {
        for mut file in [pcap(&frames, nanos), pcapng(&frames)] {
            if file.is_empty() { continue; }
            for (place, value) in &hits {
                let place = place.index(file.len());
                file[place] = *value;
            }
            fuzz_pcap(&file);
            fuzz_pcapng(&file);
            file.truncate(cut.index(file.len()));
            fuzz_pcap(&file);
            fuzz_pcapng(&file);
        }
    }

    #[test]
    fn any_cut_gives_the_same_frames(frames in frames(), pieces in prop::collection::vec(1_usize..300, 1..20)) {
        for (file, count) in [(pcap(&frames, true), frames.len()), (pcapng(&frames), frames.len() - frames.len() / 4)] {
            let memory = Told::by_memory(&file);
            prop_assert_eq!(memory.frames.len(), count);
            prop_assert_eq!(&memory.error.is_some(), &file.is_empty());
            prop_assert_eq!(&memory, &Told::by_pieces(&file, pieces.clone()));
            for packed in [gzip(&file), zstd::encode_all(&file[..], 1).unwrap()] {
                prop_assert_eq!(&memory, &Told::by_pieces(&packed, pieces.clone()));
            }
        }
    }

    #[test]
    fn the_map_is_the_stream(frames in frames(), cut: prop::sample::Index) {
        let mut file = pcap(&frames, false);
        file.truncate(cut.index(file.len()) + 1);
        let mut on_disk = tempfile::NamedTempFile::new().unwrap();
        on_disk.write_all(&file).unwrap();
        let told = [false, true].map(|stream| {
            open(on_disk.path(), OpenOptions { filter: None, stream }).map(|mut s| Told::by(&mut s)).map_err(|e| e.to_string())
        });
        prop_assert_eq!(&told[0], &told[1]);
        if let Ok(told) = &told[0] {
            prop_assert_eq!(&told.frames, &Told::by_memory(&file).frames);
            for (n, frame) in told.frames.iter().enumerate() {
                prop_assert_eq!(&frame.0, &frames[n]);
                prop_assert_eq!(frame.2.micros(), 1_700_000_000_000_000 + n as u64 * 1_234_567 / 1_000);
            }
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    // Two members: a file may be several packed ones in a row.
    let (front, back) = bytes.split_at(bytes.len() / 2);
    [front, back]
        .map(|part| {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(part).unwrap();
            out.finish().unwrap()
        })
        .concat()
}
