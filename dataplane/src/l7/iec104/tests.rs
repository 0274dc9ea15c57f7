use super::*;
use crate::packet::Direction::{self, Forward, Reverse};
use crate::packet::protocol::{TCP, UDP};
use crate::plugin::testing::Harness;
use proptest::prelude::*;

fn unit(control: [u8; 4], asdu: &[u8]) -> Vec<u8> {
    [&[START, asdu.len() as u8 + 4][..], &control, asdu].concat()
}
fn control(function: u8) -> Vec<u8> {
    unit([function << 2 | 3, 0, 0, 0], &[])
}
/// One object without a value's meaning, station 0x0103.
fn information(kind: u8, cause: u8) -> Vec<u8> {
    unit([2, 0, 4, 0], &[kind, 1, cause, 0, 3, 1, 7, 0, 0, 1])
}
const SUPERVISION: [u8; 6] = [START, 4, 1, 0, 2, 0];

fn play(port: u16, packets: &[(Direction, Vec<u8>)]) -> Vec<Iec104Record> {
    let mut h = Harness::<Iec104>::new(Face::Native);
    for (direction, payload) in packets {
        let (src, dst) = if *direction == Forward { (40_000, port) } else { (port, 40_000) };
        assert_eq!(h.packet(*direction, src, dst, TCP, payload), Step::More);
    }
    h.records()
}

fn text(r: &Iec104Record) -> String {
    let mut text = String::new();
    Iec104::text(r, &mut text);
    text
}

#[test]
fn a_connection() {
    let packets = [
        (Forward, control(1)),
        (Reverse, control(2)),
        (Forward, information(100, 6)),
        (Reverse, [information(100, 7), information(1, 20), information(1, 3)].concat()),
        (Forward, SUPERVISION.to_vec()),
        (Forward, information(45, 6)),
        (Reverse, information(45, 7 | NEGATIVE)),
        (Forward, control(16)),
        (Reverse, control(32)),
    ];
    for port in [2404, 19_998] {
        let causes = 1u64 << 6 | 1 << 7 | 1 << 20 | 1 << 3;
        let want =
            format!("iec104types=(100,1,45),causes={causes},controls=51,address=259,messages=6,commands=1,negatives=1");
        assert_eq!(text(&play(port, &packets)[0]), want);
    }
}

#[test]
fn types_are_listed_as_far_as_there_is_room() {
    let packets: Vec<_> = (1..40).map(|kind| (Forward, information(kind, 3))).collect();
    let records = play(2404, &packets);
    assert_eq!((records[0].types.len(), records[0].messages), (TYPES_MAX, 39));
}

#[test]
fn what_is_none() {
    // In the midst of a connection on another port there is no start.
    assert!(play(80, &[(Forward, information(1, 3)), (Forward, SUPERVISION.to_vec())]).is_empty());
    let controls = [control(3), unit([7, 0, 1, 0], &[]), unit([7, 0, 0, 0], &[0]), unit([3, 0, 0, 0], &[])];
    let others = [unit([1, 0, 1, 0], &[]), unit([0, 0, 1, 0], &[0; 9]), unit([0; 4], &[1; 8]), information(128, 3)];
    for none in controls.into_iter().chain(others).chain([vec![START, 3, 0, 0, 0, 0], information(1, 3)[..9].to_vec()])
    {
        assert!(play(2404, &[(Forward, none.clone())]).is_empty(), "{none:02x?}");
    }
    let mut h = Harness::<Iec104>::new(Face::Native);
    assert_eq!(h.packet(Forward, 40_000, 2404, UDP, &control(1)), Step::Done);
}

proptest! {
    #[test]
    fn any_bytes_are_survived(fields: [u8; 4], asdu in prop::collection::vec(any::<u8>(), 0..40), cut in 0usize..90) {
        let mut payload = [control(1), unit(fields, &asdu), information(1, 3)].concat();
        payload.truncate(cut);
        let records = play(2404, &[(Forward, payload.clone()), (Reverse, payload)]);
        prop_assert!(records.len() <= 1);
        prop_assert!(records.iter().all(|r| r.types.len() <= r.messages as usize && r.commands <= r.messages));
    }
}
