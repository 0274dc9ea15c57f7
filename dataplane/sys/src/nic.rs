//! What a network card is asked and told beside its packets: queues, MTU, promiscuous mode; and how much memory may be locked for it.
use crate::rss::Channels;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Receive queues that the interface uses now; 1 for drivers that do not say.
pub fn receive_queues(name: &str) -> io::Result<u32> {
    match Channels::of(name) {
        Ok(channels) => Ok(channels.receiving().max(1)),
        Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(1),
        Err(e) => Err(e),
    }
}

/// The longest packet without its link header, bytes.
pub fn mtu(name: &str) -> io::Result<u32> {
    let mut request = request(name)?;
    ask(libc::SIOCGIFMTU, &mut request)?;
    // SAFETY: the part of the union that SIOCGIFMTU has written (netdevice(7)).
    Ok(unsafe { request.ifr_ifru.ifru_mtu }.max(0) as u32)
}

/// Whether the interface has an address of its own (IPv6 link-local ones, which come by themselves, not counted), so that this machine
/// talks through it.
pub fn has_address(name: &str) -> io::Result<bool> {
    let mut request = request(name)?;
    match ask(libc::SIOCGIFADDR, &mut request) {
        Ok(()) => return Ok(true),
        Err(e) if e.raw_os_error() == Some(libc::EADDRNOTAVAIL) => {}
        Err(e) => return Err(e),
    }
    // A kernel without IPv6 has no such file: address, index, prefix, scope (0x20: link-local), flags, name.
    let all = std::fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap_or_default();
    let mut lines = all.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    Ok(lines.any(|words| words.last() == Some(&name) && words.get(3) != Some(&"20")))
}

/// Asks the card to stamp every packet it receives (Documentation/networking/timestamping.rst, 3.1). Needs CAP_NET_ADMIN.
pub fn stamp_all(index: u32) -> io::Result<()> {
    let name = crate::interface_name(index).ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))?;
    let mut wanted = libc::hwtstamp_config {
        flags: 0,
        tx_type: libc::HWTSTAMP_TX_OFF as libc::c_int,
        rx_filter: libc::HWTSTAMP_FILTER_ALL as libc::c_int,
    };
    let mut request = request(&name)?;
    request.ifr_ifru.ifru_data = std::ptr::from_mut(&mut wanted).cast();
    ask(libc::SIOCSHWTSTAMP, &mut request)
}

/// The soft limit of memory that may be locked, bytes; none if there is no limit.
pub fn memlock() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes to the struct, which outlives the call.
    let answer = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, std::ptr::from_mut(&mut limit)) };
    (answer == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// Raises the limit of memory that may be locked, for this process and those that it starts: away, or as far as it may.
pub fn raise_memlock() {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    let limit_ptr = std::ptr::from_mut(&mut limit);
    // SAFETY: each call reads or writes the struct, which outlives it. What cannot be raised stays, and is named when it is too little.
    unsafe {
        if libc::setrlimit(libc::RLIMIT_MEMLOCK, limit_ptr) != 0
            && libc::getrlimit(libc::RLIMIT_MEMLOCK, limit_ptr) == 0
        {
            (*limit_ptr).rlim_cur = (*limit_ptr).rlim_max;
            libc::setrlimit(libc::RLIMIT_MEMLOCK, limit_ptr);
        }
    }
}

/// An interface takes packets for all addresses while this lives (packet(7), PACKET_MR_PROMISC).
pub struct Promiscuous(#[expect(dead_code, reason = "closing it is what ends the mode")] OwnedFd);

impl Promiscuous {
    pub fn on(index: u32) -> io::Result<Promiscuous> {
        // Protocol 0: the socket itself receives nothing.
        let socket = socket(libc::AF_PACKET, libc::SOCK_RAW)?;
        let member = libc::packet_mreq {
            mr_ifindex: index as libc::c_int,
            mr_type: libc::PACKET_MR_PROMISC as u16,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        let (member, len) = (std::ptr::from_ref(&member), size_of::<libc::packet_mreq>() as libc::socklen_t);
        let (level, option) = (libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP);
        // SAFETY: the kernel reads `len` bytes of a value that is as long and outlives the call.
        match unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, member.cast(), len) } {
            0 => Ok(Promiscuous(socket)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

fn socket(family: libc::c_int, kind: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: plain numbers; the answer is a descriptor or -1.
    let socket = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(socket) })
}

/// Runs a command of linux/ethtool.h, which begins with its number. The caller gives as many words as the kernel reads and writes for it.
pub(crate) fn ethtool(name: &str, command: &mut [u32]) -> io::Result<()> {
    let mut request = request(name)?;
    request.ifr_ifru.ifru_data = command.as_mut_ptr().cast();
    ask(libc::SIOCETHTOOL, &mut request)
}

fn request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: an ifreq is made of integers and pointers; all zero is one without a name.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.is_empty() || name.len() >= request.ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    request.ifr_name.iter_mut().zip(name.bytes()).for_each(|(place, byte)| *place = byte as libc::c_char);
    Ok(request)
}

fn ask(what: libc::c_ulong, request: &mut libc::ifreq) -> io::Result<()> {
    let socket = socket(libc::AF_INET, libc::SOCK_DGRAM)?;
    // SAFETY: `request` is an ifreq with a name that ends with a zero; SIOCGIFMTU writes into its union, SIOCETHTOOL and
    // SIOCSHWTSTAMP into the command that the union points to, which is as long as the kernel expects for it and outlives the call.
    match unsafe { libc::ioctl(socket.as_raw_fd(), what as _, std::ptr::from_mut(request)) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_as_usual() {
        assert_eq!(receive_queues("lo").unwrap(), 1);
        assert!(mtu("lo").unwrap() >= 1500);
        assert!(has_address("lo").unwrap());
        assert_eq!(mtu("no-such-ifc").unwrap_err().raw_os_error(), Some(libc::ENODEV));
        drop(Promiscuous::on(1).expect("this test opens a packet socket, run it as root"));
    }
}
