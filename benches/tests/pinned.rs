//! The same seed gives the same bytes: hashes of everything stand in `pins.txt`. After a wanted change run with SONDA_BLESS=1 and
//! commit the difference.
use std::fmt::Write as _;

use benches::{Profile, cases, write_capture};

const MIXES: [(&str, Profile, u64, u64); 3] = [
    ("mix-realistic", Profile::Realistic, 20_000, 0),
    ("mix-small64", Profile::Small64, 5_000, 700),
    ("mix-syn", Profile::Syn, 5_000, 0),
];

#[test]
fn bytes_are_those_that_were_pinned() {
    let mut now = String::new();
    for case in cases() {
        let bytes = (case.build)();
        writeln!(now, "{} {} {:016x}", case.name, bytes.len(), fnv(&bytes)).expect("a String takes every write");
    }
    for (name, profile, packets, flows) in MIXES {
        let mut bytes = Vec::new();
        write_capture(profile, packets, flows, 1, &mut bytes).expect("a Vec takes every write");
        writeln!(now, "{name} {} {:016x}", bytes.len(), fnv(&bytes)).expect("a String takes every write");
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pins.txt");
    if std::env::var_os("SONDA_BLESS").is_some() {
        std::fs::write(file, &now).expect("the source tree is writable when one blesses");
    }
    let pinned = std::fs::read_to_string(file).expect("pins.txt is part of the repository");
    for (pinned, now) in pinned.lines().zip(now.lines()) {
        assert_eq!(pinned, now);
    }
    assert_eq!(pinned.lines().count(), now.lines().count());
}

#[test]
fn another_seed_gives_other_bytes() {
    for (name, profile, packets, flows) in MIXES {
        let [one, two] = [1, 2].map(|seed| {
            let mut bytes = Vec::new();
            write_capture(profile, packets, flows, seed, &mut bytes).expect("a Vec takes every write");
            fnv(&bytes)
        });
        assert_ne!(one, two, "{name}");
    }
}

/// FNV-1a: a hash of four lines is one dependency less.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}
