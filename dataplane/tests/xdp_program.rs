//! The XDP program and the decoder read frames alike (RELIABILITY.md F24): BPF_PROG_TEST_RUN over generated frames, whole, cut and
//! damaged. Needs root, as loading a program does.
mod decode_frames;

use dataplane::capture::{Frame, LinkType};
use dataplane::packet::decode::{DecodeConfig, decode};
use dataplane::packet::{Fragment, Packet};
use decode_frames::catalogue;
use ebpf::{Action, Counts, Ended, Peeked, Policy, Prefix, Program, Sampling, Tuple, Verdict};
use record::Time;
use std::net::IpAddr;

/// A frame that test runs take: an Ethernet header at least.
const LEAST: usize = 14;

fn program() -> Program {
    Program::load().unwrap_or_else(|e| panic!("this test loads a BPF program, run it as root: {e}"))
}

fn decoded(bytes: &[u8]) -> Option<Packet> {
    let frame =
        Frame { bytes, wire_len: bytes.len() as u32, at: Time(1), link: LinkType::Ethernet, ..Frame::default() };
    let mut packet = Packet::default();
    decode(&frame, &DecodeConfig::default(), &mut packet).ok().map(|()| packet)
}

fn tuple(packet: &Packet) -> Tuple {
    let (a, b) = packet.key.endpoints();
    let (tuple, reversed) = Tuple::new((a.ip, a.port), (b.ip, b.port), packet.key.vlan(), packet.key.protocol());
    assert!(!reversed, "the tuple orders its ends as the key does");
    tuple
}

/// Bytes of the Ethernet header and its tags.
fn link_len(bytes: &[u8]) -> usize {
    let mut at = 12;
    while at < 12 + 4 * 4 && matches!(bytes.get(at..at + 2), Some([0x81, 0] | [0x88, 0xa8] | [0x91, 0])) {
        at += 4;
    }
    at + 2
}

/// Whether the decoder found the packet that the outermost IP header carries, TCP or UDP and whole, within what the program follows.
fn is_plain(packet: &Packet, bytes: &[u8]) -> bool {
    let l3 = link_len(bytes);
    let direct = packet.l3 as usize == l3
        && match packet.ip_version {
            4 => bytes[l3 + 9] == packet.protocol && bytes[l3 + 2..l3 + 4] != [0, 0],
            _ => bytes[l3 + 4..l3 + 6] != [0, 0] && packet.l4 as usize - l3 <= 40 + 6 * 8,
        };
    direct && matches!(packet.protocol, 6 | 17) && packet.fragment == Fragment::No
}

/// Answers whether the frame was a plain one.
fn agree(program: &mut Program, bytes: &[u8], what: &str) -> bool {
    let peeked = program.peek(bytes).unwrap();
    let packet = decoded(bytes);
    assert_eq!(peeked.wire_len as usize, bytes.len(), "{what}");
    assert_eq!(peeked.hash, peeked.tuple.hash(), "{what}");
    if peeked.is_plain {
        let packet = packet.unwrap_or_else(|| panic!("{what}: plain for the program, refused by the decoder"));
        assert_eq!(peeked.tuple, tuple(&packet), "{what}");
        assert_eq!(
            (peeked.reversed, peeked.ip_len, peeked.tcp_flags),
            (packet.reversed, packet.ip_len, packet.tcp_flags),
            "{what}"
        );
    } else if let Some(packet) = packet {
        // The converse holds for chains of short extension headers only; a chain may also be shorter and yet have more of them.
        let short = packet.ip_version == 4 || packet.l4 as usize - packet.l3 as usize <= 40 + 2 * 8;
        assert!(!(is_plain(&packet, bytes) && short), "{what}: plain for the decoder, not for the program");
    }
    peeked.is_plain
}

