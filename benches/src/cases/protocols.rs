//! One capture for each application protocol that a plugin reads.
use std::net::{Ipv4Addr, Ipv6Addr};

use super::tape::{Tape, route, route6};
use super::{Case, Flows, clean};
use crate::dialog::dns::{self, Data, Edns, Message, rtype};
use crate::dialog::http::Transaction;
use crate::dialog::tls::{Hello, Version};
use crate::dialog::{Datagrams, TcpSession, Turn, quic, sip, smtp};
use crate::{MILLISECOND, Rng, SECOND};

pub(super) const CASES: &[Case] = &[
    clean(
        "http",
        "a GET with referer and cookies, a POST that is refused; both over ports of their own",
        (28, 8800),
        Flows::new(2, 4),
        || {
            let mut tape = Tape::new();
            tape.play(0, TcpSession::new(route(40001, 80), PAGE.turns()));
            let refused = Transaction {
                method: "POST",
                target: "/form",
                form: "a=1&b=2",
                status: 403,
                reason: "Forbidden",
                ..PAGE
            };
            tape.play(SECOND, TcpSession::new(route6(40002, 8080), refused.turns()));
            tape.plain()
        },
    ),
    clean(
        "http_keepalive",
        "three transactions on one connection: the http plugin makes three records of one flow",
        (23, 8370),
        Flows::new(1, 2),
        || {
            let second = Transaction { target: "/style.css", content_type: "text/css", cookies: &[], ..PAGE };
            let third = Transaction {
                method: "HEAD",
                target: "/missing",
                status: 404,
                reason: "Not Found",
                content: 0,
                ..PAGE
            };
            let mut tape = Tape::new();
            let turns = [PAGE, second, third].iter().flat_map(Transaction::turns).collect();
            tape.play(0, TcpSession::new(route(40001, 80), turns));
            tape.plain()
        },
    ),
    clean(
        "http_split",
        "request and response heads in segments of 100 bytes, so that header lines are cut",
        (56, 7022),
        Flows::new(1, 2),
        || {
            let mut tape = Tape::new();
            let mut session = TcpSession::new(route(40001, 80), PAGE.turns());
            session.segment = 100;
            tape.play(0, session);
            tape.plain()
        },
    ),
    clean(
        "dns",
        "A, AAAA, MX, TXT, SOA, PTR, SRV and CNAME lookups, a name that does not exist; EDNS with DO",
        (18, 1796),
        Flows::new(9, 18),
        || {
            let mut tape = Tape::new();
            for (number, turns) in lookups().into_iter().enumerate() {
                tape.play(number as u64 * SECOND / 10, Datagrams::udp(route(41000 + number as u16, 53), turns));
            }
            tape.plain()
        },
    ),
    clean("dns_tcp", "a TXT lookup over TCP with its length prefix", (9, 726), Flows::new(1, 2), || {
        let query = Message::query(7, "long.example.org", rtype::TXT);
        let texts = ["a first string", "and a second one"];
        let records = [("long.example.org", 60, Data::Txt(&texts))];
        let turns = vec![Turn::client(query.over_tcp()), Turn::server(query.answer(0, &records).over_tcp())];
        let mut tape = Tape::new();
        tape.play(0, TcpSession::new(route(41001, 53), turns));
        tape.plain()
    }),
    clean(
        "passivedns",
        "answers with several A and AAAA records behind a CNAME; PTR of IPv4 and IPv6",
        (8, 1045),
        Flows::new(4, 8),
        || {
            let mut tape = Tape::new();
            for (number, turns) in passive().into_iter().enumerate() {
                tape.play(number as u64 * SECOND / 10, Datagrams::udp(route(41000 + number as u16, 53), turns));
            }
            tape.plain()
        },
    ),
    clean("smtp", "two deliveries, one with a refused recipient", (46, 4991), Flows::new(2, 4), || {
        let mut mail = smtp::Mail {
            helo: "relay.example.org",
            sender: "alice@example.org",
            recipients: &["bob@example.org"],
            accepted: 1,
            text: 300,
        };
        let mut tape = Tape::new();
        tape.play(0, TcpSession::new(route(40001, 25), smtp::session(&mail)));
        mail.recipients = &["bob@example.org", "nobody@example.org"];
        tape.play(SECOND, TcpSession::new(route6(40002, 25), smtp::session(&mail)));
        tape.plain()
    }),
    clean(
        "sip",
        "a registration, then a call from INVITE to BYE; one record for each message with the sip plugin",
        (9, 3188),
        Flows::new(2, 4),
        || {
            let call = sip::Call {
                caller: "sip:alice@example.org",
                callee: "sip:bob@example.org",
                call_id: "call-1@192.0.2.10",
                contact: "192.0.2.10:5060",
            };
            let own =
                sip::Call { callee: call.caller, call_id: "reg-1@192.0.2.10", contact: "192.0.2.10:5062", ..call };
            let mut tape = Tape::new();
            tape.play(0, Datagrams::udp(route(5062, 5060), own.registration()));
            tape.play(SECOND, Datagrams::udp(route(5060, 5060), call.turns()));
            tape.plain()
        },
    ),
    clean(
        "tls12",
        "TLS 1.2 resumed, with server name and ALPN; and one without either",
        (29, 6739),
        Flows::new(2, 4),
        || tls(Version::V12),
    ),
    clean("tls13", "TLS 1.3 with GREASE, server name, ALPN; and one without any", (29, 8704), Flows::new(2, 4), || {
        tls(Version::V13)
    }),
    clean("quic", "UDP that looks like QUIC and cannot be decrypted", (9, 8006), Flows::new(1, 2), || {
        let mut tape = Tape::new();
        tape.play(0, Datagrams::udp(route(40001, 443), quic::connection(&mut Rng::new(1), 5000)));
        tape.plain()
    }),
];

