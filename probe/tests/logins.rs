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
    ("ldap", &["version"], &["ldap.version"], "ldap"),
    ("ldap", &["dn"], &["ldap.name"], "ldap"),
    ("ldap", &["mechanism"], &["ldap.mechanism"], "ldap"),
    ("ldap", &["result"], &["ldap.resultCode"], "ldap.protocolOp == 1 && ldap.resultCode != 14"),
    ("ldap", &["#operations"], &["ldap.protocolOp"], "ldap.protocolOp"),
    ("modbus", &["unit"], &["mbtcp.unit_id"], "mbtcp"),
    ("modbus", &["#functions"], &["modbus.func_code"], "mbtcp"),
    ("modbus", &["exception"], &["modbus.exception_code"], "mbtcp"),
    ("dnp3", &["source", "destination"], &["dnp3.src", "dnp3.dst"], "dnp3"),
    ("dnp3", &["#functions"], &["dnp3.al.func"], "dnp3.al.func < 64"),
    ("iec104", &["types"], &["iec60870_asdu.typeid"], "iec60870_asdu"),
    ("iec104", &["#causes"], &["iec60870_asdu.causetx"], "iec60870_asdu"),
    ("iec104", &["address"], &["iec60870_asdu.addr"], "iec60870_asdu"),
    ("iec104", &["&controls"], &["iec60870_104.utype"], "iec60870_104.type == 3"),
    ("bittorrent", &["info_hash"], &["bittorrent.info_hash"], "bittorrent"),
    ("tlsserver", &["cipher"], &["tls.handshake.ciphersuite"], "tls.handshake.type == 2"),
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

/// Distinct values of a plugin's fields in all flows; numbers in decimal, none for 0 and for what is not there. Of a field with # before its name
/// the numbers of the bits that are set, with & their values.
fn told(capture: &Path, plugin: &str, names: &[&str]) -> BTreeSet<String> {
    let flows = flows(capture, &["--stats", "none", "--l7", plugin]);
    let records = flows.iter().map(|flow| &flow[plugin]).filter(|record| !record.is_null());
    let values = records.flat_map(|record| names.iter().flat_map(|name| values(record, name)));
    values.filter(|text| !NOTHING.contains(&text.as_str())).collect()
}

fn values(record: &Value, name: &str) -> Vec<String> {
    let first = name.chars().next();
    if let Some(name) = name.strip_prefix(['#', '&']) {
        let set = record[name].as_u64().unwrap_or_else(|| panic!("no number {name} in {record}"));
        let bits = (0..u64::BITS).filter(|bit| set >> bit & 1 != 0);
        return bits.map(|bit| if first == Some('#') { bit.to_string() } else { (1u64 << bit).to_string() }).collect();
    }
    match &record[name] {
        Value::String(text) => vec![text.clone()],
        Value::Number(number) => vec![number.to_string()],
        Value::Array(items) => items.iter().map(ToString::to_string).collect(),
        _ => panic!("no value {name} in {record}"),
    }
}

/// The same of tshark's fields, in the form of ours.
fn read(capture: &Path, names: &[&str], filter: &str) -> BTreeSet<String> {
    // A name's parts come as one text, as they do here.
    let args = ["-d", "tcp.port==2222,ssh", "-d", "tcp.port==5020,mbtcp", "-Y", filter, "-E", "aggregator=|"];
    let table = tools::tshark_fields(capture, &args, names);
    let values = table.split(['\t', '\n']).flat_map(|value| {
        let is_list = value.split('|').all(|part| number(part).is_some());
        value.split(if is_list { '|' } else { '\t' }).map(plain)
    });
    values.filter(|value| !NOTHING.contains(&value.as_str())).collect()
}

/// A number in decimal or, behind 0x, in hexadecimal digits.
fn number(text: &str) -> Option<u64> {
    text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |digits| u64::from_str_radix(digits, 16).ok())
}

/// A cookie without its name, a number in decimal, a host without the root.
fn plain(value: &str) -> String {
    let value = value.strip_suffix(r"\r\n").unwrap_or(value).trim();
    let value = value.strip_prefix("Cookie: mstshash=").unwrap_or(value);
    // Of a name in the DNS's form the root is not told here.
    let value = value.strip_suffix('.').unwrap_or(value);
    let number = number(value).filter(|_| value.starts_with("0x"));
    number.map_or_else(|| value.replace('|', "/"), |number| number.to_string())
}

/// Each node is one of those that tshark reads, and each client the beginning of a peer's id or a node's version.
#[test]
fn peers_and_nodes_are_those_of_tshark() {
    if tools::skipped() {
        return;
    }
    let folder = Folder::new();
    let capture = folder.capture("bittorrent");
    let table =
        tools::tshark_fields(&capture, &["-E", "aggregator=|"], &["bittorrent.peer_id", "bt-dht.bencoded.string"]);
    let read: Vec<&str> = table.split(['\t', '\n', '|']).collect();
    let nodes = told(&capture, "bittorrent", &["node", "node_rev"]);
    assert_eq!(nodes.len(), 2);
    for node in nodes {
        assert!(read.windows(2).any(|pair| pair == ["id", &node]), "{node} in {read:?}");
    }
    let clients = told(&capture, "bittorrent", &["client", "client_rev"]);
    assert_eq!(clients.iter().map(String::as_str).collect::<Vec<_>>(), ["-TR4050-", "-qB4520-", "LT", "UT"]);
    for client in clients {
        let digits: String = client.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(read.iter().any(|id| id.starts_with(&digits)), "{client} in {read:?}");
    }
}

