//! The second suite: captures and outputs of the original (`$SONDA_SHARED/fixtures`, told by its INDEX.md).
//!
//! Without SONDA_SHARED and without /work/shared nothing is compared, and the tests say so. `.ci/run` sets SONDA_SHARED; a folder that
//! is missing is a failure then.

mod support;

use dataplane::registry::PluginId;
use record::unirec::{Template, View};
use std::path::{Path, PathBuf};
use support::collector::{Tcp, Udp};
use support::{Folder, assert_same, judge, messages, run, tools, trapcap};

/// Names of the files with this ending, without it, in order.
fn names(folder: &Path, ending: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder of fixtures");
    let names = entries.map(|e| e.expect("an entry").file_name().into_string().expect("a plain name"));
    let mut names: Vec<String> = names.filter_map(|n| n.strip_suffix(ending).map(String::from)).collect();
    names.sort();
    names
}

/// The capture that the files of a plugin with this ending were recorded from (INDEX.md).
fn capture_of(fixtures: &Path, plugin: &str, ending: &str) -> PathBuf {
    let name = match plugin {
        // With IPFIX the original dies of a label.
        "mpls" if ending == ".trapcap" => "mpls_http",
        "mpls" => "mixed",
        "basic" | "phists" | "pstats" | "nettisa" | "icmp" | "flowhash" => "mixed",
        "basicplus" => "http",
        "passivedns" => "dns",
        "ssadetector" => "ovpn",
        "quic" => "quic_initial-sample",
        name => name,
    };
    fixtures.join("pcap").join(format!("{name}.pcap"))
}

/// Plugins that the original has not, and osquery: what that one says is of a machine, not of a capture.
const OURS: [&str; 23] = [
    "osquery",
    "ssh",
    "rdp",
    "smb",
    "kerberos",
    "ftp",
    "pop3",
    "imap",
    "dhcp",
    "snmp",
    "stun",
    "rtp",
    "ldap",
    "modbus",
    "dnp3",
    "iec104",
    "bittorrent",
    "http2",
    "tlsserver",
    "communityid",
    "tcpquality",
    "tunnel",
    "application",
];

/// Calls `compare` for each recorded output of a plugin that we have; counts and names those that have to wait. A file is empty where
/// ipfixprobe 5.7.0 dies (INDEX.md).
fn each_plugin(folder: &Path, ending: &str, mut compare: impl FnMut(&str)) {
    let (mut compared, mut waiting) = (Vec::new(), Vec::new());
    for name in names(folder, ending) {
        let file = folder.join(format!("{name}{ending}"));
        let is_empty = std::fs::metadata(file).is_ok_and(|file| file.len() == 0);
        let ours = name == "basic" || PluginId::from_name(&name).is_some();
        if !ours {
            waiting.push(name);
            continue;
        }
        if !is_empty {
            compare(&name);
        }
        compared.push(name);
    }
    println!("{ending}: {} compared: {}", compared.len(), compared.join(" "));
    println!("{ending}: {} not compared, no such plugin yet: {}", waiting.len(), waiting.join(" "));
    for plugin in PluginId::ALL.iter().filter(|plugin| !OURS.contains(&plugin.name())) {
        assert!(compared.iter().any(|n| n == plugin.name()), "nothing was recorded of {}", plugin.name());
    }
}

fn captures(fixtures: &Path) -> Vec<PathBuf> {
    let folder = fixtures.join("pcap");
    let captures: Vec<PathBuf> = names(&folder, ".pcap").iter().map(|n| folder.join(format!("{n}.pcap"))).collect();
    assert!(captures.len() >= 20, "only {captures:?}");
    captures
}

#[test]
fn totals_are_those_of_capinfos_and_tshark_reads_our_ipfix() {
    let Some(fixtures) = support::recorded("fixtures") else { return };
    if tools::skipped() {
        return;
    }
    for capture in captures(&fixtures) {
        let folder = Folder::new();
        let exported = judge::export(&folder, &capture, &["--stats", "all"]);
        judge::totals(&capture, &exported);
        judge::wireshark(&folder, &exported);
    }
}

#[test]
fn lanes_give_the_records_of_one_lane() {
    let Some(fixtures) = support::recorded("fixtures") else { return };
    for capture in captures(&fixtures) {
        for args in [&["--stats", "all"][..], &["--stats", "all", "--compat", "ipfixprobe"]] {
            let text = |lanes: &str| {
                let flows = support::flows(&capture, &[args, &["--lanes", lanes]].concat());
                flows.iter().map(ToString::to_string).collect::<Vec<_>>()
            };
            let one = text("1");
            for lanes in ["2", "4"] {
                assert_same(&format!("{} {args:?} by {lanes} lanes", capture.display()), &text(lanes), &one);
            }
        }
    }
}

#[test]
fn nfdump_shows_our_flows() {
    let Some(fixtures) = support::recorded("fixtures") else { return };
    if tools::skipped() {
        return;
    }
    for capture in captures(&fixtures) {
        for args in [&[][..], &["--uniflow"]] {
            let flows = support::flows(&capture, args);
            judge::nfdump(&capture, args, &flows);
        }
    }
}

