use super::*;
use crate::packet::Direction::{Forward, Reverse};
use crate::packet::protocol::UDP;
use crate::plugin::testing::Harness;
use proptest::prelude::*;

fn frame(kind: u8, flags: u8, stream: u8, body: &[u8]) -> Vec<u8> {
    [&[0, 0, body.len() as u8, kind, flags, 0, 0, 0, stream][..], body].concat()
}
fn settings(list: &[(u8, u32)]) -> Vec<u8> {
    frame(
        4,
        0,
        0,
        &list.iter().flat_map(|(id, value)| [&[0, *id][..], &value.to_be_bytes()].concat()).collect::<Vec<_>>(),
    )
}
/// A request of RFC 7541 C.3.1 with a content type, between what stands before and behind header blocks.
fn request(flags: u8, before: &[u8], kind: &[u8], behind: &[u8]) -> Vec<u8> {
    let block = [&[0x82, 0x86, 0x84, 0x41, 0x0f][..], b"www.example.com", &[0x5f, kind.len() as u8], kind].concat();
    frame(1, flags, 1, &[before, &block, behind].concat())
}

fn firefox() -> Vec<u8> {
    let settings = settings(&[(1, 65_536), (4, 131_072), (5, 16_384)]);
    let window = frame(8, 0, 0, &12_517_377u32.to_be_bytes());
    let priorities = [frame(2, 0, 3, &[0, 0, 0, 0, 200]), frame(2, 0, 5, &[0x80, 0, 0, 3, 100])].concat();
    [PREFACE.as_slice(), &settings, &window, &priorities, &request(4 | 0x20, &[0, 0, 0, 0, 41], b"text/html", &[])]
        .concat()
}
const FIREFOX: &str = "1:65536;4:131072;5:16384|12517377|3:0:0:201,5:1:3:101|m,s,p,a";

fn text(h: &mut Harness<Http2>) -> String {
    let mut text = String::new();
    h.records().iter().for_each(|r| Http2::text(r, &mut text));
    text
}
const PORTS: (u16, u16) = (40_000, 8080);

#[test]
fn both_sides() {
    let mut h = Harness::<Http2>::new(Face::Native);
    assert_eq!(h.segment(Forward, PORTS, 1, &firefox()), Step::Each);
    assert_eq!(h.segment(Reverse, PORTS, 1, &settings(&[(3, 128)])), Step::Done);
    assert_eq!(text(&mut h), format!("http2fingerprint=\"{FIREFOX}\",settingsrev=\"3:128\",grpc=0"));
}

#[test]
fn words_in_pieces() {
    let hello = firefox();
    for len in [30, 57, 100] {
        for is_backwards in [false, true] {
            let mut h = Harness::<Http2>::new(Face::Native);
            // The preface first: behind it the order means nothing.
            h.segments(Forward, PORTS, (&hello, len), |count| {
                let mut order: Vec<usize> = (1..count).collect();
                if is_backwards {
                    order.reverse();
                }
                [vec![0], order].concat()
            });
            assert_eq!(text(&mut h), format!("http2fingerprint=\"{FIREFOX}\",settingsrev=\"\",grpc=0"), "{len}");
        }
    }
}

#[test]
fn grpc_and_little_else() {
    let mut h = Harness::<Http2>::new(Face::Native);
    let hello = [PREFACE.as_slice(), &settings(&[]), &request(8, &[3], b"application/grpc", &[0; 3])].concat();
    h.segment(Forward, PORTS, 1, &hello);
    assert_eq!(h.segment(Reverse, PORTS, 1, b"HTTP/1.1 400 Bad Request"), Step::Done);
    assert_eq!(text(&mut h), "http2fingerprint=\"|00|0|m,s,p,a\",settingsrev=\"\",grpc=1");
}

#[test]
fn what_never_comes_is_not_waited_for() {
    let mut h = Harness::<Http2>::new(Face::Native);
    let mut sequence = 1;
    let mut steps = Vec::new();
    for nth in 0..PACKETS_MAX {
        let payload = if nth == 0 { [PREFACE.as_slice(), &settings(&[(2, 0)])].concat() } else { vec![0; 100] };
        steps.push(h.segment(Forward, PORTS, sequence, &payload));
        sequence += payload.len() as u32;
    }
    assert_eq!((steps[0], steps.last()), (Step::Each, Some(&Step::Done)));
    assert_eq!(text(&mut h), "http2fingerprint=\"2:0|00|0|\",settingsrev=\"\",grpc=0");
}

#[test]
fn what_is_none() {
    let mut h = Harness::<Http2>::new(Face::Native);
    assert_eq!(h.segment(Forward, PORTS, 1, b"PRI * HTTP/1.0\r\n\r\nSM\r\n\r\n"), Step::More);
    assert!(h.records().is_empty());
    assert_eq!(Harness::<Http2>::new(Face::Native).packet(Forward, 1, 2, UDP, PREFACE), Step::Done);
    assert!(!Http2::may_begin(b"POST") && !Http2::may_begin(b"PRI"));
}

proptest! {
    #[test]
    fn any_bytes_are_survived(at: prop::sample::Index, byte: u8, cut in 1usize..200) {
        let mut hello = firefox();
        let at = PREFACE.len() + at.index(hello.len() - PREFACE.len());
        hello[at] = byte;
        let mut h = Harness::<Http2>::new(Face::Native);
        h.segments(Forward, PORTS, (&hello, cut.max(PREFACE.len())), |count| (0..count).collect());
        h.segment(Reverse, PORTS, 1, &hello[at..]);
        prop_assert_eq!(h.records().len(), 1);
    }
}
