use super::*;
use crate::packet::Direction::{Forward, Reverse};
use crate::packet::tcp::{ACK, FIN, RST, SYN};
use crate::plugin::testing::{Harness, frame};
use proptest::prelude::*;
use stream::GAPS_MAX;

/// One packet: numbers count from each side's SYN, which has 0.
#[derive(Clone, Copy, Debug)]
struct Said {
    direction: Direction,
    flags: u8,
    seq: u32,
    ack: u32,
    len: usize,
    window: u16,
    /// Milliseconds after the packet before.
    pause: u64,
    options: &'static [u8],
}

const fn said(direction: Direction, flags: u8, seq: u32, ack: u32, len: usize) -> Said {
    Said { direction, flags, seq, ack, len, window: 512, pause: 1, options: &[] }
}

impl Said {
    const fn after(mut self, pause: u64) -> Said {
        self.pause = pause;
        self
    }
    const fn window(mut self, window: u16) -> Said {
        self.window = window;
        self
    }
}

const SCALE_7: &[u8] = &[1, 3, 3, 7];
const SCALE_99: &[u8] = &[1, 3, 3, 99];

/// A handshake of 20 ms behind us and 10 ms before us.
const HANDSHAKE: [Said; 3] = [
    Said { options: SCALE_7, ..said(Forward, SYN, 0, 0, 0) },
    Said { options: SCALE_99, ..said(Reverse, SYN | ACK, 0, 1, 0).after(20) },
    said(Forward, ACK, 1, 1, 0).after(10),
];

/// Where both sides' numbers begin in most tests: they wrap soon.
const ISN: [u32; 2] = [u32::MAX - 1500, u32::MAX - 700];

fn play_from(isn: [u32; 2], packets: &[Said]) -> TcpQualityRecord {
    let mut h = Harness::<TcpQuality>::new(Face::Native);
    for s in packets {
        let (own, peer) = if s.direction == Forward { (isn[0], isn[1]) } else { (isn[1], isn[0]) };
        let ports = if s.direction == Forward { (1, 2) } else { (2, 1) };
        let (mut packet, mut bytes) = frame(s.direction, ports.0, ports.1, protocol::TCP, s.options, &vec![7; s.len]);
        bytes[24..28].copy_from_slice(&own.wrapping_add(s.seq).to_be_bytes());
        bytes[28..32].copy_from_slice(&peer.wrapping_add(s.ack).to_be_bytes());
        bytes[34..36].copy_from_slice(&s.window.to_be_bytes());
        (bytes[33], packet.tcp_flags) = (s.flags, s.flags);
        // The harness adds a millisecond.
        h.pause(s.pause.saturating_sub(1));
        h.frame(s.direction, packet, &bytes);
    }
    let mut records = h.records();
    assert_eq!(records.len(), 1);
    records.remove(0)
}

fn play(packets: &[Said]) -> TcpQualityRecord {
    play_from(ISN, packets)
}

/// Behind the handshake.
fn talk(packets: &[Said]) -> TcpQualityRecord {
    play(&[&HANDSHAKE[..], packets].concat())
}

/// 1000 bytes each, the client's.
const fn data(number: u32) -> Said {
    said(Forward, ACK, 1 + number * 1000, 1, 1000)
}

/// The server has the client's bytes up to this number.
const fn has(ack: u32) -> Said {
    said(Reverse, ACK, 1, ack, 0)
}

#[test]
fn the_handshake_has_two_halves() {
    let r = talk(&[data(0), has(1001)]);
    assert_eq!((r.rtt_server, r.rtt_client), (20_000, 10_000));
    assert_eq!((r.window_scale, r.window_scale_rev), (7, 14));
    assert_eq!((r.retransmitted, r.out_of_order, r.gaps, r.missing_bytes, r.unseen_bytes), (0, 0, 0, 0, 0));
}

