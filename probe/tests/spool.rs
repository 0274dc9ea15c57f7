//! Collectors over TCP that go away (RELIABILITY.md section 5, with the real binary): what they do not take waits on disk and comes later.
//!
//! | row | test |
//! |---|---|
//! | 1, collector restart | `a_collector_that_goes_and_returns_gets_each_record_once`, `a_later_run_sends_what_is_left` |
//! | 2, collector gone past the spool | `past_the_spool_the_oldest_expire_and_are_counted` |
//! | 32, full disk | `a_full_disk_is_counted` |
//! | 33, bit flips | `a_flipped_bit_costs_what_is_behind_it_in_the_segment` |

mod support;

use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use support::messages::Fields;
use support::{Folder, Run, assert_same, messages, outcome, run, sonda, wait_for};

/// Silence after which a collector that is to leave has read all.
const QUIET: Duration = Duration::from_millis(150);

/// A collector that leaves when it is told, as a process that is killed while it has nothing to do: nothing is left unread.
struct Collector {
    port: u16,
    leave: Arc<AtomicBool>,
    bytes: Arc<AtomicUsize>,
    reader: JoinHandle<Vec<Vec<u8>>>,
}

impl Collector {
    fn start() -> Collector {
        Collector::on(TcpListener::bind("127.0.0.1:0").expect("a free port"))
    }

