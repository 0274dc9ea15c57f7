//! The process plugin osquery: flows of real processes get their names, whatever osqueryi does capture goes on, and no process stays behind.
//!
//! osqueryi itself is not in Debian. `osquery/osqueryi` stands in for it: it speaks as the shell of osquery does, and answers from the sockets of
//! the machine that the tests run on.

#[path = "live/netns.rs"]
#[allow(dead_code, reason = "the other live suites use the rest")]
mod netns;
mod support;

use netns::{Netns, Running};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use support::{Folder, bytes_of, json_lines, messages, outcome, run, sonda, wait_for};

const STANDIN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/osquery");
/// Longer than any machine is busy.
const PATIENT: &str = "osquery;wait=60000;interval=10";

/// A PATH with the stand-in before all.
fn path() -> String {
    format!("{STANDIN}:{}", std::env::var("PATH").unwrap_or_default())
}

/// A process at one end of connections; ends when this value is dropped.
struct Peer {
    child: Child,
    _until: ChildStdin,
    port: u16,
}

impl Peer {
    fn start(ns: &Netns, args: &[&str]) -> Peer {
        let mut command = ns.command(&format!("{STANDIN}/peer"), args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3 runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a port");
        let port = line.trim().parse().unwrap_or_else(|_| panic!("{args:?} said {line:?}"));
        Peer { _until: child.stdin.take().expect("piped"), child, port }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A namespace with both families on its loopback.
fn namespace() -> Netns {
    let ns = Netns::new(1);
    ns.must("sysctl", &["-qw", "net.ipv6.conf.lo.disable_ipv6=0"]);
    ns
}

/// A capture of its loopback that has begun.
fn capture(ns: &Netns, args: &[&str], does: &str, log: &Path) -> Running {
    let fixed = ["probe", "-i", "lo", "--backend", "af_packet", "--l7", "none"];
    let mut command = ns.sonda(fixed.iter().chain(args));
    let running = Running::start(command.env("PATH", path()).env("STANDIN_DOES", does).env("STANDIN_LOG", log));
    running.wait_for("without capabilities");
    running
}

/// Whether an answer of the stand-in had a socket at this port.
fn is_seen(log: &Path, port: u16) -> bool {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.split_whitespace().any(|word| word.parse() == Ok(port))
}

/// Processes below this one, by number and name.
fn below(process: u32) -> Vec<(u32, String)> {
    let parent_and_name = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (head, rest) = stat.rsplit_once(") ")?;
        let parent: u32 = rest.split(' ').nth(1)?.parse().ok()?;
        Some((parent, head.split_once('(')?.1.to_string()))
    };
    let all = std::fs::read_dir("/proc").expect("it is mounted").flatten();
    let all: Vec<u32> = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let children: Vec<(u32, String)> = all
        .into_iter()
        .filter_map(|pid| parent_and_name(pid).filter(|(parent, _)| *parent == process).map(|(_, name)| (pid, name)))
        .collect();
    let more: Vec<_> = children.iter().flat_map(|(pid, _)| below(*pid)).collect();
    children.into_iter().chain(more).collect()
}

/// Neither there nor a zombie that its parent should have waited for.
fn is_gone(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty()
}

/// What a process has open.
fn open_in(process: u32) -> Vec<String> {
    let all = std::fs::read_dir(format!("/proc/{process}/fd")).expect("it runs").flatten();
    all.filter_map(|fd| Some(std::fs::read_link(fd.path()).ok()?.display().to_string())).collect()
}

fn field<'f>(flow: &'f Value, name: &str) -> &'f str {
    flow["osquery"][name].as_str().unwrap_or_else(|| panic!("no {name} in {flow}"))
}

