//! Ended flows on their way to the exporters: one arena for each record type, no heap in a record, all memory used again.
use crate::capture::FlowDirection;
use crate::flow::{Basic, Flow, FlowKey};
use crate::lane::Share;
use crate::registry::{Arenas, PluginId, PluginSet, Plugins};
use record::ipfix::Family;
use record::json::FlowWriter;
use record::page::Talker;
use record::{Mac, Sink, Time};

/// Flows that a batch holds before it goes to the exporters.
pub const BATCH: usize = 256;

/// Flows that it has room for without growing: a burst that begins just before the batch is full can open 64 flows in the place of others,
/// restart 64, and find some 500 idle ones in the 32 tag lines that it sweeps.
pub(crate) const ROOM: usize = 1024;

/// The same for extension records: few flows have more than three.
const LINKS: usize = 4 * ROOM;

/// Names one extension record inside a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    pub id: PluginId,
    pub(crate) at: u32,
}

/// One ended or cut flow: what [`Basic`] says in the form that the live flow had it, two thirds of the size, and where its extensions are.
#[derive(Clone, Copy, Debug)]
pub struct FlowRecord {
    key: FlowKey,
    first: Time,
    last: Time,
    bytes: [u64; 2],
    packets: [u32; 2],
    src_mac: Mac,
    dst_mac: Mac,
    tcp_flags: [u8; 2],
    reversed: bool,
    end_reason: u8,
    heading: FlowDirection,
    interface: u32,
    /// The plugins that have at least one record of this flow.
    pub extensions: PluginSet,
    /// Its first link in the batch, and how many there are.
    links_from: u32,
    links: u32,
}

impl FlowRecord {
    /// Address family of the flow.
    #[inline(always)]
    pub fn family(&self) -> Family {
        if self.key.ip_version() == 4 { Family::V4 } else { Family::V6 }
    }

    /// The record as it is exported; the exporter's own constants are left zero, save for the interface.
    pub fn basic(&self) -> Basic {
        match self.family() {
            Family::V4 => self.basic_in(Family::V4),
            Family::V6 => self.basic_in(Family::V6),
        }
    }

    /// Number of the interface of its first packet.
    #[inline(always)]
    pub fn interface(&self) -> u32 {
        self.interface
    }

    /// Which way its first packet went.
    #[inline(always)]
    pub fn heading(&self) -> FlowDirection {
        self.heading
    }

    /// Who talked to whom, and how much.
    #[inline]
    pub fn talk(&self) -> Talker {
        let (lower, upper) = self.key.endpoints_in(self.family());
        let (src, dst) = if self.reversed { (upper, lower) } else { (lower, upper) };
        Talker {
            src: src.ip,
            dst: dst.ip,
            protocol: self.key.protocol(),
            dst_port: dst.port,
            bytes: self.bytes_total(),
            packets: self.packets_total(),
            error: 0,
        }
    }

    /// Protocol and destination port.
    #[inline(always)]
    pub(crate) fn service(&self) -> (u8, u16) {
        (self.key.protocol(), self.key.port_of(!self.reversed))
    }

    /// A number that flows of one talker share. A hint, not the truth: others may have it too.
    #[inline(always)]
    pub(crate) fn talk_tag(&self) -> u32 {
        self.key.talk_tag(self.reversed)
    }

    /// Whether it is one of the share's flows.
    pub(crate) fn is_in(&self, share: Share) -> bool {
        share.has(&self.key)
    }

    /// Packets of both directions.
    #[inline(always)]
    pub(crate) fn packets_total(&self) -> u64 {
        u64::from(self.packets[0]) + u64::from(self.packets[1])
    }

    /// IP bytes of both directions.
    #[inline(always)]
    pub(crate) fn bytes_total(&self) -> u64 {
        self.bytes[0] + self.bytes[1]
    }

