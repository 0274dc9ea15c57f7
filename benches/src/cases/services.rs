//! One capture for each protocol of local networks, of tunnels and of things: mostly a few messages, written byte by byte.
use std::net::Ipv4Addr;

use super::tape::{CLIENT, Tape, route};
use super::{Case, Flows, clean};
use crate::dialog::dns::{Data, Message, rtype};
use crate::dialog::quic::{self, Client, crypto};
use crate::dialog::tls::{Hello, Version};
use crate::dialog::{Datagrams, Host, Route, Side, TcpSession, Turn};
use crate::{MILLISECOND, Rng, SECOND};

pub(super) const CASES: &[Case] = &[
    clean("netbios", "a name is asked for twice, and one registered", (3, 294), Flows::new(2, 2), || {
        let mut tape = Tape::new();
        let broadcast = |from: u16| to(Ipv4Addr::new(192, 0, 2, 255), from, 137);
        let query = netbios(0x0110, b"FILESERVER     \x20", &[]);
        tape.play(0, Datagrams::udp(broadcast(137), vec![Turn::client(query.clone()), Turn::client(query)]));
        let record = [&[0xc0, 12, 0, 0x20, 0, 1, 0, 0, 0, 0, 0, 6, 0, 0][..], &CLIENT.octets()].concat();
        let registration = netbios(0x2910, b"CLIENT         \x00", &record);
        tape.play(SECOND, Datagrams::udp(broadcast(40137), vec![Turn::client(registration)]));
        tape.plain()
    }),
    clean("ssdp", "a search, and two announcements of a media server", (3, 648), Flows::new(2, 2), || {
        let group = |from: u16| to(Ipv4Addr::new(239, 255, 255, 250), from, 1900);
        let search = "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\n\
            ST: urn:dial-multiscreen-org:service:dial:1\r\nUSER-AGENT: Example/1.0 Linux\r\n\r\n";
        let notify = |kind: &str| {
            format!(
                "NOTIFY * HTTP/1.1\r\nHost: 239.255.255.250:1900\r\nLocation: http://192.0.2.10:5000/rootDesc.xml\r\n\
                 NT: {kind}\r\nNTS: ssdp:alive\r\nServer: Linux/6 UPnP/1.1 Example/2\r\n\r\n"
            )
        };
        let turns =
            ["upnp:rootdevice", "urn:schemas-upnp-org:device:MediaServer:1"].map(|kind| Turn::client(notify(kind)));
        let mut tape = Tape::new();
        tape.play(0, Datagrams::udp(group(40000), vec![Turn::client(search)]));
        tape.play(SECOND, Datagrams::udp(group(1900), turns.into()));
        tape.plain()
    }),
    clean("dnssd", "a printer is looked for, and answers with SRV and TXT", (3, 376), Flows::new(1, 1), || {
        let printer = "Printer._ipp._tcp.local";
        let query = Message::query(0, "_ipp._tcp.local", rtype::PTR);
        let service = Data::Srv { priority: 0, weight: 0, port: 631, target: "printer.local" };
        let records = [
            ("_ipp._tcp.local", 4500, Data::Ptr(printer)),
            (printer, 120, service),
            (printer, 4500, Data::Txt(&["rp=ipp/print", "note=hall"])),
        ];
        let turns = vec![
            Turn::client(query.bytes()),
            Turn::client(query.answer(0, &records).bytes()),
            Turn::client(query.bytes()),
        ];
        let mut tape = Tape::new();
        tape.play(0, Datagrams::udp(to(Ipv4Addr::new(224, 0, 0, 251), 5353, 5353), turns));
        tape.plain()
    }),
    clean(
        "ntp",
        "a client asks a server twice; the second answer is a kiss of death",
        (4, 360),
        Flows::new(2, 4),
        || {
            let mut tape = Tape::new();
            for (number, (stratum, id)) in [(2, [192, 0, 2, 123]), (0, *b"RATE")].into_iter().enumerate() {
                let turns = vec![Turn::client(ntp(0x23, 0, [0; 4])), Turn::server(ntp(0x24, stratum, id))];
                tape.play(number as u64 * SECOND, Datagrams::udp(route(40123 + number as u16, 123), turns));
            }
            tape.plain()
        },
    ),
    clean("openvpn", "a handshake over UDP, and data", (30, 6413), Flows::new(1, 2), || {
        // Opcode, session id, what is acknowledged and whose, packet id.
        let control = |opcode: u8, acknowledges: bool, content: &[u8]| {
            let mut bytes = vec![opcode << 3];
            bytes.extend([0x5a; 8]);
            bytes.push(acknowledges.into());
            bytes.extend(
                acknowledges.then_some([0, 0, 0, 1, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5]).iter().flatten(),
            );
            bytes.extend((opcode != 5).then_some([0, 0, 0, 2]).iter().flatten());
            bytes.extend(content);
            bytes
        };
        let hello = Hello { version: Version::V12, server_name: None, alpn: &[], grease: false };
        let mut rng = Rng::new(5);
        let (client, server) = (hello.client(&mut rng), hello.server(&mut rng));
        let data = [&[9 << 3, 0, 0, 1][..], &[0x11; 196]].concat();
        let mut turns = vec![
            Turn::client(control(7, false, &[])),
            Turn::server(control(8, true, &[])),
            Turn::client(control(5, true, &[])),
            Turn::client(control(4, false, &client)),
            Turn::server(control(4, true, &server)),
            Turn::client(control(5, true, &[])),
        ];
        turns.extend((0..24).map(|n| Turn::new(if n % 3 == 0 { Side::Client } else { Side::Server }, data.clone())));
        let mut tape = Tape::new();
        tape.play(0, Datagrams::udp(route(40000, 1194), turns));
        tape.plain()
    }),
    clean("wireguard", "a handshake, data, and a second handshake", (6, 796), Flows::new(1, 2), || {
        let message = |kind: u8, len: usize, indexes: &[u32]| {
            let mut bytes = vec![kind, 0, 0, 0];
            bytes.extend(indexes.iter().flat_map(|index| index.to_le_bytes()));
            bytes.resize(len, 0x5a);
            bytes
        };
        let turns = vec![
            Turn::client(message(1, 148, &[101])),
            Turn::server(message(2, 92, &[202, 101])),
            Turn::client(message(4, 32, &[202])),
            Turn::client(message(1, 148, &[303])),
            Turn::server(message(2, 92, &[404, 303])),
            Turn::server(message(4, 32, &[303])),
        ];
        let mut tape = Tape::new();
        tape.play(0, Datagrams::udp(route(40000, 51820), turns));
        tape.plain()
    }),
    clean(
        "tunnel",
        "thirty packets, then handshakes of TCP as they look in a tunnel",
        (50, 9940),
        Flows::new(1, 2),
        || {
            let mut turns: Vec<Turn> = (0..30).map(|_| Turn::filler(Side::Client, 200)).collect();
            for _ in 0..10 {
                turns.extend([Turn::filler(Side::Client, 90), Turn::filler(Side::Server, 94)]);
            }
            let mut tape = Tape::new();
            tape.play(0, Datagrams::udp(route(40000, 4500), turns));
            tape.plain()
        },
    ),
    clean("rtsp", "a stream is described and set up", (11, 1052), Flows::new(1, 2), || {
        let ask = |method: &str, number: u32| {
            format!(
                "{method} rtsp://media.example.org/film RTSP/1.0\r\nCSeq: {number}\r\nUser-Agent: Example/1.0\r\n\r\n"
            )
        };
        let answer = "RTSP/1.0 200 OK\r\nCSeq: 1\r\nServer: Media/2\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n";
        let turns = vec![
            Turn::client(ask("DESCRIBE", 1)),
            Turn::server(answer),
            Turn::client(ask("SETUP", 2)),
            Turn::server("RTSP/1.0 454 Session Not Found\r\nCSeq: 2\r\n\r\n"),
        ];
        let mut tape = Tape::new();
        tape.play(0, TcpSession::new(route(40000, 554), turns));
        tape.plain()
    }),
    clean("mqtt", "a sensor connects, publishes short and long, and leaves", (12, 1171), Flows::new(1, 2), || {
        let publish = |topic: &str, content: usize| {
            let len = 2 + topic.len() + content;
            let mut bytes = vec![0x30, len as u8 & 0x7f | if len > 127 { 0x80 } else { 0 }];
            bytes.extend((len > 127).then_some((len >> 7) as u8));
            bytes.extend((topic.len() as u16).to_be_bytes());
            bytes.extend(topic.as_bytes());
            bytes.resize(bytes.len() + content, b'1');
            bytes
        };
        let turns = vec![
            Turn::client(*b"\x10\x12\0\x04MQTT\x04\x02\0\x3c\0\x06sensor"),
            Turn::server(*b"\x20\x02\0\0"),
            Turn::client([publish("home/door", 10), publish("home/lamp", 300)].concat()),
            Turn::client(*b"\xe0\0"),
        ];
        let mut tape = Tape::new();
        tape.play(0, TcpSession::new(route(40000, 1883), turns));
        tape.plain()
    }),
    clean(
        "quic_hello",
        "a QUIC client whose ClientHello takes two datagrams; one of version 2",
        (4, 4942),
        Flows::new(2, 3),
        || {
            let mut rng = Rng::new(4);
            let hello =
                Hello { version: Version::V13, server_name: Some("www.example.org"), alpn: &["h3"], grease: true };
            // Without the record layer.
            let hello = hello.client(&mut rng)[5..].to_vec();
            let (first, rest) = hello.split_at(hello.len() / 2);
            let client = Client {
                version: quic::V1.0,
                salt: quic::V1.1,
                secret: b"chosen-1",
                to: b"chosen-1",
                from: b"client",
                token: b"",
            };
            let other =
                Client { version: quic::V2.0, salt: quic::V2.1, secret: b"chosen-2", to: b"chosen-2", ..client };
            let mut answer = vec![0xc0, 0, 0, 0, 1, 6];
            answer.extend(b"client\x06server\x00\x44\x80");
            answer.resize(answer.len() + 0x480, 0xa5);
            let turns = vec![
                Turn::client(client.initial(&crypto(first.len(), rest))),
                Turn::client(client.initial(&crypto(0, first))),
                Turn::server(answer),
            ];
            let mut tape = Tape::new();
            tape.play(0, Datagrams::udp(route(40000, 443), turns));
            tape.play(
                10 * MILLISECOND,
                Datagrams::udp(route(40001, 443), vec![Turn::client(other.initial(&crypto(0, &hello)))]),
            );
            tape.plain()
        },
    ),
];

