use super::*;
use proptest::prelude::*;

const NOW: u64 = 1_800_000_000_000;

fn sample(probe: &str, start: u64, counters: &[(&str, u64)]) -> Sample {
    Sample {
        origin: Origin { probe: probe.into(), part: Part::Link, name: "eth0".into() },
        writer: (7, start),
        started: NOW,
        updated: NOW,
        is_alive: true,
        counters: counters.iter().map(|(name, value)| ((*name).into(), *value)).collect(),
    }
}

/// What is known of a counter in a level, at the last look.
fn slots(history: &History, step: u64, counter: &str) -> Vec<Option<u64>> {
    let range = history.range(Asked { from: None, step: Some(step) }).expect("a level");
    history.slots(range).find(|(_, name, ..)| *name == counter).map(|(.., values)| values).unwrap_or_default()
}

/// Fault row 20.
#[test]
fn whoever_sets_the_clock_moves_the_past_and_loses_nothing() {
    let mut history = History::default();
    for at in 0..100 {
        history.take(NOW + 2_000 * at, [sample("edge", 1, &[("packets.taken", 10 * at)])]);
    }
    let (before, seen) = (slots(&history, 2, "packets.taken"), (NOW + 2_000 * 99) / 1_000);
    for ahead in [3_600, -3_600, 315_360_000, -315_360_000] {
        history.ahead = ahead;
        assert_eq!(slots(&history, 2, "packets.taken"), before);
        // Asked for by the clock as it is now, and answered so.
        let now = seen.saturating_add_signed(ahead);
        for from in [i64::try_from(now).expect("small") - 60, -60] {
            let range = history.range(Asked { from: Some(from), step: Some(2) }).expect("a level");
            assert_eq!((history.begin_of(range), range.slots), (now - 60, 30));
            assert!(history.slots(range).all(|(.., values)| values.iter().all(Option::is_some)));
        }
    }
}

#[test]
fn a_counter_is_told_by_what_it_grew_and_a_level_by_what_it_is() {
    let mut history = History::default();
    for (at, (packets, live)) in [(100, 5), (160, 6), (160, 7), (200, 2)].into_iter().enumerate() {
        let counters = [("packets.taken", packets), ("flows.live", live), ("packets.dropped.x", 0)];
        history.take(NOW + 2_000 * at as u64, [sample("edge", 1, &counters)]);
    }
    let tail = |values: Vec<Option<u64>>, count: usize| values[values.len() - count..].to_vec();
    assert_eq!(tail(slots(&history, 2, "packets.taken"), 4), [None, Some(60), Some(0), Some(40)]);
    assert_eq!(tail(slots(&history, 2, "flows.live"), 4), [None, Some(5), Some(6), Some(7)]);
    assert!(history.len() == 2 && slots(&history, 2, "packets.dropped.x").is_empty(), "what is 0 takes no room");
    // A counter that begins late grew from nothing; a probe that was started anew counts from nothing.
    history.take(NOW + 8_000, [sample("edge", 1, &[("packets.taken", 200), ("packets.dropped.x", 3)])]);
    history.take(NOW + 10_000, [sample("edge", 2, &[("packets.taken", 30)])]);
    assert_eq!(tail(slots(&history, 2, "packets.dropped.x"), 2), [Some(3), None]);
    assert_eq!(slots(&history, 2, "packets.taken").iter().flatten().sum::<u64>(), 60 + 40 + 30);
}

#[test]
fn a_probe_that_ended_is_counted_to_its_end_and_no_further() {
    let mut history = History::default();
    history.take(NOW, [sample("edge", 1, &[("packets.taken", 1)])]);
    for (at, updated) in [(2_000, NOW + 1_000), (4_000, NOW + 1_000)] {
        let ended = Sample { is_alive: false, updated, ..sample("edge", 1, &[("packets.taken", 9)]) };
        history.take(NOW + at, [ended]);
    }
    let values = slots(&history, 2, "packets.taken");
    assert_eq!(values[values.len() - 2..], [Some(8), None]);
    let mut other = History::default();
    other.take(NOW, [Sample { is_alive: false, ..sample("old", 1, &[("packets.taken", 1)]) }]);
    assert!(other.is_empty(), "a page that somebody left behind");
}

#[test]
fn memory_is_bounded_and_what_makes_room_is_counted() {
    let mut history = History::default();
    let names: Vec<String> = (0..SERIES_MAX).map(|n| format!("c{n}")).collect();
    let many: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    history.take(NOW, [sample("a", 1, &many[..1_000]), sample("b", 1, &many[..100])]);
    assert_eq!((history.len(), history.refused, history.forgotten), (SERIES_MAX, 76, 0));
    // The one that is gone makes room; the one that is there does not.
    history.take(NOW + 2_000, [sample("b", 1, &many[..100])]);
    assert_eq!((history.refused, history.forgotten), (76, 0), "both were there a moment ago");
    history.take(NOW + 4_000, [sample("b", 1, &many[..100])]);
    assert_eq!((history.len(), history.refused, history.forgotten), (100, 0, 1_000));
}

#[test]
fn ranges() {
    let of = |from, step| Range::of(Asked { from, step }, NOW);
    let now = NOW as i64 / 1_000;
    assert_eq!(of(Some(-300), None).expect("a range").step(), 2);
    assert_eq!(of(Some(-3_600), None).expect("a range").step(), 20);
    assert_eq!(of(Some(now - 86_400), None).map(|range| (range.step(), range.slots)), Ok((300, 288)));
    assert_eq!(of(Some(0), None).map(|range| (range.step(), range.slots)), Ok((300, 299)));
    assert_eq!(of(Some(now + 60), Some(20)).map(|range| range.slots), Ok(0));
    assert_eq!(of(None, Some(3)).expect_err("no level").to_string(), "step=3: slots have 2, 20, 300 seconds");
}

proptest! {
    #[test]
    fn any_look_and_any_question(data in proptest::collection::vec(any::<u8>(), 0..400)) {
        crate::fuzzing::fuzz_history(&data);
    }
}
