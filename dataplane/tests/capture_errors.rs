//! What is said of captures that cannot be read, wholly or in part, and of pipes.
use dataplane::capture::fuzzing::Told;
use dataplane::capture::write::PcapWriter;
use dataplane::capture::{CaptureError, CaptureSource, Frame, LinkType, OpenOptions, Poll, open, open_reader};
use record::Time;
use std::io::Write;
use std::path::{Path, PathBuf};

fn pcap(link: LinkType, lens: &[usize]) -> Vec<u8> {
    let mut file = PcapWriter::new(Vec::new(), link, false).unwrap();
    for &len in lens {
        file.frame(&Frame { bytes: &vec![7; len], wire_len: 100, at: Time(0), link, ..Frame::default() }).unwrap();
    }
    file.finish().unwrap()
}

fn written(dir: &Path, bytes: &[u8]) -> PathBuf {
    let path = dir.join("capture");
    std::fs::write(&path, bytes).unwrap();
    path
}

fn opened(path: impl AsRef<Path>) -> Result<(), String> {
    open(path, OpenOptions::default()).map(drop).map_err(|error| error.to_string())
}

/// Opening fails, and the message says all of `parts`.
fn says(path: impl AsRef<Path>, parts: &[&str]) {
    let message = opened(path).unwrap_err();
    for part in parts {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
}

#[test]
fn files_that_are_no_captures() {
    let dir = tempfile::tempdir().unwrap();
    says("/nonexistent/x", &["cannot open /nonexistent/x", "No such file"]);
    says(dir.path(), &["directory", "name a capture file"]);
    says(written(dir.path(), b""), &["empty", "disk"]);
    says(written(dir.path(), b"GET / HTTP/1.1\r\n"), &["47 45 54 20", "GET /", "pcapng"]);
    says(written(dir.path(), b"\xd4\xc3"), &["not a capture", "d4 c3"]);
    let good = pcap(LinkType::Ethernet, &[]);
    let with = |place: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[place..place + bytes.len()].copy_from_slice(bytes);
        written(dir.path(), &file)
    };
    says(with(4, &[3]), &["pcap version 3.4", "editcap -F pcap"]);
    says(with(0, &[0x34, 0xcd, 0xb2, 0xa1]), &["Kuznetzov", "editcap -F pcap"]);
    says(with(20, &[105]), &["link type 105", "Ethernet (1)", "101"]);
    says(written(dir.path(), &good[..20]), &["cut off inside record 1 at byte 0", "20 of its 24 bytes"]);
    let packed = zstd::encode_all(&b"hello, this is text"[..], 1).unwrap();
    says(written(dir.path(), &packed), &["not a capture", "hello"]);
    assert_eq!(opened(written(dir.path(), &good)), Ok(()));
}

#[test]
fn a_filter_that_does_not_compile_is_an_error_of_opening() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), &pcap(LinkType::RawIp, &[40]));
    for packed in [false, true] {
        if packed {
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(&path, zstd::encode_all(&bytes[..], 1).unwrap()).unwrap();
        }
        let options = OpenOptions { filter: Some("ether host 1:2:3:4:5:6".to_owned()), stream: false };
        let message = open(&path, options).map(drop).unwrap_err().to_string();
        assert!(message.contains("`ether host 1:2:3:4:5:6`") && message.contains("RawIp"), "{message}");
    }
}

#[test]
fn frames_before_damage_are_lent_and_the_place_is_named() {
    let mut file = pcap(LinkType::Ethernet, &[10; 100]);
    let whole = Told::by_memory(&file);
    assert_eq!((whole.frames.len(), whole.stats.packets, whole.stats.bytes, whole.error), (100, 100, 10_000, None));
    // Record 71 begins behind 70 of 26 bytes.
    let place = 24 + 70 * 26;
    let cut = Told::by_memory(&file[..place + 20]);
    assert_eq!((cut.frames.len(), cut.stats.packets), (70, 70));
    let message = cut.error.unwrap();
    assert!(message.contains("record 71 at byte 1844: 20 of its 26 bytes"), "{message}");
    file[place + 11] = 0x7f;
    let broken = Told::by_memory(&file);
    assert_eq!((broken.frames.len(), broken.stats.packets), (70, 70));
    let message = broken.error.unwrap();
    assert!(message.contains("record 71 at byte 1844") && message.contains("2130706442 captured bytes"), "{message}");
}

#[test]
fn a_source_is_over_after_an_error() {
    let file = pcap(LinkType::Ethernet, &[10, 10]);
    let mut source = open_reader("input", std::io::Cursor::new(file[..60].to_vec()), OpenOptions::default());
    let mut lent = 0;
    let error = loop {
        match source.burst(|frames| lent += frames.len()) {
            Ok(poll) => assert_ne!(poll, Poll::End),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, CaptureError::Truncated { record: 2, offset: 50, have: 10, need: 16, .. }), "{error}");
    assert_eq!((lent, source.stats().packets), (1, 1));
    assert_eq!(source.burst(|_| unreachable!()).unwrap(), Poll::End);
}