#[test]
fn a_half_that_may_be_wrong_is_not_told() {
    let [syn, syn_ack, ack] = HANDSHAKE;
    let halves = |packets: &[Said]| {
        let r = play(packets);
        (r.rtt_server, r.rtt_client, r.retransmitted, r.retransmitted_rev)
    };
    assert_eq!(halves(&[syn, syn.after(1000), syn_ack, ack]), (0, 10_000, 1, 0), "which SYN was answered?");
    assert_eq!(halves(&[syn, syn_ack, syn_ack.after(1000), ack]), (20_000, 0, 0, 1), "which SYN-ACK?");
    assert_eq!(halves(&[syn, syn_ack, syn.after(900), syn_ack, ack]), (20_000, 0, 1, 1));
    assert_eq!(halves(&[syn_ack, ack]), (0, 10_000, 0, 0), "the capture begins late");
    assert_eq!(halves(&[syn, ack]), (0, 0, 0, 0));
    // The first acknowledgement was not seen: this one waited for the server's greeting.
    let greeting = said(Reverse, ACK, 1, 1, 50);
    assert_eq!(halves(&[syn, syn_ack, greeting, said(Forward, ACK, 1, 51, 0)]), (20_000, 0, 0, 0));
    // Data in the SYN (RFC 7413).
    let fast = Said { len: 100, ..syn };
    assert_eq!(
        halves(&[fast, said(Reverse, SYN | ACK, 0, 101, 0).after(5), said(Forward, ACK, 101, 1, 0)]),
        (5000, 1000, 0, 0)
    );
}

/// The ports are used again, without an ending that would have cut the flow.
#[test]
fn another_connection_is_no_retransmission() {
    let other = |s: Said| Said { seq: s.seq.wrapping_sub(5_000_000), ack: s.ack.wrapping_sub(5_000_000), ..s };
    let [syn, syn_ack, ack] = HANDSHAKE.map(other);
    let again = [syn.after(2000), Said { ack: syn_ack.ack, ..syn_ack.after(3) }, ack.after(4)];
    let r = talk(&[&[data(0), has(1001)][..], &again].concat());
    assert_eq!((r.rtt_server, r.rtt_client), (3000, 4000));
    assert_eq!((r.retransmitted, r.retransmitted_rev, r.gaps, r.gaps_rev, r.unseen_bytes), (0, 0, 0, 0, 0));
    let far = talk(&[data(0), said(Forward, ACK, 3 << 30, 1, 10), said(Forward, ACK, (3 << 30) + 10, 1, 10)]);
    assert_eq!((far.gaps, far.missing_bytes, far.retransmitted), (0, 0, 0));
}

#[test]
fn bytes_seen_before_were_sent_again() {
    let r = talk(&[data(0), data(1), data(0).after(300), data(1), has(2001)]);
    assert_eq!((r.retransmitted, r.retransmitted_bytes, r.out_of_order, r.gaps), (2, 2000, 0, 0));
    // At once: a copy made by the network or the capture is not told apart.
    assert_eq!(talk(&[data(0), data(0)]).retransmitted, 1);
    // Cut in another way, with new bytes behind.
    let r = talk(&[data(0), data(1), said(Forward, ACK, 1501, 1, 1000)]);
    assert_eq!((r.retransmitted, r.retransmitted_bytes), (1, 500));
    let fin = said(Forward, FIN | ACK, 1001, 1, 0);
    let r = talk(&[data(0), fin, fin.after(400)]);
    assert_eq!((r.retransmitted, r.retransmitted_bytes), (1, 0), "a FIN, too");
    assert_eq!(talk(&[data(0), said(Forward, FIN | ACK, 1, 1, 1000)]).retransmitted_bytes, 1000);
}

#[test]
fn time_tells_late_from_lost() {
    let late = talk(&[data(0), data(2), data(1), has(3001)]);
    assert_eq!((late.out_of_order, late.retransmitted, late.gaps, late.missing_bytes), (1, 0, 1, 0));
    let lost = talk(&[data(0), data(2), data(1).after(30), has(3001)]);
    assert_eq!((lost.out_of_order, lost.retransmitted, lost.retransmitted_bytes), (0, 1, 1000));
    assert_eq!((lost.gaps, lost.missing_bytes, lost.unseen_bytes), (1, 0, 0));
    // Without a handshake 3 ms are the measure; what is before the first packet is judged in the same way.
    assert_eq!(play(&[data(0), data(2), data(1).after(2)]).out_of_order, 1);
    assert_eq!(play(&[data(0), data(2), data(1).after(3)]).retransmitted, 1);
    let before = play(&[data(5), data(4), data(4).after(9), data(1)]);
    assert_eq!((before.out_of_order, before.retransmitted, before.missing_bytes), (1, 2, 0));
}

