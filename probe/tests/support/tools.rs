//! Programs of others that judge ours: tshark, capinfos, nfcapd, nfdump.
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Whether the user does without them.
pub(crate) fn skipped() -> bool {
    let skipped = std::env::var_os("SONDA_SKIP_TOOLS").is_some_and(|v| v == "1");
    if skipped {
        println!("NOT RUN: SONDA_SKIP_TOOLS=1");
    }
    skipped
}

/// Runs a tool of a Debian package; answers its standard output.
#[track_caller]
pub(crate) fn tool(package: &str, command: &mut Command) -> String {
    let run = command.env("TZ", "UTC").env("LC_ALL", "C").stdin(Stdio::null()).output();
    let run = run.unwrap_or_else(|e| missing(package, command, &e));
    assert!(run.status.success(), "{command:?}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8_lossy(&run.stdout).into_owned()
}

#[track_caller]
fn missing<T>(package: &str, command: &Command, error: &std::io::Error) -> T {
    panic!("{command:?} does not run ({error}): install the Debian package `{package}`, or set SONDA_SKIP_TOOLS=1")
}

/// Packets and bytes on the wire, as capinfos counts them.
#[track_caller]
pub(crate) fn capinfos(capture: &Path) -> (u64, u64) {
    let table = tool("wireshark-common", Command::new("capinfos").arg("-TMrcd").arg(capture));
    let mut columns = table.trim_end().rsplit('\t').map(|n| n.parse().expect("a number"));
    let bytes = columns.next().expect("two columns");
    (columns.next().expect("two columns"), bytes)
}

/// Fields of the frames of a capture as tshark shows them: a line a frame, tabs between fields. `args` say which frames, and how they are read.
#[track_caller]
pub(crate) fn tshark_fields(capture: &Path, args: &[&str], fields: &[&str]) -> String {
    let mut command = Command::new("tshark");
    command.arg("-n").arg("-r").arg(capture).args(["-T", "fields", "-E", "separator=/t"]).args(args);
    command.args(fields.iter().flat_map(|field| ["-e", *field]));
    tool("tshark", &mut command)
}

/// A flow as text that ours and those of other programs can be compared in.
pub(crate) fn told(flow: &Value, times: bool) -> String {
    let text = |name: &str| flow[name].as_str().map_or_else(|| flow[name].to_string(), String::from);
    let parts =
        ["protocol", "src_ip", "src_port", "dst_ip", "dst_port", "packets", "bytes", "packets_rev", "bytes_rev"];
    let more = ["tcp_flags", "tcp_flags_rev", "time_first", "time_last"];
    let all = parts.iter().chain(more.iter().filter(|_| times));
    all.map(|name| text(name)).collect::<Vec<_>>().join(" ")
}

/// A field of a flow as tshark shows it.
type Shown = (String, String);

/// Flows as tshark decodes them out of a capture of IPFIX messages, in the form of [`told`]; panics if it finds anything wrong.
#[track_caller]
pub(crate) fn tshark(capture: &Path) -> Vec<String> {
    let is_flow = |fields: &&Vec<Shown>| fields.iter().any(|(name, _)| name == "cflow.protocol");
    tshark_flows(capture).iter().filter(is_flow).map(|f| of_tshark(f)).collect()
}

/// The fields of each flow and options record that tshark decodes out of a capture of messages to port 4739; panics if it finds anything
/// wrong.
#[track_caller]
pub(crate) fn tshark_flows(capture: &Path) -> Vec<Vec<Shown>> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(capture).args(["-n", "-T", "pdml", "-d", "udp.port==4739,cflow"]);
    // With all statistics a template has more fields than tshark expects.
    command.args(["-o", "cflow.max_template_fields:0"]);
    let pdml = tool("tshark", &mut command);
    for bad in ["_ws.malformed", "_ws.expert", "no template", "Malformed"] {
        assert!(
            !pdml.contains(bad),
            "tshark says {bad}: {}",
            pdml.lines().find(|l| l.contains(bad)).unwrap_or_default()
        );
    }
    let mut flows: Vec<Vec<Shown>> = Vec::new();
    for line in pdml.lines() {
        let value = |key: &str| {
            let at = line.find(&format!(" {key}=\""))? + key.len() + 3;
            line[at..].split('"').next()
        };
        match (value("name"), value("show")) {
            (Some(""), Some(show)) if show.starts_with("Flow ") || show.starts_with("pdu ") => flows.push(Vec::new()),
            (Some("cflow.sequence" | "frame"), _) => {}
            (Some(name), Some(show)) => {
                if let Some(flow) = flows.last_mut() {
                    flow.push((name.to_string(), show.to_string()));
                }
            }
            _ => {}
        }
    }
    flows
}

fn of_tshark(fields: &[Shown]) -> String {
    let nth = |names: &[&str], n: usize| {
        let mut found = fields.iter().filter(|(name, _)| names.contains(&name.as_str()));
        found.nth(n).unwrap_or_else(|| panic!("no {names:?} in {fields:?}")).1.clone()
    };
    let flags =
        |n| u8::from_str_radix(nth(&["cflow.tcpflags"], n).trim_start_matches("0x"), 16).expect("flags").to_string();
    [
        nth(&["cflow.protocol"], 0),
        nth(&["cflow.srcaddr", "cflow.srcaddrv6"], 0),
        nth(&["cflow.srcport"], 0),
        nth(&["cflow.dstaddr", "cflow.dstaddrv6"], 0),
        nth(&["cflow.dstport"], 0),
        nth(&["cflow.packets"], 0),
        nth(&["cflow.octets"], 0),
        nth(&["cflow.packets"], 1),
        nth(&["cflow.octets"], 1),
        flags(0),
        flags(1),
        rfc3339(&nth(&["cflow.abstimestart"], 0)),
        rfc3339(&nth(&["cflow.abstimeend"], 0)),
    ]
    .join(" ")
}

