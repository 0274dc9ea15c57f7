//! ldap: who binds and how, and how that ended, operations and StartTLS of LDAPv2 and LDAPv3 (RFC 4511), over TCP and UDP, on any port.
//!
//! A flow is LDAP from its first bind, search or extended request on. Passwords, credentials of SASL and what is searched for are not kept. A segment
//! is looked at if it begins with a message; of one that goes on in the next segment its beginning is read, where names and mechanisms are.
use super::der::Der;
use crate::face::Face;
use crate::plugin::{Context, OptionError, Plugin, Slots, Step, put_short, put_text};
use record::element::cesnet;
use record::{Text, record};
use std::fmt::Write;

record! {
    /// LDAP session.
    pub struct LdapRecord = "ldap" {
        /// Version of the last bind request.
        version: u8, ipfix cesnet::ldapVersion, unirec "LDAP_VERSION";
        /// Name in the last bind request that has one: mostly a distinguished name.
        dn: Text<NAME_LEN_MAX>, ipfix cesnet::ldapBindDn, unirec "LDAP_BIND_DN";
        /// Mechanism of the last SASL bind.
        mechanism: Text<MECHANISM_LEN_MAX>, ipfix cesnet::ldapMechanism, unirec "LDAP_MECHANISM";
        /// Kinds of binds seen: anonymous 1, a name without a password 2, a name with a password 4, SASL 8, others 16.
        binds: u8, ipfix cesnet::ldapBinds, unirec "LDAP_BINDS";
        /// Result code of the last bind response, steps on the way left out: 0 success (or none seen), 49 invalid credentials.
        result: u16, ipfix cesnet::ldapResult, unirec "LDAP_RESULT";
        /// 0 no answer to a bind seen, 1 the last one was granted, 2 refused.
        login: u8, ipfix cesnet::ldapLogin, unirec "LDAP_LOGIN";
        /// Binds refused for the name or the password: results 32, 48, 49, 50.
        failures: u16, ipfix cesnet::ldapFailures, unirec "LDAP_FAILURES";
        /// Operations seen, a bit each by the tag of the message: bind request 1, its response 2, unbind 4, search request 8, entry 16, done 32,
        /// modify 64, add 256, delete 1024, rename 4096, compare 16384, extended request 2^23, its response 2^24.
        operations: u32, ipfix cesnet::ldapOperations, unirec "LDAP_OPERATIONS";
        /// StartTLS: 0 not seen, 1 asked for, 2 granted, 3 refused.
        starttls: u8, ipfix cesnet::ldapStartTls, unirec "LDAP_STARTTLS";
    }
}

/// Longest name that is kept; directories set no bound.
const NAME_LEN_MAX: usize = 192;
/// RFC 4422 section 3.1.
const MECHANISM_LEN_MAX: usize = 20;

pub struct Ldap;

impl Plugin for Ldap {
    type Record = LdapRecord;
    type State = ();
    const BEFORE: bool = true;
    const PROBES: bool = true;

    #[inline(always)]
    fn may_begin(payload: &[u8]) -> bool {
        payload.first_chunk::<MESSAGE_LEN_MIN>().is_some_and(|h| {
            let id_at = if h[1] < LONG { 2 } else { 2 + usize::from(h[1] & 7) };
            h[0] == SEQUENCE && h.get(id_at) == Some(&INTEGER)
        })
    }

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Ldap)
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        self.before(ctx, slots)
    }

    fn before(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        for (tag, content) in Der::new(ctx.packet.payload()) {
            let Some(message) = Message::of(tag, content) else { return Step::More };
            if slots.first().is_none() && !message.is_telling() {
                return Step::More;
            }
            let Some(slot) = slots.first_or_open() else { return Step::More };
            message.read(&mut slot.record);
            if slot.record.starttls == GRANTED_TLS {
                return Step::Done;
            }
        }
        Step::More
    }

    fn text(r: &LdapRecord, out: &mut String) {
        let _ = write!(out, "ldapversion={},dn=\"", r.version);
        put_text(out, r.dn.as_bytes());
        out.push_str("\",mechanism=\"");
        put_text(out, r.mechanism.as_bytes());
        let _ = write!(out, "\",binds={},result={},login={},", r.binds, r.result, r.login);
        let _ = write!(out, "failures={},operations={},starttls={}", r.failures, r.operations, r.starttls);
    }

    fn summary(r: &LdapRecord, out: &mut String) {
        out.push_str("ldap ");
        put_short(out, r.dn.as_bytes());
        put_short(out, r.mechanism.as_bytes());
        if r.login == REFUSED {
            let _ = write!(out, " refused: {}", r.result);
        }
        if r.starttls != 0 {
            out.push_str(" starttls");
        }
    }
}

/// Universal tags (X.690) that messages are made of, and where lengths are in several bytes.
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const ENUMERATED: u8 = 0x0a;
const SEQUENCE: u8 = 0x30;
const LONG: u8 = 0x80;
/// An unbind request with the shortest lengths.
const MESSAGE_LEN_MIN: usize = 7;

