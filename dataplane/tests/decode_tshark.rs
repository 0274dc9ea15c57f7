//! What tshark says of the same frames: addresses, ports, protocol, VLAN, TTL, TCP flags and IP length, over the catalogue and over
//! the shared captures. Needs the Debian package tshark; SONDA_SKIP_TOOLS=1 goes without.
mod decode_frames;
use dataplane::Face;
use dataplane::capture::{Frame, LinkType};
use dataplane::packet::decode::{DecodeConfig, decode};
use dataplane::packet::{Fragment, Packet, PacketDrop, PacketView, protocol};
use decode_frames::{Sample, WIRE_LABEL, catalogue, is_without_tshark, pcap};
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn the_catalogue() {
    if is_without_tshark() {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let all = catalogue();
    let mut compared = 0;
    for link in
        [LinkType::Ethernet, LinkType::LinuxSll, LinkType::LinuxSll2, LinkType::RawIp, LinkType::Null, LinkType::Loop]
    {
        let samples: Vec<&Sample> = all.iter().filter(|s| s.link == link).collect();
        let path = dir.path().join(format!("{link:?}.pcap"));
        std::fs::write(&path, pcap(link, samples.iter().map(|s| &s.bytes[..]))).expect("a capture");
        let frames: Vec<(&str, &[u8])> = samples.iter().map(|s| (s.name.as_str(), &s.bytes[..])).collect();
        compared += compare(&path, link, &frames);
    }
    assert_eq!(compared, all.len(), "every frame of the catalogue holds IP");
}

#[test]
fn the_shared_captures() {
    let (dir, is_wanted) = match std::env::var_os("SONDA_SHARED") {
        Some(dir) => (PathBuf::from(dir), true),
        None => (PathBuf::from("/work/shared"), false),
    };
    let dir = dir.join("fixtures/pcap");
    if !dir.is_dir() {
        assert!(!is_wanted, "SONDA_SHARED is set, but {} is missing", dir.display());
        println!("no captures in {}: nothing compared", dir.display());
        return;
    }
    if is_without_tshark() {
        return;
    }
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let mut compared = 0;
    for entry in std::fs::read_dir(&dir).expect("a directory") {
        let given = entry.expect("an entry").path();
        if given.extension().is_none_or(|e| e != "pcap") {
            continue;
        }
        let mut path = given.clone();
        let mut file = std::fs::read(&path).expect("a capture");
        if file.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]) {
            // pcapng, whatever its name: tshark writes it in the form that is read here.
            path = scratch.path().join(given.file_name().expect("a name"));
            let output = Command::new("tshark").arg("-r").arg(&given).args(["-F", "pcap", "-w"]).arg(&path).output();
            assert!(output.is_ok_and(|o| o.status.success()), "tshark cannot read {}", given.display());
            file = std::fs::read(&path).expect("a capture");
        }
        let (link, frames) = read_pcap(&file).unwrap_or_else(|| panic!("{} is no capture", path.display()));
        let frames: Vec<(&str, &[u8])> = frames.into_iter().map(|f| ("", f)).collect();
        let n = compare(&path, link, &frames);
        println!("{}: {n} of {} frames compared", path.display(), frames.len());
        compared += n;
    }
    assert!(compared > 1000, "only {compared} frames");
}

const FIELDS: [&str; 22] = [
    "frame.protocols",
    "ip.src",
    "ip.dst",
    "ip.proto",
    "ip.ttl",
    "ip.len",
    "ipv6.src",
    "ipv6.dst",
    "ipv6.nxt",
    "ipv6.hlim",
    "ipv6.plen",
    "ipv6.fraghdr.nxt",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.flags",
    "udp.srcport",
    "udp.dstport",
    "sctp.srcport",
    "sctp.dstport",
    "vlan.id",
    "ieee8021ad.id",
    "ieee8021ad.svid",
];

/// Layers that both sides look through. The first other one ends the part of a frame that is compared: an ICMP error holds IP too.
const FOLLOWED: [&str; 19] = [
    "eth",
    "ethertype",
    "sll",
    "sll2",
    "raw",
    "null",
    "loop",
    "vlan",
    "ieee8021ad",
    "mpls",
    "pwethcw",
    "pppoes",
    "ppp",
    "trill",
    "gre",
    "erspan",
    "ip",
    "ipv6",
    "ah",
];

