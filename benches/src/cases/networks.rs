//! One capture for each protocol by which networks run themselves: a few messages, written byte by byte.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::tape::{CLIENT, CLIENT6, SERVER, SERVER6, Tape, route, route6};
use super::{Case, Flows, clean};
use crate::SECOND;
use crate::dialog::{Datagrams, Host, Route, TcpSession, Turn};

pub(super) const CASES: &[Case] = &[
    clean(
        "dhcp",
        "an address is looked for, offered and renewed; the same in IPv6, once behind a relay",
        (7, 1809),
        Flows::new(5, 7),
        || {
            let names = [&option(12, b"printer-3"), &option(60, b"Example Printer 2")[..]].concat();
            let fingerprint = option(55, &[1, 3, 6, 15, 119, 252]);
            let wanted = option(50, &CLIENT.octets());
            let discover = dhcp(1, 1, Ipv4Addr::UNSPECIFIED, &[&names[..], &fingerprint, &wanted].concat());
            let lease = [option(54, &SERVER.octets()), option(51, &3600u32.to_be_bytes())].concat();
            let (offer, ack) = (dhcp(2, 2, CLIENT, &lease), dhcp(2, 5, CLIENT, &lease));
            let renew = dhcp(1, 3, Ipv4Addr::UNSPECIFIED, &[&names[..], &fingerprint].concat());
            let hosts = |from: IpAddr, from_port: u16, to: IpAddr, to_port: u16| {
                Route::new(Host::new(from, from_port), Host::new(to, to_port))
            };
            let (nobody, all) = (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::BROADCAST.into());
            let mut tape = Tape::new();
            tape.play(0, Datagrams::udp(hosts(nobody, 68, all, 67), vec![Turn::client(discover)]));
            tape.play(SECOND, Datagrams::udp(hosts(SERVER.into(), 67, all, 68), vec![Turn::client(offer)]));
            tape.play(2 * SECOND, Datagrams::udp(route(68, 67), vec![Turn::client(renew), Turn::server(ack)]));

            let relays = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2).into();
            let solicit = dhcp6(1, &[(39, b"\x00\x06laptop\x07example\x00"), (16, VENDOR6), (6, &[0, 23, 0, 24])]);
            let relayed = [&[12, 0][..], &SERVER6.octets(), &CLIENT6.octets(), &options6(&[(9, &solicit)])].concat();
            let address = [&CLIENT6.octets()[..], &[0, 0, 7, 8, 0, 0, 14, 16]].concat();
            let association = [&[0, 0, 0, 1, 0, 0, 3, 132, 0, 0, 5, 160][..], &options6(&[(5, &address)])].concat();
            let server = (2, &[0, 3, 0, 1, 2, 0, 0, 0, 0, 1][..]);
            let (request, reply) = (dhcp6(3, &[server, (3, &association)]), dhcp6(7, &[server, (3, &association)]));
            tape.play(3 * SECOND, Datagrams::udp(hosts(CLIENT6.into(), 546, relays, 547), vec![Turn::client(relayed)]));
            tape.play(4 * SECOND, Datagrams::udp(route6(546, 547), vec![Turn::client(request), Turn::server(reply)]));
            tape.plain()
        },
    ),
    clean(
        "snmp",
        "a question and a refused change with communities, a trap, and an engine that is asked for its name",
        (7, 687),
        Flows::new(3, 5),
        || {
            let description = [0x2b, 6, 1, 2, 1, 1, 1, 0];
            let get = community(1, &pdu(0, 0, &description));
            let answer = community(1, &pdu(2, 0, &description));
            let (set, refusal) = (community(1, &pdu(3, 0, &description)), community(1, &pdu(2, 6, &description)));
            let agent = ber(0x40, &[&CLIENT.octets()]);
            let trap =
                [&ber(6, &[&[0x2b, 6, 1, 4, 1, 0x8f, 0x65]]), &agent[..], &[2, 1, 6, 2, 1, 1, 0x43, 1, 9, 0x30, 0]];
            let asks = engine(4, &[], &pdu(0, 0, &[0x2b, 6]));
            let tells =
                engine(0, &[0x80, 0, 0x1f, 0x88, 4, b's', b'w'], &pdu(8, 0, &[0x2b, 6, 1, 6, 3, 15, 1, 1, 4, 0]));
            let talk = vec![Turn::client(get), Turn::server(answer), Turn::client(set), Turn::server(refusal)];
            let mut tape = Tape::new();
            tape.play(0, Datagrams::udp(route(40001, 161), talk));
            tape.play(SECOND, Datagrams::udp(route(40002, 162), vec![Turn::client(community(0, &ber(0xa4, &trap)))]));
            tape.play(2 * SECOND, Datagrams::udp(route6(40003, 161), vec![Turn::client(asks), Turn::server(tells)]));
            tape.plain()
        },
    ),
    clean(
        "stun",
        "a client learns its address, another one is given a relay over TCP after a refusal",
        (13, 1078),
        Flows::new(2, 4),
        || {
            let software = attribute(0x8022, b"Example ICE 1.2");
            let binding = stun(0x0001, &[&software, &attribute(0x0024, &[0x6e, 0, 1, 0xff])[..]].concat());
            let answer = stun(0x0101, &[mapped(0x0020, CLIENT, 40001), attribute(0x8022, b"server-3")].concat());
            let refusal = [attribute(9, b"\0\0\x04\x01Unauthorized"), attribute(0x14, b"turn.example.org")].concat();
            let granted = [mapped(0x16, SERVER, 50000), mapped(0x20, CLIENT, 40002)].concat();
            let allocate = stun(0x0003, &attribute(0x19, &[17, 0, 0, 0]));
            let turns = vec![
                Turn::client(allocate.clone()),
                Turn::server(stun(0x0113, &refusal)),
                Turn::client(allocate),
                Turn::server(stun(0x0103, &granted)),
            ];
            let mut tape = Tape::new();
            tape.play(0, Datagrams::udp(route(40001, 3478), vec![Turn::client(binding), Turn::server(answer)]));
            tape.play(SECOND, TcpSession::new(route(40002, 3478), turns));
            tape.plain()
        },
    ),
];

