//! The processes as a chain, probe -> unirecfilter -> merger -> logger, over each transport: no record is lost or not accounted for.
//!
//! `cargo xtask chain` runs the same with more records, and measures.
use rig::chain::{self, Beside, Plan, Report, Transport};
use std::path::Path;

/// More than all rings and sockets of the chain hold, so that whoever is slow is waited for, or misses records.
const RECORDS: u64 = 200_000;

fn sonda() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_sonda"))
}

#[track_caller]
fn run(transport: Transport, others: Beside) -> Report {
    let plan = Plan { sonda: sonda(), transport, records: RECORDS, others };
    let report = chain::run(&plan).unwrap_or_else(|why| panic!("{plan:?}: {why}"));
    assert_eq!(report.faults(), Vec::<String>::new(), "{plan:?}: {:#?}", report.books);
    report
}

#[track_caller]
fn nothing_is_lost(transport: Transport) {
    let report = run(transport, Beside::Nobody);
    let direct = chain::direct(sonda(), RECORDS).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!((direct.count, report.rows), (RECORDS, direct), "rows differ from those without a chain");
}

#[test]
fn over_unix_sockets_nothing_is_lost() {
    nothing_is_lost(Transport::Unix);
}

#[test]
fn over_tcp_nothing_is_lost() {
    nothing_is_lost(Transport::Tcp);
}

#[test]
fn over_tls_nothing_is_lost() {
    nothing_is_lost(Transport::Tls);
}

#[test]
fn over_unix_sockets_what_is_skipped_is_counted() {
    assert!(run(Transport::Unix, Beside::Stopped).books.skipped() > 0);
}

#[test]
fn over_tcp_what_is_skipped_is_counted() {
    assert!(run(Transport::Tcp, Beside::Stopped).books.skipped() > 0);
}

#[test]
fn over_tls_what_is_skipped_is_counted() {
    assert!(run(Transport::Tls, Beside::Stopped).books.skipped() > 0);
}

#[test]
fn killed_clients_change_nothing_for_the_others() {
    let report = run(Transport::Unix, Beside::Killed(5));
    // One at each of the four outputs.
    assert_eq!((report.kills, report.rows.count), (20, report.fed));
}

#[test]
fn killed_clients_of_tls_change_nothing_for_the_others() {
    let report = run(Transport::Tls, Beside::Killed(3));
    assert_eq!((report.kills, report.rows.count), (12, report.fed));
}
