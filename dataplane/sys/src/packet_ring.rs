//! A packet socket with a TPACKET_V3 ring (packet(7); Documentation/networking/packet_mmap.rst).
//!
//! The ring is memory of the kernel's that is mapped here: blocks of packets, each of which belongs to the kernel or to us, told by its
//! status word. The kernel hands a block over when it is full or its time has passed; we hand it back when all its packets were lent
//! and the borrows have ended. Nothing is received before [`PacketRing::start`] and after [`PacketRing::stop`]: a filter that
//! refuses everything stands there, so that sockets of a group begin together, and the kernel's count of packets
//! (`tp_packets`, refused ones not included: `tpacket_rcv` in net/packet/af_packet.c) is exactly what was lent and dropped.
use std::cell::Cell;
use std::io;
use std::mem::{offset_of, size_of, size_of_val};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// One instruction of a classic BPF program.
pub type Instruction = libc::sock_filter;

/// How a ring is made.
#[derive(Clone, Copy, Debug)]
pub struct RingConfig {
    /// Of a block; a multiple of the page size. A longer packet than fits into a block is cut.
    pub block_bytes: u32,
    pub blocks: u32,
    /// A block that is not full is handed over after this time.
    pub block_timeout_ms: u32,
    /// Take also packets for other addresses than the interface's own.
    pub promiscuous: bool,
    /// Leave out what this machine sends.
    pub ignore_outgoing: bool,
    /// Frames begin with an Ethernet header, into which VLAN tags are put back that the kernel keeps beside the packet.
    pub ethernet: bool,
    /// Times of the network card, where it has stamped a packet; its clock is the operator's to set (phc2sys(8)).
    pub hardware_time: bool,
}

/// A packet in the ring.
#[derive(Clone, Copy, Debug)]
pub struct RingFrame<'r> {
    pub bytes: &'r [u8],
    pub wire_len: u32,
    pub secs: u32,
    pub nanos: u32,
    /// This machine sent it (PACKET_OUTGOING of packet(7)).
    pub outgoing: bool,
}

/// What the kernel has counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingCounts {
    /// Packets that were for this socket, dropped ones included.
    pub packets: u64,
    /// Packets that found the ring full.
    pub drops: u64,
}

/// A step that failed while a ring was made.
#[derive(Debug)]
pub struct RingError {
    pub step: RingStep,
    pub cause: io::Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingStep {
    Socket,
    Option,
    HardwareTime,
    Ring,
    Map,
    Bind,
    Promiscuous,
    Fanout,
    Filter,
}

pub struct PacketRing {
    socket: OwnedFd,
    map: NonNull<u8>,
    mapped: usize,
    block_bytes: usize,
    blocks: usize,
    ethernet: bool,
    /// The block that is ours or will be next.
    block: usize,
    at: Option<Cursor>,
    counts: Cell<RingCounts>,
}

/// How far a block of ours was lent.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    left: u32,
    /// Of the next packet's header within the block.
    offset: usize,
}

/// Bytes of a VLAN tag, and where in an Ethernet frame it stands (IEEE 802.1Q).
const TAG: usize = 4;
const TAG_AT: usize = 12;

/// What lies between a packet's header and its first byte at least: the sockaddr_ll (tpacket_rcv).
const ADDRESS: usize = size_of::<libc::tpacket3_hdr>().next_multiple_of(16);
const HEADER: usize = ADDRESS + size_of::<libc::sockaddr_ll>();
const PACKET_TYPE: usize = ADDRESS + offset_of!(libc::sockaddr_ll, sll_pkttype);

