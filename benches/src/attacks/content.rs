//! What gives itself away by what it says.
use super::{Scene, attacker, connection, datagrams, victim};
use crate::dialog::dns::{self, Message, rtype};
use crate::dialog::http::Transaction;
use crate::dialog::tls::{Hello, Version};
use crate::dialog::{Side, Turn};
use crate::{MILLISECOND, Nanos, Rng, SECOND};

/// What the labels of a tunnel are made of (RFC 4648, base 32).
const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz234567";
/// Letters in each of the three labels that are data.
const LABEL: usize = 30;

pub(super) fn dns_tunnel(begins: Nanos, rng: &mut Rng) -> Vec<Scene> {
    let query = |number: u16| {
        let mut label = || -> String { (0..LABEL).map(|_| char::from(rng.pick(LETTERS))).collect() };
        let name = format!("{}.{}.{}.t.example.net", label(), label(), label());
        let query = Message::query(number, &name, rtype::A);
        let turns = dns::exchange(query, query.answer(3, &[]));
        let flow = datagrams((attacker(15), 10_000 + number), (victim(53), 53), turns);
        (begins + u64::from(number) * 100 * MILLISECOND, Box::new(flow) as _)
    };
    (0..240).map(query).collect()
}

/// Queries and answers as long as padding makes them, one after the other.
pub(super) fn doh_tunnel(begins: Nanos, rng: &mut Rng) -> Vec<Scene> {
    let hello = Hello { version: Version::V13, server_name: Some("dns.quad9.net"), alpn: &["h2"], grease: false };
    let mut turns = hello.turns(rng, 100, 300);
    for _ in 0..3_000 {
        turns.extend([Turn::filler(Side::Client, 600), Turn::filler(Side::Server, 900)]);
    }
    vec![(begins, Box::new(connection((attacker(44), 40_000), (victim(44), 443), turns)))]
}

pub(super) fn web(begins: Nanos, _rng: &mut Rng) -> Vec<Scene> {
    let targets = [
        "/show.php?id=1%27%20UNION%20SELECT%20name,password%20FROM%20users--",
        "/view?page=../../../../etc/passwd",
        "/find?q=%3Cscript%3Ealert(1)%3C/script%3E",
        "/ping?host=127.0.0.1;cat%20/etc/shadow",
    ];
    let request = |(number, target): (u16, &&str)| {
        let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
        let asked = Transaction {
            host: "shop.example.net",
            target,
            agent,
            status: 404,
            reason: "Not Found",
            ..Transaction::default()
        };
        let session = connection((attacker(16), 50_000 + number), (victim(80), 80), asked.turns());
        (begins + u64::from(number) * SECOND, Box::new(session) as _)
    };
    (0..).zip(&targets).map(request).collect()
}

/// A miner with its pool, in the language of Stratum: it gets work twice a minute, and hands in a share for each.
pub(super) fn mining(begins: Nanos, rng: &mut Rng) -> Vec<Scene> {
    let mut number = 0;
    let mut ask = |method: &str, params: &str| {
        number += 1;
        Turn::client(format!("{{\"id\": {number}, \"method\": \"{method}\", \"params\": [{params}]}}\n"))
    };
    let done = || Turn::server("{\"id\": 1, \"result\": true, \"error\": null}\n");
    let mut turns = vec![ask("mining.subscribe", "\"cpuminer/2.5.1\""), done()];
    turns.extend([ask("mining.authorize", "\"worker.1\", \"x\""), done()]);
    for _ in 0..20 {
        let job = format!("{:08x}", rng.draw() as u32);
        // The header of a block, two parts of its first transaction, branches of the tree.
        turns.push(
            Turn::server(format!("{{\"method\": \"mining.notify\", \"params\": [\"{job}\", ")).after(20 * SECOND),
        );
        turns.extend([Turn::filler(Side::Server, 600), Turn::server("]}\n")]);
        turns.push(ask("mining.submit", &format!("\"worker.1\", \"{job}\"")).after(rng.between(1, 9) * SECOND));
        turns.push(done());
    }
    let mut session = connection((attacker(17), 43_210), (victim(33), 3333), turns);
    session.isn = [rng.draw() as u32, rng.draw() as u32];
    vec![(begins, Box::new(session))]
}
