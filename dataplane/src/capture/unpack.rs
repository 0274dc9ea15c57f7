//! Tells by its first bytes how a stream is packed, and unpacks it: gzip (RFC 1952), zstd (RFC 8878) or not at all.
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

/// Bytes read at once from below an unpacker.
const PACKED_READ: usize = 128 << 10;

/// The stream after unpacking. `WouldBlock` from below passes through without loss.
pub(super) struct Unpack(State);

type Below = Box<dyn Read + Send>;

enum State {
    /// The first bytes are being collected. The reader is taken out when they are complete.
    Begin {
        below: Option<Below>,
        head: Vec<u8>,
    },
    Plain(Chain<Cursor<Vec<u8>>, Below>),
    Packed {
        reader: Below,
        tool: &'static str,
    },
}

impl Unpack {
    pub(super) fn new(below: impl Read + Send + 'static) -> Unpack {
        Unpack(State::Begin { below: Some(Box::new(below)), head: Vec::new() })
    }

    /// The command that tests such a file, if it is packed.
    pub(super) fn tool(&self) -> Option<&'static str> {
        match self.0 {
            State::Packed { tool, .. } => Some(tool),
            _ => None,
        }
    }

    /// Collects four bytes, or all if there are fewer, and chooses.
    fn begin(&mut self) -> io::Result<()> {
        let State::Begin { below, head } = &mut self.0 else { return Ok(()) };
        let Some(reader) = below else { return Ok(()) };
        while head.len() < 4 {
            let mut more = [0; 4];
            let count = reader.read(&mut more[..4 - head.len()])?;
            if count == 0 {
                break;
            }
            head.extend_from_slice(&more[..count]);
        }
        let (Some(reader), head) = (below.take(), std::mem::take(head)) else { return Ok(()) };
        self.0 = choose(head, reader)?;
        Ok(())
    }
}

impl Read for Unpack {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.begin()?;
        match &mut self.0 {
            State::Begin { .. } => Ok(0),
            State::Plain(reader) => reader.read(into),
            State::Packed { reader, .. } => reader.read(into),
        }
    }
}

fn choose(head: Vec<u8>, below: Below) -> io::Result<State> {
    let packed = is_packed(&head);
    let whole = Cursor::new(head).chain(below);
    Ok(match packed {
        None => State::Plain(whole),
        Some(tool @ GZIP) => {
            State::Packed { reader: Box::new(gzip(BufReader::with_capacity(PACKED_READ, whole))), tool }
        }
        Some(tool) => {
            // Windows of more than 128 MiB (zstd --long=28 and up) are refused by the library: memory stays bounded.
            let zstd = zstd::Decoder::with_buffer(BufReader::with_capacity(PACKED_READ, whole))?;
            State::Packed { reader: Box::new(zstd), tool }
        }
    })
}

const GZIP: &str = "gzip -t";
const ZSTD: &str = "zstd -t";

/// By the magic: the command that tests such a file.
pub(super) fn is_packed(head: &[u8]) -> Option<&'static str> {
    match head {
        [0x1f, 0x8b, ..] => Some(GZIP),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(ZSTD),
        // A skippable frame, which parallel packers put first.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(ZSTD),
        _ => None,
    }
}

fn gzip(below: impl BufRead) -> impl Read {
    flate2::bufread::MultiGzDecoder::new(below)
}
