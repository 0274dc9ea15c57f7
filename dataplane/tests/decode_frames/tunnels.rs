//! Tunnels that ports and content tell, by hand; and a catalogue of each around IPv4 and IPv6.
use super::*;
use dataplane::packet::TunnelKind;

pub const VNI: u32 = 0x01_2345;
pub const TEID: u32 = 0xdead_0001;
pub const SESSION: u32 = 0x00aa_bb07;
/// Tunnel 9, session 7.
pub const L2TP2_ID: u32 = 0x0009_0007;
pub const KEY: u32 = 77;

pub fn datagram(src_port: u16, dst_port: u16, payload: Vec<u8>) -> Vec<u8> {
    [&src_port.to_be_bytes()[..], &dst_port.to_be_bytes(), &be(8 + payload.len()), &[0, 0], &payload].concat()
}

/// Flags in the first byte; what is inside in the fourth, for the generic form.
pub fn vxlan(flags: u8, next: u8, inner: Vec<u8>) -> Vec<u8> {
    [&[flags, 0, 0, next][..], &(VNI << 8).to_be_bytes(), &inner].concat()
}

pub fn geneve(options: u8, ethertype: u16, inner: Vec<u8>) -> Vec<u8> {
    let mut options_bytes = Vec::new();
    for _ in 0..options {
        // Class, type, and a length of 0: an option of four bytes.
        options_bytes.extend([0x01, 0x02, 0x03, 0]);
    }
    [&[options, 0][..], &ethertype.to_be_bytes(), &(VNI << 8).to_be_bytes(), &options_bytes, &inner].concat()
}

/// With what `flags` promise: sequence number, N-PDU number; with extension headers one of four bytes and one of eight.
pub fn gtp(flags: u8, inner: Vec<u8>) -> Vec<u8> {
    let mut optional = vec![];
    if flags & 7 != 0 {
        optional.extend([0, 5, 0, if flags & 4 != 0 { 0x85 } else { 0 }]);
    }
    if flags & 4 != 0 {
        optional.extend([1, 0x10, 9, 0x40, 2, 0, 0, 0, 0, 0, 0, 0]);
    }
    let len = be(optional.len() + inner.len());
    [&[0x30 | flags, 255][..], &len, &TEID.to_be_bytes(), &optional, &inner].concat()
}

/// `flags` of the first word without the version; `ppp` is all that stands behind the L2TP header.
pub fn l2tp2(flags: u16, ppp: Vec<u8>) -> Vec<u8> {
    let mut behind = L2TP2_ID.to_be_bytes().to_vec();
    if flags & 0x0800 != 0 {
        behind.extend([0, 1, 0, 0]);
    }
    if flags & 0x0200 != 0 {
        behind.extend([0, 2, 0xee, 0xee]);
    }
    behind.extend(ppp);
    let len = if flags & 0x4000 != 0 { be(behind.len() + 4).to_vec() } else { Vec::new() };
    [&(flags | 2).to_be_bytes()[..], &len, &behind].concat()
}

/// What stands behind the session's number: a cookie, a sublayer.
pub fn l2tp3(between: &[u8], frame: Vec<u8>) -> Vec<u8> {
    [&SESSION.to_be_bytes()[..], between, &frame].concat()
}

pub fn l2tp3_udp(between: &[u8], frame: Vec<u8>) -> Vec<u8> {
    join(&[0, 3, 0, 0], &l2tp3(between, frame))
}

/// IPv6 as a Teredo client sends it, around what an IPv6 packet has inside.
pub fn teredo6(next: u8, inner: Vec<u8>) -> Vec<u8> {
    let mut packet = ipv6(next, inner);
    packet[8..12].copy_from_slice(&[0x20, 1, 0, 0]);
    packet
}

pub fn authentication(inner: Vec<u8>) -> Vec<u8> {
    [&[0, 1, 2, 3][..], b"idval", &[9; 8], &[0], &inner].concat()
}

pub fn origin(inner: Vec<u8>) -> Vec<u8> {
    join(&[0, 0, 0x12, 0x34, 0xf5, 0xff, 0xff, 0xfe], &inner)
}

