//! Filters of nfdump_reader select the flows that nfdump itself selects (Debian package nfdump; SONDA_SKIP_TOOLS=1 does without).
use detect::nfdump::{Compression, Extra, Flow, Writer, filter};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::Command;

/// A generator of small numbers, so that filters find something.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    fn ip(&mut self, is_v4: bool) -> IpAddr {
        let host = 1 + self.below(6);
        if is_v4 {
            Ipv4Addr::from_bits(0x0a00_0000 | host as u32).into()
        } else {
            Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(host)).into()
        }
    }
}

/// A flow whose bytes are its number.
fn flow(number: u64, dice: &mut Dice) -> Flow {
    let is_v4 = dice.below(3) > 0;
    let first = 1_700_000_000_000;
    let mut small = |most| dice.below(most);
    let extra = Extra {
        engine_type: small(3) as u8,
        exporter: small(3) as u16,
        forwarding: [0, 1, 16, 129][small(4) as usize],
        tos_back: small(3) as u8,
        output: small(4) as u32,
        masks: [small(3) as u8 + 23, small(3) as u8 + 23],
        flows: small(3),
        packets_back: small(4),
        bytes_back: small(4) * 1_000,
        vlans: [small(4) as u32, small(4) as u32],
        systems: [small(4) as u32, 65_536 * small(4) as u32],
        next_system: small(4) as u32,
        previous_system: small(4) as u32,
        mpls: std::array::from_fn(|_| small(4) as u32 * 16 + small(8) as u32 * 2 + u32::from(small(6) == 0)),
        macs: std::array::from_fn(|_| 0x0200_0000_0000 + small(4)),
        latencies: std::array::from_fn(|_| small(4) * 1_000),
        event: small(6) as u8,
        event_extended: 1_000 + small(6) as u16,
        translated_ports: [small(4) as u16, small(4) as u16],
        access_lists: std::array::from_fn(|_| small(4) as u32),
        port_block: [1_024, 2_047 + small(4) as u16, small(3) as u16, small(3) as u16],
        tunnel_protocol: [0, 4, 47][small(3) as usize],
        observation_point: small(4),
        observation_domain: small(4) as u32,
        vrfs: [small(4) as u32, small(4) as u32],
        ..Extra::default()
    };
    let mut flow = Flow {
        first,
        last: first + small(4) * 1_000,
        packets: 1 + small(5),
        bytes: number,
        ports: [1_000 + small(2_000) as u16, [22, 53, 0x0803, 1_500][small(4) as usize]],
        protocol: [1, 6, 6, 17, 58][small(5) as usize],
        tcp_flags: small(64) as u8,
        tos: small(3) as u8,
        direction: small(2) as u8,
        input: small(4) as u32,
        engine: small(3) as u8,
        extra,
        ..Flow::default()
    };
    (flow.source, flow.destination) = (dice.ip(is_v4), dice.ip(is_v4));
    for ip in [&mut flow.extra.bgp_next, &mut flow.extra.next_hop, &mut flow.extra.router] {
        *ip = dice.ip(is_v4);
    }
    flow.extra.translated = [dice.ip(is_v4), dice.ip(is_v4)];
    flow.extra.tunnel = [dice.ip(!is_v4), dice.ip(!is_v4)];
    flow
}

/// The numbers of the flows that nfdump shows, or why it refuses the filter.
fn shown(file: &Path, filter: &str) -> Result<Vec<u64>, String> {
    let mut command = Command::new("nfdump");
    command.args(["-q", "-N", "-o", "fmt:%ibyt %obyt", "-r"]).arg(file).arg(filter);
    let output = command.output().expect("nfdump is installed (deploy/setup.sh)");
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(format!("{said} {}", String::from_utf8_lossy(&output.stderr)));
    }
    // A flow in a tunnel has a line more, without counts.
    Ok(said
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .filter(|bytes| *bytes > 0)
        .collect())
}

