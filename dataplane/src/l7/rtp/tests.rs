use super::*;
use crate::packet::Direction::{Forward, Reverse};
use crate::packet::protocol::UDP;
use crate::plugin::testing::Harness;
use proptest::prelude::*;

const PCMU: u8 = 0;
/// 20 ms of PCMU.
const TICKS: u32 = 160;

fn packet(kind: u8, number: u16, timestamp: u32, ssrc: u32) -> Vec<u8> {
    let head = [&[0x80, kind][..], &number.to_be_bytes(), &timestamp.to_be_bytes(), &ssrc.to_be_bytes()].concat();
    [&head[..], &[0xd5; 160]].concat()
}

/// A flow through the plugin; each packet comes 20 ms behind the one before.
struct Call(Harness<Rtp>);

impl Call {
    fn new() -> Call {
        Call(Harness::new(Face::Native))
    }

    fn say(&mut self, direction: Direction, payload: &[u8]) {
        let (src, dst) = if direction == Forward { (20_000, 30_000) } else { (30_000, 20_000) };
        self.0.pause(19);
        self.0.packet(direction, src, dst, UDP, payload);
    }

    /// Packets of one source, each stamped by its number.
    fn speak(&mut self, numbers: impl IntoIterator<Item = u16>) {
        numbers.into_iter().for_each(|n| self.say(Forward, &packet(PCMU, n, u32::from(n) * TICKS, 7)));
    }

    fn record(mut self) -> RtpRecord {
        let records = self.0.records();
        assert_eq!(records.len(), 1);
        records[0].clone()
    }
}

#[test]
fn a_stream_as_it_should_be() {
    let mut call = Call::new();
    call.speak(0..50);
    let r = call.record();
    assert_eq!((r.packets, r.lost, r.late, r.jitter_max, r.gap_max), (50, 0, 0, 0, 20_000));
    assert_eq!((r.payload_type, r.ssrc, r.clock, r.packets_rev), (PCMU, 7, 8_000, 0));
}

#[test]
fn what_is_lost_and_what_is_late() {
    let mut call = Call::new();
    // 7 and 8 come late, 12 twice, 20 to 24 never; the numbers begin just before they wrap.
    let numbers = (0..7).chain(9..12).chain([7, 8, 12, 12]).chain(13..20).chain(25..40);
    call.speak(numbers.map(|n: u16| n.wrapping_sub(5)));
    let r = call.record();
    assert_eq!((r.packets, r.lost, r.late), (36, 5, 2));
    assert!(r.jitter_max > 0 && r.gap_max == 20_000, "{r:?}");
}

#[test]
fn sources_and_numbers_that_begin_anew_lose_nothing() {
    let mut call = Call::new();
    call.speak(0..10);
    call.speak(40_000..40_010);
    (0..10).for_each(|n| call.say(Forward, &packet(PCMU, n, 0, 8)));
    let r = call.record();
    assert_eq!((r.packets, r.lost, r.late, r.ssrc), (30, 0, 0, 7));
}

#[test]
fn clocks_of_types_without_one_are_found() {
    for (clock, ticks) in [(48_000, 960), (90_000, 1_800), (16_000, 320)] {
        let mut call = Call::new();
        (0..60).for_each(|n| call.say(Reverse, &packet(111, n, u32::from(n) * ticks, 9)));
        let r = call.record();
        assert_eq!(
            (r.clock_rev, r.payload_type_rev, r.jitter_max_rev),
            (clock, 111, 0),
            "the first packet was reverse"
        );
    }
}

#[test]
fn what_only_begins_alike_is_no_record() {
    let mut call = Call::new();
    // Numbers that do not go on, sources that change, too few packets.
    (0..20).for_each(|n| call.say(Forward, &packet(PCMU, n * 3, 0, 7)));
    assert_eq!(call.0.records().len(), 0);
    (0..20).for_each(|n| call.say(Forward, &packet(PCMU, n, 0, n.into())));
    assert_eq!(call.0.records().len(), 0);
    call.speak(0..2);
    assert_eq!(call.0.records().len(), 0);
    // A direction that is none does not take the other's record away.
    (0..30).for_each(|n| {
        call.say(Forward, &packet(PCMU, n, 0, 7));
        call.say(Reverse, &packet(PCMU, n * 9, 0, n.into()));
    });
    assert_eq!(call.record().packets, 30);
}

#[test]
fn reports_of_receivers() {
    let block = [&7u32.to_be_bytes()[..], &[64, 0, 0, 9], &[0; 4], &300u32.to_be_bytes(), &[0; 8]].concat();
    let sender = [&[0x81, 200, 0, 12][..], &[0; 24], &block].concat();
    let name = [&[0x81, 202, 0, 4][..], &[0; 4], b"\x01\x07a@host1\0\0\0"].concat();
    let receiver = [&[0x81, 201, 0, 7][..], &[0; 4], &block].concat();
    let mut call = Call::new();
    call.say(Forward, &[&sender[..], &name].concat());
    call.say(Reverse, &receiver);
    // Cut, longer than it says, not a report first: nothing of RTCP.
    call.say(Reverse, &receiver[..receiver.len() - 1]);
    call.say(Reverse, &[&receiver[..], &[0]].concat());
    call.say(Reverse, &name);
    let r = call.record();
    assert_eq!((r.reports, r.reports_rev, r.reported_loss, r.reported_jitter), (1, 1, 64, 300));
    assert_eq!((r.cname.as_bytes(), r.packets, r.packets_rev), (&b"a@host1"[..], 0, 0));
    let mut text = String::new();
    Rtp::summary(&r, &mut text);
    assert_eq!(text, "rtcp 2 reports");
}

proptest! {
    /// In whatever order packets come, each that is neither lost nor a restart is counted once, and none is lost that came.
    #[test]
    fn shuffled(order in Just((3u16..60).collect::<Vec<_>>()).prop_shuffle(), kept in prop::collection::vec(any::<bool>(), 57)) {
        let mut call = Call::new();
        call.speak(0..3);
        let sent: Vec<_> = order.into_iter().zip(kept).filter(|(_, is_kept)| *is_kept).map(|(n, _)| n).collect();
        call.speak(sent.iter().copied());
        let r = call.record();
        prop_assert_eq!(usize::try_from(r.packets).unwrap(), sent.len() + 3);
        let highest = sent.iter().copied().max().unwrap_or(2);
        prop_assert_eq!(u32::from(highest) + 1 - r.packets, r.lost);
    }
}
