//! Ended flows on their way to the exporters: one arena for each record type, no heap in a record, all memory used again.
use crate::flow::{Basic, Flow};
use crate::registry::{Arenas, PluginId, PluginSet, Plugins};
use record::Sink;
use record::json::FlowWriter;

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

/// One ended or cut flow.
#[derive(Clone, Debug)]
pub struct FlowRecord {
    pub basic: Basic,
    /// The plugins that have at least one record of this flow.
    pub extensions: PluginSet,
    links: std::ops::Range<u32>,
}

/// A batch of ended flows with their extension records.
pub struct Batch {
    flows: Vec<FlowRecord>,
    links: Vec<Link>,
    arenas: Arenas,
}

/// All memory of flows and links is taken at once; that of extension records with the first of its kind.
impl Default for Batch {
    fn default() -> Self {
        Batch { flows: Vec::with_capacity(ROOM), links: Vec::with_capacity(LINKS), arenas: Arenas::default() }
    }
}

impl Batch {
    /// Adds an ended flow with what the plugins have of it.
    pub fn push(&mut self, flow: &Flow, reason: u8, plugins: &mut Plugins) {
        let from = self.links.len() as u32;
        let extensions = plugins.gather(flow.row, &mut self.arenas, &mut self.links);
        self.flows.push(FlowRecord { basic: flow.basic(reason), extensions, links: from..self.links.len() as u32 });
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
    pub fn links(&self, flow: &FlowRecord) -> &[Link] {
        &self.links[flow.links.start as usize..flow.links.end as usize]
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
        self.links.clear();
        self.arenas.clear();
    }
}
