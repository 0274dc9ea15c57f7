//! Hand-made frames, built from the inside out, and a catalogue of them: every encapsulation around every kind of packet.
// Shared by several test binaries, of which none uses all.
#![allow(dead_code, unreachable_pub)]
use dataplane::capture::LinkType;

pub mod tunnels;

pub const SRC4: [u8; 4] = [192, 0, 2, 1];
pub const DST4: [u8; 4] = [198, 51, 100, 7];
pub const SRC6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
pub const DST6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
pub const DST_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
pub const SRC_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const SYN_OPTIONS: [u8; 20] = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
pub const TIMESTAMP: [u8; 12] = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];

fn join(head: &[u8], inner: &[u8]) -> Vec<u8> {
    [head, inner].concat()
}

fn be(n: usize) -> [u8; 2] {
    (n as u16).to_be_bytes()
}

// --- links

pub fn eth(ethertype: u16, inner: Vec<u8>) -> Vec<u8> {
    [&DST_MAC[..], &SRC_MAC, &ethertype.to_be_bytes(), &inner].concat()
}

/// Pads to the least frame of Ethernet, without its checksum.
pub fn padded(mut frame: Vec<u8>) -> Vec<u8> {
    frame.resize(frame.len().max(60), 0);
    frame
}

pub fn tag(vid: u16, ethertype: u16, inner: Vec<u8>) -> Vec<u8> {
    [&(vid | 0x6000).to_be_bytes()[..], &ethertype.to_be_bytes(), &inner].concat()
}

pub fn sll(hardware: u16, ethertype: u16, inner: Vec<u8>) -> Vec<u8> {
    [&[0, 0][..], &hardware.to_be_bytes(), &[0, 6], &SRC_MAC, &[0, 0], &ethertype.to_be_bytes(), &inner].concat()
}

pub fn sll2(hardware: u16, ethertype: u16, inner: Vec<u8>) -> Vec<u8> {
    let head = [&ethertype.to_be_bytes()[..], &[0; 6], &hardware.to_be_bytes(), &[0, 6], &SRC_MAC, &[0, 0]].concat();
    join(&head, &inner)
}

// --- between link and IP

pub fn mpls(labels: usize, inner: Vec<u8>) -> Vec<u8> {
    let mut head = Vec::new();
    for n in 1..=labels {
        head.extend_from_slice(&[0, n as u8, (n == labels) as u8, 64]);
    }
    join(&head, &inner)
}

/// An Ethernet frame behind labels, of which the last one is [`WIRE_LABEL`].
pub fn pseudowire(labels: usize, frame: Vec<u8>) -> Vec<u8> {
    let mut stack = mpls(labels, control_word(frame));
    stack[labels * 4 - 4..labels * 4 - 1].copy_from_slice(&[0, 0x3e, 0x71]);
    stack
}

pub const WIRE_LABEL: u32 = 999;

pub fn control_word(inner: Vec<u8>) -> Vec<u8> {
    join(&[0; 4], &inner)
}

pub fn pppoe(ppp: u16, inner: Vec<u8>) -> Vec<u8> {
    [&[0x11, 0, 0, 1][..], &be(inner.len() + 2), &ppp.to_be_bytes(), &inner].concat()
}

/// `options` words of 4 bytes.
pub fn trill(options: u16, inner: Vec<u8>) -> Vec<u8> {
    let first = options << 6 | 20;
    [&first.to_be_bytes()[..], &[0, 1, 0, 2], &vec![0; options as usize * 4], &inner].concat()
}

// --- IP

pub struct V4<'o> {
    pub id: u16,
    /// Flags and offset.
    pub fragment: u16,
    pub options: &'o [u8],
    pub ttl: u8,
}

pub const PLAIN4: V4<'static> = V4 { id: 0x1234, fragment: 0x4000, options: &[], ttl: 61 };

impl V4<'_> {
    pub fn around(&self, protocol: u8, inner: Vec<u8>) -> Vec<u8> {
        let header_len = 20 + self.options.len();
        let mut h = vec![0x40 | (header_len / 4) as u8, 0xb8];
        h.extend_from_slice(&be(header_len + inner.len()));
        h.extend_from_slice(&self.id.to_be_bytes());
        h.extend_from_slice(&self.fragment.to_be_bytes());
        h.extend_from_slice(&[self.ttl, protocol, 0, 0]);
        h.extend_from_slice(&SRC4);
        h.extend_from_slice(&DST4);
        h.extend_from_slice(self.options);
        join(&h, &inner)
    }
}

pub fn ipv4(protocol: u8, inner: Vec<u8>) -> Vec<u8> {
    PLAIN4.around(protocol, inner)
}

