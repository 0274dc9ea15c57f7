//! TLS interfaces: who is let in, what goes through, and peers that misbehave. Certificates are made by `openssl`.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;

use common::*;
use tempfile::TempDir;
use trap::{Event, Format, Sent, TrapError};

/// Certificates in a folder: `ca`, `other` (another authority), each with a server and a client below it; `self` signed by itself.
struct Certificates {
    dir: TempDir,
}

impl Certificates {
    fn new() -> Self {
        let certificates = Self { dir: TempDir::new().expect("tempdir") };
        let dir = certificates.dir.path();
        for authority in ["ca", "other", "self"] {
            openssl(
                dir,
                &format!(
                    "req -x509 -newkey rsa:2048 -nodes -subj /CN={authority} -days 2 -keyout {authority}.key -out {authority}.crt"
                ),
            );
        }
        std::fs::write(dir.join("v3.cnf"), "basicConstraints=CA:FALSE\n").expect("write");
        for (name, authority) in [("server", "ca"), ("client", "ca"), ("stranger", "other"), ("late", "ca")] {
            openssl(
                dir,
                &format!("req -new -newkey rsa:2048 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"),
            );
            let days = if name == "late" { "-days -1" } else { "-days 2" };
            openssl(
                dir,
                &format!(
                    "x509 -req -in {name}.csr -CA {authority}.crt -CAkey {authority}.key -CAcreateserial {days} -extfile v3.cnf -out {name}.crt"
                ),
            );
        }
        certificates
    }

    /// `KEY:CERT:CA` of a specifier.
    fn files(&self, name: &str, authority: &str) -> String {
        let path = |file: String| self.dir.path().join(file).display().to_string();
        format!("{}:{}:{}", path(format!("{name}.key")), path(format!("{name}.crt")), path(format!("{authority}.crt")))
    }
}