#[test]
fn a_packed_file_that_is_cut_gives_what_is_there() {
    let lens: Vec<usize> = (0..20_000).map(|n| n % 90).collect();
    let file = pcap(LinkType::Ethernet, &lens);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&file).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for (packed, tool) in [(gzip.finish().unwrap(), "gzip -t"), (zstd::encode_all(&file[..], 1).unwrap(), "zstd -t")] {
        let path = written(dir.path(), &packed[..packed.len() - 5]);
        let told = Told::by(&mut open(&path, OpenOptions::default()).unwrap());
        assert!(told.frames.len() > 10_000, "{}", told.frames.len());
        let message = told.error.unwrap();
        assert!(message.contains(tool), "{message}");
    }
}

#[test]
fn a_file_that_shrinks_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), &pcap(LinkType::Ethernet, &vec![10_000; 2_000]));
    let mut source = open(&path, OpenOptions::default()).unwrap();
    source.burst(|_| ()).unwrap();
    // The part that was loaded must stay: that is the hazard which remains.
    std::fs::File::options().write(true).open(&path).unwrap().set_len(8 << 20).unwrap();
    let told = Told::by(&mut source);
    assert!(told.error.unwrap().contains("became shorter"));
}

#[test]
fn a_silent_pipe_is_idle_and_what_it_says_is_lent_at_once() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
    let mut source = open(&path, OpenOptions::default()).unwrap();
    let mut lent = 0;
    assert_eq!(source.burst(|_| unreachable!()).unwrap(), Poll::Idle);
    let file = pcap(LinkType::Ethernet, &[10, 10]);
    writer.write_all(&file[..60]).unwrap();
    while source.burst(|frames| lent += frames.len()).unwrap() != Poll::Idle {}
    assert_eq!((lent, source.progress()), (1, None));
    writer.write_all(&file[60..]).unwrap();
    drop(writer);
    while source.burst(|frames| lent += frames.len()).unwrap() != Poll::End {}
    assert_eq!(lent, 2);
}

#[test]
fn a_fifo_without_a_writer_does_not_hold_up_opening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let mut source = open(&path, OpenOptions::default()).unwrap();
    assert_eq!(source.burst(|_| unreachable!()).unwrap(), Poll::Idle);
    std::fs::write(&path, pcap(LinkType::Ethernet, &[10])).unwrap();
    assert_eq!(Told::by(&mut source).frames.len(), 1);
}

#[test]
fn interfaces_of_unknown_link_types_are_counted() {
    let block = |kind: u32, body: &[u8]| {
        let len = (body.len() as u32 + 12).to_le_bytes();
        [&kind.to_le_bytes()[..], &len, body, &len].concat()
    };
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let section = block(0x0a0d_0d0a, &words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]));
    let packet = |interface| block(6, &words(&[interface, 0, 5, 4, 60, 0x0a0b_0c0d]));
    let file = [
        section.clone(),
        block(1, &words(&[105, 0])),
        block(1, &words(&[276, 0])),
        packet(0),
        packet(1),
        packet(0),
        section,
        block(1, &words(&[12, 0])),
        packet(0),
        // A block of an unknown type may be of any length, even longer than the buffer.
        block(0x0bad, &vec![0; 3 << 20]),
        packet(1),
    ]
    .concat();
    let told = Told::by_memory(&file);
    let links: Vec<_> = told.frames.iter().map(|frame| (frame.2, frame.3)).collect();
    assert_eq!(links, [(Time(5_000), LinkType::LinuxSll2), (Time(5_000), LinkType::RawIp)]);
    assert_eq!((told.stats.packets, told.stats.unknown_link, told.stats.bytes), (4, 2, 240));
    let message = told.error.clone().unwrap();
    assert!(message.contains("block 11") && message.contains("interface 1"), "{message}");
    assert_eq!(told, Told::by_pieces(&file, vec![100_000]));
}

/// Reads standard input when it is run by the test below, else does nothing.
#[test]
fn in_a_child_with_a_capture_as_standard_input() {
    if std::env::var_os("CAPTURE_IN_STDIN").is_some() {
        let told = Told::by(&mut open("-", OpenOptions::default()).unwrap());
        println!("\nread {} packets, error {:?}", told.stats.packets, told.error);
    }
}

#[test]
fn standard_input_may_be_packed_a_pipe_or_a_file() {
    let plain = pcap(LinkType::Ethernet, &vec![60; 10_000]);
    let packed = zstd::encode_all(&plain[..], 1).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for (file, expected) in [
        (&plain[..], "read 10000 packets, error None"),
        (&packed, "read 10000 packets, error None"),
        (b"", "standard input is empty"),
    ] {
        for piped in [true, false] {
            let path = written(dir.path(), file);
            let mut child = std::process::Command::new(std::env::current_exe().unwrap());
            child
                .args(["--exact", "--nocapture", "in_a_child_with_a_capture_as_standard_input"])
                .env("CAPTURE_IN_STDIN", "1");
            child.stdout(std::process::Stdio::piped());
            let out = if piped {
                let mut child = child.stdin(std::process::Stdio::piped()).spawn().unwrap();
                child.stdin.take().unwrap().write_all(file).unwrap();
                child.wait_with_output()
            } else {
                child.stdin(std::fs::File::open(&path).unwrap()).output()
            };
            let said = String::from_utf8(out.unwrap().stdout).unwrap();
            assert!(said.contains(expected), "piped={piped}: {said}");
        }
    }
}
