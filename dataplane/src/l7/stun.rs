//! stun: methods, the address that a client is seen with, software and errors of STUN and TURN (RFC 8489, RFC 8656), over UDP and TCP, on any port.
//!
//! A message is told by its magic cookie; those of RFC 3489, which had none, are not read. Calls go on over the same ports: their packets
//! do not pass the look.
use crate::face::Face;
use crate::packet::protocol;
use crate::plugin::{Context, OptionError, Plugin, Slots, Step, put_short, put_text};
use record::element::cesnet;
use record::{Text, record};
use std::fmt::Write;
use std::net::IpAddr;

record! {
    /// STUN messages.
    pub struct StunRecord = "stun" {
        /// Methods seen, a bit each by its number: 1 Binding (2), 3 Allocate (8), 4 Refresh (16), 6 Send (64), 7 Data (128),
        /// 8 CreatePermission (256), 9 ChannelBind (512).
        methods: u16, ipfix cesnet::stunMethods, unirec "STUN_METHODS";
        /// Classes seen: request 1, indication 2, success 4, error 8.
        classes: u8, ipfix cesnet::stunClasses, unirec "STUN_CLASSES";
        /// Whether a message belongs to ICE (RFC 8445): it has a priority or a role.
        ice: u8, ipfix cesnet::stunIce, unirec "STUN_ICE";
        /// Address that the server saw a client with, by the last answer that says so.
        mapped: IpAddr, ipfix cesnet::stunMappedIPv4Address | cesnet::stunMappedIPv6Address, unirec "STUN_MAPPED_IP";
        /// Port beside it.
        mapped_port: u16, ipfix cesnet::stunMappedPort, unirec "STUN_MAPPED_PORT";
        /// Address that a TURN server gives to a client.
        relayed: IpAddr, ipfix cesnet::stunRelayedIPv4Address | cesnet::stunRelayedIPv6Address, unirec "STUN_RELAYED_IP";
        /// Software that the flow's source names.
        software: Text<TEXT_LEN_MAX>, ipfix cesnet::stunSoftware, unirec "STUN_SOFTWARE";
        /// Software that the other side names.
        software_rev: Text<TEXT_LEN_MAX>, ipfix cesnet::stunSoftwareRev, unirec "STUN_SOFTWARE_REV";
        /// Realm of the server.
        realm: Text<TEXT_LEN_MAX>, ipfix cesnet::stunRealm, unirec "STUN_REALM";
        /// Code of the last error: 401 asks for credentials, 403 forbidden, 437 no allocation, 486 quota reached.
        error: u16, ipfix cesnet::stunError, unirec "STUN_ERROR";
    }
}

/// RFC 8489 allows 763 bytes; software and realms in use are shorter.
const TEXT_LEN_MAX: usize = 128;

pub struct Stun;

impl Plugin for Stun {
    type Record = StunRecord;
    type State = ();
    const BEFORE: bool = true;
    const PROBES: bool = true;

    #[inline(always)]
    fn may_begin(payload: &[u8]) -> bool {
        payload.first_chunk::<HEADER_LEN>().is_some_and(|h| h[COOKIE_AT..COOKIE_AT + 4] == COOKIE && h[0] & 0xc0 == 0)
    }

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Stun)
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        self.before(ctx, slots)
    }

    fn before(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        let message = match ctx.packet.packet.protocol {
            protocol::UDP | protocol::TCP => Message::of(ctx.packet.payload()),
            _ => return Step::Done,
        };
        let Some(message) = message else { return Step::More };
        let Some(slot) = slots.first_or_open() else { return Step::More };
        message.read(ctx.direction.into(), &mut slot.record);
        Step::More
    }

    fn text(r: &StunRecord, out: &mut String) {
        let _ = write!(out, "stunmethods={},classes={},ice={},", r.methods, r.classes, r.ice);
        let _ = write!(out, "mapped={},mappedport={},relayed={},", r.mapped, r.mapped_port, r.relayed);
        for (key, value) in [("software", &r.software), ("softwarerev", &r.software_rev), ("realm", &r.realm)] {
            let _ = write!(out, "{key}=\"");
            put_text(out, value.as_bytes());
            out.push_str("\",");
        }
        let _ = write!(out, "error={}", r.error);
    }

    fn summary(r: &StunRecord, out: &mut String) {
        out.push_str(if r.methods & !BINDING == 0 { "stun " } else { "turn " });
        put_short(out, r.software.as_bytes());
        if r.mapped_port != 0 {
            let _ = write!(out, " seen as {} port {}", r.mapped, r.mapped_port);
        }
    }
}

