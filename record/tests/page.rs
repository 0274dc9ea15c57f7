//! The page: what is published is read, whole, whatever happens to the writer; hostile pages are refused.
use proptest::prelude::*;
use record::Time;
use record::page::fuzzing::{fuzz_page, sample};
use record::page::{Layout, PageError, Snapshot, Writer};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

fn page_of(layout: &Layout) -> Vec<AtomicU64> {
    (0..layout.words()).map(|_| AtomicU64::new(0)).collect()
}

#[test]
fn what_is_published_is_read() {
    let snapshot = Snapshot::read(&sample()[..]).expect("a page");
    assert_eq!(snapshot.layout.lane_columns, ["packets.taken", "flows.live", "records.dns"]);
    assert_eq!((snapshot.sum("packets.taken"), snapshot.sum("records.dns"), snapshot.sum("no such")), (20, 2, 0));
    assert_eq!(snapshot.outputs[0].values, [7]);
    assert_eq!((snapshot.updated(), snapshot.writer.pid), (Time(5), 1));
    let talkers = snapshot.talkers();
    assert_eq!((talkers.len(), talkers[0].bytes, talkers[0].packets), (1, 200, 4), "lanes are summed");
    assert_eq!((talkers[0].src.to_string(), talkers[0].dst_port), ("192.0.2.1".to_string(), 53));
}

#[test]
fn other_versions_and_other_files_are_refused_by_name() {
    let mut page = sample();
    page[8] = 99;
    assert_eq!(Snapshot::read(&page[..]), Err(PageError::Version(99)));
    assert_eq!(Snapshot::read(&b"PNG"[..]), Err(PageError::NotAPage));
    let page = sample();
    assert_eq!(Snapshot::read(&page[..page.len() - 8]), Err(PageError::Damaged("it is cut off")));
}

#[test]
fn too_large_a_layout_is_refused() {
    let layout = Layout { lanes: vec![String::new(); 1025], ..Layout::default() };
    assert_eq!(layout.check(), Err(PageError::TooMany { what: "lanes", max: 1024 }));
}

/// A writer that is killed in the midst of an update leaves the one before it.
#[test]
fn half_an_update_is_not_seen() {
    let names = vec!["a".to_string(), "b".to_string()];
    let layout = Layout { lane_columns: names, lanes: vec!["l".into()], ..Layout::default() };
    let page = page_of(&layout);
    layout.begin(&page, Writer::default());
    layout.lane(0).publish(&page, Time(1), &[10, 20]);
    // The next update goes to the other copy; only its sequence number would make it count.
    let whole = page.iter().map(|w| w.load(Ordering::Relaxed)).collect::<Vec<_>>();
    layout.lane(0).publish(&page, Time(2), &[11, 21]);
    page[16].store(whole[16], Ordering::Relaxed);
    let snapshot = Snapshot::read(&page[..]).expect("a page");
    assert_eq!((snapshot.lanes[0].counts.at, &snapshot.lanes[0].counts.values[..]), (Time(1), &[10, 20][..]));
}

#[test]
fn a_snapshot_is_of_one_update_while_the_writer_writes() {
    let names: Vec<String> = (0..40).map(|n| format!("c{n}")).collect();
    let layout = Layout { lane_columns: names, lanes: vec!["l".into()], ..Layout::default() };
    let page = page_of(&layout);
    layout.begin(&page, Writer::default());
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 0;
            while !over.load(Ordering::Relaxed) {
                n += 1;
                layout.lane(0).publish(&page, Time(n), &[n; 40]);
                // As a lane does: work between two updates.
                std::hint::black_box((0..2000).fold(n, u64::wrapping_add));
            }
        });
        let mut newest = 0;
        for _ in 0..20_000 {
            match Snapshot::read(&page[..]) {
                Ok(snapshot) => {
                    let counts = &snapshot.lanes[0].counts;
                    assert!(counts.values.iter().all(|value| *value == counts.at.0), "{counts:?}");
                    assert!(counts.at.0 >= newest, "time does not go back");
                    newest = counts.at.0;
                }
                Err(why) => assert_eq!(why, PageError::Busy),
            }
        }
        over.store(true, Ordering::Relaxed);
        assert!(newest > 0);
    });
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        fuzz_page(&bytes);
    }

    #[test]
    fn damage_is_answered(at in 0usize..16, word in prop_oneof![any::<u64>(), 0u64..2000, Just(u64::MAX)], cut in 0usize..3000) {
        let mut page = sample();
        page[at * 8..at * 8 + 8].copy_from_slice(&word.to_ne_bytes());
        let _ = Snapshot::read(&page[..]);
        let _ = Snapshot::read(&page[..page.len().saturating_sub(cut)]);
    }
}
