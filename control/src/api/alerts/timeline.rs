//! `GET /v1/alerts/timeline`: what the chart of alerts draws, counted in the store.
use super::super::extract::Asked;
use super::super::{Plane, refuse};
use super::{Which, time, with};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use detect::store::{Query, Slots, Store, StoreError};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// Slots of an answer, about.
const SLOTS: i64 = 48;
/// Lengths of slots in seconds that people read easily; a longer time has longer ones.
const STEPS_S: [i64; 11] = [60, 300, 900, 3_600, 10_800, 21_600, 43_200, 86_400, 604_800, 2_592_000, 7_776_000];

/// How many alerts of which category when.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct AlertTimeline {
    /// Alerts in all slots together.
    pub found: u64,
    /// Where the first slot begins, RFC 3339.
    pub from: String,
    /// Seconds of a slot.
    pub step_s: i64,
    /// The category with most alerts first.
    pub categories: Vec<CategoryCounts>,
}

/// Alerts of a category.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct CategoryCounts {
    /// Of an alert with several all of them; empty: none. Behind 256 categories alerts of further ones are "others".
    pub category: String,
    /// Alerts in each slot.
    pub alerts: Vec<u64>,
}

/// The handler. Order and limit of the question do not matter.
pub(in crate::api) async fn timeline(State(plane): State<Plane>, Asked(which): Asked<Which>) -> Response {
    let query = match which.query() {
        Ok((query, ..)) => query,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, &why),
    };
    with(plane, Store::read, move |store| count(&store, &query, Timestamp::now().as_millisecond()).map(Json)).await
}

fn count(store: &Store, query: &Query, now: i64) -> Result<AlertTimeline, StoreError> {
    let slots = slots(query, store.span(query)?, now);
    let categories = store.timeline(query, slots)?.into_iter();
    let categories: Vec<_> = categories.map(|(category, alerts)| CategoryCounts { category, alerts }).collect();
    let found = categories.iter().flat_map(|one| &one.alerts).sum();
    Ok(AlertTimeline { found, from: time(slots.from), step_s: slots.step / 1_000, categories })
}

/// From what was asked for, or from the first alert; until then, or now if a beginning was asked for, or to the last alert.
fn slots(query: &Query, span: Option<(i64, i64)>, now: i64) -> Slots {
    let (first, last) = span.unwrap_or((now, now));
    let first = query.from.unwrap_or(first);
    let asked = query.until.or(query.from.and(Some(now))).unwrap_or(last);
    let length = asked.max(last).saturating_sub(first).max(0);
    let step_s = STEPS_S.into_iter().find(|step| length / (step * 1_000) <= SLOTS);
    let step = step_s.unwrap_or_else(|| length.div_euclid(SLOTS * 1_000).saturating_add(1)).saturating_mul(1_000);
    let from = first.div_euclid(step).saturating_mul(step);
    let count = usize::try_from(first.saturating_add(length).saturating_sub(from) / step).unwrap_or(0) + 1;
    Slots { from, step, count }
}

#[cfg(test)]
mod tests {
    use super::*;
    use detect::store::SLOTS_MAX;
    use proptest::prelude::*;

    const NOW: i64 = 1_795_305_600_000;
    const HOUR: i64 = 3_600_000;
    /// What a time of day can be: years -9999 to 9999.
    const TIMES: std::ops::RangeInclusive<i64> = -377_705_023_201_000..=253_402_207_200_999;

    #[test]
    fn slots_are_of_lengths_that_people_read() {
        let of = |from, until, span| {
            let query = Query { from, until, ..Query::default() };
            let Slots { from, step, count } = slots(&query, span, NOW);
            (NOW - from, step / 1_000, count)
        };
        assert_eq!(of(None, None, None), (0, 60, 1));
        assert_eq!(of(Some(NOW - HOUR), None, None), (HOUR, 300, 13));
        assert_eq!(of(Some(NOW - 24 * HOUR), None, Some((NOW - HOUR, NOW))), (24 * HOUR, 3_600, 25));
        assert_eq!(of(None, None, Some((NOW - HOUR, NOW - HOUR + 30_000))), (HOUR, 60, 1));
        // Clocks of detectors may be ahead.
        assert_eq!(of(Some(NOW - HOUR), None, Some((NOW, NOW + HOUR))), (HOUR, 300, 25));
    }

    proptest! {
        #[test]
        fn slots_cover_what_was_asked_for_and_are_few(
            from in prop::option::of(TIMES),
            until in prop::option::of(TIMES),
            span in prop::option::of((TIMES, TIMES)),
        ) {
            let span = span.map(|(a, b)| (a.min(b), a.max(b)));
            let Slots { from: first, step, count } = slots(&Query { from, until, ..Query::default() }, span, NOW);
            prop_assert!(step > 0 && (1..=SLOTS_MAX).contains(&count) && count as i64 <= SLOTS + 3);
            if let (None, None, Some((a, b))) = (from, until, span) {
                let end = first.saturating_add(step.saturating_mul(count as i64));
                prop_assert!(first <= a && (end > b || end == i64::MAX));
            }
        }
    }
}
