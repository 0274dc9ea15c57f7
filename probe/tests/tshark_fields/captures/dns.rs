//! DNS (RFC 1035): over UDP and TCP, compressed names, EDNS, answers that say no.
use super::Made;
use crate::wire::{Talk, pcap, route};
use benches::dialog::Side::{Client, Server};
use benches::dialog::dns::{Data, Edns, Message, rtype};
use std::net::Ipv4Addr;

pub(crate) const CASES: &[Made] = &[
    ("dns_no", || {
        let mut talk = udp();
        for (id, rcode) in [(1, 3), (2, 2), (3, 5), (4, 1), (5, 4)] {
            exchange(&mut talk, Message::query(id, "absent.example.org", rtype::A), rcode);
        }
        pcap(talk.packets())
    }),
    ("dns_odd_case", || {
        let mut talk = udp();
        exchange(&mut talk, Message::query(1, "wWw.eXaMpLe.ORG", rtype::AAAA), 3);
        pcap(talk.packets())
    }),
    ("dns_edns", || {
        let mut talk = udp();
        let edns = Some(Edns { payload_size: 4096, dnssec_ok: true });
        exchange(&mut talk, Message { edns, ..Message::query(9, "edns.example.org", rtype::MX) }, 0);
        pcap(talk.packets())
    }),
    ("dns_root", || {
        let mut talk = udp();
        exchange(&mut talk, Message::query(1, "", rtype::NS), 0);
        pcap(talk.packets())
    }),
    ("dns_long_name", || {
        let mut talk = udp();
        let name = [&"a".repeat(63)[..], &"b".repeat(63), &"c".repeat(63), "example.org"].join(".");
        exchange(&mut talk, Message::query(1, &name, rtype::TXT), 2);
        pcap(talk.packets())
    }),
    ("dns_compression", || {
        let mut talk = udp();
        let query = Message::query(77, "www.example.org", rtype::CNAME);
        // The answer's owner is a pointer to the question, its name a label and a pointer into it.
        let mut answer = query.bytes();
        answer[2..4].copy_from_slice(&[0x81, 0x80]);
        answer[7] = 1;
        answer.extend(b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x07\x04host\xc0\x10");
        talk.datagram(Client, query.bytes()).datagram(Server, answer);
        pcap(talk.packets())
    }),
    ("dns_many_answers", || {
        let mut talk = udp();
        let query = Message::query(5, "many.example.org", rtype::A);
        let records: Vec<_> =
            (0..20).map(|n| ("many.example.org", 60, Data::A(Ipv4Addr::new(203, 0, 113, n)))).collect();
        talk.datagram(Client, query.bytes()).datagram(Server, query.answer(0, &records).bytes());
        pcap(talk.packets())
    }),
    ("dns_tcp_one", || over_tcp(&[], &[0], &[], &[0])),
    // The length in a segment of its own, as some resolvers send it.
    ("dns_tcp_length_alone", || over_tcp(&[2], &[0, 1], &[2], &[0, 1])),
    ("dns_tcp_length_cut", || over_tcp(&[1], &[0, 1], &[1, 2, 3], &[0, 1, 2, 3])),
    ("dns_tcp_segments", || over_tcp(&[10, 20, 30], &[0, 1, 2, 3], &[20], &[0, 1])),
    ("dns_tcp_swapped", || over_tcp(&[10, 20, 30], &[0, 2, 1, 3], &[20, 25], &[0, 2, 1])),
    ("dns_tcp_sent_twice", || over_tcp(&[10], &[0, 0, 1], &[20], &[0, 1, 1])),
    ("dns_tcp_pipelined", || {
        let mut talk = tcp();
        let queries: [Message<'_>; 3] =
            [("one", 1), ("two", 2), ("three", 3)].map(|(name, id)| Message::query(id, name, rtype::A));
        talk.client(queries.iter().flat_map(Message::over_tcp).collect::<Vec<u8>>());
        talk.server(queries.iter().flat_map(|q| q.answer(3, &[]).over_tcp()).collect::<Vec<u8>>());
        pcap(talk.end())
    }),
    ("dns_tcp_pipelined_cut", || {
        let mut talk = tcp();
        let queries: [Message<'_>; 4] =
            [("one", 1), ("two", 2), ("three", 3), ("four", 4)].map(|(name, id)| Message::query(id, name, rtype::A));
        talk.every(Client, 25, queries.iter().flat_map(Message::over_tcp).collect::<Vec<u8>>());
        talk.every(Server, 30, queries.iter().flat_map(|q| q.answer(2, &[]).over_tcp()).collect::<Vec<u8>>());
        pcap(talk.end())
    }),
    ("dns_tcp_large", || {
        let mut talk = tcp();
        let query = Message::query(5, "large.example.org", rtype::TXT);
        let text = "t".repeat(200);
        let texts: [&str; 1] = [&text];
        let records: Vec<_> = (0..30).map(|_| ("large.example.org", 60, Data::Txt(&texts))).collect();
        talk.client(query.over_tcp()).server(query.answer(0, &records).over_tcp());
        talk.client(Message::query(6, "then.example.org", rtype::A).over_tcp());
        pcap(talk.end())
    }),
];

fn udp() -> Talk {
    Talk::udp(route(41_001, 53))
}

fn tcp() -> Talk {
    Talk::tcp(route(41_001, 53))
}

fn exchange(talk: &mut Talk, query: Message<'_>, rcode: u8) {
    talk.datagram(Client, query.bytes()).datagram(Server, query.answer(rcode, &[]).bytes());
}

/// A query and its answer, cut and in these orders.
fn over_tcp(cuts: &[usize], order: &[usize], answer_cuts: &[usize], answer_order: &[usize]) -> Vec<u8> {
    let mut talk = tcp();
    let query = Message::query(0x0102, "tcp.example.org", rtype::A);
    talk.pieces(Client, query.over_tcp(), cuts, order);
    talk.pieces(Server, query.answer(3, &[]).over_tcp(), answer_cuts, answer_order);
    pcap(talk.end())
}
