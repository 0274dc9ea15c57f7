//! `sonda trap_stats` as a program: against modules of ours, and against the recorded replies of the real ones.
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use trap::deframer::{Deframer, Item, Layout};
use trap::{Place, Spec};

/// How long a test waits for what must come, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);

fn sonda() -> Command {
    Command::new(env!("CARGO_BIN_EXE_sonda"))
}

fn trap_stats(args: &[&str]) -> Output {
    sonda().arg("trap_stats").args(args).output().expect("sonda starts")
}

fn fixtures() -> Option<PathBuf> {
    let told = std::env::var_os("SONDA_SHARED");
    let folder = told.as_ref().map_or_else(|| PathBuf::from("/work/shared"), PathBuf::from).join("fixtures/service");
    assert!(told.is_none() || folder.is_dir(), "SONDA_SHARED is set, but there is no folder {}", folder.display());
    folder.is_dir().then_some(folder)
}

/// Answers each request of one client with the next of the replies, which lie one behind the other.
fn recorded_module(socket: &Path, mut replies: Vec<u8>) -> thread::JoinHandle<Vec<u8>> {
    let listener = UnixListener::bind(socket).expect("bind");
    thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("client");
        let mut asked = Vec::new();
        let mut request = [0; 8];
        while !replies.is_empty() && client.read_exact(&mut request).is_ok() {
            asked.extend_from_slice(&request);
            let len = 8 + u32::from_le_bytes(replies[4..8].try_into().expect("4 bytes")) as usize;
            let rest = replies.split_off(len);
            client.write_all(&replies).expect("reply");
            replies = rest;
        }
        // Until the client leaves.
        let _end = client.read(&mut request);
        asked
    })
}

fn interrupt(child: &Child) {
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(kill.success());
}

#[test]
fn recorded_sessions_are_shown_as_the_original_showed_them() {
    let Some(folder) = fixtures() else { return };
    let read = |name: &str| fs::read(folder.join(name)).expect("recorded");
    let dir = tempfile::tempdir().expect("tempdir");
    for name in ["svc_logger", "svc_traffic_repeater"] {
        let socket = dir.path().join(name);
        let module = recorded_module(&socket, read(&format!("{name}.s2c.bin")));
        let ran = trap_stats(&["-1", "-s", socket.to_str().expect("text")]);
        assert_eq!(ran.stdout, read(&format!("{name}.trap_stats-1.out")));
        assert!(ran.status.success());
        assert_eq!(module.join().expect("module"), read(&format!("{name}.c2s.bin")));

        // Two questions, 3 s apart, then Ctrl-C.
        let poll = format!("{name}_poll");
        let socket = dir.path().join(&poll);
        let module = recorded_module(&socket, read(&format!("{poll}.s2c.bin")));
        let mut child = sonda();
        child.args(["trap_stats", "-s"]).arg(&socket).stdout(Stdio::piped());
        let mut child = child.spawn().expect("sonda starts");
        let mut said = BufReader::new(child.stdout.take().expect("piped"));
        let mut shown = String::new();
        while shown.matches("3 seconds waiting").count() < 2 {
            assert!(said.read_line(&mut shown).expect("text") > 0, "{shown}");
        }
        interrupt(&child);
        said.read_to_string(&mut shown).expect("text");
        assert_eq!(shown, String::from_utf8_lossy(&read(&format!("{poll}.trap_stats.out"))));
        assert!(child.wait().expect("ends").success());
        assert_eq!(module.join().expect("module"), read(&format!("{poll}.c2s.bin")));
    }
}

/// The counters of a reply, without times.
fn counters(reply: &[u8]) -> Value {
    assert_eq!(reply[..4], [12, 0, 0, 0]);
    let json = reply[8..].strip_suffix(b"\0").expect("the final NUL counts");
    let mut value: Value = serde_json::from_slice(json).expect("JSON");
    value["in"][0]["delay_last"] = 0.into();
    value["in"][0]["delay_total"] = 0.into();
    value
}

/// The recorded logger's records go to ours, then ours is asked as the recorded one was.
#[test]
fn a_logger_answers_as_the_recorded_one() {
    let Some(folder) = fixtures() else { return };
    let read = |name: &str| fs::read(folder.join(name)).expect("recorded");
    let dir = tempfile::tempdir().expect("tempdir");
    let spec = &Spec::parse("u:y:autoflush=off").expect("specifier")[0];
    let place = Place::with_socket_dir(dir.path());
    let mut sender = trap::Output::open_at(spec, trap::OutputDefaults::default(), &place).expect("opens");
    let mut logger = sonda();
    logger.args(["logger", "-i", "u:y"]).env("TRAP_SOCKET_DIR", dir.path()).stdout(Stdio::null());
    let mut deframer = Deframer::new(Layout::Wire);
    deframer.feed(&read("../trapwire/unix_big_multicontainer.s2c.bin"));
    let mut child = None;
    loop {
        match deframer.next_item().expect("recorded bytes are valid") {
            Item::Hello(format) => {
                sender.set_format(format).expect("format");
                child = Some(logger.spawn().expect("sonda starts"));
            }
            Item::Message(range) if range.len() > 1 => {
                assert_eq!(sender.send(deframer.bytes(range)), trap::Sent::Sent);
            }
            Item::Message(_) | Item::Container(_) => {}
            Item::NeedMore => break,
        }
    }
    sender.flush().expect("flush");
    let mut child = child.expect("a HELLO was recorded");
    let socket = dir.path().join(format!("trap-service_{}.sock", child.id()));
    let mut module = UnixStream::connect(socket).expect("the logger has a service");
    for name in ["svc_logger", "svc_logger_poll"] {
        let (requests, replies) = (read(&format!("{name}.c2s.bin")), read(&format!("{name}.s2c.bin")));
        for request in requests.chunks(8) {
            let begin = Instant::now();
            let ours = loop {
                module.write_all(request).expect("request");
                let mut reply = vec![0; 8];
                module.read_exact(&mut reply).expect("header");
                let len = u32::from_le_bytes(reply[4..].try_into().expect("4 bytes")) as usize;
                reply.resize(8 + len, 0);
                module.read_exact(&mut reply[8..]).expect("JSON");
                let ours = counters(&reply);
                if ours["in"][0]["messages"] == 4032 || begin.elapsed() > PATIENCE {
                    break ours;
                }
            };
            let len = replies.len() / (requests.len() / 8);
            assert_eq!(ours, counters(&replies[..len]), "{name}");
        }
    }
    interrupt(&child);
    assert!(child.wait().expect("ends").success());
}

