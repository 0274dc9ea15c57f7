//! Golden cases: a folder of `golden/` is a case, its capture is made in code by `benches::cases()`.
//!
//! `args` says `capture NAME`, then which commands are run: `probe ARGUMENTS` gives `expect.jsonl` (`sonda probe CAPTURE ARGUMENTS --json -`),
//! `ipfixprobe ARGUMENTS` gives `expect.csv` (`sonda ipfixprobe ARGUMENTS` into a UniRec file, printed by `sonda logger -t`). The order of
//! lines says nothing. UPDATE_GOLDEN=1 writes what came out: look at each difference before you keep it.

mod support;

use benches::cases::Flows;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use support::{Folder, bytes_of, flows, json_lines, run};

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&root)
        .expect("tests/golden is there")
        .map(|e| e.expect("an entry").path())
        .filter(|p| p.is_dir())
        .collect();
    folders.sort();
    folders
}

#[test]
fn each_case_gives_what_is_expected() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some_and(|v| v == "1");
    let mut wrong = Vec::new();
    for case in folders() {
        let args =
            std::fs::read_to_string(case.join("args")).unwrap_or_else(|e| panic!("{}: args: {e}", case.display()));
        let mut lines = args.lines();
        let capture = lines.next().and_then(|l| l.strip_prefix("capture ")).expect("args begins with `capture NAME`");
        let own = Folder::new();
        let capture = own.write("capture", bytes_of(capture));
        for line in lines {
            let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
            let words: Vec<&str> = rest.split_whitespace().collect();
            let (file, text) = match command {
                "probe" => ("expect.jsonl", native(&capture, &words)),
                "ipfixprobe" => ("expect.csv", original(&own, &capture, &words)),
                other => panic!("{}: args: {other}?", case.display()),
            };
            let path = case.join(file);
            if update {
                std::fs::write(&path, &text).expect("the tree is writable");
            } else if std::fs::read_to_string(&path).ok().as_ref() != Some(&text) {
                let expected = std::fs::read_to_string(&path).unwrap_or_default();
                wrong.push(format!("{}:\n{}", path.display(), differences(&expected, &text)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\nUPDATE_GOLDEN=1 accepts this", wrong.join("\n"));
}

fn native(capture: &Path, args: &[&str]) -> String {
    flows(capture, args).iter().map(|flow| format!("{flow}\n")).collect()
}

fn original(own: &Folder, capture: &Path, args: &[&str]) -> String {
    let (input, out) = (format!("pcap;file={}", capture.display()), own.text("out.trapcap"));
    let output = format!("unirec;ifc=f:{out}:buffer=off:timeout=WAIT;id=0");
    run(["ipfixprobe", "-i", &input, "-o", &output].iter().chain(args)).must(0);
    let printed = run(["logger", "-t", "-i", &format!("f:{out}")]).must(0).stdout;
    // Without a record the file has no template either, and logger prints nothing.
    let mut lines: Vec<&str> = printed.lines().collect();
    if let Some(rows) = lines.get_mut(1..) {
        rows.sort();
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn differences(expected: &str, came: &str) -> String {
    let (expected, came): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), came.lines().collect());
    let only = |sign: char, these: &[&str], those: &[&str]| {
        these.iter().filter(|l| !those.contains(l)).map(|l| format!("  {sign} {l}\n")).collect::<String>()
    };
    only('-', &expected, &came) + &only('+', &came, &expected)
}

/// A case explains itself, and none is left out.
#[test]
fn each_folder_is_complete() {
    let mut captures = BTreeSet::new();
    for case in folders() {
        let text = |name: &str| {
            std::fs::read_to_string(case.join(name)).unwrap_or_else(|e| panic!("{}/{name}: {e}", case.display()))
        };
        let readme = text("README");
        assert!((1..=4).contains(&readme.lines().count()), "{}: README has two or three lines", case.display());
        let args = text("args");
        for (command, file) in [("\nprobe", "expect.jsonl"), ("\nipfixprobe", "expect.csv")] {
            assert_eq!(args.contains(command), case.join(file).exists(), "{}: {file}", case.display());
        }
        captures.insert(args.lines().next().expect("a line").trim_start_matches("capture ").to_string());
    }
    let missing: Vec<&str> = benches::cases().iter().map(|c| c.name).filter(|n| !captures.contains(*n)).collect();
    assert!(missing.is_empty(), "no golden case uses {missing:?}");
}

/// Fragments before the first are not held yet: they are a flow of ports 0 in both faces.
const NOT_HELD: &str = "fragments_reordered";

/// The flows that the maker of a capture reasoned out before any decoder saw it.
#[test]
fn as_many_flows_as_the_maker_of_the_capture_says() {
    let own = Folder::new();
    let mut wrong = Vec::new();
    for case in benches::cases() {
        let capture = own.write(case.name, (case.build)());
        let count = |args: &[&str]| flows(&capture, &[&["--l7", "none"], args].concat()).len() as u32;
        let came = Flows {
            biflows: count(&[]),
            uniflows: count(&["--uniflow"]),
            ipfixprobe: count(&["--compat", "ipfixprobe"]),
        };
        let fine = if NOT_HELD == case.name {
            came == Flows { biflows: 4, uniflows: 4, ..case.flows }
        } else if case.clean {
            came == case.flows
        } else {
            came.biflows >= case.flows.biflows
        };
        if !fine {
            wrong.push(format!("{}: {came:?}, reasoned out: {:?}", case.name, case.flows));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The expectations stay readable for the programs of others.
#[test]
fn expectations_are_json() {
    for case in folders() {
        if let Ok(text) = std::fs::read_to_string(case.join("expect.jsonl")) {
            assert!(!json_lines(&text).is_empty(), "{}: no flow at all shows nothing", case.display());
        }
    }
}
