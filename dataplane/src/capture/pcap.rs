//! Classic pcap: a file header of 24 bytes, then records of a 16-byte header and the frame.
//! Format: draft-ietf-opsawg-pcap, sections 4 and 5.
use super::decode::{CAPLEN_MAX, Place, Step, Then};
use super::scout::Trail;
use super::{CaptureError, CaptureStats, FlowDirection, Frame, LinkType, Observed};
use record::Time;

pub(super) const RECORD_HEAD_LEN: usize = 16;

/// How far ahead of the reader lines are asked for, bytes ([`super::CaptureSource::ahead`]): more than a burst of small packets, and
/// little enough to be there still when they come.
const AHEAD: usize = 8_192;
/// Mean length of records from which on scouts are better than asking for all lines: they cost some 15 ns a packet, each line that
/// nobody reads 4.
const SCOUTED_MIN: u64 = 256;

/// What the file header says, and how far ahead the reader looks.
pub(super) struct Pcap {
    big: bool,
    form: Form,
    /// None where the bytes are near already.
    ahead: Option<Ahead>,
}

#[derive(Clone, Copy)]
struct Form {
    /// Nanoseconds in a unit of the fraction: 1 or 1,000.
    unit_ns: u64,
    link: LinkType,
}

struct Ahead {
    /// Up to this offset of the file it is settled who asks memory for lines.
    to: u64,
    /// Scouts do; otherwise whoever takes the frames.
    is_scouted: bool,
    /// Records that scouts have found.
    trail: Trail,
}

impl Pcap {
    pub(super) const HEAD_LEN: usize = 24;

    /// Whether a file that begins so is meant for [`Pcap::new`], if only for its error.
    pub(super) fn is(magic: [u8; 4]) -> bool {
        let known = |magic| matches!(magic, 0xa1b2_c3d4_u32 | 0xa1b2_3c4d | 0xa1b2_cd34);
        known(u32::from_be_bytes(magic)) || known(u32::from_le_bytes(magic))
    }

    /// Reads the file header; `head` begins with a magic that [`Pcap::is`] knows.
    pub(super) fn new(at: &Place, head: &[u8; Self::HEAD_LEN], in_cache: bool) -> Result<Pcap, CaptureError> {
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
        let ahead = (!in_cache).then(|| Ahead { to: 0, is_scouted: false, trail: Trail::new() });
        Ok(Pcap { big, form: Form { unit_ns, link }, ahead })
    }

    pub(super) fn link(&self) -> LinkType {
        self.form.link
    }

    /// See [`super::CaptureSource::ahead`].
    #[inline]
    pub(super) fn ahead(&self) -> usize {
        self.ahead.as_ref().map_or(0, |ahead| if ahead.is_scouted { 0 } else { AHEAD })
    }

    /// See `Decoder::step`.
    #[inline]
    pub(super) fn step<'w>(
        &mut self,
        at: &mut Place,
        window: &'w [u8],
        last: bool,
        frames: &mut [Frame<'w>],
        stats: &mut CaptureStats,
    ) -> Result<Step, CaptureError> {
        let (count, used) =
            if self.big { self.take::<true>(at, window, frames) } else { self.take::<false>(at, window, frames) };
        if count == 0 {
            return self.stuck(at, window, last);
        }
        stats.packets += count as u64;
        stats.bytes += frames[..count].iter().map(|frame| u64::from(frame.wire_len)).sum::<u64>();
        at.offset += used as u64;
        at.record += count as u64;
        Ok(Step { frames: count, used, then: Then::Again })
    }

    /// Takes whole and plausible records from the front of the window. Answers their number and length.
    #[inline]
    fn take<'w, const BIG: bool>(&mut self, at: &Place, window: &'w [u8], frames: &mut [Frame<'w>]) -> (usize, usize) {
        let Some(ahead) = &mut self.ahead else { return self.form.records::<BIG>(window, frames) };
        ahead.look::<BIG>(at, window);
        match self.form.known::<BIG>(ahead.trail.take(frames.len()), window, frames) {
            (0, _) => self.form.records::<BIG>(window, frames),
            taken => taken,
        }
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

impl Ahead {
    /// Chooses, once for each part of the file, who asks for its lines: by the mean length of the records so far.
    #[inline]
    fn look<const BIG: bool>(&mut self, at: &Place, window: &[u8]) {
        if at.offset < self.to {
            return;
        }
        self.is_scouted = at.offset >= SCOUTED_MIN * (at.record + 1);
        self.to = at.offset + if self.is_scouted { self.trail.scout::<BIG>(window) } else { window.len() } as u64;
    }
}

impl Form {
    /// Takes the records that begin at `starts`, of which the first one is the front of the window, and the last one where they end.
    #[inline]
    fn known<'w, const BIG: bool>(self, starts: &[u32], window: &'w [u8], frames: &mut [Frame<'w>]) -> (usize, usize) {
        let Some((&first, ends)) = starts.split_first() else { return (0, 0) };
        let (mut rest, mut from, mut count) = (window, first, 0);
        for (frame, &to) in frames.iter_mut().zip(ends) {
            let Some((record, behind)) = rest.split_at_checked((to - from) as usize) else { break };
            let Some((head, bytes)) = record.split_first_chunk() else { break };
            *frame = self.frame::<BIG>(head, bytes);
            (rest, from) = (behind, to);
            count += 1;
        }
        (count, window.len() - rest.len())
    }

    /// Finds whole and plausible records one by one from the front of the window on.
    #[inline]
    fn records<'w, const BIG: bool>(self, window: &'w [u8], frames: &mut [Frame<'w>]) -> (usize, usize) {
        let (mut count, mut used) = (0, 0);
        for frame in frames.iter_mut() {
            let Some((head, rest)) = window[used..].split_first_chunk::<RECORD_HEAD_LEN>() else { break };
            let captured = word::<BIG>(head, 8);
            let Some(bytes) = rest.get(..captured as usize).filter(|_| captured <= CAPLEN_MAX) else { break };
            *frame = self.frame::<BIG>(head, bytes);
            let next = used + RECORD_HEAD_LEN + bytes.len();
            used = next;
            count += 1;
        }
        (count, used)
    }

    #[inline(always)]
    fn frame<'w, const BIG: bool>(self, head: &[u8; RECORD_HEAD_LEN], bytes: &'w [u8]) -> Frame<'w> {
        let at = u64::from(word::<BIG>(head, 0)) * 1_000_000_000 + u64::from(word::<BIG>(head, 4)) * self.unit_ns;
        let observed = Observed::new(0, FlowDirection::in_header(self.link, bytes));
        Frame { bytes, wire_len: word::<BIG>(head, 12), at: Time(at), link: self.link, observed }
    }
}

/// The 32-bit number at `place` of a header, which is long enough in all uses.
#[inline(always)]
pub(super) fn word<const BIG: bool>(head: &[u8], place: usize) -> u32 {
    let bytes = [head[place], head[place + 1], head[place + 2], head[place + 3]];
    if BIG { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
}
