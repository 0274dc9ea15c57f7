//! The decoder of capture files: a window of bytes in, frames out. It knows neither files nor streams; [`Input`] does, and both kinds
//! of input share all of this.
use super::pcap::Pcap;
use super::pcapng::Pcapng;
use super::{CaptureError, CaptureStats, Frame, LinkType};

/// The longest frame that is believed, bytes: MAXIMUM_SNAPLEN of tcpdump and libpcap. A longer one is damage.
pub(super) const CAPLEN_MAX: u32 = 262_144;

/// A part of the capture that lies in memory, and the means to get more of it.
pub(super) trait Input {
    /// Whether the bytes of the window are near the processor already, so that asking for them ahead would be work for nothing.
    const IN_CACHE: bool;

    /// Bytes that were not consumed yet.
    fn window(&self) -> &[u8];
    /// Whether the capture ends with the window.
    fn last(&self) -> bool;
    /// Drops the first `used` bytes of the window.
    fn consume(&mut self, used: usize);
    /// Makes the window longer, if possible to `need` bytes. Called only while [`Input::last`] is false.
    fn fill(&mut self, need: usize) -> Result<Filled, CaptureError>;
    fn progress(&self) -> Option<(u64, u64)>;
}

/// How [`Input::fill`] went.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// The window is longer, or known to be the last.
    Yes,
    /// Nothing there now.
    Idle,
}

/// What a step of the decoder came to. Frames stand at the front of the array that was given to it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) frames: usize,
    /// Bytes of the window that are done with.
    pub(super) used: usize,
    pub(super) then: Then,
}

/// What a decoder wants next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// The rest of the window.
    Again,
    /// A window of at least so many bytes, or the last one.
    Fill(usize),
    End,
}

/// Where a decoder is; makes its errors.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) path: Box<str>,
    /// Bytes before the window.
    pub(super) offset: u64,
    /// Records (blocks) before the window.
    pub(super) record: u64,
    /// `record` or `block`.
    pub(super) unit: &'static str,
}

pub(super) struct Decoder {
    at: Place,
    format: Format,
    in_cache: bool,
}

enum Format {
    Unknown,
    Pcap(Pcap),
    Pcapng(Pcapng),
}

impl Decoder {
    /// `path` is for messages, `in_cache` as of [`Input::IN_CACHE`].
    pub(super) fn new(path: &str, in_cache: bool) -> Decoder {
        let at = Place { path: path.into(), offset: 0, record: 0, unit: "record" };
        Decoder { at, format: Format::Unknown, in_cache }
    }

    /// Whether the file header was read and accepted.
    pub(super) fn started(&self) -> bool {
        !matches!(self.format, Format::Unknown)
    }

    /// The link type of all frames, if the file header tells it.
    pub(super) fn link(&self) -> Option<LinkType> {
        match &self.format {
            Format::Pcap(pcap) => Some(pcap.link()),
            _ => None,
        }
    }

    /// See [`super::CaptureSource::ahead`].
    #[inline]
    pub(super) fn ahead(&self) -> usize {
        if let Format::Pcap(pcap) = &self.format { pcap.ahead() } else { 0 }
    }

    /// Reads on in `window`, which begins where the last step's use of it ended. An error comes only when nothing can be lent any
    /// more: first come steps with the frames before it.
    #[inline]
    pub(super) fn step<'w>(
        &mut self,
        window: &'w [u8],
        last: bool,
        frames: &mut [Frame<'w>],
        stats: &mut CaptureStats,
    ) -> Result<Step, CaptureError> {
        match &mut self.format {
            Format::Pcap(pcap) => pcap.step(&mut self.at, window, last, frames, stats),
            Format::Pcapng(pcapng) => pcapng.step(&mut self.at, window, last, frames, stats),
            Format::Unknown => self.start(window, last),
        }
    }

    /// Tells the format by its magic and reads the file header.
    pub(super) fn start(&mut self, window: &[u8], last: bool) -> Result<Step, CaptureError> {
        // Eight bytes where possible, so that the message shows them.
        if window.len() < 8 && !last {
            return Ok(Step { frames: 0, used: 0, then: Then::Fill(8) });
        }
        let Some(magic) = window.first_chunk::<4>() else {
            return Err(match window {
                [] => CaptureError::Empty { path: self.at.path.to_string() },
                few => self.at.not_a_capture(few),
            });
        };
        match *magic {
            magic if Pcap::is(magic) => match window.first_chunk() {
                Some(head) => {
                    self.format = Format::Pcap(Pcap::new(&self.at, head, self.in_cache)?);
                    self.at.offset = head.len() as u64;
                    Ok(Step { frames: 0, used: head.len(), then: Then::Again })
                }
                None => self.at.short(window, last, Pcap::HEAD_LEN),
            },
            Pcapng::MAGIC => {
                let mut pcapng = Pcapng::new();
                let step = pcapng.start(&mut self.at, window, last)?;
                if step.used > 0 {
                    self.format = Format::Pcapng(pcapng);
                }
                Ok(step)
            }
            _ => Err(self.at.not_a_capture(window)),
        }
    }
}

impl Place {
    /// The window ends inside a thing of `need` bytes that it begins with.
    #[cold]
    pub(super) fn short(&self, window: &[u8], last: bool, need: usize) -> Result<Step, CaptureError> {
        match (last, window) {
            (false, _) => Ok(Step { frames: 0, used: 0, then: Then::Fill(need) }),
            (true, []) => Ok(Step { frames: 0, used: 0, then: Then::End }),
            (true, cut) => Err(self.truncated(cut.len() as u64, need as u64)),
        }
    }

    #[cold]
    pub(super) fn truncated(&self, have: u64, need: u64) -> CaptureError {
        let (path, unit, record, offset) = (self.path.to_string(), self.unit, self.record + 1, self.offset);
        CaptureError::Truncated { path, unit, record, offset, have, need }
    }

    #[cold]
    pub(super) fn broken(&self, what: String) -> CaptureError {
        let (path, unit, record, offset) = (self.path.to_string(), self.unit, self.record + 1, self.offset);
        CaptureError::Broken { path, unit, record, offset, what }
    }

    #[cold]
    pub(super) fn not_a_capture(&self, window: &[u8]) -> CaptureError {
        let first = &window[..window.len().min(8)];
        let hex: Vec<String> = first.iter().map(|byte| format!("{byte:02x}")).collect();
        let first = format!("{} ({:?})", hex.join(" "), String::from_utf8_lossy(first));
        CaptureError::NotACapture { path: self.path.to_string(), first }
    }
}
