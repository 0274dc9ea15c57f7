//! smb: dialect, NTLM names and how logons ended, of SMB 2 and 3 over TCP ([MS-SMB2], [MS-NLMP]), on any port.
//!
//! A segment is looked at if it begins with a message. A granted logon ends the interest: what follows is work, or encrypted.
use crate::face::Face;
use crate::plugin::{Context, OptionError, Plugin, Slots, Step, put_short, put_text};
use memchr::memmem;
use record::element::cesnet;
use record::{Text, record};
use std::fmt::Write;

record! {
    /// SMB 2 connection.
    pub struct SmbRecord = "smb" {
        /// The server's choice: 0x0202, 0x0210, 0x0300, 0x0302, 0x0311; 0x02ff: 2 and above, to be negotiated again.
        dialect: u16, ipfix cesnet::smbDialect, unirec "SMB_DIALECT";
        /// User of the last NTLM logon.
        user: Text<NAME_LEN_MAX>, ipfix cesnet::smbUser, unirec "SMB_USER";
        /// Domain of the last NTLM logon.
        domain: Text<NAME_LEN_MAX>, ipfix cesnet::smbDomain, unirec "SMB_DOMAIN";
        /// Name that the client gives to itself.
        workstation: Text<NAME_LEN_MAX>, ipfix cesnet::smbWorkstation, unirec "SMB_WORKSTATION";
        /// NT status of the last answer to a logon, steps on the way left out.
        status: u32, ipfix cesnet::smbStatus, unirec "SMB_STATUS";
        /// Logons refused for the user or the password: STATUS_LOGON_FAILURE and its kin.
        failures: u16, ipfix cesnet::smbLogonFailures, unirec "SMB_LOGON_FAILURES";
        /// Logons granted.
        logons: u16, ipfix cesnet::smbLogons, unirec "SMB_LOGONS";
    }
}

/// Longest name that is kept, in UTF-8; Windows allows 20 characters to users, 15 to machines, 255 bytes to domains.
const NAME_LEN_MAX: usize = 128;

pub struct Smb;

impl Plugin for Smb {
    type Record = SmbRecord;
    type State = ();
    const BEFORE: bool = true;
    const PROBES: bool = true;

    #[inline(always)]
    fn may_begin(payload: &[u8]) -> bool {
        payload.first_chunk::<8>().is_some_and(|h| h[0] == 0 && h[4..] == *PROTOCOL)
    }

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Smb)
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        self.before(ctx, slots)
    }

    fn before(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        for message in messages(ctx.packet.payload()) {
            if !matches!(message.command, NEGOTIATE | SESSION_SETUP) {
                continue;
            }
            let fresh = slots.first().is_none();
            let Some(slot) = slots.first_or_open() else { return Step::More };
            let known = message.read(&mut slot.record);
            slot.export = known || slot.export && !fresh;
            if slot.record.logons > 0 {
                return Step::Done;
            }
        }
        Step::More
    }

    fn text(r: &SmbRecord, out: &mut String) {
        let _ = write!(out, "smbdialect=0x{:04x}", r.dialect);
        for (key, value) in [("user", &r.user), ("domain", &r.domain), ("workstation", &r.workstation)] {
            let _ = write!(out, ",{key}=\"");
            put_text(out, value.as_bytes());
            out.push('"');
        }
        let _ = write!(out, ",status=0x{:08x},failures={},logons={}", r.status, r.failures, r.logons);
    }

    fn summary(r: &SmbRecord, out: &mut String) {
        let _ = write!(out, "smb {:x}.{:02x} ", r.dialect >> 8, r.dialect & 0xff);
        put_short(out, r.user.as_bytes());
        if r.failures > 0 {
            let _ = write!(out, " refused {} times", r.failures);
        }
    }
}

/// [MS-SMB2] 2.2.1.
const PROTOCOL: &[u8; 4] = b"\xfeSMB";
const HEADER_LEN: usize = 64;
const STATUS_AT: usize = 8;
const COMMAND_AT: usize = 12;
const FLAGS_AT: usize = 16;
/// SMB2_FLAGS_SERVER_TO_REDIR.
const IS_RESPONSE: u8 = 1;

/// Commands.
const NEGOTIATE: u16 = 0;
const SESSION_SETUP: u16 = 1;

/// NT status codes ([MS-ERREF] 2.3.1).
const SUCCESS: u32 = 0;
const MORE_PROCESSING_REQUIRED: u32 = 0xc000_0016;