/// The certificate has its common names in UTF-8, and nothing else.
#[test]
fn names_in_certificates_are_those_of_tshark() {
    if tools::skipped() {
        return;
    }
    let folder = Folder::new();
    let capture = folder.capture("tlsserver");
    let args = ["-Y", "tls.handshake.type == 11", "-E", "aggregator=|"];
    let table = tools::tshark_fields(&capture, &args, &["x509sat.uTF8String"]);
    let read: BTreeSet<String> = table.trim().split('|').map(String::from).collect();
    assert_eq!(read.len(), 2);
    assert_eq!(told(&capture, "tlsserver", &["subject", "issuer"]), read);
}

/// Fingerprints put together from what tshark reads of the frames.
#[test]
fn fingerprints_of_http2_are_made_of_what_tshark_reads() {
    if tools::skipped() {
        return;
    }
    // The numbers, then the values of numbers 1 to 6.
    const SETTINGS: [&str; 7] = [
        "http2.settings.id",
        "http2.settings.header_table_size",
        "http2.settings.enable_push",
        "http2.settings.max_concurrent_streams",
        "http2.settings.initial_window_size",
        "http2.settings.max_frame_size",
        "http2.settings.max_header_list_size",
    ];
    const OTHERS: [&str; 8] = [
        "http2.window_update.window_size_increment",
        "http2.type",
        "http2.streamid",
        "http2.exclusive",
        "http2.stream_dependency",
        "http2.headers.weight_real",
        "http2.header.name",
        "http2.header.value",
    ];
    let folder = Folder::new();
    let capture = folder.capture("http2");
    let flows = flows(&capture, &["--stats", "none", "--l7", "http2"]);
    assert_eq!(flows.len(), 2);
    for flow in flows {
        let side = |port: &Value, wanted: &[&str]| -> Vec<Vec<String>> {
            let filter = format!("http2 && tcp.srcport == {port}");
            let args = ["-d", "tcp.port==8080,http2", "-d", "tcp.port==50051,http2", "-Y", &filter];
            let mut columns = vec![Vec::new(); wanted.len()];
            for line in tools::tshark_fields(&capture, &args, wanted).lines() {
                for (column, values) in columns.iter_mut().zip(line.split('\t')) {
                    column.extend(values.split(',').filter(|value| !value.is_empty()).map(String::from));
                }
            }
            columns
        };
        let settings = |port| {
            let values = side(port, &SETTINGS);
            let one = |number: &String| {
                let place: usize = number.parse().expect("a number");
                // true and false of one, in tshark's way.
                let value = match values[place][0].as_str() {
                    "False" => "0",
                    "True" => "1",
                    value => value,
                };
                format!("{number}:{value}")
            };
            values[0].iter().map(one).collect::<Vec<_>>().join(";")
        };
        let http2 = &flow["http2"];
        assert_eq!(http2["settings_rev"], settings(&flow["dst_port"]).as_str());
        let [windows, types, streams, alone, on, weights, names, values] =
            side(&flow["src_port"], &OTHERS).try_into().expect("a column a field");
        let prior = types.iter().zip(&streams).filter(|(kind, _)| *kind == "2").enumerate();
        let prior: Vec<String> =
            prior.map(|(at, (_, stream))| format!("{stream}:{}:{}:{}", alone[at], on[at], weights[at])).collect();
        let prior = if prior.is_empty() { "0".into() } else { prior.join(",") };
        let window = windows.first().map_or("00", String::as_str);
        let letters: Vec<&str> =
            names.iter().filter_map(|name| name.strip_prefix(':')).map(|name| &name[..1]).collect();
        let want = format!("{}|{window}|{prior}|{}", settings(&flow["src_port"]), letters.join(","));
        assert_eq!(http2["fingerprint"], want.as_str());
        assert_eq!(http2["grpc"] == 1, values.iter().any(|value| value == "application/grpc"));
    }
}

/// Plugins that go by content on any port, and are told by a few bytes.
const BY_CONTENT: [&str; 6] = ["ldap", "modbus", "dnp3", "iec104", "bittorrent", "http2"];

/// Nothing of other protocols is taken for one of these.
fn strangers(name: &str, capture: &Path) -> Vec<String> {
    let flows = flows(capture, &["--stats", "none", "--l7", &BY_CONTENT.join(",")]);
    let found = flows.iter().flat_map(|flow| BY_CONTENT.iter().filter(|plugin| !flow[**plugin].is_null()));
    found.filter(|plugin| **plugin != name).map(|plugin| format!("{plugin} in {name}")).collect()
}

#[test]
fn each_is_found_in_its_own_capture_only() {
    let folder = Folder::new();
    let wrong: Vec<_> =
        benches::cases().iter().flat_map(|case| strangers(case.name, &folder.capture(case.name))).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    for name in BY_CONTENT {
        assert!(!strangers("", &folder.capture(name)).is_empty(), "{name}");
    }
}

/// The second suite: recordings of real networks, in which there is none.
#[test]
fn none_is_found_in_recordings_of_others() {
    let Some(folder) = support::recorded("fixtures/pcap") else { return };
    let entries = std::fs::read_dir(&folder).expect("a folder of captures");
    let captures: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    let captures = captures.iter().filter(|path| path.extension().is_some_and(|ending| ending == "pcap"));
    let wrong: Vec<_> = captures.flat_map(|path| strangers(&path.display().to_string(), path)).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
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
