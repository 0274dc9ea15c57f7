//! What the end-to-end suites share: the real binary, folders of their own, generated captures, what the summary says.
#![allow(dead_code, reason = "each suite uses its part")]

pub(crate) mod certificates;
pub(crate) mod collector;
pub(crate) mod judge;
pub(crate) mod messages;
pub(crate) mod tools;
pub(crate) mod trapcap;

use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long what must come is waited for, however busy the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Looks again and again until it is so.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "waited for {what} in vain");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A folder of the recorded data: below `$SONDA_SHARED`, which must have it if it is set, or below `/work/shared` if it is there. Says so if not.
pub(crate) fn recorded(folder: &str) -> Option<PathBuf> {
    let told = std::env::var_os("SONDA_SHARED");
    let asked = told.is_some();
    let folder = told.map_or_else(|| PathBuf::from("/work/shared"), PathBuf::from).join(folder);
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(!asked, "SONDA_SHARED is set, but there is no folder {}", folder.display());
    println!("NOT RUN: the recorded data is not here; set SONDA_SHARED to the folder that has it");
    None
}

/// What a run of the binary came to.
pub(crate) struct Run {
    pub(crate) what: String,
    /// Exit status; 128 + signal if one ended it.
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(what: String, output: &Output) -> Run {
        use std::os::unix::process::ExitStatusExt;
        let status = output.status.code().or(output.status.signal().map(|s| 128 + s)).unwrap_or(-1);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Run { what, status, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    #[track_caller]
    pub(crate) fn must(self, status: i32) -> Run {
        assert_eq!(self.status, status, "{}\n{}{}", self.what, self.stdout, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}\n{}", self.what, self.stderr);
        assert!(!self.stderr.contains("DOES NOT BALANCE") && !self.stderr.contains("not balance"), "{}", self.stderr);
        self
    }

    /// The message has each of these parts.
    #[track_caller]
    pub(crate) fn says(self, parts: &[&str]) -> Run {
        for part in parts {
            assert!(self.stderr.contains(part), "{}: {part:?} is not in\n{}", self.what, self.stderr);
        }
        self
    }
}

/// The binary under test, silent on standard input.
pub(crate) fn sonda<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sonda"));
    command.args(args).stdin(Stdio::null()).env("TZ", "UTC").env_remove("TRAP_SOCKET_DIR");
    command
}

pub(crate) fn run<A: AsRef<OsStr> + Debug>(args: impl IntoIterator<Item = A>) -> Run {
    outcome(&mut sonda(args))
}

pub(crate) fn outcome(command: &mut Command) -> Run {
    let output = command.output().expect("the binary runs");
    Run::of(format!("{command:?}"), &output)
}

/// A folder for one test, gone afterwards.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a temporary folder"))
    }
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    /// The path as text, for specifiers.
    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("temporary folders have plain names").to_string()
    }
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("the temporary folder takes a file");
        path
    }
    /// The generated capture of that name, as a file.
    pub(crate) fn capture(&self, case: &str) -> PathBuf {
        self.write(&format!("{case}.pcap"), bytes_of(case))
    }
}

/// The generated capture of that name.
pub(crate) fn bytes_of(case: &str) -> Vec<u8> {
    (benches::cases::case(case).unwrap_or_else(|| panic!("there is no case '{case}'")).build)()
}

/// The whole lines of a file that is being written: the last one may be half there.
pub(crate) fn json_so_far(path: impl AsRef<Path>) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    json_lines(&text[..text.rfind('\n').map_or(0, |end| end + 1)])
}

/// Lines as JSON, sorted: the order of flows says nothing.
#[track_caller]
pub(crate) fn json_lines(text: &str) -> Vec<Value> {
    let mut lines: Vec<Value> =
        text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect();
    lines.sort_by_cached_key(Value::to_string);
    lines
}

/// Flows of a capture as JSON of `sonda probe FILE ARGS --json -`.
#[track_caller]
pub(crate) fn flows(capture: &Path, args: &[&str]) -> Vec<Value> {
    let mut all = vec!["probe", capture.to_str().expect("plain path"), "--json", "-"];
    all.extend(args);
    json_lines(&run(all).must(0).stdout)
}

/// Compares two multisets and says what is only in one of them.
#[track_caller]
pub(crate) fn assert_same<T: Ord + Clone + Debug>(what: &str, ours: &[T], theirs: &[T]) {
    let mut count = BTreeMap::<&T, i64>::new();
    ours.iter().for_each(|t| *count.entry(t).or_default() += 1);
    theirs.iter().for_each(|t| *count.entry(t).or_default() -= 1);
    let only =
        |sign: i64| count.iter().filter(move |(_, n)| n.signum() == sign).map(|(t, n)| format!("{} x {t:?}", n.abs()));
    let (extra, missing): (Vec<String>, Vec<String>) = (only(1).take(5).collect(), only(-1).take(5).collect());
    assert!(
        extra.is_empty() && missing.is_empty(),
        "{what}: {} against {} expected\nonly here:\n  {}\nmissing:\n  {}",
        ours.len(),
        theirs.len(),
        extra.join("\n  "),
        missing.join("\n  ")
    );
}

/// The figures of the end summary of one input (`probe/src/summary.rs`).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) packets: u64,
    pub(crate) wire_bytes: u64,
    pub(crate) decoded: u64,
    /// Dropped packets by reason.
    pub(crate) dropped: BTreeMap<String, u64>,
    /// Records given to the first output, and sent by it.
    pub(crate) records: (u64, u64),
}

impl Summary {
    /// Reads the summary and checks that every book in it balances.
    #[track_caller]
    pub(crate) fn of(stderr: &str) -> Summary {
        let line = |part: &str| {
            stderr.lines().find(|l| l.contains(part)).unwrap_or_else(|| panic!("no {part:?} in\n{stderr}"))
        };
        let numbers = |text: &str| -> Vec<u64> { text.split_whitespace().filter_map(|w| w.parse().ok()).collect() };
        let taken = line(" bytes on the wire");
        let taken = numbers(&taken[taken.rfind(": ").expect("a name") + 2..]);
        let books = line("  packets ");
        let (packets, rest) = books.split_once(" = ").expect("a book");
        let mut terms = rest.split(" + ").map(|t| t.split_once(' ').expect("number and word"));
        let decoded: u64 = terms.next().expect("decoded").0.parse().expect("a number");
        let dropped: BTreeMap<String, u64> =
            terms.map(|(n, why)| (why.to_string(), n.parse().expect("a number"))).collect();
        assert_eq!(numbers(packets), [taken[0]], "{stderr}");
        assert_eq!(taken[0], decoded + dropped.values().sum::<u64>(), "{stderr}");
        let records = line(": records ");
        let records = numbers(&records[records.find(": records").expect("found")..]);
        for book in stderr.lines().filter(|l| l.contains(": records ")) {
            let n = numbers(&book[book.find(": records").expect("found")..]);
            assert_eq!(n[0], n[1..].iter().sum::<u64>(), "{book}");
        }
        Summary { packets: taken[0], wire_bytes: taken[1], decoded, dropped, records: (records[0], records[1]) }
    }
}

/// A realistic mixture of about so many packets and flows.
pub(crate) fn mixture(packets: u64, flows: u64) -> Vec<u8> {
    let mut out = Vec::new();
    benches::write_capture(benches::Profile::Realistic, packets, flows, 7, &mut out).expect("a Vec takes every write");
    out
}
