//! When plugins are called for a packet, and what they may say to it.
use super::{AFTER, BEFORE, PluginSet};
use crate::plugin::Step;

/// Where in a packet's way a plugin is called.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Hook {
    Create,
    Before,
    After,
}

impl Hook {
    /// The hooks as numbers, for functions that are made for one of them.
    pub(super) const CREATE: u8 = Hook::Create as u8;
    pub(super) const BEFORE: u8 = Hook::Before as u8;
    pub(super) const AFTER: u8 = Hook::After as u8;

    /// The plugins that do anything there.
    pub(crate) const fn set(self) -> PluginSet {
        match self {
            Hook::Create => !0,
            Hook::Before => BEFORE,
            Hook::After => AFTER,
        }
    }
}

/// What all plugins together said of a packet: their [`Step`]s, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish(u8);

impl Wish {
    /// Whether the record ends here.
    #[inline(always)]
    pub fn is_cut(self) -> bool {
        self.0 & (Step::Flush as u8 | Step::Reinsert as u8) != 0
    }

    /// Whether the flow goes on in a new record, which begins with the packet.
    #[inline(always)]
    pub fn is_reinsert(self) -> bool {
        self.0 & Step::Reinsert as u8 != 0
    }

    /// Whether the flow's packets are wanted whatever they begin with.
    #[inline(always)]
    pub fn is_eager(self) -> bool {
        self.0 & Step::Each as u8 != 0
    }

    #[inline(always)]
    pub(super) fn add(&mut self, step: Step, bit: PluginSet, interest: &mut PluginSet) {
        self.0 |= step as u8;
        if step == Step::Done {
            *interest &= !bit;
        }
    }
}