/// IPv4 with other addresses: the outside of a tunnel.
pub fn outer4(protocol: u8, inner: Vec<u8>) -> Vec<u8> {
    let mut b = V4 { id: 7, fragment: 0, options: &[], ttl: 99 }.around(protocol, inner);
    b[12..16].copy_from_slice(&[10, 0, 0, 1]);
    b[16..20].copy_from_slice(&[10, 0, 0, 2]);
    b
}

pub fn ipv6(next: u8, inner: Vec<u8>) -> Vec<u8> {
    [&[0x62, 0xe0, 0, 0][..], &be(inner.len()), &[next, 58], &SRC6, &DST6, &inner].concat()
}

pub fn outer6(next: u8, inner: Vec<u8>) -> Vec<u8> {
    let mut b = ipv6(next, inner);
    b[8] = 0xfd;
    b[24] = 0xfd;
    b
}

/// Hop-by-hop, routing, destination options, mobility, HIP, shim6: `units` of 8 bytes beyond the first.
pub fn ext(next: u8, units: u8, inner: Vec<u8>) -> Vec<u8> {
    let mut h = vec![next, units];
    // PadN over the rest, which is also a sound routing header of type 1 with no segments left.
    h.extend_from_slice(&[1, 4, 0, 0, 0, 0]);
    for _ in 0..units {
        h.extend_from_slice(&[1, 6, 0, 0, 0, 0, 0, 0]);
    }
    join(&h, &inner)
}

pub fn routing(next: u8, inner: Vec<u8>) -> Vec<u8> {
    [&[next, 2, 0, 0, 0, 0, 0, 0][..], &DST6, &inner].concat()
}

/// `icv` bytes of check value.
pub fn ah(next: u8, icv: usize, inner: Vec<u8>) -> Vec<u8> {
    [&[next, (1 + icv / 4) as u8, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1][..], &vec![0xcc; icv], &inner].concat()
}

/// `offset` in bytes, a multiple of 8.
pub fn fragment6(next: u8, offset: u16, more: bool, inner: Vec<u8>) -> Vec<u8> {
    [&[next, 0][..], &(offset | more as u16).to_be_bytes(), &[0xde, 0xad, 0xbe, 0xef], &inner].concat()
}

// --- tunnels

/// With the optional fields that `flags` promise.
pub fn gre(flags: u16, ethertype: u16, inner: Vec<u8>) -> Vec<u8> {
    let optional = (flags & 0xb000).count_ones() as usize * 4;
    [&flags.to_be_bytes()[..], &ethertype.to_be_bytes(), &vec![0; optional], &inner].concat()
}

pub fn erspan2(inner: Vec<u8>) -> Vec<u8> {
    gre(0x1000, 0x88be, join(&[0x10, 1, 0, 1, 0, 0, 0, 0], &inner))
}

pub fn erspan3(with_subheader: bool, inner: Vec<u8>) -> Vec<u8> {
    let mut h = vec![0x20, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, with_subheader as u8];
    h.resize(if with_subheader { 20 } else { 12 }, 0);
    gre(0x1000, 0x22eb, join(&h, &inner))
}

// --- transport

pub fn tcp(flags: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut h = vec![
        0xc0,
        1,
        0,
        80,
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        (((20 + options.len()) / 4) << 4) as u8,
        flags,
        0x20,
        0,
        0,
        0,
        0,
        0,
    ];
    h.extend_from_slice(options);
    join(&h, payload)
}

pub fn udp(payload: &[u8]) -> Vec<u8> {
    [&[0xc0, 2, 0x13, 0x88][..], &be(8 + payload.len()), &[0, 0], payload].concat()
}

pub fn sctp(payload: &[u8]) -> Vec<u8> {
    [&[0xc0, 3, 0x0b, 0x59, 0, 0, 0, 1, 0, 0, 0, 0, 3, 0][..], &be(4 + payload.len()), payload].concat()
}

pub fn icmp(kind: u8) -> Vec<u8> {
    vec![kind, 0, 0, 0, 0, 1, 0, 1, b'p', b'i', b'n', b'g']
}

// --- the catalogue

pub struct Sample {
    pub name: String,
    pub link: LinkType,
    pub bytes: Vec<u8>,
}

