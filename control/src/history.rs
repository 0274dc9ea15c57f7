//! What probes counted over time, for graphs: how much each counter grew in slots of three lengths.
//!
//! Contract: memory is bounded by [`SERIES_MAX`] and [`LEVELS`], and what makes room is counted. In each level the slots of a counter add
//! up to what it grew by since it was seen first (as long as they reach back). Nothing is kept on disk: a history begins with its
//! supervisor. Time is told, not asked for; it goes on steadily, and answers are by the machine's clock as it is set now, so that whoever sets
//! it moves what is known of the past and loses nothing of it.
use crate::clock::Steady;
use crate::pages::{self, Found};
use record::page::columns::{Kind, LANE, OUTPUT};
use ring::Ring;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::spawn_blocking;

mod range;
mod ring;

pub use range::{Asked, Range, RangeError};

/// Slots of one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// Seconds of a slot.
    pub step: u64,
    pub slots: usize,
}

/// 6 minutes, 63 minutes, 25 hours: what pages show, and a little more.
pub const LEVELS: [Level; 3] =
    [Level { step: 2, slots: 180 }, Level { step: 20, slots: 190 }, Level { step: 300, slots: 300 }];
/// Counters of all probes together: 1,024 x 670 slots of 8 bytes are 5.5 MB.
pub const SERIES_MAX: usize = 1_024;
/// Time between two looks at the pages.
const LOOK: Duration = Duration::from_secs(2);

/// Where counters are from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    pub probe: String,
    pub part: Part,
    /// The input's or the output's.
    pub name: String,
}

/// Which side of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// An input; all lanes that read it.
    Link,
    Output,
}

/// The counters of all probes.
#[derive(Debug, Default)]
pub struct History {
    origins: BTreeMap<Origin, Counted>,
    /// Milliseconds since 1970 at the last look.
    seen: u64,
    /// Seconds by which the machine's clock has been set forward since the begin.
    pub ahead: i64,
    /// Counters that made room for others.
    pub forgotten: u64,
    /// Counters that found no room at the last look.
    pub refused: usize,
}

/// The counters of an origin.
#[derive(Debug)]
struct Counted {
    /// Which process wrote them.
    writer: (u32, u64),
    seen: u64,
    series: BTreeMap<String, Series>,
}

/// A counter.
#[derive(Debug)]
pub struct Series {
    pub kind: Kind,
    last: u64,
    rings: [Ring; LEVELS.len()],
}

/// How an origin stands.
#[derive(Debug, Clone)]
pub struct Sample {
    pub origin: Origin,
    /// Process and its start.
    pub writer: (u32, u64),
    /// When the process started and when it counted last, milliseconds since 1970.
    pub started: u64,
    pub updated: u64,
    pub is_alive: bool,
    pub counters: BTreeMap<String, u64>,
}

/// A history that is written and asked at the same time.
#[derive(Debug, Clone, Default)]
pub struct Shared(Arc<Mutex<History>>);

impl Shared {
    /// The history, until the guard goes.
    pub fn lock(&self) -> MutexGuard<'_, History> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at all pages every now and then, for ever.
    pub async fn keep(self) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let clock = Steady::begin();
        loop {
            looks.tick().await;
            if let Ok(found) = spawn_blocking(pages::all).await {
                let (now, ahead) = clock.now();
                let mut history = self.lock();
                history.ahead = ahead;
                history.take(now, found.iter().flat_map(|found| Sample::all(found, ahead)));
            }
        }
    }
}

impl Sample {
    /// The origins of a page, whose writer's clock is so many seconds ahead.
    fn all(found: &Found, ahead: i64) -> Vec<Self> {
        let page = &found.page;
        let milliseconds =
            |at: record::Time| (at.0 / 1_000_000).saturating_add_signed(ahead.saturating_mul(1_000).saturating_neg());
        let of = |part, name: &str| Self {
            origin: Origin { probe: found.name.clone(), part, name: name.into() },
            writer: (page.writer.pid, page.writer.process_start),
            started: milliseconds(page.writer.started),
            updated: milliseconds(page.updated()),
            is_alive: found.alive,
            counters: BTreeMap::new(),
        };
        let lanes = page.layout.lanes.iter().zip(page.lanes.iter().map(|lane| &lane.counts));
        let lanes = lanes.map(|(name, counts)| (Part::Link, name, &page.layout.lane_columns, counts));
        let outputs = page.layout.outputs.iter().zip(&page.outputs);
        let outputs = outputs.map(|(name, counts)| (Part::Output, name, &page.layout.output_columns, counts));
        let mut all: BTreeMap<(Part, &str), Self> = BTreeMap::new();
        for (part, name, columns, counts) in lanes.chain(outputs) {
            let sample = all.entry((part, name)).or_insert_with(|| of(part, name));
            for (column, value) in columns.iter().zip(&counts.values) {
                let sum = sample.counters.entry(column.clone()).or_default();
                *sum = sum.wrapping_add(*value);
            }
        }
        all.into_values().collect()
    }
}

