//! When plugins are called for a packet, and what they may say to it.
use super::{AFTER, BEFORE, PluginSet};
use crate::plugin::Step;

/// Where in a packet's way a plugin is called.
#[derive(Clone, Copy)]
pub(crate) enum Hook {
    Create,
    Before,
    After,
}

impl Hook {
    /// The plugins that do anything there.
    pub(crate) const fn set(self) -> PluginSet {
        match self {
            Hook::Create => !0,
            Hook::Before => BEFORE,
            Hook::After => AFTER,
        }
    }
}

/// What all plugins together said of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    pub flush: bool,
    pub reinsert: bool,
    /// The flow's packets are wanted whatever they begin with.
    pub eager: bool,
}

impl Wish {
    /// Whether the record ends here.
    #[inline(always)]
    pub fn is_cut(self) -> bool {
        self.flush | self.reinsert
    }

    #[inline(always)]
    pub(super) fn add(&mut self, step: Step, bit: PluginSet, interest: &mut PluginSet) {
        match step {
            Step::More => {}
            Step::Each => self.eager = true,
            Step::Done => *interest &= !bit,
            Step::Flush => self.flush = true,
            Step::Reinsert => self.reinsert = true,
        }
    }
}