#[test]
fn flows_have_the_names_of_their_processes() {
    let (ns, folder) = (namespace(), Folder::new());
    let (json, ipfix, log) = (folder.text("flows.json"), folder.text("flows.ipfix"), folder.path("log"));
    let running = capture(&ns, &["--stats", PATIENT, "--json", &json, "--ipfix-file", &ipfix], "", &log);
    let server = Peer::start(&ns, &["a-server", "listen", "127.0.0.1", "0"]);
    let server6 = Peer::start(&ns, &["a-server6", "listen", "::1", "0"]);
    let four = Peer::start(&ns, &["first \u{e9}", "connect", "tcp", "127.0.0.1", &server.port.to_string()]);
    let six = Peer::start(&ns, &["second", "connect", "tcp", "::1", &server6.port.to_string()]);
    let datagrams = Peer::start(&ns, &["third", "connect", "udp", "127.0.0.1", &server.port.to_string()]);
    for peer in [&four, &six, &datagrams] {
        wait_for("all to be seen", || is_seen(&log, peer.port));
    }
    // A look begins only when the one before has been answered to the lane.
    let last = Peer::start(&ns, &["last", "connect", "tcp", "127.0.0.1", &server.port.to_string()]);
    wait_for("the last one to be seen", || is_seen(&log, last.port));
    let done = running.interrupt().must(130);
    assert!(!done.stderr.contains("started again"), "{}", done.stderr);
    let flows = json_lines(&std::fs::read_to_string(&json).expect("it was written"));
    let of =
        |port: u16| flows.iter().find(|flow| flow["src_port"] == port).unwrap_or_else(|| panic!("{port}: {flows:?}"));
    let names = [(&four, "first \u{e9}"), (&six, "second"), (&datagrams, "third")];
    for (peer, name) in names {
        let flow = of(peer.port);
        assert_eq!((field(flow, "program_name"), field(flow, "username")), (name, "root"), "{flow}");
    }
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("Linux");
    assert_eq!(field(of(six.port), "kernel_version"), kernel.trim());
    assert_eq!(field(of(six.port), "os_arch"), std::env::consts::ARCH);
    let text = &done.stderr[done.stderr.find("osquery flows ").expect("what became of them")..];
    let counts: Vec<u64> =
        text.lines().next().unwrap_or_default().split_whitespace().filter_map(|w| w.parse().ok()).collect();
    let [asked, named, nobody, unanswered, refused, off] = counts[..] else { panic!("{text}") };
    assert_eq!(asked, named + nobody + unanswered + refused + off, "{text}");
    assert!(asked >= 4 && named >= 3 && (refused, off) == (0, 0), "{text}");
    // The same in IPFIX: all fields are there, where the template has them.
    let said = messages::read(&messages::split(&std::fs::read(&ipfix).expect("it was written")));
    let wanted: Vec<String> = ["first \u{e9}", "second", "third"]
        .iter()
        .map(|name| format!("OSQueryProgramName={}", name.bytes().map(|b| format!("{b:02x}")).collect::<String>()))
        .collect();
    for program in &wanted {
        let record = said.records.iter().find(|record| record.contains(program)).unwrap_or_else(|| panic!("{program}"));
        assert!(record.contains(&"OSQueryUsername=726f6f74".to_string()), "{record:?}");
        assert_eq!(record.iter().filter(|field| field.starts_with("OSQuery")).count(), 11, "{record:?}");
    }
}

#[test]
fn the_drop_in_writes_them_too() {
    let (ns, folder) = (namespace(), Folder::new());
    let (text, log) = (folder.text("flows.txt"), folder.path("log"));
    let output = format!("text;file={text}");
    let words = ["ipfixprobe", "-i", "raw;ifc=lo", "-p", PATIENT, "-o", &output];
    let running = Running::start(ns.sonda(words).env("PATH", path()).env("STANDIN_LOG", &log));
    running.wait_for("without capabilities");
    let server = Peer::start(&ns, &["a-server", "listen", "127.0.0.1", "0"]);
    let one = Peer::start(&ns, &["a client", "connect", "tcp", "127.0.0.1", &server.port.to_string()]);
    wait_for("it to be seen", || is_seen(&log, one.port));
    let last = Peer::start(&ns, &["last", "connect", "tcp", "127.0.0.1", &server.port.to_string()]);
    wait_for("the last one to be seen", || is_seen(&log, last.port));
    running.interrupt().must(0).says(&["osquery flows "]);
    let text = std::fs::read_to_string(&text).expect("it was written");
    assert!(text.contains("program=\"a client\",username=\"root\",osname=\""), "{text}");
}

#[test]
fn children_inherit_nothing_and_end_with_the_probe() {
    let (ns, folder) = (namespace(), Folder::new());
    let log = folder.path("log");
    for kill in [false, true] {
        let running = capture(&ns, &["--stats", PATIENT, "--user", "nobody", "--json", "/dev/null"], "", &log);
        let children = below(running.id());
        let names: Vec<&str> = children.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names.iter().filter(|name| **name == "osqueryi").count(), 1, "{names:?}");
        // Three that keep one: two of them wait.
        assert_eq!(children.len(), 4, "{names:?}");
        for (pid, name) in &children {
            let open = open_in(*pid);
            if name == "osqueryi" {
                assert_eq!(open.len(), 3, "{open:?}");
            }
            let probes = open_in(running.id());
            let sockets = open.iter().filter(|what| what.starts_with("socket:") && probes.contains(what));
            // What whoever runs the tests left open, all have.
            let own = open_in(std::process::id());
            assert_eq!(sockets.filter(|what| !own.contains(what)).count(), 0, "{name}: {open:?}");
        }
        if kill {
            running.signal("KILL");
            running.end().must(128 + 9);
        } else {
            running.interrupt().must(130).says(&["runs as user nobody"]);
        }
        wait_for("all to end", || children.iter().all(|(pid, _)| is_gone(*pid)));
    }
}

