//! Community IDs against those of tshark: of all golden captures, and of each type of ICMP in both directions.
//!
//! Needs the Debian package `tshark`; SONDA_SKIP_TOOLS=1 does without.

mod support;

use benches::dialog::{Carrier, Datagrams, Dialog, Host, Route, Turn};
use benches::frame::Frame;
use benches::pcap::{Format, PcapWriter};
use benches::{EPOCH, MILLISECOND};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use support::{Folder, flows, tools};

/// Captures in which tshark speaks of other packets than we do, and why.
const APART: &[(&str, &str)] = &[
    ("fragments", "tshark has an id for IPv6 fragments of their own, without ports"),
    ("fragments_reordered", "fragments before the first are flows of ports 0 here"),
    ("tunnels", "tshark goes by the inside of tunnels in UDP, we do so if asked"),
    ("tunnels_nested", "as tunnels"),
    ("tunnels_not", "tshark takes some of these for tunnels, and text for addresses"),
];

#[test]
fn golden_captures_have_the_ids_of_tshark() {
    if tools::skipped() {
        return;
    }
    let folder = Folder::new();
    let (mut compared, mut wrong) = (0, Vec::new());
    for case in benches::cases().iter().filter(|case| case.clean) {
        let capture = folder.write(case.name, (case.build)());
        let (ours, theirs) = (told(&capture), read(&capture, 0));
        compared += ours.len();
        let apart = APART.iter().any(|(name, _)| *name == case.name);
        if (ours == theirs) == apart {
            let (extra, missing) = (ours.difference(&theirs), theirs.difference(&ours));
            wrong.push(format!(
                "{}: ours {:?}, tshark's {:?}",
                case.name,
                Vec::from_iter(extra),
                Vec::from_iter(missing)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared >= 100, "{compared} ids are too few");
}

/// Two hosts for each type, from the lower to the higher address and back.
#[test]
fn each_type_of_icmp_has_the_id_of_tshark() {
    if tools::skipped() {
        return;
    }
    let folder = Folder::new();
    for (name, is_v6) in [("icmp", false), ("icmpv6", true)] {
        let capture = folder.write(name, types(is_v6));
        for seed in [0, 7, 65_535] {
            let ours = flows(&capture, &["--l7", "none", "--stats", &format!("communityid;seed={seed}")]);
            assert_eq!(ours.len(), 512, "a flow for each packet");
            let ours: BTreeSet<String> = ours.iter().map(id).collect();
            assert_eq!(ours, read(&capture, seed), "{name}, seed {seed}");
            assert!(ours.len() >= 500, "types have ids of their own");
        }
    }
}

/// Bytes behind type, code and checksum: whole entries for each type that has some, or tshark stops before the id.
const REST_LEN: usize = 84;

fn types(is_v6: bool) -> Vec<u8> {
    let host = |number: u16| {
        let [high, low] = number.to_be_bytes();
        match is_v6 {
            true => Host::new(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number), 0),
            false => Host::new(Ipv4Addr::new(192, 0, high, low), 0),
        }
    };
    let carrier = if is_v6 { Carrier::Icmpv6 } else { Carrier::Icmp };
    let mut frame = Frame::new();
    let mut write = || {
        let mut file = PcapWriter::new(Vec::new(), Format::default())?;
        for number in 0..512u16 {
            let (low, high) = (host(2 * number + 1), host(2 * number + 2));
            let (from, to) = if number.is_multiple_of(2) { (low, high) } else { (high, low) };
            let body = [&[(number / 2) as u8, 1][..], &[0; REST_LEN]].concat();
            Datagrams::new(Route::new(from, to), carrier, vec![Turn::client(body)]).packet(&mut frame);
            file.packet(EPOCH + u64::from(number) * MILLISECOND, frame.bytes())?;
        }
        file.finish()
    };
    write().expect("a Vec takes every write")
}

/// The ids of a capture's flows.
fn told(capture: &Path) -> BTreeSet<String> {
    flows(capture, &["--l7", "none", "--stats", "communityid"]).iter().map(id).collect()
}

fn id(flow: &serde_json::Value) -> String {
    flow["communityid"]["community_id"].as_str().expect("each flow has an id").to_string()
}

/// The ids of the first packet between two addresses, of each protocol and pair of ports. Of ICMP a flow has all types.
fn read(capture: &Path, seed: u16) -> BTreeSet<String> {
    let seed = format!("communityid.seed:{seed}");
    let args = ["--enable-protocol", "communityid", "-o", &seed, "-E", "occurrence=l"];
    let fields = ["communityid", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "ip.proto", "icmp.type", "icmpv6.type"];
    let mut ids = BTreeMap::new();
    for (number, line) in tools::tshark_fields(capture, &args, &fields).lines().enumerate() {
        let columns: Vec<&str> = line.split('\t').collect();
        let [id, src, dst, src6, dst6, protocol, kind, kind6] = columns[..] else { panic!("{line}") };
        if id.is_empty() {
            continue;
        }
        let mut ends = [src, dst, src6, dst6];
        ends.sort_unstable();
        // Only messages of ICMP are one flow whatever their id is.
        let is_icmp = !kind.is_empty() || !kind6.is_empty();
        let key = (ends.join(" "), protocol.to_string(), if is_icmp { 0 } else { 1 + number });
        ids.entry(key).or_insert_with(|| id.to_string());
    }
    ids.into_values().collect()
}
