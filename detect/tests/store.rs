//! The alert store in a file: what is kept and found, what makes room, several processes at once, and a writer that is killed.
mod store_life;

use detect::store::{Retention, Store, StoreError};
use std::path::{Path, PathBuf};
use store_life::{SHORT, alert, create};
use tempfile::TempDir;

fn path(folder: &TempDir) -> PathBuf {
    folder.path().join("alerts.db")
}

#[test]
fn alerts_are_found_by_time_category_address_node_and_state() {
    let folder = TempDir::new().unwrap();
    store_life::alerts_are_found_by_time_category_address_node_and_state(create(&path(&folder)));
}

#[test]
fn alerts_are_counted_by_category_and_time() {
    let folder = TempDir::new().unwrap();
    store_life::alerts_are_counted_by_category_and_time(create(&path(&folder)));
}

#[test]
fn an_alert_is_kept_once_as_it_came_with_what_people_wrote() {
    let folder = TempDir::new().unwrap();
    let same = |found: &str, given: &str| found == given;
    store_life::an_alert_is_kept_once_as_it_came_with_what_people_wrote(create(&path(&folder)), same);
}

#[test]
fn the_oldest_make_room_and_the_old_go() {
    let folder = TempDir::new().unwrap();
    let mut store = Store::create(&path(&folder), SHORT).unwrap();
    store_life::the_oldest_make_room_and_the_old_go(&mut store);
    // Nothing is left behind of those that went: the file does not grow with what it no longer has.
    for at in 0..300 {
        let document =
            alert(&format!("x{at}"), 0, &format!("C{at}"), &format!("10.0.{}.{}", at / 250, at % 250), "::1/64");
        store.add_at(&document, 150_000).unwrap();
    }
    drop(store);
    let words: Vec<u64> =
        ["word", "tag", "address", "network", "note"].iter().map(|table| rows(&path(&folder), table)).collect();
    assert_eq!(words, [6, 6, 3, 3, 0]);
}

/// Rows of a table, counted by another program's means.
fn rows(path: &Path, table: &str) -> u64 {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection
        .query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get::<_, i64>(0))
        .unwrap()
        .unsigned_abs()
}

#[test]
fn several_write_and_read_at_once() {
    let folder = TempDir::new().unwrap();
    store_life::several_write_and_read_at_once(&path(&folder));
}

#[test]
fn what_is_no_store_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let absent = Store::read(&folder.path().join("none.db")).unwrap_err();
    assert!(absent.to_string().contains("there is no alert store"), "{absent}");
    assert!(matches!(
        Store::create(&folder.path().join("no/such/folder.db"), Retention::default()),
        Err(StoreError::Open { .. })
    ));
    let text = folder.path().join("text");
    std::fs::write(&text, "something else\n".repeat(100)).unwrap();
    assert!(matches!(Store::create(&text, Retention::default()), Err(StoreError::Foreign(_))));
    assert!(matches!(Store::read(&text), Err(StoreError::Foreign(_))));
    assert_eq!(std::fs::read_to_string(&text).unwrap().len(), 1_500);
    let other = folder.path().join("other.db");
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    assert!(matches!(Store::create(&other, Retention::default()), Err(StoreError::Foreign(_))));
    let newer = path(&folder);
    create(&newer);
    rusqlite::Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(Store::open(&newer), Err(StoreError::Newer(_))));
}

/// A copy of the files at any moment is what a power failure leaves: it opens, is sound, and has what was answered before.
#[test]
fn a_store_that_is_cut_off_is_whole() {
    let folder = TempDir::new().unwrap();
    let mut store = create(&path(&folder));
    for n in 0..60u64 {
        store.add(&alert(&n.to_string(), 0, "Recon", "192.0.2.1", "::1")).unwrap();
        if n % 20 == 19 {
            let copy = TempDir::new().unwrap();
            for end in ["", "-wal"] {
                let name = format!("alerts.db{end}");
                std::fs::copy(folder.path().join(&name), copy.path().join(&name)).unwrap();
            }
            let left = create(&path(&copy));
            assert_eq!(left.counts().unwrap().alerts, n + 1);
            drop(left);
            let connection = rusqlite::Connection::open(path(&copy)).unwrap();
            let sound: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
            assert_eq!(sound, "ok");
        }
    }
}
