//! What a process plugin is: a statistic or a protocol that adds fields to flows. One plugin is one file and one word in [`crate::registry`].
use crate::face::Face;
use crate::flow::Flow;
use crate::packet::{Direction, PacketView};
use crate::registry::PluginId;
pub use options::{OptionError, PluginOption, Takes};
use record::Record;
use record::pack::{Pack, Unpacker};
use shelf::Shelf;
pub(crate) use sides::Sides;
pub(crate) use slab::{NONE, Slab};
pub use slots::Slots;
pub(crate) use text::{Cut, join, put_hex, put_short, put_text};

pub(crate) mod options;
mod shelf;
mod sides;
mod slab;
mod slots;
#[cfg(test)]
pub(crate) mod testing;
mod text;

/// A plugin's answer to a packet. A bit each, so that what several say is put together without a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// Show me the next packet of this flow too, if it passes [`Plugin::may_begin`].
    More = 0,
    /// I am in the midst of something: from now on show me the packets of this flow whatever they begin with.
    Each = 1,
    /// I am done with this flow.
    Done = 2,
    /// Export the flow now and forget it (spec/exporter.md 9.5, FLUSH).
    Flush = 4,
    /// Export the flow now and begin it anew with this packet (9.5, FLUSH_WITH_REINSERT).
    Reinsert = 8,
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
    type State: Default + Pack;

    /// Where the plugin looks.
    const LAYER: Layer = Layer::L7;
    /// What [`new`](Plugin::new) understands, for help.
    const OPTIONS: &'static [PluginOption] = &[];

    /// Whether [`before`](Plugin::before) and [`after`](Plugin::after) do anything: hooks that do not are never called.
    const BEFORE: bool = false;
    const AFTER: bool = false;
    /// Whether [`end`](Plugin::end) does anything.
    const ENDS: bool = false;
    /// Whether packets without payload are of no interest after the first one.
    const PAYLOAD_ONLY: bool = true;
    /// Whether what is kept of a flow lies as it is, not packed: right for a small record that every flow has or that changes with nearly every
    /// packet, a waste of memory for texts. Such a plugin has one slot of a flow at the most.
    const RESIDENT: bool = false;
    /// Whether the record of a resident plugin is made when the flow ends, by [`complete`](Plugin::complete): until then only the state is
    /// kept, in which what belongs to a packet can stand together where a record has a list for each field. Such a plugin's hooks ask for
    /// [`Slots::state`]; it has no use for [`Slot`]s.
    const LATE: bool = false;
    /// Whether the plugin is on only where its name is said, not as one of `all`: it does more than look at packets.
    const BY_NAME_ONLY: bool = false;
    /// What it counts beside its records: words for what becomes of flows, lower-case letters each. They only grow.
    const NOTES: &'static [&'static str] = &[];
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

    /// Gives it what was opened for it before privileges were given up. Called once, if at all.
    fn attach(&mut self, _aides: &Aides) {}

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

    /// The flow ends: complete the record, or drop it with [`Slots::clear`] (`pre_export`). Not called where the
    /// plugin keeps nothing of the flow.
    fn end(&mut self, _flow: &Flow, _slots: &mut Slots<'_, Self>) {}

    /// Back to the empty state, for a plugin that is [`LATE`](Plugin::LATE); one with a long state that need not be overwritten says so.
    #[inline(always)]
    fn renew(state: &mut Self::State) {
        *state = Self::State::default();
    }

    /// Makes the record of a plugin that is [`LATE`](Plugin::LATE), an empty one so far.
    fn complete(_state: &Self::State, _record: &mut Self::Record) {}

    /// The record in the original's `text` output: `name="value",...` (spec/process_plugins.md, "text:").
    fn text(record: &Self::Record, out: &mut String);

    /// Whether the record says that the flow is of the plugin's protocol, not just perhaps: then it may give the flow's application its name.
    fn is_certain(_record: &Self::Record) -> bool {
        true
    }

    /// How many flows the word of [`NOTES`](Plugin::NOTES) at this place is true of.
    fn note(&self, _at: usize) -> u64 {
        0
    }

    /// What a person wants to know of the record, in a few words; nothing if the record says too little or too much for a table.
    fn summary(_record: &Self::Record, _out: &mut String) {}
}

/// What plugins have beside packets. It is opened once for all lanes, when the run may still open things.
#[derive(Clone, Debug, Default)]
pub struct Aides {
    /// Who asks osqueryi; without it nobody is asked.
    pub osquery: Option<crate::stat::osquery::Desk>,
}

/// Natively a plugin that goes by content is done with a flow of which it keeps nothing after so many packets, both directions and
/// empty ones together. Each record of a flow that was cut has the budget anew.
pub const INSPECTED_MAX: u64 = 64;