#[test]
fn the_program_reads_what_the_decoder_reads() {
    let mut program = program();
    let (mut plain, mut all) = (0, 0);
    for sample in catalogue().into_iter().filter(|s| s.link == LinkType::Ethernet && s.bytes.len() >= LEAST) {
        plain += usize::from(agree(&mut program, &sample.bytes, &sample.name));
        all += 1;
    }
    assert!(plain > 100 && all > 4 * plain, "{plain} of {all}");
}

/// The sockets of a queue share packets by the outer addresses, which stand behind tags, PPPoE and MPLS labels.
#[test]
fn packets_are_spread_by_the_addresses_that_the_decoder_reads() {
    let mut program = program();
    let (mut found, mut none) = (0, 0);
    for sample in catalogue().into_iter().filter(|s| s.link == LinkType::Ethernet && s.bytes.len() >= LEAST) {
        let peeked = program.peek(&sample.bytes).unwrap();
        let layer = sample.name.split(':').next().unwrap_or_default();
        let is_outermost =
            ["plain", "vlan", "qinq", "qinq twice", "mpls", "mpls 3", "vlan mpls", "pppoe", "vlan pppoe"];
        if let Some(packet) = decoded(&sample.bytes).filter(|_| is_outermost.contains(&layer)) {
            let (a, b) = packet.key.endpoints();
            assert_eq!(peeked.spread, ebpf::hash_of_addresses(a.ip, b.ip), "{}", sample.name);
            found += 1;
        }
        none += usize::from(peeked.spread == 0);
    }
    assert!(found > 200 && none > 0, "{found} {none}");
}

#[test]
fn cut_and_damaged_frames_are_read_alike() {
    let mut program = program();
    let mut rng = benches::Rng::new(7);
    let samples: Vec<_> = catalogue().into_iter().filter(|s| s.link == LinkType::Ethernet).collect();
    for sample in samples.iter().filter(|s| s.name.starts_with("plain") || s.name.starts_with("qinq:")) {
        for len in LEAST..sample.bytes.len() {
            agree(&mut program, &sample.bytes[..len], &format!("{} cut to {len}", sample.name));
        }
    }
    let mut plain = 0;
    for round in 0..20_000 {
        let sample = &samples[rng.below(samples.len() as u64) as usize];
        let mut bytes = sample.bytes.clone();
        for _ in 0..=rng.below(2) {
            let at = 12 + rng.below(bytes.len().min(100) as u64 - 12) as usize;
            bytes[at] = rng.below(256) as u8;
        }
        plain += usize::from(agree(
            &mut program,
            &bytes,
            &format!("{} damaged in round {round}: {bytes:02x?}", sample.name),
        ));
    }
    assert!(plain > 1000, "{plain}");
}

/// What the policy says of a frame, by what the decoder knows of plain ones.
fn expected(policy: &Policy, packet: &Packet) -> Ended {
    let strongest = |verdicts: Vec<Verdict>| verdicts.into_iter().max();
    let (a, b) = packet.key.endpoints();
    let of_vlan = policy.vlans.iter().filter(|(id, _)| *id == packet.vlan).map(|(_, v)| *v).collect();
    let of_protocol = policy.protocols.iter().filter(|(n, _)| *n == packet.protocol).map(|(_, v)| *v).collect();
    let of_port = policy.ports.iter().filter(|(n, _)| [a.port, b.port].contains(n)).map(|(_, v)| *v).collect();
    let longest = |ip| {
        let holds = policy.prefixes.iter().filter(|(prefix, _)| holds(prefix, ip));
        holds.max_by_key(|(prefix, verdict)| (prefix.len, *verdict)).map(|(_, verdict)| *verdict)
    };
    let of_address = longest(a.ip).into_iter().chain(longest(b.ip)).collect();
    let found = [of_vlan, of_protocol, of_address, of_port].map(strongest);
    let ends = [Ended::DroppedVlan, Ended::DroppedProtocol, Ended::DroppedAddress, Ended::DroppedPort];
    if let Some(at) = found.iter().position(|v| *v == Some(Verdict::Drop)) {
        return ends[at];
    }
    match found.into_iter().flatten().max() {
        None if policy.other == Verdict::Drop => Ended::DroppedOther,
        named => match named.unwrap_or(policy.other) {
            Verdict::Pass => Ended::PassedByRule,
            // There is no socket.
            _ => Ended::PassedNoSocket,
        },
    }
}