fn option(code: u8, value: &[u8]) -> Vec<u8> {
    [&[code, value.len() as u8][..], value].concat()
}

/// A message of DHCP (RFC 2131 section 2) of a client with a MAC address of its own, padded to 300 bytes as BOOTP wants it.
fn dhcp(op: u8, kind: u8, yours: Ipv4Addr, options: &[u8]) -> Vec<u8> {
    let mut bytes = vec![op, 1, 6, 0, 0x3d, 0x1d, 0x8f, 0x03, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend(yours.octets());
    bytes.resize(28, 0);
    bytes.extend([2, 0, 0, 0, 0, 0x10]);
    bytes.resize(236, 0);
    bytes.extend([99, 130, 83, 99, 53, 1, kind]);
    bytes.extend(options);
    bytes.push(255);
    bytes.resize(bytes.len().max(300), 0);
    bytes
}

/// Enterprise 311, one item.
const VENDOR6: &[u8] = b"\x00\x00\x01\x37\x00\x08MSFT 5.0";

/// A message of DHCPv6 (RFC 8415 section 8) of a client with a DUID of its MAC address.
fn dhcp6(kind: u8, options: &[(u16, &[u8])]) -> Vec<u8> {
    let client = options6(&[(1, &[0, 3, 0, 1, 2, 0, 0, 0, 0, 0x10])]);
    [&[kind, 0x10, 0x08, 0x74][..], &client, &options6(options)].concat()
}

fn options6(options: &[(u16, &[u8])]) -> Vec<u8> {
    let one =
        |(code, value): &(u16, &[u8])| [&code.to_be_bytes()[..], &(value.len() as u16).to_be_bytes(), value].concat();
    options.iter().flat_map(one).collect()
}

/// A value of ASN.1 shorter than 128 bytes.
fn ber(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    [&[tag, content.len() as u8][..], &content].concat()
}

fn pdu(kind: u8, status: u8, object: &[u8]) -> Vec<u8> {
    let variable = ber(0x30, &[&ber(6, &[object]), &[5, 0]]);
    ber(0xa0 + kind, &[&[2, 1, 7, 2, 1, status, 2, 1, 0], &ber(0x30, &[&variable])])
}

fn community(version: u8, pdu: &[u8]) -> Vec<u8> {
    ber(0x30, &[&[2, 1, version], &ber(4, &[b"s3cret"]), pdu])
}

/// A message of version 3 (RFC 3412 section 6) in the clear.
fn engine(flags: u8, engine: &[u8], pdu: &[u8]) -> Vec<u8> {
    let user = ber(0x30, &[&ber(4, &[engine]), &[2, 1, 0, 2, 1, 0, 4, 0, 4, 0, 4, 0]]);
    let scoped = ber(0x30, &[&ber(4, &[engine]), &[4, 0], pdu]);
    let header = ber(0x30, &[&[2, 1, 1, 2, 2, 5, 0xdc, 4, 1, flags, 2, 1, 3]]);
    ber(0x30, &[&[2, 1, 3], &header, &ber(4, &[&user]), &scoped])
}

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// A message of STUN (RFC 8489 section 5).
fn stun(kind: u16, attributes: &[u8]) -> Vec<u8> {
    let len = attributes.len() as u16;
    [&kind.to_be_bytes()[..], &len.to_be_bytes(), &COOKIE, b"transaction1", attributes].concat()
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let padding = vec![0; value.len().next_multiple_of(4) - value.len()];
    [&kind.to_be_bytes()[..], &(value.len() as u16).to_be_bytes(), value, &padding].concat()
}

/// An address mixed with the cookie.
fn mapped(kind: u16, ip: Ipv4Addr, port: u16) -> Vec<u8> {
    let mixed = |bytes: [u8; 4]| [0, 1, 2, 3].map(|at: usize| bytes[at] ^ COOKIE[at]);
    let [high, low] = port.to_be_bytes();
    let [a, b, ..] = mixed([high, low, 0, 0]);
    attribute(kind, &[&[0, 1, a, b][..], &mixed(ip.octets())].concat())
}
