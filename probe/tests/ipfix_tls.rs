//! IPFIX over TLS: before a server of ours that leaves in order, and before `openssl s_server`, which is killed; what is received is what a
//! file has, and a collector that nobody vouches for gets nothing.
//!
//! Needs the Debian packages `openssl` and `tshark`.

mod support;

use rustls::server::WebPkiClientVerifier;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use support::certificates::{authority, certificate};
use support::messages::Fields;
use support::tools;
use support::{Folder, Run, assert_same, messages, mixture, run, sonda, wait_for};

/// Silence after which a collector that is to leave has read all.
const QUIET: Duration = Duration::from_millis(150);

/// A folder with a CA, the certificate of a server at localhost and one of ours, and a capture.
fn site(flows: u64) -> (Folder, String) {
    let folder = Folder::new();
    authority(&folder.path(""));
    certificate(&folder.path(""), "probe", "DNS:probe.example");
    let capture = folder.write("mix.pcap", mixture(flows * 5, flows));
    (folder, capture.display().to_string())
}

/// A collector with TLS that asks for certificates. It leaves when it is told, with nothing left unread.
struct Collector {
    leave: Arc<AtomicBool>,
    bytes: Arc<AtomicUsize>,
    reader: JoinHandle<Vec<Vec<u8>>>,
}