fn openssl(dir: &Path, arguments: &str) {
    let ran = Command::new("openssl").args(arguments.split(' ')).current_dir(dir).output().expect("openssl");
    assert!(ran.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn records_go_through_and_others_stay_out() {
    let made = Certificates::new();
    let place = place_in(made.dir.path());
    let port = free_port();
    let mut out = output(&format!("T:{port}:{}:buffer_count=20", made.files("server", "ca")), &place);
    out.set_format(unirec("uint32 A")).expect("format");
    let connect = |name: &str, authority: &str| {
        let mut input = input(&format!("T:127.0.0.1:{port}:{}:timeout=60000000", made.files(name, authority)), &place);
        input.require(unirec("uint32 A"));
        input
    };
    let refused = |name: &str, authority: &str| {
        let error = connect(name, authority).recv().expect_err(name);
        assert!(matches!(error, TrapError::BadCertificate(_)), "{name}: {error}");
        assert_eq!(error.code(), 17);
    };
    refused("stranger", "ca");
    refused("client", "other");
    refused("late", "ca");
    refused("self", "ca");

    let readers: Vec<_> = (0..3)
        .map(|_| {
            let mut input = connect("client", "ca");
            thread::spawn(move || (read_to_eof(&mut input), input.stats()))
        })
        .collect();
    wait_for_clients(&out, 3);
    let sent: Vec<Vec<u8>> = (0..30_000u32).map(|n| [&n.to_le_bytes()[..], &[7; 96]].concat()).collect();
    for message in &sent {
        must_send(&mut out, message);
    }
    assert_eq!(out.send_eof(), Sent::Sent);
    for reader in readers {
        let (messages, stats) = reader.join().expect("reader");
        assert!(messages == sent);
        assert_eq!(stats.missed, 0);
    }
    let stats = out.finish().expect("finish");
    assert_eq!((stats.sent, stats.skipped, stats.abandoned), (30_001, 0, 0));
}

/// What `openssl req -x509` makes serves as certificate and as CA file, as with the original.
#[test]
fn one_certificate_for_all() {
    let made = Certificates::new();
    let place = place_in(made.dir.path());
    let port = free_port();
    let mut out = output(&format!("T:{port}:{}:buffer=off", made.files("self", "self")), &place);
    out.set_format(Format::Json(String::new())).expect("format");
    // Without a host: this machine.
    let mut input = input(&format!("T:{port}:{}", made.files("self", "self")), &place);
    input.require(Format::Json(String::new()));
    let reader = thread::spawn(move || {
        let first = matches!(input.recv().expect("recv"), Event::Message(b"{}"));
        // Closing without end of stream: the input waits for the server to come back.
        input.set_timeout(trap::Timeout::Micros(300_000));
        (first, matches!(input.recv().expect("recv"), Event::Timeout))
    });
    must_send(&mut out, b"{}");
    out.finish().expect("finish");
    assert_eq!(reader.join().expect("reader"), (true, true));
}

/// Bytes of the recorded server, read by OpenSSL's own client.
#[test]
fn openssl_reads_what_we_send() {
    let made = Certificates::new();
    let port = free_port();
    let mut out = output(&format!("T:{port}:{}:buffer=off", made.files("server", "ca")), &place_in(made.dir.path()));
    out.set_format(unirec("uint16 A")).expect("format");
    for version in ["-tls1_2", "-tls1_3"] {
        let client = Command::new("openssl")
            .args(["s_client", "-quiet", "-connect", &format!("127.0.0.1:{port}"), version])
            .args(["-key", "client.key", "-cert", "client.crt", "-CAfile", "ca.crt", "-verify_return_error"])
            .current_dir(made.dir.path())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("openssl");
        wait_for_clients(&out, 1);
        must_send(&mut out, &[1, 0]);
        wait_until("sent", || out.clients()[0].sent_messages == 1);
        // A new format closes the clients of the old one.
        out.set_format(unirec(if version == "-tls1_2" { "uint32 B" } else { "uint64 C" })).expect("format");
        let read = client.wait_with_output().expect("openssl").stdout;
        let (hello, container) = read.split_at(16);
        assert_eq!(&hello[..4], [2, 0, 0, 0], "{version}");
        assert_eq!(container[..4], [0, 0, 0, 4], "{version}: {container:?}");
        assert_eq!(container[12..], [1, 0, 0, 2, 1, 0], "{version}: {container:?}");
    }
    // Without a certificate the handshake ends, or the connection right behind it.
    let client = Command::new("openssl")
        .args(["s_client", "-quiet", "-connect", &format!("127.0.0.1:{port}"), "-CAfile", "ca.crt"])
        .current_dir(made.dir.path())
        .stdin(std::process::Stdio::piped())
        .output()
        .expect("openssl");
    assert!(client.stdout.is_empty());
    assert_eq!(out.stats().clients_accepted, 2);
}

/// Silent, talking nonsense, hanging up: each is left in time, and a good client beside them is served at once.
#[test]
fn bad_clients_hold_up_nobody() {
    let made = Certificates::new();
    let place = place_in(made.dir.path());
    let port = free_port();
    let mut out = output(&format!("T:{port}:{}:buffer=off", made.files("server", "ca")), &place);
    out.set_format(Format::Raw).expect("format");
    let mut silent: Vec<TcpStream> = (0..20).map(|_| tcp_client(port)).collect();
    let mut garbage = tcp_client(port);
    garbage.write_all(&[0x16; 3000]).expect("write");
    drop(tcp_client(port));
    let mut good = input(&format!("T:127.0.0.1:{port}:{}", made.files("client", "ca")), &place);
    good.require(Format::Raw);
    let reader = thread::spawn(move || {
        let is_message = matches!(good.recv().expect("recv"), Event::Message(b"now"));
        (is_message, good)
    });
    must_send(&mut out, b"now");
    let (is_message, good) = reader.join().expect("reader");
    assert!(is_message);
    // All of them are closed about 2 s after they came, some with an alert, some by a reset.
    for stream in silent.iter_mut().chain([&mut garbage]) {
        let ended = stream.read_to_end(&mut Vec::new()).map_err(|error| error.kind());
        assert!(!matches!(ended, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)), "{ended:?}");
    }
    assert_eq!(out.stats().clients_accepted, 1);
    drop(good);
}

/// An input meets a server that accepts and says nothing, and one that speaks no TLS: it tries again, and a stop ends it.
#[test]
fn bad_servers_hold_up_no_input() {
    let made = Certificates::new();
    for answer in [&b""[..], b"HTTP/1.0 400 Bad Request\r\n\r\n"] {
        let place = place_in(made.dir.path());
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = listener.local_addr().expect("address").port();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accept");
            stream.write_all(answer).expect("write");
            // The client's hello, then its end.
            let _end = stream.read_to_end(&mut Vec::new());
        });
        let files = made.files("client", "ca");
        let mut input = input(&format!("T:127.0.0.1:{port}:{files}:timeout=500000"), &place);
        input.require(Format::Raw);
        assert_eq!(input.recv().expect("recv"), Event::Timeout);
        place.stop.request();
        assert_eq!(input.recv().expect("recv"), Event::Terminated);
        server.join().expect("server");
    }
}

#[test]
fn wrong_files_are_named_at_the_start() {
    let made = Certificates::new();
    let dir = made.dir.path();
    std::fs::write(dir.join("empty.crt"), "").expect("write");
    let open = |specifier: String| {
        let spec = &trap::Spec::parse(&specifier).expect("specifier")[0];
        let input = trap::Input::open_at(spec, &trap::InputDefaults::default(), &place_in(dir));
        input.err().map(|error| (error.code(), error.to_string())).unwrap_or_default()
    };
    let path = |name: &str| dir.join(name).display().to_string();
    let good = (path("client.key"), path("client.crt"), path("ca.crt"));
    let cases = [
        (format!("T:7:{}:{}:{}", path("none.key"), good.1, good.2), "none.key"),
        (format!("T:7:{}:{}:{}", good.0, path("empty.crt"), good.2), "there is none in it"),
        (format!("T:7:{}:{}:{}", good.0, good.1, path("none.crt")), "none.crt"),
        (format!("T:7:{}:{}:{}", path("server.key"), good.1, good.2), "cannot be used"),
        ("T:7:a".into(), "Missing 'certificate file', 'CA file' for TLS IFC."),
        ("T:".into(), "Missing 'port number', 'private key file', 'certificate file', 'CA file' for TLS IFC."),
    ];
    for (specifier, expected) in cases {
        let (code, text) = open(specifier.clone());
        assert!(code == 11 && text.contains(expected), "{specifier}: {code} {text}");
    }
}