/// Whether a logon was refused for who asked, not for what is wrong with the message or the server.
fn is_refusal(status: u32) -> bool {
    // NO_SUCH_USER, WRONG_PASSWORD, LOGON_FAILURE, ACCOUNT_RESTRICTION, INVALID_LOGON_HOURS, INVALID_WORKSTATION, PASSWORD_EXPIRED,
    // ACCOUNT_DISABLED; LOGON_TYPE_NOT_GRANTED, ACCOUNT_EXPIRED, PASSWORD_MUST_CHANGE, ACCOUNT_LOCKED_OUT.
    matches!(status, 0xc000_0064 | 0xc000_006a | 0xc000_006d..=0xc000_0072)
        || matches!(status, 0xc000_015b | 0xc000_0193 | 0xc000_0224 | 0xc000_0234)
}

struct Message<'m> {
    command: u16,
    is_response: bool,
    status: u32,
    /// From the header on.
    bytes: &'m [u8],
}

/// The messages that begin in a segment, each behind the four bytes of its length ([MS-SMB2] 2.1). The last may be cut.
fn messages(mut rest: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let len = u32::from_be_bytes([0, length[1], length[2], length[3]]) as usize;
        let (bytes, next) = behind.split_at_checked(len).unwrap_or((behind, &[]));
        rest = next;
        Message::of(bytes).filter(|_| length[0] == 0)
    })
}

impl<'m> Message<'m> {
    fn of(bytes: &'m [u8]) -> Option<Self> {
        let header = bytes.first_chunk::<HEADER_LEN>().filter(|header| header.starts_with(PROTOCOL))?;
        let is_response = header[FLAGS_AT] & IS_RESPONSE != 0;
        Some(Message { command: u16_at(header, COMMAND_AT)?, is_response, status: u32_at(header, STATUS_AT)?, bytes })
    }

    /// Takes what the message says; false if that is nothing.
    fn read(&self, r: &mut SmbRecord) -> bool {
        let body = &self.bytes[HEADER_LEN..];
        match (self.command, self.is_response) {
            // 2.2.4: structure size, security mode, dialect.
            (NEGOTIATE, true) if self.status == SUCCESS => u16_at(body, 4).inspect(|d| r.dialect = *d).is_some(),
            (SESSION_SETUP, true) => self.status != MORE_PROCESSING_REQUIRED && count(self.status, r),
            // 2.2.5: offset from the header, and length of the security buffer.
            (SESSION_SETUP, false) => {
                let place = u16_at(body, 12).zip(u16_at(body, 14));
                place.and_then(|(at, len)| part(self.bytes, at.into(), len.into())).is_some_and(|b| set_names(b, r))
            }
            _ => false,
        }
    }
}

fn count(status: u32, r: &mut SmbRecord) -> bool {
    r.status = status;
    r.logons = r.logons.saturating_add((status == SUCCESS).into());
    r.failures = r.failures.saturating_add(is_refusal(status).into());
    true
}

/// [MS-NLMP] 2.2.1.3. The message stands bare or inside SPNEGO.
const NTLM: &[u8] = b"NTLMSSP\0";
const AUTHENTICATE: u32 = 3;
const DOMAIN_AT: usize = 28;
const USER_AT: usize = 36;
const WORKSTATION_AT: usize = 44;
const NTLM_FLAGS_AT: usize = 60;
/// NTLMSSP_NEGOTIATE_UNICODE.
const UNICODE: u32 = 1;

/// The names of an AUTHENTICATE_MESSAGE, if there is one.
fn set_names(security: &[u8], r: &mut SmbRecord) -> bool {
    let Some(message) = memmem::find(security, NTLM).map(|at| &security[at..]) else { return false };
    if u32_at(message, NTLM.len()) != Some(AUTHENTICATE) {
        return false;
    }
    let unicode = u32_at(message, NTLM_FLAGS_AT).is_some_and(|flags| flags & UNICODE != 0);
    for (name, at) in [(&mut r.domain, DOMAIN_AT), (&mut r.user, USER_AT), (&mut r.workstation, WORKSTATION_AT)] {
        let place = u16_at(message, at).zip(u32_at(message, at + 4));
        let bytes = place.and_then(|(len, begins)| part(message, begins as usize, len.into())).unwrap_or_default();
        if unicode { set_utf16(name, bytes) } else { name.set(bytes) }
    }
    true
}

/// UTF-16, little endian, as UTF-8; a character that does not fit whole is left out.
fn set_utf16(name: &mut Text<NAME_LEN_MAX>, bytes: &[u8]) {
    name.set(&[]);
    let units = bytes.as_chunks().0.iter().map(|unit| u16::from_le_bytes(*unit));
    for character in char::decode_utf16(units) {
        let mut room = [0; 4];
        let text = character.unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut room);
        if name.room() < text.len() {
            break;
        }
        name.push(text.as_bytes());
    }
}

/// What of a field is there: `None` if it begins behind the end.
fn part(bytes: &[u8], at: usize, len: usize) -> Option<&[u8]> {
    let rest = bytes.get(at..)?;
    Some(&rest[..rest.len().min(len)])
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests;
