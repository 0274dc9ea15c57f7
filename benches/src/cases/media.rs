//! Calls: streams of media with what goes wrong on their way, and the reports of their receivers (RFC 3550), written byte by byte.
use super::tape::{Tape, route};
use super::{Case, Flows, clean};
use crate::dialog::{Datagrams, Side, Turn};
use crate::{MILLISECOND, SECOND};

pub(super) const CASES: &[Case] = &[clean(
    "rtp",
    "a call: one side loses three packets, one comes late, others earlier or later than they should; reports beside it",
    (121, 25_526),
    Flows::new(2, 4),
    || {
        let mut tape = Tape::new();
        // 30 to 32 are lost, 40 comes behind 41.
        let numbers = (0..30).chain(33..40).chain([41, 40]).chain(42..60);
        let speak = |side, kind, ssrc: u32, numbers: Vec<u16>, pauses: [u64; 3]| {
            let turn = |(at, n): (usize, &u16)| {
                let said = rtp(kind, n.wrapping_add(65_500), 4_000_000_000 + u32::from(*n) * 160, ssrc);
                Turn::new(side, said).after(pauses[at % 3] * MILLISECOND)
            };
            numbers.iter().enumerate().map(turn).collect::<Vec<_>>()
        };
        let caller = speak(Side::Client, 0, 0x1122_3344, numbers.collect(), [20, 24, 16]);
        let callee = speak(Side::Server, 8, 0x5566_7788, (0..60).collect(), [20, 20, 20]);
        tape.play(0, Datagrams::udp(route(20_000, 16_384), caller));
        tape.play(3 * MILLISECOND, Datagrams::udp(route(20_000, 16_384), callee));
        let reports = vec![
            Turn::client(report(0x1122_3344, 0x5566_7788, 0, 3, b"alice@192.0.2.10")),
            Turn::server(report(0x5566_7788, 0x1122_3344, 12, 41, b"bob@198.51.100.20")),
            Turn::client(report(0x1122_3344, 0x5566_7788, 0, 5, b"alice@192.0.2.10")).after(SECOND),
            Turn::server(report(0x5566_7788, 0x1122_3344, 4, 38, b"bob@198.51.100.20")),
        ];
        tape.play(500 * MILLISECOND, Datagrams::udp(route(20_001, 16_384), reports));
        tape.plain()
    },
)];

/// 20 ms of a sound of 8,000 ticks a second.
fn rtp(kind: u8, number: u16, timestamp: u32, ssrc: u32) -> Vec<u8> {
    let head = [&[0x80, kind][..], &number.to_be_bytes(), &timestamp.to_be_bytes(), &ssrc.to_be_bytes()].concat();
    [&head[..], &[0xd5; 160]].concat()
}

/// A sender's report with one about the other side, and the sender's name.
fn report(from: u32, about: u32, lost: u8, jitter: u32, name: &[u8]) -> Vec<u8> {
    let block = [&about.to_be_bytes()[..], &[lost, 0, 0, 3, 0, 0, 0xff, 0xff], &jitter.to_be_bytes(), &[0; 8]].concat();
    let sender = [&[0x81, 200, 0, 12][..], &from.to_be_bytes(), &[0; 20], &block].concat();
    // The end of the items, and padding to a word.
    let padding = vec![0; 4 - (name.len() + 2) % 4];
    let items = [&[1, name.len() as u8][..], name, &padding].concat();
    let words = (items.len() / 4 + 1) as u8;
    [&sender[..], &[0x81, 202, 0, words], &from.to_be_bytes(), &items].concat()
}
