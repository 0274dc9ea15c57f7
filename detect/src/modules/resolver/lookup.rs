//! One lookup: the file of hosts, then the name servers, each within a time (RFC 1035 sections 4.2 and 7).
//!
//! Every question has a socket, thus a port, of its own and a number that cannot be guessed, so that only the server can answer it.
use super::dns::{Found, Question, Reply};
use super::services;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

/// Files of the system.
pub(super) const HOSTS: &str = "/etc/hosts";
pub(super) const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Name servers of a file, at the most; glibc takes 3.
const SERVERS_MAX: usize = 8;
/// One server has so long, then the next is asked.
const TRY: Duration = Duration::from_millis(1_500);
/// How often all servers are asked.
const ROUNDS: u32 = 2;
/// Bytes of an answer over UDP, at the most.
const UDP_MAX: usize = 4096;
/// How long what the file of hosts says counts.
const HOSTS_TTL: Duration = Duration::from_secs(300);
/// How long it counts that there is no such name.
const NOTHING_TTL: Duration = Duration::from_secs(60);
/// How long a failure counts, so that a server that is down is not asked for every record.
const FAILURE_TTL: Duration = Duration::from_secs(10);
/// Bounds of what counts of a server's own time.
const TTL: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(86_400));

/// What is known without asking, and whom to ask.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    names: HashMap<IpAddr, String>,
    addresses: HashMap<String, Vec<IpAddr>>,
    pub(super) servers: Vec<SocketAddr>,
}

/// Why there is no value; the texts are Python's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    #[error("[Errno -2] Name or service not known")]
    NoName,
    #[error("[Errno -5] No address associated with hostname")]
    NoData,
    #[error("[Errno -9] Address family for hostname not supported")]
    Family,
    #[error("[Errno -3] Temporary failure in name resolution")]
    Passing,
}

/// The end of a lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) result: Result<Found, Failure>,
    /// How long it counts.
    pub(super) ttl: Duration,
    /// No server answered at all.
    pub(super) is_silent: bool,
}

impl Sources {
    /// What this system says, and its name servers unless there are others.
    pub(crate) fn system(servers: &[SocketAddr]) -> Sources {
        Sources::load(Path::new(HOSTS), Path::new(RESOLV_CONF), servers)
    }

    /// Reads the system's files; `servers` go before those of `resolv.conf`.
    pub(crate) fn load(hosts: &Path, resolv_conf: &Path, servers: &[SocketAddr]) -> Sources {
        let mut sources = Sources { servers: servers.to_vec(), ..Sources::default() };
        for mut words in services::read(hosts).unwrap_or_default().lines().map(services::words) {
            let Some(ip) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
            for name in words {
                sources.names.entry(ip).or_insert_with(|| name.to_owned());
                sources.addresses.entry(name.to_ascii_lowercase()).or_default().push(ip);
            }
        }
        if sources.servers.is_empty() {
            let text = services::read(resolv_conf).unwrap_or_default();
            let named = text.lines().map(services::words).filter_map(|mut words| match words.next() {
                Some("nameserver") => words.next()?.parse::<IpAddr>().ok(),
                _ => None,
            });
            sources.servers = named.take(SERVERS_MAX).map(|ip| SocketAddr::new(ip, 53)).collect();
        }
        if sources.servers.is_empty() {
            // What resolv.conf(5) says for that case.
            sources.servers.push((Ipv4Addr::LOCALHOST, 53).into());
        }
        sources
    }

    /// The name of an address, looked up for as long as `limit`; none if it has none or nobody knows.
    pub(crate) fn name_of(&self, ip: IpAddr, limit: Duration) -> Option<String> {
        match self.resolve(&Question::Ptr(ip), Instant::now() + limit).result {
            Ok(Found::Name(name)) => Some(name),
            Ok(Found::Address(_)) | Err(_) => None,
        }
    }

    /// What the file of hosts, and the text itself, say.
    pub(super) fn known(&self, question: &Question) -> Option<Result<Found, Failure>> {
        let (name, is_v4) = match question {
            Question::Ptr(ip) => return self.names.get(ip).map(|name| Ok(Found::Name(name.clone()))),
            Question::A(name) => (name, true),
            Question::Aaaa(name) => (name, false),
        };
        if let Ok(ip) = name.parse::<IpAddr>() {
            return Some(if ip.is_ipv4() == is_v4 { Ok(Found::Address(ip)) } else { Err(Failure::Family) });
        }
        let found = self.addresses.get(name)?.iter().find(|ip| ip.is_ipv4() == is_v4)?;
        Some(Ok(Found::Address(*found)))
    }

