//! The golden captures against tools that never saw our code: capinfos counts, tshark looks for faults.
use std::path::Path;
use std::process::Command;

use benches::{Case, cases};

/// Every fault that tshark can name; checksums are not verified unless asked.
const FAULTS: &str = "_ws.malformed || ip.checksum.status==0 || tcp.checksum.status==0 || udp.checksum.status==0 || \
                      icmp.checksum.status==0 || icmpv6.checksum.status==0 || sctp.checksum.status==0 || \
                      gre.checksum.status==0";
const CHECKS: [&str; 4] =
    ["ip.check_checksum:TRUE", "tcp.check_checksum:TRUE", "udp.check_checksum:TRUE", "sctp.checksum:crc-32c"];

#[test]
fn names_are_distinct_and_every_case_says_what_it_shows() {
    let mut names: Vec<_> = cases().iter().map(|case| case.name).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    assert!(cases().iter().all(|case| !case.about.is_empty() && case.packets > 0));
}

#[test]
fn capinfos_counts_what_the_cases_promise_and_all_begin_at_the_same_moment() {
    let Some(directory) = written() else { return };
    let files: Vec<_> = cases().iter().map(|case| directory.path().join(case.name)).collect();
    let mut arguments = vec!["-M", "-T", "-r", "-c", "-d", "-a", "-S"];
    arguments.extend(files.iter().map(|file| path(file)));
    // A line for each file, in this order.
    let told = run("capinfos", &arguments);
    assert_eq!(told.lines().count(), cases().len());
    for (case, line) in cases().iter().zip(told.lines()) {
        let fields: Vec<_> = line.split('\t').skip(1).collect();
        let [packets, bytes, first] = fields[..] else { panic!("{line}") };
        assert_eq!([packets, bytes], [case.packets.to_string(), case.wire_bytes.to_string()], "{}", case.name);
        assert_eq!(first.trim_end_matches('0'), "1600000000.", "{}", case.name);
    }
}

#[test]
fn tshark_finds_no_fault_in_clean_cases_and_some_in_the_others() {
    let Some(directory) = written() else { return };
    for case in cases() {
        let faults = faults(&directory.path().join(case.name));
        // The broken case proves that this check can fail.
        assert_eq!(faults.is_empty(), case.clean, "{}: {faults}", case.name);
    }
}

#[test]
fn tshark_finds_no_fault_in_a_realistic_mix() {
    let Some(directory) = written() else { return };
    let file = directory.path().join("mix");
    let mut out = std::fs::File::create(&file).expect("a new file in our own directory");
    let totals = benches::write_capture(benches::Profile::Realistic, 20_000, 0, 3, &mut out).expect("room for 10 MB");
    let told = run("capinfos", &["-M", "-T", "-r", "-c", "-d", path(&file)]);
    assert!(told.trim().ends_with(&format!("\t{}\t{}", totals.packets, totals.bytes)), "{told}");
    assert_eq!(faults(&file), "");
}

#[test]
fn tshark_sees_the_protocols_by_name() {
    let Some(directory) = written() else { return };
    let expected = [
        ("http_keepalive", "http.request", 3),
        ("dns", "dns.flags.response==1", 9),
        ("dns", "dns.flags.rcode==3", 1),
        ("dns_tcp", "dns", 2),
        ("smtp", "smtp.req.command==\"RCPT\"", 3),
        ("ssh", "ssh.kex.hassh || ssh.kex.hasshserver", 2),
        ("rdp", "rdp.neg_type", 4),
        ("smb", "smb2.cmd==1 && smb2.nt_status==0xc000006d", 4),
        ("kerberos", "kerberos.msg_type==30", 3),
        ("sip", "sip.Method", 4),
        ("sip", "sip.Status-Code", 5),
        ("tls12", "tls.handshake.type==1", 2),
        ("tls13", "tls.handshake.extensions_server_name==\"www.example.org\"", 1),
        ("tls13", "tls.handshake.type==2", 2),
        ("quic", "quic.long.packet_type==0", 2),
        ("qinq", "ieee8021ad.id==100 && vlan.id==10", 2),
        ("mpls", "mpls.label==17 && ipv6", 2),
        ("pppoe", "pppoes && ip", 12),
        ("ipv6_ext", "ipv6.hopopts && ipv6.routing", 15),
        ("fragments", "ip.flags.mf==1", 2),
        ("fragments_reordered", "udp.length==4008", 2),
        ("icmp", "icmp.type==3 && udp.dstport==9", 1),
        ("sctp", "sctp.chunk_type==0", 2),
        ("basic_tcp", "tcp.analysis.retransmission", 1),
        ("fin_restart", "tcp.flags.syn==1 && tcp.flags.ack==0", 4),
    ];
    for (name, filter, count) in expected {
        let lines = run("tshark", &["-r", path(&directory.path().join(name)), "-Y", filter]);
        assert_eq!(lines.lines().count(), count, "{name}: {filter}\n{lines}");
    }
}

/// All cases as files; `None` when the tools are not wanted.
fn written() -> Option<tempfile::TempDir> {
    if std::env::var_os("SONDA_SKIP_TOOLS").is_some_and(|value| value == "1") {
        return None;
    }
    let directory = tempfile::tempdir().expect("a directory below the temporary one");
    for Case { name, build, .. } in cases() {
        std::fs::write(directory.path().join(name), build()).expect("room for a few kilobytes");
    }
    Some(directory)
}

fn faults(file: &Path) -> String {
    let mut arguments = vec!["-r", path(file), "-Y", FAULTS];
    arguments.extend(CHECKS.iter().flat_map(|check| ["-o", check]));
    run("tshark", &arguments)
}

fn path(file: &Path) -> &str {
    file.to_str().expect("our temporary names are ASCII")
}

fn run(tool: &str, arguments: &[&str]) -> String {
    let package = if tool == "capinfos" { "wireshark-common" } else { tool };
    let done = Command::new(tool)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{tool}: {error}; apt install {package}, or set SONDA_SKIP_TOOLS=1"));
    assert!(done.status.success(), "{tool} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}