/// One line of tshark: field to values, outermost layer first.
struct Row<'t>(HashMap<&'static str, Vec<&'t str>>);

impl<'t> Row<'t> {
    fn of(line: &'t str) -> Row<'t> {
        let values = line.split('|').map(|v| v.split(',').filter(|v| !v.is_empty()).collect());
        Row(FIELDS.into_iter().zip(values).collect())
    }
    fn get(&self, field: &str, n: usize) -> Option<&'t str> {
        self.0.get(field)?.get(n).copied()
    }
    fn number(&self, field: &str, n: usize) -> Option<u32> {
        let text = self.get(field, n)?;
        let read = text.strip_prefix("0x").map_or_else(|| text.parse(), |hex| u32::from_str_radix(hex, 16));
        Some(read.unwrap_or_else(|_| panic!("{field} is {text}")))
    }
    fn port(&self, layer: &str, end: &str) -> u32 {
        self.number(&format!("{layer}.{end}port"), 0).unwrap_or(0)
    }
    /// The layers up to the last that is compared, and the one behind it.
    fn layers(&self) -> (Vec<&'t str>, &'t str) {
        let all: Vec<&str> = self.get("frame.protocols", 0).unwrap_or("").split(':').collect();
        let is_followed = |l: &&str| FOLLOWED.contains(l) || l.starts_with("ipv6.");
        let n = all.iter().take_while(|l| is_followed(l)).count();
        (all[..n].to_vec(), all.get(n).copied().unwrap_or(""))
    }
}

/// Decodes `frames`, lets tshark decode `path`, compares; answers how many frames held IP.
fn compare(path: &Path, link: LinkType, frames: &[(&str, &[u8])]) -> usize {
    let text = tshark(path);
    let rows: Vec<Row<'_>> = text.lines().map(Row::of).collect();
    assert_eq!(rows.len(), frames.len(), "{}", path.display());
    let mut compared = 0;
    for (n, (row, (name, bytes))) in rows.iter().zip(frames).enumerate() {
        let mut packet = Packet::default();
        let frame = Frame { bytes, wire_len: bytes.len() as u32, link, ..Frame::default() };
        let config = DecodeConfig { face: Face::Native, ..DecodeConfig::default() };
        let what = format!("{} frame {} {name}: {:?}", path.display(), n + 1, row.get("frame.protocols", 0));
        let is_ip = row.layers().0.iter().any(|l| *l == "ip" || *l == "ipv6");
        match decode(&frame, &config, &mut packet) {
            Ok(()) => {
                assert!(is_ip, "{what}: taken for IP");
                agree(row, &PacketView { packet: &packet, bytes }, &what);
                compared += 1;
            }
            Err(why) => assert!(!is_ip && why == PacketDrop::NotIp, "{what}: {why:?}"),
        }
    }
    compared
}

fn agree(row: &Row<'_>, view: &PacketView<'_, '_>, what: &str) {
    let p = view.packet;
    let (layers, behind) = row.layers();
    let innermost = layers.iter().rfind(|l| **l == "ip" || **l == "ipv6").expect("IP");
    let n = layers.iter().filter(|l| *l == innermost).count() - 1;
    let is_4 = *innermost == "ip";
    assert_eq!(p.ip_version, if is_4 { 4 } else { 6 }, "{what}: version");
    let address = |f: &str| row.get(&format!("{innermost}.{f}"), n).and_then(|a| a.parse::<IpAddr>().ok());
    assert_eq!((Some(view.src_ip()), Some(view.dst_ip())), (address("src"), address("dst")), "{what}: addresses");
    let (ttl, len) = if is_4 {
        (row.number("ip.ttl", n), row.number("ip.len", n))
    } else {
        (row.number("ipv6.hlim", n), row.number("ipv6.plen", n).map(|l| l + 40))
    };
    assert_eq!((Some(view.ttl().into()), Some(p.ip_len)), (ttl, len), "{what}: TTL and length");
    assert_eq!(Some(p.protocol.into()), expected_protocol(row, &layers, behind, is_4, n, p), "{what}: protocol");
    assert_eq!(
        (u32::from(p.src_port), u32::from(p.dst_port)),
        (row.port(behind, "src"), row.port(behind, "dst")),
        "{what}: ports"
    );
    let flags = if behind == "tcp" { row.number("tcp.flags", 0).unwrap_or(0) & 0xff } else { 0 };
    assert_eq!(u32::from(p.tcp_flags), flags, "{what}: TCP flags");
    assert_eq!(u32::from(p.vlan), outer_vlan(row, &layers), "{what}: VLAN");
}