    fn on(listener: TcpListener) -> Collector {
        listener.set_nonblocking(true).expect("a socket");
        let port = listener.local_addr().expect("bound").port();
        let (leave, bytes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (leaves, counts) = (Arc::clone(&leave), Arc::clone(&bytes));
        let reader = std::thread::spawn(move || {
            let mut sessions = Vec::new();
            loop {
                match listener.accept() {
                    Ok((stream, _)) => sessions.push(session(stream, &leaves, &counts)),
                    Err(_) if leaves.load(Ordering::Relaxed) => return sessions,
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Collector { port, leave, bytes, reader }
    }

    fn target(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.port)
    }

    fn has(&self, bytes: usize) -> bool {
        self.bytes.load(Ordering::Relaxed) >= bytes
    }

    /// Leaves; answers the bytes of each session.
    fn leave(self) -> Vec<Vec<u8>> {
        self.leave.store(true, Ordering::Relaxed);
        self.reader.join().expect("a reader")
    }
}

fn session(mut stream: TcpStream, leaves: &AtomicBool, counts: &AtomicUsize) -> Vec<u8> {
    stream.set_nonblocking(false).expect("a socket");
    stream.set_read_timeout(Some(QUIET)).expect("a socket");
    let (mut got, mut buffer) = (Vec::new(), vec![0; 65_536]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return got,
            Ok(n) => {
                got.extend_from_slice(&buffer[..n]);
                counts.fetch_add(n, Ordering::Relaxed);
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if leaves.load(Ordering::Relaxed) {
                    return got;
                }
            }
            Err(e) => panic!("{e}"),
        }
    }
}

/// The records of sessions. A session that ended in the middle of a message has not got it.
fn records(sessions: &[Vec<u8>]) -> Vec<Fields> {
    let mut records = Vec::new();
    for session in sessions {
        let mut whole = 0;
        while let Some(length) =
            session.get(whole + 2..whole + 4).map(|l| usize::from(u16::from_be_bytes([l[0], l[1]])))
            && whole + length <= session.len()
        {
            whole += length;
        }
        records.extend(messages::read(&messages::split(&session[..whole])).records);
    }
    records
}

fn of_file(path: &Path) -> Vec<Fields> {
    messages::read(&messages::split(&std::fs::read(path).expect("it was written"))).records
}

fn mixture(folder: &Folder, flows: u64, seed: u64) -> PathBuf {
    let capture = folder.path(&format!("mix-{seed}.pcap"));
    let mut file = std::fs::File::create(&capture).expect("a file");
    benches::write_capture(benches::Profile::Realistic, flows * 5, flows, seed, &mut file).expect("written");
    capture
}

fn text(path: &Path) -> &str {
    path.to_str().expect("plain path")
}

/// The number in front of a word of the summary.
#[track_caller]
fn figure(run: &Run, word: &str) -> u64 {
    let words: Vec<&str> = run.stderr.split([' ', '\n', ',', ';']).collect();
    let at = words.iter().position(|w| *w == word);
    at.and_then(|at| words[at - 1].parse().ok()).unwrap_or(0)
}

/// A port where nobody listens, held so that nobody else will.
struct Nobody(TcpListener);

impl Nobody {
    fn new() -> Nobody {
        Nobody(TcpListener::bind("127.0.0.2:0").expect("a free port"))
    }
    fn port(&self) -> u16 {
        self.0.local_addr().expect("bound").port()
    }
    fn target(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.port())
    }
    /// Somebody, after all.
    fn collector(&self) -> Collector {
        Collector::on(TcpListener::bind(("127.0.0.1", self.port())).expect("a port that is held"))
    }
}

#[test]
fn a_collector_that_goes_and_returns_gets_each_record_once() {
    let folder = Folder::new();
    let capture = mixture(&folder, 4000, 1);
    let away = Nobody::new();
    let collector = away.collector();
    let (spool, file, target) = (folder.text("spool"), folder.text("all.ipfix"), collector.target());
    let args = ["probe", text(&capture), "--ipfix", &target, "--spool", &spool, "--ipfix-file", &file, "--fps", "600"];
    let child = sonda(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    wait_for("half of the records", || collector.has(100_000));
    let mut sessions = collector.leave();
    let first = records(&sessions).len();
    let segments = || std::fs::read_dir(&spool).into_iter().flatten().flatten().map(|sub| sub.path());
    let bytes = || -> u64 {
        let files = segments().flat_map(std::fs::read_dir).flatten().flatten();
        files.map(|file| file.metadata().map_or(0, |m| m.len())).sum()
    };
    wait_for("records on disk", || bytes() > 50_000);
    let collector = away.collector();
    let done = Run::of("the probe".into(), &child.wait_with_output().expect("our child")).must(0);
    sessions.extend(collector.leave());
    let (got, all) = (records(&sessions), of_file(Path::new(&file)));
    assert!(first > 0 && first < all.len());
    // A machine that stalls may have the collector leave with bytes unread; then the probe says how many those can be.
    match figure(&done, "records at most") {
        0 if !done.stderr.contains("may not have been read") => assert_same("the collector", &got, &all),
        _ => assert!(got.len() <= all.len()),
    }
    assert!(done.stderr.contains(" reconnects"), "{}", done.stderr);
    assert!(figure(&done, "written") > 0 && figure(&done, "written") == figure(&done, "arrived"), "{}", done.stderr);
    assert_eq!(bytes(), 0, "nothing is left on disk");
}

#[test]
fn a_later_run_sends_what_is_left() {
    let folder = Folder::new();
    let nobody = Nobody::new();
    let (spool, target) = (folder.text("spool"), nobody.target());
    let export = |seed: u64, file: &str| {
        let capture = mixture(&folder, 800, seed);
        run(["probe", text(&capture), "--ipfix", &target, "--spool", &spool, "--ipfix-file", file]).must(0)
    };
    let (first, second) = (folder.text("first.ipfix"), folder.text("second.ipfix"));
    let left = export(1, &first);
    let all = of_file(Path::new(&first));
    assert_eq!((figure(&left, "spooled"), figure(&left, "waiting")), (all.len() as u64, all.len() as u64));
    let collector = nobody.collector();
    let done = export(2, &second);
    assert_eq!((figure(&done, "found"), figure(&done, "waiting")), (all.len() as u64, 0), "{}", done.stderr);
    let sessions = collector.leave();
    // The templates of another run have ids of their own: a session for each.
    assert_eq!(sessions.len(), 2);
    assert_same("the first run", &records(&sessions[..1]), &all);
    assert_same("the second run", &records(&sessions[1..]), &of_file(Path::new(&second)));
}

#[test]
fn past_the_spool_the_oldest_expire_and_are_counted() {
    let folder = Folder::new();
    let nobody = Nobody::new();
    let capture = mixture(&folder, 20_000, 1);
    let (spool, file, target) = (folder.text("spool"), folder.text("all.ipfix"), nobody.target());
    let args = ["probe", text(&capture), "--ipfix", &target, "--spool", &spool, "--spool-size", "1"];
    let done = run(args.iter().chain(&["--ipfix-file", &file])).must(4);
    let all = of_file(Path::new(&file));
    let (spooled, expired) = (figure(&done, "spooled"), figure(&done, "spool_expired"));
    assert!(spooled > 0 && expired > 0);
    assert_eq!(spooled + expired, all.len() as u64);
    let sub = std::fs::read_dir(&spool).expect("a folder").next().expect("one").expect("a folder").path();
    let bytes: u64 =
        std::fs::read_dir(sub).expect("a folder").map(|f| f.expect("f").metadata().expect("m").len()).sum();
    assert!(bytes <= 1 << 20, "{bytes}");
    // What is left comes, and nothing else.
    let collector = nobody.collector();
    let capture = mixture(&folder, 10, 2);
    run(["probe", text(&capture), "--ipfix", &target, "--spool", &spool]).must(0);
    let sessions = collector.leave();
    let (mut got, mut all) = (records(&sessions[..1]), all);
    assert_eq!(got.len() as u64, spooled);
    got.sort();
    all.sort();
    let mut all = all.into_iter();
    assert!(got.iter().all(|record| all.by_ref().any(|other| other == *record)));
}

#[test]
fn a_full_disk_is_counted() {
    let folder = Folder::new();
    let nobody = Nobody::new();
    let capture = mixture(&folder, 20_000, 1);
    let spool = folder.path("small");
    std::fs::create_dir(&spool).expect("a folder");
    let script = r#"mount -t tmpfs -o size=512k tmpfs "$1" && exec "$2" probe "$3" --ipfix "$4" --spool "$1""#;
    let mut command = std::process::Command::new("unshare");
    command.args(["-rm", "sh", "-c", script, "sh", text(&spool), env!("CARGO_BIN_EXE_sonda"), text(&capture)]);
    let done = outcome(command.arg(nobody.target())).must(4).says(&["No space left", "free space"]);
    let (spooled, full) = (figure(&done, "spooled"), figure(&done, "spool_full"));
    assert!(spooled > 0 && full > 0);
    let books = done.stderr.lines().find(|l| l.starts_with("ipfix ")).expect("books");
    let offered = books.split_once("records ").expect("books").1;
    assert_eq!(offered.split(' ').next().expect("a number").parse(), Ok(spooled + full), "{}", done.stderr);
}

#[test]
fn a_flipped_bit_costs_what_is_behind_it_in_the_segment() {
    let folder = Folder::new();
    let nobody = Nobody::new();
    let (spool, target) = (folder.text("spool"), nobody.target());
    let capture = mixture(&folder, 800, 1);
    let left = run(["probe", text(&capture), "--ipfix", &target, "--spool", &spool]).must(0);
    let sub = std::fs::read_dir(&spool).expect("a folder").next().expect("one").expect("a folder").path();
    let files = std::fs::read_dir(sub).expect("a folder").map(|f| f.expect("a file").path());
    let segment = files.into_iter().find(|f| f.extension().is_some_and(|e| e == "spool")).expect("a segment");
    let mut bytes = std::fs::read(&segment).expect("a segment");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, &bytes).expect("a segment");
    let collector = nobody.collector();
    let capture = mixture(&folder, 10, 2);
    let done = run(["probe", text(&capture), "--ipfix", &target, "--spool", &spool]).must(0);
    assert!(done.stderr.contains("1 segments were torn"), "{}", done.stderr);
    let found = figure(&done, "found");
    assert!(found > 0 && found < figure(&left, "spooled"), "{}", done.stderr);
    assert_eq!(records(&collector.leave()[..1]).len() as u64, found);
}

#[test]
fn another_collector_stands_in() {
    let folder = Folder::new();
    let capture = mixture(&folder, 4000, 1);
    let (first, second) = (Collector::start(), Collector::start());
    let (a, b, file) = (first.target(), second.target(), folder.text("all.ipfix"));
    let args = ["probe", text(&capture), "--ipfix", &a, "--ipfix", &b, "--collectors", "failover", "--fps", "800"];
    let mut command = sonda(args.iter().chain(&["--ipfix-file", file.as_str()]));
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    wait_for("some records", || first.has(100_000));
    let mut sessions = first.leave();
    let done = Run::of("the probe".into(), &child.wait_with_output().expect("our child")).must(0);
    let by_first = records(&sessions).len();
    sessions.extend(second.leave());
    if !done.stderr.contains("may not have been read") {
        assert_same("both", &records(&sessions), &of_file(Path::new(&file)));
        assert!(done.stderr.contains(&format!("{by_first} records acknowledged by {}", &a[6..])), "{}", done.stderr);
    }
    run(["probe", text(&capture), "--ipfix", "a", "--ipfix", &b, "--collectors", "failover"])
        .must(1)
        .says(&["failover is for collectors over TCP"]);
}

#[test]
fn collectors_share_the_flows_by_their_addresses() {
    let folder = Folder::new();
    let capture = mixture(&folder, 2000, 1);
    let (first, second) = (Collector::start(), Collector::start());
    let (a, b, file) = (first.target(), second.target(), folder.text("all.ipfix"));
    let args = ["probe", text(&capture), "--ipfix", &a, "--ipfix", &b, "--collectors", "share", "--ipfix-file", &file];
    let done = run(args).must(0);
    let parts = [first.leave(), second.leave()].map(|sessions| records(&sessions));
    assert!(parts.iter().all(|part| part.len() > 200), "both have work");
    assert_same("both", &parts.concat(), &of_file(Path::new(&file)));
    let pairs = |part: &[Fields]| -> std::collections::BTreeSet<Vec<String>> {
        let address = |f: &&String| f.contains("Address") && !f.contains("Mac");
        let mut pairs: Vec<Vec<String>> = part.iter().map(|r| r.iter().filter(address).cloned().collect()).collect();
        pairs.iter_mut().flatten().for_each(|f| *f = f.split('=').next_back().unwrap_or_default().into());
        pairs.iter_mut().for_each(|p| p.sort());
        pairs.into_iter().collect()
    };
    assert!(pairs(&parts[0]).is_disjoint(&pairs(&parts[1])));
    let sums = done.stderr.lines().filter(|l| l.starts_with("ipfix tcp")).count();
    assert_eq!(sums, 2, "each has books: {}", done.stderr);
}

/// The drop-in: several hosts, and several outputs.
#[test]
fn the_drop_in_has_several_collectors_and_outputs() {
    let folder = Folder::new();
    let capture = mixture(&folder, 500, 1);
    let (first, second) = (Collector::start(), Collector::start());
    let (input, flows) = (format!("pcap;file={}", capture.display()), folder.text("flows.ipfix"));
    let hosts = format!("ipfix;h=127.0.0.1:{},127.0.0.1:{}", first.port, second.port);
    run(["ipfixprobe", "-i", &input, "-o", &hosts, "-o", &format!("ipfix;file={flows}")]).must(0);
    let all = of_file(Path::new(&flows));
    assert_same("the first", &records(&first.leave()), &all);
    assert_same("the second", &records(&second.leave()), &all);
}
