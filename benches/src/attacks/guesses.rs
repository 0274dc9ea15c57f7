//! Who tries passwords and numbers until one works.
use super::{Scene, attacker, connection, datagrams, victim};
use crate::dialog::sip::Call;
use crate::dialog::{Side, Turn};
use crate::{MILLISECOND, Nanos, Rng, SECOND};

/// Logins that are as long as one failed attempt: key exchange, a password, no.
pub(super) fn ssh(begins: Nanos, rng: &mut Rng) -> Vec<Scene> {
    let attempt = |number: u16| {
        let mut turns = vec![Turn::client("SSH-2.0-libssh_0.9.6\r\n"), Turn::server("SSH-2.0-OpenSSH_9.2p1\r\n")];
        for bytes in [600, 48, 16, 52, 68, 148] {
            turns.extend([Turn::filler(Side::Client, bytes), Turn::filler(Side::Server, 2 * bytes)]);
        }
        let mut session = connection((attacker(12), 40_000 + number), (victim(22), 22), turns);
        session.isn = [rng.draw() as u32, rng.draw() as u32];
        (begins + u64::from(number) * 1_500 * MILLISECOND, Box::new(session) as _)
    };
    (0..45).map(attempt).collect()
}

pub(super) fn sip(begins: Nanos, _rng: &mut Rng) -> Vec<Scene> {
    let (client, server) = ((attacker(13), 5060), (victim(60), 5060));
    let contact = format!("{}:{}", client.0, client.1);
    let call = |call_id: &str| {
        let alice = "sip:alice@pbx.example.net";
        let call = Call { caller: alice, callee: alice, call_id, contact: &contact };
        let asked = Turn::client(call.request("REGISTER", 1, "")).after(SECOND);
        [asked, Turn::server(call.reply(401, "Unauthorized", "REGISTER", 1, ""))]
    };
    let turns = (0..60).flat_map(|number| call(&format!("guess-{number}@pbx.example.net"))).collect();
    vec![(begins, Box::new(datagrams(client, server, turns)))]
}

/// The same number abroad with every prefix that might lead out of the house.
pub(super) fn prefixes(begins: Nanos, rng: &mut Rng) -> Vec<Scene> {
    let (client, server) = ((attacker(14), 5060), (victim(60), 5060));
    let contact = format!("{}:{}", client.0, client.1);
    let call = |number: u64| {
        let callee = format!("sip:{}00442079460018@198.51.100.60", 7 * number + 9);
        let call_id = format!("{:016x}@{}", rng.draw(), client.0);
        let call = Call { caller: "sip:100@198.51.100.60", callee: &callee, call_id: &call_id, contact: &contact };
        let asked = Turn::client(call.request("INVITE", 1, "")).after(PAUSE);
        [asked, Turn::server(call.reply(404, "Not Found", "INVITE", 1, ""))]
    };
    vec![(begins, Box::new(datagrams(client, server, (0..30).flat_map(call).collect())))]
}

/// Between two calls.
const PAUSE: Nanos = 2 * SECOND;
