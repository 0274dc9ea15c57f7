//! Peers of the control API that want all of it, and a supervisor without descriptors: records go on through its modules all the while
//! (RELIABILITY.md rows 34 and 36).
#[path = "support/certificates.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod certificates;
#[path = "supervisor/site.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod site;
#[path = "control_tcp/tls.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod tls;

use site::{CHAIN, Site, said};
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tls::Client;

/// Where the hostile are, and where the others; both are this machine.
const HOSTILE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const GOOD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Records that are sent through the modules.
const RECORDS: usize = 20_000;
/// Good calls while the hostile are there.
const CALLS: usize = 100;

/// A chain that loses nothing, and whose rows are records and nothing else.
fn toml() -> String {
    let chain = CHAIN.replacen("u:supx_b", "u:supx_b:timeout=WAIT", 1).replace("-t -w", "-w");
    // Who waits for the logger asks again and again, which is told in the log that this test counts the lines of.
    let chain = chain.replace("after = [\"rep\"]\n", "");
    tls::API.to_owned() + &chain
}

struct Watched {
    site: Site,
    port: u16,
    /// A token's line.
    bearer: String,
    pids: [u32; 2],
}

impl Watched {
    fn start() -> Watched {
        let mut site = Site::native(&toml());
        tls::authority(&site.path(""));
        let file = site.text("tokens.json");
        let add =
            site.tool(&["ctl", "token", "add", "v", "--role", "viewer", "--file", &file]).output().expect("it runs");
        let bearer = format!("Authorization: Bearer {}", String::from_utf8_lossy(&add.stdout).trim());
        site.start();
        let pids = ["rep", "lg1"].map(|module| site.runs(module, None));
        let port = site.api_port();
        Watched { site, port, bearer, pids }
    }

    /// Sends records through the modules; all must come out at the other end, by the same processes.
    fn records_go_through(&self) {
        let before = self.site.read("out file.csv").lines().count();
        let rows: String = (0..RECORDS).map(|n| format!("{n}\n")).collect();
        self.site.write("in.csv", &format!("uint32 PACKETS\n{rows}"));
        let words = ["logreplay", "-d", "-n", "-i", "u:supx_a:timeout=WAIT", "-f", &self.site.text("in.csv")];
        let replay = self.site.tool(&words).output().expect("it runs");
        assert!(replay.status.success(), "{}", said(&replay));
        self.site.until("all records come out", || self.site.read("out file.csv").lines().count() == before + RECORDS);
        for (module, pid) in ["rep", "lg1"].into_iter().zip(self.pids) {
            assert!(fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains(module)));
        }
    }

    fn is_fine(&self) -> bool {
        Client::connect(&self.site, self.port, GOOD)
            .is_ok_and(|mut client| client.ask("GET", "/v1/status", std::slice::from_ref(&self.bearer)).status() == 200)
    }
}

/// Row 34.
#[test]
fn without_descriptors_the_api_refuses_and_records_go_on() {
    let watched = Watched::start();
    let daemon = watched.site.daemon();
    let open = fs::read_dir(format!("/proc/{daemon}/fd")).expect("ours").count();
    let limit = format!("--nofile={0}:{0}", open + 8);
    let limited = Command::new("prlimit").args(["--pid", &daemon.to_string(), &limit]).status();
    assert!(limited.expect("prlimit is installed").success());
    let connect = || UnixStream::connect(watched.site.path("run/s-api.sock"));
    let unix: Vec<UnixStream> = (0..40).map_while(|_| connect().ok()).collect();
    let tcp: Vec<TcpStream> = (0..12).map_while(|_| tls::plain(watched.port, HOSTILE).ok()).collect();
    watched.site.until("all descriptors are taken", || {
        fs::read_dir(format!("/proc/{daemon}/fd")).is_ok_and(|open_now| open_now.count() >= open + 8)
    });
    watched.records_go_through();
    drop((unix, tcp));
    watched.site.until("the API answers again", || watched.is_fine());
    watched.records_go_through();
}

/// Requests that nobody should answer well.
fn hostile_requests() -> [String; 8] {
    let huge = "x".repeat(64 << 10);
    let head = "Host: x\r\nContent-Type: application/json\r\n";
    let wrong = "Authorization: Bearer sonda_0\r\n";
    let deep = "[".repeat(100_000);
    [
        format!("GET /v1/status HTTP/1.1\r\nHost: x\r\nX: {huge}\r\n\r\n"),
        format!("POST /v1/alerts/1/notes HTTP/1.1\r\n{head}Content-Length: 1073741824\r\n\r\n{huge}"),
        format!("POST /v1/alerts/1/notes HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n"),
        format!("POST /v1/alerts/1/notes HTTP/1.1\r\n{head}Content-Length: {}\r\n\r\n{deep}", deep.len()),
        format!("GET /v1/status HTTP/1.1\r\nHost: x\r\n{wrong}\r\n"),
        format!("GET /{huge} HTTP/1.1\r\nHost: x\r\n\r\n"),
        "GET /v1/status HTTP/1.1\r\n".into(),
        "\0\u{1}\u{2}\r\n\r\n".into(),
    ]
}

/// Row 36.
#[test]
fn a_flood_of_hostile_peers_costs_the_others_nothing() {
    let watched = Watched::start();
    let is_over = AtomicBool::new(false);
    let mut took = Vec::new();
    thread::scope(|scope| {
        // Some say nothing, or a byte at a time.
        scope.spawn(|| {
            let mut slow: Vec<TcpStream> = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                slow.retain_mut(|stream| stream.write_all(b"\x16").is_ok());
                slow.extend((slow.len()..12).filter_map(|_| tls::plain(watched.port, HOSTILE).ok()));
                thread::sleep(Duration::from_millis(20));
            }
        });
        // Others have much to say.
        for _ in 0..2 {
            scope.spawn(|| {
                for request in hostile_requests().iter().cycle() {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    // It may be closed at any time.
                    if let Ok(mut client) = Client::connect(&watched.site, watched.port, HOSTILE) {
                        let answer = client.say(request).map_or(0, |answer| answer.status());
                        assert!(answer < 500 && answer != 200, "{answer}");
                    }
                }
            });
        }
        for _ in 0..CALLS {
            let began = Instant::now();
            let mut client = Client::connect(&watched.site, watched.port, GOOD).expect("a place of one's own");
            assert_eq!(client.ask("GET", "/v1/status", std::slice::from_ref(&watched.bearer)).status(), 200);
            took.push(began.elapsed());
        }
        watched.records_go_through();
        is_over.store(true, Ordering::Relaxed);
    });
    took.sort();
    println!("a good call beside them: median {:?}, 99 of 100 {:?}", took[CALLS / 2], took[CALLS * 99 / 100]);
    watched.site.until("the API answers", || watched.is_fine());
    // Nobody has filled a log.
    for log in ["control_audit", "supervisor_log"] {
        assert!(watched.site.read(&format!("logs/{log}")).lines().count() < 100, "{log}");
    }
}
