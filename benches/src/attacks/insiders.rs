//! What hosts do that were taken over.
use std::net::Ipv4Addr;

use super::{Scene, attacker, connection, datagrams, victim};
use crate::dialog::dns::{self, Message, rtype};
use crate::dialog::{Side, Turn};
use crate::{MILLISECOND, Nanos, Rng, SECOND};

/// Looks for its server by an algorithm: one domain after the other, until one exists.
pub(super) fn domains(begins: Nanos, rng: &mut Rng) -> Vec<Scene> {
    let query = |number: u16| {
        let label: String = (0..14).map(|_| char::from(b'a' + rng.below(26) as u8)).collect();
        let name = format!("{label}.example");
        let query = Message::query(number, &name, rtype::A);
        let flow =
            datagrams((victim(90), 20_000 + number), (victim(53), 53), dns::exchange(query, query.answer(3, &[])));
        (begins + u64::from(number) * 2 * SECOND, Box::new(flow) as _)
    };
    (0..60).map(query).collect()
}

/// Asks for orders and gets none.
pub(super) fn beacon(begins: Nanos, rng: &mut Rng) -> Vec<Scene> {
    let call = |number: u16| {
        let turns = vec![Turn::filler(Side::Client, 240), Turn::filler(Side::Server, 120)];
        let session = connection((victim(91), 41_000 + 7 * number), (attacker(18), 8443), turns);
        let at = begins + u64::from(number) * 45 * SECOND + rng.below(4_000) * MILLISECOND;
        (at, Box::new(session) as _)
    };
    (0..22).map(call).collect()
}

/// Two visits to a site in each minute, and then files to a place where it never was.
pub(super) fn upload(begins: Nanos, rng: &mut Rng) -> Vec<Scene> {
    let visits = begins / (30 * SECOND);
    let mut scenes: Vec<Scene> = (0..visits)
        .map(|number| {
            let turns =
                vec![Turn::filler(Side::Client, rng.between(8_000, 12_000)), Turn::filler(Side::Server, 40_000)];
            let site = (Ipv4Addr::new(100, 80, 0, number as u8 % 5), 443);
            let session = connection((victim(92), 42_000 + number as u16), site, turns);
            (number * 30 * SECOND, Box::new(session) as _)
        })
        .collect();
    let mut session =
        connection((victim(92), 43_000), (attacker(19), 443), vec![Turn::filler(Side::Client, 5_000_000)]);
    session.pace = 5 * MILLISECOND;
    scenes.push((begins, Box::new(session)));
    scenes
}

/// Listens where nothing did, and others come.
pub(super) fn back_door(begins: Nanos, rng: &mut Rng) -> Vec<Scene> {
    let visit = |number: u8| {
        let turns = vec![Turn::filler(Side::Client, 100), Turn::filler(Side::Server, rng.between(100, 3_000))];
        let client = (Ipv4Addr::new(100, 81, 0, number), 45_000 + u16::from(number));
        (begins + u64::from(number) * 20 * SECOND, Box::new(connection(client, (victim(93), 4444), turns)) as _)
    };
    (0..6).map(visit).collect()
}
