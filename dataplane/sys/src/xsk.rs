//! AF_XDP sockets: packets of one receive queue in memory of ours, without a copy where the driver can (Documentation/networking/af_xdp.rst).
//!
//! The memory (UMEM) is cut into frames of one size. A frame is the kernel's while its address is on the fill ring or a packet is being
//! written to it, and ours from the moment its descriptor stands on a receive ring until it is put on the fill ring again. Several
//! sockets may share a queue: each has a receive ring, all have one memory and one fill ring (`umem.rs`). Constants and
//! structs: include/uapi/linux/if_xdp.h (6.1: options at lines 65-74, offsets of maps at 104-107, `xdp_desc` at 115).
//! Only opening needs a capability (CAP_NET_RAW); everything else works on the open socket.
mod memory;
mod open;
mod options;
mod ring;
mod umem;

use memory::Mapping;
use options::get;
use ring::Ring;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use umem::Umem;

/// Packets that one call lends at the most.
pub const LEND_MAX: usize = 64;
/// Bytes that the kernel keeps free before each packet (XDP_PACKET_HEADROOM, include/uapi/linux/bpf.h).
const HEADROOM: u32 = 256;
/// For packets in several frames, which are lent as one copy: room for seven of the longest, or a burst of jumbo frames.
const JOINED_BYTES: usize = 64 * 9216;
/// Frames that one burst can hold: [`LEND_MAX`] packets, of which one may have 17 fragments more (MAX_SKB_FRAGS).
const HELD_MAX: usize = LEND_MAX * 18;

/// What is wanted of a socket.
#[derive(Clone, Copy, Debug)]
pub struct XskConfig {
    /// The interface's index, and its receive queue.
    pub interface: u32,
    pub queue: u32,
    /// Sockets that share the queue and its memory, at least one.
    pub sockets: u32,
    /// Entries of each socket's receive ring, a power of two; there are twice as many frames for each.
    pub ring: u32,
    /// 2048 or 4096.
    pub frame_bytes: u32,
    /// Longer packets than fit a frame come in several (needs Linux 6.6 and a program that may have fragments).
    pub joined: bool,
    /// `Some(true)`: zero-copy or an error; `Some(false)`: copy; `None`: as the driver can.
    pub zero_copy: Option<bool>,
    pub huge: HugePages,
    /// Receive inside the system call, for so many microseconds; where the kernel refuses, it is as without.
    pub busy_poll_micros: Option<u32>,
}

/// Whether the memory shall lie on explicit huge pages (hugetlbfs), which must be reserved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HugePages {
    #[default]
    No,
    /// If enough are free.
    Try,
    /// Or opening fails.
    Must,
}

/// The step at which opening failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XskStep {
    Socket,
    Memory,
    /// XDP_UMEM_REG; see [`XskError::need`].
    Register,
    Rings,
    Bind,
}

#[derive(Debug)]
pub struct XskError {
    pub step: XskStep,
    pub cause: io::Error,
    /// Bytes of memory that were asked for.
    pub need: u64,
}

/// How the memory lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UmemPages {
    Huge,
    /// Small ones, with the advice to make them huge.
    Advised,
}

/// `struct xdp_statistics` as far as receiving goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct XskStatistics {
    pub rx_dropped: u64,
    pub rx_invalid_descs: u64,
    pub rx_ring_full: u64,
    /// Attempts, not packets.
    pub fill_ring_empty: u64,
}

/// An open socket, bound to its queue. It receives once the XDP program redirects to it.
pub struct Xsk {
    rx: Ring<Descriptor>,
    umem: Arc<Umem>,
    socket: OwnedFd,
    /// Frames that were lent: they go back by the next call.
    held: Vec<u64>,
    joined: Vec<u8>,
    /// Packets that were longer than [`JOINED_BYTES`], or whose descriptor lay outside the memory.
    refused: u64,
    pages: UmemPages,
    zero_copy: bool,
    busy_poll: bool,
}

/// `struct xdp_desc`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Descriptor {
    addr: u64,
    len: u32,
    options: u32,
}

/// Where a packet of a burst lies.
#[derive(Clone, Copy, Default)]
struct Piece {
    at: usize,
    len: usize,
    joined: bool,
}

impl Xsk {
    /// Lends the next packets, at most `limit` and [`LEND_MAX`], and takes back those of the last call. Answers how many.
    #[inline]
    pub fn lend<'r>(&'r mut self, limit: usize, mut each: impl FnMut(&'r [u8])) -> usize {
        self.take_back();
        let mut pieces = [Piece::default(); LEND_MAX];
        let count = self.collect(&mut pieces[..limit.min(LEND_MAX)]);
        let this = &*self;
        for piece in &pieces[..count] {
            each(match piece.joined {
                false => this.umem.slice(piece.at, piece.len),
                true => this.joined.get(piece.at..piece.at + piece.len).unwrap_or(&[]),
            });
        }
        count
    }

    /// Statistics since the socket was opened.
    pub fn statistics(&self) -> io::Result<XskStatistics> {
        // SAFETY: integers only; all zero is a value.
        let mut raw: libc::xdp_statistics = unsafe { std::mem::zeroed() };
        get(&self.socket, libc::SOL_XDP, libc::XDP_STATISTICS, &mut raw)?;
        Ok(XskStatistics {
            rx_dropped: raw.rx_dropped,
            rx_invalid_descs: raw.rx_invalid_descs,
            rx_ring_full: raw.rx_ring_full,
            fill_ring_empty: raw.rx_fill_ring_empty_descs,
        })
    }

