//! snmp: version, kinds of requests, errors and the agent's engine (RFC 1157, RFC 3416, RFC 3412), on ports 161 and 162 over UDP.
//!
//! Whether a message has a community is told, its text is not kept; nor are the users and values of version 3, which may be encrypted.
use super::der::Der;
use crate::face::Face;
use crate::packet::protocol;
use crate::plugin::{Context, OptionError, Plugin, Slots, Step, put_hex};
use record::element::cesnet;
use record::{Blob, Text, record};
use std::fmt::Write;

record! {
    /// SNMP messages.
    pub struct SnmpRecord = "snmp" {
        /// Version of the last message: 1, 2 (with communities, "2c") or 3.
        version: u8, ipfix cesnet::snmpVersion, unirec "SNMP_VERSION";
        /// Whether a message has a community that is not empty: 0 no, 1 yes. Its text is a password, and not kept.
        community: u8, ipfix cesnet::snmpCommunity, unirec "SNMP_COMMUNITY";
        /// Security of version 3, the least that was seen: 1 none, 2 authentication, 3 authentication and encryption; 0 other versions.
        security: u8, ipfix cesnet::snmpSecurity, unirec "SNMP_SECURITY";
        /// Kinds of messages seen: get 1, get-next 2, response 4, set 8, trap of version 1 16, get-bulk 32, inform 64, trap 128, report 256.
        pdus: u16, ipfix cesnet::snmpPduTypes, unirec "SNMP_PDU_TYPES";
        /// Error status of the last response that has one: 1 too big, 2 no such name, 5 other, 6 no access, 16 not authorized.
        error: u8, ipfix cesnet::snmpError, unirec "SNMP_ERROR";
        /// Responses with an error.
        errors: u16, ipfix cesnet::snmpErrors, unirec "SNMP_ERRORS";
        /// First object that is spoken of, as numbers with dots.
        object: Text<OBJECT_LEN_MAX>, ipfix cesnet::snmpObject, unirec "SNMP_OBJECT";
        /// Engine that answers, in version 3: it names the device's maker, and often its address.
        engine: Blob<ENGINE_LEN_MAX>, ipfix cesnet::snmpEngine, unirec "SNMP_ENGINE";
    }
}

const OBJECT_LEN_MAX: usize = 96;
/// RFC 3411 section 5, SnmpEngineID.
const ENGINE_LEN_MAX: usize = 32;

pub struct Snmp;

impl Plugin for Snmp {
    type Record = SnmpRecord;
    type State = ();
    const BEFORE: bool = true;
    const BY_PORT: bool = true;

    #[inline(always)]
    fn may_use(src_port: u16, dst_port: u16) -> bool {
        [src_port, dst_port].iter().any(|port| matches!(*port, PORT | TRAPS))
    }

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Snmp)
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        self.before(ctx, slots)
    }

    fn before(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if ctx.packet.packet.protocol != protocol::UDP {
            return Step::Done;
        }
        let Some(message) = Message::of(ctx.packet.payload()) else { return Step::More };
        let Some(slot) = slots.first_or_open() else { return Step::More };
        message.read(&mut slot.record);
        Step::More
    }

    fn text(r: &SnmpRecord, out: &mut String) {
        let _ = write!(out, "snmpversion={},community={},security={},", r.version, r.community, r.security);
        let _ = write!(out, "pdus={},error={},errors={},object=\"", r.pdus, r.error, r.errors);
        // Digits and dots.
        out.push_str(&String::from_utf8_lossy(r.object.as_bytes()));
        out.push_str("\",engine=");
        put_hex(out, r.engine.as_bytes());
    }

    fn summary(r: &SnmpRecord, out: &mut String) {
        let _ = write!(out, "snmp {}", r.version);
        if r.errors > 0 {
            let _ = write!(out, ", {} errors", r.errors);
        }
    }
}

/// RFC 3417 section 3.2.
const PORT: u16 = 161;
const TRAPS: u16 = 162;

/// Tags of the fields behind the version.
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OBJECT: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
/// PDUs are tagged by their kind, 0 to 8 (RFC 3416 section 3).
const PDU: u8 = 0xa0;
const RESPONSE: u8 = 2;
const TRAP_V1: u8 = 4;
const REPORT: u8 = 8;

/// Values of the version's field.
const V1: u32 = 0;
const V2C: u32 = 1;
const V3: u32 = 3;

