//! resolver with a small DNS server on loopback: what is found, what is not, and servers that stay silent.
#[allow(dead_code, reason = "each suite uses its part")]
mod common;

use common::{input, module, output, path};
use detect::modules::resolver::{self, Settings, Totals};
use record::Value;
use record::unirec::{Builder, Template};
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use trap::{Format, Place, Sent};

const SPEC: &str = "ipaddr SRC_IP,string HOST,uint16 DST_PORT,uint8 PROTOCOL";
const RESOLUTIONS: [[&str; 3]; 4] = [
    ["SRC_IP", "dns_ptr", "SRC_NAME"],
    ["HOST", "dns_a", "HOST4"],
    ["HOST", "dns_aaaa", "HOST6"],
    ["DST_PORT/PROTOCOL", "ent_services", "SERVICE"],
];

/// A name server: names that begin with `no` are unknown, `mute` gets no answer, `big` goes over TCP, `fake` has a liar before it,
/// `late` waits for the gate.
struct Dns {
    port: u16,
    asked: Arc<AtomicUsize>,
    gate: Arc<Mutex<()>>,
}

impl Dns {
    fn start() -> Dns {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            // The same port must be free for TCP.
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
                break (udp, tcp);
            }
        };
        let port = udp.local_addr().unwrap().port();
        let (asked, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(())));
        let (count, wait) = (Arc::clone(&asked), Arc::clone(&gate));
        thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = udp.recv_from(&mut buffer) {
                count.fetch_add(1, Ordering::SeqCst);
                let question = buffer[..length].to_vec();
                let name = name_of(&question);
                if name.starts_with("mute") {
                    continue;
                }
                if name.starts_with("fake") {
                    let mut lie = answer(&question, "192.0.2.66");
                    lie[0] ^= 1;
                    udp.send_to(&lie, from).unwrap();
                }
                if name.starts_with("late") {
                    drop(wait.lock().unwrap());
                }
                let mut reply = answer(&question, "192.0.2.4");
                if name.starts_with("big") {
                    reply[2] |= 2;
                }
                udp.send_to(&reply, from).unwrap();
            }
        });
        thread::spawn(move || {
            for mut stream in tcp.incoming().map_while(Result::ok) {
                let mut head = [0; 2];
                stream.read_exact(&mut head).unwrap();
                let mut question = vec![0; u16::from_be_bytes(head).into()];
                stream.read_exact(&mut question).unwrap();
                let reply = answer(&question, "192.0.2.5");
                let message = [&(reply.len() as u16).to_be_bytes()[..], &reply].concat();
                // In two pieces.
                stream.write_all(&message[..5]).unwrap();
                stream.write_all(&message[5..]).unwrap();
            }
        });
        Dns { port, asked, gate }
    }
}

fn name_of(question: &[u8]) -> String {
    let (mut at, mut name) = (12, String::new());
    while question[at] != 0 {
        let end = at + 1 + usize::from(question[at]);
        name.push_str(str::from_utf8(&question[at + 1..end]).unwrap());
        name.push('.');
        at = end;
    }
    name
}

fn answer(question: &[u8], address: &str) -> Vec<u8> {
    let (name, mut out) = (name_of(question), question.to_vec());
    out[2] |= 0x80;
    let kind = question[question.len() - 3];
    let address: IpAddr = address.parse().unwrap();
    let value = match (kind, address) {
        (1, IpAddr::V4(ip)) => ip.octets().to_vec(),
        (28, _) if name.starts_with("six") => (1..=16).collect(),
        (12, _) if name.starts_with("1.") => b"\x04host\x07example\0".to_vec(),
        (12, _) if name.starts_with("2.") => b"\x04a\nb\"\x07example\0".to_vec(),
        _ => Vec::new(),
    };
    if name.starts_with("no") || (kind == 12 && name.starts_with("3.")) {
        out[3] |= 3;
    } else if !value.is_empty() {
        out[7] = 1;
        out.extend_from_slice(&[0xc0, 12, 0, kind, 0, 1, 0, 0, 1, 0, 0, value.len() as u8]);
        out.extend_from_slice(&value);
    }
    out
}

/// A file of records with these addresses and names; the port is 80, the protocol TCP.
fn records(folder: &TempDir, rows: &[(&str, &str)]) -> String {
    let file = format!("f:{}", path(folder, "records"));
    let template = Template::parse(&format!("{SPEC},uint32 NUMBER")).unwrap();
    let mut output = output(&file, &Place::default());
    output.set_format(Format::UniRec(template.spec())).unwrap();
    let (mut builder, mut bytes) = (Builder::new(&template), Vec::new());
    for (number, (ip, host)) in rows.iter().enumerate() {
        let mut set = |field, value| builder.set(template.index_of(field).unwrap(), value).unwrap();
        set("SRC_IP", Value::Ip(ip.parse().unwrap()));
        set("HOST", Value::Text(host.as_bytes()));
        set("DST_PORT", Value::Uint(80));
        set("PROTOCOL", Value::Uint(6));
        set("NUMBER", Value::Uint(number as u64));
        builder.finish(&mut bytes).unwrap();
        assert_eq!(output.send(&bytes), Sent::Sent);
    }
    assert_eq!(output.send_eof(), Sent::Sent);
    output.finish().unwrap();
    file
}