/// With the checksum of its header.
pub fn summed(mut packet: Vec<u8>) -> Vec<u8> {
    let len = usize::from(packet[0] & 15) * 4;
    packet[10..12].fill(0);
    let sum: u32 = packet[..len].chunks(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    packet[10..12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
    packet
}

/// A frame with one tunnel, and what has to be found of it.
pub struct Tunnelled {
    pub name: String,
    pub bytes: Vec<u8>,
    pub kind: TunnelKind,
    pub id: u32,
    pub ports: (u16, u16),
    /// Outside and inside.
    pub versions: (u8, u8),
}

/// Every tunnel that ports and content tell, around IPv4 and IPv6, on both.
pub fn tunnels() -> Vec<Tunnelled> {
    let mut all = Vec::new();
    for (inner, ip) in [(4, summed(ipv4(6, tcp(0x18, &[], b"hello")))), (6, ipv6(6, tcp(0x18, &[], b"hello")))] {
        let (ethertype, ppp, next) = if inner == 4 { (0x0800, 0x21, 1) } else { (0x86dd, 0x57, 2) };
        let (frame, tagged) = (|| eth(ethertype, ip.clone()), || eth(0x8100, tag(5, ethertype, ip.clone())));
        let (in_ppp, ip) = (|head: &[u8]| join(head, &ip), || ip.clone());
        let mut add = |name: &str, kind, id, ports: Option<(u16, u16)>, payload: Vec<u8>| {
            let l4 = || ports.map_or_else(|| payload.clone(), |(src, dst)| datagram(src, dst, payload.clone()));
            let protocol = if ports.is_some() { 17 } else { 115 };
            let name = |outer| format!("{name} on {outer} around {inner}");
            let ports = ports.unwrap_or_default();
            let sample =
                |outer: u8, bytes| Tunnelled { name: name(outer), bytes, kind, id, ports, versions: (outer, inner) };
            all.push(sample(4, eth(0x0800, summed(outer4(protocol, l4())))));
            if kind != TunnelKind::Teredo {
                all.push(sample(6, eth(0x86dd, outer6(protocol, l4()))));
            }
        };
        let from = |port| Some((50_001, port));
        add("vxlan", TunnelKind::Vxlan, VNI, from(4789), vxlan(8, 0, frame()));
        add("vxlan old port", TunnelKind::Vxlan, VNI, from(8472), vxlan(8, 0, tagged()));
        add("vxlan policy", TunnelKind::Vxlan, VNI, from(4789), vxlan(0x88, 3, frame()));
        add("vxlan-gpe ip", TunnelKind::VxlanGpe, VNI, from(4790), vxlan(0x0c, next, ip()));
        add("vxlan-gpe ethernet", TunnelKind::VxlanGpe, VNI, from(4790), vxlan(0x0c, 3, frame()));
        add("geneve", TunnelKind::Geneve, VNI, from(6081), geneve(0, 0x6558, frame()));
        add("geneve options", TunnelKind::Geneve, VNI, from(6081), geneve(3, 0x6558, tagged()));
        add("geneve ip", TunnelKind::Geneve, VNI, from(6081), geneve(1, ethertype, ip()));
        add("gtp", TunnelKind::Gtp, TEID, from(2152), gtp(0, ip()));
        add("gtp sequence", TunnelKind::Gtp, TEID, Some((2152, 2152)), gtp(2, ip()));
        add("gtp npdu", TunnelKind::Gtp, TEID, from(2152), gtp(1, ip()));
        add("gtp extensions", TunnelKind::Gtp, TEID, from(2152), gtp(4, ip()));
        let to_lac = Some((1701, 50_001));
        add("l2tp", TunnelKind::L2tp2, L2TP2_ID, Some((1701, 1701)), l2tp2(0, in_ppp(&[0xff, 3, 0, ppp])));
        add("l2tp length", TunnelKind::L2tp2, L2TP2_ID, to_lac, l2tp2(0x4000, in_ppp(&[0, ppp])));
        add("l2tp all", TunnelKind::L2tp2, L2TP2_ID, from(1701), l2tp2(0x4b00, in_ppp(&[0xff, 3, 0, ppp])));
        add("l2tp short ppp", TunnelKind::L2tp2, L2TP2_ID, from(1701), l2tp2(0x4000, in_ppp(&[ppp])));
        add("l2tp3", TunnelKind::L2tp3, SESSION, None, l2tp3(&[], frame()));
        add("l2tp3 sublayer", TunnelKind::L2tp3, SESSION, None, l2tp3(&[0; 4], frame()));
        add("l2tp3 cookie", TunnelKind::L2tp3, SESSION, None, l2tp3(&[7; 8], tagged()));
        add("l2tp3 both", TunnelKind::L2tp3, SESSION, None, l2tp3(&[7, 7, 7, 7, 7, 7, 7, 7, 0, 0, 0, 0], frame()));
        add("l2tp3 udp", TunnelKind::L2tp3Udp, SESSION, from(1701), l2tp3_udp(&[0; 4], frame()));
        if inner == 6 {
            let client = || teredo6(6, tcp(0x18, &[], b"hello"));
            add("teredo", TunnelKind::Teredo, 0, from(3544), client());
            add("teredo origin", TunnelKind::Teredo, 0, Some((3544, 50_001)), origin(client()));
            add("teredo authentication", TunnelKind::Teredo, 0, from(3544), authentication(client()));
            add("teredo all", TunnelKind::Teredo, 0, from(3544), authentication(origin(client())));
            add("teredo bubble", TunnelKind::Teredo, 0, from(3544), teredo6(59, Vec::new()));
        }
    }
    all
}