/// `Apr  7, 2016 18:23:31.598242999 UTC`; tshark cuts the NTP fraction where it was rounded, so a nanosecond may be missing.
fn rfc3339(text: &str) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<&str> = text.split([' ', ',', ':', '.']).filter(|w| !w.is_empty()).collect();
    let [month, rest @ .., _utc] = words.as_slice() else { panic!("no time: {text}") };
    let month = MONTHS.iter().position(|m| m == month).expect("a month") + 1;
    let n: Vec<u64> = rest.iter().map(|w| w.parse().expect("numbers")).collect();
    let micros = (((n[2] * 60 + n[3]) * 60 + n[4]) * 1_000_000_000 + n[5] + 1) / 1000;
    let secs = micros / 1_000_000;
    let (hour, minute, second) = (secs / 3600, secs / 60 % 60, secs % 60);
    format!("{}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{:06}Z", n[1], n[0], micros % 1_000_000)
}

/// A running nfcapd.
pub(crate) struct Nfcapd {
    child: Child,
    port: u16,
}

impl Nfcapd {
    /// Starts it on a free port and waits until it has its socket.
    #[track_caller]
    pub(crate) fn start(folder: &Path) -> Nfcapd {
        let port = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|s| s.local_addr()).expect("a free port").port();
        let mut command = Command::new("nfcapd");
        command
            .args(["-b", "127.0.0.1", "-t", "3600", "-B", "4000000", "-p"])
            .arg(port.to_string())
            .arg("-w")
            .arg(folder);
        command.env("TZ", "UTC").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| missing("nfdump", &command, &e));
        while queued(port).is_none() {
            if let Some(status) = child.try_wait().expect("our child") {
                let mut said = String::new();
                let _ = child.stderr.take().map(|mut e| e.read_to_string(&mut said));
                panic!("nfcapd ended ({status}): {said}");
            }
            std::thread::yield_now();
        }
        Nfcapd { child, port }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Lets it take what waits in its socket, ends it, and asks nfdump for the flows, in the form of [`told`] without times.
    #[track_caller]
    pub(crate) fn finish(self, folder: &Path) -> Vec<String> {
        self.finish_as(folder, "%pr %sa %sp %da %dp %ipkt %ibyt %opkt %obyt")
    }

    /// The same with other columns; the fifth is the destination's port.
    #[track_caller]
    pub(crate) fn finish_as(self, folder: &Path, columns: &str) -> Vec<String> {
        self.ended();
        let fields = format!("fmt:{columns}");
        let mut flows = Vec::new();
        for file in std::fs::read_dir(folder).expect("its folder").map(|f| f.expect("a file").path()) {
            let shown = tool("nfdump", Command::new("nfdump").args(["-N", "-6", "-q", "-o", &fields, "-r"]).arg(file));
            flows.extend(shown.lines().filter(|l| l.starts_with(|c: char| c.is_ascii_digit())).map(of_nfdump));
        }
        flows
    }

    /// Lets it take what waits in its socket, and ends it; answers what it said.
    #[track_caller]
    pub(crate) fn ended(mut self) -> Vec<String> {
        while queued(self.port).is_some_and(|(waiting, _)| waiting > 0) {
            std::thread::yield_now();
        }
        let (_, drops) = queued(self.port).expect("its socket");
        assert_eq!(drops, 0, "the kernel dropped datagrams for nfcapd: pace the exporter");
        terminate(self.child.id());
        let said = BufReader::new(self.child.stderr.take().expect("piped"));
        let said: Vec<String> = said.lines().map_while(Result::ok).collect();
        assert!(self.child.wait().expect("our child").success(), "{said:?}");
        said
    }
}

/// nfdump shows the destination port of ICMP as type and code.
fn of_nfdump(line: &str) -> String {
    let mut columns: Vec<String> = line.split_whitespace().map(String::from).collect();
    if let Some((kind, code)) = columns[4].split_once('.') {
        let number = |text: &str| text.parse::<u16>().expect("a number");
        columns[4] = (number(kind) << 8 | number(code)).to_string();
    }
    columns.join(" ")
}

/// Bytes that wait in the receive queue of the loopback's UDP port, and datagrams dropped there (proc(5), /proc/net/udp).
fn queued(port: u16) -> Option<(u64, u64)> {
    let table = std::fs::read_to_string("/proc/net/udp").expect("proc is mounted");
    let row = table.lines().find(|l| l.split_whitespace().nth(1) == Some(&format!("0100007F:{port:04X}")))?;
    let columns: Vec<&str> = row.split_whitespace().collect();
    let waiting = columns[4].split_once(':').expect("tx:rx").1;
    Some((u64::from_str_radix(waiting, 16).expect("hex"), columns[12].parse().expect("a number")))
}

/// Sends SIGTERM to a child of ours.
pub(crate) fn terminate(pid: u32) {
    signal(pid, "TERM");
}

pub(crate) fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().expect("kill runs");
    assert!(status.success(), "kill -{name} {pid}");
}
