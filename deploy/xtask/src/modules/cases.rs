//! What is measured: each module with its arguments, and the files that it reads besides.
use super::records::Fields;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

/// A module as it is measured.
pub(super) struct Case {
    pub(super) module: &'static str,
    pub(super) fields: Fields,
    /// `@NAME` is a file of the run's folder.
    pub(super) args: &'static [&'static str],
    /// All of them read the same records.
    pub(super) inputs: usize,
    pub(super) has_output: bool,
}

const fn case(module: &'static str, fields: Fields, args: &'static [&'static str]) -> Case {
    Case { module, fields, args, inputs: 1, has_output: true }
}

/// adaptive_filter and the aggregators are not here: they see alerts, of which there are few.
pub(super) const MODULES: &[Case] = &[
    case("unirecfilter", Fields::Flows, &["-F", "DST_PORT == 443 OR SRC_IP == 10.0.0.0/8 AND BYTES > 1000"]),
    case("agg", Fields::Flows, &["-k", "SRC_IP", "-k", "DST_PORT", "-s", "BYTES", "-s", "PACKETS", "-t", "A:10"]),
    case("biflow_aggregator", Fields::Flows, &["-c", "@biflow", "-n", "biflow", "-s", "20"]),
    case("vportscan_detector", Fields::Flows, &[]),
    case("haddrscan_detector", Fields::Flows, &[]),
    case("amplification_detection", Fields::Flows, &[]),
    case("brute_force_detector", Fields::Flows, &["-S", "-R", "-T"]),
    case("ddos_detector", Fields::Flows, &[]),
    case("ipblacklistfilter", Fields::Flows, &["-c", "@addresses.xml"]),
    case("hoststatsnemea", Fields::Directed, &["-c", "@hoststats"]),
    case("miner_detector", Fields::Open, &["-u", "@miner.xml"]),
    case("sip_bf_detector", Fields::Sip, &[]),
    case("voip_fraud_detection", Fields::Sip, &["-e", "disabled", "-c", "disabled"]),
    case("dnstunnel_detection", Fields::Dns, &["-E", "@scratch"]),
    case("dnsblacklistfilter", Fields::Dns, &["-c", "@names.xml"]),
    case("dga_detector", Fields::Dns, &[]),
    case("beacon_detector", Fields::Flows, &[]),
    // Of the usual hosts the clients, of the new ones half.
    case("exfiltration_detector", Fields::Flows, &["-n", "0.0.0.0/1"]),
    case("new_service_detector", Fields::Flows, &["-n", "0.0.0.0/0"]),
    case("reflection_detector", Fields::Flows, &[]),
    case("waintrusion_detector", Fields::Http, &[]),
    case("urlblacklistfilter", Fields::Http, &["-c", "@names.xml"]),
    case("login_bf_detector", Fields::Sessions, &[]),
    case("fingerprint_detector", Fields::Sessions, &["-j", "@ja3", "-s", "@servers"]),
    case("doh_tunnel_detector", Fields::Sessions, &["-l", "@servers"]),
    Case { inputs: 2, ..case("smtp_spam_detector", Fields::Mail, &["-L", "@scratch"]) },
    Case {
        has_output: false,
        ..case(
            "backscatter_classifier",
            Fields::Events,
            &["--model", "@model", "--export_to", "print", "--logfile", "@scratch"],
        )
    },
];

const BIFLOW: &str = r#"<?xml version="1.0"?>
<aggregator><id name="biflow">
 <field><name>SRC_IP</name><type>KEY</type><reverse_name>DST_IP</reverse_name></field>
 <field><name>DST_IP</name><type>KEY</type><reverse_name>SRC_IP</reverse_name></field>
 <field><name>SRC_PORT</name><type>KEY</type><reverse_name>DST_PORT</reverse_name></field>
 <field><name>DST_PORT</name><type>KEY</type><reverse_name>SRC_PORT</reverse_name></field>
 <field><name>PROTOCOL</name><type>KEY</type></field>
 <field><name>PACKETS</name><type>SUM</type></field>
 <field><name>BYTES</name><type>SUM</type></field>
 <field><name>TCP_FLAGS</name><type>BITOR</type></field>
</id></aggregator>
"#;

/// Rules and size as they are shipped.
const HOSTSTATS: &str = "rules-generic = 1\nrules-ssh = 1\nrules-dns = 1\nport-flowdir = 1\ntable-size = 2097152\n";

/// Sizes as they are shipped; nobody is asked.
const MINER: &[(&str, &str)] = &[
    ("stratum_check", "false"),
    ("conn_timeout", "10"),
    ("read_timeout", "10"),
    ("timeout_active", "3600"),
    ("timeout_inactive", "60"),
    ("check_period", "60"),
    ("score_treshold", "9"),
    ("suspect_db_size", "1048576"),
    ("suspect_db_stash_size", "4"),
    ("blacklist_db_size", "131072"),
    ("blacklist_db_stash_size", "4"),
    ("whitelist_db_size", "1048576"),
    ("whitelist_db_stash_size", "4"),
];

/// Entries of each blacklist.
const LISTED: u32 = 10_000;
/// Trees of the model, and their depth.
const TREES: usize = 100;
const DEPTH: u32 = 7;

/// Writes what the cases name.
pub(super) fn write(folder: &Path) -> io::Result<()> {
    let path = |name: &str| folder.join(name).display().to_string();
    let addresses: String = (0..LISTED).map(|n| format!("198.{}.{}.0/24,1\n", 18 + n / 256 % 2, n % 256)).collect();
    let mut names: Vec<_> = (0..LISTED).map(|n| format!("user{n}.host{n}.example.com\\1\n")).collect();
    names.sort();
    fs::write(folder.join("biflow"), BIFLOW)?;
    fs::write(folder.join("hoststats"), HOSTSTATS)?;
    fs::write(folder.join("addresses"), addresses)?;
    fs::write(folder.join("addresses6"), "2001:db8::/32,1\n")?;
    fs::write(folder.join("names"), names.concat())?;
    fs::write(
        folder.join("servers"),
        (0..LISTED).map(|n| format!("user{n}.host{n}.example.com\n")).collect::<String>(),
    )?;
    fs::write(folder.join("ja3"), (0..LISTED).map(|n| format!("{n:032x}\n")).collect::<String>())?;
    let lists = [("ipv4_blacklist_file", path("addresses")), ("ipv6_blacklist_file", path("addresses6"))];
    fs::write(folder.join("addresses.xml"), elements(lists.iter().map(|(key, value)| (*key, value.as_str()))))?;
    fs::write(folder.join("names.xml"), elements([("blacklist_file", path("names").as_str())].into_iter()))?;
    fs::write(folder.join("miner.xml"), elements(MINER.iter().copied()))?;
    fs::write(folder.join("model"), model())
}

/// NEMEA's settings in XML.
fn elements<'v>(values: impl Iterator<Item = (&'v str, &'v str)>) -> String {
    let elements: String = values.map(|(key, value)| format!("<element name=\"{key}\">{value}</element>\n")).collect();
    format!("<configuration><struct name=\"main struct\">\n{elements}</struct></configuration>\n")
}

/// A model of the size of the original's, in which nothing is an attack.
fn model() -> String {
    let inner = 2_usize.pow(DEPTH) - 1;
    let nodes = 2 * inner + 1;
    let list = |value: &dyn Fn(usize) -> i64| {
        let mut text = String::new();
        for at in 0..nodes {
            // A String takes every write.
            let _ = write!(text, "{}{}", if at > 0 { "," } else { "" }, value(at));
        }
        text
    };
    let node = |at: usize, inside: usize| if at < inner { inside as i64 } else { -1 };
    let tree = format!(
        r#"{{"feature":[{}],"threshold":[{}],"left":[{}],"right":[{}],"value":[{}]}}"#,
        list(&|at| node(at, at % 3)),
        list(&|_| 0),
        list(&|at| node(at, 2 * at + 1)),
        list(&|at| node(at, 2 * at + 2)),
        list(&|_| 0),
    );
    format!(
        r#"{{"format":"backscatter-trees-1","tcp":{{"features":["FLOW_COUNT","MAX_FPM","RATE"],"mean":[500,100,10],"scale":[100,50,5],"init":-5,"rate":0.3,"trees":[{}]}}}}"#,
        vec![tree; TREES].join(",")
    )
}
