use super::*;
use crate::packet::Direction::{self, Forward, Reverse};
use crate::packet::protocol::{SCTP, TCP, UDP};
use crate::plugin::testing::Harness;
use proptest::prelude::*;

/// A frame from station 1 to station 10.
fn frame(data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x05, 0x64, data.len() as u8 + 5, 0xc4, 10, 0, 1, 0];
    out.extend(checksum(&out).to_le_bytes());
    for block in data.chunks(BLOCK_LEN) {
        out.extend(block);
        out.extend(checksum(block).to_le_bytes());
    }
    out
}

fn play(transport: u8, packets: &[(Direction, Vec<u8>)]) -> Vec<Dnp3Record> {
    let mut h = Harness::<Dnp3>::new(Face::Native);
    for (direction, payload) in packets {
        let (src, dst) = if *direction == Forward { (40_000, 20_000) } else { (20_000, 40_000) };
        h.packet(*direction, src, dst, transport, payload);
    }
    h.records()
}

fn text(r: &Dnp3Record) -> String {
    let mut text = String::new();
    Dnp3::text(r, &mut text);
    text
}

/// The check value of CRC-16/DNP in the catalogue of CRC algorithms.
#[test]
fn the_published_checksum() {
    assert_eq!(checksum(b"123456789"), 0xea82);
}

#[test]
fn functions_and_indications() {
    let read = frame(&[0xc0, 0xc1, 1, 60, 2, 6]);
    let operate = frame(&[0xc1, 0xc2, 5, 12, 1, 0x28, 1, 0, 0, 0, 3, 1, 0xf4, 1, 0, 0, 0xf4, 1, 0, 0, 0]);
    let response = frame(&[0xc0, 0xe1, 129, 0x80, 0x02]);
    let unsolicited = frame(&[0xc0, 0xf1, 130, 0x10, 0]);
    // A message that goes on has no function in its second frame; a frame of the link alone has none.
    let goes_on = frame(&[0x81, 2, 13, 0, 0]);
    let packets = [
        (Forward, read),
        (Reverse, response),
        (Forward, [operate, frame(&[])].concat()),
        (Reverse, [goes_on, unsolicited].concat()),
        (Forward, frame(&[0xc2, 0xd1, 0])),
    ];
    for transport in [TCP, UDP] {
        let want = "dnp3source=1,destination=10,functions=35,responses=3,requests=2,controls=1,indications=0x9002";
        assert_eq!(text(&play(transport, &packets)[0]), want);
    }
}

#[test]
fn what_is_none() {
    let good = frame(&[0xc0, 0xc1, 1, 60, 2, 6]);
    let mut bad = good.clone();
    bad[4] ^= 1;
    let packets = |payload: &[u8]| [(Forward, payload.to_vec())];
    for none in [&bad[..], &good[..9], &[0x05, 0x64, 4, 0, 0, 0, 0, 0, 0, 0], b"GET / HTTP/1.1"] {
        assert!(play(TCP, &packets(none)).is_empty(), "{none:02x?}");
    }
    assert!(play(SCTP, &packets(&good)).is_empty());
    assert_eq!(play(TCP, &packets(&good[..13])).len(), 1, "cut by the snap length");
}

proptest! {
    #[test]
    fn any_bytes_are_survived(data in prop::collection::vec(any::<u8>(), 0..250), cut in 0usize..300, tail in prop::collection::vec(any::<u8>(), 0..30)) {
        let mut payload = [frame(&data), tail].concat();
        payload.truncate(cut);
        let records = play(TCP, &[(Forward, payload.clone()), (Reverse, payload)]);
        prop_assert_eq!(records.len(), usize::from(cut >= HEADER_LEN));
        prop_assert!(records.iter().all(|r| r.controls <= r.requests && r.responses < 8));
    }
}
