use super::*;
use crate::packet::Direction::{Forward, Reverse};
use crate::packet::protocol::{TCP, UDP};
use crate::plugin::testing::Harness;
use proptest::prelude::*;

fn adu(transaction: u8, function: u8, data: &[u8]) -> Vec<u8> {
    [&[0, transaction, 0, 0, 0, data.len() as u8 + 2, 17, function][..], data].concat()
}

/// Packets of a client and a server on this port.
fn play(port: u16, packets: &[(Direction, Vec<u8>)]) -> Vec<ModbusRecord> {
    let mut h = Harness::<Modbus>::new(Face::Native);
    for (direction, payload) in packets {
        let (src, dst) = if *direction == Forward { (40_000, port) } else { (port, 40_000) };
        assert_eq!(h.packet(*direction, src, dst, TCP, payload), Step::More);
    }
    h.records()
}

fn talk() -> Vec<(Direction, Vec<u8>)> {
    vec![
        (Forward, adu(1, 3, &[0, 107, 0, 3])),
        (Reverse, adu(1, 3, &[6, 0, 1, 0, 2, 0, 3])),
        // Two requests in a packet, of which one fails.
        (Forward, [adu(2, 16, &[0, 1, 0, 1, 2, 0, 9]), adu(3, 6, &[0, 9, 0, 3])].concat()),
        (Reverse, adu(2, 16, &[0, 1, 0, 1])),
        (Reverse, adu(3, 0x86, &[2])),
        (Forward, adu(4, 100, &[1, 2, 3])),
    ]
}

fn text(r: &ModbusRecord) -> String {
    let mut text = String::new();
    Modbus::text(r, &mut text);
    text
}

#[test]
fn functions_and_exceptions() {
    for port in [502, 1502] {
        let records = play(port, &talk());
        let functions = 1 | 1 << 3 | 1 << 6 | 1 << 16;
        let want = format!("modbusunit=17,functions={functions},requests=4,writes=2,exceptions=1,exception=2");
        assert_eq!(text(&records[0]), want, "port {port}");
    }
}

#[test]
fn a_flow_that_begins_with_an_answer() {
    let mut h = Harness::<Modbus>::new(Face::Native);
    h.packet(Forward, 502, 40_000, TCP, &adu(1, 1, &[1, 5]));
    h.packet(Reverse, 40_000, 502, TCP, &adu(2, 1, &[0, 0, 0, 8]));
    h.packet(Forward, 502, 40_000, TCP, &adu(2, 0x81, &[4]));
    let records = h.records();
    assert_eq!((records[0].requests, records[0].exceptions, records[0].exception), (1, 1, 4));
}

#[test]
fn what_is_none() {
    let request = adu(1, 3, &[0, 107, 0, 3]);
    // Requests alone, or answers to something else, on a port of others.
    assert!(play(1502, &[(Forward, request.clone())]).is_empty());
    for other in [adu(2, 3, &[2, 0, 1]), adu(1, 4, &[2, 0, 1])] {
        assert!(play(1502, &[(Forward, request.clone()), (Reverse, other)]).is_empty());
    }
    // Forms that requests have not, of which the answers would fit.
    for (function, data) in [(3, &[0, 1, 0][..]), (7, &[1]), (16, &[0, 1, 0, 1, 9, 0]), (65, &[]), (43, &[1])] {
        let packets = [(Forward, adu(1, function, data)), (Reverse, adu(1, function, data))];
        assert!(play(1502, &packets).is_empty(), "{function}");
    }
    let mut long = request.clone();
    long[5] += 1;
    for none in [long, adu(1, 0, &[0; 4]), vec![0; 7], b"GET / HTTP/1.1".to_vec()] {
        assert!(play(502, &[(Forward, none)]).is_empty());
    }
    let mut h = Harness::<Modbus>::new(Face::Native);
    assert_eq!(h.packet(Forward, 40_000, 502, UDP, &request), Step::Done);
}

proptest! {
    /// Every packet that a look lets pass is survived, and nobody writes more often than he asks.
    #[test]
    fn any_bytes_are_survived(packets in prop::collection::vec((any::<bool>(), 0u8..30, prop::collection::vec(any::<u8>(), 0..20), 0usize..40), 1..20)) {
        for port in [502, 1502] {
            let packets: Vec<_> = packets.iter().map(|(forward, function, data, cut)| {
                let mut payload = adu(1, *function, data);
                payload.truncate(payload.len().saturating_sub(cut.saturating_sub(30)));
                (if *forward { Forward } else { Reverse }, payload)
            }).collect();
            let records = play(port, &packets);
            prop_assert!(records.len() <= 1);
            prop_assert!(records.iter().all(|r| r.writes <= r.requests && (r.requests == 0) == (r.functions == 0)));
        }
    }
}
