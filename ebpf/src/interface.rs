//! Which XDP program an interface has, asked by rtnetlink(7): RTM_GETLINK and the attribute IFLA_XDP (linux/if_link.h).
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Read, Write};
use std::time::Duration;

const NETLINK_ROUTE: i32 = 0;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const IFLA_XDP: u16 = 43;
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_PROG_ID: u16 = 4;
/// Flags in the two top bits of an attribute's type.
const NLA_TYPE_MASK: u16 = 0x3fff;
/// A description of an interface is a few kilobytes; the kernel cuts what is longer.
const REPLY_MAX: usize = 32 << 10;

/// What hangs on an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attached {
    /// XDP_ATTACHED_*: 0 nothing, 1 native, 2 generic, 3 hardware, 4 several.
    pub mode: u8,
    /// Of the program, if there is one.
    pub program: Option<u32>,
}

/// What hangs on the interface with this index. `ENODEV` if there is none.
pub fn attached(index: u32) -> io::Result<Attached> {
    let mut socket = Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, Some(Protocol::from(NETLINK_ROUTE)))?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut request = Vec::with_capacity(32);
    // struct nlmsghdr: length, type, flags, sequence, port; struct ifinfomsg: family, padding, type, index, flags, change.
    request.extend_from_slice(&32u32.to_ne_bytes());
    request.extend_from_slice(&RTM_GETLINK.to_ne_bytes());
    request.extend_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    request.extend_from_slice(&[0; 8]);
    request.extend_from_slice(&[0; 4]);
    request.extend_from_slice(&index.to_ne_bytes());
    request.extend_from_slice(&[0; 8]);
    socket.write_all(&request)?;
    let mut reply = vec![0; REPLY_MAX];
    let len = socket.read(&mut reply)?;
    parse(&reply[..len])
}

fn parse(reply: &[u8]) -> io::Result<Attached> {
    let short = || io::Error::new(io::ErrorKind::InvalidData, "the kernel's description of the interface is cut off");
    let kind = u16_at(reply, 4).ok_or_else(short)?;
    if kind == NLMSG_ERROR {
        let code =
            reply.get(16..20).and_then(|b| b.first_chunk()).copied().map(i32::from_ne_bytes).ok_or_else(short)?;
        return Err(io::Error::from_raw_os_error(code.wrapping_neg()));
    }
    if kind != RTM_NEWLINK {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the kernel answered something else"));
    }
    let mut attached = Attached::default();
    for (kind, value) in attributes(reply.get(32..).ok_or_else(short)?) {
        if kind != IFLA_XDP {
            continue;
        }
        for (kind, value) in attributes(value) {
            match (kind, value) {
                (IFLA_XDP_ATTACHED, [mode, ..]) => attached.mode = *mode,
                (IFLA_XDP_PROG_ID, &[a, b, c, d, ..]) => attached.program = Some(u32::from_ne_bytes([a, b, c, d])),
                _ => {}
            }
        }
    }
    Ok(attached)
}

/// Attributes (netlink(7)): length and type, 16 bits each, then the value, padded to four bytes.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (len, kind) = (usize::from(u16_at(bytes, 0)?), u16_at(bytes, 2)?);
        let value = bytes.get(4..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind & NLA_TYPE_MASK, value))
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_loopback_has_no_program_and_what_is_not_there_is_an_error() {
        assert_eq!(attached(1).unwrap().program, None);
        assert_eq!(attached(0x7fff_fff0).unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }

    proptest! {
        #[test]
        fn no_reply_is_too_broken(reply: Vec<u8>, kind in prop::sample::select(vec![RTM_NEWLINK, NLMSG_ERROR])) {
            let mut reply = reply;
            if reply.len() > 6 {
                reply[4..6].copy_from_slice(&kind.to_ne_bytes());
            }
            let _ = parse(&reply);
        }
    }
}
