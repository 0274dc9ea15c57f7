//! Programs that speak to their like: handshakes and queries of BitTorrent, written byte by byte.
use super::tape::{Tape, route, route6};
use super::{Case, Flows, clean};
use crate::SECOND;
use crate::dialog::{Datagrams, TcpSession, Turn};

pub(super) const CASES: &[Case] = &[clean(
    "bittorrent",
    "two peers greet each other, two nodes of the DHT look for a torrent, and a node that does not understand",
    (16, 1609),
    Flows::new(3, 6),
    || {
        let greetings = vec![
            Turn::client(handshake("-TR4050-k8hj0wgej6ch")),
            Turn::server(handshake("-qB4520-abcdefghijkl")),
            // Unchoke, interested.
            Turn::client(vec![0, 0, 0, 1, 1, 0, 0, 0, 1, 2]),
        ];
        let looked_for = vec![
            Turn::client(query("find_node", &["6:target20:", "mnopqrstuvwxyz123456"].concat())),
            Turn::server(response("5:nodes26:abcdefghij0123456789\x0a\x01\x02\x03\x1a\x71")),
            Turn::client(query("get_peers", &["9:info_hash20:", TORRENT].concat())),
            Turn::server(response("5:token8:aoeusnth6:valuesl6:\x0a\x01\x02\x04\x1a\x72e")),
        ];
        let not_understood =
            vec![Turn::client(query("ping", "")), Turn::server(b"d1:eli203e14:Protocol Errore1:t2:aa1:y1:ee".to_vec())];
        let mut tape = Tape::new();
        tape.play(0, TcpSession::new(route(40001, 6881), greetings));
        tape.play(SECOND, Datagrams::udp(route(6881, 6882), looked_for));
        tape.play(2 * SECOND, Datagrams::udp(route6(6881, 6882), not_understood));
        tape.plain()
    },
)];

const TORRENT: &str = "mnopqrstuvwxyz123456";

/// BEP 3, with bits for the extension protocol and the DHT.
fn handshake(peer: &str) -> Vec<u8> {
    [b"\x13BitTorrent protocol", &[0, 0, 0, 0, 0, 0x10, 0, 1][..], TORRENT.as_bytes(), peer.as_bytes()].concat()
}

/// BEP 5, KRPC.
fn query(name: &str, arguments: &str) -> Vec<u8> {
    let len = name.len();
    format!("d1:ad2:id20:abcdefghij0123456789{arguments}e1:q{len}:{name}1:t2:aa1:v4:LT\u{1}\u{2}1:y1:qe").into_bytes()
}

fn response(values: &str) -> Vec<u8> {
    format!("d1:rd2:id20:0123456789abcdefghij{values}e1:t2:aa1:v4:UT\u{1}\u{3}1:y1:re").into_bytes()
}
