//! What a probe had in hand when it died: its page outlives it (fault row 15, level N3).
//!
//! A lane publishes ten times a second. What it took after that is in no count, so the loss is at most this much and a tenth of a second's packets.
use crate::metrics::named;
use crate::pages::{self, Found};
use record::page::Snapshot;
use record::page::columns::{self, ENDED, OUTPUT_IDENTITY, REFUSED};

/// Lost with a process, or with all those of a module.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Remains {
    /// Flows that had not ended, and their packets.
    pub flows: u64,
    pub packets: u64,
    /// Records that an output had not sent; one that two outputs had not counts twice.
    pub records: u64,
}

impl Remains {
    /// What the process of this number left behind; `None` if it had no page.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let is_its = |found: &Found| found.page.writer.pid == pid && !found.alive;
        pages::all().iter().find(|found| is_its(found)).map(|found| Self::on(&found.page))
    }

    fn on(page: &Snapshot) -> Self {
        let layout = &page.layout;
        let of_lanes = |names: &[&str]| {
            let lanes = page.lanes.iter().map(|lane| columns::sum(named(&layout.lane_columns, &lane.counts), names));
            lanes.fold(0, u64::wrapping_add)
        };
        let ended = of_lanes(&[ENDED.prefix]);
        let unsent = page.outputs.iter().enumerate().map(|(output, counts)| {
            let refused = of_lanes(&[&format!("{}.{output}", REFUSED.prefix)]);
            let left = columns::sum(named(&layout.output_columns, counts), OUTPUT_IDENTITY.became);
            // Lanes and outputs publish each at its time.
            ended.saturating_sub(refused).saturating_sub(left)
        });
        Self {
            flows: of_lanes(&["flows.live"]),
            packets: of_lanes(&["flows.packets"]).saturating_sub(of_lanes(&["exported.packets"])),
            records: unsent.sum(),
        }
    }

    /// Adds what another process lost.
    pub(super) fn add(&mut self, other: Self) {
        self.flows += other.flows;
        self.packets += other.packets;
        self.records += other.records;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::Time;
    use record::page::{Counts, LaneCounts, Layout, Writer};

    #[test]
    fn what_was_in_hand_is_the_difference_of_the_books() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let lane = |values: [u64; 6]| LaneCounts {
            counts: Counts { at: Time(1), values: values.into() },
            talkers: Vec::new(),
        };
        let output = |values: [u64; 3]| Counts { at: Time(1), values: values.into() };
        let page = Snapshot {
            writer: Writer { pid: 1, process_start: 1, started: Time(1) },
            layout: Layout {
                title: "probe".into(),
                lane_columns: names(&[
                    "flows.live",
                    "flows.packets",
                    "exported.packets",
                    "flows.ended.idle",
                    "flows.ended.end",
                    "refused.1.queue_full",
                ]),
                output_columns: names(&["taken", "sent", "dropped.down"]),
                lanes: names(&["v0", "v0"]),
                outputs: names(&["json", "unirec"]),
            },
            lanes: vec![lane([4, 100, 60, 10, 5, 2]), lane([1, 10, 9, 3, 0, 0])],
            outputs: vec![output([18, 16, 1]), output([16, 16, 0])],
        };
        assert_eq!(Remains::on(&page), Remains { flows: 5, packets: 41, records: 1 });
    }
}
