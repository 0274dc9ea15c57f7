use super::*;
use crate::packet::Direction::{Forward, Reverse};
use crate::packet::protocol::{SCTP, TCP, UDP};
use crate::plugin::testing::Harness;
use proptest::prelude::*;

const TORRENT: &[u8; ID_LEN] = b"torrenttorrenttorren";
const UTP: &[u8; UTP_HEADER_LEN] = b"\x01\x0001234567890123456\x00";

fn handshake(peer: &[u8]) -> Vec<u8> {
    [&NAME[..], &[0, 0, 0, 0, 0, 0x10, 0, 5], TORRENT, peer].concat()
}
fn query(name: &str, arguments: &str) -> Vec<u8> {
    let len = name.len();
    format!("d1:ad2:id20:nodenodenodenodenode{arguments}e1:q{len}:{name}1:t2:aa1:v4:LT\u{1}\u{2}1:y1:qe").into_bytes()
}
const RESPONSE: &[u8] = b"d2:ip6:abcdef1:rd2:id20:edonedonedonedonedon5:nodes0:e1:t2:aa1:v4:UT6H1:y1:re";
const ERROR: &[u8] = b"d1:eli201e5:Wronge1:t2:aa1:y1:ee";

/// Messages by turns, the client's first.
fn play(transport: u8, messages: &[Vec<u8>]) -> Vec<BittorrentRecord> {
    let mut h = Harness::<Bittorrent>::new(Face::Native);
    for (nth, message) in messages.iter().enumerate() {
        match nth % 2 {
            0 => h.packet(Forward, 40_000, 6881, transport, message),
            _ => h.packet(Reverse, 6881, 40_000, transport, message),
        };
    }
    h.records()
}

fn text(messages: &[Vec<u8>]) -> String {
    let mut text = String::new();
    play(UDP, messages).iter().for_each(|r| Bittorrent::text(r, &mut text));
    text
}

#[test]
fn handshakes() {
    let sides = [handshake(b"-TR4050-abcdefghijkl"), handshake(b"S58B-\x01\x02\x03abcdefghijkl")];
    let by_utp = sides.clone().map(|message| [&UTP[..], &message].concat());
    for (transport, messages, seen) in [(TCP, &sides, BY_TCP), (UDP, &by_utp, BY_UTP)] {
        let r = &play(transport, messages)[0];
        assert_eq!((r.seen, r.info_hash.as_bytes()), (seen, &TORRENT[..]));
        assert_eq!((r.client.as_bytes(), r.client_rev.as_bytes()), (&b"-TR4050-"[..], &b"S58B-"[..]));
    }
    // The peer's id follows when the other side has answered.
    let r = &play(TCP, &[handshake(b"")])[0];
    assert_eq!((r.info_hash.as_bytes(), r.client.len()), (&TORRENT[..], 0));
}

#[test]
fn the_distributed_table() {
    let get_peers = query("get_peers", "9:info_hash20:torrenttorrenttorren");
    let messages = [get_peers, RESPONSE.to_vec(), query("ping", ""), ERROR.to_vec(), query("vote", "")];
    let node = |name: &str| name.repeat(5).bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let torrent: String = TORRENT.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        text(&messages),
        format!(
            "btseen=4,infohash={torrent},client=\"LT\",clientrev=\"UT6H\",node={},noderev={},queries=133,requests=3,responses=1,errors=1",
            node("node"),
            node("edon")
        )
    );
}

#[test]
fn what_is_none() {
    let other_id = b"d1:ad2:id3:abce1:q4:ping1:t1:a1:y1:qe".to_vec();
    for none in [ERROR.to_vec(), other_id, b"d8:announce3:abce".to_vec(), b"d1:y1:qe".to_vec(), b"d1:q".to_vec()] {
        assert!(play(UDP, &[none]).is_empty());
    }
    assert!(play(TCP, &[query("ping", "")]).is_empty(), "the table is asked over UDP");
    assert!(play(TCP, &[handshake(b"")[..47].to_vec()]).is_empty());
    assert!(play(UDP, &[handshake(b"-TR4050-abcdefghijkl")]).is_empty(), "uTP has a header");
    let mut h = Harness::<Bittorrent>::new(Face::Native);
    assert_eq!(h.packet(Forward, 40_000, 6881, SCTP, &handshake(b"")), Step::Done);
    for begin in [&b"d8:announce"[..], b"d1", b"\x13bit", &UTP[..], &[1, 0, 0, 0]] {
        assert!(!Bittorrent::may_begin(begin), "{begin:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(at: prop::sample::Index, byte: u8, cut: prop::sample::Index, which in 0usize..4) {
        let utp = [&UTP[..], &handshake(b"-TR4050-abcdefghijkl")].concat();
        let mut message = [query("find_node", "6:target20:aaaaaaaaaaaaaaaaaaaa"), RESPONSE.to_vec(), ERROR.to_vec(), utp][which].clone();
        let at = at.index(message.len());
        message[at] = byte;
        message.truncate(cut.index(message.len() + 1));
        for transport in [TCP, UDP] {
            let records = play(transport, std::slice::from_ref(&message));
            prop_assert!(records.len() <= 1);
            prop_assert!(records.iter().all(|r| r.seen != 0));
        }
    }
}
