//! A private network namespace with a veth pair: what is sent on the peer's end arrives at ours, and nothing else does.
//!
//! Needs root, and fails with a message where it is not: a live test that is skipped proves nothing.
use crate::support::{Run, outcome};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The end that is captured from, and the one that is sent on.
pub(crate) const HERE: &str = "v0";
pub(crate) const THERE: &str = "v1";

/// The namespace; removed with all that is in it when this value is dropped.
pub(crate) struct Netns {
    name: String,
}

impl Netns {
    /// A namespace whose veth pair has so many queues at each end.
    pub(crate) fn new(queues: u32) -> Netns {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("sonda-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        must("ip", &["netns", "add", &name]);
        let ns = Netns { name };
        // Neighbour discovery would be traffic that nobody sent.
        ns.must("sysctl", &["-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"]);
        let (rx, n) = (["numrxqueues", "numtxqueues"], queues.to_string());
        let mut words = vec!["link", "add", HERE, "mtu", "9000", rx[0], &n, rx[1], &n, "type", "veth"];
        words.extend(["peer", "name", THERE, "mtu", "9000", rx[0], &n, rx[1], &n]);
        ns.must("ip", &words);
        for link in ["lo", HERE, THERE] {
            ns.must("ip", &["link", "set", link, "up"]);
        }
        ns
    }

    /// A program inside the namespace, under its own process id.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, program: &str, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]).args(args).stdin(Stdio::null()).env("TZ", "UTC");
        command
    }

    pub(crate) fn must(&self, program: &str, args: &[&str]) -> String {
        outcome(&mut self.command(program, args)).must(0).stdout
    }

    /// The binary under test, started in the namespace.
    pub(crate) fn sonda<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        self.command(env!("CARGO_BIN_EXE_sonda"), args)
    }

    /// Sends all frames of a capture on the peer's end, once, as so many a second; 0: as fast as it goes. Answers when all are sent.
    pub(crate) fn send(&self, capture: &Path, per_sec: u32) {
        self.send_on(THERE, capture, per_sec);
    }

    /// The same on another interface.
    pub(crate) fn send_on(&self, interface: &str, capture: &Path, per_sec: u32) {
        let (speed, capture) = (format!("--pps={per_sec}"), capture.to_str().expect("plain path"));
        let speed = if per_sec == 0 { "--topspeed" } else { &speed };
        let sent = outcome(&mut self.command("tcpreplay", ["-q", "-K", speed, "-i", interface, capture])).must(0);
        let failed = sent.stdout.lines().find(|l| l.contains("Failed packets")).expect("tcpreplay's totals");
        assert!(failed.trim().ends_with(" 0"), "{}", sent.stdout);
    }

    /// A counter of an interface, as in /sys/class/net.
    pub(crate) fn counter(&self, interface: &str, name: &str) -> u64 {
        let text = self.must("cat", &[&format!("/sys/class/net/{interface}/statistics/{name}")]);
        text.trim().parse().expect("a number")
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

fn must(program: &str, args: &[&str]) {
    let run = outcome(Command::new(program).args(args).stdin(Stdio::null()));
    assert_eq!(run.status, 0, "live tests need root (network namespaces): {} says\n{}", run.what, run.stderr);
}

/// A capture that runs. Killed if the test ends before it does.
pub(crate) struct Running {
    child: Option<Child>,
    what: String,
    said: JoinHandle<String>,
    heard: std::sync::mpsc::Receiver<String>,
    printed: JoinHandle<String>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("ip runs");
        let (mut stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let (tell, heard) = std::sync::mpsc::channel();
        let said = std::thread::spawn(move || {
            let mut all = String::new();
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                all.push_str(&line);
                all.push('\n');
                let _ = tell.send(line);
            }
            all
        });
        let printed = std::thread::spawn(move || {
            let mut all = String::new();
            let _ = stdout.read_to_string(&mut all);
            all
        });
        Running { child: Some(child), what: format!("{command:?}"), said, heard, printed }
    }

    /// Waits until it says a line with this in it.
    #[track_caller]
    pub(crate) fn wait_for(&self, part: &str) {
        let end = Instant::now() + Duration::from_secs(120);
        let mut all = String::new();
        while let Ok(line) = self.heard.recv_timeout(end.saturating_duration_since(Instant::now())) {
            if line.contains(part) {
                return;
            }
            all.push_str(&line);
            all.push('\n');
        }
        panic!("{} did not say {part:?} but\n{all}", self.what);
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    pub(crate) fn signal(&self, name: &str) {
        must("kill", &["-s", name, &self.id().to_string()]);
    }

    /// Interrupts it as Ctrl-C does and waits for its end.
    pub(crate) fn interrupt(self) -> Run {
        self.signal("INT");
        self.end()
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Run {
        let mut child = self.child.take().expect("it runs");
        let patience = Instant::now() + Duration::from_secs(120);
        let status = loop {
            match child.try_wait().expect("it is our child") {
                Some(status) => break status,
                None if Instant::now() > patience => {
                    let _ = child.kill();
                    break child.wait().expect("it is our child");
                }
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        let text = |thread: &mut JoinHandle<String>| std::mem::replace(thread, std::thread::spawn(String::new)).join();
        let (stdout, stderr) = (text(&mut self.printed), text(&mut self.said));
        use std::os::unix::process::ExitStatusExt;
        let status = status.code().or(status.signal().map(|s| 128 + s)).unwrap_or(-1);
        let text = |text: Result<String, _>| text.unwrap_or_default();
        Run { what: self.what.clone(), status, stdout: text(stdout), stderr: text(stderr) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