/// A module is found by its process id, and its counters are those of its interfaces.
#[test]
fn a_running_module_is_asked_by_its_process_id() {
    let dir = tempfile::tempdir().expect("tempdir");
    let csv = dir.path().join("in.csv");
    fs::write(&csv, "uint16 A\n1\n2\n3\n").expect("write");
    let run = |args: &[&str]| {
        let mut command = sonda();
        command.args(args).env("TRAP_SOCKET_DIR", dir.path()).stdout(Stdio::null());
        command.spawn().expect("sonda starts")
    };
    let mut logger = run(&["logger", "-i", "u:flows"]);
    let mut replay = run(&["logreplay", "-i", "u:flows:autoflush=off", "-n", "-d", "-f", csv.to_str().expect("text")]);
    assert!(replay.wait().expect("ends").success());
    let (pid, begin) = (logger.id().to_string(), Instant::now());
    let text = loop {
        let mut command = sonda();
        command.args(["trap_stats", "-1", &pid]).env("TRAP_SOCKET_DIR", dir.path());
        let text = String::from_utf8(command.output().expect("sonda starts").stdout).expect("text");
        if text.contains("IS_CONN: 0, RM: 3") || begin.elapsed() > PATIENCE {
            break text;
        }
        thread::sleep(Duration::from_millis(50));
    };
    interrupt(&logger);
    assert!(logger.wait().expect("ends").success());
    assert!(
        text.starts_with("Input interfaces: 1\n\tID: flows, TYPE: u, IS_CONN: 0, RM: 3, RB: 1, DELAY_LAST"),
        "{text}"
    );
    assert!(text.ends_with("\nOutput interfaces: 0\n"), "{text}");
    let left: Vec<_> =
        fs::read_dir(dir.path()).expect("folder").map(|entry| entry.expect("entry").file_name()).collect();
    assert_eq!(left, ["in.csv"], "sockets are removed at the end");
}

#[test]
fn command_lines_and_failures() {
    let dir = tempfile::tempdir().expect("tempdir");
    let socket = dir.path().join("s");
    let path = socket.to_str().expect("text");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(trap_stats(&["-h"]).status.code(), Some(0));
    assert!(
        text(&trap_stats(&["-h"]).stdout)
            .starts_with("Usage:  trap_stats  [-s service_socket_path] [socket_identifier]\n")
    );
    assert_eq!(trap_stats(&["-x"]).status.code(), Some(1));
    let absent = trap_stats(&["-1", path]);
    assert_eq!(absent.status.code(), Some(1));
    assert!(text(&absent.stderr).starts_with(&format!("Socket does not exist ({path})")));
    let absent = trap_stats(&["-1", "-s", path]);
    assert_eq!(text(&absent.stdout), format!("Could not connect to service ifc (path: {path}).\n"));
    assert_eq!(absent.status.code(), Some(0));

    // Modules that answer nonsense, too much, or nothing in time.
    let nonsense: [(&[u8], &str); 4] = [
        (&[12, 0, 0, 0, 2, 0, 0, 0, b'{', 0], "[ERROR] Could not convert modules stats to json"),
        (&[12, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], "[SERVICE] Wrong reply from module."),
        (&[1, 0, 0, 0, 0, 0, 0, 0], "[SERVICE] Wrong reply from module."),
        (&[12, 0, 0, 0, 9, 0, 0, 0, b'{'], "[SERVICE] Error while receiving stats from module."),
    ];
    for (n, (reply, expected)) in nonsense.into_iter().enumerate() {
        let socket = dir.path().join(n.to_string());
        let listener = UnixListener::bind(&socket).expect("bind");
        let module = thread::spawn(move || {
            let (mut client, _) = listener.accept().expect("client");
            client.write_all(reply).expect("reply");
            let _end = client.read_to_end(&mut Vec::new());
        });
        let ran = trap_stats(&["-1", "-s", socket.to_str().expect("text")]);
        assert!(text(&ran.stdout).contains(expected), "{}", text(&ran.stdout));
        module.join().expect("module");
    }
}
