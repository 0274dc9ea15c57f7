//! Turns that are one packet each: UDP, ICMP, ICMPv6, SCTP.
use std::collections::VecDeque;

use super::{Body, Dialog, Route, Turn};
use crate::Nanos;
use crate::frame::Frame;

/// A shorter remainder joins the datagram before it: a QUIC packet needs a connection id and 20 bytes more.
const REMAINDER_BYTES: u64 = 64;

/// What carries the datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// Noise longer than a datagram goes out in datagrams of this size; each begins like a short header of QUIC.
    Udp { datagram: u16 },
    /// Bodies begin with type and code; the checksum is inserted after them.
    Icmp,
    /// The same for IPv6.
    Icmpv6,
    /// Bodies begin with the verification tag, chunks follow.
    Sctp,
}

/// A conversation of datagrams.
#[derive(Clone, Debug)]
pub struct Datagrams {
    pub route: Route,
    pub carrier: Carrier,
    pub turns: VecDeque<Turn>,
    /// Between datagrams of one turn.
    pub pace: Nanos,
    offset: u64,
}

impl Datagrams {
    pub fn new(route: Route, carrier: Carrier, turns: Vec<Turn>) -> Self {
        Self { route, carrier, turns: turns.into(), pace: 20 * crate::MICROSECOND, offset: 0 }
    }

    /// UDP with datagrams that fill an Ethernet frame.
    pub fn udp(route: Route, turns: Vec<Turn>) -> Self {
        Self::new(route, Carrier::Udp { datagram: 1350 }, turns)
    }
}

impl Dialog for Datagrams {
    fn gap(&mut self) -> Option<Nanos> {
        let turn = self.turns.front()?;
        Some(if self.offset == 0 { turn.pause } else { self.pace })
    }

    fn packet(&mut self, frame: &mut Frame) {
        let Some(turn) = self.turns.front() else { return };
        self.route.open(turn.side, frame);
        let (from, to) = self.route.ends(turn.side);
        let mut left = turn.body.len() - self.offset;
        match (self.carrier, &turn.body) {
            (Carrier::Udp { datagram }, body) => {
                frame.udp(from.port, to.port);
                let length = match body {
                    Body::Bytes(bytes) => {
                        frame.payload(bytes);
                        bytes.len() as u64
                    }
                    Body::Filler(_) => {
                        let whole = u64::from(datagram.max(1));
                        let length = if left < whole + REMAINDER_BYTES { left } else { whole };
                        let place = u64::from(from.port) + self.offset;
                        if length > 0 {
                            frame.payload(&[0x40 | place as u8 & 0x3f]).filler(place, length as usize - 1);
                        }
                        length
                    }
                };
                self.offset += length;
                left -= length;
            }
            (Carrier::Icmp, Body::Bytes(bytes)) => {
                frame.icmp(bytes[0], bytes[1]).payload(&bytes[2..]);
                left = 0;
            }
            (Carrier::Icmpv6, Body::Bytes(bytes)) => {
                frame.icmpv6(bytes[0], bytes[1]).payload(&bytes[2..]);
                left = 0;
            }
            (Carrier::Sctp, Body::Bytes(bytes)) => {
                let tag = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                frame.sctp(from.port, to.port, tag).payload(&bytes[4..]);
                left = 0;
            }
            // Noise has no type or tag to begin with: nothing to say.
            (_, Body::Filler(_)) => left = 0,
        }
        if left == 0 {
            self.turns.pop_front();
            self.offset = 0;
        }
        frame.finish();
    }
}