#[test]
fn a_child_that_hangs_ends_with_the_probe() {
    let folder = Folder::new();
    let file = folder.capture("basic_tcp");
    let mut command =
        sonda(["probe", file.to_str().expect("plain path"), "--stats", "osquery;wait=60000", "--json", "/dev/null"]);
    let mut probe = command.env("PATH", path()).env("STANDIN_DOES", "hangs").spawn().expect("it runs");
    let mut children = Vec::new();
    wait_for("its children", || {
        children = below(probe.id());
        children.iter().any(|(_, name)| name == "osqueryi")
    });
    probe.kill().expect("it runs");
    probe.wait().expect("it was ours");
    wait_for("all to end", || children.iter().all(|(pid, _)| is_gone(*pid)));
}

#[test]
fn whatever_osqueryi_does_flows_are_exported() {
    let folder = Folder::new();
    let file = folder.write("flows.pcap", bytes_of("basic_tcp"));
    let file = file.to_str().expect("plain path");
    let bare = json_lines(&run(["probe", file, "--stats", "none", "--json", "-"]).must(0).stdout).len();
    for (does, why) in [
        ("dies", "has ended"),
        ("hangs", "gave no whole answer within 300 ms"),
        ("rubbish", "answers what cannot be read"),
        ("endless", "plugin osquery: osqueryi "),
    ] {
        // Nothing that this says depends on how long: one that is right is never waited for here.
        let wait = if does == "hangs" { "osquery;wait=300" } else { "osquery;wait=60000" };
        let args = ["probe", file, "--stats", wait, "--json", "-"];
        let done = outcome(sonda(args).env("PATH", path()).env("STANDIN_DOES", does)).must(0);
        let flows = json_lines(&done.stdout);
        assert_eq!(flows.len(), bare, "{does}");
        for flow in &flows {
            assert_eq!((field(flow, "program_name"), field(flow, "os_name")), ("UNDEFINED", "UNDEFINED"), "{does}");
        }
        let said = |part: &str| done.stderr.lines().filter(|line| line.contains(why) && line.contains(part)).count();
        let parts = [
            "it is started again (1 of 2)",
            "it is started again (2 of 2)",
            "From now on processes and users are UNDEFINED",
        ];
        assert_eq!(parts.map(said), [1; 3], "{does}: {}", done.stderr);
        assert!(
            done.stderr.contains(&format!(
                "osquery flows {bare} asked, 0 named, 0 nobody, 0 unanswered, 0 refused, {bare} off"
            )),
            "{}",
            done.stderr
        );
    }
}

#[test]
fn a_child_that_dies_later_is_replaced_and_then_given_up() {
    let (ns, folder) = (namespace(), Folder::new());
    let (json, log) = (folder.text("flows.json"), folder.path("log"));
    let running = capture(&ns, &["--stats", PATIENT, "--json", &json], "dies-at-sockets", &log);
    let server = Peer::start(&ns, &["a-server", "listen", "127.0.0.1", "0"]);
    let one = Peer::start(&ns, &["one", "connect", "tcp", "127.0.0.1", &server.port.to_string()]);
    running.wait_for("From now on processes and users are UNDEFINED");
    let two = Peer::start(&ns, &["two", "connect", "tcp", "127.0.0.1", &server.port.to_string()]);
    let children = below(running.id());
    assert!(children.is_empty(), "{children:?}");
    running.interrupt().must(130);
    let flows = json_lines(&std::fs::read_to_string(&json).expect("it was written"));
    for peer in [&one, &two] {
        let flow = flows.iter().find(|flow| flow["src_port"] == peer.port).expect("a flow");
        assert_eq!(field(flow, "program_name"), "UNDEFINED");
        assert_ne!(field(flow, "os_name"), "UNDEFINED", "the machine was said before");
    }
}

#[test]
fn without_osqueryi_a_run_says_what_to_do_and_all_does_not_mean_it() {
    let folder = Folder::new();
    let file = folder.capture("basic_tcp");
    let file = file.to_str().expect("plain path");
    let without = |args: &[&str]| outcome(sonda(args).env("PATH", "/nonexistent"));
    let help = "there is no program osqueryi in PATH: install osquery";
    without(&["probe", file, "--stats", "osquery"]).must(1).says(&[help]);
    without(&["ipfixprobe", "-i", &format!("pcap;file={file}"), "-p", "osquery", "-o", "text"]).must(1).says(&[help]);
    let flows = json_lines(&without(&["probe", file, "--stats", "all", "--json", "-"]).must(0).stdout);
    assert!(flows.iter().all(|flow| flow.get("osquery").is_none()) && !flows.is_empty());
    without(&["probe", file, "--stats", "osquery;wait=1"]).must(1).says(&["invalid argument for option wait: 1"]);
    let isolated = ["probe", "-i", "lo", "--backend", "af_xdp", "--isolate", "--stats", "osquery"];
    without(&isolated).must(1).says(&["leave out it or the plugin osquery"]);
    let mut keeper: Command = sonda(["osquery-keeper"]);
    outcome(&mut keeper).must(1).says(&["starts osqueryi for a probe"]);
}
