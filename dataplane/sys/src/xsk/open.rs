//! Opening the sockets of a queue: one has the memory and both its rings, the others join it (XDP_SHARED_UMEM of the same interface and
//! queue: `xsk_bind`, net/xdp/xsk.c, shares the pool, and refuses rings of the memory and all flags of its own).
use super::options::{get, set, socket};
use super::ring::{Offsets, Ring};
use super::{
    Descriptor, HELD_MAX, HugePages, JOINED_BYTES, LEND_MAX, Mapping, Umem, UmemPages, Xsk, XskConfig, XskError,
    XskStep,
};
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// Entries of the completion ring, which must be there though nothing is sent (`xsk_bind`, net/xdp/xsk.c).
const COMPLETION: u32 = 64;
/// include/uapi/asm-generic/socket.h
const SO_PREFER_BUSY_POLL: libc::c_int = 69;
const SO_BUSY_POLL_BUDGET: libc::c_int = 70;
const SO_BUSY_POLL: libc::c_int = 46;

impl Xsk {
    /// Opens all sockets of a queue; each may go to a thread of its own.
    pub fn open(config: &XskConfig) -> Result<Vec<Xsk>, XskError> {
        let sockets: io::Result<Vec<_>> = (0..config.sockets.max(1)).map(|_| socket()).collect();
        Xsk::adopt(sockets.map_err(|cause| XskError { step: XskStep::Socket, cause, need: 0 })?, config)
    }

    /// A socket that is nothing yet. To make it is all that needs CAP_NET_RAW: it can be handed to a process that has no capability, which
    /// [adopts](Xsk::adopt) it.
    pub fn unbound() -> io::Result<OwnedFd> {
        socket()
    }

    /// Makes such sockets those of a queue: memory, rings, and the place at the queue. Needs no capability, but memory is then charged to
    /// RLIMIT_MEMLOCK. As many as `config.sockets` says, at least one.
    pub fn adopt(sockets: Vec<OwnedFd>, config: &XskConfig) -> Result<Vec<Xsk>, XskError> {
        let frames = config.ring.saturating_mul(2).saturating_mul(config.sockets.max(1));
        let need = u64::from(frames) * u64::from(config.frame_bytes);
        let failed = |step| move |cause| XskError { step, cause, need };
        let mut sockets = sockets.into_iter();
        let none = || failed(XskStep::Socket)(io::ErrorKind::InvalidInput.into());
        let first = sockets.next().filter(|_| sockets.len() as u32 + 1 == config.sockets.max(1)).ok_or_else(none)?;
        let (memory, pages) = umem(need as usize, config.huge).map_err(failed(XskStep::Memory))?;
        register(&first, &memory, need, config.frame_bytes).map_err(failed(XskStep::Register))?;
        let fill = fill_ring(&first, frames).map_err(failed(XskStep::Rings))?;
        let umem = Arc::new(Umem::new(memory, fill, config.frame_bytes, frames));
        let owner = first.as_raw_fd();
        let mut all = vec![Xsk::bound(first, umem.clone(), pages, config, None).map_err(|(step, e)| failed(step)(e))?];
        for next in sockets {
            let next =
                Xsk::bound(next, umem.clone(), pages, config, Some(owner)).map_err(|(step, e)| failed(step)(e))?;
            all.push(next);
        }
        Ok(all)
    }

