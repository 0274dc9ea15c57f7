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
