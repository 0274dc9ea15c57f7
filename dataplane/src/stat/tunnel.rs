//! tunnel: what stood around the packets of a flow that came in a tunnel: outer addresses and ports, the tunnel's kind and its number.
//!
//! Of the flow's first packet, and of the first in the other direction what its sender chooses: numbers (a TEID names the receiver's end) and
//! ports (VXLAN makes the source port of what is inside). Where tunnels stand in each other, the outside is that of the outermost, which is
//! what the network between the ends sees, and whose flow `--tunnels both` exports; kind and number are told of the innermost as well.
//! Flows whose packets came in no tunnel have no record.
use crate::face::Face;
use crate::packet::TunnelKind;
use crate::packet::{Direction, Tunnel};
use crate::plugin::{Context, Layer, OptionError, Plugin, Slots, Step};
use record::element::{cesnet, iana};
use record::record;
use std::fmt::Write;
use std::net::IpAddr;

record! {
    /// The tunnel that a flow's packets came in.
    pub struct TunnelRecord = "tunnel" {
        /// Protocol of the outermost tunnel: 1 IP in IP, 2 GRE, 3 GRE with Ethernet (NVGRE too), 4 to 6 ERSPAN I to III, 7 VXLAN, 8 VXLAN-GPE,
        /// 9 GENEVE, 10 GTP-U, 11 L2TP version 2, 12 L2TP version 3 over IP, 13 the same over UDP, 14 Teredo.
        kind: u8, ipfix cesnet::tunnelType, unirec "TUNNEL_TYPE";
        /// How many tunnels stood in each other.
        depth: u8, ipfix cesnet::tunnelDepth, unirec "TUNNEL_DEPTH";
        /// Source address around the outermost tunnel, in the flow's first packet: of the end that the flow's source is behind.
        src_ip: IpAddr, ipfix cesnet::tunnelSourceIPv4Address | cesnet::tunnelSourceIPv6Address, unirec "TUNNEL_SRC_IP";
        /// Destination address.
        dst_ip: IpAddr, ipfix cesnet::tunnelDestinationIPv4Address | cesnet::tunnelDestinationIPv6Address, unirec "TUNNEL_DST_IP";
        /// Source port around the outermost tunnel; 0 if it is not in UDP.
        src_port: u16, ipfix cesnet::tunnelSourcePort, unirec "TUNNEL_SRC_PORT";
        /// Destination port.
        dst_port: u16, ipfix cesnet::tunnelDestinationPort, unirec "TUNNEL_DST_PORT";
        /// Source port in the first packet of the other direction, 0 without one.
        src_port_rev: u16, ipfix cesnet::tunnelSourcePortRev, unirec "TUNNEL_SRC_PORT_REV";
        /// What the outermost tunnel calls itself: VNI, TEID, GRE key, session of ERSPAN or L2TP (version 2: the tunnel's number x 65536 more).
        /// 0 if it has no number.
        id: u32, ipfix cesnet::tunnelId, unirec "TUNNEL_ID";
        /// The same in the first packet of the other direction, 0 without one.
        id_rev: u32, ipfix cesnet::tunnelIdRev, unirec "TUNNEL_ID_REV";
        /// Protocol of the innermost tunnel, where depth is more than 1; else that of the only one.
        inner_kind: u8, ipfix cesnet::tunnelInnerType, unirec "TUNNEL_INNER_TYPE";
        /// What the innermost calls itself.
        inner_id: u32, ipfix cesnet::tunnelInnerId, unirec "TUNNEL_INNER_ID";
        /// The same in the first packet of the other direction, 0 without one.
        inner_id_rev: u32, ipfix cesnet::tunnelInnerIdRev, unirec "TUNNEL_INNER_ID_REV";
        /// Segment of layer 2 that the innermost tunnel joins, in IANA's form: 1 (VXLAN) or 2 (NVGRE) in the first byte, its number in the last
        /// three. 0 for other tunnels.
        segment: u64, ipfix iana::layer2SegmentId, unirec "TUNNEL_SEGMENT";
    }
}

pub struct TunnelStat;

impl Plugin for TunnelStat {
    type Record = TunnelRecord;
    /// Directions that were seen, a bit each.
    type State = u8;

    const LAYER: Layer = Layer::Stat;
    const AFTER: bool = true;
    const PAYLOAD_ONLY: bool = false;

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(TunnelStat)
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        let Some(tunnel) = ctx.packet.tunnel() else { return Step::Done };
        let Some(slot) = slots.first_or_open() else { return Step::Done };
        slot.state = seen(ctx.direction);
        slot.record.begin(&tunnel, ctx.direction);
        slot.record.take(&tunnel, ctx.direction);
        Step::More
    }

    fn after(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        let Some(slot) = slots.first() else { return Step::Done };
        if slot.state & seen(ctx.direction) != 0 {
            return Step::More;
        }
        if let Some(tunnel) = ctx.packet.tunnel() {
            slot.record.take(&tunnel, ctx.direction);
        }
        Step::Done
    }

    fn text(record: &TunnelRecord, out: &mut String) {
        let TunnelRecord { kind, depth, src_ip, dst_ip, src_port, dst_port, id, .. } = record;
        let _ = write!(out, "tunnel=\"{kind}\",depth=\"{depth}\",src=\"{src_ip}\",dst=\"{dst_ip}\"");
        let _ = write!(out, ",sport=\"{src_port}\",dport=\"{dst_port}\",id=\"{id}\"");
    }

    fn summary(record: &TunnelRecord, out: &mut String) {
        let _ = write!(out, "in {}", TunnelKind::of(record.kind).name());
        if record.depth > 1 {
            let _ = write!(out, " and {}", TunnelKind::of(record.inner_kind).name());
        }
        if record.inner_id != 0 {
            let _ = write!(out, " {}", record.inner_id);
        }
        let _ = write!(out, " {} > {}", record.src_ip, record.dst_ip);
    }
}

/// A bit for each direction.
fn seen(direction: Direction) -> u8 {
    1 << direction as u8
}

impl TunnelRecord {
    /// What both directions have in common. The first packet of a record goes in either of them, since a flow that was cut goes on.
    fn begin(&mut self, tunnel: &Tunnel<'_>, direction: Direction) {
        (self.kind, self.depth) = (tunnel.kind() as u8, tunnel.depth());
        self.inner_kind = tunnel.inner_kind() as u8;
        self.segment = tunnel.segment();
        let (src, dst) = tunnel.addresses();
        (self.src_ip, self.dst_ip) = if direction == Direction::Forward { (src, dst) } else { (dst, src) };
    }

    fn take(&mut self, tunnel: &Tunnel<'_>, direction: Direction) {
        let (src_port, dst_port) = tunnel.ports();
        match direction {
            Direction::Forward => {
                (self.src_port, self.dst_port) = (src_port, dst_port);
                (self.id, self.inner_id) = (tunnel.id(), tunnel.inner_id());
            }
            Direction::Reverse => {
                self.src_port_rev = src_port;
                (self.id_rev, self.inner_id_rev) = (tunnel.id(), tunnel.inner_id());
            }
        }
    }
}

#[cfg(test)]
mod tests;
