//! Classic pcap: a file header of 24 bytes, then records of a 16-byte header and the frame.
//! Format: draft-ietf-opsawg-pcap, sections 4 and 5.
use super::decode::{CAPLEN_MAX, Place, Step, Then};
use super::{CaptureError, CaptureStats, Frame, LinkType};
use record::Time;
use sys::prefetch_bytes;

const RECORD_HEAD_LEN: usize = 16;
/// How far ahead of the reader memory is asked for, bytes. All lines are, because where the coming headers lie is known only from
/// their predecessors, so that each is a chain of misses otherwise: measured 13 to 31 Mpps at a mean of 330 bytes
/// (tests/capture_rate.rs); between 2 and 8 KiB it is all the same.
pub(super) const AHEAD: usize = 4_096;

/// What the file header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pcap {
    big: bool,
    /// Nanoseconds in a unit of the fraction: 1 or 1,000.
    unit_ns: u64,
    pub(super) link: LinkType,
}

impl Pcap {
    pub(super) const HEAD_LEN: usize = 24;

    /// Whether a file that begins so is meant for [`Pcap::new`], if only for its error.
    pub(super) fn is(magic: [u8; 4]) -> bool {
        let known = |magic| matches!(magic, 0xa1b2_c3d4_u32 | 0xa1b2_3c4d | 0xa1b2_cd34);
        known(u32::from_be_bytes(magic)) || known(u32::from_le_bytes(magic))
    }

    /// Reads the file header; `head` begins with a magic that [`Pcap::is`] knows.
    pub(super) fn new(at: &Place, head: &[u8; Self::HEAD_LEN]) -> Result<Pcap, CaptureError> {
        let big = head[0] == 0xa1;
        let word = |place| if big { word::<true>(head, place) } else { word::<false>(head, place) };
        let half = |place| {
            let bytes = [head[place], head[place + 1]];
            if big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
        };
        let path = || at.path.to_string();
        let unit_ns = match word(0) {
            0xa1b2_3c4d => 1,
            0xa1b2_cd34 => return Err(CaptureError::Modified { path: path() }),
            _ => 1_000,
        };
        let (major, minor) = (half(4), half(6));
        if (major, minor) != (2, 4) {
            return Err(CaptureError::Version { path: path(), format: "pcap", major, minor });
        }
        // The upper six bits tell of a frame check sequence at the end of each frame; IP lengths cut that off.
        let number = word(20) & 0x03ff_ffff;
        let link = LinkType::from_number(number).ok_or_else(|| CaptureError::Link { path: path(), number })?;
        Ok(Pcap { big, unit_ns, link })
    }

    /// See `Decoder::step`.
    #[inline]
    pub(super) fn step<'w>(
        &self,
        at: &mut Place,
        window: &'w [u8],
        last: bool,
        frames: &mut [Frame<'w>],
        stats: &mut CaptureStats,
    ) -> Result<Step, CaptureError> {
        let (count, used) = if self.big {
            self.records::<true>(window, frames, stats)
        } else {
            self.records::<false>(window, frames, stats)
        };
        if count == 0 {
            return self.stuck(at, window, last);
        }
        at.offset += used as u64;
        at.record += count as u64;
        Ok(Step { frames: count, used, then: Then::Again })
    }

    /// Takes whole and plausible records from the front of the window. Answers their number and length.
    #[inline]
    fn records<'w, const BIG: bool>(
        &self,
        window: &'w [u8],
        frames: &mut [Frame<'w>],
        stats: &mut CaptureStats,
    ) -> (usize, usize) {
        let (mut count, mut used, mut wire_bytes) = (0, 0, 0);
        for frame in frames.iter_mut() {
            let Some((head, rest)) = window[used..].split_first_chunk::<RECORD_HEAD_LEN>() else { break };
            let captured = word::<BIG>(head, 8);
            let Some(bytes) = rest.get(..captured as usize).filter(|_| captured <= CAPLEN_MAX) else { break };
            let wire_len = word::<BIG>(head, 12);
            let at = u64::from(word::<BIG>(head, 0)) * 1_000_000_000 + u64::from(word::<BIG>(head, 4)) * self.unit_ns;
            *frame = Frame { bytes, wire_len, at: Time(at), link: self.link };
            let next = used + RECORD_HEAD_LEN + bytes.len();
            prefetch_bytes(window, used + AHEAD..next + AHEAD);
            used = next;
            count += 1;
            wire_bytes += u64::from(wire_len);
        }
        stats.packets += count as u64;
        stats.bytes += wire_bytes;
        (count, used)
    }

    /// Why there is no record at the front of the window.
    #[cold]
    fn stuck(&self, at: &Place, window: &[u8], last: bool) -> Result<Step, CaptureError> {
        let Some(head) = window.first_chunk::<RECORD_HEAD_LEN>() else {
            return at.short(window, last, RECORD_HEAD_LEN);
        };
        let captured = if self.big { word::<true>(head, 8) } else { word::<false>(head, 8) };
        if captured > CAPLEN_MAX {
            return Err(at.broken(format!(
                "it claims {captured} captured bytes, more than the {CAPLEN_MAX} that a frame can have"
            )));
        }
        at.short(window, last, RECORD_HEAD_LEN + captured as usize)
    }
}

/// The 32-bit number at `place` of a header, which is long enough in all uses.
#[inline(always)]
fn word<const BIG: bool>(head: &[u8], place: usize) -> u32 {
    let bytes = [head[place], head[place + 1], head[place + 2], head[place + 3]];
    if BIG { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
}
