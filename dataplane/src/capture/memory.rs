//! Frames in memory, lent again and again: for benches and tests, where neither file nor kernel shall have a part in the numbers.
use super::{BURST, CaptureError, CaptureSource, CaptureStats, Frame, LinkType, Observed, Poll};
use record::Time;

/// Frames that stand one after the other in one piece of memory.
#[derive(Clone, Debug, Default)]
pub struct MemorySource {
    bytes: Vec<u8>,
    frames: Vec<Kept>,
    next: usize,
    /// Nanoseconds added to all times.
    later: u64,
    /// Frames lent at a time, at most [`BURST`].
    burst: usize,
    stats: CaptureStats,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    at: Time,
    offset: u64,
    len: u32,
    wire_len: u32,
    link: LinkType,
    observed: Observed,
}

impl MemorySource {
    /// Lends `burst` frames at a time, 1 to [`BURST`].
    pub fn new(burst: usize) -> MemorySource {
        MemorySource { burst: burst.clamp(1, BURST), ..MemorySource::default() }
    }

    /// Copies all frames of another source.
    pub fn fill(&mut self, source: &mut impl CaptureSource) -> Result<(), CaptureError> {
        while source.burst(|frames| frames.iter().for_each(|f| self.push(f)))? != Poll::End {}
        Ok(())
    }

    pub fn push(&mut self, frame: &Frame<'_>) {
        // Each frame begins on a cache line, as in the buffers of a network card.
        self.bytes.resize(self.bytes.len().next_multiple_of(64), 0);
        let (offset, len) = (self.bytes.len() as u64, frame.bytes.len() as u32);
        self.bytes.extend_from_slice(frame.bytes);
        self.frames.push(Kept {
            at: frame.at,
            offset,
            len,
            wire_len: frame.wire_len,
            link: frame.link,
            observed: frame.observed,
        });
    }

    /// Begins anew; the counters go on, and so does time: the frames come again later by the length of the capture.
    pub fn rewind(&mut self) {
        if let (Some(first), Some(last)) = (self.frames.first(), self.frames.last()) {
            self.later += last.at.0.saturating_sub(first.at.0) + 1;
        }
        self.next = 0;
    }

    pub fn len(&self) -> usize {
        self.frames.len()
    }
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}

impl CaptureSource for MemorySource {
    fn burst(&mut self, mut take: impl FnMut(&[Frame<'_>])) -> Result<Poll, CaptureError> {
        let kept = &self.frames[self.next..self.frames.len().min(self.next + self.burst)];
        if kept.is_empty() {
            return Ok(Poll::End);
        }
        let mut frames = [Frame::default(); BURST];
        for (frame, k) in frames.iter_mut().zip(kept) {
            let bytes = &self.bytes[k.offset as usize..][..k.len as usize];
            *frame = Frame {
                bytes,
                wire_len: k.wire_len,
                at: Time(k.at.0 + self.later),
                link: k.link,
                observed: k.observed,
            };
            self.stats.bytes += u64::from(k.wire_len);
        }
        self.stats.packets += kept.len() as u64;
        for ahead in self.frames[self.next + kept.len()..].iter().take(self.burst) {
            sys::prefetch_bytes(&self.bytes, ahead.offset as usize..ahead.offset as usize + 64);
        }
        self.next += kept.len();
        take(&frames[..kept.len()]);
        Ok(Poll::More)
    }

    fn limit(&mut self, frames: usize) {
        self.burst = frames.clamp(1, BURST);
    }

    fn stats(&self) -> CaptureStats {
        self.stats
    }
}
