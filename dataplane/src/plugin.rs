//! What a process plugin is: a statistic or a protocol that adds fields to flows. One plugin is one file and one word in [`crate::registry`].
use crate::face::Face;
use crate::flow::Flow;
use crate::packet::{Direction, PacketView};
use crate::registry::PluginId;
use record::Record;

#[cfg(test)]
pub(crate) mod testing;

/// A plugin's answer to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Show me the next packet of this flow too, if it passes [`Plugin::may_begin`].
    More,
    /// I am in the midst of something: from now on show me the packets of this flow whatever they begin with.
    Each,
    /// I am done with this flow.
    Done,
    /// Export the flow now and forget it (spec/exporter.md 9.5, FLUSH).
    Flush,
    /// Export the flow now and begin it anew with this packet (9.5, FLUSH_WITH_REINSERT).
    Reinsert,
}

/// Where a plugin looks: help and `sonda probe` show the two kinds apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Headers and statistics of packets.
    Stat,
    /// Payload.
    L7,
}

/// One packet as a plugin sees it.
#[derive(Clone, Copy)]
pub struct Context<'c, 'b> {
    pub packet: PacketView<'c, 'b>,
    /// Forward is the direction of the flow's first packet.
    pub direction: Direction,
    /// The flow: its counters do not include this packet in [`Plugin::before`], and do in the other hooks.
    pub flow: &'c Flow,
}

/// A process plugin. `Self` is its configuration and scratch memory on one lane; what it knows of a flow lives in a [`Slot`].
pub trait Plugin: Sized {
    /// What is exported. The schema's name is the plugin's name.
    type Record: Record;
    /// What it remembers of a flow beside the record; bounded, no heap.
    type State: Default;

    /// Where the plugin looks.
    const LAYER: Layer = Layer::L7;

    /// Whether [`before`](Plugin::before) and [`after`](Plugin::after) do anything: hooks that do not are never called.
    const BEFORE: bool = false;
    const AFTER: bool = false;
    /// Whether packets without payload are of no interest after the first one.
    const PAYLOAD_ONLY: bool = true;
    /// Whether [`may_use`](Plugin::may_use) says anything: the plugin goes by ports.
    const BY_PORT: bool = false;
    /// Whether [`may_begin`](Plugin::may_begin) says anything: the plugin goes by content, on any port.
    const PROBES: bool = false;

    /// Whether a flow between these ports may be of interest: false if [`create`](Plugin::create) would answer [`Step::Done`] and do
    /// nothing else. Asked once for each flow.
    #[inline(always)]
    fn may_use(_src_port: u16, _dst_port: u16) -> bool {
        true
    }

    /// A look at the first bytes of a payload, which may be empty: false if each hook would do nothing and answer [`Step::More`].
    /// Asked for every packet before anything is fetched or called, so it should be a few instructions.
    #[inline(always)]
    fn may_begin(_payload: &[u8]) -> bool {
        true
    }

    /// Reads the options given after the plugin's name, `name[=value]` each.
    fn new(options: &[&str], face: Face) -> Result<Self, OptionError>;

    /// The first packet of a flow, already counted (`post_create` of the original). Like the other hooks not called where
    /// [`may_begin`](Plugin::may_begin) says no.
    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step;

    /// A later packet, before it is counted (`pre_update`).
    fn before(&mut self, _ctx: &Context<'_, '_>, _slots: &mut Slots<'_, Self>) -> Step {
        Step::More
    }

    /// A later packet, after it was counted (`post_update`).
    fn after(&mut self, _ctx: &Context<'_, '_>, _slots: &mut Slots<'_, Self>) -> Step {
        Step::More
    }

    /// The flow ends: complete the record, or drop it with [`Slots::clear`] (`pre_export`). Not called for a flow of which no plugin
    /// keeps anything.
    fn end(&mut self, _flow: &Flow, _slots: &mut Slots<'_, Self>) {}

    /// The record in the original's `text` output: `name="value",...` (spec/process_plugins.md, "text:").
    fn text(record: &Self::Record, out: &mut String);

    /// What a person wants to know of the record, in a few words; nothing if the record says too little or too much for a table.
    fn summary(_record: &Self::Record, _out: &mut String) {}
}

/// Natively a plugin that goes by content is done with a flow of which it keeps nothing after so many packets, both directions and
/// empty ones together. Each record of a flow that was cut has the budget anew.
pub const INSPECTED_MAX: u64 = 64;

/// A plugin option that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    #[error("invalid option {0}")]
    Unknown(String),
    #[error("missing argument for option {0}")]
    MissingValue(String),
    #[error("invalid argument for option {0}: {1}")]
    BadValue(String, String),
}

impl OptionError {
    /// For the many plugins that have no options.
    pub fn unless_empty(options: &[&str]) -> Result<(), OptionError> {
        match options.first() {
            None => Ok(()),
            Some(o) => Err(OptionError::Unknown((*o).to_string())),
        }
    }
}