const FILTERS: &[&str] = &[
    "any",
    "count < 20",
    "count 7 or count ge 290",
    "inet",
    "ipv6 and not inet",
    "proto tcp or proto 58 and src port > 2000",
    "tun proto 47",
    "tun proto gre or tun proto 4",
    "ip 10.0.0.1 or ip 2001:db8::2",
    "src and dst host 10.0.0.1",
    "src or dst ip 10.0.0.3",
    "dst ip in [10.0.0.1 10.0.0.4 2001:db8::/126]",
    "ip in [10.0.0.2/31, 2001:db8::5]",
    "src net 10.0.0.4/30",
    "not net 10.0.0.0 255.255.255.252",
    "tunip 10.0.0.5",
    "src tunip 2001:db8::1 or dst tunip 2001:db8::1",
    "next ip 10.0.0.1",
    "next ip in [10.0.0.1, 2001:db8::1]",
    "bgpnext ip 2001:db8::3",
    "router ip 10.0.0.2",
    "port 53",
    "src port <= 1500 and dst port in [22, 53]",
    "port in [22 1500]",
    "port in pblock",
    "dst port in pblock and not src port in pblock",
    "icmp-type 8",
    "not icmp-code 3",
    "engine-type 1 and engine-id ge 1",
    "sysid 2",
    "if 3",
    "in if 1 and not out if 0x2",
    "mask 24",
    "src mask 23 and dst mask 25",
    "vlan 2",
    "src vlan 1 and not dst vlan 3",
    "src or dst vlan 0",
    "flags S",
    "flags S and not flags AFRPU",
    "not flags SA",
    "not (flags S or not flags FA)",
    "flags AS",
    "flags X or flags 2 or flags > 60",
    "mac 02:00:00:00:00:01",
    "in mac 2:0:0:0:0:1",
    "out mac 02:00:00:00:00:02",
    "src mac 02:00:00:00:00:03",
    "dst mac 02:00:00:00:00:00",
    "in src mac 02:00:00:00:00:01",
    "in dst mac 02:00:00:00:00:01",
    "out src mac 02:00:00:00:00:01",
    "out dst mac 02:00:00:00:00:01",
    "mpls label1 2",
    "mpls label2 > 1",
    "mpls label10 lt 2 and mpls label9 3",
    "mpls eos 1",
    "mpls eos > 1",
    "mpls any 2",
    "mpls exp1 3",
    "mpls exp4 ge 5",
    "packets > 3 and in packets < 5",
    "out packets 2",
    "bytes < 100 or in bytes > 0x100",
    "out bytes >= 2k",
    "flows 1",
    "flows 2",
    "tos 1",
    "src tos 1 and dst tos 2",
    "src or dst tos 0",
    "src and dst tos le 1",
    "flowdir ingress",
    "dir egress or flowdir 0",
    "fwdstat 16",
    "fwdstat Forw or fwdstat tadj",
    "duration ge 2000",
    "pps > 1 and bps lt 1k and bpp gt 20",
    "client latency 1000",
    "server latency > 1k or app latency 3k",
    "observation domain id 2",
    "observation point id 1",
    "asa event create",
    "asa event term or asa event deny",
    "asa event > 3",
    "asa event denied ingress",
    "asa event denied nosyn",
    "asa xevent 1002",
    "xip 10.0.0.1",
    "src xip 2001:db8::1 or dst nip 10.0.0.3",
    "nip in [10.0.0.1 10.0.0.2]",
    "xnet 10.0.0.4/30",
    "src xnet 2001:db8::4/127",
    "xport 2",
    "src xport 1 and dst nport gt 1",
    "nat event add",
    "nat event delete or nat event 3",
    "ingress vrf 1",
    "egress vrf > 2",
    "pblock start 1024 and pblock end > 2048",
    "pblock step 1 or pblock size 2",
    "not (proto udp or src vlan 1) and (vlan 3 or not mac 02:00:00:00:00:01) # a comment",
];

/// nfdump takes no filter with `as` when it has no data of where addresses are, even where the flows tell; it finds no access list, and refuses
/// that of the egress.
#[test]
fn what_nfdump_cannot_tell() {
    type Holds = fn(&Extra) -> bool;
    let filters: [(&str, Holds); 8] = [
        ("ingress acl 1 or ingress ace 2", |e| e.access_lists[0] == 1 || e.access_lists[1] == 2),
        ("ingress xace > 1 and egress acl 0", |e| e.access_lists[2] > 1 && e.access_lists[3] == 0),
        ("as 2", |e| e.systems.contains(&2)),
        ("src as in [1 3] and dst as > 65k", |e| [1, 3].contains(&e.systems[0]) && e.systems[1] > 65_000),
        ("src and dst as < 2", |e| e.systems.iter().all(|system| *system < 2)),
        ("as in [65536, 1]", |e| e.systems.iter().any(|system| [1, 65_536].contains(system))),
        ("prev as 1 or next as ge 3", |e| e.previous_system == 1 || e.next_system >= 3),
        ("previous as le 1", |e| e.previous_system <= 1),
    ];
    let mut dice = Dice(2);
    let flows: Vec<_> = (1..=300).map(|number| flow(number, &mut dice)).collect();
    for (text, holds) in filters {
        let filter = filter::parse(text).unwrap();
        assert!(flows.iter().all(|flow| filter.matches(flow, 1) == holds(&flow.extra)), "{text}");
        assert!(flows.iter().any(|flow| holds(&flow.extra)) && !flows.iter().all(|flow| holds(&flow.extra)), "{text}");
    }
}

#[test]
fn filters_select_what_nfdump_selects() {
    if std::env::var_os("SONDA_SKIP_TOOLS").is_some_and(|v| v == "1") {
        println!("NOT RUN: SONDA_SKIP_TOOLS=1");
        return;
    }
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("nfcapd");
    let mut writer = Writer::create(&file, Compression::None).unwrap();
    let mut dice = Dice(1);
    let flows: Vec<_> = (1..=300).map(|number| flow(number, &mut dice)).collect();
    flows.iter().for_each(|flow| writer.add(flow).unwrap());
    writer.finish().unwrap();

    let mut wrong = Vec::new();
    for text in FILTERS {
        let filter = filter::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
        let ours: Vec<u64> =
            flows.iter().filter(|flow| filter.matches(flow, flow.bytes)).map(|flow| flow.bytes).collect();
        match shown(&file, text) {
            Ok(theirs) if theirs != ours => {
                wrong.push(format!("{text}: {} flows, nfdump {}", ours.len(), theirs.len()))
            }
            Ok(_) if ours.is_empty() => wrong.push(format!("{text} finds nothing")),
            Ok(_) => {}
            Err(said) => wrong.push(format!("{text}: nfdump says {said}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
