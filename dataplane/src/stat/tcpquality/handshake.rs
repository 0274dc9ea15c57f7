//! The two halves of a handshake's round trip (RFC 9293 section 3.5), seen from between the ends.
use super::micros;
use super::stream::Segment;
use crate::packet::Direction;
use crate::packet::tcp::{self, after};
use record::Time;

/// How far a handshake has come, and what it has shown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Handshake {
    stage: u8,
    /// The direction of the SYN.
    client: u8,
    /// The SYN or SYN-ACK that waits was sent more than once, so which one is answered is not known (Karn's algorithm, RFC 6298 section 3).
    is_repeated: bool,
    /// When it was seen.
    at: Time,
    /// What acknowledges the SYN, and the SYN-ACK.
    behind_syn: u32,
    behind_syn_ack: u32,
    /// Microseconds, 0: not known.
    server_us: u32,
    client_us: u32,
}

record::packed!(Handshake {
    stage: u8,
    client: u8,
    is_repeated: bool,
    at: Time,
    behind_syn: u32,
    behind_syn_ack: u32,
    server_us: u32,
    client_us: u32,
});

/// What was seen last: nothing (0), one of these, or both and the answer.
const SYN: u8 = 1;
const SYN_ACK: u8 = 2;
const DONE: u8 = 3;

impl Handshake {
    /// Server's and client's half, 0 if not known.
    pub(super) fn micros(&self) -> (u32, u32) {
        (self.server_us, self.client_us)
    }

    /// The whole round trip, if both halves are known.
    pub(super) fn round_trip_ns(&self) -> Option<u64> {
        let is_known = self.server_us != 0 && self.client_us != 0;
        is_known.then_some((u64::from(self.server_us) + u64::from(self.client_us)) * 1_000)
    }

    pub(super) fn see(&mut self, segment: &Segment, direction: Direction) {
        let is_client = self.stage != 0 && self.client == direction as u8;
        match (segment.has(tcp::SYN), segment.has(tcp::ACK)) {
            (true, false) => self.syn(segment, direction),
            (true, true) => self.syn_ack(segment, direction),
            // What is older than the handshake does not end it.
            (false, true) if self.stage == SYN_ACK && is_client && !after(self.behind_syn_ack, segment.ack) => {
                // A later number acknowledges data, too: then the first acknowledgement was not seen.
                if segment.ack == self.behind_syn_ack && !self.is_repeated {
                    self.client_us = self.since(segment);
                }
                self.stage = DONE;
            }
            _ => {}
        }
    }

    fn syn(&mut self, segment: &Segment, direction: Direction) {
        let (client, behind_syn) = (direction as u8, segment.seq.wrapping_add(1));
        if self.stage != 0 && self.client == client && self.behind_syn == behind_syn {
            // One that comes behind its answer changes nothing: the answer is lost, and will come again.
            self.is_repeated |= self.stage == SYN;
            return;
        }
        *self = Handshake { stage: SYN, client, behind_syn, at: segment.at, ..Handshake::default() };
    }

    fn syn_ack(&mut self, segment: &Segment, direction: Direction) {
        let (server, behind_syn_ack) = (direction as u8, segment.seq.wrapping_add(1));
        let is_server = self.stage != 0 && self.client != server;
        if self.stage >= SYN_ACK && is_server && self.behind_syn_ack == behind_syn_ack {
            self.is_repeated |= self.stage == SYN_ACK;
            return;
        }
        // Data in the SYN may be acknowledged with it (RFC 7413).
        let answers = self.stage == SYN && is_server && !after(self.behind_syn, segment.ack);
        *self = Handshake {
            stage: SYN_ACK,
            client: 1 - server,
            is_repeated: false,
            at: segment.at,
            behind_syn: if answers { self.behind_syn } else { segment.ack },
            behind_syn_ack,
            server_us: if answers && !self.is_repeated { self.since(segment) } else { 0 },
            client_us: 0,
        };
    }

    /// Microseconds since what waits was seen; never 0, which says that it is not known.
    fn since(&self, segment: &Segment) -> u32 {
        micros(segment.at.0.saturating_sub(self.at.0)).max(1)
    }
}