/// From the usual client to a group or a broadcast address.
fn to(group: Ipv4Addr, from: u16, port: u16) -> Route {
    Route::new(Host::new(CLIENT, from), Host::new(group, port))
}

/// A NetBIOS message with one question, and one additional record if there is any.
fn netbios(flags: u16, name: &[u8; 16], additional: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34];
    bytes.extend(flags.to_be_bytes());
    bytes.extend([0, 1, 0, 0, 0, 0, 0, u8::from(!additional.is_empty()), 32]);
    bytes.extend(name.iter().flat_map(|byte| [b'A' + (byte >> 4), b'A' + (byte & 15)]));
    bytes.extend([0, 0, 0x20, 0, 1]);
    bytes.extend(additional);
    bytes
}

/// A message of version 4 with a reference and four times, two of them with low bytes.
fn ntp(first: u8, stratum: u8, reference: [u8; 4]) -> Vec<u8> {
    let mut bytes = vec![first, stratum, 6, 0xec, 0, 0, 1, 0, 0, 0, 2, 0];
    bytes.extend(reference);
    for (seconds, fraction) in
        [(0xe8aa_0c40u32, 0x0506_0708u32), (0, 0), (0xe8aa_1c40, 0x8000_0000), (0xe8aa_1c40, 0x8040_2010)]
    {
        bytes.extend(seconds.to_be_bytes());
        bytes.extend(fraction.to_be_bytes());
    }
    bytes
}
