//! Conversations: what is said (one file per protocol), between whom ([`Route`]), and how it travels ([`TcpSession`], [`Datagrams`]).
//!
//! A protocol file gives turns, never packets; a carrier turns them into packets one at a time, so that even a flow of a gigabyte
//! takes a few hundred bytes of memory.
mod datagrams;
pub mod dns;
pub mod ftp;
pub mod http;
pub mod icmp;
pub mod imap;
pub mod kerberos;
pub mod pop3;
pub mod quic;
pub mod rdp;
pub mod sctp;
pub mod sip;
pub mod smb;
pub mod smtp;
pub mod ssh;
mod tcp;
pub mod tls;
mod tunnel;

pub use datagrams::{Carrier, Datagrams};
pub use tcp::{Ending, TcpSession};
pub use tunnel::Tunnel;

use std::net::IpAddr;

use crate::frame::{Frame, Ipv4, Ipv6, Mac};
use crate::{MILLISECOND, Nanos};

/// A conversation as a stream of packets.
pub trait Dialog {
    /// Time from the previous packet to the next one; `None` when all is said.
    fn gap(&mut self) -> Option<Nanos>;

    /// Builds the next packet in `frame`; leaves it as it is when all is said.
    fn packet(&mut self, frame: &mut Frame);
}

impl<D: Dialog + ?Sized> Dialog for Box<D> {
    fn gap(&mut self) -> Option<Nanos> {
        self.as_mut().gap()
    }

    fn packet(&mut self, frame: &mut Frame) {
        self.as_mut().packet(frame);
    }
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

impl Side {
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// One message of a conversation.
#[derive(Clone, Debug)]
pub struct Turn {
    pub side: Side,
    /// How long the speaker thinks first.
    pub pause: Nanos,
    pub body: Body,
}

/// What is said.
#[derive(Clone, Debug)]
pub enum Body {
    Bytes(Vec<u8>),
    /// So many bytes of noise.
    Filler(u64),
}

impl Turn {
    /// A message after a millisecond of thought.
    pub fn new(side: Side, bytes: impl Into<Vec<u8>>) -> Self {
        Self { side, pause: MILLISECOND, body: Body::Bytes(bytes.into()) }
    }

    pub fn client(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(Side::Client, bytes)
    }

    pub fn server(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(Side::Server, bytes)
    }

    pub const fn filler(side: Side, bytes: u64) -> Self {
        Self { side, pause: MILLISECOND, body: Body::Filler(bytes) }
    }

    #[must_use]
    pub const fn after(mut self, pause: Nanos) -> Self {
        self.pause = pause;
        self
    }
}

impl Body {
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Filler(length) => *length,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends `length` bytes from `offset`; noise depends on `place` too, so that two flows differ.
    fn put(&self, frame: &mut Frame, offset: u64, length: usize, place: u64) {
        match self {
            Self::Bytes(bytes) => frame.payload(&bytes[offset as usize..][..length]),
            Self::Filler(_) => frame.filler(place + offset, length),
        };
    }
}

/// One end of a conversation.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    pub mac: Mac,
    pub ip: IpAddr,
    pub port: u16,
    pub ttl: u8,
}

impl Host {
    /// A locally administered MAC made from the address, TTL 64.
    pub fn new(ip: impl Into<IpAddr>, port: u16) -> Self {
        let ip = ip.into();
        let tail = match ip {
            IpAddr::V4(ip) => ip.octets(),
            IpAddr::V6(ip) => [ip.octets()[4], ip.octets()[5], ip.octets()[14], ip.octets()[15]],
        };
        Self { mac: [2, 0, tail[0], tail[1], tail[2], tail[3]], ip, port, ttl: 64 }
    }
}

/// What the first byte of a frame is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    #[default]
    Ethernet,
    Sll,
    Sll2,
    RawIp,
    Null {
        big_endian: bool,
    },
    Loop,
}

