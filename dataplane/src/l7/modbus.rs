//! modbus: units, functions, writes and exceptions of Modbus over TCP (MODBUS Application Protocol V1.1b3, Messaging on TCP/IP V1.0b), on any port.
//!
//! On port 502 a header that fits its packet is enough. Elsewhere a flow is Modbus once a request of a known form got the answer that belongs to it:
//! same transaction, unit and function. What registers hold is not kept.
use crate::face::Face;
use crate::packet::{Direction, protocol};
use crate::plugin::{Context, OptionError, Plugin, Slot, Slots, Step};
use record::element::cesnet;
use record::record;
use std::fmt::Write;

record! {
    /// Modbus session.
    pub struct ModbusRecord = "modbus" {
        /// Unit of the first request.
        unit: u8, ipfix cesnet::modbusUnit, unirec "MODBUS_UNIT";
        /// Functions asked for, a bit each by its code: read coils (1) 2, read holding registers (3) 8, write register (6) 64, write registers (16) 65536,
        /// identification (43) 2^43; 1 for all from 64 on, which are the vendors' own.
        functions: u64, ipfix cesnet::modbusFunctions, unirec "MODBUS_FUNCTIONS";
        /// Requests.
        requests: u32, ipfix cesnet::modbusRequests, unirec "MODBUS_REQUESTS";
        /// Requests that change something: functions 5, 6, 15, 16, 21, 22, 23.
        writes: u32, ipfix cesnet::modbusWrites, unirec "MODBUS_WRITES";
        /// Answers that are exceptions.
        exceptions: u32, ipfix cesnet::modbusExceptions, unirec "MODBUS_EXCEPTIONS";
        /// Code of the last exception: 1 illegal function, 2 illegal address, 3 illegal value, 4 device failure, 6 busy, 11 no answer behind a gateway.
        exception: u8, ipfix cesnet::modbusException, unirec "MODBUS_EXCEPTION";
    }
}

/// The last request, whose answer proves that this is Modbus; and whether the flow's destination is who asks.
#[derive(Clone, Copy, Default)]
pub struct Asked {
    from_destination: bool,
    transaction: u16,
    unit: u8,
    function: u8,
}

record::packed!(Asked { from_destination: bool, transaction: u16, unit: u8, function: u8 });

pub struct Modbus;

impl Plugin for Modbus {
    type Record = ModbusRecord;
    type State = Asked;
    const BEFORE: bool = true;
    const PROBES: bool = true;

    #[inline(always)]
    fn may_begin(payload: &[u8]) -> bool {
        payload.first_chunk::<HEADER_LEN>().is_some_and(|h| h[2] | h[3] | h[4] == 0 && h[5] >= 2)
    }

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Modbus)
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
            let ports = [packet.src_port, packet.dst_port].map(|port| port == PORT);
            if slots.first().is_none() {
                if ports == [false, false] && !unit.is_request() {
                    return Step::More;
                }
                let Some(slot) = slots.first_or_open() else { return Step::More };
                slot.export = ports != [false, false];
                slot.state.from_destination = (ctx.direction == Direction::Reverse) != (ports == [true, false]);
                slot.record.unit = unit.unit;
            }
            let Some(slot) = slots.first() else { return Step::More };
            let is_request = slot.state.from_destination == (ctx.direction == Direction::Reverse);
            if is_request { unit.ask(slot) } else { unit.answer(slot) }
        }
        Step::More
    }

    fn text(r: &ModbusRecord, out: &mut String) {
        let _ = write!(out, "modbusunit={},functions={},requests={},", r.unit, r.functions, r.requests);
        let _ = write!(out, "writes={},exceptions={},exception={}", r.writes, r.exceptions, r.exception);
    }

    fn summary(r: &ModbusRecord, out: &mut String) {
        let _ = write!(out, "modbus unit {}, {} requests", r.unit, r.requests);
        for (count, what) in [(r.writes, "write"), (r.exceptions, "fail")].iter().filter(|(count, _)| *count > 0) {
            let _ = write!(out, ", {count} {what}");
        }
    }
}

const PORT: u16 = 502;
/// Messaging on TCP/IP section 3.1.3: transaction, protocol 0, length of what follows, unit; then the function.
const HEADER_LEN: usize = 8;
const LENGTH_AT: usize = 6;
/// Unit, function and 252 bytes of data at the most.
const LENGTH_MAX: usize = 254;

/// Application Protocol section 4.1: the answer to a function with this bit is an exception.
const EXCEPTION: u8 = 0x80;
const WRITES: u64 = 1 << 5 | 1 << 6 | 1 << 15 | 1 << 16 | 1 << 21 | 1 << 22 | 1 << 23;

/// One request or answer.
struct Unit<'m> {
    transaction: u16,
    unit: u8,
    function: u8,
    data: &'m [u8],
}

impl<'m> Unit<'m> {
    /// The unit that stands here, if it is whole, and what follows it.
    fn split(bytes: &'m [u8]) -> Option<(Self, &'m [u8])> {
        let [t0, t1, 0, 0, l0, l1, unit, function] = *bytes.first_chunk::<HEADER_LEN>()? else { return None };
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let whole = bytes.get(..LENGTH_AT + length).filter(|_| (2..=LENGTH_MAX).contains(&length))?;
        let data = &whole[HEADER_LEN..];
        let is_known = function & !EXCEPTION != 0;
        let unit = Unit { transaction: u16::from_be_bytes([t0, t1]), unit, function, data };
        is_known.then_some((unit, &bytes[whole.len()..]))
    }

    /// Whether it has the form of a request for a public function (section 6).
    fn is_request(&self) -> bool {
        let len = self.data.len();
        let counted = |at: usize| self.data.get(at).is_some_and(|count| usize::from(*count) == len - at - 1);
        match self.function {
            1..=6 => len == 4,
            7 | 11 | 12 | 17 => len == 0,
            8 => len >= 4 && len.is_multiple_of(2),
            15 | 16 => counted(4),
            20 | 21 => counted(0),
            22 => len == 6,
            23 => counted(8),
            24 => len == 2,
            43 => matches!(self.data.first(), Some(13 | 14)),
            _ => false,
        }
    }

    fn ask(&self, slot: &mut Slot<Modbus>) {
        let Unit { transaction, unit, function, .. } = *self;
        slot.state = Asked { transaction, unit, function, ..slot.state };
        let r = &mut slot.record;
        let bit = 1u64.checked_shl(function.into()).unwrap_or(1);
        r.functions |= bit;
        r.requests = r.requests.saturating_add(1);
        r.writes = r.writes.saturating_add((bit & WRITES != 0).into());
    }

    fn answer(&self, slot: &mut Slot<Modbus>) {
        let asked = slot.state;
        let belongs = (asked.transaction, asked.unit, asked.function)
            == (self.transaction, self.unit, self.function & !EXCEPTION);
        slot.export |= belongs && asked.function != 0;
        if self.function & EXCEPTION != 0
            && let [code] = self.data
        {
            slot.record.exceptions = slot.record.exceptions.saturating_add(1);
            slot.record.exception = *code;
        }
    }
}

#[cfg(test)]
mod tests;