/// Innermost IP packets: (name, version, bytes).
pub fn packets() -> Vec<(&'static str, u16, Vec<u8>)> {
    let v4 = |o: &'static [u8], fragment, id| V4 { id, fragment, options: o, ttl: 33 };
    vec![
        ("tcp4", 4, ipv4(6, tcp(0x18, &[], b"hello, world"))),
        ("tcp4 syn", 4, ipv4(6, tcp(0x02, &SYN_OPTIONS, b""))),
        ("tcp4 all flags", 4, ipv4(6, tcp(0xff, &TIMESTAMP, &[9; 100]))),
        ("udp4", 4, ipv4(17, udp(&[7; 40]))),
        ("udp4 empty", 4, ipv4(17, udp(b""))),
        ("udp4 options", 4, v4(&[7, 7, 4, 0, 0, 0, 0, 0], 0, 1).around(17, udp(&[7; 20]))),
        ("icmp4", 4, ipv4(1, icmp(8))),
        ("sctp4", 4, ipv4(132, sctp(&[1; 16]))),
        ("esp4", 4, ipv4(50, vec![0x55; 40])),
        ("first4", 4, v4(&[], 0x2000, 2).around(17, udp(&[7; 32]))),
        ("later4", 4, v4(&[], 0x2004, 2).around(17, vec![8; 32])),
        ("last4", 4, v4(&[], 0x0008, 2).around(6, vec![8; 12])),
        ("ah4", 4, ipv4(51, ah(6, 12, tcp(0x10, &[], b"inside")))),
        ("gre4 keepalive", 4, ipv4(47, gre(0, 0, vec![]))),
        ("tcp6", 6, ipv6(6, tcp(0x18, &[], b"hello, world"))),
        ("tcp6 syn", 6, ipv6(6, tcp(0xc2, &SYN_OPTIONS, b""))),
        ("udp6", 6, ipv6(17, udp(&[7; 40]))),
        ("icmp6", 6, ipv6(58, icmp(128))),
        ("sctp6", 6, ipv6(132, sctp(&[1; 16]))),
        ("esp6", 6, ipv6(50, vec![0x55; 40])),
        ("hop6", 6, ipv6(0, ext(6, 0, tcp(0x10, &[], b"x")))),
        ("hop6 dst6", 6, ipv6(0, ext(60, 1, ext(17, 2, udp(b"abc"))))),
        ("routing6", 6, ipv6(43, routing(6, tcp(0x11, &[], b"")))),
        ("ah6", 6, ipv6(51, ah(17, 12, udp(b"abcdef")))),
        ("ah6 long", 6, ipv6(51, ah(6, 28, tcp(0x10, &TIMESTAMP, b"abcdef")))),
        ("first6", 6, ipv6(44, fragment6(17, 0, true, udp(&[7; 24])))),
        ("later6", 6, ipv6(44, fragment6(17, 32, true, vec![9; 24]))),
        ("atomic6", 6, ipv6(44, fragment6(6, 0, false, tcp(0x10, &[], b"x")))),
        (
            "all6",
            6,
            ipv6(
                0,
                ext(60, 0, ext(43, 0, routing(44, fragment6(51, 0, false, ah(60, 12, ext(6, 0, tcp(4, &[], b"y"))))))),
            ),
        ),
        ("none6", 6, ipv6(59, vec![])),
        ("hop6 none", 6, ipv6(0, ext(59, 0, vec![]))),
    ]
}

