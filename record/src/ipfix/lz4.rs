//! The compressed form of an IPFIX stream over TCP that ipfixprobe writes and ipfixcol2 reads (spec/ipfix.md section 6).
//!
//! A stream begins with `LZ4c` and a size, then come blocks: the lengths of a message and of its compressed form, 16 bits each, and that
//! form. A block may repeat what stood in messages before it, so blocks are read in order and a connection begins anew. The size is that
//! of the ring in which ipfixcol2 keeps messages: it never looks back further than a ring less two messages, which is what is asked of it here.
use lz4_flex::block::{compress_into_with_dict, decompress_into_with_dict, get_maximum_output_size};

/// What a compressed stream begins with.
const MAGIC: [u8; 4] = *b"LZ4c";
/// Magic and size of the ring.
const START: usize = 8;
/// The two lengths of a block.
const LENGTHS: usize = 4;
/// How far back LZ4 can point.
const WINDOW: usize = 65_535;
/// Largest message, before and after.
const MESSAGE_MAX: usize = u16::MAX as usize;
/// Bytes of which LZ4 never makes more than that, whatever they are.
const BLOCK_MAX: usize = 65_263;

/// Writes one stream.
pub struct Lz4Writer {
    history: History,
    begun: bool,
}

impl Lz4Writer {
    /// Looks for repetitions in so many bytes of earlier messages, at most 65,535. More is slower and shorter.
    pub fn new(history_bytes: usize) -> Lz4Writer {
        Lz4Writer { history: History::new(history_bytes), begun: false }
    }

    /// Appends a message to `out`, and the start of the stream before the first. A message of more than 65,263 bytes takes two blocks.
    pub fn put(&mut self, message: &[u8], out: &mut Vec<u8>) {
        if !self.begun {
            let ring = (self.history.max + 2 * MESSAGE_MAX) as u32;
            out.extend_from_slice(&MAGIC);
            out.extend_from_slice(&ring.to_be_bytes());
            self.begun = true;
        }
        message.chunks(BLOCK_MAX).for_each(|part| self.block(part, out));
    }

    fn block(&mut self, part: &[u8], out: &mut Vec<u8>) {
        let from = out.len();
        let start = from + LENGTHS;
        out.resize(start + get_maximum_output_size(part.len()), 0);
        let compressed = compress_into_with_dict(part, &mut out[start..], self.history.bytes());
        match compressed.ok().filter(|compressed| *compressed <= MESSAGE_MAX) {
            Some(compressed) => out.truncate(start + compressed),
            None => {
                out.truncate(start);
                stored(part, out);
            }
        }
        let compressed = (out.len() - start) as u16;
        out[from..][..2].copy_from_slice(&(part.len() as u16).to_be_bytes());
        out[from + 2..][..2].copy_from_slice(&compressed.to_be_bytes());
        self.history.push(part);
    }

    /// Another connection: the next message begins a stream.
    pub fn restart(&mut self) {
        self.history.clear();
        self.begun = false;
    }
}

/// Reads one stream, however it is chunked, within 260 KiB.
pub struct Lz4Reader {
    /// Less than a start or a block.
    pending: Vec<u8>,
    history: History,
    message: Vec<u8>,
    begun: bool,
    failed: Option<Lz4Error>,
}

/// Why a stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lz4Error {
    #[error("the stream does not begin with LZ4c: it is not compressed, or not by ipfixprobe's option c")]
    Magic,
    #[error("a block is no LZ4 data")]
    Block,
    #[error("a block says {said} bytes and holds {held}")]
    Length { said: u16, held: usize },
    #[error("the stream ends inside a block")]
    Cut,
}

impl Default for Lz4Reader {
    fn default() -> Self {
        let (pending, message) = (Vec::new(), Vec::new());
        Lz4Reader { pending, history: History::new(WINDOW), message, begun: false, failed: None }
    }
}

impl Lz4Reader {
    /// Takes the next bytes of the stream and lends out each message that is now whole.
    ///
    /// # Errors
    /// The stream is broken; later calls give the same error.
    pub fn push(&mut self, mut chunk: &[u8], visit: &mut impl FnMut(&[u8])) -> Result<(), Lz4Error> {
        while !chunk.is_empty() && self.failed.is_none() {
            let (now, rest) = chunk.split_at(chunk.len().min(self.wanted() - self.pending.len()));
            self.pending.extend_from_slice(now);
            chunk = rest;
            while self.failed.is_none() && self.pending.len() >= self.wanted() {
                self.failed = self.step(visit).err();
            }
        }
        self.failed.map_or(Ok(()), Err)
    }

    /// To be called at the end of the stream.
    ///
    /// # Errors
    /// The stream ended inside a block, or failed before.
    pub fn finish(&self) -> Result<(), Lz4Error> {
        match self.failed {
            Some(error) => Err(error),
            None if self.pending.is_empty() => Ok(()),
            None => Err(Lz4Error::Cut),
        }
    }

    /// Bytes that `pending` has to have for the next step, more than it has after each.
    fn wanted(&self) -> usize {
        match self.lengths() {
            _ if !self.begun => START,
            None => LENGTHS,
            Some((_, compressed)) => LENGTHS + usize::from(compressed),
        }
    }