impl Collector {
    fn on(listener: TcpListener, folder: &Folder) -> Collector {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = Arc::new(trap::pem::roots(&folder.path("ca.crt")).expect("a CA"));
        let clients = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider)).build().expect("a CA");
        let (chain, key) =
            (trap::pem::certificates(&folder.path("server.crt")), trap::pem::key(&folder.path("server.key")));
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
        let config =
            config.with_client_cert_verifier(clients).with_single_cert(chain.expect("ours"), key.expect("ours"));
        let config = Arc::new(config.expect("a certificate with its key"));
        listener.set_nonblocking(true).expect("a socket");
        let (leave, bytes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (leaves, counts) = (Arc::clone(&leave), Arc::clone(&bytes));
        let reader = std::thread::spawn(move || {
            let mut sessions = Vec::new();
            loop {
                match listener.accept() {
                    Ok((stream, _)) => sessions.push(session(&config, stream, &leaves, &counts)),
                    Err(_) if leaves.load(Ordering::Relaxed) => return sessions,
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Collector { leave, bytes, reader }
    }

    fn has(&self, bytes: usize) -> bool {
        self.bytes.load(Ordering::Relaxed) >= bytes
    }

    fn leave(self) -> Vec<Vec<u8>> {
        self.leave.store(true, Ordering::Relaxed);
        self.reader.join().expect("a reader")
    }
}

fn session(config: &Arc<ServerConfig>, stream: TcpStream, leaves: &AtomicBool, counts: &AtomicUsize) -> Vec<u8> {
    stream.set_nonblocking(false).expect("a socket");
    stream.set_read_timeout(Some(QUIET)).expect("a socket");
    let mut tls = StreamOwned::new(ServerConnection::new(Arc::clone(config)).expect("a server"), stream);
    let (mut got, mut buffer) = (Vec::new(), vec![0; 65_536]);
    loop {
        match tls.read(&mut buffer) {
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
            // A probe that ends without a word: it had nothing more to say.
            Err(_) => return got,
        }
    }
}

/// The records of sessions; what a session has of a message that it did not get to the end of does not count.
fn records(sessions: &[Vec<u8>]) -> Vec<Fields> {
    let mut records = Vec::new();
    for session in sessions {
        let mut whole = 0;
        while let Some([high, low]) = session.get(whole + 2..whole + 4)
            && let length = usize::from(u16::from_be_bytes([*high, *low]))
            && whole + length <= session.len()
        {
            whole += length;
        }
        records.extend(messages::read(&messages::split(&session[..whole])).records);
    }
    records
}

fn of_file(path: &str) -> Vec<Fields> {
    messages::read(&messages::split(&std::fs::read(Path::new(path)).expect("it was written"))).records
}

/// A port that is held, so that nobody else takes it, and where nobody listens.
struct Held(TcpListener);

impl Held {
    fn new() -> Held {
        Held(TcpListener::bind("127.0.0.2:0").expect("a free port"))
    }
    fn port(&self) -> u16 {
        self.0.local_addr().expect("bound").port()
    }
    fn listener(&self) -> TcpListener {
        TcpListener::bind(("127.0.0.1", self.port())).expect("a port that is held")
    }
}

/// `openssl s_server`, which writes what it is told into a file.
struct Server {
    child: Child,
    /// Open: the end of it would be the end of the connection.
    _stdin: ChildStdin,
}

fn s_server(folder: &Folder, port: u16, into: &str) -> Server {
    let file = std::fs::File::create(folder.path(into)).expect("a file");
    let mut command = Command::new("openssl");
    command.args(["s_server", "-quiet", "-naccept", "1", "-accept", &format!("127.0.0.1:{port}")]);
    command.args([
        "-cert",
        "server.crt",
        "-key",
        "server.key",
        "-Verify",
        "1",
        "-CAfile",
        "ca.crt",
        "-verify_return_error",
    ]);
    command.current_dir(folder.path("")).stdin(Stdio::piped()).stdout(file).stderr(Stdio::null());
    let mut child = command.spawn().expect("openssl (Debian package `openssl`)");
    let _stdin = child.stdin.take().expect("piped");
    // A connection for a look would be its only one.
    let row = format!("0100007F:{port:04X} 00000000:0000 0A");
    wait_for("s_server", || std::fs::read_to_string("/proc/net/tcp").expect("proc is mounted").contains(&row));
    Server { child, _stdin }
}

fn figure(run: &Run, word: &str) -> u64 {
    let words: Vec<&str> = run.stderr.split([' ', '\n', ',', ';']).collect();
    let at = words.iter().position(|w| *w == word);
    at.and_then(|at| words[at - 1].parse().ok()).unwrap_or(0)
}

#[test]
fn openssl_receives_what_a_file_has_and_tshark_reads_it() {
    let (folder, capture) = site(2000);
    let held = Held::new();
    let mut server = s_server(&folder, held.port(), "received");
    let [ca, cert, key, file] = ["ca.crt", "probe.crt", "probe.key", "all.ipfix"].map(|name| folder.text(name));
    let target = format!("tls://localhost:{}", held.port());
    let tls = ["--tls-ca", &ca, "--tls-cert", &cert, "--tls-key", &key];
    let args = ["probe", &capture, "--ipfix", &target, "--ipfix-file", &file];
    run(args.iter().chain(&tls)).must(0);
    assert!(server.child.wait().expect("our child").success());
    let received = std::fs::read(folder.path("received")).expect("written");
    let all = of_file(&file);
    assert_same("s_server", &records(std::slice::from_ref(&received)), &all);
    if !tools::skipped() {
        let messages = folder.write("messages.pcap", messages::as_capture(&messages::split(&received)));
        assert_eq!(tools::tshark(&messages).len(), all.len());
    }
}

#[test]
fn what_openssl_could_not_take_comes_when_it_is_back() {
    let (folder, capture) = site(4000);
    let held = Held::new();
    let mut first = s_server(&folder, held.port(), "first");
    let [ca, cert, key] = ["ca.crt", "probe.crt", "probe.key"].map(|name| folder.text(name));
    let [file, spool] = ["all.ipfix", "spool"].map(|name| folder.text(name));
    let output = format!("ipfix;h=localhost:{};tls-ca={ca};tc={cert};tk={key};spool={spool}", held.port());
    let input = format!("pcap;file={capture}");
    let args =
        ["ipfixprobe", "-i", &input, "-p", "dns", "-o", &output, "-o", &format!("ipfix;file={file}"), "-f", "600"];
    let child = sonda(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let length = |name: &str| std::fs::metadata(folder.path(name)).map_or(0, |m| m.len());
    wait_for("some records", || length("first") > 50_000);
    first.child.kill().and_then(|()| first.child.wait()).expect("our child");
    let mut second = s_server(&folder, held.port(), "second");
    Run::of("the probe".into(), &child.wait_with_output().expect("our child")).must(0);
    assert!(second.child.wait().expect("our child").success());
    let sessions = ["first", "second"].map(|name| std::fs::read(folder.path(name)).expect("written"));
    let (got, all) = (records(&sessions), of_file(&file));
    // What it had not read when it was killed is gone: at most its receive buffer, of 6 MiB.
    let (mut had, mut left) = (std::collections::BTreeMap::<&Fields, i64>::new(), 0);
    all.iter().for_each(|record| *had.entry(record).or_default() += 1);
    for record in &got {
        let n = had.get_mut(record).expect("a record of the file");
        *n -= 1;
        left += i64::from(*n < 0);
    }
    assert_eq!(left, 0, "none came twice");
    assert!(got.len() > all.len() / 2, "{} of {}", got.len(), all.len());
}

#[test]
fn a_collector_that_leaves_and_returns_gets_each_record_once() {
    let (folder, capture) = site(4000);
    let held = Held::new();
    let collector = Collector::on(held.listener(), &folder);
    let [ca, cert, key] = ["ca.crt", "probe.crt", "probe.key"].map(|name| folder.text(name));
    let [file, spool] = ["all.ipfix", "spool"].map(|name| folder.text(name));
    let target = format!("tls://127.0.0.1:{}", held.port());
    let tls = ["--tls-ca", &ca, "--tls-cert", &cert, "--tls-key", &key, "--spool", &spool, "--lz4"];
    let args = ["probe", &capture, "--ipfix", &target, "--ipfix-file", &file, "--fps", "600"];
    let child = sonda(args.iter().chain(&tls)).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it runs");
    wait_for("some records", || collector.has(50_000));
    let mut sessions = collector.leave();
    let collector = Collector::on(held.listener(), &folder);
    let done = Run::of("the probe".into(), &child.wait_with_output().expect("our child")).must(0);
    sessions.extend(collector.leave());
    let plain = |session: &Vec<u8>| {
        let (mut reader, mut all) = (record::ipfix::Lz4Reader::default(), Vec::new());
        reader.push(session, &mut |message| all.extend_from_slice(message)).expect("LZ4 below TLS");
        all
    };
    let sessions: Vec<Vec<u8>> = sessions.iter().map(plain).collect();
    let (got, all) = (records(&sessions), of_file(&file));
    assert!(figure(&done, "reconnects") > 0, "{}", done.stderr);
    // A machine that stalls may have the collector leave with bytes unread; then the probe says so.
    if done.stderr.contains("may not have been read") {
        assert!(got.len() <= all.len());
    } else {
        assert_same("the collector", &got, &all);
    }
}

#[test]
fn another_collector_with_tls_stands_in() {
    let (folder, capture) = site(4000);
    let held = [Held::new(), Held::new()];
    let [first, second] = [0, 1].map(|n| Collector::on(held[n].listener(), &folder));
    let [ca, cert, key, file] = ["ca.crt", "probe.crt", "probe.key", "all.ipfix"].map(|name| folder.text(name));
    let [a, b] = [0, 1].map(|n| format!("tls://127.0.0.1:{}", held[n].port()));
    let tls = ["--tls-ca", &ca, "--tls-cert", &cert, "--tls-key", &key, "--collectors", "failover", "--fps", "800"];
    let args = ["probe", &capture, "--ipfix", &a, "--ipfix", &b, "--ipfix-file", &file];
    let child = sonda(args.iter().chain(&tls)).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it runs");
    wait_for("some records", || first.has(100_000));
    let mut sessions = first.leave();
    let done = Run::of("the probe".into(), &child.wait_with_output().expect("our child")).must(0);
    sessions.extend(second.leave());
    if !done.stderr.contains("may not have been read") {
        assert_same("both", &records(&sessions), &of_file(&file));
    }
}

#[test]
fn a_collector_that_nobody_vouches_for_gets_nothing() {
    let (folder, capture) = site(50);
    let held = Held::new();
    let collector = Collector::on(held.listener(), &folder);
    std::fs::create_dir(folder.path("other")).expect("a folder");
    authority(&folder.path("other"));
    let [ca, stranger, cert, key] = ["ca.crt", "other/ca.crt", "probe.crt", "probe.key"].map(|name| folder.text(name));
    let target = format!("tls://127.0.0.1:{}", held.port());
    let export = |args: &[&str]| run(["probe", &capture, "--ipfix", &target].iter().chain(args));
    let identity = ["--tls-cert", &cert, "--tls-key", &key];
    let with = |args: &[&str]| export(&[args, &identity].concat());
    with(&["--tls-ca", &stranger]).must(1).says(&["cannot connect to collector", "invalid peer certificate", "the CA"]);
    with(&["--tls-ca", &ca, "--tls-name", "elsewhere.example"]).must(1).says(&["cannot connect to collector", "name"]);
    with(&["--tls-ca", &folder.text("none.crt")]).must(1).says(&["none.crt"]);
    export(&["--tls-ca", &ca, "--tls-cert", &cert]).must(2);
    // Without our certificate its door stays shut; that is known only after the handshake.
    let refused = export(&["--tls-ca", &ca]);
    assert!([1, 4].contains(&refused.status), "{}", refused.stderr);
    with(&["--tls-ca", &ca, "--tls-name", "localhost"]).must(0);
    let sessions: Vec<Vec<u8>> = collector.leave().into_iter().filter(|session| !session.is_empty()).collect();
    assert_eq!(sessions.len(), 1);
}