impl History {
    /// Takes what all probes have counted by `now`, in milliseconds since 1970.
    pub fn take(&mut self, now: u64, samples: impl IntoIterator<Item = Sample>) {
        self.refused = 0;
        for sample in samples {
            self.take_one(now, sample);
        }
        self.seen = now;
    }

    fn take_one(&mut self, now: u64, sample: Sample) {
        let mut room = SERIES_MAX.saturating_sub(self.len());
        let known = self.origins.get(&sample.origin).map(|counted| &counted.series);
        // Most counters of most probes stay 0, and take no room.
        let is_new = |(name, value): &(&String, &u64)| **value > 0 && known.is_none_or(|of| !of.contains_key(*name));
        let news = sample.counters.iter().filter(is_new).count();
        while room < news && self.forget(now, &sample.origin) {
            room = SERIES_MAX.saturating_sub(self.len());
        }
        let Sample { origin, writer, started, updated, is_alive, counters } = sample;
        let known = self.origins.get(&origin).map(|counted| (counted.writer, counted.seen));
        // What a probe that has ended counted last is taken once.
        if !is_alive && known.is_none_or(|(_, seen)| updated <= seen) {
            return;
        }
        // Since when it grew, and whether from nothing: what was there before it was seen first is not known by time.
        let (since, is_whole) = match known {
            Some((last, seen)) if last == writer => (seen, true),
            Some((_, seen)) => (started.clamp(seen.min(now), now), true),
            None => (now, false),
        };
        let is_other = known.is_some_and(|(last, _)| last != writer);
        let counted =
            self.origins.entry(origin).or_insert_with(|| Counted { writer, seen: now, series: BTreeMap::new() });
        (counted.writer, counted.seen) = (writer, now);
        for (name, value) in counters {
            match counted.series.get_mut(&name) {
                Some(series) => series.grow(since, now, if is_other { 0 } else { series.last }, value),
                None if value == 0 => {}
                None if room == 0 => self.refused += 1,
                None => {
                    room -= 1;
                    let mut series = Series::new(kind_of(&name));
                    series.grow(since, now, if is_whole { 0 } else { value }, value);
                    counted.series.insert(name, series);
                }
            }
        }
    }

    /// Counters that are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.origins.values().map(|counted| counted.series.len()).sum()
    }

    /// True before the first.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.origins.is_empty()
    }

    /// Makes room: the origin that was seen longest ago goes, unless it was seen at this look or the last.
    fn forget(&mut self, now: u64, keep: &Origin) -> bool {
        let oldest = self.origins.iter().filter(|(origin, _)| *origin != keep).min_by_key(|(_, counted)| counted.seen);
        let gone = oldest.filter(|(_, counted)| counted.seen < self.seen.min(now)).map(|(origin, _)| origin.clone());
        let Some(counted) = gone.and_then(|origin| self.origins.remove(&origin)) else { return false };
        self.forgotten += counted.series.len() as u64;
        true
    }

    /// All counters with what they grew by in each slot of a range; `None` where nothing is known.
    pub fn slots(&self, range: Range) -> impl Iterator<Item = (&Origin, &str, Kind, Vec<Option<u64>>)> {
        let all = self.origins.iter();
        all.flat_map(move |(origin, counted)| {
            counted.series.iter().filter_map(move |(name, series)| {
                let values = series.rings[range.level].read(range.first, range.slots);
                values.iter().any(Option::is_some).then_some((origin, name.as_str(), series.kind, values))
            })
        })
    }

    /// The range that was asked for, among slots that are over.
    ///
    /// # Errors
    /// [`RangeError`].
    pub fn range(&self, asked: Asked) -> Result<Range, RangeError> {
        // Below 0 it is so long ago.
        let from = asked.from.map(|from| if from < 0 { from } else { from.saturating_sub(self.ahead).max(0) });
        Range::of(Asked { from, ..asked }, self.seen)
    }

    /// Where a range begins by the machine's clock as it is set now, seconds since 1970.
    #[must_use]
    pub fn begin_of(&self, range: Range) -> u64 {
        range.from().saturating_add_signed(self.ahead)
    }
}

impl Series {
    fn new(kind: Kind) -> Self {
        Self { kind, last: 0, rings: LEVELS.map(|level| Ring::new(level.slots)) }
    }

    /// The counter was `from` at `since` and is `value` now; a level that goes up and down is what it is now.
    fn grow(&mut self, since: u64, now: u64, from: u64, value: u64) {
        self.last = value;
        for (level, ring) in LEVELS.iter().zip(&mut self.rings) {
            match self.kind {
                Kind::Counter => ring.spread(since, now, level.step * 1_000, value.saturating_sub(from)),
                Kind::Gauge => ring.set(since, now, level.step * 1_000, value),
            }
        }
    }
}

/// How a column behaves; families and what nobody knows only grow.
fn kind_of(column: &str) -> Kind {
    LANE.iter().chain(&OUTPUT).find(|known| known.name == column).map_or(Kind::Counter, |known| known.kind)
}

#[cfg(test)]
mod tests;