#[test]
fn losses_of_the_capture_are_no_losses_of_the_network() {
    let r = talk(&[data(0), data(3), has(4001)]);
    assert_eq!((r.gaps, r.missing_bytes, r.unseen_bytes, r.retransmitted), (1, 0, 2000, 0), "acknowledged: it arrived");
    let r = talk(&[data(0), data(3), has(1001)]);
    assert_eq!((r.missing_bytes, r.unseen_bytes), (2000, 0), "nobody has it");
    assert_eq!(talk(&[data(0), data(3), has(2501)]).unseen_bytes, 1500);
    // The acknowledgement was captured before the data.
    let r = talk(&[data(0), has(4001), data(3)]);
    assert_eq!((r.missing_bytes, r.unseen_bytes), (0, 2000));
    let r = talk(&[data(0), has(2001), data(1)]);
    assert_eq!((r.unseen_bytes, r.retransmitted, r.gaps), (0, 0, 0));
    assert_eq!(talk(&[data(0), data(3), has(4001), data(1), data(2)]).unseen_bytes, 0, "only late");
    // The end is missing.
    assert_eq!(talk(&[data(0), has(3001)]).unseen_bytes, 2000);
    // An acknowledgement of what cannot be.
    assert_eq!(talk(&[data(0), has(0x7000_0000)]).unseen_bytes, 0);
}

#[test]
fn probes_are_not_sent_again() {
    let alive = said(Forward, ACK, 1000, 1, 0).after(900);
    let r = talk(&[data(0), has(1001), alive, has(1001), Said { len: 1, ..alive }, has(1001)]);
    assert_eq!((r.retransmitted, r.out_of_order, r.duplicate_acks_rev), (0, 0, 0));
    // A closed window, probed twice; when it opens, the probe's byte comes with the rest.
    let shut = has(1001).window(0);
    let probe = said(Forward, ACK, 1001, 1, 1).after(500);
    let opened = [data(0), shut, probe, shut, probe, shut, has(1001).window(99), data(1), has(2001)];
    let r = talk(&opened);
    assert_eq!((r.retransmitted, r.zero_windows_rev, r.duplicate_acks_rev, r.unseen_bytes), (0, 3, 0, 0));
    // One byte that is not the last was sent again.
    let letters = [said(Forward, ACK, 1, 1, 1), said(Forward, ACK, 2, 1, 1), said(Forward, ACK, 1, 1, 1)];
    assert_eq!(talk(&letters).retransmitted, 1);
}

#[test]
fn windows_of_resets_say_nothing() {
    let reset = said(Reverse, RST, 9_000_000, 1, 0).window(0);
    let r = talk(&[data(0), reset, said(Reverse, RST | ACK, 1, 1001, 0).window(0)]);
    assert_eq!((r.zero_windows_rev, r.gaps_rev, r.missing_bytes_rev, r.unseen_bytes), (0, 0, 0, 0));
}

#[test]
fn duplicate_acknowledgements() {
    let r = talk(&[data(0), has(1001), data(2), has(1001), data(3), has(1001), data(1).after(40), has(4001)]);
    assert_eq!((r.duplicate_acks_rev, r.duplicate_acks, r.retransmitted), (2, 0, 1));
    let other_window = [data(0), has(1001), data(2), has(1001).window(600), has(900)];
    assert_eq!(talk(&other_window).duplicate_acks_rev, 0, "a window's update, and an old one");
    assert_eq!(talk(&[data(0), has(1001), has(1001)]).duplicate_acks_rev, 0, "nothing is on its way");
}

#[test]
fn the_longest_answer() {
    let answer = |seq, pause| said(Reverse, ACK, seq, 1001, 10).after(pause);
    let r = talk(&[data(0), answer(1, 70), answer(11, 500), data(1).after(4000), answer(21, 30)]);
    assert_eq!((r.response_max_rev, r.response_max), (70_000, 4_000_000));
}

