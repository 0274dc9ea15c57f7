//! HTTP/2 in the clear (RFC 9113), written byte by byte.
use super::tape::{Tape, route, route6};
use super::{Case, Flows, clean};
use crate::SECOND;
use crate::dialog::{TcpSession, Turn};

pub(super) const CASES: &[Case] = &[clean(
    "http2",
    "a request behind settings, a window and priorities, in small segments; a call of gRPC",
    (19, 1778),
    Flows::new(2, 4),
    || {
        let settings = settings(&[(1, 65_536), (4, 131_072), (5, 16_384)]);
        let window = frame(8, 0, 0, &12_517_377u32.to_be_bytes());
        let priorities = [frame(2, 0, 3, &[0, 0, 0, 0, 200]), frame(2, 0, 5, &[0, 0, 0, 3, 100])].concat();
        let request = [&[0x82, 0x84, 0x41, 15][..], b"www.example.com", &[0x86]].concat();
        let visit = [PREFACE, &settings, &window, &priorities, &frame(1, 5, 7, &request)].concat();
        let answer = [self::settings(&[(3, 128)]), frame(4, 1, 0, &[]), frame(1, 4, 7, &[0x88]), frame(0, 1, 7, b"hi")];
        let mut browser = TcpSession::new(route(40001, 8080), vec![Turn::client(visit), Turn::server(answer.concat())]);
        browser.segment = 70;

        let path = [&[0x44, 17][..], b"/example.Greet/Hi", &[0x41, 9], b"localhost"].concat();
        let kind = [&[0x5f, 0x8b][..], &GRPC, &[0x40, 2], b"te", &[8], b"trailers"].concat();
        let call = frame(1, 4, 1, &[&[0x83, 0x86][..], &path, &kind].concat());
        let message = frame(0, 1, 1, &[0, 0, 0, 0, 2, 8, 1]);
        let asked = [PREFACE, &self::settings(&[(2, 0), (3, 0)]), &call, &message].concat();
        let told = [self::settings(&[]), frame(4, 1, 0, &[])].concat();
        let mut tape = Tape::new();
        tape.play(0, browser);
        tape.play(SECOND, TcpSession::new(route6(40002, 50051), vec![Turn::client(asked), Turn::server(told)]));
        tape.plain()
    },
)];

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// `application/grpc` in the code of RFC 7541 appendix B.
const GRPC: [u8; 11] = [0x1d, 0x75, 0xd0, 0x62, 0x0d, 0x26, 0x3d, 0x4c, 0x4d, 0x65, 0x64];

/// Section 4.1.
fn frame(kind: u8, flags: u8, stream: u8, body: &[u8]) -> Vec<u8> {
    [&[0, 0, body.len() as u8, kind, flags, 0, 0, 0, stream][..], body].concat()
}

fn settings(list: &[(u8, u32)]) -> Vec<u8> {
    let one = |(number, value): &(u8, u32)| [&[0, *number][..], &value.to_be_bytes()].concat();
    frame(4, 0, 0, &list.iter().flat_map(one).collect::<Vec<_>>())
}
