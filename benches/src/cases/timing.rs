//! What makes a flow a flow: both directions, timeouts, endings.
use super::tape::{Tape, route, route6, talk};
use super::{Case, Flows, clean};
use crate::SECOND;
use crate::dialog::dns::{Message, rtype};
use crate::dialog::{Carrier, Datagrams, Ending, Side, TcpSession, Turn, icmp};

pub(super) const CASES: &[Case] = &[
    clean(
        "basic_tcp",
        "three TCP connections: closed by FIN, closed by RST, with one segment sent twice",
        (35, 16_706),
        Flows::new(3, 6),
        || {
            let mut tape = Tape::new();
            tape.play(0, TcpSession::new(route(40001, 8001), talk()));
            tape.play(SECOND / 1000, TcpSession::new(route(40002, 8001), talk()).ending(Ending::Rst));
            let mut repeated = TcpSession::new(route(40003, 8001), talk());
            repeated.retransmit = Some(2);
            tape.play(SECOND / 500, repeated);
            tape.plain()
        },
    ),
    clean("basic_udp", "two UDP exchanges, one of an empty datagram each way", (6, 4552), Flows::new(2, 4), || {
        let mut tape = Tape::new();
        tape.play(0, Datagrams::udp(route(40001, 7000), talk()));
        let empty = vec![Turn::client([]), Turn::server([])];
        tape.play(SECOND / 100, Datagrams::udp(route(40002, 7000), empty));
        tape.plain()
    }),
    clean(
        "uniflow",
        "one-way traffic that nobody answers, beside an exchange: with `split` the exchange becomes two records",
        (8, 7836),
        Flows::new(3, 4),
        || {
            let mut tape = Tape::new();
            tape.play(0, Datagrams::udp(route(40001, 514), vec![Turn::filler(Side::Client, 3000)]));
            tape.play(SECOND, Datagrams::udp(route(40002, 514), vec![Turn::filler(Side::Client, 200)]));
            tape.play(2 * SECOND, Datagrams::udp(route(40003, 7000), talk()));
            tape.plain()
        },
    ),
    clean("ipv6", "a TCP connection and a UDP exchange over IPv6", (16, 9896), Flows::new(2, 4), || {
        let mut tape = Tape::new();
        tape.play(0, TcpSession::new(route6(40001, 8001), talk()));
        tape.play(SECOND, Datagrams::udp(route6(40002, 7000), talk()));
        tape.plain()
    }),
    clean(
        "active_timeout",
        "a datagram each 10 s for 690 s: records are cut at 300 s and 600 s",
        (70, 70 * 142),
        Flows::new(3, 3),
        || {
            let mut tape = Tape::new();
            let beats = (0..70).map(|number| Turn::filler(Side::Client, 100).after(gap(number, 10))).collect();
            tape.play(0, Datagrams::udp(route(40001, 7000), beats));
            tape.plain()
        },
    ),
    clean(
        "inactive_timeout",
        "silences of 29 s (same flow), then 31 s and 90 s (a new flow each)",
        (5, 5 * 142),
        Flows::new(3, 3),
        || {
            let mut tape = Tape::new();
            let pauses = [0, 29, 31, 90, 1];
            let beats = pauses.map(|pause| Turn::filler(Side::Client, 100).after(pause * SECOND)).to_vec();
            tape.play(0, Datagrams::udp(route(40001, 7000), beats));
            tape.plain()
        },
    ),
    clean(
        "timeouts_by_state",
        "silences of flows by protocol and state: SYNs that nobody answers, a connection, datagrams, DNS, pings",
        (21, 2000),
        Flows::new(6, 9),
        || {
            let mut tape = Tape::new();
            for second in [0, 3, 9] {
                let syn = TcpSession::new(route(40001, 8001), Vec::new()).ending(Ending::Unanswered);
                tape.play(second * SECOND, syn);
            }
            let late = vec![Turn::filler(Side::Client, 100), Turn::filler(Side::Server, 100).after(35 * SECOND)];
            tape.play(0, TcpSession::new(route(40002, 8001), late));
            let beats = |pauses: &[u64]| {
                pauses.iter().map(|pause| Turn::filler(Side::Client, 100).after(pause * SECOND)).collect()
            };
            tape.play(0, Datagrams::udp(route(40003, 7000), beats(&[0, 8, 12])));
            let query = Message::query(7, "www.example.org", rtype::A);
            let queries = [0, 3].map(|pause| Turn::client(query.bytes()).after(pause * SECOND));
            tape.play(0, Datagrams::udp(route(40004, 53), queries.to_vec()));
            let mut pings = icmp::ping(false, 7, 2);
            pings[2] = pings[2].clone().after(6 * SECOND);
            tape.play(0, Datagrams::new(route(0, 0), Carrier::Icmp, pings));
            tape.plain()
        },
    ),
    // After the RST the server's own direction has seen no ending: with directions apart it goes on.
    clean(
        "fin_restart",
        "the same ports again within the second: a SYN after FIN, and a SYN after RST, begin a new flow",
        (46, 20_300),
        Flows::new(4, 7),
        || {
            let mut tape = Tape::new();
            for (port, ending) in [(40001, Ending::Fin), (40002, Ending::Rst)] {
                let first = TcpSession::new(route(port, 8001), talk()).ending(ending);
                let mut second = TcpSession::new(route(port, 8001), talk());
                second.isn = [0x2000_0000, 0xa000_0000];
                let end = tape.play(0, first);
                tape.play(end + SECOND / 10, second);
            }
            tape.plain()
        },
    ),
];

/// Seconds before the beat of that number; none before the first.
const fn gap(number: u32, seconds: u64) -> u64 {
    if number == 0 { 0 } else { seconds * SECOND }
}
