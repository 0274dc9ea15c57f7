//! Double-entry accounting: nothing leaves the books without a reason.
//!
//! Each stage keeps a [`Ledger`]: taken = kept + sum of dropped(reason) (RELIABILITY.md, identities I4 and on). A reason is a
//! documented enum variant declared with [`reasons!`]; its label is the metric label, its doc line the row in the docs.

/// Reasons of one ledger, at the most. A fixed array keeps booking free of indirection.
pub const REASONS_MAX: usize = 24;

/// Why something left a stage early.
pub trait Reason: Copy + 'static {
    /// The word that names the stage: `packets`, `records`.
    const STAGE: &'static str;
    const ALL: &'static [Self];
    fn index(self) -> usize;
    fn label(self) -> &'static str;
    fn doc(self) -> &'static str;
}

/// Declares the drop reasons of a stage.
#[macro_export]
macro_rules! reasons {
    (
        $(#[doc = $edoc:literal])+
        $vis:vis enum $name:ident = $stage:literal { $( $(#[doc = $doc:literal])+ $variant:ident = $label:literal, )+ }
    ) => {
        $(#[doc = $edoc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        $vis enum $name { $( $(#[doc = $doc])+ $variant ),+ }

        impl $crate::Reason for $name {
            const STAGE: &'static str = $stage;
            const ALL: &'static [Self] = &[$( $name::$variant ),+];
            fn index(self) -> usize { self as usize }
            fn label(self) -> &'static str { match self { $( $name::$variant => $label ),+ } }
            fn doc(self) -> &'static str { match self { $( $name::$variant => concat!($($doc, "\n"),+).trim() ),+ } }
        }
        const _: () = assert!(<$name as $crate::Reason>::ALL.len() <= $crate::ledger::REASONS_MAX);
    };
}

/// The books of one stage. `taken == kept + sum(dropped)` whenever nothing is in hand.
#[derive(Clone, Debug)]
pub struct Ledger<R: Reason> {
    pub taken: u64,
    pub kept: u64,
    dropped: [u64; REASONS_MAX],
    reasons: std::marker::PhantomData<R>,
}

impl<R: Reason> Default for Ledger<R> {
    fn default() -> Self {
        Ledger { taken: 0, kept: 0, dropped: [0; REASONS_MAX], reasons: std::marker::PhantomData }
    }
}

impl<R: Reason> Ledger<R> {
    /// Books `n` taken and kept.
    #[inline(always)]
    pub fn keep(&mut self, n: u64) {
        self.taken += n;
        self.kept += n;
    }

    /// Books `n` taken and dropped.
    #[inline(always)]
    pub fn drop(&mut self, why: R, n: u64) {
        self.taken += n;
        self.dropped[why.index()] += n;
    }

    /// Moves `n` that were booked as kept to a reason: what a later step of the same stage had to give up.
    pub fn give_up(&mut self, why: R, n: u64) {
        self.kept -= n;
        self.dropped[why.index()] += n;
    }

    pub fn dropped(&self, why: R) -> u64 {
        self.dropped[why.index()]
    }

    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Reasons that occurred, with their counts.
    pub fn losses(&self) -> impl Iterator<Item = (R, u64)> + '_ {
        R::ALL.iter().map(|r| (*r, self.dropped(*r))).filter(|(_, n)| *n > 0)
    }

    /// Zero when the books balance.
    pub fn imbalance(&self) -> i64 {
        self.taken as i64 - self.kept as i64 - self.dropped_total() as i64
    }

    /// Adds the books of another lane or output.
    pub fn merge(&mut self, other: &Ledger<R>) {
        self.taken += other.taken;
        self.kept += other.kept;
        for (mine, theirs) in self.dropped.iter_mut().zip(&other.dropped) {
            *mine += theirs;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    reasons! {
        /// Test reasons.
        enum Why = "test" {
            /// It was too big.
            Big = "big",
            /// It was late.
            Late = "late",
        }
    }

    #[test]
    fn books_balance() {
        let mut l = Ledger::<Why>::default();
        l.keep(5);
        l.drop(Why::Big, 2);
        l.give_up(Why::Late, 1);
        assert_eq!((l.taken, l.kept, l.dropped_total(), l.imbalance()), (7, 4, 3, 0));
        let mut sum = l.clone();
        sum.merge(&l);
        assert_eq!(sum.losses().map(|(r, n)| (r.label(), n)).collect::<Vec<_>>(), [("big", 4), ("late", 2)]);
        assert_eq!(Why::Big.doc(), "It was too big.");
    }
}