const PAGE: Transaction<'static> = Transaction {
    method: "GET",
    host: "www.example.org",
    target: "/index.html?lang=en",
    agent: "sonda-synth/1.0",
    referer: Some("https://search.example.org/"),
    form: "",
    status: 200,
    reason: "OK",
    server: "example-httpd/2.4",
    content_type: "text/html",
    cookies: &["session=0123456789abcdef", "theme=dark"],
    content: 3000,
};

fn tls(version: Version) -> Vec<u8> {
    let mut rng = Rng::new(12);
    let full = Hello {
        version,
        server_name: Some("www.example.org"),
        alpn: &["h2", "http/1.1"],
        grease: version == Version::V13,
    };
    let bare = Hello { version, server_name: None, alpn: &[], grease: false };
    let mut tape = Tape::new();
    tape.play(0, TcpSession::new(route(40001, 443), full.turns(&mut rng, 200, 3000)));
    tape.play(10 * MILLISECOND, TcpSession::new(route6(40002, 8443), bare.turns(&mut rng, 100, 500)));
    tape.plain()
}

fn lookups() -> Vec<Vec<Turn>> {
    let edns = Some(Edns { payload_size: 1232, dnssec_ok: true });
    let soa = Data::Soa { primary: "ns1.example.org", mailbox: "hostmaster.example.org", serial: 2_020_091_301 };
    let records: [(&str, Data<'_>); 8] = [
        ("www.example.org", Data::A(Ipv4Addr::new(203, 0, 113, 80))),
        ("www.example.org", Data::Aaaa(Ipv6Addr::new(0x2001, 0xdb8, 0, 0x80, 0, 0, 0, 1))),
        ("example.org", Data::Mx(10, "mx.example.org")),
        ("example.org", Data::Txt(&["v=spf1 -all", "second string"])),
        ("example.org", soa),
        ("80.113.0.203.in-addr.arpa", Data::Ptr("www.example.org")),
        ("_sip._udp.example.org", Data::Srv { priority: 10, weight: 20, port: 5060, target: "sip.example.org" }),
        ("alias.example.org", Data::Cname("www.example.org")),
    ];
    let mut all = Vec::new();
    for (id, (name, data)) in records.into_iter().enumerate() {
        let query =
            Message { edns: if id < 2 { edns } else { None }, ..Message::query(100 + id as u16, name, data.rtype()) };
        all.push(dns::exchange(query, query.answer(0, &[(name, 3600, data)])));
    }
    let query = Message { edns, ..Message::query(200, "nobody.example.org", rtype::A) };
    all.push(dns::exchange(query, Message { authority: &[("example.org", 300, soa)], ..query.answer(3, &[]) }));
    all
}

fn passive() -> Vec<Vec<Turn>> {
    const ARPA6: &str = "0.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
    let four = Message::query(1, "cdn.example.org", rtype::A);
    let six = Message::query(2, "cdn.example.org", rtype::AAAA);
    let back4 = Message::query(3, "20.100.51.198.in-addr.arpa", rtype::PTR);
    let back6 = Message::query(4, ARPA6, rtype::PTR);
    let alias = ("cdn.example.org", 60, Data::Cname("edge.example.net"));
    let address = |last| ("edge.example.net", 30, Data::A(Ipv4Addr::new(203, 0, 113, last)));
    let address6 = |last| ("edge.example.net", 30, Data::Aaaa(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last)));
    vec![
        dns::exchange(four, four.answer(0, &[alias, address(1), address(2), address(3)])),
        dns::exchange(six, six.answer(0, &[alias, address6(1), address6(2)])),
        dns::exchange(back4, back4.answer(0, &[(back4.name, 86400, Data::Ptr("server.example.org"))])),
        dns::exchange(back6, back6.answer(0, &[(ARPA6, 86400, Data::Ptr("server6.example.org"))])),
    ]
}
