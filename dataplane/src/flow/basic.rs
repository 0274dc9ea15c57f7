//! What every flow says, whatever it carried, and the live flow it is made from.
use crate::capture::FlowDirection;
use crate::flow::FlowKey;
use crate::flow::key::Endpoint;
use crate::flow::offload::Standing;
use crate::packet::{Direction, Packet};
use crate::registry::{self, Folded, PluginSet};
use record::element::{iana, reverse};
use record::{Mac, Time, record};
use std::net::IpAddr;

record! {
    /// The fields of every biflow (spec/ipfix.md section 2, spec/exporter.md section 6).
    pub struct Basic = "basic" {
        /// Why the flow was exported: 1 idle, 2 active timeout, 3 end of flow, 4 forced, 5 lack of resources; 0 not said.
        end_reason: u8, ipfix iana::flowEndReason;
        /// IP bytes from source to destination, by the length fields of the IP headers.
        bytes: u64, ipfix iana::octetDeltaCount, unirec "BYTES";
        /// IP bytes from destination to source.
        bytes_rev: u64, ipfix reverse::octetDeltaCount, unirec "BYTES_REV";
        /// Packets from source to destination.
        packets: u32, ipfix iana::packetDeltaCount as 8, unirec "PACKETS";
        /// Packets from destination to source.
        packets_rev: u32, ipfix reverse::packetDeltaCount as 8, unirec "PACKETS_REV";
        /// Time of the first packet.
        time_first: Time, ipfix iana::flowStartMicroseconds, unirec "TIME_FIRST";
        /// Time of the last packet.
        time_last: Time, ipfix iana::flowEndMicroseconds, unirec "TIME_LAST";
        /// 4 or 6.
        ip_version: u8, ipfix iana::ipVersion;
        /// IANA protocol number.
        protocol: u8, ipfix iana::protocolIdentifier, unirec "PROTOCOL";
        /// OR of the TCP flags from source to destination.
        tcp_flags: u8, ipfix iana::tcpControlBits, unirec "TCP_FLAGS";
        /// OR of the TCP flags from destination to source.
        tcp_flags_rev: u8, ipfix reverse::tcpControlBits, unirec "TCP_FLAGS_REV";
        /// Source port, 0 where the protocol has none.
        src_port: u16, ipfix iana::sourceTransportPort, unirec "SRC_PORT";
        /// Destination port.
        dst_port: u16, ipfix iana::destinationTransportPort, unirec "DST_PORT";
        /// Number of the interface by which the first packet came: the kernel's of a live one; for the drop-in set by its option `dir`.
        ingress_interface: u32, ipfix iana::ingressInterface, shown Never;
        /// Source address: the sender of the flow's first packet.
        src_ip: IpAddr, ipfix iana::sourceIPv4Address | iana::sourceIPv6Address, unirec "SRC_IP";
        /// Destination address.
        dst_ip: IpAddr, ipfix iana::destinationIPv4Address | iana::destinationIPv6Address, unirec "DST_IP";
        /// Source MAC address of the first packet, zero if the link has none.
        src_mac: Mac, ipfix iana::sourceMacAddress, unirec "SRC_MAC";
        /// Destination MAC address of the first packet.
        dst_mac: Mac, ipfix iana::destinationMacAddress, unirec "DST_MAC";
        /// Link of observation, set by the exporter (option `id`).
        link_bit_field: u64, unirec "LINK_BIT_FIELD", shown Never;
        /// Observation domain, in place of the link if the exporter is told so (option `odid`).
        odid: u32, unirec "ODID", shown Never;
        /// Direction of observation, set by the exporter (option `dir`).
        dir_bit_field: u8, unirec "DIR_BIT_FIELD", shown Never;
    }
}

record! {
    /// Which way a flow went where it was observed; only of flows of which that is known, and never in the drop-in.
    pub struct Heading = "direction" {
        /// Of the first packet: 0 it came in by the interface, 1 it left by it.
        direction: u8, ipfix iana::flowDirection;
    }
}

/// flowEndReason (IANA element 136).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EndReason {
    Idle = 1,
    Active = 2,
    EndOfFlow = 3,
    Forced = 4,
    LackOfResources = 5,
}