/// RFC 8489 section 5: type, length, cookie, transaction.
const HEADER_LEN: usize = 20;
const COOKIE_AT: usize = 4;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING: u16 = 1 << 1;

/// Attributes (RFC 8489 section 18.3, RFC 8656 section 18, RFC 8445 section 16.1).
const MAPPED_ADDRESS: u16 = 0x0001;
const ERROR_CODE: u16 = 0x0009;
const REALM: u16 = 0x0014;
const XOR_RELAYED_ADDRESS: u16 = 0x0016;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const SOFTWARE: u16 = 0x8022;
const ICE_CONTROLLED: u16 = 0x8029;
const ICE_CONTROLLING: u16 = 0x802a;

struct Message<'m> {
    method: u16,
    class: u8,
    /// Cookie and transaction: addresses are mixed with them.
    mask: &'m [u8; 16],
    attributes: &'m [u8],
}

impl<'m> Message<'m> {
    fn of(payload: &'m [u8]) -> Option<Self> {
        let (header, rest) = payload.split_first_chunk::<HEADER_LEN>().filter(|_| Stun::may_begin(payload))?;
        let (kind, len) = (u16::from_be_bytes([header[0], header[1]]), u16::from_be_bytes([header[2], header[3]]));
        // Attributes are padded to words.
        if !len.is_multiple_of(4) {
            return None;
        }
        Some(Message {
            // Figure 3: the class's two bits stand among those of the method.
            method: kind & 0xf | kind >> 1 & 0x70 | kind >> 2 & 0xf80,
            class: (kind >> 4 & 1 | kind >> 7 & 2) as u8,
            mask: header.last_chunk()?,
            attributes: &rest[..rest.len().min(len.into())],
        })
    }

    fn read(&self, reverse: usize, r: &mut StunRecord) {
        if self.method < u16::BITS as u16 {
            r.methods |= 1 << self.method;
        }
        r.classes |= 1 << self.class;
        let mut is_mixed = false;
        for (kind, value) in attributes(self.attributes) {
            match kind {
                XOR_MAPPED_ADDRESS => {
                    is_mixed = true;
                    if let Some(end) = endpoint(value, self.mask) {
                        (r.mapped, r.mapped_port) = end;
                    }
                }
                MAPPED_ADDRESS if !is_mixed => {
                    if let Some(end) = endpoint(value, &[0; 16]) {
                        (r.mapped, r.mapped_port) = end;
                    }
                }
                XOR_RELAYED_ADDRESS => r.relayed = endpoint(value, self.mask).map_or(r.relayed, |(ip, _)| ip),
                SOFTWARE if reverse == 0 => r.software.set(value),
                SOFTWARE => r.software_rev.set(value),
                REALM => r.realm.set(value),
                // Section 14.8: two bytes of nothing, the hundreds, the rest.
                ERROR_CODE => {
                    r.error =
                        value.get(2..4).map_or(r.error, |code| u16::from(code[0] & 7) * 100 + u16::from(code[1] % 100));
                }
                PRIORITY | ICE_CONTROLLED | ICE_CONTROLLING => r.ice = 1,
                _ => {}
            }
        }
    }
}

/// Attributes up to one that is cut; each turn goes on by four bytes at least.
fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (&[a, b, c, d], behind) = rest.split_first_chunk()?;
        let len = usize::from(u16::from_be_bytes([c, d]));
        let value = behind.get(..len)?;
        rest = behind.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_be_bytes([a, b]), value))
    })
}

const IPV4: u8 = 1;
const IPV6: u8 = 2;

/// An address with its port (sections 14.1 and 14.2), each byte mixed with the mask's.
fn endpoint(value: &[u8], mask: &[u8; 16]) -> Option<(IpAddr, u16)> {
    let (&[_, family, high, low], address) = value.split_first_chunk()?;
    let port = u16::from_be_bytes([high ^ mask[0], low ^ mask[1]]);
    let ip = match family {
        IPV4 => IpAddr::from(mixed::<4>(address, mask)?),
        IPV6 => IpAddr::from(mixed::<16>(address, mask)?),
        _ => return None,
    };
    Some((ip, port))
}

fn mixed<const N: usize>(address: &[u8], mask: &[u8; 16]) -> Option<[u8; N]> {
    let mut address: [u8; N] = *address.first_chunk()?;
    address.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    Some(address)
}

#[cfg(test)]
mod tests;
