//! What tshark says of the same tunnels: addresses and ports outside and inside, and what the tunnel calls itself. Needs the Debian package
//! tshark; SONDA_SKIP_TOOLS=1 goes without.
mod decode_frames;
use dataplane::capture::{Frame, LinkType};
use dataplane::packet::decode::{DecodeConfig, decode, decode_inner};
use dataplane::packet::{Packet, PacketView, TunnelKind, Tunnels};
use decode_frames::tunnels::{KEY, Tunnelled, tunnels};
use decode_frames::{erspan2, erspan3, eth, gre, ipv4, is_without_tshark, outer4, outer6, pcap, tcp};
use std::collections::HashMap;
use std::net::IpAddr;
use std::process::Command;

const FIELDS: [&str; 16] = [
    "frame.protocols",
    "ip.src",
    "ip.dst",
    "ipv6.src",
    "ipv6.dst",
    "udp.srcport",
    "udp.dstport",
    "tcp.srcport",
    "vxlan.vni",
    "geneve.vni",
    "gtp.teid",
    "l2tp.tunnel",
    "l2tp.session",
    "l2tp.sid",
    "gre.key",
    "erspan.spanid",
];

/// One line of tshark: field to values, outermost first.
struct Row<'t>(HashMap<&'static str, Vec<&'t str>>);

