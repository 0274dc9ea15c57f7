//! Compressed streams before liblz4, which ipfixprobe and ipfixcol2 are built on: it reads ours as ipfixcol2 does, and we read what it
//! writes as ipfixprobe does.
//!
//! Needs python3 and liblz4 (Debian package `liblz4-1`); SONDA_SKIP_TOOLS=1 does without.
use record::ipfix::{Lz4Reader, Lz4Writer};
use std::io::Write;
use std::process::{Command, Stdio};

/// Both sides over liblz4's calls for continued streams. `read` keeps messages in a ring of the size that the stream names and never lets
/// one cross its end; `write SIZE` compresses out of a ring of that size. Messages are told as lengths and bytes.
const LIBLZ4: &str = r#"
import ctypes, struct, sys
lz4 = ctypes.CDLL("liblz4.so.1")
lz4.LZ4_createStream.restype = lz4.LZ4_createStreamDecode.restype = ctypes.c_void_p
stdin, stdout = sys.stdin.buffer.read(), sys.stdout.buffer
if sys.argv[1] == "read":
    magic, size = struct.unpack(">4sI", stdin[:8])
    assert magic == b"LZ4c"
    stream, ring = ctypes.c_void_p(lz4.LZ4_createStreamDecode()), ctypes.create_string_buffer(size)
    at, place = 8, 0
    while at < len(stdin):
        said, compressed = struct.unpack(">HH", stdin[at:at + 4])
        block = stdin[at + 4:at + 4 + compressed]
        assert len(block) == compressed and said <= size
        place = 0 if size - place < said else place
        to = ctypes.byref(ring, place)
        got = lz4.LZ4_decompress_safe_continue(stream, block, to, compressed, said)
        assert got == said, (at, got, said)
        stdout.write(struct.pack(">I", said) + ring[place:place + said])
        at, place = at + 4 + compressed, (place + said) % size
else:
    size = int(sys.argv[2])
    stream, ring, out = ctypes.c_void_p(lz4.LZ4_createStream()), ctypes.create_string_buffer(size), ctypes.create_string_buffer(70000)
    at, place = 0, 0
    stdout.write(struct.pack(">4sI", b"LZ4c", size + 70000))
    while at < len(stdin):
        length, = struct.unpack(">I", stdin[at:at + 4])
        place = 0 if size - place < length else place
        ring[place:place + length] = stdin[at + 4:at + 4 + length]
        compressed = lz4.LZ4_compress_fast_continue(stream, ctypes.byref(ring, place), out, length, 70000, 0)
        assert compressed > 0
        stdout.write(struct.pack(">HH", length, compressed) + out[:compressed])
        at, place = at + 4 + length, place + length
"#;

fn liblz4(args: &[&str], stdin: Vec<u8>) -> Vec<u8> {
    let mut command = Command::new("python3");
    command.arg("-c").arg(LIBLZ4).args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("python3 (Debian package `python3`)");
    let mut pipe = child.stdin.take().expect("a pipe");
    let writer = std::thread::spawn(move || pipe.write_all(&stdin).expect("it reads all"));
    let done = child.wait_with_output().expect("our child");
    writer.join().expect("it wrote");
    assert!(done.status.success(), "liblz4 (Debian package `liblz4-1`) refuses the stream, or is missing");
    done.stdout
}

fn skipped() -> bool {
    let skipped = std::env::var_os("SONDA_SKIP_TOOLS").is_some_and(|v| v == "1");
    if skipped {
        println!("NOT RUN: SONDA_SKIP_TOOLS=1");
    }
    skipped
}

/// Messages like those of a run: most near the mtu, some long ones as of templates, with repetitions near and far, and noise.
fn messages(mtu: usize) -> Vec<Vec<u8>> {
    let mut noise = 7u32;
    let mut random = move || {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (noise >> 16) as usize
    };
    let words: Vec<Vec<u8>> = (0..300).map(|_| (0..4 + random() % 60).map(|_| random() as u8).collect()).collect();
    (0..400)
        .map(|n| {
            let length = if n % 90 == 7 { 20_000 + random() % 40_000 } else { 20 + random() % (mtu - 20) };
            let mut message = Vec::new();
            while message.len() < length {
                message.extend_from_slice(&words[random() % words.len()]);
            }
            message.truncate(length);
            message
        })
        .collect()
}

fn told(messages: &[Vec<u8>]) -> Vec<u8> {
    messages.iter().flat_map(|message| [&(message.len() as u32).to_be_bytes()[..], message].concat()).collect()
}

#[test]
fn liblz4_reads_what_we_write_in_the_ring_that_we_ask_for() {
    if skipped() {
        return;
    }
    for (mtu, history) in [(1458, 4374), (1458, 65_535), (9000, 27_000), (60_000, 65_535)] {
        let messages = messages(mtu);
        let (mut writer, mut stream) = (Lz4Writer::new(history), Vec::new());
        messages.iter().for_each(|message| writer.put(message, &mut stream));
        assert!(stream.len() < messages.iter().map(Vec::len).sum(), "{mtu}: shorter");
        assert!(liblz4(&["read"], stream) == told(&messages), "mtu {mtu}, history {history}");
    }
}

#[test]
fn we_read_what_liblz4_writes_out_of_a_ring_as_small_as_the_originals() {
    if skipped() {
        return;
    }
    for ring in ["4374", "70000"] {
        let mut messages = messages(1458);
        messages.retain(|message| message.len() <= 1458 || ring == "70000");
        let stream = liblz4(&["write", ring], told(&messages));
        let (mut reader, mut back) = (Lz4Reader::default(), Vec::new());
        for chunk in stream.chunks(1000) {
            reader.push(chunk, &mut |message| back.push(message.to_vec())).expect("liblz4's");
        }
        reader.finish().expect("whole blocks");
        assert!(back == messages, "ring {ring}");
    }
}