fn settings(folder: &TempDir, port: u16, resolutions: &[[&str; 3]]) -> Settings {
    let files = ["hosts", "resolv.conf", "services"].map(|name| folder.path().join(name));
    fs::write(&files[0], "198.51.100.9 known.example alias\n").unwrap();
    fs::write(&files[1], "nameserver 127.0.0.1\n").unwrap();
    fs::write(&files[2], "http 80/tcp\n").unwrap();
    let mut args = vec!["-u".to_owned(), SPEC.to_owned(), "--server".into(), format!("127.0.0.1:{port}")];
    for words in resolutions {
        args.push("-r".into());
        args.extend(words.map(str::to_owned));
    }
    // A machine that stalls must not make records leave early.
    Settings { files, wait: Duration::from_secs(60), ..Settings::parse(&args).unwrap() }
}

/// Runs the module; answers the rows that logger prints, and how long it took.
fn resolved(folder: &TempDir, settings: &Settings, rows: &[(&str, &str)]) -> (Vec<String>, Totals, Duration) {
    let (from, to) = (records(folder, rows), format!("f:{}", path(folder, "resolved")));
    let begin = Instant::now();
    let mut out = output(&to, &Place::default());
    let totals = resolver::run(&mut input(&from, &Place::default()), &mut out, settings).unwrap();
    let took = begin.elapsed();
    assert_eq!(module("logger", &["-i", &to, "-t", "-w", &path(folder, "csv")]), 0);
    let lines = fs::read_to_string(path(folder, "csv")).unwrap();
    (lines.lines().map(str::to_owned).collect(), totals, took)
}

#[test]
fn all_kinds_of_lookups() {
    let (folder, dns) = (TempDir::new().unwrap(), Dns::start());
    let settings = settings(&folder, dns.port, &RESOLUTIONS);
    let rows = [
        ("10.0.0.1", "www.example.org."),
        ("2001:db8::1", "SIX.example"),
        ("10.0.0.2", "big.example"),
        ("10.0.0.3", "nobody.example"),
        ("198.51.100.9", "fake.example"),
        ("10.0.0.1", "Alias"),
        ("10.0.0.1", "not a name"),
        ("10.0.0.1", "192.0.2.77"),
    ];
    let (lines, totals, _) = resolved(&folder, &settings, &rows);
    let head = "ipaddr HOST4,ipaddr HOST6,ipaddr SRC_IP,uint32 NUMBER,uint16 DST_PORT,uint8 PROTOCOL,string HOST,string SERVICE,string SRC_NAME";
    assert_eq!(
        lines,
        [
            head,
            "192.0.2.4,::,10.0.0.1,0,80,6,\"www.example.org.\",\"http\",\"host.example\"",
            "192.0.2.4,102:304:506:708:90a:b0c:d0e:f10,2001:db8::1,1,80,6,\"SIX.example\",\"http\",\"host.example\"",
            // A name that no host can have, as a name server may claim.
            "192.0.2.5,::,10.0.0.2,2,80,6,\"big.example\",\"http\",\"n/a\"",
            "0.0.0.0,::,10.0.0.3,3,80,6,\"nobody.example\",\"http\",\"n/a\"",
            "192.0.2.4,::,198.51.100.9,4,80,6,\"fake.example\",\"http\",\"known.example\"",
            "198.51.100.9,::,10.0.0.1,5,80,6,\"Alias\",\"http\",\"host.example\"",
            "0.0.0.0,::,10.0.0.1,6,80,6,\"not a name\",\"http\",\"host.example\"",
            "192.0.2.77,::,10.0.0.1,7,80,6,\"192.0.2.77\",\"http\",\"host.example\"",
        ]
    );
    assert_eq!(totals, Totals { sent: 8, ..Totals::default() });
}

#[test]
fn what_was_found_is_not_asked_again() {
    let (folder, dns) = (TempDir::new().unwrap(), Dns::start());
    let settings = settings(&folder, dns.port, &RESOLUTIONS[..2]);
    let rows: Vec<_> =
        (0..5_000).map(|n| (["10.0.0.1", "10.0.0.3"][n % 2], ["a.example", "no.example"][n % 2])).collect();
    let (lines, totals, _) = resolved(&folder, &settings, &rows);
    assert_eq!((lines.len(), totals.sent), (5_001, 5_000));
    // A machine that stalls may make a lookup ask twice.
    assert!(dns.asked.load(Ordering::SeqCst) <= 16);
}