#[test]
fn ipfix_records_and_templates_are_those_of_the_original() {
    let Some(fixtures) = support::recorded("fixtures") else { return };
    let folder = fixtures.join("ipfix");
    for (ending, udp) in [(".tcp.ipfix", false), (".udp.ipfix", true)] {
        each_plugin(&folder, ending, |plugin| {
            let theirs = std::fs::read(folder.join(format!("{plugin}{ending}"))).expect("a fixture");
            let theirs = messages::read(&messages::split(&theirs));
            let ours = messages::read(&exported(&capture_of(&fixtures, plugin, ending), plugin, udp));
            let what = format!("{plugin}{ending}");
            assert_eq!(ours.templates, theirs.templates, "{what}");
            assert_eq!(ours.domains, theirs.domains, "{what}");
            assert_same(&what, &swept(ours.records), &swept(theirs.records));
        });
    }
}

/// Whether a flow that is quiet when the capture ends was found by the sweep (idle, end of flow) or by the end (forced) depends on
/// its place in the table, by an unkeyed hash in the original: for such flows the reason is not compared (docs/compatibility.md).
fn swept(mut records: Vec<messages::Fields>) -> Vec<messages::Fields> {
    let end = |record: &messages::Fields| {
        let time = record.iter().find_map(|f| f.strip_prefix("flowEndMicroseconds=")).expect("each record has its end");
        u64::from_str_radix(&time[..8], 16).expect("NTP seconds")
    };
    let last = records.iter().map(end).max().unwrap_or(0);
    for record in &mut records {
        if last - end(record) >= 30 {
            let reason =
                record.iter_mut().find(|f| f.starts_with("flowEndReason=")).expect("each record has its reason");
            if ["01", "03", "04"].iter().any(|r| reason.ends_with(r)) {
                *reason = "flowEndReason=swept or forced".into();
            }
        }
    }
    records
}

/// What `sonda ipfixprobe` sends with the command of the recording.
fn exported(capture: &Path, plugin: &str, udp: bool) -> Vec<Vec<u8>> {
    let input = format!("pcap;file={}", capture.display());
    let send = |port: u16, end: &str| {
        let output = format!("ipfix;host=127.0.0.1;port={port};id=1;dir=0{end}");
        let mut args = vec!["ipfixprobe", "-i", &input, "-o", &output];
        if plugin != "basic" {
            args.extend(["-p", plugin]);
        }
        run(args).must(0);
    };
    if udp {
        let collector = Udp::start();
        send(collector.port(), ";udp");
        return collector.finish();
    }
    let collector = Tcp::start();
    send(collector.port(), "");
    let sessions = collector.finish();
    assert_eq!(sessions.len(), 1, "one session");
    messages::split(&sessions[0])
}

#[test]
fn unirec_records_and_templates_are_those_of_the_original() {
    let Some(fixtures) = support::recorded("fixtures") else { return };
    let folder = fixtures.join("trapcap");
    each_plugin(&folder, ".trapcap", |plugin| {
        let own = Folder::new();
        let input = format!("pcap;file={}", capture_of(&fixtures, plugin, ".trapcap").display());
        let output = format!("unirec;ifc=f:{}:buffer=off:timeout=WAIT;id=0", own.text("out"));
        run(["ipfixprobe", "-i", &input, "-o", &output, "-p", plugin]).must(0);
        let (ours, theirs) =
            (trapcap::read(&own.path("out")), trapcap::read(&folder.join(format!("{plugin}.trapcap"))));
        assert_eq!((&ours.spec, ours.ended), (&theirs.spec, theirs.ended), "{plugin}");
        assert_same(plugin, &values(&ours), &values(&theirs));
        if plugin != "tls" {
            assert_same(plugin, &hex(&ours.records), &hex(&theirs.records));
        }
        // And logger prints what the original's logger printed.
        let printed = run(["logger", "-t", "-i", &format!("f:{}", own.text("out"))]).must(0);
        let theirs =
            String::from_utf8_lossy(&std::fs::read(folder.join(format!("{plugin}.csv"))).expect("csv")).into_owned();
        let lines = |text: &str| text.lines().map(String::from).collect::<Vec<_>>();
        assert_same(&format!("{plugin}.csv"), &lines(&printed.stdout), &lines(&theirs));
    });
}

/// Records field by field. The original ends a JA4 of full length with the byte that follows it in memory, 1 once a ServerHello was
/// seen; we do not (docs/compatibility.md), so that byte is taken off here.
fn values(file: &trapcap::Trapcap) -> Vec<Vec<String>> {
    let template = Template::parse(&file.spec).expect("a template");
    let values = |record: &Vec<u8>| {
        let view = View::new(&template, record).expect("a record of the template");
        let fields = template.fields().iter().enumerate().map(|(at, field)| {
            let raw = view.raw(at).expect("the field is there");
            let raw = if field.name == "TLS_JA4" { raw.strip_suffix(&[1]).unwrap_or(raw) } else { raw };
            format!("{}={raw:02x?}", field.name)
        });
        fields.collect()
    };
    file.records.iter().map(values).collect()
}

fn hex(records: &[Vec<u8>]) -> Vec<String> {
    records.iter().map(|r| r.iter().map(|b| format!("{b:02x}")).collect()).collect()
}