/// The layer behind IP, where tshark names one; else what the last header said.
fn expected_protocol(row: &Row<'_>, layers: &[&str], behind: &str, is_4: bool, n: usize, p: &Packet) -> Option<u32> {
    let named = match behind {
        "tcp" => Some(protocol::TCP),
        "udp" => Some(protocol::UDP),
        "sctp" => Some(protocol::SCTP),
        "icmp" => Some(protocol::ICMP),
        "icmpv6" => Some(protocol::ICMPV6),
        "esp" => Some(protocol::ESP),
        _ => None,
    };
    match layers.last() {
        _ if named.is_some() => named.map(u32::from),
        Some(&"ip") => row.number("ip.proto", n),
        Some(&"ipv6") => row.number("ipv6.nxt", n),
        Some(&"ipv6.fraghdr") if p.fragment == Fragment::Later => row.number("ipv6.fraghdr.nxt", 0),
        Some(&"gre") => Some(protocol::GRE.into()),
        Some(&"ipv6.hopopts") => Some(protocol::NO_NEXT_HEADER.into()),
        _ => panic!("{layers:?} then {behind}, IPv4 {is_4}"),
    }
}

/// The first tag of the frame, or of the frame inside TRILL, before any other layer.
fn outer_vlan(row: &Row<'_>, layers: &[&str]) -> u32 {
    let start = layers.iter().position(|l| *l == "trill").map_or(0, |at| at + 1);
    let earlier = layers[..start].iter().filter(|l| **l == "vlan").count();
    let is_link = |l: &&&str| ["eth", "ethertype", "sll", "sll2", "vlan", "ieee8021ad"].contains(l);
    match layers[start..].iter().take_while(is_link).find(|l| l.starts_with(['v', 'i'])) {
        Some(&"vlan") => row.number("vlan.id", earlier).expect("an id"),
        Some(_) => row.number("ieee8021ad.svid", 0).or_else(|| row.number("ieee8021ad.id", 0)).expect("an id"),
        None => 0,
    }
}

fn tshark(path: &Path) -> String {
    let mut command = Command::new("tshark");
    command.arg("-n").arg("-r").arg(path).args(["-T", "fields", "-E", "separator=|"]);
    for preference in ["ip.defragment:FALSE", "ipv6.defragment:FALSE", "tcp.analyze_sequence_numbers:FALSE"] {
        command.args(["-o", preference]);
    }
    // tshark guesses whether a pseudowire has a control word, and guesses wrong on made-up addresses.
    command.args(["-d", &format!("mpls.label=={WIRE_LABEL},pwethcw")]);
    for field in FIELDS {
        command.args(["-e", field]);
    }
    let output = command.output().expect("tshark runs");
    assert!(output.status.success(), "tshark: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("fields are text")
}

fn read_pcap(file: &[u8]) -> Option<(LinkType, Vec<&[u8]>)> {
    let (head, mut rest) = file.split_first_chunk::<24>()?;
    let is_little = match head[..4] {
        [0xd4, 0xc3, 0xb2, 0xa1] | [0x4d, 0x3c, 0xb2, 0xa1] => true,
        [0xa1, 0xb2, 0xc3, 0xd4] | [0xa1, 0xb2, 0x3c, 0x4d] => false,
        _ => return None,
    };
    let word = |b: &[u8]| {
        let b = *b.first_chunk().expect("four bytes");
        if is_little { u32::from_le_bytes(b) } else { u32::from_be_bytes(b) }
    };
    let link = match word(&head[20..]) {
        1 => LinkType::Ethernet,
        113 => LinkType::LinuxSll,
        276 => LinkType::LinuxSll2,
        101 => LinkType::RawIp,
        _ => return None,
    };
    let mut frames = Vec::new();
    while let Some((record, behind)) = rest.split_first_chunk::<16>() {
        let (frame, behind) = behind.split_at_checked(word(&record[8..]) as usize)?;
        frames.push(frame);
        rest = behind;
    }
    Some((link, frames))
}