impl<'t> Row<'t> {
    fn of(line: &'t str) -> Row<'t> {
        let values = line.split('|').map(|v| v.split(',').filter(|v| !v.is_empty()).collect());
        Row(FIELDS.into_iter().zip(values).collect())
    }

    fn number(&self, field: &str) -> Option<u32> {
        let text = self.0[field].first()?;
        let read = text.strip_prefix("0x").map_or_else(|| text.parse(), |hex| u32::from_str_radix(hex, 16));
        Some(read.unwrap_or_else(|_| panic!("{field} is {text}")))
    }

    /// Source and destination of each IP header, outermost first.
    fn addresses(&self) -> Vec<(IpAddr, IpAddr)> {
        let layers: Vec<&str> = self.0["frame.protocols"].first().expect("layers").split(':').collect();
        let read = |layer: &str, end: &str, n: usize| self.0[format!("{layer}.{end}").as_str()][n].parse().expect("IP");
        let ends = |(at, layer): (usize, &&str)| {
            let n = layers[..at].iter().filter(|before| *before == layer).count();
            (*layer == "ip" || *layer == "ipv6").then(|| (read(layer, "src", n), read(layer, "dst", n)))
        };
        layers.iter().enumerate().filter_map(ends).collect()
    }

    fn id(&self, kind: TunnelKind) -> u32 {
        let of = |field| self.number(field);
        match kind {
            TunnelKind::Vxlan | TunnelKind::VxlanGpe => of("vxlan.vni"),
            TunnelKind::Geneve => of("geneve.vni"),
            TunnelKind::Gtp => of("gtp.teid"),
            TunnelKind::L2tp2 => {
                of("l2tp.tunnel").zip(of("l2tp.session")).map(|(tunnel, session)| tunnel << 16 | session)
            }
            TunnelKind::L2tp3 | TunnelKind::L2tp3Udp => of("l2tp.sid"),
            TunnelKind::Gre | TunnelKind::GreEthernet => of("gre.key"),
            TunnelKind::Erspan2 | TunnelKind::Erspan3 => of("erspan.spanid"),
            _ => Some(0),
        }
        .unwrap_or(0)
    }
}

/// Those that the IP header names, beside those that ports and content tell.
fn all() -> Vec<Tunnelled> {
    let inner = || ipv4(6, tcp(0x18, &[], b"hello"));
    let keyed = |carried, packet| {
        let mut bytes = gre(0x2000, carried, packet);
        bytes[4..8].copy_from_slice(&KEY.to_be_bytes());
        bytes
    };
    let session = |mut bytes: Vec<u8>| {
        bytes[11] = 99;
        bytes
    };
    let frame = || eth(0x0800, inner());
    let mut all = tunnels();
    for (kind, id, packet) in [
        (TunnelKind::Gre, 0, gre(0, 0x0800, inner())),
        (TunnelKind::Gre, KEY, keyed(0x0800, inner())),
        (TunnelKind::GreEthernet, KEY, keyed(0x6558, frame())),
        (TunnelKind::Erspan1, 0, gre(0, 0x88be, frame())),
        (TunnelKind::Erspan2, 99, session(erspan2(frame()))),
        (TunnelKind::Erspan3, 99, session(erspan3(true, frame()))),
    ] {
        for (outer, bytes) in
            [(4, eth(0x0800, outer4(47, packet.clone()))), (6, eth(0x86dd, outer6(47, packet.clone())))]
        {
            all.push(Tunnelled {
                name: format!("{kind:?} on {outer}"),
                bytes,
                kind,
                id,
                ports: (0, 0),
                versions: (outer, 4),
            });
        }
    }
    all.push(Tunnelled {
        name: "IP in IP".into(),
        bytes: eth(0x0800, outer4(4, inner())),
        kind: TunnelKind::IpInIp,
        id: 0,
        ports: (0, 0),
        versions: (4, 4),
    });
    all
}

#[test]
fn outside_and_inside_are_those_of_tshark() {
    if is_without_tshark() {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("tunnels.pcap");
    let all = all();
    std::fs::write(&path, pcap(LinkType::Ethernet, all.iter().map(|t| &t.bytes[..]))).expect("a capture");
    let mut command = Command::new("tshark");
    command.arg("-n").arg("-r").arg(&path).args(["-T", "fields", "-E", "separator=|"]);
    for field in FIELDS {
        command.args(["-e", field]);
    }
    // Ports that tshark does not know by itself.
    for port in ["udp.port==8472,vxlan", "udp.port==3544,teredo"] {
        command.args(["-d", port]);
    }
    let output = command.output().expect("tshark runs");
    assert!(output.status.success(), "tshark: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("fields are text");
    let rows: Vec<Row<'_>> = text.lines().map(Row::of).collect();
    assert_eq!(rows.len(), all.len());
    let mut wrong = Vec::new();
    for (row, t) in rows.iter().zip(&all) {
        let (theirs, ours) = (seen_by_tshark(row, t), seen(t));
        if theirs != ours {
            wrong.push(format!("{}: {:?}\n  tshark {theirs:?}\n  ours   {ours:?}", t.name, row.0["frame.protocols"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

type Ends = (IpAddr, IpAddr);

/// Outer addresses, outer ports, inner addresses, inner source port, id.
type Seen = (Ends, (u32, u32), Option<Ends>, u32, u32);

fn seen(t: &Tunnelled) -> Seen {
    let frame = Frame { bytes: &t.bytes, wire_len: t.bytes.len() as u32, ..Frame::default() };
    let config = DecodeConfig { tunnels: Tunnels::Both, ..DecodeConfig::default() };
    let (mut outer, mut inner) = (Packet::default(), Packet::default());
    decode(&frame, &config, &mut outer).expect("a packet outside");
    decode_inner(&frame, &config, &mut inner).expect("a tunnel").expect("a packet inside");
    let ends = |packet: &Packet| {
        let view = PacketView { packet, bytes: &t.bytes };
        (view.src_ip(), view.dst_ip())
    };
    let tunnel = PacketView { packet: &inner, bytes: &t.bytes }.tunnel().expect("a tunnel");
    assert_eq!((tunnel.addresses(), tunnel.kind()), (ends(&outer), t.kind), "{}", t.name);
    let ports = (outer.src_port.into(), outer.dst_port.into());
    let inside = (!is_opaque(t)).then(|| ends(&inner));
    (ends(&outer), ports, inside, if is_opaque(t) { 0 } else { inner.src_port.into() }, tunnel.id())
}

fn seen_by_tshark(row: &Row<'_>, t: &Tunnelled) -> Seen {
    let addresses = row.addresses();
    let ports = |field| row.number(field).unwrap_or(0);
    let outer = *addresses.first().expect("IP");
    let inner = addresses.get(1).copied();
    (outer, (ports("udp.srcport"), ports("udp.dstport")), inner, ports("tcp.srcport"), row.id(t.kind))
}

/// tshark needs to be told what an L2TPv3 session carries, as anybody who has not seen its set-up.
fn is_opaque(t: &Tunnelled) -> bool {
    matches!(t.kind, TunnelKind::L2tp3 | TunnelKind::L2tp3Udp)
}
