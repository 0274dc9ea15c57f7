//! The service interfaces of TRAP modules as metrics (trap.md section 8): whatever runs on this machine, ours and the originals.
use super::{Declared, Families, distinct};
use crate::snapshot::Counters;
use record::page::columns::Kind;
use socket2::{Domain, SockAddr, Socket, Type};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use trap::{Place, trap_stats};

/// Modules that are asked, at the most; each interface is some samples.
const MODULES_MAX: usize = 512;
/// Modules that are asked at a time: one that does not answer costs a second.
const AT_ONCE: usize = 32;
/// Letters of a name that comes from a module or its command line.
const NAME_MAX: usize = 128;

const UP: Declared = Declared {
    name: "sonda_module_up",
    kind: Kind::Gauge,
    labels: &["module", "pid"],
    help: "1 if the module answered on its service interface, 0 if its socket is there and it did not",
};

const fn input(name: &'static str, kind: Kind, help: &'static str) -> Declared {
    Declared { name, kind, labels: LABELS, help }
}

const LABELS: &[&str] = &["module", "interface", "type", "id"];
const IN_MESSAGES: Declared =
    input("sonda_module_input_messages_total", Kind::Counter, "Messages that the module received from the input");
const IN_BUFFERS: Declared =
    input("sonda_module_input_buffers_total", Kind::Counter, "Buffers that the module received from the input");
const CONNECTED: Declared =
    input("sonda_module_input_connected", Kind::Gauge, "1 while the input is connected to its sender");
const OUT_MESSAGES: Declared =
    input("sonda_module_output_messages_total", Kind::Counter, "Messages that the module sent to the output");
const OUT_DROPPED: Declared = input(
    "sonda_module_output_dropped_messages_total",
    Kind::Counter,
    "Messages that the module dropped at the output, because nobody took them in time",
);
const OUT_BUFFERS: Declared =
    input("sonda_module_output_buffers_total", Kind::Counter, "Buffers that the module sent to the output");
const AUTOFLUSHES: Declared = input(
    "sonda_module_output_autoflushes_total",
    Kind::Counter,
    "Buffers that were sent before they were full, because time had passed",
);
const CLIENTS: Declared = input("sonda_module_output_clients", Kind::Gauge, "Readers that are connected to the output");

pub(super) const ALL: [Declared; 9] =
    [UP, IN_MESSAGES, IN_BUFFERS, CONNECTED, OUT_MESSAGES, OUT_DROPPED, OUT_BUFFERS, AUTOFLUSHES, CLIENTS];

/// A module with a service socket.
#[derive(Debug)]
pub(super) struct Module {
    name: String,
    pid: u32,
    /// What it answered.
    counters: Option<Counters>,
}

/// The modules whose service sockets are where libtrap looks for them, by process number.
pub(super) fn found() -> Vec<Module> {
    let sockets = sockets(&Place::default().socket_dir);
    let mut all = Vec::new();
    for some in sockets.chunks(AT_ONCE) {
        thread::scope(|scope| {
            let asked: Vec<_> = some.iter().map(|(pid, path)| scope.spawn(move || module(*pid, path))).collect();
            all.extend(asked.into_iter().filter_map(|thread| thread.join().ok().flatten()));
        });
    }
    all
}

/// Process numbers and paths of `trap-service_PID.sock`.
fn sockets(folder: &Path) -> Vec<(u32, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let pid_of = |path: &Path| {
        let name = path.file_name()?.to_str()?;
        name.strip_prefix("trap-service_")?.strip_suffix(".sock")?.parse().ok()
    };
    let mut found: Vec<(u32, PathBuf)> = entries.filter_map(|path| Some((pid_of(&path)?, path))).collect();
    found.sort();
    found.truncate(MODULES_MAX);
    found
}

/// `None` if the process has gone and left its socket behind.
fn module(pid: u32, path: &Path) -> Option<Module> {
    let name = name(&std::fs::read(format!("/proc/{pid}/cmdline")).ok()?);
    let counters = connect(path).ok().and_then(|mut module| trap_stats::ask(&mut module).ok());
    let counters = counters.and_then(|json| Counters::parse(&json).ok());
    Some(Module { name, pid, counters })
}

/// Does not wait for a module that accepts nobody.
fn connect(path: &Path) -> std::io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)?;
    socket.set_nonblocking(false)?;
    Ok(UnixStream::from(std::os::fd::OwnedFd::from(socket)))
}