enum Message<'m> {
    /// The community's presence and the PDU.
    Plain { version: u8, community: bool, kind: u8, pdu: Der<'m> },
    /// Flags, security parameters, and the PDU with its kind if it can be read.
    Secure { flags: u8, parameters: Der<'m>, pdu: Option<(u8, Der<'m>)> },
}

impl<'m> Message<'m> {
    fn of(payload: &'m [u8]) -> Option<Self> {
        let mut fields = Der::new(payload).sequence()?;
        let version = fields.tagged(INTEGER)?.number();
        match version {
            V1 | V2C => {
                let community = !fields.tagged(OCTETS)?.bytes().is_empty();
                let (kind, pdu) = pdu(&mut fields)?;
                Some(Message::Plain { version: version as u8 + 1, community, kind, pdu })
            }
            V3 => {
                // RFC 3412 section 6: identifier, size, flags, model.
                let mut header = fields.tagged(SEQUENCE)?;
                header.tagged(INTEGER)?;
                header.tagged(INTEGER)?;
                let flags = *header.tagged(OCTETS)?.bytes().first()?;
                let parameters = fields.tagged(OCTETS)?;
                // Context engine, context name, PDU; encrypted it is one string of octets.
                let scoped = fields.tagged(SEQUENCE).and_then(|mut scoped| {
                    scoped.tagged(OCTETS)?;
                    scoped.tagged(OCTETS)?;
                    pdu(&mut scoped)
                });
                Some(Message::Secure { flags, parameters, pdu: scoped })
            }
            _ => None,
        }
    }

    fn read(self, r: &mut SnmpRecord) {
        match self {
            Message::Plain { version, community, kind, pdu } => {
                r.version = version;
                r.community |= u8::from(community);
                read_pdu(kind, pdu, r);
            }
            Message::Secure { flags, parameters, pdu } => {
                r.version = V3 as u8;
                // Section 6.4: authenticated 1, encrypted 2. The security model (RFC 3414 section 2.4) begins with the engine.
                let security = 1 + (flags & 1) + (flags >> 1 & 1);
                r.security = if r.security == 0 { security } else { r.security.min(security) };
                let engine = Der::new(parameters.bytes()).sequence().and_then(|mut fields| fields.tagged(OCTETS));
                if let Some(engine) = engine.filter(|engine| !engine.bytes().is_empty()) {
                    r.engine.set(engine.bytes());
                }
                if let Some((kind, pdu)) = pdu {
                    read_pdu(kind, pdu, r);
                }
            }
        }
    }
}

/// Kind and content of the PDU that stands here.
fn pdu<'m>(fields: &mut Der<'m>) -> Option<(u8, Der<'m>)> {
    let (tag, content) = fields.next()?;
    let kind = tag.wrapping_sub(PDU);
    (kind <= REPORT).then_some((kind, content))
}

fn read_pdu(kind: u8, mut pdu: Der<'_>, r: &mut SnmpRecord) {
    r.pdus |= 1 << kind;
    if kind == TRAP_V1 {
        return set_object(pdu.tagged(OBJECT), r);
    }
    // Request, error status, error index, variables.
    let Some(status) = pdu.tagged(INTEGER).and_then(|_| pdu.tagged(INTEGER)) else { return };
    if kind == RESPONSE && status.number() != 0 {
        r.error = status.number().min(u8::MAX.into()) as u8;
        r.errors = r.errors.saturating_add(1);
    }
    let variables = pdu.tagged(INTEGER).and_then(|_| pdu.tagged(SEQUENCE));
    set_object(variables.and_then(|mut all| all.tagged(SEQUENCE)?.tagged(OBJECT)), r);
}

/// The first object of a flow, X.690 section 8.19: two arcs in the first number, seven bits a byte.
fn set_object(object: Option<Der<'_>>, r: &mut SnmpRecord) {
    let Some(object) = object.filter(|_| r.object.is_empty()) else { return };
    let (mut arc, mut is_first) = (0u32, true);
    for byte in object.bytes() {
        arc = arc << 7 | u32::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        let mut number = Text::<12>::default();
        let mut out = crate::plugin::Cut(&mut number);
        let _ = match is_first {
            true => write!(out, "{}.{}", (arc / 40).min(2), arc - 40 * (arc / 40).min(2)),
            false => write!(out, ".{arc}"),
        };
        if r.object.room() < number.as_bytes().len() {
            return;
        }
        r.object.push(number.as_bytes());
        (arc, is_first) = (0, false);
    }
}

#[cfg(test)]
mod tests;