    /// [`FlowRecord::basic`] of a flow that is known to be of the family.
    #[inline(always)]
    pub fn basic_in(&self, family: Family) -> Basic {
        let (lower, upper) = self.key.endpoints_in(family);
        let (src, dst) = if self.reversed { (upper, lower) } else { (lower, upper) };
        Basic {
            end_reason: self.end_reason,
            bytes: self.bytes[0],
            bytes_rev: self.bytes[1],
            packets: self.packets[0],
            packets_rev: self.packets[1],
            time_first: self.first,
            time_last: self.last,
            ip_version: self.key.ip_version(),
            protocol: self.key.protocol(),
            tcp_flags: self.tcp_flags[0],
            tcp_flags_rev: self.tcp_flags[1],
            src_port: src.port,
            dst_port: dst.port,
            ingress_interface: self.interface,
            src_ip: src.ip,
            dst_ip: dst.ip,
            src_mac: self.src_mac,
            dst_mac: self.dst_mac,
            link_bit_field: 0,
            odid: 0,
            dir_bit_field: 0,
        }
    }
}

/// A batch of ended flows with their extension records.
pub struct Batch {
    flows: Vec<FlowRecord>,
    /// Packets and IP bytes of them all.
    packets: u64,
    bytes: u64,
    links: Vec<Link>,
    arenas: Arenas,
}

/// All memory of flows and links is taken at once; that of extension records with the first of its kind.
impl Default for Batch {
    fn default() -> Self {
        Batch {
            flows: Vec::with_capacity(ROOM),
            packets: 0,
            bytes: 0,
            links: Vec::with_capacity(LINKS),
            arenas: Arenas::default(),
        }
    }
}

impl Batch {
    /// Adds an ended flow with what the plugins have of it, which is then no longer theirs ([`Plugins::finish`]).
    pub fn push(&mut self, flow: &Flow, end_reason: u8, last_word: bool, plugins: &mut Plugins) {
        let links_from = self.links.len();
        let extensions = plugins.finish(flow, last_word, &mut self.arenas, &mut self.links);
        self.packets += flow.packets_total();
        self.bytes += flow.bytes[0] + flow.bytes[1];
        self.flows.push(FlowRecord {
            key: flow.key(),
            first: flow.first,
            last: flow.last,
            bytes: flow.bytes,
            packets: flow.packets,
            src_mac: flow.src_mac,
            dst_mac: flow.dst_mac,
            tcp_flags: flow.tcp_flags,
            reversed: flow.reversed,
            end_reason,
            heading: flow.heading,
            interface: flow.interface,
            extensions,
            links_from: links_from as u32,
            links: (self.links.len() - links_from) as u32,
        });
    }

    /// Packets and IP bytes of all its flows.
    pub fn totals(&self) -> (u64, u64) {
        (self.packets, self.bytes)
    }

    pub fn is_full(&self) -> bool {
        self.flows.len() >= BATCH
    }
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }
    pub fn flows(&self) -> &[FlowRecord] {
        &self.flows
    }

    /// The extension records of a flow, in the order in which the plugins were asked for; several of one plugin stand together, oldest first.
    #[inline]
    pub fn links(&self, flow: &FlowRecord) -> &[Link] {
        &self.links[flow.links_from as usize..][..flow.links as usize]
    }

    /// The plugin of each extension record, flows after flows.
    pub fn plugins(&self) -> impl Iterator<Item = PluginId> + '_ {
        self.links.iter().map(|link| link.id)
    }

    #[inline]
    pub fn visit<'a>(&'a self, link: Link, sink: &mut impl Sink<'a>) {
        self.arenas.visit(link, sink);
    }

    /// Writes the record as native JSON.
    pub fn json(&self, link: Link, writer: &mut FlowWriter<'_>) {
        self.arenas.json(link, writer);
    }

    /// What a person wants to know of the record, in a few words.
    pub fn summary(&self, link: Link, out: &mut String) {
        self.arenas.summary(link, out);
    }

    /// The record in the original's text form.
    pub fn text(&self, link: Link, out: &mut String) {
        self.arenas.text(link, out);
    }

    pub fn clear(&mut self) {
        self.flows.clear();
        (self.packets, self.bytes) = (0, 0);
        self.links.clear();
        self.arenas.clear();
    }
}
