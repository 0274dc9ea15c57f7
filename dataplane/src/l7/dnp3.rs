//! dnp3: stations, functions and indications of DNP3 (IEEE 1815), over TCP and UDP, on any port.
//!
//! A frame is told by its start and the checksum of its header. Of an application message its first frame is read, which has the function; objects
//! and their values are not.
use crate::face::Face;
use crate::packet::protocol;
use crate::plugin::{Context, OptionError, Plugin, Slots, Step};
use record::element::cesnet;
use record::record;
use std::fmt::Write;

record! {
    /// DNP3 session.
    pub struct Dnp3Record = "dnp3" {
        /// Link address that the first frame comes from.
        source: u16, ipfix cesnet::dnp3Source, unirec "DNP3_SOURCE";
        /// Link address that it goes to.
        destination: u16, ipfix cesnet::dnp3Destination, unirec "DNP3_DESTINATION";
        /// Functions of requests, a bit each by its code: confirm (0) 1, read (1) 2, write (2) 4, select (3) 8, operate (4) 16, direct operate (5) 32,
        /// cold restart (13) 8192, stop of an application (18) 2^18.
        functions: u64, ipfix cesnet::dnp3Functions, unirec "DNP3_FUNCTIONS";
        /// Kinds of answers: response 1, unsolicited 2, authentication 4.
        responses: u8, ipfix cesnet::dnp3Responses, unirec "DNP3_RESPONSES";
        /// Requests, confirmations left out.
        requests: u32, ipfix cesnet::dnp3Requests, unirec "DNP3_REQUESTS";
        /// Requests that act: functions 3 to 6.
        controls: u32, ipfix cesnet::dnp3Controls, unirec "DNP3_CONTROLS";
        /// Internal indications of answers, all bits that were ever set: device trouble 0x4000, restart 0x8000; function not supported 1, object unknown 2,
        /// parameter error 4.
        indications: u16, ipfix cesnet::dnp3Indications, unirec "DNP3_INDICATIONS";
    }
}

pub struct Dnp3;

impl Plugin for Dnp3 {
    type Record = Dnp3Record;
    type State = ();
    const BEFORE: bool = true;
    const PROBES: bool = true;

    #[inline(always)]
    fn may_begin(payload: &[u8]) -> bool {
        payload.first_chunk::<HEADER_LEN>().is_some_and(|h| h[..2] == START && usize::from(h[2]) >= LENGTH_MIN)
    }

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Dnp3)
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        self.before(ctx, slots)
    }

    fn before(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if !matches!(ctx.packet.packet.protocol, protocol::TCP | protocol::UDP) {
            return Step::Done;
        }
        let mut rest = ctx.packet.payload();
        while let Some((frame, next)) = Frame::split(rest) {
            rest = next;
            let is_first = slots.first().is_none();
            let Some(slot) = slots.first_or_open() else { return Step::More };
            let r = &mut slot.record;
            if is_first {
                (r.source, r.destination) = (frame.source, frame.destination);
            }
            frame.read(r);
        }
        Step::More
    }

    fn text(r: &Dnp3Record, out: &mut String) {
        let _ = write!(out, "dnp3source={},destination={},functions={},", r.source, r.destination, r.functions);
        let _ = write!(out, "responses={},requests={},controls={},", r.responses, r.requests, r.controls);
        let _ = write!(out, "indications=0x{:04x}", r.indications);
    }

    fn summary(r: &Dnp3Record, out: &mut String) {
        let _ = write!(out, "dnp3 {} -> {}, {} requests", r.source, r.destination, r.requests);
        if r.controls > 0 {
            let _ = write!(out, ", {} act", r.controls);
        }
    }
}

/// IEEE 1815 section 9.2.4.1: start, length, control, destination, source, checksum.
const START: [u8; 2] = [0x05, 0x64];
const HEADER_LEN: usize = 10;
/// The length counts control, both addresses and the data.
const LENGTH_MIN: usize = 5;
/// Data stands in blocks of so many bytes, each with a checksum of two.
const BLOCK_LEN: usize = 16;
const CHECKSUM_LEN: usize = 2;

/// Transport header (section 8.2.1): the first frame of a message.
const FIRST: u8 = 0x40;

/// Function codes (section 4.2.2.5).
const CONFIRM: u8 = 0;
const CONTROLS: std::ops::RangeInclusive<u8> = 3..=6;
const REQUEST_MAX: u8 = 63;
const RESPONSE: u8 = 129;
const RESPONSES: std::ops::RangeInclusive<u8> = RESPONSE..=131;

struct Frame<'m> {
    source: u16,
    destination: u16,
    /// Transport header, application control, function, indications: all in the first block.
    block: &'m [u8],
}

impl<'m> Frame<'m> {
    /// The frame that stands here, and what follows it; the last may be cut behind its header.
    fn split(bytes: &'m [u8]) -> Option<(Self, &'m [u8])> {
        let (header, behind) = bytes.split_first_chunk::<HEADER_LEN>()?;
        let [s0, s1, length, _control, d0, d1, a0, a1, c0, c1] = *header;
        let len = usize::from(length).checked_sub(LENGTH_MIN).filter(|_| [s0, s1] == START)?;
        if checksum(&header[..HEADER_LEN - CHECKSUM_LEN]) != u16::from_le_bytes([c0, c1]) {
            return None;
        }
        let next = behind.get(len + len.div_ceil(BLOCK_LEN) * CHECKSUM_LEN..).unwrap_or_default();
        let block = &behind[..behind.len().min(len).min(BLOCK_LEN)];
        let [source, destination] = [[a0, a1], [d0, d1]].map(u16::from_le_bytes);
        Some((Frame { source, destination, block }, next))
    }

    fn read(&self, r: &mut Dnp3Record) {
        let [transport, _control, function, rest @ ..] = self.block else { return };
        if transport & FIRST == 0 {
            return;
        }
        match *function {
            CONFIRM..=REQUEST_MAX => {
                r.functions |= 1 << *function;
                r.requests = r.requests.saturating_add((*function != CONFIRM).into());
                r.controls = r.controls.saturating_add(CONTROLS.contains(function).into());
            }
            function if RESPONSES.contains(&function) => {
                r.responses |= 1 << (function - RESPONSE);
                r.indications |= rest.first_chunk().map_or(0, |bits| u16::from_be_bytes(*bits));
            }
            _ => {}
        }
    }
}

/// Section 9.2.4.1, CRC-16/DNP, bit by bit: it is asked for headers alone, behind a look at their start.
fn checksum(bytes: &[u8]) -> u16 {
    /// 0x3d65 with its bits in the other order.
    const POLYNOMIAL: u16 = 0xa6bc;
    !bytes.iter().fold(0, |crc: u16, byte| {
        let step = |crc: u16, _| if crc & 1 != 0 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
        (0..u8::BITS).fold(crc ^ u16::from(*byte), step)
    })
}

#[cfg(test)]
mod tests;
