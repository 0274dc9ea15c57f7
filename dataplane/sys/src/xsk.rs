//! AF_XDP sockets: packets of one receive queue in memory of ours, without a copy where the driver can (Documentation/networking/af_xdp.rst).
//!
//! The memory (UMEM) is cut into frames of one size. A frame is the kernel's while its address is on the fill ring or a packet is being
//! written to it, and ours from the moment its descriptor stands on the receive ring until it is put on the fill ring again. Constants and
//! structs: include/uapi/linux/if_xdp.h (6.1: options at lines 65-74, offsets of maps at 104-107, `xdp_desc` at 115).
//! Only opening needs a capability (CAP_NET_RAW); everything else works on the open socket.
mod memory;
mod ring;

use memory::Mapping;
use ring::{Offsets, Ring};
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Packets that one call lends at the most.
pub const LEND_MAX: usize = 64;
/// Entries of the completion ring, which must be there though nothing is sent (`xsk_bind`, net/xdp/xsk.c).
const COMPLETION: u32 = 64;
/// Bytes that the kernel keeps free before each packet (XDP_PACKET_HEADROOM, include/uapi/linux/bpf.h).
const HEADROOM: u32 = 256;
/// For packets in several frames, which are lent as one copy: room for seven of the longest, or a burst of jumbo frames.
const JOINED_BYTES: usize = 64 * 9216;
/// Frames that one burst can hold: [`LEND_MAX`] packets, of which one may have 17 fragments more (MAX_SKB_FRAGS).
const HELD_MAX: usize = LEND_MAX * 18;
/// include/uapi/asm-generic/socket.h
const SO_PREFER_BUSY_POLL: libc::c_int = 69;
const SO_BUSY_POLL_BUDGET: libc::c_int = 70;
const SO_BUSY_POLL: libc::c_int = 46;

/// What is wanted of a socket.
#[derive(Clone, Copy, Debug)]
pub struct XskConfig {
    /// The interface's index, and its receive queue.
    pub interface: u32,
    pub queue: u32,
    /// Entries of the receive ring, a power of two; there are twice as many frames.
    pub ring: u32,
    /// 2048 or 4096.
    pub frame_bytes: u32,
    /// Longer packets than fit a frame come in several (needs Linux 6.6 and a program that may have fragments).
    pub joined: bool,
    /// `Some(true)`: zero-copy or an error; `Some(false)`: copy; `None`: as the driver can.
    pub zero_copy: Option<bool>,
    /// Try explicit huge pages (hugetlbfs) for the memory.
    pub huge: bool,
    /// Receive inside the system call, for so many microseconds; where the kernel refuses, it is as without.
    pub busy_poll_micros: Option<u32>,
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
    fill: Ring<u64>,
    memory: Mapping,
    socket: OwnedFd,
    frame_bytes: u32,
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
    pub fn open(config: &XskConfig) -> Result<Xsk, XskError> {
        let frames = u64::from(config.ring) * 2;
        let need = frames * u64::from(config.frame_bytes);
        let failed = |step| move |cause| XskError { step, cause, need };
        let socket = socket().map_err(failed(XskStep::Socket))?;
        let (memory, pages) = umem(need as usize, config.huge).map_err(failed(XskStep::Memory))?;
        register(&socket, &memory, need, config.frame_bytes).map_err(failed(XskStep::Register))?;
        let rings = || -> io::Result<_> {
            let (rx, fill) = (config.ring, config.ring * 2);
            set(&socket, libc::SOL_XDP, libc::XDP_UMEM_FILL_RING, &fill)?;
            set(&socket, libc::SOL_XDP, libc::XDP_UMEM_COMPLETION_RING, &COMPLETION)?;
            set(&socket, libc::SOL_XDP, libc::XDP_RX_RING, &rx)?;
            // SAFETY: integers only; all zero is a value.
            let mut at: libc::xdp_mmap_offsets = unsafe { std::mem::zeroed() };
            get(&socket, libc::SOL_XDP, libc::XDP_MMAP_OFFSETS, &mut at)?;
            let invalid = || io::Error::new(io::ErrorKind::InvalidData, "the kernel's offsets lie outside the ring");
            let map = |entries: u64, each: usize, size: u32, at: u64| {
                Mapping::of_socket(&socket, entries as usize + each * size as usize, at)
            };
            let rx_map = map(at.rx.desc, size_of::<Descriptor>(), rx, libc::XDP_PGOFF_RX_RING as u64)?;
            let fill_map = map(at.fr.desc, size_of::<u64>(), fill, libc::XDP_UMEM_PGOFF_FILL_RING)?;
            // This side consumes what was received and produces what is to be filled.
            let rx = Ring::new(rx_map, offsets(&at.rx, false), rx).ok_or_else(invalid)?;
            Ok((rx, Ring::new(fill_map, offsets(&at.fr, true), fill).ok_or_else(invalid)?))
        };
        let (rx, fill) = rings().map_err(failed(XskStep::Rings))?;
        let mut xsk = Xsk {
            rx,
            fill,
            memory,
            socket,
            frame_bytes: config.frame_bytes,
            held: Vec::with_capacity(HELD_MAX),
            joined: if config.joined { vec![0; JOINED_BYTES] } else { Vec::new() },
            refused: 0,
            pages,
            zero_copy: false,
            busy_poll: false,
        };
        xsk.put_all(frames);
        if let Some(micros) = config.busy_poll_micros {
            xsk.busy_poll = xsk.poll_busily(micros).is_ok();
        }
        xsk.bind(config).map_err(failed(XskStep::Bind))?;
        let mut options = 0u32;
        get(&xsk.socket, libc::SOL_XDP, libc::XDP_OPTIONS, &mut options).map_err(failed(XskStep::Bind))?;
        xsk.zero_copy = options & libc::XDP_OPTIONS_ZEROCOPY != 0;
        Ok(xsk)
    }