/// What a module is called, from its command line: the program, or what `sonda` or Python were told to run.
fn name(cmdline: &[u8]) -> String {
    let mut words = cmdline.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let plain = |word: &str| {
        let last = word.rsplit('/').next().unwrap_or_default();
        let last = last.strip_suffix(".py").unwrap_or(last);
        last.chars().take(NAME_MAX).map(|c| if c.is_control() { '.' } else { c }).collect::<String>()
    };
    let program = plain(&words.next().unwrap_or_default());
    if program == "sonda" || program.starts_with("python") {
        let script = words.find(|word| !word.starts_with('-')).map(|word| plain(&word));
        return script.filter(|script| !script.is_empty()).unwrap_or(program);
    }
    program
}

/// Adds what the modules answered.
pub(super) fn collect(modules: &[Module], families: &mut Families) {
    let names = distinct(modules.iter().map(|module| module.name.as_str()));
    for (name, module) in names.iter().zip(modules) {
        let is_up = f64::from(u8::from(module.counters.is_some()));
        families.add(UP, &[("module", name), ("pid", &module.pid.to_string())], &[], is_up);
        let Some(counters) = &module.counters else { continue };
        for (at, input) in counters.inputs.iter().enumerate() {
            let (at, letter, id) = (at.to_string(), input.kind.letter().to_string(), id(&input.id));
            let outer = [("module", name.as_str()), ("interface", &at), ("type", &letter), ("id", &id)];
            families.add(IN_MESSAGES, &outer, &[], input.messages.0 as f64);
            families.add(IN_BUFFERS, &outer, &[], input.buffers.0 as f64);
            families.add(CONNECTED, &outer, &[], f64::from(u8::from(input.is_connected.0 != 0)));
        }
        for (at, output) in counters.outputs.iter().enumerate() {
            let (at, letter, id) = (at.to_string(), output.kind.letter().to_string(), id(&output.id));
            let outer = [("module", name.as_str()), ("interface", &at), ("type", &letter), ("id", &id)];
            families.add(OUT_MESSAGES, &outer, &[], output.sent.0 as f64);
            families.add(OUT_DROPPED, &outer, &[], output.dropped.0 as f64);
            families.add(OUT_BUFFERS, &outer, &[], output.buffers.0 as f64);
            families.add(AUTOFLUSHES, &outer, &[], output.autoflush.0 as f64);
            families.add(CLIENTS, &outer, &[], output.clients.0 as f64);
        }
    }
}

/// An interface's name, cut: its control characters are gone already.
fn id(id: &str) -> String {
    id.chars().take(NAME_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_have_names() {
        for (cmdline, expected) in [
            ("/usr/bin/nemea/logger\0-t\0", "logger"),
            ("/opt/sonda\0vportscan_detector\0-i\0u:a,u:b\0", "vportscan_detector"),
            ("python3\0-u\0/usr/bin/nemea/vportscan2idea.py\0", "vportscan2idea"),
            ("python3\0", "python3"),
            ("my detector\0", "my detector"),
            ("", ""),
        ] {
            assert_eq!(name(cmdline.as_bytes()), expected);
        }
    }

    #[test]
    fn answers_become_samples() {
        let json = r#"{"in_cnt":1,"out_cnt":1,"in":[{"messages":5,"buffers":2,"ifc_type":117,"ifc_state":1,"ifc_id":"a\nb"}],
            "out":[{"sent-messages":4,"dropped-messages":1,"buffers":3,"autoflushes":2,"num_clients":1,"ifc_type":116,"ifc_id":"8000","more":[]}]}"#;
        let counters = Counters::parse(json.as_bytes()).unwrap();
        let mut families = Families::default();
        let silent = Module { name: "m".into(), pid: 8, counters: None };
        collect(&[Module { name: "m".into(), pid: 7, counters: Some(counters) }, silent], &mut families);
        let text = families.encode();
        for line in [
            r#"sonda_module_up{module="m",pid="7"} 1"#,
            r##"sonda_module_up{module="m#2",pid="8"} 0"##,
            r#"sonda_module_input_messages_total{module="m",interface="0",type="u",id="a?b"} 5"#,
            r#"sonda_module_input_connected{module="m",interface="0",type="u",id="a?b"} 1"#,
            r#"sonda_module_output_dropped_messages_total{module="m",interface="0",type="t",id="8000"} 1"#,
            r#"sonda_module_output_clients{module="m",interface="0",type="t",id="8000"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