    /// Descriptors that wait in the receive ring.
    pub fn waiting(&mut self) -> u32 {
        self.rx.ahead(u32::MAX)
    }

    /// Packets that came but could not be lent.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    pub fn pages(&self) -> UmemPages {
        self.pages
    }

    /// Whether the driver writes packets straight into the memory.
    pub fn zero_copy(&self) -> bool {
        self.zero_copy
    }

    pub fn busy_polls(&self) -> bool {
        self.busy_poll
    }

    /// The error that the kernel keeps for this socket, if any: `ENETDOWN` when the interface went away. Asking clears it.
    pub fn take_error(&self) -> Option<io::Error> {
        let mut error: libc::c_int = 0;
        match get(&self.socket, libc::SOL_SOCKET, libc::SO_ERROR, &mut error) {
            Ok(()) if error == 0 => None,
            Ok(()) => Some(io::Error::from_raw_os_error(error)),
            Err(e) => Some(e),
        }
    }

    /// To be called before a wait: gives back what was lent, which others may need meanwhile, and wakes the driver if it sleeps for
    /// want of frames, or lets it receive where busy polling is on.
    #[inline]
    pub fn rest(&mut self) {
        let sleeps = match self.held.is_empty() {
            true => self.umem.needs_wakeup(),
            false => self.umem.give_back(&mut self.held, true),
        };
        if self.busy_poll || sleeps {
            self.enter();
        }
    }

    fn enter(&self) {
        // SAFETY: a receive of nothing into nothing: it only enters the driver (`xsk_recvmsg`, net/xdp/xsk.c). Its answer is of no
        // interest: what can be wrong is told by the next wait.
        unsafe {
            libc::recvfrom(
                self.socket.as_raw_fd(),
                std::ptr::null_mut(),
                0,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            )
        };
    }

    /// Notes descriptors as pieces, joins those that belong together, and releases them; their frames are held.
    #[inline]
    fn collect(&mut self, pieces: &mut [Piece]) -> usize {
        let ahead = self.rx.ahead(pieces.len() as u32);
        let (mut used, mut count, mut joined) = (0, 0, 0);
        while count < pieces.len() && used < ahead && self.held.len() < HELD_MAX {
            let descriptor = self.rx.get(used);
            if descriptor.options & libc::XDP_PKT_CONTD == 0 {
                used += 1;
                self.held.push(descriptor.addr);
                match self.place(descriptor) {
                    Some(at) => pieces[count] = Piece { at, len: descriptor.len as usize, joined: false },
                    None => {
                        self.refused += 1;
                        continue;
                    }
                }
            } else {
                match self.join(used, joined) {
                    // Its last part has not come yet, or it must wait for the next burst.
                    Joined::Later => break,
                    Joined::Refused { parts } => {
                        used += parts;
                        self.refused += 1;
                        continue;
                    }
                    Joined::Whole { parts, len } => {
                        used += parts;
                        pieces[count] = Piece { at: joined, len, joined: true };
                        joined += len;
                    }
                }
            }
            count += 1;
        }
        if used > 0 {
            self.rx.release(used);
        }
        count
    }

    /// Copies the parts of the packet that begins at the descriptor `first` behind each other, from `to` on.
    #[cold]
    fn join(&mut self, first: u32, to: usize) -> Joined {
        let ahead = self.rx.ahead(u32::MAX);
        let parts = (first..ahead).position(|n| self.rx.get(n).options & libc::XDP_PKT_CONTD == 0);
        let Some(parts) = parts.map(|last| last as u32 + 1) else { return Joined::Later };
        if self.held.len() + parts as usize > HELD_MAX && !self.held.is_empty() {
            return Joined::Later;
        }
        let all = (first..first + parts).map(|n| self.rx.get(n));
        let len: usize = all.clone().map(|d| d.len as usize).sum();
        if to + len > self.joined.len() && len <= self.joined.len() {
            return Joined::Later;
        }
        let mut at = to;
        let mut whole = len <= self.joined.len();
        for descriptor in all {
            self.held.push(descriptor.addr);
            match self.place(descriptor).filter(|_| whole) {
                Some(from) => {
                    let len = descriptor.len as usize;
                    self.joined[at..at + len].copy_from_slice(self.umem.slice(from, len));
                    at += len;
                }
                None => whole = false,
            }
        }
        if whole { Joined::Whole { parts, len } } else { Joined::Refused { parts } }
    }

    /// Where the bytes of a descriptor begin, if they lie inside the memory.
    #[inline]
    fn place(&self, descriptor: Descriptor) -> Option<usize> {
        let at = usize::try_from(descriptor.addr).ok()?;
        (at.checked_add(descriptor.len as usize)? <= self.umem.len()).then_some(at)
    }

    /// Puts the frames that were lent on the fill ring; with few of them it does not wait for another socket that is doing so.
    #[inline]
    fn take_back(&mut self) {
        let many = self.held.len() > LEND_MAX;
        if !self.held.is_empty() && self.umem.give_back(&mut self.held, many) {
            self.enter();
        }
    }
}

impl AsFd for Xsk {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The longest packet that one frame of this size holds.
pub fn longest_packet(frame_bytes: u32) -> u32 {
    frame_bytes - HEADROOM
}

enum Joined {
    Later,
    Refused { parts: u32 },
    Whole { parts: u32, len: usize },
}