/// Operations are tagged by their number, class application (RFC 4511 section 4.2 and following); bit 5: constructed.
const APPLICATION: u8 = 0x40;
const CONSTRUCTED: u8 = 0x20;
const BIND_REQUEST: u8 = 0;
const BIND_RESPONSE: u8 = 1;
const SEARCH_REQUEST: u8 = 3;
const EXTENDED_REQUEST: u8 = 23;
const EXTENDED_RESPONSE: u8 = 24;
const OPERATION_MAX: u8 = 25;

/// Choices of a bind (section 4.2): simple with its password, SASL with its mechanism.
const SIMPLE: u8 = 0x80;
const SASL: u8 = 0xa3;
/// Values of `binds`.
const ANONYMOUS_BIND: u8 = 1;
const NAME_ALONE_BIND: u8 = 2;
const SIMPLE_BIND: u8 = 4;
const SASL_BIND: u8 = 8;
const OTHER_BIND: u8 = 16;

/// The name of an extended request (section 4.12) and that of StartTLS (4.14.1).
const REQUEST_NAME: u8 = 0x80;
const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";
/// Values of `starttls`.
const ASKED_TLS: u8 = 1;
const GRANTED_TLS: u8 = 2;
const REFUSED_TLS: u8 = 3;

/// Values of `login`.
const GRANTED: u8 = 1;
const REFUSED: u8 = 2;

/// Result codes (RFC 4511 appendix A).
const SUCCESS: u32 = 0;
const SASL_IN_PROGRESS: u32 = 14;
/// noSuchObject, inappropriateAuthentication, invalidCredentials, insufficientAccessRights.
const REFUSALS: [u32; 4] = [32, 48, 49, 50];

struct Message<'m> {
    operation: u8,
    content: Der<'m>,
}

impl<'m> Message<'m> {
    /// Section 4.1.1: an identifier of at most 31 bits, an operation, perhaps controls.
    fn of(tag: u8, mut fields: Der<'m>) -> Option<Self> {
        let id = fields.tagged(INTEGER).filter(|_| tag == SEQUENCE)?;
        let (tag, content) = fields.next().filter(|_| matches!(id.bytes().len(), 1..=4))?;
        let operation = tag & !CONSTRUCTED ^ APPLICATION;
        (operation <= OPERATION_MAX).then_some(Message { operation, content })
    }

    /// Whether no other protocol begins with it, for all that is known.
    fn is_telling(&self) -> bool {
        let mut fields = self.content;
        match self.operation {
            BIND_REQUEST => {
                matches!(fields.tagged(INTEGER).map(Der::number), Some(2 | 3)) && fields.tagged(OCTETS).is_some()
            }
            // Section 4.5.1: base, scope, when aliases are followed.
            SEARCH_REQUEST => {
                let has_base = fields.tagged(OCTETS).is_some();
                let mut choice = || fields.tagged(ENUMERATED).is_some_and(|value| matches!(value.bytes(), [0..=3]));
                has_base && choice() && choice()
            }
            EXTENDED_REQUEST => fields.tagged(REQUEST_NAME).is_some_and(|name| name.bytes().starts_with(b"1.")),
            _ => false,
        }
    }

    fn read(&self, r: &mut LdapRecord) {
        r.operations |= 1 << self.operation;
        let mut fields = self.content;
        match self.operation {
            BIND_REQUEST => read_bind(fields, r),
            BIND_RESPONSE => {
                let Some(result) = fields.tagged(ENUMERATED).map(Der::number) else { return };
                if result != SASL_IN_PROGRESS {
                    r.result = result.min(u16::MAX.into()) as u16;
                    r.login = if result == SUCCESS { GRANTED } else { REFUSED };
                    r.failures = r.failures.saturating_add(REFUSALS.contains(&result).into());
                }
            }
            EXTENDED_REQUEST if fields.tagged(REQUEST_NAME).is_some_and(|name| name.bytes() == START_TLS) => {
                r.starttls = ASKED_TLS;
            }
            EXTENDED_RESPONSE if r.starttls == ASKED_TLS => {
                let Some(result) = fields.tagged(ENUMERATED).map(Der::number) else { return };
                r.starttls = if result == SUCCESS { GRANTED_TLS } else { REFUSED_TLS };
            }
            _ => {}
        }
    }
}

/// A bind request: version, name, and how it is proved.
fn read_bind(mut fields: Der<'_>, r: &mut LdapRecord) {
    let Some(version) = fields.tagged(INTEGER) else { return };
    r.version = version.number().min(u8::MAX.into()) as u8;
    let name = fields.tagged(OCTETS).map(Der::bytes).unwrap_or_default();
    if !name.is_empty() {
        r.dn.set(name);
    }
    let Some((tag, mut proof)) = fields.next() else { return };
    r.binds |= match tag {
        SIMPLE if !proof.bytes().is_empty() => SIMPLE_BIND,
        // RFC 4513 section 5.1.2.
        SIMPLE if !name.is_empty() => NAME_ALONE_BIND,
        SIMPLE => ANONYMOUS_BIND,
        SASL => {
            r.mechanism.set(proof.tagged(OCTETS).map(Der::bytes).unwrap_or_default());
            SASL_BIND
        }
        _ => OTHER_BIND,
    };
}

#[cfg(test)]
mod tests;