    /// Binds a socket to its queue: the one that has the memory, or one that joins the `owner` of it.
    fn bound(
        socket: OwnedFd,
        umem: Arc<Umem>,
        pages: UmemPages,
        config: &XskConfig,
        owner: Option<RawFd>,
    ) -> Result<Xsk, (XskStep, io::Error)> {
        let rx = receive_ring(&socket, config.ring).map_err(|e| (XskStep::Rings, e))?;
        let busy_poll = config.busy_poll_micros.is_some_and(|micros| poll_busily(&socket, micros).is_ok());
        bind(&socket, config, owner).map_err(|e| (XskStep::Bind, e))?;
        let mut options = 0u32;
        get(&socket, libc::SOL_XDP, libc::XDP_OPTIONS, &mut options).map_err(|e| (XskStep::Bind, e))?;
        Ok(Xsk {
            rx,
            umem,
            socket,
            held: Vec::with_capacity(HELD_MAX),
            joined: if config.joined { vec![0; JOINED_BYTES] } else { Vec::new() },
            refused: 0,
            pages,
            zero_copy: options & libc::XDP_OPTIONS_ZEROCOPY != 0,
            busy_poll,
            stamped: false,
        })
    }
}

fn fill_ring(socket: &OwnedFd, frames: u32) -> io::Result<Ring<u64>> {
    // A place for every frame.
    let entries = frames.checked_next_power_of_two().ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
    set(socket, libc::SOL_XDP, libc::XDP_UMEM_FILL_RING, &entries)?;
    set(socket, libc::SOL_XDP, libc::XDP_UMEM_COMPLETION_RING, &COMPLETION)?;
    // This side produces what is to be filled, and consumes what was received.
    ring(socket, &places(socket)?.fr, true, entries, libc::XDP_UMEM_PGOFF_FILL_RING)
}

fn receive_ring(socket: &OwnedFd, entries: u32) -> io::Result<Ring<Descriptor>> {
    set(socket, libc::SOL_XDP, libc::XDP_RX_RING, &entries)?;
    ring(socket, &places(socket)?.rx, false, entries, libc::XDP_PGOFF_RX_RING as u64)
}

fn places(socket: &OwnedFd) -> io::Result<libc::xdp_mmap_offsets> {
    // SAFETY: integers only; all zero is a value.
    let mut at: libc::xdp_mmap_offsets = unsafe { std::mem::zeroed() };
    get(socket, libc::SOL_XDP, libc::XDP_MMAP_OFFSETS, &mut at)?;
    Ok(at)
}

fn ring<T: Copy>(
    socket: &OwnedFd,
    at: &libc::xdp_ring_offset,
    produces: bool,
    entries: u32,
    page: u64,
) -> io::Result<Ring<T>> {
    let mapping = Mapping::of_socket(socket, at.desc as usize + size_of::<T>() * entries as usize, page)?;
    Ring::new(mapping, offsets(at, produces), entries)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the kernel's offsets lie outside the ring"))
}

fn poll_busily(socket: &OwnedFd, micros: u32) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, SO_PREFER_BUSY_POLL, &1u32)?;
    set(socket, libc::SOL_SOCKET, SO_BUSY_POLL, &micros)?;
    set(socket, libc::SOL_SOCKET, SO_BUSY_POLL_BUDGET, &(LEND_MAX as u32))
}

fn bind(socket: &OwnedFd, config: &XskConfig, owner: Option<RawFd>) -> io::Result<()> {
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
        // Who joins has what the owner has.
        sxdp_flags: if owner.is_some() { libc::XDP_SHARED_UMEM } else { flags },
        sxdp_ifindex: config.interface,
        sxdp_queue_id: config.queue,
        sxdp_shared_umem_fd: owner.unwrap_or(0) as u32,
    };
    let len = size_of::<libc::sockaddr_xdp>() as libc::socklen_t;
    // SAFETY: the address is a sockaddr_xdp of that length, which outlives the call.
    match unsafe { libc::bind(socket.as_raw_fd(), std::ptr::from_ref(&address).cast(), len) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn umem(bytes: usize, huge: HugePages) -> io::Result<(Mapping, UmemPages)> {
    if huge != HugePages::No {
        match Mapping::anonymous(bytes, true) {
            Err(e) if huge == HugePages::Must => return Err(e),
            Err(_) => {}
            Ok(mapping) => return Ok((mapping, UmemPages::Huge)),
        }
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
