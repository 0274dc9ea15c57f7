//! What one plugin keeps of one flow, as its hooks ask for it.
use super::{Kept, NONE, Owner, Plugin, Pool, Slab, Slot};
use record::pack::{Pack, Packer, Unpacker};

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
        const { assert!(!P::LATE, "a late plugin has states") };
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
                *self.head = self.pool.shelf.take(Slot::renew);
            }
            return self.first();
        }
        if self.pool.is_open() || *self.head != NONE { self.first() } else { self.pool.open() }
    }

    /// The state of a plugin that is [`LATE`](Plugin::LATE), if it has one of the flow.
    #[inline]
    pub fn state(&mut self) -> Option<&mut P::State> {
        const { assert!(P::LATE && P::RESIDENT, "states without slots are for late records") };
        self.pool.states.get_mut(*self.head)
    }

    /// The state, opened if there is none; `None` when the pool is exhausted (counted).
    #[inline]
    pub fn state_or_open(&mut self) -> Option<&mut P::State> {
        if *self.head == NONE {
            self.pool.count()?;
            *self.head = self.pool.states.take(P::renew);
        }
        self.state()
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
                if P::LATE {
                    self.pool.states.give(at)
                } else {
                    self.pool.shelf.give(at)
                }
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
    pub(crate) fn exported(&self, mut each: impl FnMut(Kept<'_, P>)) {
        if P::LATE {
            return self.pool.states.get(*self.head).into_iter().for_each(|state| each(Kept::Late(state)));
        }
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
