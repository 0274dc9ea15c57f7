//! QUIC (RFC 9000, RFC 9369): Initials of both versions, CRYPTO frames over packets and datagrams, what shares a datagram with them.
use super::Made;
use crate::wire::{Talk, pcap, route};
use benches::Rng;
use benches::dialog::Side::{Client, Server};
use benches::dialog::quic::{self, crypto};
use benches::dialog::tls::{Hello, Version};

pub(crate) const CASES: &[Made] = &[
    ("quic_v1", || one(V1, &crypto(0, &hello("v1.example.org")))),
    ("quic_v2", || one(V2, &crypto(0, &hello("v2.example.org")))),
    ("quic_frames", || {
        // PING and padding between CRYPTO frames that come out of order.
        let hello = hello("frames.example.org");
        let (a, b, c) = (&hello[..40], &hello[40..90], &hello[90..]);
        one(V1, &[&crypto(90, c)[..], &[1, 0, 0], &crypto(0, a), &[1], &crypto(40, b)].concat())
    }),
    ("quic_two_datagrams", || datagrams(V1, &[60], &[0, 1])),
    ("quic_two_datagrams_swapped", || datagrams(V1, &[60], &[1, 0])),
    ("quic_v2_three_datagrams", || datagrams(V2, &[50, 100], &[2, 0, 1])),
    ("quic_sent_twice", || datagrams(V1, &[60], &[0, 0, 1])),
    ("quic_overlap", || {
        let (hello, mut talk) = (hello("overlap.example.org"), udp());
        talk.datagram(Client, V1.initial(&crypto(0, &hello[..100])));
        talk.datagram(Client, V1.initial(&crypto(60, &hello[60..])));
        pcap(talk.packets())
    }),
    ("quic_coalesced", || {
        // A 0-RTT packet behind the Initial, which therefore is not padded.
        let initial = V1.initial(&crypto(0, &hello("both.example.org")));
        let zero_rtt = [&[0xd0, 0, 0, 0, 1, 8][..], b"chosen-1\x06client\x40\x40", &[0x5a; 64]].concat();
        pcap(udp().datagram(Client, [initial, zero_rtt].concat()).packets())
    }),
    ("quic_two_initials_in_a_datagram", || {
        let hello = hello("pair.example.org");
        let (first, rest) = hello.split_at(100);
        let both = [V1.initial(&crypto(0, first)), V1.initial(&crypto(100, rest))].concat();
        pcap(udp().datagram(Client, both).packets())
    }),
    ("quic_token", || {
        let client = quic::Client { token: &[7; 40], ..V1 };
        one(client, &crypto(0, &hello("token.example.org")))
    }),
    ("quic_other_port", || {
        let mut talk = Talk::udp(route(40_003, 8443));
        pcap(talk.datagram(Client, V1.initial(&crypto(0, &hello("port.example.org")))).packets())
    }),
];

const V1: quic::Client<'static> = quic::Client {
    version: quic::V1.0,
    salt: quic::V1.1,
    secret: b"chosen-1",
    to: b"chosen-1",
    from: b"client",
    token: b"",
};
const V2: quic::Client<'static> = quic::Client { version: quic::V2.0, salt: quic::V2.1, ..V1 };

fn udp() -> Talk {
    Talk::udp(route(40_003, 443))
}

/// A ClientHello without the record layer.
fn hello(name: &str) -> Vec<u8> {
    let hello = Hello { version: Version::V13, server_name: Some(name), alpn: &["h3"], grease: true };
    hello.client(&mut Rng::new(4))[5..].to_vec()
}

/// One Initial, and an answer that nobody can open.
fn one(client: quic::Client<'_>, frames: &[u8]) -> Vec<u8> {
    let first = if client.version == quic::V2.0 { 0xd0 } else { 0xc0 };
    let mut answer = [&[first][..], &client.version.to_be_bytes(), b"\x06client\x06server\x00\x44\x80"].concat();
    answer.resize(answer.len() + 0x480, 0xa5);
    pcap(udp().datagram(Client, client.initial(frames)).datagram(Server, answer).packets())
}

/// A hello cut at these places, each piece in a datagram, sent in this order.
fn datagrams(client: quic::Client<'_>, cuts: &[usize], order: &[usize]) -> Vec<u8> {
    let (hello, mut talk) = (hello("datagrams.example.org"), udp());
    let ends = [&[0][..], cuts, &[hello.len()]].concat();
    for piece in order {
        talk.datagram(Client, client.initial(&crypto(ends[*piece], &hello[ends[*piece]..ends[piece + 1]])));
    }
    pcap(talk.packets())
}
