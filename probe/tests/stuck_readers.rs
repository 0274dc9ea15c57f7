//! Whoever does not read holds nobody up (RELIABILITY.md row 38): a terminal that is stopped, and clients that ask for metrics and take nothing.
#[path = "supervisor/site.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod site;

use site::{REPEATER, Site, kill, said};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};

/// Lines for the menu: each is answered by two texts, and together they are more than may wait.
const LINES: usize = 2_000;

/// Ends with its test, however that ends.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _gone = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// A pipe that takes nothing more.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut filler = writer.try_clone().expect("a descriptor");
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        // It ends when nobody is left who could read.
        while filler.write_all(b".").is_ok() {
            let _heard = tell.send(());
        }
    });
    // Full is when nothing more goes in: an empty pipe takes 64 KiB at the least.
    let mut taken = 0;
    while told.recv_timeout(std::time::Duration::from_secs(2)).is_ok() {
        taken += 1;
    }
    assert!(taken > 4_000, "a pipe holds a page at the least");
    (reader, writer)
}

fn metric(site: &Site, name: &str) -> f64 {
    let text = said(&site.client(&["ctl", "get", "/metrics"]));
    let sample = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    sample.unwrap_or(0.0)
}

#[test]
fn a_terminal_that_nobody_reads_stops_no_supervisor() {
    let site = Site::native(REPEATER);
    let (reader, writer) = full_pipe();
    let mut supervisor = Started(site.supervisor(&[]).stdin(Stdio::piped()).stdout(writer).spawn().expect("it starts"));
    let mut keys = supervisor.0.stdin.take().expect("piped");
    let running = |site: &Site| {
        let modules = said(&site.client(&["ctl", "get", "/v1/modules"]));
        let modules: serde_json::Value = serde_json::from_str(&modules).unwrap_or_default();
        modules[0]["pid"].as_u64()
    };
    site.until("its module runs", || running(&site).is_some());
    let before = running(&site);
    keys.write_all("x\n".repeat(LINES).as_bytes()).expect("it reads its keys");
    site.until("what nobody reads is counted", || metric(&site, "sonda_supervisor_lost_logs_total") > 0.0);
    // It works as before.
    assert!(site.client(&["ctl", "restart", "rep"]).status.success());
    site.until("the module is another process", || running(&site).is_some_and(|pid| Some(pid) != before));
    kill(supervisor.0.id(), "TERM");
    site.until("it ends, though nobody reads", || supervisor.0.try_wait().expect("a child").is_some());
    drop(reader);
}

#[test]
fn clients_that_ask_and_do_not_read_keep_nobody_waiting() {
    let mut site = Site::native(REPEATER);
    site.start();
    let rep = site.runs("rep", None);
    let asked: Vec<UnixStream> = (0..20)
        .map(|_| {
            let mut stream = UnixStream::connect(site.path("run/s-api.sock")).expect("it listens");
            // Several answers, which no socket's buffer holds.
            let request = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(200);
            stream.set_nonblocking(true).expect("set");
            // What does not go in shows that nobody takes it.
            let _full = stream.write(request.as_bytes());
            stream
        })
        .collect();
    for _ in 0..10 {
        assert!(metric(&site, "sonda_supervised_running{module=\"rep\",profile=\"P\"}") > 0.0);
    }
    assert_eq!(site.pid("rep"), Some(rep));
    drop(asked);
}
