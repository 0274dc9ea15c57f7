//! Listening and connecting as the original does it (trap.md section 3), over `socket2` so that unix and TCP look alike.

use std::fs::{self, Permissions};
use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::log;

/// Longest unix socket path, bytes without the final NUL. Longer ones are cut, on both sides alike.
const SUN_PATH_MAX: usize = 107;

/// Binds a unix socket, replacing whatever is at `path`, and lets every user connect.
pub(crate) fn listen_unix(path: &Path, backlog: usize) -> io::Result<Socket> {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    fs::set_permissions(path, Permissions::from_mode(0o666))?;
    socket.listen(backlog as i32)?;
    Ok(socket)
}

/// Binds all IPv4 addresses, as the original does with glibc.
pub(crate) fn listen_tcp(port: u16, backlog: usize) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
    socket.listen(backlog as i32)?;
    Ok(socket)
}

/// The path as both sides of the original see it.
pub(crate) fn cut_to_sun_path(path: PathBuf) -> PathBuf {
    if path.as_os_str().as_bytes().len() <= SUN_PATH_MAX {
        return path;
    }
    log::warning!("socket path {} is longer than {SUN_PATH_MAX} bytes and is cut", path.display());
    let mut bytes = path.into_os_string().into_vec();
    bytes.truncate(SUN_PATH_MAX);
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

/// One attempt to connect to a unix socket.
pub(crate) fn connect_unix(path: &Path, budget: Duration) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.connect_timeout(&SockAddr::unix(path)?, budget)?;
    Ok(socket)
}

/// One attempt to connect, each resolved address in order; the budget is shared by the addresses.
pub(crate) fn connect_tcp(host: &str, port: u16, budget: Duration) -> io::Result<Socket> {
    let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    let share = (budget / addresses.len().max(1) as u32).max(Duration::from_millis(1));
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("host {host} has no address"));
    for address in addresses {
        let attempt = Socket::new(Domain::for_address(address), Type::STREAM, None)
            .and_then(|socket| socket.connect_timeout(&address.into(), share).map(|()| socket));
        match attempt {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Port told by number, 1-65535, or by a TCP service name of `/etc/services`.
pub(crate) fn port(text: &str) -> Result<u16, String> {
    if let Ok(number) = text.parse::<i64>() {
        return u16::try_from(number)
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| format!("Given port ({number}) number is out of the allowed range (1-65535)."));
    }
    let services = fs::read_to_string("/etc/services").unwrap_or_default();
    service_port(&services, text)
        .ok_or_else(|| format!("'{text}' is neither a port number nor a TCP service of /etc/services."))
}

fn service_port(services: &str, wanted: &str) -> Option<u16> {
    services.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let name = words.next()?;
        let number = words.next()?.strip_suffix("/tcp")?;
        (name == wanted || words.any(|alias| alias == wanted)).then(|| number.parse().ok())?
    })
}

/// Sends all bytes with one call when the socket has room. Each blocked call lasts at most the socket's write timeout;
/// `go_on` is asked between calls, with the number of bytes sent so far.
pub(crate) fn send_all(socket: &Socket, bytes: &[u8], mut go_on: impl FnMut(usize) -> bool) -> io::Result<()> {
    let mut sent = 0;
    while sent < bytes.len() {
        match socket.send_with_flags(&bytes[sent..], libc::MSG_NOSIGNAL) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => sent += n,
            // A peer that left or talks makes no room any more.
            Err(error) if is_transient(&error) && is_listening_peer(socket) => {}
            Err(error) => return Err(error),
        }
        if sent < bytes.len() && !go_on(sent) {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    Ok(())
}

/// True while the peer of an output may still be reading. A TRAP client never sends, so neither end-of-file nor a byte
/// may come from it (trap.md section 0).
pub(crate) fn is_listening_peer(socket: &Socket) -> bool {
    match socket.recv_with_flags(&mut [MaybeUninit::uninit(); 1], libc::MSG_DONTWAIT) {
        Ok(_) => false,
        Err(error) => is_transient(&error),
    }
}

/// Process at the other end of a unix socket, as it was when it connected.
pub(crate) fn peer_pid(socket: &Socket) -> Option<u32> {
    let peer = getsockopt(socket, PeerCredentials).ok()?;
    // 0 is a process of another PID namespace.
    u32::try_from(peer.pid()).ok().filter(|pid| *pid > 0)
}

/// A timeout or signal: try again.
pub(crate) fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// Time left until `deadline`; zero when passed.
pub(crate) fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports() {
        assert_eq!(port("4739"), Ok(4739));
        assert_eq!(port("99999"), Err("Given port (99999) number is out of the allowed range (1-65535).".into()));
        assert!(port("0").is_err() && port("-1").is_err() && port("no-such-service").is_err());
        let services = "ssh 22/tcp # shell\nhttp 80/tcp www\nhttp 80/udp\nntp 123/udp";
        assert_eq!(service_port(services, "www"), Some(80));
        assert_eq!(service_port(services, "ntp"), None);
    }

    #[test]
    fn long_paths_are_cut() {
        let long = PathBuf::from(format!("/tmp/{}", "x".repeat(200)));
        assert_eq!(cut_to_sun_path(long).as_os_str().len(), SUN_PATH_MAX);
    }
}
