//! Where packets come from. One backend is one file; each lends bursts of frames and takes them back.
pub mod write;

use record::Time;

/// Frames in a burst, at the most. 64 independent headers keep the memory system busy (PERFORMANCE.md, "the ceiling").
pub const BURST: usize = 64;

/// What the first byte of a frame is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum LinkType {
    #[default]
    Ethernet,
    /// LINKTYPE_LINUX_SLL (113), 16-byte cooked header.
    LinuxSll,
    /// LINKTYPE_LINUX_SLL2 (276), 20-byte cooked header.
    LinuxSll2,
    /// LINKTYPE_RAW (101) and LINKTYPE_IPV4/6 (228, 229): the IP header comes first.
    RawIp,
    /// LINKTYPE_NULL (0): 4-byte address family in the writer's byte order.
    Null,
    /// LINKTYPE_LOOP (108): the same in network byte order.
    Loop,
}

/// One captured frame, borrowed from its source for one burst.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frame<'b> {
    /// What was captured, possibly less than what was on the wire.
    pub bytes: &'b [u8],
    /// Length on the wire, bytes.
    pub wire_len: u32,
    pub at: Time,
    pub link: LinkType,
}

/// What a source answers to a request for a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// Frames were lent; there may be more.
    More,
    /// Nothing there now, ask again.
    Idle,
    /// The source has ended.
    End,
}

/// What a source knows of itself. `packets` and `bytes` are everything taken, before any filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureStats {
    pub packets: u64,
    /// Bytes on the wire.
    pub bytes: u64,
    /// Lost before Sonda saw them (kernel, NIC).
    pub lost: u64,
    /// Taken, but refused by the filter expression: not lent.
    pub filtered: u64,
    /// Taken, but of a link type that is not supported: not lent.
    pub unknown_link: u64,
}

/// A source of packets.
pub trait CaptureSource {
    /// Lends at most [`BURST`] frames to `take` and takes them back when it returns. After [`Poll::End`] or an error the source is over;
    /// what could be read before an error has been lent.
    fn burst(&mut self, take: impl FnMut(&[Frame<'_>])) -> Result<Poll, CaptureError>;
    fn stats(&self) -> CaptureStats;
    /// Part of the input that was consumed, if the size of the input is known: (done, total) bytes.
    fn progress(&self) -> Option<(u64, u64)> {
        None
    }
}

/// What a capture ended with; the message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    #[error("cannot open {path}: {cause}")]
    Open { path: String, cause: std::io::Error },
}