/// End of a chain of slots.
pub(crate) const NONE: u32 = u32::MAX;

/// What one plugin keeps of one flow: the exported record and its private state. The small things stand with the record's first
/// fields in one cache line.
#[repr(C)]
pub struct Slot<P: Plugin> {
    next: u32,
    /// Whether the record is exported; a plugin that only gathers state so far sets it to false.
    pub export: bool,
    pub state: P::State,
    pub record: P::Record,
}

/// The slots of one plugin on one lane: taken at start up to a cap, used again when flows end.
pub struct Pool<P: Plugin> {
    slots: Vec<Slot<P>>,
    free: Vec<u32>,
    cap: usize,
    /// Records that could not be opened because the pool was exhausted.
    pub refused: u64,
}

impl<P: Plugin> Pool<P> {
    /// Reserves address space for `cap` slots; memory is touched when a slot is first used, by huge pages if there are any.
    pub fn new(cap: usize) -> Pool<P> {
        let cap = cap.min(NONE as usize - 1);
        let mut slots = Vec::with_capacity(cap);
        sys::advise_huge(slots.spare_capacity_mut());
        Pool { slots, free: Vec::with_capacity(cap), cap, refused: 0 }
    }

    fn open(&mut self) -> Option<u32> {
        if let Some(at) = self.free.pop() {
            return Some(at);
        }
        if self.slots.len() == self.cap {
            self.refused += 1;
            return None;
        }
        self.slots.push(Slot { record: P::Record::default(), state: P::State::default(), export: true, next: NONE });
        Some(self.slots.len() as u32 - 1)
    }

    /// Asks for the lines of a slot that will be read soon.
    pub(crate) fn prefetch(&self, at: u32) {
        if let Some(slot) = self.slots.get(at as usize) {
            sys::prefetch_value(slot);
        }
    }

    /// Slots in use (identity I15: capacity = free + in use).
    pub fn in_use(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

/// The slots that one plugin holds of one flow, oldest first. Most plugins hold at most one.
pub struct Slots<'a, P: Plugin> {
    pub(crate) pool: &'a mut Pool<P>,
    pub(crate) head: &'a mut u32,
}

impl<P: Plugin> Slots<'_, P> {
    /// The first slot, if there is any.
    #[inline]
    pub fn first(&mut self) -> Option<&mut Slot<P>> {
        self.pool.slots.get_mut(*self.head as usize)
    }

    /// The first slot, opened if there is none; `None` when the pool is exhausted (counted).
    #[inline]
    pub fn first_or_open(&mut self) -> Option<&mut Slot<P>> {
        if *self.head == NONE {
            *self.head = self.pool.open()?;
        }
        self.first()
    }

    /// One more slot at the end of the chain; `None` when the pool is exhausted (counted).
    pub fn push(&mut self) -> Option<&mut Slot<P>> {
        let at = self.pool.open()?;
        if *self.head == NONE {
            *self.head = at;
        } else {
            let mut last = *self.head as usize;
            while self.pool.slots[last].next != NONE {
                last = self.pool.slots[last].next as usize;
            }
            self.pool.slots[last].next = at;
        }
        self.pool.slots.get_mut(at as usize)
    }

    /// Gives all slots back: nothing of this plugin is exported.
    pub fn clear(&mut self) {
        while let Some(slot) = self.pool.slots.get_mut(*self.head as usize) {
            slot.record.clear();
            slot.state = P::State::default();
            slot.export = true;
            let next = std::mem::replace(&mut slot.next, NONE);
            self.pool.free.push(*self.head);
            *self.head = next;
        }
    }

    /// Visits the records to be exported, oldest first.
    pub(crate) fn exported(&self, mut each: impl FnMut(&P::Record)) {
        let mut at = *self.head;
        while let Some(slot) = self.pool.slots.get(at as usize) {
            if slot.export {
                each(&slot.record);
            }
            at = slot.next;
        }
    }
}

/// Adds a text field's bytes to the text output; what is not UTF-8 becomes U+FFFD.
pub(crate) fn put_text(out: &mut String, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

/// Characters of a value that a summary shows at the most.
const SUMMARY_MAX: usize = 60;

/// Appends the printable part of a value to a summary, shortened if it is long.
pub(crate) fn put_short(out: &mut String, bytes: &[u8]) {
    for chunk in bytes[..bytes.len().min(SUMMARY_MAX)].utf8_chunks() {
        out.extend(chunk.valid().chars().map(|c| if c.is_control() { '.' } else { c }));
        out.extend(chunk.invalid().iter().map(|_| '.'));
    }
    if bytes.len() > SUMMARY_MAX {
        out.push('…');
    }
}

/// What the registry knows of a plugin, for help and documentation.
#[derive(Clone, Copy, Debug)]
pub struct PluginInfo {
    pub id: PluginId,
    pub name: &'static str,
    pub doc: &'static str,
}
