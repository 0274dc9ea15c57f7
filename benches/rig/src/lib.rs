//! The test rig: frames of the generator in memory, and a lane that runs over them, the same for benches, instruction budgets and tests.
//!
//! Everything is decided by seeds that stand here, so that two runs do the same work. A capture that cannot be built is a fault of the
//! generator or of this crate: such places panic with their reason, nothing here is part of the product.
#![forbid(unsafe_code)]

pub mod chain;
pub mod dialogs;
pub mod encode;
pub mod frames;
pub mod hostile;

use dataplane::batch::Batch;
use dataplane::capture::memory::MemorySource;
use dataplane::capture::{BURST, CaptureSource, Poll};
use dataplane::flow::CacheConfig;
use dataplane::flow::key::HashSeed;
use dataplane::flow::table::Shape;
use dataplane::lane::{Lane, LaneConfig};
use dataplane::registry::{Layer, PluginId};

/// The five protocols of PERFORMANCE.md P2.
pub const FIVE: [&str; 5] = ["http", "dns", "smtp", "sip", "tls"];

/// Times that [`Rig::fill_batch`] lends all frames: a dialog that comes again ends its first flow.
const PASSES_MAX: usize = 40;

/// Frames in memory and a lane.
pub struct Rig {
    pub lane: Lane,
    pub source: MemorySource,
}

impl Rig {
    /// A lane with room for `flows` and these plugins; flows end after 30 quiet seconds, as in the program.
    pub fn new(source: MemorySource, flows: u64, plugins: &[&str]) -> Rig {
        Rig { lane: lane(flows, plugins, HashSeed::FILES), source }
    }

    /// Lends all frames once, from the beginning; ended flows go to `take` whenever a batch has filled, as in the program.
    pub fn pass(&mut self, mut take: impl FnMut(&Batch)) {
        self.source.rewind();
        // A source in memory cannot fail.
        while self.lane.step(&mut self.source).expect("frames in memory") != Poll::End {
            if self.lane.batch().is_full() {
                take(self.lane.batch());
                self.lane.batch().clear();
            }
        }
    }

    /// Lends frames, again and again, until a batch has filled, and leaves it in the lane.
    pub fn fill_batch(&mut self) {
        for _ in 0..PASSES_MAX {
            self.source.rewind();
            while !self.lane.batch().is_full() {
                if self.lane.step(&mut self.source).expect("frames in memory") == Poll::End {
                    break;
                }
            }
        }
        assert!(self.lane.batch().is_full(), "too few flows ended");
    }

    pub fn packets(&self) -> u64 {
        self.source.len() as u64
    }

    /// Fails where the books do not balance: a number from such a lane would mean nothing.
    pub fn check(&mut self) {
        self.lane.finish(Batch::clear);
        assert_eq!(self.lane.report(&self.source).imbalance(), Vec::<String>::new());
    }
}

/// A lane whose table has room for one and a half times `flows`.
pub fn lane(flows: u64, plugins: &[&str], seed: HashSeed) -> Lane {
    let plugin = |name: &&str| (PluginId::from_name(name).expect("a plugin of the registry"), Vec::new());
    let config = LaneConfig {
        cache: CacheConfig { shape: shape(flows), active_secs: 300, inactive_secs: 30, ..CacheConfig::default() },
        plugins: plugins.iter().map(plugin).collect(),
        ..LaneConfig::default()
    };
    Lane::with_seed(&config, seed).expect("memory for the table")
}

pub fn shape(flows: u64) -> Shape {
    Shape { size_exp: (flows * 3 / 2).next_power_of_two().trailing_zeros().max(4), line_exp: 4 }
}

/// The parsers of the registry.
pub fn parsers() -> impl Iterator<Item = &'static str> {
    PluginId::ALL.iter().filter(|id| id.layer() == Layer::L7).map(|id| id.name())
}

/// All plugins of the registry that are among `all`.
pub fn all_plugins() -> Vec<&'static str> {
    PluginId::ALL.iter().filter(|id| !id.by_name_only()).map(|id| id.name()).collect()
}

/// Lends all frames once in full bursts, to something that is not a lane.
pub fn bursts(source: &mut MemorySource, mut each: impl FnMut(&[dataplane::capture::Frame<'_>])) {
    source.rewind();
    while source.burst(&mut each).expect("frames in memory") != Poll::End {}
}

/// A source that lends full bursts.
pub(crate) fn empty() -> MemorySource {
    MemorySource::new(BURST)
}