#[test]
fn a_slow_name_holds_the_order_and_not_the_lookups_behind_it() {
    let (folder, dns) = (TempDir::new().unwrap(), Dns::start());
    let settings = settings(&folder, dns.port, &RESOLUTIONS[1..2]);
    let rows: Vec<_> = (0..300).map(|n| format!("{}{n}.example", if n == 0 { "late" } else { "a" })).collect();
    let rows: Vec<_> = rows.iter().map(|name| ("10.0.0.1", name.as_str())).collect();
    let gate = dns.gate.lock().unwrap();
    let (lines, totals) = thread::scope(|scope| {
        let running = scope.spawn(|| resolved(&folder, &settings, &rows));
        // The question that waits, and the others are asked meanwhile from other threads' sockets.
        let until = Instant::now() + Duration::from_secs(30);
        while dns.asked.load(Ordering::SeqCst) < 1 && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        drop(gate);
        let (lines, totals, _) = running.join().unwrap();
        (lines, totals)
    });
    assert_eq!(totals, Totals { sent: 300, ..Totals::default() });
    let numbers: Vec<_> = lines[1..].iter().map(|line| line.split(',').nth(2).unwrap().to_owned()).collect();
    assert_eq!(numbers, (0..300).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(lines[1..].iter().all(|line| line.starts_with("192.0.2.4,")));
}

#[test]
fn a_server_that_is_silent_costs_a_bounded_time() {
    let (folder, dns) = (TempDir::new().unwrap(), Dns::start());
    let mut settings = settings(&folder, dns.port, &RESOLUTIONS[1..2]);
    settings.wait = Duration::from_millis(300);
    let rows: Vec<_> = (0..3_000).map(|n| format!("mute{n}.example")).collect();
    let rows: Vec<_> = rows.iter().map(|name| ("10.0.0.1", name.as_str())).collect();
    let (lines, totals, took) = resolved(&folder, &settings, &rows);
    assert_eq!((lines.len(), totals.sent), (3_001, 3_000));
    assert!(lines[1..].iter().all(|line| line.starts_with("0.0.0.0,")));
    // Asked one after the other they would take 900 s; three windows of records wait 0.3 s each.
    assert!(took < Duration::from_secs(60), "{took:?}");
    assert!(dns.asked.load(Ordering::SeqCst) < 600, "a silent server is left alone");
}

#[test]
fn command_lines_that_are_refused() {
    let folder = TempDir::new().unwrap();
    let ifc = || format!("{},f:{}", records(&folder, &[]), path(&folder, "out"));
    for (code, words) in [
        (0, &["-h"][..]),
        (2, &[]),
        (2, &["-u", SPEC]),
        (2, &["-r", "SRC_IP", "dns_ptr", "X"]),
        (2, &["-u", SPEC, "-r", "SRC_IP", "dns_ptr"]),
        (2, &["-u", SPEC, "-r", "SRC_IP", "dns_mx", "X"]),
        (2, &["-u", SPEC, "-r", "SRC_IP/HOST", "dns_ptr", "X"]),
        (2, &["-u", SPEC, "-r", "A/B/C", "ent_services", "X"]),
        (2, &["-u", SPEC, "-r", "DST_PORT", "ent_services", "X"]),
        (2, &["-u", SPEC, "-r", "NO_IP", "dns_ptr", "X"]),
        (2, &["-u", SPEC, "-r", "HOST", "dns_ptr", "X"]),
        (2, &["-u", SPEC, "-r", "SRC_IP", "dns_ptr", "SRC_IP"]),
        (2, &["-u", "uint8", "-r", "SRC_IP", "dns_ptr", "X"]),
        (2, &["-u", SPEC, "-r", "SRC_IP", "dns_ptr", "X", "word"]),
        (2, &["-u", SPEC, "-r", "SRC_IP", "dns_ptr", "X", "--server", "localhost"]),
        (2, &["-u", SPEC, "-r", "SRC_IP", "dns_ptr", "X", "--timeout", "0"]),
        (0, &["-u", SPEC, "-r", "SRC_IP", "dns_ptr", "X", "--timeout", "0.5", "--server", "::1", "--verbose"]),
        // The fields that the sender must have are not there.
        (0, &["-u", "ipaddr OTHER", "-r", "OTHER", "dns_ptr", "X"]),
    ] {
        assert_eq!(module("resolver", &[&["-i", &ifc()], words].concat()), code, "{words:?}");
    }
}
