//! What only some exporters tell of a flow.
use std::net::{IpAddr, Ipv4Addr};

pub(super) const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// 0 where nothing was told. Pairs are source, destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extra {
    pub engine_type: u8,
    /// nfcapd's number of the exporter.
    pub exporter: u16,
    pub forwarding: u8,
    pub tos_back: u8,
    pub output: u32,
    pub masks: [u8; 2],
    /// Flows that were aggregated into this one.
    pub flows: u64,
    pub packets_back: u64,
    pub bytes_back: u64,
    pub vlans: [u32; 2],
    pub systems: [u32; 2],
    /// Autonomous systems that the flow went to next and came from.
    pub next_system: u32,
    pub previous_system: u32,
    pub bgp_next: IpAddr,
    pub next_hop: IpAddr,
    /// Who sent the record.
    pub router: IpAddr,
    /// Entries as on the wire: label, three experimental bits, bottom of the stack.
    pub mpls: [u32; 10],
    /// Incoming source, outgoing destination, incoming destination, outgoing source.
    pub macs: [u64; 4],
    /// Microseconds: of the client's network, the server's, the application.
    pub latencies: [u64; 3],
    /// Event of a firewall or of an address translation, which nfdump, too, keeps in one place; and a firewall's extended one.
    pub event: u8,
    pub event_extended: u16,
    pub translated: [IpAddr; 2],
    pub translated_ports: [u16; 2],
    /// List, entry and extended entry at the ingress, then at the egress.
    pub access_lists: [u32; 6],
    /// Start, end, step and size of a block of ports.
    pub port_block: [u16; 4],
    pub tunnel: [IpAddr; 2],
    pub tunnel_protocol: u32,
    pub observation_point: u64,
    pub observation_domain: u32,
    /// Egress, ingress.
    pub vrfs: [u32; 2],
}

impl Extra {
    /// No address is the same whatever element said so.
    pub(super) fn tidy(&mut self) {
        let alone = [&mut self.bgp_next, &mut self.next_hop, &mut self.router];
        for ip in alone.into_iter().chain(&mut self.translated).chain(&mut self.tunnel) {
            if ip.is_unspecified() {
                *ip = NOWHERE;
            }
        }
    }
}

impl Default for Extra {
    fn default() -> Self {
        Extra {
            engine_type: 0,
            exporter: 0,
            forwarding: 0,
            tos_back: 0,
            output: 0,
            masks: [0; 2],
            flows: 0,
            packets_back: 0,
            bytes_back: 0,
            vlans: [0; 2],
            systems: [0; 2],
            next_system: 0,
            previous_system: 0,
            bgp_next: NOWHERE,
            next_hop: NOWHERE,
            router: NOWHERE,
            mpls: [0; 10],
            macs: [0; 4],
            latencies: [0; 3],
            event: 0,
            event_extended: 0,
            translated: [NOWHERE; 2],
            translated_ports: [0; 2],
            access_lists: [0; 6],
            port_block: [0; 4],
            tunnel: [NOWHERE; 2],
            tunnel_protocol: 0,
            observation_point: 0,
            observation_domain: 0,
            vrfs: [0; 2],
        }
    }
}