#[test]
fn more_gaps_than_are_kept() {
    let many = GAPS_MAX as u32 + 3;
    let every_other: Vec<Said> = (0..=many).map(|number| data(2 * number)).collect();
    let r = talk(&every_other);
    assert_eq!((r.gaps, r.missing_bytes), (many, u64::from(many) * 1000));
    // All are sent again; of the forgotten ones the bytes stay missing.
    let again: Vec<Said> = (0..many).map(|number| data(2 * number + 1).after(100)).collect();
    let r = talk(&[every_other, again].concat());
    assert_eq!((r.retransmitted, r.out_of_order, r.missing_bytes), (many, 0, 3000));
}

#[test]
fn text_names_each_number() {
    let text = text(&talk(&[data(0), data(0)]));
    assert!(text.starts_with("rttserver=20000,rttclient=10000,retrans=1,retransrev=0,retransbytes=1000,"), "{text}");
    let mut summary = String::new();
    TcpQuality::summary(&talk(&[]), &mut summary);
    assert_eq!(summary, "rtt 30000 us, 0 sent again");
}

fn text(r: &TcpQualityRecord) -> String {
    let mut text = String::new();
    TcpQuality::text(r, &mut text);
    text
}

/// What one direction should count, told from the set of all bytes that were seen.
fn by_bytes(sent: &[(u32, u32)]) -> (u32, u64) {
    let mut seen = std::collections::BTreeSet::new();
    let (mut next, mut gaps) = (1, 0);
    for (from, len) in sent {
        gaps += u32::from(*from > next);
        seen.extend(*from..from + len);
        next = next.max(from + len);
    }
    (gaps, (1..next).filter(|byte| !seen.contains(byte)).count() as u64)
}

/// Steps of a connection of which nothing need fit.
fn any_said() -> impl Strategy<Value = Said> {
    let flags = prop::sample::select(vec![ACK, ACK, ACK, SYN, SYN | ACK, FIN | ACK, RST]);
    let number = prop_oneof![8 => 0..40_000u32, 1 => any::<u32>()];
    let rest = (number.clone(), number, prop_oneof![0..3usize, 0..1500usize], prop_oneof![Just(0u16), any::<u16>()]);
    (any::<bool>(), flags, rest, 0..2_000u64).prop_map(|(forward, flags, (seq, ack, len, window), pause)| {
        let direction = if forward { Forward } else { Reverse };
        said(direction, flags, seq, ack, len).window(window).after(pause)
    })
}

proptest! {
    /// Bytes in any order, some more than once, some never: gaps and missing bytes are those of a set of bytes, as long as the gaps can be kept.
    #[test]
    fn gaps_are_those_of_all_bytes(places in prop::collection::vec((0..12u32, 1..4u32), 1..40)) {
        let sent: Vec<(u32, u32)> = places.iter().map(|(at, len)| (1 + at * 100, len * 100)).collect();
        let packets: Vec<Said> = sent.iter().map(|(from, len)| said(Forward, ACK, *from, 1, *len as usize)).collect();
        let r = talk(&packets);
        let (gaps, missing) = by_bytes(&sent);
        prop_assert_eq!((r.gaps, r.missing_bytes), (gaps, missing));
        // All of it arrived: then the capture has lost it.
        let all = talk(&[&packets[..], &[has(1 + 1500)]].concat());
        prop_assert_eq!(all.missing_bytes, 0);
        prop_assert!(all.unseen_bytes >= missing);
    }

    /// Where numbers begin does not matter, and no packet counts twice.
    #[test]
    fn numbers_may_begin_anywhere(isn: [u32; 2], packets in prop::collection::vec(any_said(), 1..60)) {
        let r = play_from(isn, &packets);
        prop_assert_eq!(text(&r), text(&play_from([0x100, 0x100], &packets)));
        let packets = packets.len() as u32;
        prop_assert!(r.retransmitted + r.out_of_order + r.gaps <= packets);
        prop_assert!(r.retransmitted_rev + r.out_of_order_rev + r.gaps_rev <= packets);
        prop_assert!(r.zero_windows + r.zero_windows_rev + r.duplicate_acks + r.duplicate_acks_rev <= packets);
    }
}
