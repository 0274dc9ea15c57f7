//! Captures written segment by segment: which bytes stand in which segment, in which order and how often they come, is the case's own.
use benches::dialog::{Host, Route, Side};
use benches::frame::{Frame, Tcp, flags};
use benches::pcap::{Format, PcapWriter};
use benches::{EPOCH, MILLISECOND};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Payload of a segment where the case does not say.
const SEGMENT: usize = 1400;

pub(crate) fn route(from: u16, to: u16) -> Route {
    Route::new(Host::new(Ipv4Addr::new(192, 0, 2, 10), from), Host::new(Ipv4Addr::new(198, 51, 100, 20), to))
}

pub(crate) fn route6(from: u16, to: u16) -> Route {
    let address = |net| Ipv6Addr::new(0x2001, 0xdb8, net, 0, 0, 0, 0, 1);
    Route::new(Host::new(address(1), from), Host::new(address(2), to))
}

/// The packets of one conversation, in the order in which they were captured.
pub(crate) struct Talk {
    route: Route,
    /// Sequence numbers of the client's and the server's next bytes.
    next: [u32; 2],
    packets: Vec<Vec<u8>>,
}

impl Talk {
    /// A TCP connection behind its handshake.
    pub(crate) fn tcp(route: Route) -> Talk {
        // The client's numbers go over the end of their space.
        let mut talk = Talk { route, next: [u32::MAX - 20, 0x9000_0000], packets: Vec::new() };
        talk.segment(Side::Client, 0, flags::SYN, &[]);
        talk.next[0] = talk.next[0].wrapping_add(1);
        talk.segment(Side::Server, 0, flags::SYN | flags::ACK, &[]);
        talk.next[1] += 1;
        talk.segment(Side::Client, 0, flags::ACK, &[]);
        talk
    }

    pub(crate) fn udp(route: Route) -> Talk {
        Talk { route, next: [0; 2], packets: Vec::new() }
    }

    pub(crate) fn client(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.say(Side::Client, bytes.as_ref())
    }

    pub(crate) fn server(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.say(Side::Server, bytes.as_ref())
    }

    /// In as few segments as there can be.
    fn say(&mut self, side: Side, bytes: &[u8]) -> &mut Self {
        self.every(side, SEGMENT, bytes)
    }

    /// In segments of `len` bytes.
    pub(crate) fn every(&mut self, side: Side, len: usize, bytes: impl AsRef<[u8]>) -> &mut Self {
        let cuts: Vec<usize> = (len..bytes.as_ref().len()).step_by(len).collect();
        let order: Vec<usize> = (0..=cuts.len()).collect();
        self.pieces(side, bytes, &cuts, &order)
    }

    /// Cut at these places, and sent in this order; a piece that is named twice is sent twice.
    pub(crate) fn pieces(&mut self, side: Side, bytes: impl AsRef<[u8]>, cuts: &[usize], order: &[usize]) -> &mut Self {
        let bytes = bytes.as_ref();
        let ends: Vec<usize> = [&[0][..], cuts, &[bytes.len()]].concat();
        for piece in order {
            let (from, to) = (ends[*piece], ends[piece + 1]);
            self.segment(side, from as u32, flags::ACK | flags::PSH, &bytes[from..to]);
        }
        self.pass(side, bytes.len())
    }

    /// A segment that begins `back` bytes before what the side says next, which has said them already.
    pub(crate) fn again(&mut self, side: Side, back: usize, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.segment(side, (back as u32).wrapping_neg(), flags::ACK | flags::PSH, bytes.as_ref());
        self.pass(side, bytes.as_ref().len().saturating_sub(back))
    }

    /// Both sides close.
    pub(crate) fn end(&mut self) -> Vec<Vec<u8>> {
        for side in [Side::Client, Side::Server] {
            self.segment(side, 0, flags::FIN | flags::ACK, &[]);
            self.pass(side, 1);
        }
        self.segment(Side::Client, 0, flags::ACK, &[]);
        self.packets()
    }

    pub(crate) fn datagram(&mut self, side: Side, bytes: impl AsRef<[u8]>) -> &mut Self {
        let mut frame = Frame::new();
        self.route.open(side, &mut frame);
        let (from, to) = self.route.ends(side);
        frame.udp(from.port, to.port).payload(bytes.as_ref());
        self.packets.push(frame.finish().to_vec());
        self
    }

    /// What was said so far, for a connection that does not close.
    pub(crate) fn packets(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.packets)
    }

    fn pass(&mut self, side: Side, len: usize) -> &mut Self {
        self.next[side as usize] = self.next[side as usize].wrapping_add(len as u32);
        self
    }

    fn segment(&mut self, side: Side, offset: u32, bits: u8, bytes: &[u8]) {
        let mut frame = Frame::new();
        self.route.open(side, &mut frame);
        let (from, to) = self.route.ends(side);
        let mut header = Tcp::new(from.port, to.port, bits);
        header.sequence = self.next[side as usize].wrapping_add(offset);
        if bits & flags::ACK != 0 {
            header.acknowledgement = self.next[side.other() as usize];
        }
        frame.tcp(&header).payload(bytes);
        self.packets.push(frame.finish().to_vec());
    }
}

/// A file of these packets, a millisecond from one to the next.
pub(crate) fn pcap(packets: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let write = || {
        let mut file = PcapWriter::new(Vec::new(), Format::default())?;
        for (number, packet) in (0..).zip(packets) {
            file.packet(EPOCH + number * MILLISECOND, &packet)?;
        }
        file.finish()
    };
    write().expect("a Vec takes every write")
}
