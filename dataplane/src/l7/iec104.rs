//! iec104: types, causes, commands and control functions of IEC 60870-5-104 (telecontrol over TCP), on any port.
//!
//! On port 2404 any unit (APDU) makes the record, elsewhere one of those that start a connection or test it, whose six bytes are fixed. A unit
//! that spans segments is not read. What points of the process are worth is not kept.
use crate::face::Face;
use crate::packet::protocol;
use crate::plugin::{Context, OptionError, Plugin, Slots, Step, join};
use record::element::cesnet;
use record::{List, record};
use std::fmt::Write;

record! {
    /// IEC 60870-5-104 connection.
    pub struct Iec104Record = "iec104" {
        /// Types of information (ASDU), each once in the order of their appearance: 1 single point, 13 measured value, 30 single point with time,
        /// 45 single command, 70 end of initialisation, 100 interrogation, 103 clock.
        types: List<u8, TYPES_MAX>, ipfix cesnet::iec104Types, unirec "IEC104_TYPES";
        /// Causes of transmission, a bit each by its number: periodic (1) 2, spontaneous (3) 8, activation (6) 64, its confirmation (7) 128,
        /// unknown type (44) 2^44, unknown address of an object (47) 2^47.
        causes: u64, ipfix cesnet::iec104Causes, unirec "IEC104_CAUSES";
        /// Control functions: STARTDT 1, confirmed 2, STOPDT 4, confirmed 8, TESTFR 16, confirmed 32.
        controls: u8, ipfix cesnet::iec104Controls, unirec "IEC104_CONTROLS";
        /// Common address of the first ASDU: the station.
        address: u16, ipfix cesnet::iec104Address, unirec "IEC104_ADDRESS";
        /// ASDUs.
        messages: u32, ipfix cesnet::iec104Messages, unirec "IEC104_MESSAGES";
        /// Commands to the process that are activated: types 45 to 64 with cause 6.
        commands: u32, ipfix cesnet::iec104Commands, unirec "IEC104_COMMANDS";
        /// ASDUs that confirm in the negative, or refuse.
        negatives: u32, ipfix cesnet::iec104Negatives, unirec "IEC104_NEGATIVES";
    }
}

/// Types that are listed; stations use a few.
const TYPES_MAX: usize = 16;

pub struct Iec104;

impl Plugin for Iec104 {
    type Record = Iec104Record;
    type State = ();
    const BEFORE: bool = true;
    const PROBES: bool = true;

    #[inline(always)]
    fn may_begin(payload: &[u8]) -> bool {
        payload.first_chunk::<HEADER_LEN>().is_some_and(|h| h[0] == START && h[1] >= LENGTH_MIN)
    }

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Iec104)
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        self.before(ctx, slots)
    }

    fn before(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        let packet = ctx.packet.packet;
        if packet.protocol != protocol::TCP {
            return Step::Done;
        }
        let mut rest = ctx.packet.payload();
        while let Some((unit, next)) = Unit::split(rest) {
            rest = next;
            let is_own_port = packet.src_port == PORT || packet.dst_port == PORT;
            if slots.first().is_none() && !is_own_port && !matches!(unit, Unit::Control(_)) {
                return Step::More;
            }
            let Some(slot) = slots.first_or_open() else { return Step::More };
            unit.read(&mut slot.record);
        }
        Step::More
    }

    fn text(r: &Iec104Record, out: &mut String) {
        out.push_str("iec104types=(");
        join(out, r.types.as_slice());
        let _ = write!(out, "),causes={},controls={},address={},", r.causes, r.controls, r.address);
        let _ = write!(out, "messages={},commands={},negatives={}", r.messages, r.commands, r.negatives);
    }

    fn summary(r: &Iec104Record, out: &mut String) {
        let _ = write!(out, "iec104 station {}, {} messages", r.address, r.messages);
        for (count, what) in [(r.commands, "commands"), (r.negatives, "refused")].iter().filter(|(n, _)| *n > 0) {
            let _ = write!(out, ", {count} {what}");
        }
    }
}

const PORT: u16 = 2404;
/// IEC 60870-5-104 section 5.1: start, length of what follows, four control fields.
const START: u8 = 0x68;
const HEADER_LEN: usize = 6;
const LENGTH_AT: usize = 2;
const LENGTH_MIN: u8 = 4;
const LENGTH_MAX: u8 = 253;
/// Type, count, cause with originator, common address, and the first object's address (IEC 60870-5-101 section 7.2).
const ASDU_MIN: usize = 9;

/// Fields of the cause of transmission.
const CAUSE: u8 = 0x3f;
const NEGATIVE: u8 = 0x40;
const ACTIVATION: u8 = 6;
const COMMANDS: std::ops::RangeInclusive<u8> = 45..=64;
/// Larger types are private.
const TYPE_MAX: u8 = 127;

enum Unit<'m> {
    /// Format I, with its ASDU.
    Information(&'m [u8; ASDU_MIN]),
    /// Format S: an acknowledgement.
    Supervision,
    /// Format U, the bit of its function.
    Control(u8),
}

impl<'m> Unit<'m> {
    /// The unit that stands here, if it is whole, and what follows it.
    fn split(bytes: &'m [u8]) -> Option<(Self, &'m [u8])> {
        let [START, length @ LENGTH_MIN..=LENGTH_MAX, control @ ..] = *bytes.first_chunk::<HEADER_LEN>()? else {
            return None;
        };
        let (whole, next) = bytes.split_at_checked(LENGTH_AT + usize::from(length))?;
        let asdu = &whole[HEADER_LEN..];
        // Section 5.2: the low bits of the first field tell the formats apart; numbers have a 0 before them.
        let unit = match control {
            [one, _, three, _] if one & 1 == 0 && three & 1 == 0 => {
                let asdu = asdu.first_chunk().filter(|asdu: &&[u8; ASDU_MIN]| (1..=TYPE_MAX).contains(&asdu[0]))?;
                Unit::Information(asdu)
            }
            [1, 0, three, _] if three & 1 == 0 && asdu.is_empty() => Unit::Supervision,
            [one, 0, 0, 0] if one & 3 == 3 && (one >> 2).is_power_of_two() && asdu.is_empty() => {
                Unit::Control(one >> 2)
            }
            _ => return None,
        };
        Some((unit, next))
    }

    fn read(&self, r: &mut Iec104Record) {
        match self {
            Unit::Information([kind, _count, cause, _originator, low, high, ..]) => {
                if !r.types.as_slice().contains(kind) {
                    r.types.push(*kind);
                }
                if r.messages == 0 {
                    r.address = u16::from_le_bytes([*low, *high]);
                }
                r.messages = r.messages.saturating_add(1);
                r.causes |= 1 << (cause & CAUSE);
                let is_command = COMMANDS.contains(kind) && cause & CAUSE == ACTIVATION;
                r.commands = r.commands.saturating_add(is_command.into());
                r.negatives = r.negatives.saturating_add((cause & NEGATIVE != 0).into());
            }
            Unit::Supervision => {}
            Unit::Control(function) => r.controls |= function,
        }
    }
}

#[cfg(test)]
mod tests;