impl PacketRing {
    /// Makes a ring on the interface `index`. It stays empty until [`PacketRing::start`].
    pub fn open(index: u32, config: &RingConfig) -> Result<PacketRing, RingError> {
        let fail = |step| move |cause| RingError { step, cause };
        // Protocol 0: nothing comes before bind(2).
        // SAFETY: plain numbers; the answer is a descriptor or -1.
        let socket =
            unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0) };
        if socket < 0 {
            return Err(fail(RingStep::Socket)(io::Error::last_os_error()));
        }
        // SAFETY: the descriptor was just made and is nobody else's.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        let option = fail(RingStep::Option);
        let version = libc::tpacket_versions::TPACKET_V3 as libc::c_int;
        set(socket.as_fd(), libc::SOL_PACKET, libc::PACKET_VERSION, &version).map_err(option)?;
        if config.ethernet {
            // Room before each packet, into which its addresses move to make place for a tag.
            set(socket.as_fd(), libc::SOL_PACKET, libc::PACKET_RESERVE, &(TAG as libc::c_int)).map_err(option)?;
        }
        if config.ignore_outgoing {
            set(socket.as_fd(), libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1).map_err(option)?;
        }
        if config.hardware_time {
            crate::nic::stamp_all(index).map_err(fail(RingStep::HardwareTime))?;
            let which = libc::SOF_TIMESTAMPING_RAW_HARDWARE as libc::c_int;
            set(socket.as_fd(), libc::SOL_PACKET, libc::PACKET_TIMESTAMP, &which).map_err(option)?;
        }
        attach(socket.as_fd(), &[REFUSE]).map_err(fail(RingStep::Filter))?;
        // The kernel wants a frame size, of which V3 uses only that it divides the block (packet_set_ring).
        let frame = config.block_bytes.min(2048);
        let request = libc::tpacket_req3 {
            tp_block_size: config.block_bytes,
            tp_block_nr: config.blocks,
            tp_frame_size: frame,
            tp_frame_nr: (config.block_bytes / frame.max(1)).saturating_mul(config.blocks),
            tp_retire_blk_tov: config.block_timeout_ms,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        set(socket.as_fd(), libc::SOL_PACKET, libc::PACKET_RX_RING, &request).map_err(fail(RingStep::Ring))?;
        let (block_bytes, blocks) = (config.block_bytes as usize, config.blocks as usize);
        let mapped = block_bytes * blocks;
        // SAFETY: a new mapping at an address of the kernel's choice; it is shared with the kernel, which is what a ring is for.
        let map = unsafe {
            let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
            libc::mmap(std::ptr::null_mut(), mapped, access, flags, socket.as_raw_fd(), 0)
        };
        let map = match NonNull::new(map.cast::<u8>()) {
            Some(place) if map != libc::MAP_FAILED => place,
            _ => return Err(fail(RingStep::Map)(io::Error::last_os_error())),
        };
        let ring = PacketRing {
            socket,
            map,
            mapped,
            block_bytes,
            blocks,
            ethernet: config.ethernet,
            block: 0,
            at: None,
            counts: Cell::default(),
        };
        ring.bind(index).map_err(fail(RingStep::Bind))?;
        if config.promiscuous {
            let member = libc::packet_mreq {
                mr_ifindex: index as libc::c_int,
                mr_type: libc::PACKET_MR_PROMISC as libc::c_ushort,
                mr_alen: 0,
                mr_address: [0; 8],
            };
            let joined = set(ring.socket.as_fd(), libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &member);
            joined.map_err(fail(RingStep::Promiscuous))?;
        }
        Ok(ring)
    }

    fn bind(&self, index: u32) -> io::Result<()> {
        // SAFETY: a sockaddr_ll is made of integers; zero is a value of each.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = index as libc::c_int;
        let (place, length) = (std::ptr::from_ref(&address), size_of_val(&address) as libc::socklen_t);
        // SAFETY: `address` is a sockaddr_ll of the told length and outlives the call.
        match unsafe { libc::bind(self.socket.as_raw_fd(), place.cast(), length) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Shares the interface's packets with the other rings of a fanout group, which is founded if there is none of this id: `program`
    /// answers a number for each packet, which goes to the member of that number modulo the members. `None` founds a group of an
    /// id that no other program uses. Answers the group's id.
    pub fn join(&self, group: Option<u16>, ignore_outgoing: bool, program: &[Instruction]) -> io::Result<u16> {
        let mut mode = libc::PACKET_FANOUT_CBPF;
        if ignore_outgoing {
            mode |= libc::PACKET_FANOUT_FLAG_IGNORE_OUTGOING;
        }
        if group.is_none() {
            mode |= libc::PACKET_FANOUT_FLAG_UNIQUEID;
        }
        let socket = self.socket.as_fd();
        set(socket, libc::SOL_PACKET, libc::PACKET_FANOUT, &(u32::from(group.unwrap_or(0)) | mode << 16))?;
        set(socket, libc::SOL_PACKET, libc::PACKET_FANOUT_DATA, &Program::of(program).header)?;
        let mut joined = 0u32;
        get(socket, libc::SOL_PACKET, libc::PACKET_FANOUT, &mut joined)?;
        Ok(joined as u16)
    }

    /// Lets packets in, of each the first `snaplen` bytes.
    pub fn start(&self, snaplen: Option<u32>) -> io::Result<()> {
        attach(self.socket.as_fd(), &[accept(snaplen.unwrap_or(u32::MAX))])
    }

    /// Lets no more packets in. Those of the block that the kernel fills now come after the block's time.
    pub fn stop(&self) -> io::Result<()> {
        attach(self.socket.as_fd(), &[REFUSE])
    }

    /// Lends at most `limit` packets; 0 when there are none. What was lent before goes back to the kernel when all of its block was lent.
    pub fn lend<'r>(&'r mut self, limit: usize, mut put: impl FnMut(RingFrame<'r>)) -> usize {
        // A turn of the ring at the most: the kernel hands over no empty blocks, but that is not promised.
        for _ in 0..self.blocks {
            if self.at.is_some_and(|cursor| cursor.left == 0) {
                self.release();
            }
            let Some(mut cursor) = self.at.or_else(|| self.take()) else { return 0 };
            let mut lent = 0;
            while lent < limit && cursor.left > 0 {
                let Some((frame, next)) = self.frame(cursor.offset) else {
                    // No kernel writes such a block; what is left of it shows as a difference to the kernel's count.
                    cursor.left = 0;
                    break;
                };
                cursor = Cursor { left: cursor.left - 1, offset: next };
                put(frame);
                lent += 1;
            }
            self.at = Some(cursor);
            if lent > 0 {
                return lent;
            }
        }
        0
    }

    /// The kernel's counters since the start; they are asked for and added up here, because asking sets them to zero.
    pub fn counts(&self) -> io::Result<RingCounts> {
        // SAFETY: three integers; zero is a value of each.
        let mut new: libc::tpacket_stats_v3 = unsafe { std::mem::zeroed() };
        get(self.socket.as_fd(), libc::SOL_PACKET, libc::PACKET_STATISTICS, &mut new)?;
        let old = self.counts.get();
        let sum =
            RingCounts { packets: old.packets + u64::from(new.tp_packets), drops: old.drops + u64::from(new.tp_drops) };
        self.counts.set(sum);
        Ok(sum)
    }

    /// The error that waits at the socket, which is thereby taken: `ENETDOWN` when the interface went down.
    pub fn take_error(&self) -> Option<io::Error> {
        let mut error: libc::c_int = 0;
        match get(self.socket.as_fd(), libc::SOL_SOCKET, libc::SO_ERROR, &mut error) {
            Ok(()) if error == 0 => None,
            Ok(()) => Some(io::Error::from_raw_os_error(error)),
            Err(cause) => Some(cause),
        }
    }

    /// Takes over the next block, if the kernel has handed it over.
    fn take(&self) -> Option<Cursor> {
        let (status, header) = self.block();
        // Acquire: the kernel writes a block before its status (prb_close_block, smp_wmb).
        if status.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return None;
        }
        // SAFETY: `header` points to the block's descriptor, which is ours by the status word; the kernel does not write it now.
        let header = unsafe { std::ptr::read(header) };
        Some(Cursor { left: header.num_pkts, offset: header.offset_to_first_pkt as usize })
    }

    /// Hands the block back. The borrows of its packets have ended, because all calls that lend borrow the ring alone.
    fn release(&mut self) {
        // Release: our reads of the block come before the kernel's next writes.
        self.block().0.store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.at = None;
        self.block = if self.block + 1 == self.blocks { 0 } else { self.block + 1 };
    }

    /// Status word and descriptor of the block at hand.
    fn block(&self) -> (&AtomicU32, *const libc::tpacket_hdr_v1) {
        const HEAD: usize = offset_of!(libc::tpacket_block_desc, hdr);
        const STATUS: usize = HEAD + offset_of!(libc::tpacket_hdr_v1, block_status);
        // SAFETY: the block lies inside the mapping, begins on a page and is longer than its descriptor; the status word is aligned,
        // and both sides access it as an atomic.
        unsafe {
            let block = self.map.as_ptr().add(self.block * self.block_bytes);
            (AtomicU32::from_ptr(block.add(STATUS).cast()), block.add(HEAD).cast_const().cast())
        }
    }

    /// The packet whose header stands at `offset` of our block, and the offset of the next one; none if that is no place for a packet.
    #[inline]
    fn frame<'r>(&self, offset: usize) -> Option<(RingFrame<'r>, usize)> {
        if offset + HEADER > self.block_bytes || !offset.is_multiple_of(8) {
            return None;
        }
        // SAFETY: the header with its address lies inside the block by the check above, is aligned to 8, and is ours: the kernel does not
        // write it.
        let (place, header, packet_type) = unsafe {
            let place = self.map.as_ptr().add(self.block * self.block_bytes + offset);
            (place, std::ptr::read(place.cast::<libc::tpacket3_hdr>()), std::ptr::read(place.add(PACKET_TYPE)))
        };
        let (start, length) = (usize::from(header.tp_mac), header.tp_snaplen as usize);
        if start < HEADER || offset + start + length > self.block_bytes {
            return None;
        }
        let next = offset + header.tp_next_offset as usize;
        let tagged = header.tp_status & libc::TP_STATUS_VLAN_VALID != 0 && self.ethernet;
        let tagged = tagged && length >= TAG_AT && start - HEADER >= TAG;
        let (start, length, wire_len) = if tagged {
            let kind = match header.tp_status & libc::TP_STATUS_VLAN_TPID_VALID {
                0 => 0x8100,
                _ => header.hv1.tp_vlan_tpid,
            };
            let tag = (u32::from(kind) << 16 | header.hv1.tp_vlan_tci & 0xffff).to_be_bytes();
            // SAFETY: the addresses move down by a tag's length, into bytes between the packet and what stands before it (`start - HEADER`
            // has room for a tag); the tag goes where their end was. Nobody has a borrow of this packet: each is lent once.
            unsafe {
                let first = place.add(start);
                std::ptr::copy(first, first.sub(TAG), TAG_AT);
                std::ptr::copy_nonoverlapping(tag.as_ptr(), first.sub(TAG).add(TAG_AT), TAG);
            }
            (start - TAG, length + TAG, header.tp_len + TAG as u32)
        } else {
            (start, length, header.tp_len)
        };
        // SAFETY: the bytes lie inside the block by the check above, were written by the kernel, and are written by nobody until `release`,
        // which needs the ring alone: `lend` ties `'r` to such a borrow.
        let bytes = unsafe { std::slice::from_raw_parts(place.add(start), length) };
        let outgoing = packet_type == libc::PACKET_OUTGOING;
        Some((RingFrame { bytes, wire_len, secs: header.tp_sec, nanos: header.tp_nsec, outgoing }, next))
    }
}

