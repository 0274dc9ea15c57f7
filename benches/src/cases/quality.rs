//! TCP connections on bad ways: each packet with its time, number, acknowledgement and window, as seen from between the ends.
use super::tape::{Tape, route};
use super::{Case, Flows, clean};
use crate::dialog::{Route, Side};
use crate::frame::flags::{ACK, FIN, PSH, RST, SYN};
use crate::frame::{Frame, Tcp, option};
use crate::{MICROSECOND, MILLISECOND, Nanos, SECOND};

pub(super) const CASES: &[Case] = &[clean(
    "tcp_quality",
    "eleven TCP connections: a good one, then losses behind, before and in the capture, disorder, a closed window, probes, repeated SYNs",
    (149, 55_809),
    Flows::new(11, 22),
    build,
)];

/// The way to the server and back, and to the client and back.
const FAR: Nanos = 20 * MILLISECOND;
const NEAR: Nanos = 10 * MILLISECOND;
/// Payload bytes of a full segment.
const FULL: u32 = 1000;

fn build() -> Vec<u8> {
    let mut tape = Tape::new();
    for (port, story) in (40_001..).zip(STORIES) {
        let mut wire = Wire::new(port, SECOND / 100 * u64::from(port - 40_001));
        story(&mut wire);
        for (at, bytes) in wire.packets {
            tape.packet(at, bytes);
        }
    }
    tape.plain()
}

const STORIES: [fn(&mut Wire); 11] = [
    good,
    lost_behind_us,
    lost_before_us,
    out_of_order,
    lost_by_the_capture,
    closed_window,
    syn_repeated,
    kept_alive,
    sent_for_nothing,
    never_arrived,
    sent_again_in_a_stream,
];

fn good(wire: &mut Wire) {
    wire.handshake();
    wire.asks();
    (0..4).for_each(|number| wire.answers(number));
    wire.client_has(4, NEAR);
    wire.close(4);
}

/// The second segment is seen and does not arrive: duplicate acknowledgements, and it is seen once more.
fn lost_behind_us(wire: &mut Wire) {
    wire.handshake();
    wire.asks();
    (0..5).for_each(|number| wire.answers(number));
    wire.client_has(1, NEAR);
    (0..3).for_each(|_| wire.client_has(1, 20 * MICROSECOND));
    wire.server(FAR, ACK, FULL, FULL);
    wire.client_has(5, NEAR);
    wire.close(5);
}

/// The second segment is seen only when it is sent again.
fn lost_before_us(wire: &mut Wire) {
    wire.handshake();
    wire.asks();
    [0, 2, 3, 4].into_iter().for_each(|number| wire.answers(number));
    wire.client_has(1, NEAR);
    (0..3).for_each(|_| wire.client_has(1, 20 * MICROSECOND));
    wire.server(FAR + 5 * MILLISECOND, ACK, FULL, FULL);
    wire.client_has(5, NEAR);
    wire.close(5);
}

fn out_of_order(wire: &mut Wire) {
    wire.handshake();
    wire.asks();
    [0, 2, 1, 4, 5, 3].into_iter().for_each(|number| wire.answers(number));
    wire.client_has(6, NEAR);
    wire.close(6);
}

/// Two segments were never seen; the client has them.
fn lost_by_the_capture(wire: &mut Wire) {
    wire.handshake();
    wire.asks();
    [0, 3].into_iter().for_each(|number| wire.answers(number));
    wire.client_has(4, NEAR);
    wire.close(4);
}

/// The client takes no more, is asked twice with a byte, and opens.
fn closed_window(wire: &mut Wire) {
    wire.handshake();
    wire.asks();
    wire.answers(0);
    wire.client(NEAR, ACK, 301, 0, 1 + FULL, 0);
    (0..2).for_each(|_| {
        wire.server(300 * MILLISECOND, ACK, FULL, 1);
        wire.client(NEAR, ACK, 301, 0, 1 + FULL, 0);
    });
    wire.client(50 * MILLISECOND, ACK, 301, 0, 1 + FULL, 4000);
    wire.answers(1);
    wire.client_has(2, NEAR);
    wire.close(2);
}

/// Which of the two SYNs is answered does not show; the SYN-ACK is seen once.
fn syn_repeated(wire: &mut Wire) {
    wire.client(0, SYN, 0, 0, 0, 64_240);
    wire.client(SECOND, SYN, 0, 0, 0, 64_240);
    wire.segment(Side::Server, FAR, SYN | ACK, 0, 0, 1, 64_240);
    wire.client(NEAR, ACK, 1, 0, 1, 502);
    wire.asks();
    wire.answers(0);
    wire.client_has(1, NEAR);
    wire.close(1);
}

