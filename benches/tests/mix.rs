//! What the streamed captures promise, counted again from their bytes by a reader that knows just enough of each header.
use std::collections::HashSet;

use benches::{Profile, Totals, write_capture};

#[test]
fn totals_are_true() {
    for (profile, flows) in [(Profile::Realistic, 0), (Profile::Small64, 900), (Profile::Syn, 0)] {
        let (told, counted) = both(profile, 30_000, flows);
        assert_eq!(told, counted, "{profile:?}");
        assert_eq!(told.packets, 30_000);
    }
}

#[test]
fn small64_has_64_bytes_and_the_flows_asked_for() {
    let (told, _) = both(Profile::Small64, 5_000, 700);
    assert_eq!((told.bytes, told.flows), (5_000 * 64, 700));
    // More flows than packets cannot be.
    assert_eq!(both(Profile::Small64, 50, 700).0.flows, 50);
}

#[test]
fn realistic_hits_its_flow_count_and_packet_size() {
    for (flows, low, high) in [(0, 330, 500), (1_000, 330, 1_100), (10_000, 100, 500)] {
        let (told, _) = both(Profile::Realistic, 60_000, flows);
        let wanted = if flows == 0 { 5_000 } else { flows };
        assert!(told.flows.abs_diff(wanted) * 20 <= wanted, "{told:?}");
        let mean = told.bytes / told.packets;
        assert!((low..=high).contains(&mean), "{mean} {told:?}");
    }
}

#[test]
fn realistic_is_a_fifth_ipv6_partly_tagged_and_heavy_tailed() {
    let capture = capture(Profile::Realistic, 100_000, 0).1;
    let mut per_flow = std::collections::HashMap::new();
    let (mut six, mut tagged) = (HashSet::new(), HashSet::new());
    for (_, frame) in Packets(&capture[24..]) {
        let packet = read(frame);
        *per_flow.entry(packet.key.clone()).or_insert(0u64) += packet.ip_bytes;
        if packet.v6 {
            six.insert(packet.key.clone());
        }
        if packet.tagged {
            tagged.insert(packet.key);
        }
    }
    let percent = |part: usize| part * 100 / per_flow.len();
    assert!((15..=25).contains(&percent(six.len())), "{}", percent(six.len()));
    assert!((8..=20).contains(&percent(tagged.len())), "{}", percent(tagged.len()));
    let mut sizes: Vec<_> = per_flow.into_values().collect();
    sizes.sort_unstable();
    let (all, top): (u64, u64) = (sizes.iter().sum(), sizes[sizes.len() * 99 / 100..].iter().sum());
    // Equal flows would give 1 %; in this short capture the largest flow is capped at a twentieth.
    assert!(top * 100 / all > 30, "the top 1 % of flows carry {} % of bytes", top * 100 / all);
}

#[test]
fn time_never_goes_back() {
    for profile in [Profile::Realistic, Profile::Small64, Profile::Syn] {
        let capture = capture(profile, 20_000, 1_000).1;
        let times: Vec<_> = Packets(&capture[24..]).map(|(at, _)| at).collect();
        assert_eq!(times[0] / 1_000_000, 1_600_000_000);
        assert!(times.is_sorted());
    }
}

#[test]
fn nothing_asked_gives_an_empty_capture() {
    for profile in [Profile::Realistic, Profile::Small64, Profile::Syn] {
        assert_eq!(capture(profile, 0, 0), (Totals::default(), capture(profile, 0, 5).1));
    }
}

#[test]
fn profiles_have_names() {
    assert_eq!("small64".parse(), Ok(Profile::Small64));
    let refused = "huge".parse::<Profile>().expect_err("no such profile");
    assert!(refused.to_string().contains("realistic, small64 or syn"));
}

fn capture(profile: Profile, packets: u64, flows: u64) -> (Totals, Vec<u8>) {
    let mut bytes = Vec::new();
    let totals = write_capture(profile, packets, flows, 5, &mut bytes).expect("a Vec takes every write");
    (totals, bytes)
}

/// Totals as told and as counted.
fn both(profile: Profile, packets: u64, flows: u64) -> (Totals, Totals) {
    let (told, bytes) = capture(profile, packets, flows);
    let mut counted = Totals::default();
    let mut keys = HashSet::new();
    for (_, frame) in Packets(&bytes[24..]) {
        let packet = read(frame);
        counted.packets += 1;
        counted.bytes += frame.len() as u64;
        counted.ip_bytes += packet.ip_bytes;
        keys.insert(packet.key);
    }
    counted.flows = keys.len() as u64;
    (told, counted)
}

/// Microseconds and bytes of each packet.
struct Packets<'b>(&'b [u8]);

impl<'b> Iterator for Packets<'b> {
    type Item = (u64, &'b [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (header, rest) = self.0.split_at_checked(16)?;
        let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (frame, rest) = rest.split_at(word(8) as usize);
        self.0 = rest;
        Some((u64::from(word(0)) * 1_000_000 + u64::from(word(4)), frame))
    }
}

struct Packet {
    v6: bool,
    tagged: bool,
    ip_bytes: u64,
    /// VLAN, protocol, both ends in ascending order.
    key: (u16, u8, [Vec<u8>; 2]),
}

fn read(frame: &[u8]) -> Packet {
    let half = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    let tagged = half(12) == 0x8100;
    let ip = if tagged { 18 } else { 14 };
    let v6 = frame[ip] >> 4 == 6;
    let (length, protocol, addresses, width, transport) = if v6 {
        (u64::from(half(ip + 4)) + 40, frame[ip + 6], ip + 8, 16, ip + 40)
    } else {
        (u64::from(half(ip + 2)), frame[ip + 9], ip + 12, 4, ip + 20)
    };
    let ports = matches!(protocol, 6 | 17);
    let mut ends = [0, 1].map(|end| {
        let mut bytes = frame[addresses + end * width..][..width].to_vec();
        if ports {
            bytes.extend(&frame[transport + 2 * end..][..2]);
        }
        bytes
    });
    ends.sort();
    Packet { v6, tagged, ip_bytes: length, key: (if tagged { half(14) } else { 0 }, protocol, ends) }
}