    /// Lends the next packets, at most `limit` and [`LEND_MAX`], and takes back those of the last call. Answers how many.
    #[inline]
    pub fn lend<'r>(&'r mut self, limit: usize, mut each: impl FnMut(&'r [u8])) -> usize {
        self.take_back();
        let mut pieces = [Piece::default(); LEND_MAX];
        let count = self.collect(&mut pieces[..limit.min(LEND_MAX)]);
        let this = &*self;
        for piece in &pieces[..count] {
            each(match piece.joined {
                false => this.memory.slice(piece.at, piece.len),
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

    /// Wakes the driver if it sleeps for want of frames, or lets it receive where busy polling is on.
    #[inline]
    pub fn wake(&self) {
        if self.busy_poll || self.fill.needs_wakeup() {
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
                    self.joined[at..at + len].copy_from_slice(self.memory.slice(from, len));
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
        (at.checked_add(descriptor.len as usize)? <= self.memory.len).then_some(at)
    }

    /// Puts the frames that were lent on the fill ring.
    #[inline]
    fn take_back(&mut self) {
        if self.held.is_empty() {
            return;
        }
        // There is room: the ring has a place for every frame, and these are on none.
        let count = self.fill.room(self.held.len() as u32).min(self.held.len() as u32);
        let whole = !u64::from(self.frame_bytes - 1);
        for (n, addr) in (0..count).zip(&self.held) {
            self.fill.put(n, addr & whole);
        }
        self.fill.release(count);
        self.held.drain(..count as usize);
        if self.fill.needs_wakeup() {
            self.wake();
        }
    }

    fn put_all(&mut self, frames: u64) {
        let count = u64::from(self.fill.room(frames as u32)).min(frames);
        (0..count).for_each(|n| self.fill.put(n as u32, n * u64::from(self.frame_bytes)));
        self.fill.release(count as u32);
    }

    fn poll_busily(&self, micros: u32) -> io::Result<()> {
        set(&self.socket, libc::SOL_SOCKET, SO_PREFER_BUSY_POLL, &1u32)?;
        set(&self.socket, libc::SOL_SOCKET, SO_BUSY_POLL, &micros)?;
        set(&self.socket, libc::SOL_SOCKET, SO_BUSY_POLL_BUDGET, &(LEND_MAX as u32))
    }

    fn bind(&self, config: &XskConfig) -> io::Result<()> {
        let mut flags = libc::XDP_USE_NEED_WAKEUP;
        // Without either word the kernel tries zero-copy first (`xp_assign_dev`, net/xdp/xsk_buff_pool.c).
        match config.zero_copy {
            Some(true) => flags |= libc::XDP_ZEROCOPY,
            Some(false) => flags |= libc::XDP_COPY,
            None => {}
        }
        if config.joined {
            flags |= libc::XDP_USE_SG;
        }
        let address = libc::sockaddr_xdp {
            sxdp_family: libc::AF_XDP as u16,
            sxdp_flags: flags,
            sxdp_ifindex: config.interface,
            sxdp_queue_id: config.queue,
            sxdp_shared_umem_fd: 0,
        };
        let len = size_of::<libc::sockaddr_xdp>() as libc::socklen_t;
        // SAFETY: the address is a sockaddr_xdp of that length, which outlives the call.
        match unsafe { libc::bind(self.socket.as_raw_fd(), std::ptr::from_ref(&address).cast(), len) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
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

fn socket() -> io::Result<OwnedFd> {
    // SAFETY: plain numbers; the answer is a descriptor or -1.
    let socket = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(socket) })
}

fn umem(bytes: usize, huge: bool) -> io::Result<(Mapping, UmemPages)> {
    if huge && let Ok(mapping) = Mapping::anonymous(bytes, true) {
        return Ok((mapping, UmemPages::Huge));
    }
    Ok((Mapping::anonymous(bytes, false)?, UmemPages::Advised))
}

fn register(socket: &OwnedFd, memory: &Mapping, len: u64, chunk_size: u32) -> io::Result<()> {
    let addr = memory.first.as_ptr() as u64;
    let region = libc::xdp_umem_reg { addr, len, chunk_size, headroom: 0, flags: 0, tx_metadata_len: 0 };
    set(socket, libc::SOL_XDP, libc::XDP_UMEM_REG, &region)
}

fn offsets(at: &libc::xdp_ring_offset, produces: bool) -> Offsets {
    let (producer, consumer) = (at.producer as usize, at.consumer as usize);
    let (own, other) = if produces { (producer, consumer) } else { (consumer, producer) };
    Offsets { own, other, flags: at.flags as usize, entries: at.desc as usize }
}

fn set<T>(socket: &OwnedFd, level: libc::c_int, option: libc::c_int, value: &T) -> io::Result<()> {
    let len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel reads `len` bytes of a value that is as long and outlives the call.
    match unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, std::ptr::from_ref(value).cast(), len) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// `T` is made of integers only: the kernel may write any bytes.
fn get<T: Copy>(socket: &OwnedFd, level: libc::c_int, option: libc::c_int, value: &mut T) -> io::Result<()> {
    let mut len = size_of::<T>() as libc::socklen_t;
    let value = std::ptr::from_mut(value).cast();
    // SAFETY: the kernel writes at most `len` bytes to a value that is as long, and how many to `len`; both outlive the call.
    match unsafe { libc::getsockopt(socket.as_raw_fd(), level, option, value, std::ptr::from_mut(&mut len)) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
