//! Messages passed on in batches: the same ones, in order, whatever the output is; what is not taken is counted.

mod common;

use std::thread;

use common::{input, must_send, output, place_in, read_to_eof, unirec};
use trap::{Event, Output, Place, Sent, SentBatch};

/// Sizes that leave containers unevenly full.
fn messages() -> Vec<Vec<u8>> {
    (0..20_000_usize).map(|n| vec![n as u8; 2 + n * 7919 % 300]).collect()
}

/// Passes a stream on; answers messages taken and not taken.
fn pass(place: &Place, from: &str, out: &mut Output) -> (u64, u64) {
    let mut input = input(from, place);
    input.require(unirec(""));
    let (mut taken, mut lost) = (0, 0);
    loop {
        let message = match input.recv().expect("recv") {
            Event::Message(message) => message,
            Event::FormatChanged { format, first } => {
                out.set_format(format.clone()).expect("format");
                first
            }
            Event::EndOfStream => {
                assert!(input.batch().is_none());
                return (taken, lost);
            }
            other => panic!("unexpected {other:?}"),
        };
        match out.send(message) {
            Sent::Sent => taken += 1,
            Sent::Dropped(_) => lost += 1,
        }
        while let Some(batch) = input.batch() {
            let SentBatch { sent, dropped, .. } = out.send_batch(&batch);
            assert_eq!(sent + dropped, batch.len() as u64);
            (taken, lost) = (taken + sent, lost + dropped);
        }
    }
}

#[test]
fn every_kind_of_output_takes_the_same_messages() {
    let folder = tempfile::tempdir().expect("folder");
    let place = place_in(folder.path());
    let file = |name: &str| format!("f:{}", folder.path().join(name).display());
    let all = messages();
    let mut source = output(&file("in"), &place);
    source.set_format(unirec("bytes B")).expect("format");
    all.iter().for_each(|message| must_send(&mut source, message));
    let _: Sent = source.send_eof();
    source.finish().expect("written");

    for spec in ["u:x", "u:x:buffer=off", "u:x:buffer_size=1000", &file("out")] {
        let (from, to) = (file("in"), spec.to_owned());
        let sending_place = place_in(folder.path());
        let passing = thread::spawn(move || {
            let mut out = output(&to, &sending_place);
            let passed = pass(&sending_place, &from, &mut out);
            let _: Sent = out.send_eof();
            (passed, out.finish().expect("finished"))
        });
        if spec.starts_with("f:") {
            // A file must be whole before it is read.
            while !passing.is_finished() {
                thread::yield_now();
            }
        }
        let mut reader = input(spec.split(":b").next().expect("a word"), &place);
        reader.require(unirec(""));
        assert!(read_to_eof(&mut reader) == all, "{spec}");
        let ((taken, lost), stats) = passing.join().expect("no panic");
        assert_eq!((taken, lost), (all.len() as u64, 0), "{spec}");
        assert_eq!((stats.sent, stats.skipped + stats.abandoned), (taken + 1, 0), "{spec}");
        assert_eq!(reader.stats().missed, 0, "{spec}");
    }
}

#[test]
fn what_does_not_fit_is_counted_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().expect("folder");
    let place = place_in(folder.path());
    let from = format!("f:{}", folder.path().join("in").display());
    let mut source = output(&from, &place);
    source.set_format(unirec("bytes B")).expect("format");
    for len in [10, 200, 20, 200, 200, 30] {
        must_send(&mut source, &vec![7; len]);
    }
    source.finish().expect("written");
    let mut out = output("u:x:buffer_size=100:timeout=NO_WAIT", &place);
    assert_eq!(pass(&place, &from, &mut out), (3, 3));
    let stats = out.finish().expect("finished");
    assert_eq!((stats.sent, stats.too_large), (3, 3));
}

#[test]
fn a_stop_ends_a_batch() {
    let folder = tempfile::tempdir().expect("folder");
    let place = place_in(folder.path());
    let from = format!("f:{}", folder.path().join("in").display());
    let mut source = output(&from, &place);
    source.set_format(unirec("bytes B")).expect("format");
    (0..10).for_each(|_| must_send(&mut source, &[1, 2]));
    source.finish().expect("written");
    let mut input = input(&from, &place_in(folder.path()));
    input.require(unirec(""));
    assert!(matches!(input.recv(), Ok(Event::FormatChanged { .. })));
    let batch = input.batch().expect("nine more");
    // Nobody listens, and the default waits for somebody.
    let mut out = output("u:x", &place);
    out.set_format(unirec("bytes B")).expect("format");
    place.stop.request();
    assert_eq!(out.send_batch(&batch), SentBatch { sent: 0, dropped: 9, is_over: true });
    assert_eq!(out.stats().terminated, 9);
    assert!(input.batch().is_none());
}
