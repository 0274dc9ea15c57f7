//! rdp: cookie, requested and selected security of a Remote Desktop connection ([MS-RDPBCGR] 2.2.1.1, 2.2.1.2; X.224, RFC 1006), on any port.
//!
//! The connection request is told from that of other X.224 protocols by its cookie or its negotiation request, else by the port. What
//! follows the confirm is TLS or encrypted.
use super::headers::line;
use crate::face::Face;
use crate::plugin::{Context, OptionError, Plugin, Slots, Step, put_short, put_text};
use record::element::cesnet;
use record::{Text, record};
use std::fmt::Write;

record! {
    /// Remote Desktop connection.
    pub struct RdpRecord = "rdp" {
        /// User name that the client gives to load balancers (`mstshash`); clients cut it at 9 bytes.
        cookie: Text<COOKIE_LEN_MAX>, ipfix cesnet::rdpCookie, unirec "RDP_COOKIE";
        /// Security that the client offers: TLS 1, CredSSP 2, RDSTLS 4, CredSSP with early authorization 8, Azure AD 16; 0 RDP's own.
        requested: u32, ipfix cesnet::rdpRequestedProtocols, unirec "RDP_REQUESTED";
        /// The one that the server chose.
        selected: u32, ipfix cesnet::rdpSelectedProtocol, unirec "RDP_SELECTED";
        /// 0 no answer seen, 1 confirmed without negotiation, 2 one was chosen, 3 refused.
        answer: u8, ipfix cesnet::rdpAnswer, unirec "RDP_ANSWER";
        /// Why the server refused: 1 it demands TLS, 2 TLS is not allowed, 3 no certificate, 4 inconsistent, 5 it demands CredSSP, 6 TLS with a client's certificate.
        failure: u32, ipfix cesnet::rdpFailureCode, unirec "RDP_FAILURE";
    }
}

/// Longest cookie that is kept; [MS-RDPBCGR] sets no bound but that of the packet.
const COOKIE_LEN_MAX: usize = 128;

pub struct Rdp;

impl Plugin for Rdp {
    type Record = RdpRecord;
    type State = ();
    const BEFORE: bool = true;
    const PROBES: bool = true;

    #[inline(always)]
    fn may_begin(payload: &[u8]) -> bool {
        payload.first_chunk::<6>().is_some_and(|h| h[0] == TPKT && h[1] == 0 && matches!(h[5], REQUEST | CONFIRM))
    }

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Rdp)
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        self.before(ctx, slots)
    }

    fn before(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        let Some((code, variable)) = x224(ctx.packet.payload()) else { return Step::More };
        if code == REQUEST {
            let Some(request) = Request::of(variable, ctx.packet.packet.dst_port) else { return Step::More };
            if let Some(slot) = slots.first_or_open() {
                slot.record.cookie.set(request.cookie);
                slot.record.requested = request.protocols;
            }
            return Step::More;
        }
        // Without its request a confirm is some other protocol's, for all that can be seen.
        let Some(slot) = slots.first() else { return Step::More };
        let r = &mut slot.record;
        match negotiation(variable) {
            Some((RESPONSE, selected)) => (r.answer, r.selected) = (RESPONSE, selected),
            Some((FAILURE, code)) => (r.answer, r.failure) = (FAILURE, code),
            _ => r.answer = CONFIRMED,
        }
        Step::Done
    }

    fn text(r: &RdpRecord, out: &mut String) {
        out.push_str("rdpcookie=\"");
        put_text(out, r.cookie.as_bytes());
        let _ = write!(
            out,
            "\",requested={},selected={},answer={},failure={}",
            r.requested, r.selected, r.answer, r.failure
        );
    }

    fn summary(r: &RdpRecord, out: &mut String) {
        out.push_str("rdp ");
        put_short(out, r.cookie.as_bytes());
        let _ = match r.answer {
            FAILURE => write!(out, " refused: {}", r.failure),
            0 => write!(out, " not answered"),
            _ => write!(out, " security {}", r.selected),
        };
    }
}

/// RFC 1006 section 6: version 3, a reserved byte, the length of the whole packet.
const TPKT: u8 = 3;
/// X.224 sections 13.3 and 13.4; the low four bits are credit, always 0 in class 0.
const REQUEST: u8 = 0xe0;
const CONFIRM: u8 = 0xd0;
/// TPKT header, and of X.224: length, code, two references, class.
const VARIABLE_AT: usize = 4 + 7;

/// [MS-RDPBCGR] 3.2.5.3.1.
const PORT: u16 = 3389;

/// Types of negotiation messages (2.2.1.1.1, 2.2.1.2.1, 2.2.1.2.2); the last two are values of `answer`.
const ASK: u8 = 1;
const RESPONSE: u8 = 2;
const FAILURE: u8 = 3;
/// Another value of `answer`.
const CONFIRMED: u8 = 1;

/// The code and the variable part of a connection request or confirm that is whole.
fn x224(payload: &[u8]) -> Option<(u8, &[u8])> {
    let header = payload.first_chunk::<6>()?;
    let packet = payload.get(..u16::from_be_bytes([header[2], header[3]]) as usize)?;
    Some((header[5], packet.get(VARIABLE_AT..)?))
}

struct Request<'m> {
    cookie: &'m [u8],
    protocols: u32,
}

impl<'m> Request<'m> {
    /// `None` if nothing says that this is RDP.
    fn of(variable: &'m [u8], port: u16) -> Option<Self> {
        // A cookie or a routing token of a load balancer; negotiation messages begin with a small number.
        let (text, rest) = match variable.first() {
            Some(b' '..=b'~') => line(variable)?,
            _ => (&[][..], variable),
        };
        let asked = negotiation(rest).filter(|(kind, _)| *kind == ASK);
        let cookie = text.strip_prefix(COOKIE).or_else(|| is_routing_token(text).then_some(&[][..]));
        let known = cookie.is_some() || asked.is_some() || port == PORT;
        known.then(|| Request { cookie: cookie.unwrap_or_default(), protocols: asked.map_or(0, |(_, p)| p) })
    }
}

const COOKIE: &[u8] = b"Cookie: mstshash=";

/// [MS-RDPBCGR] 2.2.1.1, routingToken: a cookie of another name, or `tsv://` of a broker.
fn is_routing_token(text: &[u8]) -> bool {
    text.starts_with(b"Cookie: msts=") || text.starts_with(b"tsv://")
}

/// Type and value of a negotiation message: type, flags, length 8, value, all little endian.
fn negotiation(bytes: &[u8]) -> Option<(u8, u32)> {
    let [kind, _flags, 8, 0, value @ ..] = *bytes.first_chunk::<8>()? else { return None };
    Some((kind, u32::from_le_bytes(value)))
}

#[cfg(test)]
mod tests;