fn holds(prefix: &Prefix, ip: IpAddr) -> bool {
    match (prefix.address, ip) {
        (IpAddr::V4(p), IpAddr::V4(ip)) => {
            (u32::from(p) ^ u32::from(ip)).checked_shr(32 - u32::from(prefix.len)).unwrap_or(0) == 0
        }
        (IpAddr::V6(p), IpAddr::V6(ip)) => {
            (u128::from(p) ^ u128::from(ip)).checked_shr(128 - u32::from(prefix.len)).unwrap_or(0) == 0
        }
        _ => false,
    }
}

fn any_policy(rng: &mut benches::Rng) -> Policy {
    let mut policy = Policy { other: any_verdict(rng), ..Policy::default() };
    let nets =
        ["192.0.2.1", "192.0.0.0", "198.51.100.7", "0.0.0.0", "2001:db8::1", "2001:db8::", "2001:db8:1::9", "10.0.0.0"];
    for _ in 0..rng.below(3) {
        let address: IpAddr = nets[rng.below(nets.len() as u64) as usize].parse().unwrap();
        let bits = if address.is_ipv4() { 33 } else { 129 };
        policy.prefixes.push((Prefix { address, len: rng.below(bits) as u8 }, any_verdict(rng)));
    }
    for _ in 0..rng.below(2) {
        policy.protocols.push(([6, 17, 1][rng.below(3) as usize], any_verdict(rng)));
    }
    for _ in 0..rng.below(3) {
        policy.ports.push(([80, 443, 53, 49_155, 40_000, 2905][rng.below(6) as usize], any_verdict(rng)));
    }
    for _ in 0..rng.below(2) {
        policy.vlans.push(([0, 100, 101, 200][rng.below(4) as usize], any_verdict(rng)));
    }
    policy
}

fn any_verdict(rng: &mut benches::Rng) -> Verdict {
    [Verdict::Keep, Verdict::Pass, Verdict::Drop][rng.below(3) as usize]
}

#[test]
fn rules_end_packets_as_the_model_says_and_every_packet_is_counted() {
    let mut program = program();
    let mut rng = benches::Rng::new(11);
    let samples: Vec<_> = catalogue().into_iter().filter(|s| s.link == LinkType::Ethernet).collect();
    let mut judged = 0;
    let mut met = std::collections::HashSet::new();
    for round in 0..300 {
        let policy = any_policy(&mut rng);
        program.set(&policy).unwrap();
        for _ in 0..40 {
            let sample = &samples[rng.below(samples.len() as u64) as usize];
            let before = program.counters().of(0).unwrap();
            let action = program.judge(&sample.bytes).unwrap();
            let after = program.counters().of(0).unwrap().since(&before);
            judged += 1;
            assert_eq!((after.seen(), after.imbalance()), (1, None));
            assert_eq!(after.seen_bytes(), sample.bytes.len() as u64);
            let passed = after.passed() == 1;
            assert_eq!(action, if passed { Action::Passed } else { Action::Dropped });
            let packet = decoded(&sample.bytes).filter(|p| is_plain(p, &sample.bytes));
            if let Some(packet) = packet {
                let ended = expected(&policy, &packet);
                assert_eq!(after.of(ended), 1, "round {round}, {}: {ended:?}, {policy:?}, {after:?}", sample.name);
                met.insert(ended as usize);
            }
        }
    }
    let total = program.counters().total().unwrap();
    assert_eq!((total.seen(), total.imbalance()), (judged, None));
    assert_eq!(met.len(), 7, "every way to end is met: {met:?}");
}

