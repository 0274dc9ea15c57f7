//! `sonda probe --dedup`: copies of mirrored packets are dropped for a reason of their own, and what is left is what editcap leaves.
//!
//! Needs the Debian package `tshark` (editcap); SONDA_SKIP_TOOLS=1 does without.

mod support;

use support::{Folder, Summary, assert_same, flows, mixture, run, tools};

/// Length of a record's header, and of the file's.
const RECORD: usize = 16;
const HEAD: usize = 24;

/// The records of a pcap file with microseconds.
fn records(capture: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = &capture[HEAD..];
    let mut all = Vec::new();
    while let Some(len) = rest.get(8..12) {
        let len = u32::from_le_bytes(len.try_into().expect("four")) as usize;
        let (record, behind) = rest.split_at(RECORD + len);
        all.push(record.to_vec());
        rest = behind;
    }
    all
}

fn micros(record: &[u8]) -> u64 {
    let word = |at: usize| u64::from(u32::from_le_bytes(record[at..at + 4].try_into().expect("four")));
    word(0) * 1_000_000 + word(4)
}

fn set_micros(record: &mut [u8], micros: u64) {
    record[..4].copy_from_slice(&((micros / 1_000_000) as u32).to_le_bytes());
    record[4..8].copy_from_slice(&((micros % 1_000_000) as u32).to_le_bytes());
}

/// A capture with a copy of every third packet, `delay` microseconds later, made other by `change`; and how many copies there are.
fn mirrored(capture: &[u8], delay: u64, change: impl Fn(&mut [u8])) -> (Vec<u8>, u64) {
    let originals = records(capture);
    let copies = originals.iter().step_by(3).map(|record| {
        let mut copy = record.clone();
        set_micros(&mut copy, micros(record) + delay);
        change(&mut copy);
        copy
    });
    let mut all: Vec<(u64, bool, Vec<u8>)> = copies.map(|record| (micros(&record), true, record)).collect();
    let count = all.len() as u64;
    all.extend(originals.iter().map(|record| (micros(record), false, record.clone())));
    all.sort_by_key(|(at, is_copy, _)| (*at, *is_copy));
    let bytes = all.into_iter().flat_map(|(_, _, record)| record);
    (capture[..HEAD].iter().copied().chain(bytes).collect(), count)
}

/// As behind a router: other MAC addresses, a hop less, a tag.
fn routed(record: &mut [u8]) {
    let frame = RECORD;
    record[frame..frame + 12].copy_from_slice(&[2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8]);
    match record[frame + 12..frame + 14] {
        [8, 0] => {
            record[frame + 14 + 8] -= 1;
            record[frame + 14 + 10] ^= 1;
        }
        [0x86, 0xdd] => record[frame + 14 + 7] -= 1,
        _ => {}
    }
}

/// Books of a run, which balance.
fn summary(capture: &std::path::Path, args: &[&str]) -> Summary {
    let mut all = vec!["probe", capture.to_str().expect("plain"), "--json", "/dev/null"];
    all.extend(args);
    Summary::of(&run(all).must(0).stderr)
}

#[test]
fn copies_are_dropped_and_counted() {
    let folder = Folder::new();
    let plain = mixture(20_000, 2_000);
    let alone = folder.write("plain.pcap", &plain);
    for (name, change) in [("same", (|_| {}) as fn(&mut [u8])), ("routed", routed)] {
        let (bytes, copies) = mirrored(&plain, 40, change);
        let capture = folder.write(&format!("{name}.pcap"), bytes);
        let books = summary(&capture, &["--dedup", "50"]);
        assert_eq!(books.dropped.get("duplicate"), Some(&copies), "{name}: {books:?}");
        assert!(copies > 5_000, "{copies}");
        let args = ["--stats", "none"];
        let with = [&args[..], &["--dedup", "50"]].concat();
        let expected = flows(&alone, &args);
        let text = |flows: Vec<serde_json::Value>| flows.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_same(name, &text(flows(&capture, &with)), &text(expected));
        // Several lanes have a table each, and both copies are one lane's.
        let lanes = summary(&capture, &["--dedup", "50", "--lanes", "2"]);
        assert_eq!(lanes.dropped, books.dropped);
        // Too short a window, and none at all.
        assert_eq!(summary(&capture, &["--dedup", "39"]).dropped.get("duplicate"), None);
        assert_eq!(summary(&capture, &[]).decoded, books.decoded + copies);
    }
}

#[test]
fn editcap_leaves_the_same() {
    if tools::skipped() {
        return;
    }
    let folder = Folder::new();
    let (bytes, _) = mirrored(&mixture(20_000, 2_000), 40, |_| {});
    let capture = folder.write("mirrored.pcap", bytes);
    let left = folder.path("left.pcap");
    let args = ["-F", "pcap", "-w", "0.00005"];
    tools::tool("tshark", std::process::Command::new("editcap").args(args).arg(&capture).arg(&left));
    let theirs = summary(&left, &[]);
    let ours = summary(&capture, &["--dedup", "50"]);
    assert_eq!((ours.decoded, ours.records), (theirs.decoded, theirs.records));
    let text = |flows: Vec<serde_json::Value>| flows.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_same("flows", &text(flows(&capture, &["--dedup", "50"])), &text(flows(&left, &[])));
}
