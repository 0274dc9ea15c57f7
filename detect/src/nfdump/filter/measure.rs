//! Numbers and addresses of a flow that a filter may ask for.
use super::super::Flow;
use std::net::IpAddr;

macro_rules! measures {
    ($($(#[$doc:meta])* $name:ident: $most:expr, |$flow:ident| $value:expr;)+) => {
        /// A number of a flow.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Measure {
            $($(#[$doc])* $name,)+
            /// An MPLS label by its place from the top, 0 to 9.
            MplsLabel(u8),
            /// The experimental bits of such a label.
            MplsExperimental(u8),
        }

        impl Measure {
            pub(super) fn of(self, flow: &Flow, number: u64) -> u64 {
                match self {
                    $(Measure::$name => { let $flow = (flow, number); u64::from($value) })+
                    Measure::MplsLabel(at) => label(entry(flow, at)),
                    Measure::MplsExperimental(at) => u64::from(entry(flow, at) >> 1 & 7),
                }
            }

            /// The largest number that may be asked for.
            pub(super) fn most(self) -> u64 {
                match self {
                    $(Measure::$name => $most,)+
                    Measure::MplsLabel(_) => 0x00ff_ffff,
                    Measure::MplsExperimental(_) => 7,
                }
            }
        }
    };
}

const U8: u64 = u8::MAX as u64;
const U16: u64 = u16::MAX as u64;
const U32: u64 = u32::MAX as u64;
const U64: u64 = u64::MAX;

measures! {
    /// Which record it is, from 1 on.
    Count: U64, |of| of.1;
    Packets: U64, |of| of.0.packets;
    Bytes: U64, |of| of.0.bytes;
    PacketsBack: U64, |of| of.0.extra.packets_back;
    BytesBack: U64, |of| of.0.extra.bytes_back;
    /// Flows in this one, at least itself.
    Flows: U64, |of| of.0.extra.flows.max(1);
    /// Milliseconds.
    Duration: U64, |of| duration(of.0);
    PacketsPerSecond: U64, |of| a_second(of.0.packets, 1, of.0);
    BitsPerSecond: U64, |of| a_second(of.0.bytes, 8, of.0);
    BytesPerPacket: U64, |of| of.0.bytes.checked_div(of.0.packets).unwrap_or(0);
    SourcePort: U16, |of| of.0.ports[0];
    DestinationPort: U16, |of| of.0.ports[1];
    Tos: U8, |of| of.0.tos;
    TosBack: U8, |of| of.0.extra.tos_back;
    TcpFlags: 63, |of| of.0.tcp_flags;
    IcmpType: U8, |of| of.0.ports[1] >> 8;
    IcmpCode: U8, |of| of.0.ports[1] & 0xff;
    Input: U32, |of| of.0.input;
    Output: U32, |of| of.0.extra.output;
    Direction: 2, |of| of.0.direction;
    Forwarding: U8, |of| of.0.extra.forwarding;
    Engine: U8, |of| of.0.engine;
    EngineType: U8, |of| of.0.extra.engine_type;
    Exporter: U8, |of| of.0.extra.exporter;
    SourceSystem: U32, |of| of.0.extra.systems[0];
    DestinationSystem: U32, |of| of.0.extra.systems[1];
    PreviousSystem: U32, |of| of.0.extra.previous_system;
    NextSystem: U32, |of| of.0.extra.next_system;
    SourceMask: U8, |of| of.0.extra.masks[0];
    DestinationMask: U8, |of| of.0.extra.masks[1];
    SourceVlan: U16, |of| of.0.extra.vlans[0];
    DestinationVlan: U16, |of| of.0.extra.vlans[1];
    TunnelProtocol: U8, |of| of.0.extra.tunnel_protocol;
    InSourceMac: U64, |of| of.0.extra.macs[0];
    OutDestinationMac: U64, |of| of.0.extra.macs[1];
    InDestinationMac: U64, |of| of.0.extra.macs[2];
    OutSourceMac: U64, |of| of.0.extra.macs[3];
    /// The label at the bottom of the stack; a stack without one has no label that can be asked for.
    MplsBottom: 0x00ff_ffff, |of| of.0.extra.mpls.iter().find(|entry| *entry & 1 == 1).map_or(U64, |entry| label(*entry));
    /// Microseconds, as nfdump compares them; its manual says milliseconds.
    ClientLatency: U64, |of| of.0.extra.latencies[0];
    ServerLatency: U64, |of| of.0.extra.latencies[1];
    ApplicationLatency: U64, |of| of.0.extra.latencies[2];
    ObservationDomain: U32, |of| of.0.extra.observation_domain;
    ObservationPoint: U64, |of| of.0.extra.observation_point;
    /// Of a firewall or an address translation.
    Event: U8, |of| of.0.extra.event;
    EventExtended: U16, |of| of.0.extra.event_extended;
    TranslatedSourcePort: U16, |of| of.0.extra.translated_ports[0];
    TranslatedDestinationPort: U16, |of| of.0.extra.translated_ports[1];
    IngressList: U32, |of| of.0.extra.access_lists[0];
    IngressEntry: U32, |of| of.0.extra.access_lists[1];
    IngressExtendedEntry: U32, |of| of.0.extra.access_lists[2];
    EgressList: U32, |of| of.0.extra.access_lists[3];
    BlockStart: U16, |of| of.0.extra.port_block[0];
    BlockEnd: U16, |of| of.0.extra.port_block[1];
    BlockStep: U16, |of| of.0.extra.port_block[2];
    BlockSize: U16, |of| of.0.extra.port_block[3];
    /// 1 if the port lies in the block of ports, else 0.
    SourceInBlock: 1, |of| in_block(of.0, 0);
    DestinationInBlock: 1, |of| in_block(of.0, 1);
    EgressVrf: U32, |of| of.0.extra.vrfs[0];
    IngressVrf: U32, |of| of.0.extra.vrfs[1];
}

/// An address of a flow, or a pair of source and destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Ends,
    Translated,
    Tunnel,
    NextHop,
    BgpNext,
    Router,
}

impl Place {
    /// Twice the same where there is no pair.
    pub(super) fn of(self, flow: &Flow) -> [IpAddr; 2] {
        match self {
            Place::Ends => [flow.source, flow.destination],
            Place::Translated => flow.extra.translated,
            Place::Tunnel => flow.extra.tunnel,
            Place::NextHop => [flow.extra.next_hop; 2],
            Place::BgpNext => [flow.extra.bgp_next; 2],
            Place::Router => [flow.extra.router; 2],
        }
    }
}

fn duration(flow: &Flow) -> u64 {
    flow.last.saturating_sub(flow.first)
}

/// Rates of a flow without duration are 0, as in nfdump.
fn a_second(count: u64, times: u128, flow: &Flow) -> u64 {
    let rate = (u128::from(count) * times * 1_000).checked_div(duration(flow).into()).unwrap_or(0);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

fn entry(flow: &Flow, at: u8) -> u32 {
    flow.extra.mpls.get(usize::from(at)).copied().unwrap_or(0)
}

fn label(entry: u32) -> u64 {
    u64::from(entry >> 4 & 0x000f_ffff)
}

fn in_block(flow: &Flow, end: usize) -> u8 {
    let [start, last, ..] = flow.extra.port_block;
    (start..=last).contains(&flow.ports[end]).into()
}