impl AsFd for PacketRing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for PacketRing {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `open` with this length, and no borrow of it outlives self.
        unsafe { libc::munmap(self.map.as_ptr().cast(), self.mapped) };
    }
}

// SAFETY: socket and mapping belong to this value alone; any one thread may use them.
unsafe impl Send for PacketRing {}

/// `ret #0`: no packet passes.
const REFUSE: Instruction = accept(0);

/// `ret #length`: so many bytes of each packet.
const fn accept(length: u32) -> Instruction {
    Instruction { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: length }
}

/// A program in the form in which the kernel takes it; borrowed for a call.
struct Program<'p> {
    header: libc::sock_fprog,
    program: std::marker::PhantomData<&'p [Instruction]>,
}

impl Program<'_> {
    fn of(program: &[Instruction]) -> Program<'_> {
        let header = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
        Program { header, program: std::marker::PhantomData }
    }
}

fn attach(socket: BorrowedFd<'_>, program: &[Instruction]) -> io::Result<()> {
    // The kernel copies the program and checks it (sk_attach_filter).
    set(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &Program::of(program).header)
}

fn set<T>(socket: BorrowedFd<'_>, level: libc::c_int, name: libc::c_int, value: &T) -> io::Result<()> {
    let (place, length) = (std::ptr::from_ref(value).cast(), size_of::<T>() as libc::socklen_t);
    // SAFETY: the kernel reads at most `length` bytes of `value`, which has as many and outlives the call.
    match unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, place, length) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// `T` is made of integers, so any bytes are a value of it.
fn get<T: Copy>(socket: BorrowedFd<'_>, level: libc::c_int, name: libc::c_int, value: &mut T) -> io::Result<()> {
    let mut length = size_of::<T>() as libc::socklen_t;
    let (place, length) = (std::ptr::from_mut(value).cast(), std::ptr::from_mut(&mut length));
    // SAFETY: the kernel writes at most `length` bytes to `value`, which has as many; both outlive the call.
    match unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, place, length) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