/// What stands between the link header and the inner IP header.
#[derive(Clone, Copy, Debug)]
pub enum Wrap {
    Vlan {
        tpid: u16,
        id: u16,
    },
    Mpls(u32),
    Pppoe(u16),
    /// An outer IP header from the client's to the server's tunnel end.
    Ip {
        client: IpAddr,
        server: IpAddr,
    },
    Gre {
        key: Option<u32>,
        checksum: bool,
    },
    Tunnel(Tunnel),
}

/// The two ends and everything around their packets.
#[derive(Clone, Debug)]
pub struct Route {
    pub client: Host,
    pub server: Host,
    pub link: Link,
    pub wraps: Vec<Wrap>,
    /// IPv4 options of every packet, a multiple of 4 bytes.
    pub ip_options: &'static [u8],
    /// Hop-by-hop options, destination options and a routing header in every IPv6 packet.
    pub ipv6_extensions: bool,
    /// IPv4 identification of the next packet.
    pub ip_id: u16,
}

impl Route {
    /// Plain Ethernet between two hosts.
    pub fn new(client: Host, server: Host) -> Self {
        Self {
            client,
            server,
            link: Link::Ethernet,
            wraps: Vec::new(),
            ip_options: &[],
            ipv6_extensions: false,
            ip_id: 1,
        }
    }

    #[must_use]
    pub fn link(mut self, link: Link) -> Self {
        self.link = link;
        self
    }

    #[must_use]
    pub fn wrap(mut self, wrap: Wrap) -> Self {
        self.wraps.push(wrap);
        self
    }

    /// The speaker, then the listener.
    pub const fn ends(&self, side: Side) -> (&Host, &Host) {
        match side {
            Side::Client => (&self.client, &self.server),
            Side::Server => (&self.server, &self.client),
        }
    }

    /// Begins a packet of `side`: every header up to IP.
    pub fn open(&mut self, side: Side, frame: &mut Frame) {
        let (from, to) = self.ends(side);
        frame.clear();
        match self.link {
            Link::Ethernet => frame.ethernet(from.mac, to.mac),
            Link::Sll => frame.sll(if side == Side::Client { 4 } else { 0 }, from.mac),
            Link::Sll2 => frame.sll2(if side == Side::Client { 4 } else { 0 }, 2, from.mac),
            Link::RawIp => frame,
            Link::Null { big_endian } => frame.null(big_endian),
            Link::Loop => frame.loopback(),
        };
        for wrap in &self.wraps {
            match *wrap {
                Wrap::Vlan { tpid, id } => frame.vlan(tpid, id),
                Wrap::Mpls(label) => frame.mpls(label, 63),
                Wrap::Pppoe(session) => frame.pppoe(session),
                Wrap::Ip { client, server } => {
                    let (source, destination) = if side == Side::Client { (client, server) } else { (server, client) };
                    ip(frame, source, destination, 62, 0, &[])
                }
                Wrap::Gre { key, checksum } => frame.gre(key, None, checksum),
                Wrap::Tunnel(tunnel) => tunnel.put(side, frame),
            };
        }
        ip(frame, from.ip, to.ip, from.ttl, self.ip_id, self.ip_options);
        if self.ipv6_extensions
            && let IpAddr::V6(home) = to.ip
        {
            frame.hop_by_hop().destination_options().routing(home);
        }
        self.ip_id = self.ip_id.wrapping_add(1);
    }
}

/// An IP header of the family of both addresses; mixed families are a mistake of the caller and give an IPv6 header of mapped ones.
fn ip<'f>(
    frame: &'f mut Frame,
    source: IpAddr,
    destination: IpAddr,
    ttl: u8,
    id: u16,
    options: &[u8],
) -> &'f mut Frame {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            frame.ipv4(&Ipv4 { ttl, id, options, ..Ipv4::new(source, destination) })
        }
        _ => {
            let six = |ip: IpAddr| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                IpAddr::V6(ip) => ip,
            };
            frame.ipv6(&Ipv6 { hop_limit: ttl, ..Ipv6::new(six(source), six(destination)) })
        }
    }
}
