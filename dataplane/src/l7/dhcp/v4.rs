//! Messages of DHCP for IPv4 (RFC 2131 section 2, RFC 2132).
use super::{DhcpRecord, set_dns_name, set_parameters};
use std::net::{IpAddr, Ipv4Addr};

const REQUEST: u8 = 1;
const REPLY: u8 = 2;
/// Ethernet (IANA hardware types) and the length of its addresses.
const ETHERNET: [u8; 2] = [1, 6];
const YOUR_IP_AT: usize = 16;
const HARDWARE_AT: usize = 28;
const COOKIE_AT: usize = 236;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
const OPTIONS_AT: usize = COOKIE_AT + COOKIE.len();

/// Options.
const PAD: u8 = 0;
const HOST_NAME: u8 = 12;
const REQUESTED_IP: u8 = 50;
const LEASE: u8 = 51;
const MESSAGE_TYPE: u8 = 53;
const SERVER: u8 = 54;
const PARAMETERS: u8 = 55;
const VENDOR_CLASS: u8 = 60;
/// RFC 4702: flags, two bytes that say nothing any more, the name; flag 4: in the form of the DNS.
const CLIENT_FQDN: u8 = 81;
const FQDN_NAME_AT: usize = 3;
const FQDN_ENCODED: u8 = 4;
const END: u8 = 255;

pub(super) fn is_message(payload: &[u8]) -> bool {
    matches!(payload.first(), Some(&(REQUEST | REPLY))) && payload.get(COOKIE_AT..OPTIONS_AT) == Some(&COOKIE[..])
}

/// Takes what a message says, one for which [`is_message`] holds.
pub(super) fn read(payload: &[u8], r: &mut DhcpRecord) {
    let replies = payload.first() == Some(&REPLY);
    if payload.get(1..3) == Some(&ETHERNET[..]) {
        r.client_mac = payload.get(HARDWARE_AT..).and_then(|b| b.first_chunk()).copied().unwrap_or_default();
    }
    if let Some(ip) = payload.get(YOUR_IP_AT..).and_then(ip).filter(|ip| replies && !ip.is_unspecified()) {
        r.assigned = ip;
    }
    let has_name = options(payload).any(|(code, _)| code == HOST_NAME);
    for (code, value) in options(payload) {
        match (code, value) {
            (MESSAGE_TYPE, [kind, ..]) => *(if replies { &mut r.reply } else { &mut r.request }) = *kind,
            (HOST_NAME, name) if !replies => r.hostname.set(text(name)),
            (CLIENT_FQDN, [flags, ..]) if !replies && !has_name => {
                let name = value.get(FQDN_NAME_AT..).unwrap_or_default();
                if flags & FQDN_ENCODED != 0 { set_dns_name(name, &mut r.hostname) } else { r.hostname.set(text(name)) }
            }
            (VENDOR_CLASS, class) if !replies => r.vendor_class.set(text(class)),
            (PARAMETERS, codes) if !replies => set_parameters(codes.iter().map(|code| u16::from(*code)), r),
            (REQUESTED_IP, address) if !replies => r.requested = ip(address).unwrap_or(r.requested),
            (SERVER, address) => r.server = ip(address).unwrap_or(r.server),
            (LEASE, secs) if replies => r.lease = secs.first_chunk().map_or(r.lease, |secs| u32::from_be_bytes(*secs)),
            _ => {}
        }
    }
}

/// Code and value of each option up to the end, or to one that is cut; each turn goes on by a byte at least.
fn options(payload: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = payload.get(OPTIONS_AT..).unwrap_or_default();
    std::iter::from_fn(move || {
        while let Some((&PAD, behind)) = rest.split_first() {
            rest = behind;
        }
        let ([code, len], behind) = rest.split_first_chunk()?;
        if *code == END {
            return None;
        }
        let (value, next) = behind.split_at_checked((*len).into())?;
        rest = next;
        Some((*code, value))
    })
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    bytes.first_chunk().map(|bytes| IpAddr::V4(Ipv4Addr::from(*bytes)))
}

/// Some clients end texts with NUL.
fn text(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
    &bytes[..end]
}
