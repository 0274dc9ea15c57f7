//! Where packets come from. One backend is one file; each lends bursts of frames and takes them back.
mod af_packet;
mod af_xdp;
mod decode;
#[cfg(feature = "dpdk")]
pub mod dpdk;
mod file;
mod filter;
pub mod fuzzing;
mod interface;
mod link;
pub mod live;
mod map;
pub mod memory;
mod observed;
pub mod offload;
mod options;
mod pcap;
mod pcapng;
mod scout;
mod stream;
mod unpack;
pub mod write;

pub use af_packet::{PacketConfig, PacketSource};
pub use af_xdp::{HugePages, RssConfig, Spread, XdpConfig, XdpControl, XdpOpener, XdpSource};
pub use file::{FileSource, OpenOptions, open, open_reader};
pub use filter::check_filter;
pub use live::{AnySource, CaptureDrop, Drops, LiveError};
pub use observed::{FlowDirection, Observed};

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
    /// LINKTYPE_RAW (101, in some files 12 or 14) and LINKTYPE_IPV4/6 (228, 229): the IP header comes first.
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
    /// By which interface of the source it came, and which way it went.
    pub observed: Observed,
}

/// What a source answers to a request for a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// Frames were lent, or a long run of frames was refused by the filter; there may be more.
    More,
    /// Nothing there now, ask again: the source has waited a little already, at most [`live::IDLE`].
    Idle,
    /// The source has ended.
    End,
}

/// What a source knows of itself. `packets` and `bytes` are everything that reached Sonda, before any filter; with `drops` they are
/// everything that the interface had for this source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureStats {
    pub packets: u64,
    /// Bytes on the wire.
    pub bytes: u64,
    /// Lost before Sonda saw them (kernel, XDP program, network card); no part of `packets`.
    pub drops: Drops,
    /// Packets of offloaded flows, which the XDP program counted in place of handing them up; no part of `packets`.
    pub offloaded: u64,
    /// Packets that a rule of the XDP program left to this machine's stack; no part of `packets`, nor of `offered`.
    pub passed: u64,
    /// Packets that the kernel or card has counted for this source, dropped ones included, if it counts by itself. After
    /// [`CaptureSource::close`] and [`Poll::End`] they are `packets`, `offloaded` and `drops`.
    pub offered: Option<u64>,
    /// Taken, but refused by the filter expression: not lent.
    pub filtered: u64,
    /// Taken, but of a link type that is not supported: not lent.
    pub unknown_link: u64,
}

impl CaptureStats {
    /// Adds another source of the same input, which had packets of its own.
    pub fn merge(&mut self, other: &CaptureStats) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.drops.merge(&other.drops);
        self.offloaded += other.offloaded;
        self.passed += other.passed;
        self.offered = match (self.offered, other.offered) {
            (Some(mine), Some(theirs)) => Some(mine + theirs),
            (mine, theirs) => mine.or(theirs),
        };
        self.filtered += other.filtered;
        self.unknown_link += other.unknown_link;
    }
}

/// A source of packets.
pub trait CaptureSource {
    /// Lends at most [`BURST`] frames to `take` and takes them back when it returns. After [`Poll::End`] or an error the source is over;
    /// what could be read before an error has been lent.
    fn burst(&mut self, take: impl FnMut(&[Frame<'_>])) -> Result<Poll, CaptureError>;
    /// From now on lends at most `frames` at a time, 1 to [`BURST`]: what is not lent is not taken.
    fn limit(&mut self, frames: usize);
    fn stats(&self) -> CaptureStats;
    /// Part of the input that was consumed, if the size of the input is known: (done, total) bytes.
    fn progress(&self) -> Option<(u64, u64)> {
        None
    }
    /// How many bytes behind a frame of the coming burst stands what is read some bursts later, where frames lie one behind the other and
    /// nobody has asked memory for it yet; 0 otherwise. Who takes the burst asks for as many bytes there as the frame has, in between its
    /// own work: asked for at once, they would be waited for (31 against 33 ns for packets of 64 bytes).
    fn ahead(&self) -> usize {
        0
    }
    /// Lets no more packets in. Those that are in already are lent by further bursts, and then comes [`Poll::End`]; so every packet that
    /// was counted by the kernel or card is either taken or in a drop counter. Sources that are not live go on as before.
    fn close(&mut self) -> Result<(), CaptureError> {
        Ok(())
    }
    /// Something an operator should know that is no error, said once: the link went down, or came back.
    fn notice(&mut self) -> Option<String> {
        None
    }
}

/// What a capture ended with; the message says what to do. Records and blocks are counted from 1, offsets are bytes of the
/// capture itself (after unpacking), and everything before the named place was lent.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    #[error(transparent)]
    Live(#[from] LiveError),
    #[error("cannot open {path}: {cause}")]
    Open { path: String, cause: std::io::Error },
    #[error("may not read {path}: give this user read permission, or run as a user that has it")]
    Permission { path: String },
    #[error("{path} is a directory: name a capture file in it")]
    Directory { path: String },
    #[error(
        "{path} is empty, without even a file header: check that the capture was started and that the disk had room"
    )]
    Empty { path: String },
    #[error(
        "{path} is not a capture, it begins with {first}: give a pcap or pcapng file, as it is or packed by gzip or zstd"
    )]
    NotACapture { path: String, first: String },
    #[error(
        "{path} is a pcap file of the modified kind (magic a1b2cd34, Kuznetzov's patch): convert it with `editcap -F pcap {path} NEW`"
    )]
    Modified { path: String },
    #[error(
        "{path} is {format} version {major}.{minor}, which is not read: convert it with `editcap -F pcap {path} NEW`"
    )]
    Version { path: String, format: &'static str, major: u16, minor: u16 },
    #[error("{path} has link type {number}, which is not read; supported are {}", link::SUPPORTED)]
    Link { path: String, number: u32 },
    #[error(
        "{path} is cut off inside {unit} {record} at byte {offset}: {have} of its {need} bytes are there; all before it was read. \
         Was the capture still being written, or the disk full? `editcap {path} NEW` keeps the whole packets"
    )]
    Truncated { path: String, unit: &'static str, record: u64, offset: u64, have: u64, need: u64 },
    #[error(
        "{path} is broken in {unit} {record} at byte {offset}: {what}; all before it was read. \
         Copy the file again from its source and compare checksums"
    )]
    Broken { path: String, unit: &'static str, record: u64, offset: u64, what: String },
    #[error(
        "{path} became shorter while it was read (at byte {offset}): do not cut or overwrite a file in use, rename a new one over it"
    )]
    Shrunk { path: String, offset: u64 },
    #[error("cannot read {path} after byte {offset}: {cause}")]
    Read { path: String, offset: u64, cause: std::io::Error },
    #[error(
        "cannot unpack {path} after byte {offset} of the capture in it: {cause}; all before it was read. Test it with `{tool}`"
    )]
    Unpack { path: String, offset: u64, tool: &'static str, cause: std::io::Error },
    #[error(
        "filter `{expression}` cannot be used on link type {link:?}: {cause}; the language is that of pcap-filter(7)"
    )]
    Filter { expression: String, link: LinkType, cause: String },
}