    /// Looks a question up until `deadline`.
    pub(super) fn resolve(&self, question: &Question, deadline: Instant) -> Outcome {
        if let Some(result) = self.known(question) {
            return Outcome { result, ttl: HOSTS_TTL, is_silent: false };
        }
        let mut is_silent = true;
        for server in self.servers.iter().cycle().take(self.servers.len() * ROUNDS as usize) {
            let until = deadline.min(Instant::now() + TRY);
            let reply = match ask(*server, question, until) {
                Ok(Reply::Cut) => ask_again(*server, question, until),
                reply => reply,
            };
            let nothing = |why| Outcome { result: Err(why), ttl: NOTHING_TTL, is_silent: false };
            match reply {
                Ok(Reply::Found(found, ttl)) => {
                    return Outcome { result: Ok(found), ttl: ttl.clamp(TTL.0, TTL.1), is_silent: false };
                }
                Ok(Reply::NoName) => return nothing(Failure::NoName),
                Ok(Reply::NoData) if matches!(question, Question::Ptr(_)) => return nothing(Failure::NoName),
                Ok(Reply::NoData) => return nothing(Failure::NoData),
                Ok(Reply::Failed | Reply::Cut | Reply::Other) => is_silent = false,
                Err(_) => {}
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        Outcome { result: Err(Failure::Passing), ttl: FAILURE_TTL, is_silent }
    }
}

/// Asks by UDP.
fn ask(server: SocketAddr, question: &Question, deadline: Instant) -> io::Result<Reply> {
    let own: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((own, 0))?;
    socket.connect(server)?;
    let id = random();
    socket.send(&question.to_bytes(id))?;
    let mut buffer = [0; UDP_MAX];
    loop {
        socket.set_read_timeout(Some(left(deadline)?))?;
        let count = socket.recv(&mut buffer)?;
        match question.read(id, &buffer[..count]) {
            // Perhaps somebody else guesses: the server's own may still come.
            Reply::Other => {}
            reply => return Ok(reply),
        }
    }
}

/// Asks by TCP, because the answer has no room in UDP.
fn ask_again(server: SocketAddr, question: &Question, deadline: Instant) -> io::Result<Reply> {
    let mut stream = TcpStream::connect_timeout(&server, left(deadline)?)?;
    stream.set_write_timeout(Some(left(deadline)?))?;
    let id = random();
    let message = question.to_bytes(id);
    // A question is far below 64 KiB.
    stream.write_all(&[&(message.len() as u16).to_be_bytes()[..], &message].concat())?;
    let (mut answer, mut length) = (Vec::new(), None);
    let mut buffer = [0; UDP_MAX];
    loop {
        if let (None, Some(head)) = (length, answer.get(..2)) {
            length = Some(2 + usize::from(u16::from_be_bytes([head[0], head[1]])));
        }
        if let Some(whole) = length.and_then(|length| answer.get(2..length)) {
            return Ok(question.read(id, whole));
        }
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => answer.extend_from_slice(&buffer[..count]),
        }
    }
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// A number that nobody can guess: the standard library's hash of nothing, with new secret keys.
fn random() -> u16 {
    RandomState::new().build_hasher().finish() as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_system() {
        let folder = tempfile::TempDir::new().unwrap();
        let (hosts, conf) = (folder.path().join("hosts"), folder.path().join("resolv.conf"));
        std::fs::write(&hosts, "127.0.0.1 localhost lo # x\n::1 localhost\nbad name\n10.0.0.1 Name other\n").unwrap();
        std::fs::write(&conf, "search x\nnameserver 192.0.2.1\nnameserver ::1 # y\nnameserver bad\n").unwrap();
        let sources = Sources::load(&hosts, &conf, &[]);
        assert_eq!(sources.servers, ["192.0.2.1:53".parse().unwrap(), "[::1]:53".parse().unwrap()]);
        let name = |ip: &str| sources.known(&Question::Ptr(ip.parse().unwrap()));
        assert_eq!(name("10.0.0.1"), Some(Ok(Found::Name("Name".into()))));
        assert_eq!(name("10.0.0.2"), None);
        let address = |ip: &str| Some(Ok(Found::Address(ip.parse().unwrap())));
        assert_eq!(sources.known(&Question::Aaaa("localhost".into())), address("::1"));
        assert_eq!(sources.known(&Question::A("name".into())), address("10.0.0.1"));
        assert_eq!(sources.known(&Question::Aaaa("name".into())), None);
        assert_eq!(sources.known(&Question::A("192.0.2.7".into())), address("192.0.2.7"));
        assert_eq!(sources.known(&Question::Aaaa("192.0.2.7".into())), Some(Err(Failure::Family)));
        let none = Sources::load(Path::new("/nonexist"), Path::new("/nonexist"), &[]);
        assert_eq!(none.servers, ["127.0.0.1:53".parse().unwrap()]);
    }
}