#[test]
fn sampling_keeps_one_of_n() {
    let mut program = program();
    let frame = catalogue().swap_remove(0).bytes;
    let run = |program: &mut Program, sampling, times| -> Counts {
        program.set(&Policy { sampling, ..Policy::default() }).unwrap();
        let before = program.counters().of(0).unwrap();
        for _ in 0..times {
            program.judge(&frame).unwrap();
        }
        program.counters().of(0).unwrap().since(&before)
    };
    // Two processors may have a turn each.
    let each = run(&mut program, Sampling { every: 10, by_flow: false }, 1000);
    assert_eq!(each.seen(), each.passed() + each.of(Ended::Sampled));
    assert!((95..=105).contains(&each.passed()), "{each:?}");
    // One flow is kept as a whole or left out as a whole.
    for every in 2..20 {
        let flow = run(&mut program, Sampling { every, by_flow: true }, 50);
        let kept = program.peek(&frame).unwrap().hash >> 32;
        assert_eq!(flow.passed(), if kept.is_multiple_of(every.into()) { 50 } else { 0 });
    }
}

#[test]
fn offloaded_packets_are_in_the_slot_or_sent_up_never_both() {
    let mut program = program();
    let mut offload = program.offload().unwrap();
    let samples: Vec<_> = catalogue().into_iter().filter(|s| s.link == LinkType::Ethernet).collect();
    let frames: Vec<(Vec<u8>, Peeked)> = samples
        .into_iter()
        .filter_map(|s| program.peek(&s.bytes).ok().filter(|p| p.is_plain).map(|peeked| (s.bytes, peeked)))
        .collect();
    program.set(&Policy { offload: true, offload_every: 10, ..Policy::default() }).unwrap();
    for (_, peeked) in &frames {
        offload.add(&peeked.tuple).unwrap();
    }
    let flows: std::collections::HashSet<Tuple> = frames.iter().map(|(_, peeked)| peeked.tuple).collect();
    assert_eq!(offload.in_use(), flows.len());
    for (frame, _) in &frames {
        for _ in 0..100 {
            program.judge(frame).unwrap();
        }
    }
    let counts = program.counters().of(0).unwrap();
    assert_eq!((counts.imbalance(), counts.seen()), (None, 100 * frames.len() as u64));
    let tuples: Vec<Tuple> = flows.into_iter().collect();
    let tallies = offload.take(&tuples).unwrap();
    let counted: u64 = tallies.iter().map(|t| t.packets[0] + t.packets[1]).sum();
    assert_eq!(counted, counts.of(Ended::Offloaded));
    assert_eq!(counted + counts.passed(), counts.seen());
    for (tuple, tally) in tuples.iter().zip(&tallies) {
        // What follows a FIN, SYN or RST is sent up.
        let own = frames.iter().filter(|(_, p)| p.tuple == *tuple).take_while(|(_, p)| p.tcp_flags & 7 == 0);
        let sent: u64 = own.clone().count() as u64 * 100;
        assert_eq!(tally.packets[0] + tally.packets[1], sent - sent.div_ceil(10), "{tuple:?}");
        let len = |reversed: bool| own.clone().filter(|(_, p)| p.reversed == reversed).map(|(_, p)| p.ip_len).max();
        for (at, reversed) in [(0, false), (1, true)] {
            assert!(tally.bytes[at] <= tally.packets[at] * u64::from(len(reversed).unwrap_or(0)));
            assert_eq!(tally.last[at] > 0, tally.packets[at] > 0);
        }
    }
    // All slots are free again, and empty: offloading a flow again counts from zero.
    assert_eq!(offload.in_use(), 0);
    offload.add(&tuples[0]).unwrap();
    assert_eq!(offload.look(&tuples[0]).unwrap().unwrap().packets, [0, 0]);
}
