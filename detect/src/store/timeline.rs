//! How many alerts of which category when: what a chart draws, counted where the alerts are.
use super::file::File;
use super::{Query, StoreError, schema};
use rusqlite::params_from_iter;
use rusqlite::types::Value;
use std::collections::BTreeMap;

/// Categories that are told apart; alerts of further ones are counted under [`OTHERS`], so that what a store holds bounds no memory.
pub const CATEGORIES_MAX: usize = 256;
/// What categories behind [`CATEGORIES_MAX`] are counted under.
pub const OTHERS: &str = "others";
/// Slots of a timeline, at the most.
pub const SLOTS_MAX: usize = 1_000;

/// Slots of one length, one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    /// Where the first begins, and how long each is; milliseconds, the one since 1970.
    pub from: i64,
    pub step: i64,
    /// How many; [`SLOTS_MAX`] at the most.
    pub count: usize,
}

/// Counts by category: its name, which for an alert of several is all of them in order and for one of none is empty, and alerts in each slot.
pub type Timeline = Vec<(String, Vec<u64>)>;

impl Slots {
    /// Those that can be counted: of a length, and no more than there may be.
    pub(super) fn bounded(self) -> Slots {
        Slots { step: self.step.max(1), count: self.count.min(SLOTS_MAX), ..self }
    }

    /// Where the last ends.
    pub(super) fn until(self) -> i64 {
        self.from.saturating_add(self.step.saturating_mul(self.count as i64))
    }
}

/// A timeline in the making.
pub(super) struct Counting {
    count: usize,
    all: BTreeMap<String, Vec<u64>>,
}

impl Counting {
    pub(super) fn new(slots: Slots) -> Counting {
        Counting { count: slots.count, all: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, mut category: String, slot: i64, alerts: i64) {
        if self.all.len() >= CATEGORIES_MAX && !self.all.contains_key(&category) {
            category = OTHERS.into();
        }
        let counts = self.all.entry(category).or_insert_with(|| vec![0; self.count]);
        if let Some(there) = usize::try_from(slot).ok().and_then(|slot| counts.get_mut(slot)) {
            *there += alerts.unsigned_abs();
        }
    }

    pub(super) fn finish(self) -> Timeline {
        let mut all: Timeline = self.all.into_iter().collect();
        // Of as many the names decide, as they are in order already.
        all.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.iter().sum::<u64>()));
        all
    }
}

impl File {
    pub(super) fn span(&self, query: &Query) -> Result<Option<(i64, i64)>, StoreError> {
        let (condition, values) = query.condition();
        let sql = format!("SELECT MIN(a.detected), MAX(a.detected) FROM alert a WHERE {condition}");
        let (first, last): (Option<i64>, Option<i64>) =
            self.connection.query_row(&sql, params_from_iter(values), |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(first.zip(last))
    }

    pub(super) fn timeline(&self, query: &Query, slots: Slots) -> Result<Timeline, StoreError> {
        let (condition, mut values) = query.condition();
        let mut value = |number: i64| {
            values.push(Value::Integer(number));
            format!("?{}", values.len())
        };
        let (from, until, step) = (value(slots.from), value(slots.until()), value(slots.step));
        let categories = schema::CATEGORY;
        let sql = format!(
            "SELECT (a.detected - {from}) / {step} AS slot, \
             (SELECT group_concat(name, ', ') FROM (SELECT w.name AS name FROM tag t JOIN word w ON w.number = t.word \
              WHERE t.alert = a.number AND w.kind = {categories} ORDER BY w.name)) AS category, COUNT(*) \
             FROM alert a WHERE {condition} AND a.detected >= {from} AND a.detected < {until} GROUP BY slot, category"
        );
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        let mut counting = Counting::new(slots);
        while let Some(row) = rows.next()? {
            let (slot, category, alerts): (i64, Option<String>, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            counting.add(category.unwrap_or_default(), slot, alerts);
        }
        Ok(counting.finish())
    }
}
