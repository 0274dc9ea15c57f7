//! What tshark reads in HTTP, DNS, TLS, QUIC, SIP, SMTP and SSH, and what we read: the same values of the same flows, in the golden captures, in
//! captures made for this (`tshark_fields/captures/`), and with SONDA_SHARED in the recorded ones.
//!
//! `tshark_fields/table.rs` says which field is which. A difference is allowed if it stands in `tshark_fields/explained.tsv` with its reason, and as
//! long as it is exactly that: one that has gone must leave the list. Needs the Debian package tshark; SONDA_SKIP_TOOLS=1 goes without.
#[path = "tshark_fields/captures/mod.rs"]
mod captures;
#[path = "tshark_fields/compare.rs"]
mod compare;
#[path = "tshark_fields/explained.rs"]
mod explained;
mod support;
#[path = "tshark_fields/table.rs"]
mod table;
#[path = "tshark_fields/wire.rs"]
mod wire;

use compare::Difference;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use support::{Folder, tools};

/// Compares captures that are made in code.
fn judge<'c>(captures: impl IntoIterator<Item = (&'c str, Vec<u8>)>) {
    if tools::skipped() {
        return;
    }
    let folder = Folder::new();
    let mut tally = Tally::default();
    for (name, bytes) in captures {
        tally.add(name, &folder.write(&format!("{name}.pcap"), bytes));
    }
    tally.close();
}

/// What came of some captures.
#[derive(Default)]
struct Tally {
    captures: usize,
    values: usize,
    wrong: Vec<String>,
}

impl Tally {
    fn add(&mut self, name: &str, capture: &Path) {
        let (values, differences) = compare::of(capture);
        self.captures += 1;
        self.values += values;
        self.wrong.extend(explained::unexplained(name, &differences));
    }

    fn close(self) {
        println!("{} captures, {} values of tshark", self.captures, self.values);
        assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
        assert!(self.values > 0, "nothing was compared");
    }
}

fn family(cases: &[captures::Made]) {
    judge(cases.iter().map(|(name, build)| (*name, build())));
}

#[test]
fn http() {
    family(captures::http::CASES);
}

#[test]
fn tls() {
    family(captures::tls::CASES);
}

#[test]
fn dns() {
    family(captures::dns::CASES);
}

#[test]
fn quic() {
    family(captures::quic::CASES);
}

#[test]
fn sip() {
    family(captures::sip::CASES);
}

#[test]
fn mail() {
    family(captures::mail::CASES);
}

#[test]
fn ssh() {
    family(captures::ssh::CASES);
}

#[test]
fn carriers_and_mixes() {
    family(captures::carriers::CASES);
}

/// In parts, so that they run side by side.
#[test]
fn golden_captures_1() {
    golden(0);
}

#[test]
fn golden_captures_2() {
    golden(1);
}

fn golden(part: usize) {
    let cases = benches::cases().iter().enumerate().filter(|(at, _)| at % 2 == part);
    judge(cases.map(|(_, case)| (case.name, (case.build)())));
}

/// The second suite.
#[test]
fn recorded_captures() {
    let Some(folder) = support::recorded("fixtures/pcap") else { return };
    if tools::skipped() {
        return;
    }
    let mut tally = Tally::default();
    let entries = std::fs::read_dir(&folder).expect("a folder of captures");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|e| e == "pcap")) {
        let name = path.file_stem().expect("a name").to_str().expect("a plain name");
        tally.add(&format!("shared/{name}"), path);
    }
    tally.close();
}

/// The list is about captures and fields that there are.
#[test]
fn explanations_are_about_something() {
    let made = captures::FAMILIES.iter().flat_map(|family| family.iter().map(|(name, _)| *name));
    let names: BTreeSet<&str> = made.chain(benches::cases().iter().map(|case| case.name)).collect();
    assert!(captures::FAMILIES.iter().map(|family| family.len()).sum::<usize>() >= 40, "too few captures");
    for line in explained::lines() {
        let known = names.contains(line.capture) || line.capture.starts_with("shared/");
        assert!(known && table::FIELDS.iter().any(|f| f.name == line.field), "{line:?} is about nothing");
        assert!(line.reason.len() > 20, "{line:?} explains nothing");
    }
}

/// The judge is judged: a value that is wrong, lost or made up is seen.
#[test]
fn a_difference_is_a_difference() {
    let difference = |missing: &[&str], extra: &[&str]| {
        let texts = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        Difference { field: "http.host", missing: texts(missing), extra: texts(extra) }
    };
    assert!(explained::unexplained("http_lf", &[]).is_empty());
    for one in [difference(&["a"], &[]), difference(&[], &["a"]), difference(&["a"], &["b"])] {
        assert_eq!(explained::unexplained("http_lf", &[one]).len(), 1);
    }
}
