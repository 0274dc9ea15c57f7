//! More than a host can take.
use std::net::Ipv4Addr;

use super::{Scene, datagrams, victim};
use crate::dialog::{Carrier, Side, Turn};
use crate::{MILLISECOND, Nanos, Rng, SECOND};

const MINUTE: Nanos = 60 * SECOND;
/// Payload of a datagram that fills an Ethernet frame, nearly.
const DATAGRAM: u64 = 1350;

/// A server's usual minutes, and from the sixth on three in which 200 networks send it 40 datagrams each. It begins with a minute of the clock.
pub(super) fn volume(begins: Nanos, rng: &mut Rng) -> Vec<Scene> {
    let first = begins - 5 * MINUTE;
    let server = (victim(20), 443);
    let mut scenes = Vec::new();
    for minute in 0..12 {
        for client in 0..20 {
            let from = (Ipv4Addr::new(198, 18, client % 5, 200), 20_000 + 20 * minute + u16::from(client));
            let flow = datagrams(from, server, vec![Turn::filler(Side::Client, 24 * DATAGRAM)]);
            scenes.push((first + spread(minute, client, 20), Box::new(flow) as _));
        }
        for network in (0..200).filter(|_| (5..8).contains(&minute)) {
            let from =
                (Ipv4Addr::new(100, 64 + network / 8, network, rng.draw() as u8), rng.between(1024, 65_535) as u16);
            let mut flow = datagrams(from, server, vec![Turn::filler(Side::Client, 40 * DATAGRAM)]);
            flow.pace = 50 * MILLISECOND;
            scenes.push((first + spread(minute, network, 200), Box::new(flow) as _));
        }
    }
    scenes
}

/// When one of `count` begins in a minute, early enough to end in it.
fn spread(minute: u16, number: u8, count: u64) -> Nanos {
    u64::from(minute) * MINUTE + u64::from(number) * 50 * SECOND / count + SECOND
}

/// Queries that carry the victim's address, each from another port of it, and what the server makes of them.
pub(super) fn amplification(begins: Nanos, rng: &mut Rng) -> Vec<Scene> {
    let resolver = (victim(53), 53);
    let scene = |number: u64| {
        let answer = Turn { side: Side::Server, pause: 5 * MILLISECOND, ..Turn::filler(Side::Server, 3 * DATAGRAM) };
        let victim = (victim(21), 1024 + (number * 61 + rng.below(61)) as u16);
        let mut flow = datagrams(victim, resolver, vec![Turn::filler(Side::Client, 40), answer]);
        flow.carrier = Carrier::Udp { datagram: DATAGRAM as u16 };
        (begins + number * 2_500 * MILLISECOND, Box::new(flow) as _)
    };
    (0..420).map(scene).collect()
}

/// Answers of devices in many networks, each to another port of the victim; what made them answer goes another way.
pub(super) fn reflection(begins: Nanos, rng: &mut Rng) -> Vec<Scene> {
    let scene = |number: u8| {
        let device = (Ipv4Addr::new(100, 96 + number % 7, number, rng.draw() as u8), 1900);
        let victim = (victim(23), rng.between(1024, 65_535) as u16);
        let mut flow = datagrams(victim, device, vec![Turn::filler(Side::Server, 60 * DATAGRAM)]);
        flow.pace = 400 * MILLISECOND;
        (begins + u64::from(number) * 100 * MILLISECOND, Box::new(flow) as _)
    };
    (0..30).map(scene).collect()
}
