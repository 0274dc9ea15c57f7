//! What became of a job: of its inputs, and of its outputs.
use dataplane::capture::{CaptureError, CaptureStats};
use dataplane::export::ring::Finished;
use dataplane::lane::LaneReport;
use std::time::Duration;

/// What became of one input.
pub(crate) struct Input {
    pub(crate) name: String,
    pub(crate) live: bool,
    /// A live input that was left at its limit of packets, with more in its rings.
    pub(crate) cut: bool,
    pub(crate) taken: CaptureStats,
    /// The sum over its lanes.
    pub(crate) report: LaneReport,
    pub(crate) lanes: Vec<LaneReport>,
    pub(crate) error: Option<CaptureError>,
    /// Time spent on its packets.
    pub(crate) time: Duration,
}

impl Input {
    /// What does not balance: the lanes' books, and those between a live source and its lanes.
    pub(crate) fn imbalance(&self) -> Vec<String> {
        let mut wrong = self.report.imbalance();
        let (taken, lanes) = (self.taken.packets, self.report.packets.taken);
        if self.live && taken != lanes {
            wrong.push(format!("packets captured = packets the lanes took: {taken} is not {lanes}"));
        }
        let offloaded = self.taken.offloaded;
        if self.left_over() != 0 && !self.cut {
            let (offered, drops) = (self.taken.offered.unwrap_or(0), self.taken.drops.total());
            wrong.push(format!(
                "packets offered = captured + offloaded + dropped: {offered} is not {taken} + {offloaded} + {drops}"
            ));
        }
        let credited = self.report.offload.packets;
        if offloaded != credited {
            wrong.push(format!("packets offloaded = packets that came back to flows: {offloaded} is not {credited}"));
        }
        wrong
    }

    /// Packets that the kernel or card has counted for us and that are neither taken nor dropped.
    pub(crate) fn left_over(&self) -> i64 {
        let known = self.taken.packets + self.taken.offloaded + self.taken.drops.total();
        self.taken.offered.map_or(0, |offered| offered as i64 - known as i64)
    }
}

/// What became of the job.
pub(crate) struct Outcome {
    pub(crate) inputs: Vec<Input>,
    pub(crate) outputs: Vec<Finished>,
    /// Batches that were not given back; there must be none (identity I15).
    pub(crate) batches_out: usize,
    /// A live run that gave up no privileges.
    pub(crate) privileges_kept: bool,
    /// Stopped by a signal; with how many flows that were still live and exported then.
    pub(crate) interrupted: Option<usize>,
}

impl Outcome {
    /// Records that were lost on the way out.
    pub(crate) fn lost(&self) -> u64 {
        self.outputs.iter().map(|o| o.books.lost()).sum()
    }
    /// Whether an output failed in a way that leaves open what has left.
    pub(crate) fn broken_output(&self) -> bool {
        self.outputs.iter().any(|o| o.failed.is_some())
    }
    pub(crate) fn broken_input(&self) -> bool {
        self.inputs.iter().any(|i| i.error.is_some())
    }
}
