//! Network interfaces of this process's namespace: which there are, and what one is (netdevice(7)).
use std::ffi::{CStr, CString};
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// What an interface is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    pub index: u32,
    /// The ARPHRD_ number of its link type.
    pub kind: u16,
    /// Whether it is switched on (IFF_UP); a cable may still be missing.
    pub up: bool,
    pub loopback: bool,
}

/// Names of all interfaces, in the order of their indexes.
pub fn interfaces() -> io::Result<Vec<String>> {
    // SAFETY: takes nothing; answers null or an array that ends with an entry without a name, and is ours until it is freed below.
    let all = unsafe { libc::if_nameindex() };
    if all.is_null() {
        return Err(io::Error::last_os_error());
    }
    let mut names = Vec::new();
    let mut at = all;
    // SAFETY: `at` goes up from the first entry, one at a time, and stops at the one with index 0 and no name (if_nameindex(3)); names are
    // strings that end with a zero.
    unsafe {
        while (*at).if_index != 0 && !(*at).if_name.is_null() {
            names.push(CStr::from_ptr((*at).if_name).to_string_lossy().into_owned());
            at = at.add(1);
        }
        libc::if_freenameindex(all);
    }
    Ok(names)
}

/// The interface of this name. Fails with `ENODEV` when there is none.
pub fn interface(name: &str) -> io::Result<Interface> {
    // SAFETY: plain numbers; the answer is a descriptor or -1.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made and is nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: an ifreq is made of integers and pointers; all zero is one without a name.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.is_empty() || name.len() >= request.ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    request.ifr_name.iter_mut().zip(name.bytes()).for_each(|(place, byte)| *place = byte as libc::c_char);
    let mut ask = |what: libc::c_ulong| {
        // SAFETY: `request` is an ifreq with a name that ends with a zero; each of the three requests writes into its union only.
        match unsafe { libc::ioctl(socket.as_raw_fd(), what as _, std::ptr::from_mut(&mut request)) } {
            0 => Ok(request.ifr_ifru),
            _ => Err(io::Error::last_os_error()),
        }
    };
    let (index, kind, flags) = (ask(libc::SIOCGIFINDEX)?, ask(libc::SIOCGIFHWADDR)?, ask(libc::SIOCGIFFLAGS)?);
    // SAFETY: each is the part of the union that its request has written (netdevice(7)).
    let (index, kind, flags) =
        unsafe { (index.ifru_ifindex, kind.ifru_hwaddr.sa_family, libc::c_int::from(flags.ifru_flags)) };
    Ok(Interface {
        index: index as u32,
        kind,
        up: flags & libc::IFF_UP != 0,
        loopback: flags & libc::IFF_LOOPBACK != 0,
    })
}

/// The name that an interface has now; none if it is gone.
pub fn interface_name(index: u32) -> Option<String> {
    let mut name = [0; libc::IF_NAMESIZE + size_of::<usize>()];
    // SAFETY: the buffer has at least the IF_NAMESIZE bytes that if_indextoname(3) writes, with a zero among them.
    let found = unsafe { libc::if_indextoname(index, name.as_mut_ptr()) };
    if found.is_null() {
        return None;
    }
    let bytes: Vec<u8> = name.iter().map(|c| *c as u8).take_while(|byte| *byte != 0).collect();
    CString::new(bytes).ok().map(|name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_there() {
        assert!(interfaces().unwrap().contains(&"lo".to_string()));
        let lo = interface("lo").unwrap();
        assert!(lo.loopback && lo.kind == 772, "{lo:?}");
        assert_eq!(interface_name(lo.index).as_deref(), Some("lo"));
        assert_eq!(interface_name(u32::MAX), None);
        for missing in ["", "no-such-ifc", "a-name-that-is-longer-than-the-kernel-allows"] {
            assert_eq!(interface(missing).unwrap_err().raw_os_error(), Some(libc::ENODEV), "{missing}");
        }
    }
}