/// Every encapsulation of this module around every packet, by link type.
pub fn catalogue() -> Vec<Sample> {
    let mut all = Vec::new();
    for (packet, version, ip) in packets() {
        let ethertype = if version == 4 { 0x0800 } else { 0x86dd };
        let (ppp, in4) = if version == 4 { (0x21, 4) } else { (0x57, 41) };
        let inner = || eth(ethertype, ip.clone());
        let mut add = |link, name: &str, bytes| all.push(Sample { name: format!("{name}: {packet}"), link, bytes });
        let mut ethernet = |name: &str, ethertype, bytes| add(LinkType::Ethernet, name, eth(ethertype, bytes));
        let ip = || ip.clone();
        let tagged = |vid| tag(vid, ethertype, ip());
        ethernet("plain", ethertype, ip());
        ethernet("vlan", 0x8100, tagged(100));
        ethernet("service vlan", 0x88a8, tagged(101));
        ethernet("old vlan", 0x9100, tagged(102));
        ethernet("priority tag", 0x8100, tag(0, 0x8100, tagged(103)));
        ethernet("qinq", 0x88a8, tag(200, 0x8100, tagged(201)));
        ethernet("qinq twice", 0x88a8, tag(300, 0x88a8, tag(301, 0x8100, tagged(302))));
        ethernet("old qinq", 0x9100, tag(400, 0x8100, tagged(401)));
        ethernet("mpls", 0x8847, mpls(1, ip()));
        ethernet("mpls 3", 0x8848, mpls(3, ip()));
        ethernet("vlan mpls", 0x8100, tag(5, 0x8847, mpls(2, ip())));
        ethernet("eompls", 0x8847, pseudowire(2, inner()));
        ethernet("eompls vlan", 0x8847, pseudowire(1, eth(0x8100, tagged(7))));
        ethernet("pppoe", 0x8864, pppoe(ppp, ip()));
        ethernet("vlan pppoe", 0x8100, tag(6, 0x8864, pppoe(ppp, ip())));
        ethernet("trill", 0x22f3, trill(0, inner()));
        ethernet("vlan trill vlan", 0x8100, tag(8, 0x22f3, trill(0, eth(0x8100, tagged(9)))));
        ethernet("gre", 0x0800, outer4(47, gre(0, ethertype, ip())));
        ethernet("gre key", 0x0800, outer4(47, gre(0xb000, ethertype, ip())));
        ethernet("gre mpls", 0x0800, outer4(47, gre(0x2000, 0x8847, mpls(1, ip()))));
        ethernet("gre ethernet", 0x0800, outer4(47, gre(0, 0x6558, inner())));
        ethernet("nvgre vlan", 0x0800, outer4(47, gre(0x2000, 0x6558, eth(0x8100, tagged(11)))));
        ethernet("erspan 1", 0x0800, outer4(47, gre(0, 0x88be, inner())));
        ethernet("erspan 2", 0x0800, outer4(47, erspan2(inner())));
        ethernet("erspan 3", 0x0800, outer4(47, erspan3(false, inner())));
        ethernet("erspan 3 sub", 0x0800, outer4(47, erspan3(true, inner())));
        ethernet("gre on 6", 0x86dd, outer6(47, gre(0x1000, ethertype, ip())));
        ethernet("in 4", 0x0800, outer4(in4, ip()));
        ethernet("in 6", 0x86dd, outer6(in4, ip()));
        ethernet("in 6 dst", 0x86dd, outer6(60, ext(in4, 0, ip())));
        ethernet("gre in 4 in 6", 0x86dd, outer6(4, outer4(47, gre(0, ethertype, ip()))));
        add(LinkType::Ethernet, "padded", padded(eth(ethertype, ip())));
        add(LinkType::LinuxSll, "sll", sll(1, ethertype, ip()));
        add(LinkType::LinuxSll, "sll loopback", sll(772, ethertype, ip()));
        add(LinkType::LinuxSll, "sll vlan", sll(1, 0x8100, tagged(12)));
        add(LinkType::LinuxSll2, "sll2", sll2(1, ethertype, ip()));
        add(LinkType::RawIp, "raw", ip());
        let family = |native| join(if native { &[2, 0, 0, 0] } else { &[0, 0, 0, 2] }, &ip());
        let family6 = |native| join(if native { &[30, 0, 0, 0] } else { &[0, 0, 0, 30] }, &ip());
        let family = |native| if version == 4 { family(native) } else { family6(native) };
        add(LinkType::Null, "null", family(true));
        add(LinkType::Loop, "loop", family(false));
    }
    all
}

// --- judged by tshark

/// A classic capture (magic, version 2.4, no zone, snapshot length, link type; then time and lengths for each frame).
pub fn pcap<'f>(link: LinkType, frames: impl Iterator<Item = &'f [u8]>) -> Vec<u8> {
    let link: u32 = match link {
        LinkType::Ethernet => 1,
        LinkType::LinuxSll => 113,
        LinkType::LinuxSll2 => 276,
        LinkType::RawIp => 101,
        LinkType::Null => 0,
        LinkType::Loop => 108,
    };
    let words = |file: &mut Vec<u8>, words: &[u32]| words.iter().for_each(|w| file.extend_from_slice(&w.to_le_bytes()));
    let mut file = Vec::new();
    words(&mut file, &[0xa1b2_c3d4, 0x0004_0002, 0, 0, 0x4_0000, link]);
    for (n, bytes) in frames.enumerate() {
        let len = bytes.len() as u32;
        words(&mut file, &[n as u32, 0, len, len]);
        file.extend_from_slice(bytes);
    }
    file
}

pub fn is_without_tshark() -> bool {
    if std::env::var_os("SONDA_SKIP_TOOLS").is_some_and(|v| v == "1") {
        println!("SONDA_SKIP_TOOLS=1: nothing compared");
        return true;
    }
    let found = std::process::Command::new("tshark").arg("--version").output();
    assert!(found.is_ok(), "tshark is missing: install the Debian package tshark, or set SONDA_SKIP_TOOLS=1");
    false
}