/// One live biflow. What a packet touches stands in the first cache line; the second is for IPv6 keys, and for the plugins.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Flow {
    /// The part of the key that is all of it for IPv4.
    pub(crate) head: [u64; 2],
    pub first: Time,
    pub last: Time,
    /// Forward, reverse.
    pub bytes: [u64; 2],
    pub packets: [u32; 2],
    /// Of `interest`, which stands in the second line.
    pub(crate) folded: Folded,
    pub tcp_flags: [u8; 2],
    /// Whether the source stands second in the key.
    pub reversed: bool,
    /// A plugin wants to see packets whatever they begin with ([`Step::Each`](crate::plugin::Step::Each)).
    pub eager: bool,
    /// The rest of an IPv6 key.
    pub(crate) tail: [u64; 3],
    pub src_mac: Mac,
    pub dst_mac: Mac,
    /// What the plugins keep of this flow: a row of the registry, counted from 1; 0 if nothing. So an empty table is all zeros.
    pub row: u32,
    /// Whether its packets are counted elsewhere.
    pub(crate) standing: Standing,
    /// Plugins that want to see more packets.
    pub(crate) interest: PluginSet,
    /// Number of the interface of the first packet, and which way that went.
    pub interface: u32,
    pub heading: FlowDirection,
}

const _: () = assert!(size_of::<Flow>() == 128 && std::mem::offset_of!(Flow, tail) == 64);

impl Default for Flow {
    fn default() -> Self {
        Flow {
            head: [0; 2],
            tail: [0; 3],
            first: Time(0),
            last: Time(0),
            bytes: [0; 2],
            packets: [0; 2],
            src_mac: [0; 6],
            dst_mac: [0; 6],
            row: 0,
            folded: 0,
            tcp_flags: [0; 2],
            reversed: false,
            eager: false,
            standing: Standing::default(),
            interest: 0,
            interface: 0,
            heading: FlowDirection::Unknown,
        }
    }
}

impl Flow {
    /// A flow of this key that has seen nothing yet.
    pub fn of(key: FlowKey) -> Flow {
        let (head, tail) = key.parts();
        Flow { head, tail, ..Flow::default() }
    }

    pub fn key(&self) -> FlowKey {
        FlowKey::of_parts(self.head, self.tail)
    }

    /// Whether this is the flow of a key; the second line is looked at for IPv6 only.
    #[inline(always)]
    pub fn is_of(&self, key: &FlowKey) -> bool {
        key.begins_with(&self.head) && (key.is_short() || key.ends_with(&self.tail))
    }

    /// Counts one packet.
    #[inline(always)]
    pub fn count(&mut self, p: &Packet, direction: Direction) {
        let d = direction as usize;
        self.bytes[d] += u64::from(p.ip_len);
        self.packets[d] += 1;
        self.tcp_flags[d] |= p.tcp_flags;
        self.last = p.at;
    }

    /// Plugins that want to see more packets.
    #[inline(always)]
    pub fn interest(&self) -> PluginSet {
        self.interest
    }

    #[inline(always)]
    pub(crate) fn set_interest(&mut self, interest: PluginSet) {
        self.interest = interest;
        self.folded = registry::fold(interest);
    }

    /// Whether any plugin wants to see more packets, told without the second line.
    #[inline(always)]
    pub(crate) fn has_interest(&self) -> bool {
        self.folded != 0
    }

    /// Whether any plugin of a set may want to see more packets: told without the second line, so sometimes true where none does.
    #[inline(always)]
    pub(crate) fn may_interest(&self, set: PluginSet) -> bool {
        self.folded & registry::fold(set) != 0
    }

    /// The direction of a packet of this flow.
    #[inline(always)]
    pub fn direction_of(&self, p: &Packet) -> Direction {
        if p.reversed == self.reversed { Direction::Forward } else { Direction::Reverse }
    }

    /// Packets of both directions.
    #[inline(always)]
    pub fn packets_total(&self) -> u64 {
        self.packets[0] as u64 + self.packets[1] as u64
    }

    /// (source, destination): the source sent the first packet.
    pub fn endpoints(&self) -> (Endpoint, Endpoint) {
        let (a, b) = self.key().endpoints();
        if self.reversed { (b, a) } else { (a, b) }
    }
}
