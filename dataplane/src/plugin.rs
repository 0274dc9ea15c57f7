//! What a process plugin is: a statistic or a protocol that adds fields to flows. One plugin is one file and one word in [`crate::registry`].
use crate::face::Face;
use crate::flow::Flow;
use crate::packet::{Direction, PacketView};
use crate::registry::PluginId;
pub use options::{OptionError, PluginOption, Takes};
use record::Record;
use record::pack::{Pack, Packer, Unpacker};
use shelf::Shelf;
pub(crate) use sides::Sides;
pub(crate) use slab::{NONE, Slab};
pub(crate) use text::{Cut, join, put_hex, put_short, put_text};

pub(crate) mod options;
mod shelf;
mod sides;
mod slab;
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
    /// Whether what is kept of a flow lies as it is, not packed: right for a small record that changes with nearly every packet, a waste of
    /// memory for texts. Such a plugin has one slot of a flow at the most.
    const RESIDENT: bool = false;
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

    /// The flow ends: complete the record, or drop it with [`Slots::clear`] (`pre_export`). Not called for a flow of which no plugin
    /// keeps anything.
    fn end(&mut self, _flow: &Flow, _slots: &mut Slots<'_, Self>) {}

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

/// The slots of one plugin on one lane. What live flows keep lies packed in the lane's [`Slab`]; the pool has one slot to work on,
/// the desk. From a hook that asks for its slot until the packet is done with, the desk is that flow's. The slots of a plugin that is
/// [`RESIDENT`](Plugin::RESIDENT) lie on a [`Shelf`] and are worked on where they are.
pub struct Pool<P: Plugin> {
    shelf: Shelf<P>,
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

/// A record as it is kept: packed, or still on the desk.
pub(crate) enum Kept<'a, R> {
    Packed(&'a [u8]),
    Open(&'a R),
}

impl<R: Record> Kept<'_, R> {
    /// Copies the used bytes into `record`.
    #[inline]
    pub(crate) fn write(self, record: &mut R) {
        match self {
            Kept::Packed(bytes) => record.unpack(&mut Unpacker::new(bytes)),
            Kept::Open(open) => record.assign(open),
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
        let shelf = Shelf::new(if P::RESIDENT { cap } else { 0 });
        Pool { shelf, desk: Slot::default(), owner: Owner::Nobody, in_use: 0, cap, refused: 0 }
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
        self.desk.export = true;
        self.desk.state = P::State::default();
        self.desk.record.clear();
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
        self.shelf.prefetch(at);
    }

    /// Asks for what a packet will probably touch of a resident slot; there may be none.
    #[inline(always)]
    pub(crate) fn prefetch_head(&self, at: u32) {
        self.shelf.prefetch_head(at);
    }
}

/// The slots that one plugin holds of one flow, oldest first. Most plugins hold at most one.
pub struct Slots<'a, P: Plugin> {
    pub(crate) pool: &'a mut Pool<P>,
    pub(crate) slab: &'a mut Slab,
    /// The first packed slot.
    pub(crate) head: &'a mut u32,
}

impl<P: Plugin> Slots<'_, P> {
    /// The first slot, if there is any.
    #[inline]
    pub fn first(&mut self) -> Option<&mut Slot<P>> {
        if P::RESIDENT {
            return self.pool.shelf.get_mut(*self.head);
        }
        match self.pool.owner {
            Owner::Chunk(_) => {}
            Owner::New if *self.head == NONE => {}
            Owner::New | Owner::Nobody | Owner::Later { .. } => {
                self.put_away();
                if *self.head == NONE {
                    return None;
                }
                self.unpack(*self.head);
                self.pool.owner = Owner::Chunk(*self.head);
            }
        }
        Some(&mut self.pool.desk)
    }

    /// The first slot, opened if there is none; `None` when the pool is exhausted (counted).
    #[inline]
    pub fn first_or_open(&mut self) -> Option<&mut Slot<P>> {
        if P::RESIDENT {
            if *self.head == NONE {
                self.pool.count()?;
                *self.head = self.pool.shelf.take();
            }
            return self.first();
        }
        if self.pool.is_open() || *self.head != NONE { self.first() } else { self.pool.open() }
    }

    /// One more slot at the end of the chain; `None` when the pool is exhausted (counted). Not for resident slots.
    pub fn push(&mut self) -> Option<&mut Slot<P>> {
        const { assert!(!P::RESIDENT, "a resident plugin has one slot of a flow") };
        self.put_away();
        self.pool.open()
    }

    /// The oldest slot of which `is_it` says so.
    pub fn find(&mut self, mut is_it: impl FnMut(&Slot<P>) -> bool) -> Option<&mut Slot<P>> {
        const { assert!(!P::RESIDENT, "a resident plugin has one slot of a flow") };
        let mut found = is_it(self.first()?);
        if !found {
            self.put_away();
        }
        let mut before = *self.head;
        while !found {
            let at = if before == NONE { NONE } else { self.slab.next(before) };
            if at == NONE {
                return None;
            }
            self.unpack(at);
            found = is_it(&self.pool.desk);
            // What was only looked at is still packed.
            self.pool.owner = if found { Owner::Later { at, before } } else { Owner::Nobody };
            before = at;
        }
        Some(&mut self.pool.desk)
    }

    /// The slot that was asked for last, if it still lies open.
    pub fn opened(&mut self) -> Option<&mut Slot<P>> {
        const { assert!(!P::RESIDENT, "a resident slot lies nowhere else") };
        self.pool.is_open().then_some(&mut self.pool.desk)
    }

    /// How many slots there are.
    pub fn count(&self) -> usize {
        let mut count = usize::from(self.pool.owner == Owner::New);
        let mut at = *self.head;
        while at != NONE {
            count += 1;
            at = self.slab.next(at);
        }
        count
    }

    /// Whether there is more than one slot.
    #[inline]
    pub fn has_several(&self) -> bool {
        *self.head != NONE && (self.pool.owner == Owner::New || self.slab.next(*self.head) != NONE)
    }

    /// Counts a record for which the plugin has no place.
    pub fn refuse(&mut self) {
        self.pool.refused += 1;
    }

    /// Gives all slots back: nothing of this plugin is exported.
    pub fn clear(&mut self) {
        if P::RESIDENT {
            let at = std::mem::replace(self.head, NONE);
            if at != NONE {
                self.pool.shelf.give(at);
                self.pool.in_use -= 1;
            }
            return;
        }
        if self.pool.owner == Owner::New {
            self.pool.in_use -= 1;
        }
        self.pool.owner = Owner::Nobody;
        while *self.head != NONE {
            *self.head = self.slab.give(*self.head);
            self.pool.in_use -= 1;
        }
    }

    /// Visits the records to be exported, oldest first.
    #[inline]
    pub(crate) fn exported(&self, mut each: impl FnMut(Kept<'_, P::Record>)) {
        if P::RESIDENT {
            return match self.pool.shelf.get(*self.head) {
                Some(slot) if slot.export => each(Kept::Open(&slot.record)),
                Some(_) | None => {}
            };
        }
        let Slot { export, record, .. } = &self.pool.desk;
        let mut at = *self.head;
        while at != NONE {
            if self.pool.owner.chunk() == at {
                if *export {
                    each(Kept::Open(record));
                }
            } else if self.slab.mark(at) != 0 {
                each(Kept::Packed(self.slab.content(at)));
            }
            at = self.slab.next(at);
        }
        if self.pool.owner == Owner::New && *export {
            each(Kept::Open(record));
        }
    }

    /// Packs what lies on the desk. A record that finds no room in the slab is lost, and counted.
    #[inline]
    pub(crate) fn put_away(&mut self) {
        let (at, before) = match self.pool.owner {
            Owner::Nobody => return,
            Owner::New => (None, NONE),
            Owner::Chunk(at) => (Some(at), NONE),
            Owner::Later { at, before } => (Some(at), before),
        };
        self.pool.owner = Owner::Nobody;
        let Slot { export, state, record } = &self.pool.desk;
        let len = state.packed_len() + record.packed_len();
        let at = match at {
            Some(at) if self.slab.suits(at, len) => {
                self.slab.set_mark(at, u8::from(*export));
                Some(at)
            }
            Some(old) => {
                let next = self.slab.give(old);
                let new = self.slab.take(len, u8::from(*export));
                if let Some(new) = new {
                    self.slab.link(new, next);
                }
                let next = new.unwrap_or(next);
                if before == NONE {
                    *self.head = next
                } else {
                    self.slab.link(before, next)
                }
                new
            }
            None => self.slab.take(len, u8::from(*export)).inspect(|new| self.slab.append(self.head, *new)),
        };
        let Some(at) = at else {
            self.pool.in_use -= 1;
            self.pool.refused += 1;
            return;
        };
        let mut out = Packer::new(self.slab.content_mut(at));
        record.pack(&mut out);
        state.pack(&mut out);
    }

    /// Copies a packed slot to the desk; whose it is says the caller.
    #[inline]
    fn unpack(&mut self, at: u32) {
        let mut from = Unpacker::new(self.slab.content(at));
        let desk = &mut self.pool.desk;
        desk.export = self.slab.mark(at) != 0;
        desk.record.unpack(&mut from);
        desk.state.unpack(&mut from);
    }
}

/// What the registry knows of a plugin, for help and documentation.
#[derive(Clone, Copy, Debug)]
pub struct PluginInfo {
    pub id: PluginId,
    pub name: &'static str,
    pub doc: &'static str,
}