/// Nothing, and one byte of nothing, to see whether the server is there.
fn kept_alive(wire: &mut Wire) {
    wire.handshake();
    wire.asks();
    wire.answers(0);
    wire.client_has(1, NEAR);
    for len in [0, 1] {
        wire.client(5 * SECOND, ACK, 300, len, 1 + FULL, 502);
        wire.segment(Side::Server, FAR, ACK, 1 + FULL, 0, 301, 502);
    }
    wire.close(1);
}

/// The acknowledgement is late: what it is for is sent again.
fn sent_for_nothing(wire: &mut Wire) {
    wire.handshake();
    wire.asks();
    (0..2).for_each(|number| wire.answers(number));
    wire.client_has(2, 200 * MILLISECOND);
    wire.server(MILLISECOND, ACK, FULL, FULL);
    wire.close(2);
}

/// The client gives up.
fn never_arrived(wire: &mut Wire) {
    wire.handshake();
    wire.asks();
    [0, 3].into_iter().for_each(|number| wire.answers(number));
    wire.client_has(1, NEAR);
    wire.client(SECOND, RST | ACK, 301, 0, 1 + FULL, 0);
}

/// The sender goes on while it learns of the loss; nothing of the other direction is seen meanwhile.
fn sent_again_in_a_stream(wire: &mut Wire) {
    wire.handshake();
    wire.asks();
    wire.answers(0);
    (2..12).for_each(|number| wire.server(5 * MILLISECOND, ACK, number * FULL, FULL));
    wire.server(5 * MILLISECOND, ACK, FULL, FULL);
    wire.client_has(12, NEAR);
    wire.close(12);
}

/// One connection. Numbers count from each side's SYN, which has 0.
struct Wire {
    route: Route,
    now: Nanos,
    isn: [u32; 2],
    packets: Vec<(Nanos, Vec<u8>)>,
}

impl Wire {
    fn new(port: u16, now: Nanos) -> Self {
        // Both sides' numbers go over the end of their space.
        Self { route: route(port, 8001), now, isn: [u32::MAX - 150, u32::MAX - 1500], packets: Vec::new() }
    }

    fn handshake(&mut self) {
        self.client(0, SYN, 0, 0, 0, 64_240);
        self.segment(Side::Server, FAR, SYN | ACK, 0, 0, 1, 64_240);
        self.client(NEAR, ACK, 1, 0, 1, 502);
    }

    /// 300 bytes, which the server acknowledges with its answer.
    fn asks(&mut self) {
        self.client(MILLISECOND, PSH | ACK, 1, 300, 1, 502);
        self.now += FAR;
    }

    /// The server's full segment of that number.
    fn answers(&mut self, number: u32) {
        self.server(20 * MICROSECOND, ACK, number * FULL, FULL);
    }

    /// The client has so many full segments.
    fn client_has(&mut self, count: u32, gap: Nanos) {
        self.client(gap, ACK, 301, 0, 1 + count * FULL, 502);
    }

    /// Both sides close behind so many of the server's segments.
    fn close(&mut self, count: u32) {
        let end = 1 + count * FULL;
        self.client(MILLISECOND, FIN | ACK, 301, 0, end, 502);
        self.segment(Side::Server, FAR, FIN | ACK, end, 0, 302, 502);
        self.client(NEAR, ACK, 302, 0, end + 1, 502);
    }

    fn client(&mut self, gap: Nanos, bits: u8, seq: u32, len: u32, ack: u32, window: u16) {
        self.segment(Side::Client, gap, bits, seq, len, ack, window);
    }

    /// The server's bytes from `offset` on.
    fn server(&mut self, gap: Nanos, bits: u8, offset: u32, len: u32) {
        self.segment(Side::Server, gap, bits, 1 + offset, len, 301, 502);
    }

    #[allow(clippy::too_many_arguments, reason = "each is a field of the header")]
    fn segment(&mut self, side: Side, gap: Nanos, bits: u8, seq: u32, len: u32, ack: u32, window: u16) {
        self.now += gap;
        let (me, peer) = (side as usize, side.other() as usize);
        let mut frame = Frame::new();
        self.route.open(side, &mut frame);
        let (from, to) = self.route.ends(side);
        let mut header = Tcp { window, ..Tcp::new(from.port, to.port, bits) };
        header.sequence = self.isn[me].wrapping_add(seq);
        if bits & ACK != 0 {
            header.acknowledgement = self.isn[peer].wrapping_add(ack);
        }
        let options = option::syn(1460, 1, 0);
        if bits & SYN != 0 {
            header.options = &options;
        }
        frame.tcp(&header).filler(u64::from(seq), len as usize);
        self.packets.push((self.now, frame.finish().to_vec()));
    }
}
