//! What every alert store does, in a file or in MongoDB.
use detect::store::{
    Added, Alert, CATEGORIES_MAX, Noted, OTHERS, Order, Query, Retention, Role, SLOTS_MAX, Slots, State, Store,
};
use std::ops::ControlFlow;
use std::path::Path;
use std::thread;
use std::time::Duration;

pub(crate) fn create(path: &Path) -> Store {
    Store::create(path, Retention::default()).unwrap()
}

/// An alert of second `at` of a day.
pub(crate) fn alert(id: &str, at: u32, category: &str, source: &str, target: &str) -> String {
    format!(
        r#"{{"Format": "IDEA0", "ID": "{id}", "DetectTime": "2026-11-22T00:{:02}:{:02}Z", "Category": ["{category}"],
            "Node": [{{"Name": "cz.example.{}"}}], "Source": [{{"IP4": ["{source}"]}}], "Target": [{{"IP6": ["{target}"]}}]}}"#,
        at / 60,
        at % 60,
        // Of several categories, as they stand in JSON, one name.
        category.to_lowercase().replace(['"', ',', ' '], ""),
    )
}

pub(crate) fn ids(store: &Store, query: &Query) -> Vec<String> {
    let mut ids = Vec::new();
    store
        .alerts(query, Order::Oldest, u64::MAX, |alert| {
            ids.push(alert.id);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(store.count(query).unwrap(), ids.len() as u64);
    ids
}

pub(crate) fn alerts_are_found_by_time_category_address_node_and_state(mut store: Store) {
    for (document, number) in [
        alert("a", 10, "Recon.Scanning", "192.0.2.1", "2001:db8::1"),
        alert("b", 20, "Attempt.Login", "192.0.2.200", "2001:db8::2"),
        alert("c", 5, "Reconnaissance", "198.51.100.0/24", "2001:db8::/64"),
    ]
    .iter()
    .zip(1..)
    {
        assert_eq!(store.add(document).unwrap(), Added::New(number));
    }
    let all = Query::default();
    assert_eq!(ids(&store, &all), ["c", "a", "b"]);
    let midnight = 1_795_305_600_000;
    let from = |from, until| Query { from, until, ..Query::default() };
    assert_eq!(ids(&store, &from(Some(midnight + 10_000), None)), ["a", "b"]);
    assert_eq!(ids(&store, &from(Some(midnight), Some(midnight + 10_000))), ["c"]);
    let category =
        |names: &[&str]| Query { categories: names.iter().map(|n| (*n).into()).collect(), ..Query::default() };
    assert_eq!(ids(&store, &category(&["recon"])), ["a"]);
    assert_eq!(ids(&store, &category(&["RECON.scanning", "attempt"])), ["a", "b"]);
    assert!(ids(&store, &category(&["Scanning"])).is_empty());
    let about = |role, text: &str| Query { addresses: vec![(role, text.parse().unwrap())], ..Query::default() };
    assert_eq!(ids(&store, &about(None, "192.0.2.0/25")), ["a"]);
    assert_eq!(ids(&store, &about(None, "192.0.2.1-192.0.2.200")), ["a", "b"]);
    assert_eq!(ids(&store, &about(None, "198.51.100.77")), ["c"], "inside of a network");
    assert_eq!(ids(&store, &about(None, "2001:db8::2")), ["c", "b"]);
    assert_eq!(ids(&store, &about(Some(Role::Target), "2001:db8::/32")), ["c", "a", "b"]);
    assert!(ids(&store, &about(Some(Role::Source), "2001:db8::/32")).is_empty());
    assert!(ids(&store, &about(None, "::/0")).len() == 3 && ids(&store, &about(None, "10.0.0.0/8")).is_empty());
    assert_eq!(ids(&store, &Query { nodes: vec!["EXAMPLE.attempt".into()], ..Query::default() }), ["b"]);
    assert_eq!(store.set_state(&[1, 1, 99], State::Acknowledged, "me").unwrap(), 1);
    let of = |state| Query { state: Some(state), ..Query::default() };
    assert_eq!(
        (ids(&store, &of(State::New)), ids(&store, &of(State::Acknowledged))),
        (vec!["c".into(), "b".into()], vec!["a".into()])
    );
    assert_eq!(ids(&store, &Query { after: Some(1), ..category(&["Recon", "Attempt"]) }), ["b"]);
    assert_eq!(store.numbers(&category(&["Attempt"])).unwrap(), [2]);
    let mut newest = Vec::new();
    let keep = |alert: Alert| {
        newest.push(alert.number);
        ControlFlow::Continue(())
    };
    store.alerts(&all, Order::Newest, 2, keep).unwrap();
    assert_eq!(newest, [2, 1]);
}

/// `same` says whether a document is the one that was given.
pub(crate) fn alerts_are_counted_by_category_and_time(mut store: Store) {
    let midnight = 1_795_305_600_000;
    let day = Slots { from: midnight, step: 60_000, count: 3 };
    assert_eq!(
        (store.span(&Query::default()).unwrap(), store.timeline(&Query::default(), day).unwrap()),
        (None, vec![])
    );
    for (n, at, category) in [
        (0, 0, "Recon"),
        (1, 59, "Recon"),
        (2, 60, "Attempt"),
        (3, 179, "Recon"),
        // Behind the last slot.
        (4, 180, "Recon"),
        (5, 61, "Recon\", \"Attempt"),
    ] {
        store.add(&alert(&n.to_string(), at, category, "192.0.2.1", "2001:db8::1")).unwrap();
    }
    store.add(r#"{"ID": "none", "DetectTime": "2026-11-22T00:00:01Z"}"#).unwrap();
    assert_eq!(store.span(&Query::default()).unwrap(), Some((midnight, midnight + 180_000)));
    let told = |query: &Query, slots| -> Vec<(String, Vec<u64>)> { store.timeline(query, slots).unwrap() };
    let named =
        |all: &[(&str, &[u64])]| all.iter().map(|(name, counts)| ((*name).into(), counts.to_vec())).collect::<Vec<_>>();
    let expected: [(&str, &[u64]); 4] =
        [("Recon", &[2, 0, 1]), ("", &[1, 0, 0]), ("Attempt", &[0, 1, 0]), ("Attempt, Recon", &[0, 1, 0])];
    assert_eq!(told(&Query::default(), day), named(&expected));
    let attempts = Query { categories: vec!["attempt".into()], ..Query::default() };
    assert_eq!(told(&attempts, day), named(&expected[2..]));
    let late = Query { from: Some(midnight + 60_000), ..Query::default() };
    assert_eq!(told(&late, Slots { from: midnight - 60_000, ..day })[0], ("Attempt".into(), vec![0, 0, 1]));
    // What nobody should ask for is bounded.
    for slots in [Slots { step: 0, ..day }, Slots { from: i64::MIN, step: i64::MAX, count: usize::MAX }] {
        assert!(told(&Query::default(), slots).iter().all(|(_, counts)| counts.len() <= SLOTS_MAX));
    }
    for n in 0..CATEGORIES_MAX + 5 {
        store.add(&alert(&format!("x{n}"), 60, &format!("Test.{n:03}"), "192.0.2.1", "2001:db8::1")).unwrap();
    }
    let told = store.timeline(&Query { categories: vec!["test".into()], ..Query::default() }, day).unwrap();
    assert_eq!((told.len(), told[0].clone()), (CATEGORIES_MAX + 1, (OTHERS.to_owned(), vec![0, 5, 0])));
}

pub(crate) fn an_alert_is_kept_once_as_it_came_with_what_people_wrote(mut store: Store, same: fn(&str, &str) -> bool) {
    let document = "{\"ID\" : \"0123-x\",\t\"Other\": 1e2, \"DetectTime\": \"nonsense\"}";
    assert_eq!(store.add(document).unwrap(), Added::New(1));
    assert_eq!(store.add("{\"ID\": \"0123-x\"}").unwrap(), Added::Known);
    let large = format!("{{\"ID\": \"y\", \"Note\": \"{}\"}}", "x".repeat(detect::store::DOCUMENT_MAX));
    for refused in ["", "[]", "{}", &large] {
        assert_eq!(store.add(refused).unwrap(), Added::Refused);
    }
    assert_eq!(store.note(1, "me", "seen before").unwrap(), Noted::Yes);
    assert_eq!(store.note(2, "me", "x").unwrap(), Noted::NoAlert);
    for _ in 1..detect::store::NOTES_MAX {
        assert_eq!(store.note(1, &"ä".repeat(100), &"ä".repeat(5_000)).unwrap(), Noted::Yes);
    }
    assert_eq!(store.note(1, "me", "x").unwrap(), Noted::Full);
    let notes = store.notes(1).unwrap();
    assert_eq!((notes[0].author.as_str(), notes[0].text.as_str()), ("me", "seen before"));
    assert_eq!((notes[1].author.len(), notes[1].text.len()), (64, 4096));
    for name in ["1", "#1", "0123-x", "0123-"] {
        let found = store.find(name).unwrap().expect(name);
        assert!(same(&found.document, document), "{name}: {}", found.document);
        assert_eq!((found.notes, found.state), (100, State::New), "{name}");
    }
    for name in ["", "2", "9", "x"] {
        assert_eq!(store.find(name).unwrap(), None, "{name}");
    }
    let counts = store.counts().unwrap();
    assert_eq!((counts.alerts, counts.unread, counts.known, counts.refused), (1, 1, 1, 4));
}

/// What [`the_oldest_make_room_and_the_old_go`] wants of the store.
pub(crate) const SHORT: Retention = Retention { age: Duration::from_secs(100), alerts: 3 };

pub(crate) fn the_oldest_make_room_and_the_old_go(store: &mut Store) {
    for at in 0..6 {
        let document = alert(&at.to_string(), 0, "Recon.Scanning", "192.0.2.1", "::1");
        store.add_at(&document, i64::from(at) * 10_000).unwrap();
    }
    store.note(4, "me", "this one goes later, with its note").unwrap();
    assert_eq!(ids(store, &Query::default()), ["3", "4", "5"]);
    // 3 was stored at 30 s and 4 at 40 s.
    store.add_at(&alert("6", 0, "Other", "192.0.2.1", "::1"), 145_000).unwrap();
    assert_eq!(ids(store, &Query::default()), ["5", "6"]);
    let counts = store.counts().unwrap();
    assert_eq!((counts.alerts, counts.displaced, counts.expired), (2, 3, 2));
    assert!(store.notes(4).unwrap().is_empty());
}

pub(crate) fn several_write_and_read_at_once(path: &Path) {
    const EACH: usize = 40;
    create(path);
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let path = path.to_owned();
            thread::spawn(move || {
                let mut store = create(&path);
                for n in 0..EACH {
                    store.add(&alert(&format!("{writer}-{n}"), 0, "Recon", "192.0.2.1", "::1")).unwrap();
                }
            })
        })
        .collect();
    let acknowledging = thread::spawn({
        let path = path.to_owned();
        move || {
            let mut store = Store::open(&path).unwrap();
            while store.counts().unwrap().alerts < 3 * EACH as u64 {
                let new = store.numbers(&Query { state: Some(State::New), ..Query::default() }).unwrap();
                store.set_state(&new, State::Acknowledged, "me").unwrap();
            }
        }
    });
    let reader = Store::read(path).unwrap();
    let mut seen = 0;
    while seen < 3 * EACH as u64 {
        let now = reader.count(&Query::default()).unwrap();
        assert!(now >= seen, "an alert is gone");
        seen = now;
    }
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    acknowledging.join().unwrap();
    assert_eq!(reader.counts().unwrap().alerts, 3 * EACH as u64);
}