/// What one plugin keeps of one flow, as its hooks see it: the exported record and its private state. Between packets it is packed.
// In this order, so that state, which more packets touch than the whole of a long record, is what a prefetch of the first lines brings.
#[repr(C)]
pub struct Slot<P: Plugin> {
    pub state: P::State,
    /// Whether the record is exported; a plugin that only gathers state so far sets it to false.
    pub export: bool,
    pub record: P::Record,
}

impl<P: Plugin> Default for Slot<P> {
    fn default() -> Self {
        Slot { state: P::State::default(), export: true, record: P::Record::default() }
    }
}

impl<P: Plugin> Slot<P> {
    /// Back to the empty slot.
    #[inline(always)]
    fn renew(&mut self) {
        self.export = true;
        self.state = P::State::default();
        self.record.clear();
    }
}

/// The slots of one plugin on one lane. What live flows keep lies packed in the lane's [`Slab`]; the pool has one slot to work on,
/// the desk. From a hook that asks for its slot until the packet is done with, the desk is that flow's. The slots of a plugin that is
/// [`RESIDENT`](Plugin::RESIDENT) lie on a [`Shelf`] and are worked on where they are.
pub struct Pool<P: Plugin> {
    shelf: Shelf<Slot<P>>,
    /// In place of the shelf, for a plugin that is [`LATE`](Plugin::LATE).
    states: Shelf<P::State>,
    desk: Slot<P>,
    /// Whose slot lies on the desk.
    owner: Owner,
    in_use: usize,
    cap: usize,
    /// Records that could not be opened or kept because the pool was exhausted.
    pub refused: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Nobody,
    /// A slot that was opened and never packed, the last of its flow.
    New,
    /// The content of this chunk, the first of its flow.
    Chunk(u32),
    /// The content of a chunk that stands behind another one.
    Later {
        at: u32,
        before: u32,
    },
}

impl Owner {
    /// The chunk whose content it is, if it is packed somewhere.
    fn chunk(self) -> u32 {
        match self {
            Owner::Chunk(at) | Owner::Later { at, .. } => at,
            Owner::Nobody | Owner::New => NONE,
        }
    }
}

/// A record as it is kept: packed, still on the desk, or not made yet.
pub(crate) enum Kept<'a, P: Plugin> {
    Packed(&'a [u8]),
    Open(&'a P::Record),
    Late(&'a P::State),
}

impl<P: Plugin> Kept<'_, P> {
    /// Copies the used bytes into `record`.
    #[inline]
    pub(crate) fn write(self, record: &mut P::Record) {
        match self {
            Kept::Packed(bytes) => record.unpack(&mut Unpacker::new(bytes)),
            Kept::Open(open) => record.assign(open),
            Kept::Late(state) => {
                record.clear();
                P::complete(state, record);
            }
        }
    }
}

impl<P: Plugin> Pool<P> {
    /// Bytes that one slot takes in the slab at the most.
    pub(crate) const CHUNK_LEN_MAX: usize = if P::RESIDENT {
        0
    } else {
        let len = slab::HEADER_LEN + P::State::PACKED_MAX + P::Record::PACKED_MAX;
        assert!(len <= slab::CHUNK_MAX);
        len.next_multiple_of(slab::GRANULE)
    };

    /// For `cap` slots.
    pub fn new(cap: usize) -> Pool<P> {
        let shelf = Shelf::new(if P::RESIDENT && !P::LATE { cap } else { 0 });
        let states = Shelf::new(if P::LATE { cap } else { 0 });
        Pool { shelf, states, desk: Slot::default(), owner: Owner::Nobody, in_use: 0, cap, refused: 0 }
    }

    /// Slots in use (identity I15: 0 when no flow is live).
    pub fn in_use(&self) -> usize {
        self.in_use
    }

    /// Whether a slot lies on the desk.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.owner != Owner::Nobody
    }

    /// An empty slot on the free desk.
    #[inline]
    fn open(&mut self) -> Option<&mut Slot<P>> {
        debug_assert_eq!(self.owner, Owner::Nobody);
        self.count()?;
        self.owner = Owner::New;
        self.desk.renew();
        Some(&mut self.desk)
    }

    /// Counts one more slot, if there may be one.
    #[inline]
    fn count(&mut self) -> Option<()> {
        if self.in_use == self.cap {
            self.refused += 1;
            return None;
        }
        self.in_use += 1;
        Some(())
    }

    /// Asks for a resident slot all of which will be read soon.
    #[inline(always)]
    pub(crate) fn prefetch(&self, at: u32) {
        if P::LATE { self.states.prefetch(at) } else { self.shelf.prefetch(at) }
    }

    /// Asks for what a packet will probably touch of a resident slot; there may be none.
    #[inline(always)]
    pub(crate) fn prefetch_head(&self, at: u32) {
        if P::LATE { self.states.prefetch_head(at) } else { self.shelf.prefetch_head(at) }
    }
}

/// What the registry knows of a plugin, for help and documentation.
#[derive(Clone, Copy, Debug)]
pub struct PluginInfo {
    pub id: PluginId,
    pub name: &'static str,
    pub doc: &'static str,
}
