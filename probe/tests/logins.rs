//! What plugins read, most of them of protocols in which people log in, held against what tshark reads; and a recording of a real server.
//!
//! Needs the Debian package `tshark`; SONDA_SKIP_TOOLS=1 does without.

mod support;

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use support::{Folder, flows, tools};

/// A capture, the plugin's fields, tshark's fields and its filter. The values of all fields together must be the same.
const FIELDS: &[(&str, &[&str], &[&str], &str)] = &[
    ("ssh", &["client", "server"], &["ssh.protocol"], "ssh"),
    ("ssh", &["hassh"], &["ssh.kex.hassh"], "ssh"),
    ("ssh", &["hassh_server"], &["ssh.kex.hasshserver"], "ssh"),
    ("rdp", &["cookie"], &["rdp.rt_cookie"], "rdp"),
    ("rdp", &["requested"], &["rdp.negReq.requestedProtocols"], "rdp.neg_type == 1"),
    ("rdp", &["selected"], &["rdp.negReq.selectedProtocol"], "rdp.neg_type == 2"),
    ("rdp", &["failure"], &["rdp.negFailure.failureCode"], "rdp.neg_type == 3"),
    ("smb", &["dialect"], &["smb2.dialect"], "smb2.cmd == 0 && smb2.flags.response == 1"),
    ("smb", &["user"], &["ntlmssp.auth.username"], "smb2"),
    ("smb", &["domain"], &["ntlmssp.auth.domain"], "smb2"),
    ("smb", &["workstation"], &["ntlmssp.auth.hostname"], "smb2"),
    ("kerberos", &["realm"], &["kerberos.realm", "kerberos.crealm"], "kerberos"),
    ("kerberos", &["client"], &["kerberos.CNameString"], "kerberos"),
    ("kerberos", &["server"], &["kerberos.SNameString"], "kerberos"),
    ("kerberos", &["error"], &["kerberos.error_code"], "kerberos.msg_type == 30"),
    ("kerberos", &["request", "reply"], &["kerberos.msg_type"], "kerberos"),
    ("ftp", &["user"], &["ftp.request.arg"], "ftp.request.command == \"USER\""),
    ("ftp", &["file"], &["ftp.request.arg"], "ftp.request.command == \"RETR\""),
    ("ftp", &["greeting"], &["ftp.response.arg"], "ftp.response.code == 220"),
    ("pop3", &["user"], &["pop.request.parameter"], "pop.request.command == \"USER\""),
    ("pop3", &["greeting"], &["pop.response.description"], "pop.response.description contains \"ready\""),
    ("imap", &["user"], &["imap.request.username"], "imap"),
    ("dhcp", &["hostname"], &["dhcp.option.hostname", "dhcpv6.client_domain"], "dhcp || dhcpv6"),
    ("dhcp", &["vendor_class"], &["dhcp.option.vendor_class_id", "dhcpv6.vendorclass.data"], "dhcp || dhcpv6"),
    ("dhcp", &["client_mac"], &["dhcp.hw.mac_addr"], "dhcp"),
    ("dhcp", &["server"], &["dhcp.option.dhcp_server_id"], "dhcp"),
    ("dhcp", &["requested"], &["dhcp.option.requested_ip_address", "dhcpv6.iaaddr.ip"], "dhcp || dhcpv6"),
    ("dhcp", &["assigned"], &["dhcp.ip.your", "dhcpv6.iaaddr.ip"], "dhcp || dhcpv6"),
    ("dhcp", &["lease"], &["dhcp.option.ip_address_lease_time", "dhcpv6.iaaddr.valid_lifetime"], "dhcp || dhcpv6"),
    // Of a relay's message the type of the one inside is told.
    ("dhcp", &["request", "reply"], &["dhcp.option.dhcp", "dhcpv6.msgtype"], "dhcp || dhcpv6 && !dhcpv6.linkaddr"),
    ("snmp", &["error"], &["snmp.error_status"], "snmp"),
    // The first of a flow.
    ("snmp", &["object"], &["snmp.name", "snmp.enterprise"], "udp.dstport == 161 || udp.dstport == 162"),
    ("snmp", &["engine"], &["snmp.msgAuthoritativeEngineID"], "udp.srcport == 161"),
    ("stun", &["mapped"], &["stun.att.ipv4"], "stun.type == 0x0101"),
    ("stun", &["software", "software_rev"], &["stun.att.software"], "stun"),
    ("stun", &["realm"], &["stun.att.realm"], "stun"),
];

#[test]
fn tshark_reads_the_same() {
    if tools::skipped() {
        return;
    }
    let folder = Folder::new();
    for (case, ours, theirs, filter) in FIELDS {
        let mut captures = vec![folder.capture(case)];
        if *case == "ssh" {
            captures.push(openssh());
        }
        for capture in captures {
            let what = format!("{ours:?} of {}", capture.display());
            let told = told(&capture, case, ours);
            assert!(!told.is_empty(), "{what}: nothing to compare");
            assert_eq!(told, read(&capture, theirs, filter), "{what}");
        }
    }
}

/// What stands for a value that is not there.
const NOTHING: [&str; 4] = ["", "0", "0.0.0.0", "::"];

/// Distinct values of a plugin's fields in all flows; numbers in decimal, none for 0 and for what is not there.
fn told(capture: &Path, plugin: &str, names: &[&str]) -> BTreeSet<String> {
    let flows = flows(capture, &["--stats", "none", "--l7", plugin]);
    let values = flows.iter().flat_map(|flow| names.iter().map(|name| flow[plugin][*name].clone()));
    let text = |value| match value {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    values.map(text).filter(|text| !NOTHING.contains(&text.as_str())).collect()
}

/// The same of tshark's fields, in the form of ours.
fn read(capture: &Path, names: &[&str], filter: &str) -> BTreeSet<String> {
    // A name's parts come as one text, as they do here.
    let args = ["-d", "tcp.port==2222,ssh", "-Y", filter, "-E", "aggregator=|"];
    let table = tools::tshark_fields(capture, &args, names);
    table.split(['\t', '\n']).map(plain).filter(|value| !NOTHING.contains(&value.as_str())).collect()
}

/// A cookie without its name, a number in decimal, a host without the root.
fn plain(value: &str) -> String {
    let value = value.strip_suffix(r"\r\n").unwrap_or(value).trim();
    let value = value.strip_prefix("Cookie: mstshash=").unwrap_or(value);
    // Of a name in the DNS's form the root is not told here.
    let value = value.strip_suffix('.').unwrap_or(value);
    let number = value.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
    number.map_or_else(|| value.replace('|', "/"), |number| number.to_string())
}

fn openssh() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures/openssh.pcap")
}

/// Who was let in, and who was not: the server's log, as the README beside the capture tells it.
#[test]
fn a_real_server_lets_in_and_refuses() {
    let mut logins: Vec<(u64, u64, u64)> = Vec::new();
    for flow in flows(&openssh(), &["--stats", "none", "--l7", "ssh"]) {
        let number = |value: &Value| value.as_u64().expect("a number");
        let ssh = &flow["ssh"];
        logins.push((number(&flow["src_port"]), number(&ssh["auth"]), number(&ssh["answers"])));
    }
    logins.sort_unstable();
    // Ports of the client in the order of the connections; before a key is accepted: the list of methods, and that the key is known.
    assert_eq!(logins, [(34_860, 2, 2), (34_870, 2, 2), (46_692, 1, 5), (46_706, 1, 5)]);
}