    /// Of the message and of its compressed form.
    fn lengths(&self) -> Option<(u16, u16)> {
        let [a, b, c, d] = *self.pending.first_chunk::<LENGTHS>()?;
        Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
    }

    fn step(&mut self, visit: &mut impl FnMut(&[u8])) -> Result<(), Lz4Error> {
        if !self.begun {
            self.begun = self.pending.starts_with(&MAGIC);
            self.pending.clear();
            return if self.begun { Ok(()) } else { Err(Lz4Error::Magic) };
        }
        let Some((said, _)) = self.lengths() else { return Ok(()) };
        self.message.resize(said.into(), 0);
        let held = decompress_into_with_dict(&self.pending[LENGTHS..], &mut self.message, self.history.bytes());
        let held = held.map_err(|_| Lz4Error::Block)?;
        if held != usize::from(said) {
            return Err(Lz4Error::Length { said, held });
        }
        self.pending.clear();
        self.history.push(&self.message);
        visit(&self.message);
        Ok(())
    }
}

/// LZ4 that repeats nothing.
fn stored(bytes: &[u8], out: &mut Vec<u8>) {
    // A sequence of literals alone: lengths from 15 on go on in bytes of up to 255.
    out.push((bytes.len().min(15) as u8) << 4);
    if let Some(more) = bytes.len().checked_sub(15) {
        out.extend(std::iter::repeat_n(255, more / 255));
        out.push((more % 255) as u8);
    }
    out.extend_from_slice(bytes);
}

/// The last bytes of a stream.
struct History {
    bytes: Vec<u8>,
    max: usize,
}

impl History {
    fn new(max: usize) -> History {
        History { bytes: Vec::new(), max: max.min(WINDOW) }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[self.bytes.len().saturating_sub(self.max)..]
    }

    fn push(&mut self, message: &[u8]) {
        // Moved once in a while, not for each message.
        if self.bytes.len() + message.len() > 2 * WINDOW {
            let old = self.bytes.len().saturating_sub(self.max);
            self.bytes.drain(..old);
        }
        self.bytes.extend_from_slice(message);
    }

    fn clear(&mut self) {
        self.bytes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(messages: &[&[u8]], history: usize) -> Vec<u8> {
        let (mut writer, mut out) = (Lz4Writer::new(history), Vec::new());
        messages.iter().for_each(|message| writer.put(message, &mut out));
        out
    }

    fn read(stream: &[u8], chunk: usize) -> Result<Vec<Vec<u8>>, Lz4Error> {
        let (mut reader, mut messages) = (Lz4Reader::default(), Vec::new());
        for chunk in stream.chunks(chunk) {
            reader.push(chunk, &mut |message| messages.push(message.to_vec()))?;
        }
        reader.finish().map(|()| messages)
    }

    #[test]
    fn messages_come_back_and_repetitions_are_short() {
        let messages: Vec<Vec<u8>> =
            (0..200u32).map(|n| (0..1400).map(|at| (at * at + n / 50) as u8).collect()).collect();
        let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
        for history in [0, 1, 4374, WINDOW, usize::MAX] {
            let stream = written(&messages, history);
            assert_eq!(stream[..4], MAGIC);
            assert_eq!(read(&stream, 1 << 20).expect("ours"), messages, "history {history}");
        }
        assert!(written(&messages, 4374).len() * 2 < written(&messages, 0).len());
    }

    #[test]
    fn a_connection_begins_anew() {
        let (mut writer, mut streams) = (Lz4Writer::new(4374), [Vec::new(), Vec::new()]);
        for out in &mut streams {
            writer.put(&[7; 1000], out);
            writer.restart();
        }
        assert_eq!(streams[0], streams[1]);
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut seed = 1u32;
        let random = move || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        };
        std::iter::repeat_with(random).take(length).collect()
    }

    #[test]
    fn what_does_not_become_shorter_goes_all_the_same() {
        for length in [0, 1, 14, 15, 16, 269, 270, 271, BLOCK_MAX, BLOCK_MAX + 1, MESSAGE_MAX] {
            let message = noise(length);
            let stream = written(&[&message], 4374);
            assert_eq!(read(&stream, 1000).expect("ours").concat(), message);
            let mut out = Vec::new();
            stored(&message[..length.min(BLOCK_MAX)], &mut out);
            let mut back = vec![0; length.min(BLOCK_MAX)];
            let held = decompress_into_with_dict(&out, &mut back, &[]);
            assert_eq!((held.expect("LZ4"), &back[..]), (back.len(), &message[..back.len()]));
            assert!(out.len() <= MESSAGE_MAX);
        }
    }

    #[test]
    fn broken_streams_are_told() {
        let stream = written(&[&[1; 100], &[2; 100]], 100);
        assert_eq!(read(b"\0\x0a\0\x14IPFIX...", 5), Err(Lz4Error::Magic));
        assert_eq!(read(&stream[..stream.len() - 1], 7), Err(Lz4Error::Cut));
        let mut longer = stream.clone();
        longer[START + 1] += 1;
        assert_eq!(read(&longer, 1), Err(Lz4Error::Length { said: 101, held: 100 }));
        let mut shorter = stream;
        shorter[START + 1] -= 1;
        assert_eq!(read(&shorter, 1), Err(Lz4Error::Block));
    }
}
