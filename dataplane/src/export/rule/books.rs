//! What a rule made of its flows, beside the books of its outputs.

/// Identities: offered = matched + filtered + other family; opened = live + ended for a reason; once nothing is live, packets and bytes of the
/// flows matched = those that left; records offered to outputs = outputs x (ended + sent).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleBooks {
    /// Flows that came to the rule.
    pub offered: u64,
    /// Flows that it took, and their packets and IP bytes.
    pub matched: u64,
    pub packets: u64,
    pub bytes: u64,
    /// Flows that its filter refused.
    pub filtered: u64,
    /// Flows of the address family that it has no fields of.
    pub other_family: u64,
    /// Records sent one for each flow, or direction.
    pub sent: u64,
    /// Aggregates opened, and those in the table.
    pub opened: u64,
    pub live: u64,
    /// Aggregates that ended by their timeouts, to make room, and at the end of the run.
    pub active: u64,
    pub inactive: u64,
    pub evicted: u64,
    pub at_end: u64,
    /// Packets and bytes of what left.
    pub packets_out: u64,
    pub bytes_out: u64,
    pub outputs: u64,
}

impl RuleBooks {
    /// Names of [`RuleBooks::fates`] and [`RuleBooks::ends`].
    pub const FATES: [&str; 3] = ["matched", "filtered", "other_family"];
    pub const ENDS: [&str; 4] = ["active", "inactive", "evicted", "at_end"];

    /// What became of the flows that came.
    pub fn fates(&self) -> [u64; Self::FATES.len()] {
        [self.matched, self.filtered, self.other_family]
    }

    /// What ended aggregates.
    pub fn ends(&self) -> [u64; Self::ENDS.len()] {
        [self.active, self.inactive, self.evicted, self.at_end]
    }

    /// Aggregates that left.
    pub fn ended(&self) -> u64 {
        self.ends().iter().sum()
    }

    /// What does not balance, given the records that came to its outputs.
    pub fn imbalance(&self, records: u64) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut same = |what: &str, a: u64, b: u64| {
            if a != b {
                wrong.push(format!("{what}: {a} is not {b}"));
            }
        };
        same("flows = matched + filtered + of another family", self.offered, self.fates().iter().sum());
        same("aggregates opened = ended + live", self.opened, self.ended() + self.live);
        same("records = outputs x (aggregates ended + flows sent)", records, self.outputs * (self.ended() + self.sent));
        if self.live == 0 {
            same("packets matched = packets that left", self.packets, self.packets_out);
            same("bytes matched = bytes that left", self.bytes, self.bytes_out);
        }
        wrong
    }
}
