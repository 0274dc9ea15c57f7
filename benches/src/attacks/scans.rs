//! Who asks where something listens: SYNs that nobody answers.
use std::net::Ipv4Addr;

use super::{Scene, attacker, connection, victim};
use crate::dialog::Ending;
use crate::{MILLISECOND, Nanos, Rng};

/// More than the 50 at which the detectors of NEMEA speak.
const PROBES: u16 = 60;
/// Between two of them.
const PAUSE: Nanos = 200 * MILLISECOND;

pub(super) fn ports(begins: Nanos, rng: &mut Rng) -> Vec<Scene> {
    (0..PROBES)
        .map(|port| syn(rng, attacker(10), (victim(1), 10 * port + 1), begins + u64::from(port) * PAUSE))
        .collect()
}

pub(super) fn hosts(begins: Nanos, rng: &mut Rng) -> Vec<Scene> {
    (0..PROBES)
        .map(|host| syn(rng, attacker(11), (victim(host as u8 + 1), 445), begins + u64::from(host) * PAUSE))
        .collect()
}

fn syn(rng: &mut Rng, from: Ipv4Addr, to: (Ipv4Addr, u16), at: Nanos) -> Scene {
    let mut session = connection((from, rng.between(32_768, 60_999) as u16), to, Vec::new()).ending(Ending::Unanswered);
    session.isn[0] = rng.draw() as u32;
    (at, Box::new(session))
}
