//! dhcp: who asks for an address and what it says of itself, who gives one (RFC 2131, RFC 2132; DHCPv6: RFC 8415), by ports.
//!
//! Each message of a flow adds what it says. Of DHCPv6 relays the message inside is read.
mod v4;
mod v6;

use crate::face::Face;
use crate::packet::protocol;
use crate::plugin::{Context, Cut, OptionError, Plugin, Slots, Step, put_short, put_text};
use record::element::cesnet;
use record::{Mac, Text, record};
use std::fmt::Write;
use std::net::{IpAddr, Ipv6Addr};

record! {
    /// DHCP or DHCPv6 messages.
    pub struct DhcpRecord = "dhcp" {
        /// Type of the client's last message. IPv4: 1 DISCOVER, 3 REQUEST, 4 DECLINE, 7 RELEASE, 8 INFORM. IPv6: 1 SOLICIT, 3 REQUEST,
        /// 4 CONFIRM, 5 RENEW, 6 REBIND, 8 RELEASE, 9 DECLINE, 11 INFORMATION-REQUEST.
        request: u8, ipfix cesnet::dhcpRequest, unirec "DHCP_REQUEST";
        /// Type of the server's last message. IPv4: 2 OFFER, 5 ACK, 6 NAK. IPv6: 2 ADVERTISE, 7 REPLY, 10 RECONFIGURE.
        reply: u8, ipfix cesnet::dhcpReply, unirec "DHCP_REPLY";
        /// Link-layer address of the client, as it says (IPv6: in its DUID).
        client_mac: Mac, ipfix cesnet::dhcpClientMac, unirec "DHCP_CLIENT_MAC";
        /// Name that the client gives to itself: host name, else the full name that it wants in the DNS.
        hostname: Text<NAME_LEN_MAX>, ipfix cesnet::dhcpHostname, unirec "DHCP_HOSTNAME";
        /// Vendor class: software or make of the client (IPv6: its first item).
        vendor_class: Text<NAME_LEN_MAX>, ipfix cesnet::dhcpVendorClass, unirec "DHCP_VENDOR_CLASS";
        /// Options that the client asks for, in its order: a fingerprint of its software.
        parameters: Text<PARAMETERS_LEN_MAX>, ipfix cesnet::dhcpParameters, unirec "DHCP_PARAMETERS";
        /// Address that the client asked for last.
        requested: IpAddr, ipfix cesnet::dhcpRequestedIPv4Address | cesnet::dhcpRequestedIPv6Address, unirec "DHCP_REQUESTED_IP";
        /// Address that the server offered or gave last.
        assigned: IpAddr, ipfix cesnet::dhcpAssignedIPv4Address | cesnet::dhcpAssignedIPv6Address, unirec "DHCP_ASSIGNED_IP";
        /// Identifier of the server: one of its addresses. Not in DHCPv6.
        server: IpAddr, ipfix cesnet::dhcpServerIPv4Address | cesnet::dhcpServerIPv6Address, unirec "DHCP_SERVER_IP";
        /// Lease of that address, seconds.
        lease: u32, ipfix cesnet::dhcpLease, unirec "DHCP_LEASE";
    }
}

const NAME_LEN_MAX: usize = 128;
/// Some 40 numbers with their commas.
const PARAMETERS_LEN_MAX: usize = 160;

pub struct Dhcp;

impl Plugin for Dhcp {
    type Record = DhcpRecord;
    type State = ();
    const BEFORE: bool = true;
    const BY_PORT: bool = true;

    #[inline(always)]
    fn may_use(src_port: u16, dst_port: u16) -> bool {
        [src_port, dst_port].iter().any(|port| matches!(*port, SERVER | CLIENT | CLIENT_V6 | SERVER_V6))
    }

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Dhcp)
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        self.before(ctx, slots)
    }

    fn before(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        let packet = ctx.packet.packet;
        if packet.protocol != protocol::UDP {
            return Step::Done;
        }
        let payload = ctx.packet.payload();
        let v6 = [packet.src_port, packet.dst_port].iter().any(|port| matches!(*port, CLIENT_V6 | SERVER_V6));
        let known = if v6 { v6::is_message(payload) } else { v4::is_message(payload) };
        if !known {
            return Step::More;
        }
        let fresh = slots.first().is_none();
        let Some(slot) = slots.first_or_open() else { return Step::More };
        let r = &mut slot.record;
        if fresh && v6 {
            (r.requested, r.assigned, r.server) = (NO_IPV6, NO_IPV6, NO_IPV6);
        }
        if v6 {
            v6::read(payload, r)
        } else {
            v4::read(payload, r)
        }
        Step::More
    }

    fn text(r: &DhcpRecord, out: &mut String) {
        let _ = write!(out, "dhcprequest={},reply={},", r.request, r.reply);
        let mac = r.client_mac;
        let _ = write!(
            out,
            "mac={:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x},",
            mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]
        );
        for (key, value) in [("hostname", &r.hostname), ("vendorclass", &r.vendor_class)] {
            let _ = write!(out, "{key}=\"");
            put_text(out, value.as_bytes());
            out.push_str("\",");
        }
        out.push_str("parameters=\"");
        put_text(out, r.parameters.as_bytes());
        let _ =
            write!(out, "\",requested={},assigned={},server={},lease={}", r.requested, r.assigned, r.server, r.lease);
    }

    fn summary(r: &DhcpRecord, out: &mut String) {
        out.push_str("dhcp ");
        put_short(out, r.hostname.as_bytes());
        if !r.assigned.is_unspecified() {
            let _ = write!(out, " gets {}", r.assigned);
        }
    }
}

/// RFC 2131 section 4.1, RFC 8415 section 7.2.
const SERVER: u16 = 67;
const CLIENT: u16 = 68;
const CLIENT_V6: u16 = 546;
const SERVER_V6: u16 = 547;

const NO_IPV6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// Writes what the client asks for.
fn set_parameters(codes: impl Iterator<Item = u16>, r: &mut DhcpRecord) {
    r.parameters.set(&[]);
    for (nth, code) in codes.enumerate() {
        // A number is written whole or not at all.
        let mut number = Text::<6>::default();
        let _ = write!(Cut(&mut number), "{}{code}", if nth == 0 { "" } else { "," });
        if r.parameters.room() < number.as_bytes().len() {
            return;
        }
        r.parameters.push(number.as_bytes());
    }
}

/// A name in the form of the DNS (RFC 1035 section 3.1), without compression; it may be cut, and need not end.
fn set_dns_name(mut labels: &[u8], name: &mut Text<NAME_LEN_MAX>) {
    name.set(&[]);
    while let Some((len @ 1..=63, rest)) = labels.split_first().map(|(len, rest)| (usize::from(*len), rest)) {
        let (label, next) = rest.split_at_checked(len).unwrap_or((rest, &[]));
        name.push(if name.is_empty() { b"" } else { b"." });
        name.push(label);
        labels = next;
    }
}

#[cfg(test)]
mod tests;
