//! Messages of DHCPv6 (RFC 8415).
use super::{DhcpRecord, set_dns_name, set_parameters};
use std::net::{IpAddr, Ipv6Addr};

/// Message types (section 7.3).
const REQUESTS: [u8; 8] = [1, 3, 4, 5, 6, 8, 9, 11];
const REPLIES: [u8; 3] = [2, 7, 10];
const RELAY_FORWARD: u8 = 12;
const RELAY_REPLY: u8 = 13;
/// Section 9: type, hop count, two addresses; others: type, transaction.
const RELAY_OPTIONS_AT: usize = 34;
const OPTIONS_AT: usize = 4;
/// Relays one behind the other (HOP_COUNT_LIMIT of section 7.6).
const RELAYS_MAX: usize = 8;

/// Options (section 21).
const CLIENT_ID: u16 = 1;
/// IA_NA: identifier and two times, then options.
const ADDRESSES: u16 = 3;
const ADDRESSES_OPTIONS_AT: usize = 12;
/// IAADDR: the address, preferred lifetime, valid lifetime.
const ADDRESS: u16 = 5;
const VALID_AT: usize = 20;
const PARAMETERS: u16 = 6;
const RELAYED: u16 = 9;
/// Enterprise number, then items behind their lengths.
const VENDOR_CLASS: u16 = 16;
const VENDOR_ITEMS_AT: usize = 4;
/// RFC 4704: flags, then the name in the form of the DNS.
const CLIENT_FQDN: u16 = 39;

/// DUIDs that end with a link-layer address (section 11): type, hardware type, for the first a time.
const DUID_TIME: [u8; 4] = [0, 1, 0, 1];
const DUID: [u8; 4] = [0, 3, 0, 1];

pub(super) fn is_message(payload: &[u8]) -> bool {
    inner(payload).is_some()
}

/// Type and options of the message itself, out of what relays put around it.
fn inner(payload: &[u8]) -> Option<(u8, &[u8])> {
    let mut message = payload;
    for _ in 0..=RELAYS_MAX {
        let kind = *message.first()?;
        if !matches!(kind, RELAY_FORWARD | RELAY_REPLY) {
            let known = REQUESTS.contains(&kind) || REPLIES.contains(&kind);
            return message.get(OPTIONS_AT..).filter(|_| known).map(|options| (kind, options));
        }
        message = options(message.get(RELAY_OPTIONS_AT..)?).find(|(code, _)| *code == RELAYED)?.1;
    }
    None
}

/// Takes what a message says, one for which [`is_message`] holds.
pub(super) fn read(payload: &[u8], r: &mut DhcpRecord) {
    let Some((kind, all)) = inner(payload) else { return };
    let replies = REPLIES.contains(&kind);
    *(if replies { &mut r.reply } else { &mut r.request }) = kind;
    for (code, value) in options(all) {
        match code {
            CLIENT_ID => set_mac(value, r),
            ADDRESSES => set_address(value.get(ADDRESSES_OPTIONS_AT..).unwrap_or_default(), replies, r),
            PARAMETERS if !replies => {
                set_parameters(value.as_chunks().0.iter().map(|code| u16::from_be_bytes(*code)), r)
            }
            VENDOR_CLASS if !replies => {
                let items = value.get(VENDOR_ITEMS_AT..).unwrap_or_default();
                if let Some((len, rest)) = items.split_first_chunk() {
                    r.vendor_class.set(&rest[..rest.len().min(u16::from_be_bytes(*len).into())]);
                }
            }
            CLIENT_FQDN if !replies => set_dns_name(value.get(1..).unwrap_or_default(), &mut r.hostname),
            _ => {}
        }
    }
}

fn set_mac(duid: &[u8], r: &mut DhcpRecord) {
    let address = match duid.split_first_chunk() {
        Some((&DUID_TIME, rest)) => rest.get(4..),
        Some((&DUID, rest)) => Some(rest),
        _ => None,
    };
    if let Some(mac) = address.and_then(|address| address.try_into().ok()) {
        r.client_mac = mac;
    }
}

/// The first address of an association.
fn set_address(all: &[u8], replies: bool, r: &mut DhcpRecord) {
    let Some((_, value)) = options(all).find(|(code, _)| *code == ADDRESS) else { return };
    let Some(octets) = value.first_chunk::<16>() else { return };
    let ip = IpAddr::V6(Ipv6Addr::from(*octets));
    if !replies {
        r.requested = ip;
        return;
    }
    r.assigned = ip;
    r.lease = value.get(VALID_AT..).and_then(|secs| secs.first_chunk()).map_or(0, |secs| u32::from_be_bytes(*secs));
}

/// Code and value of each option up to one that is cut; each turn goes on by four bytes at least.
fn options(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (&[a, b, c, d], behind) = rest.split_first_chunk()?;
        let (value, next) = behind.split_at_checked(u16::from_be_bytes([c, d]).into())?;
        rest = next;
        Some((u16::from_be_bytes([a, b]), value))
    })
}
