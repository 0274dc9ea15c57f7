//! Who asks where something listens: SYNs that nobody answers.
use std::net::Ipv4Addr;

use super::{Scene, attacker, connection, victim};
use crate::dialog::Ending;
use crate::{MILLISECOND, Nanos, Rng, SECOND};

/// More than the 50 at which the detectors of NEMEA speak.
const PROBES: u16 = 60;
const BEGIN: Nanos = 30 * SECOND;

pub(super) fn ports(rng: &mut Rng) -> Vec<Scene> {
    (1..=PROBES).map(|port| syn(rng, attacker(10), (victim(1), 10 * port), u64::from(port))).collect()
}

pub(super) fn hosts(rng: &mut Rng) -> Vec<Scene> {
    (1..=PROBES).map(|host| syn(rng, attacker(11), (victim(host as u8), 445), u64::from(host))).collect()
}

fn syn(rng: &mut Rng, from: Ipv4Addr, to: (Ipv4Addr, u16), number: u64) -> Scene {
    let mut session = connection((from, rng.between(32_768, 60_999) as u16), to, Vec::new()).ending(Ending::Unanswered);
    session.isn[0] = rng.draw() as u32;
    (BEGIN + number * 200 * MILLISECOND, Box::new(session))
}
