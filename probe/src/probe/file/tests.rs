//! Files that are taken, each with its command line, and what is said of others.
use super::*;
use proptest::prelude::*;

fn parsed(text: &str) -> Result<Vec<String>, Vec<String>> {
    let place = Place { path: Path::new("p.toml"), text };
    let words = |read: Read| read.words.into_iter().map(|word| word.to_string_lossy().into_owned()).collect();
    parse(place).map(words).map_err(|refused| refused.lines)
}

#[test]
fn a_file_is_a_command_line() {
    let text = "[input]\nfiles = [\"a.pcap\", \"-b\"]\nlanes = 0x2\n[storage]\nuniflow = true\n[process]\nl7 = [\"dnssd\", \"http\"]\nstats = [\"none\"]\n\
                [process.dnssd]\ntxt = true\n[output]\njson = \"-\"\nunirec = [\"u:flows\", \"http=u:http\"]\nlz4 = false\n";
    let expected = ["--lanes=2", "--json=-", "--unirec=u:flows", "--unirec=http=u:http", "--l7=dnssd;txt", "--l7=http"];
    let mut words = parsed(text).expect("taken");
    let files = words.split_off(words.len() - 3);
    assert_eq!(files, ["--", "a.pcap", "-b"]);
    for word in expected {
        assert!(words.iter().any(|there| there == word), "{word}: {words:?}");
    }
    assert_eq!(words.len(), expected.len() + 2, "{words:?}");
}

#[test]
fn options_of_a_plugin_that_is_on_by_default() {
    let words = parsed("[input]\nfiles = [\"a\"]\n[process.mqtt]\ntopiccount = 3\n[process.imap]\nuser = false\n")
        .expect("taken");
    assert!(words.contains(&"--l7=mqtt;topiccount=3".into()), "{words:?}");
    assert!(words.contains(&"--l7=imap;user=no".into()), "{words:?}");
    assert!(words.contains(&"--l7=http".into()), "the others are on as before: {words:?}");
    let words = parsed("[input]\nfiles = [\"a\"]\n[process]\nstats = [\"all\"]\n[process.pstats]\nskipdup = true\n")
        .expect("taken");
    assert_eq!(words[..2], ["--stats=pstats;skipdup", "--stats=all"]);
}

/// With each key by itself switched on the reference is read, too, so that no example lies.
#[test]
fn every_key_of_the_reference() {
    let reference = reference::commented();
    parsed(&reference).expect("as it is");
    let mut tried = 0;
    let (mut table, mut head) = (String::new(), String::new());
    for line in reference.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        if bare.starts_with('[') {
            table = bare.to_string();
        }
        let Some((key, value)) = bare.split_once(" = ") else { continue };
        if !key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') || key == "files" {
            continue;
        }
        tried += 1;
        assert_ne!(value, "null", "{key} has neither a default nor an example");
        head.clear();
        if table == "[[rule]]" {
            parsed(&of_rule(key, value)).unwrap_or_else(|why| panic!("{why:?}\n{key}"));
            continue;
        }
        // What the key needs beside it.
        let of_files = ["interface", "interface_index"].contains(&key);
        let is_live = table == "[input]" && !of_files || table == "[privileges]";
        let beside = [
            ("tls_cert", "tls_key = \"/k\"\n"),
            ("tls_key", "tls_cert = \"/c\"\n"),
            ("lz4", ""),
            ("tls_ca", ""),
            ("tls_name", ""),
            ("dtls_lifetime", ""),
        ];
        let beside =
            beside.iter().find(|(name, _)| *name == key).map(|(_, with)| format!("ipfix = [\"tls://h\"]\n{with}"));
        let live = "interface = [\"lo\"]\nbackend = \"af_xdp\"\n";
        let live = if key == "backend" { "interface = [\"lo\"]\n" } else { live };
        let input = if is_live {
            live
        } else if key == "interface" {
            ""
        } else {
            "files = [\"a\"]\n"
        };
        let on = "[process]\nstats = [\"pstats\", \"phists\", \"communityid\", \"osquery\"]\n";
        let on = if table.starts_with("[process.") { on } else { "" };
        let keep = if key == "rss" { "[privileges]\nkeep_privileges = true\n" } else { "" };
        let own = format!("{}{key} = {value}\n", beside.unwrap_or_default());
        head += &if table == "[input]" {
            format!("[input]\n{input}{own}{keep}")
        } else {
            format!("[input]\n{input}{on}{table}\n{own}")
        };
        if key == "kafka" && !cfg!(feature = "kafka") {
            let why = parsed(&head).expect_err("a build without it");
            assert!(why[0].starts_with("[ERROR] p.toml:4:") && why[0].contains("--features kafka"), "{why:?}");
            continue;
        }
        // The processors of the example may be missing here.
        if key != "cpus" {
            parsed(&head).unwrap_or_else(|why| panic!("{why:?}\n{head}"));
        }
    }
    assert_eq!(
        tried,
        keys().len() - 1 + 11 + rules::keys::schema()["items"]["properties"].as_object().map_or(0, |keys| keys.len()),
        "every option, eleven of plugins, and those of a rule"
    );
}

/// A file with a rule that has this key, and what it needs beside it.
fn of_rule(key: &str, value: &str) -> String {
    let needs: &[(&str, &str)] = match key {
        "fields" => &[("aggregate", "false")],
        _ => &[("key", "[\"SRC_IP\"]")],
    };
    let always = [("name", "\"r\""), ("json", "\"r.json\"")];
    let beside = needs.iter().chain(&always).filter(|(name, _)| *name != key);
    let beside: String = beside.map(|(name, value)| format!("{name} = {value}\n")).collect();
    format!("[input]\nfiles = [\"a.pcap\"]\n[[rule]]\n{beside}{key} = {value}\n")
}

#[test]
fn a_rule_is_a_word_of_the_command_line() {
    let text = "[[rule]]\nname = \"a\" # one\nkey = [\n  \"SRC_IP/24/64\", # two\n  'DST_PORT',\n]\nfilter = '''PROTOCOL == TCP'''\n\
                json = \"a.json\"\n[input]\nfiles = [\"a.pcap\"]\n[[rule]]\nname = \"b\"\naggregate = false\nfields = [\"BYTES\"]\njson = \"-\"\n";
    let words = parsed(text).expect("taken");
    assert!(
        words[0].starts_with("--rule=name = \"a\", key = [") && words[1].starts_with("--rule=name = \"b\", "),
        "{words:?}"
    );
    // What the second process of an isolated run is given is read as the same.
    let args = Args::try_parse_from(std::iter::once("sonda probe").chain(words.iter().map(String::as_str)));
    assert_eq!(args.expect("read").output.rules.len(), 2);
}

#[test]
fn what_is_wrong_with_a_rule_is_said_with_its_place() {
    let of = |rest: &str| {
        let text = format!("[input]\nfiles = [\"a.pcap\"]\n[[rule]]\nname = \"a\"\njson = \"a.json\"\n{rest}");
        parsed(&text).expect_err(rest)
    };
    for (rest, expected) in [
        ("kye = []\n", &["[ERROR] p.toml:6:1: there is no key kye in a rule", "[INFO] Did you mean \"key\"?"][..]),
        ("key = 3\n", &["[ERROR] p.toml:6:7: key takes an array of strings, not this integer"]),
        (
            "key = [\"SRC_IP/24/64\",\n\"DST_PROT\"]\n",
            &[
                "[ERROR] p.toml:7:1: there is no field DST_PROT: docs/fields.md lists them",
                "[INFO] Did you mean \"DST_PORT\"?",
            ],
        ),
        ("key = [\"SRC_IP/24\"]\n", &["[ERROR] p.toml:6:8: SRC_IP is of both families"]),
        (
            "key = [\"SRC_PORT\"]\nvalues = [\"flows\", \"SRC_PORT\"]\n",
            &["[ERROR] p.toml:7:20: SRC_PORT needs to be told how flows are joined"],
        ),
        ("key = [\"SRC_PORT\"]\nvalues = [\"bytes\", \"BYTES\"]\n", &["[ERROR] p.toml:7:20: bytes is named twice"]),
        ("key = [\"SRC_PORT\"]\nentries = 0\n", &["[ERROR] p.toml:7:11: entries: use 1 to 16777216"]),
        ("key = [\"SRC_PORT\"]\ntemplate = 255\n", &["[ERROR] p.toml:7:12: template: use 256 to 64998"]),
        (
            "key = [\"SRC_PORT\"]\ndirection = \"both\"\n",
            &["[ERROR] p.toml:7:13: direction = \"both\": one of biflow, each is possible"],
        ),
        (
            "key = [\"SRC_PORT\"]\nfilter = \"BYTE > 1\"\n",
            &["[ERROR] p.toml:7:10: filter: there is no UniRec field BYTE", "[INFO] Did you mean \"BYTES\"?"],
        ),
        ("key = [\"SRC_PORT\"]\nfilter = \"BYTES >\"\n", &["[ERROR] p.toml:7:10: filter: syntax error"]),
        (
            "key = [\"SRC_PORT\"]\nipfix = [\"http://x\"]\n",
            &["[ERROR] p.toml:7:10: ipfix = \"http://x\": unknown transport"],
        ),
        (
            "key = [\"SRC_PORT\"]\nfields = [\"BYTES\"]\n",
            &["[ERROR] p.toml:7:10: fields is for a rule with aggregate = false"],
        ),
        ("", &["[ERROR] p.toml:3:1: a rule needs a key"]),
        (
            "key = [\"SRC_PORT\"]\n[[rule]]\nname = \"a\"\nkey = [\"SRC_PORT\"]\njson = \"b\"\n",
            &["[ERROR] p.toml:7:1: rule a: another rule has this name"],
        ),
        (
            "key = [\"SRC_PORT\"]\n[[rule]]\nname = \"b\"\nkey = [\"SRC_PORT\"]\njson = \"a.json\"\n",
            &["[ERROR] p.toml:7:1: rule b: a.json is written by another output"],
        ),
        (
            "key = [\"SRC_PORT\"]\ntemplate = 300\n[[rule]]\nname = \"b\"\nkey = [\"SRC_PORT\"]\njson = \"b\"\ntemplate = 301\n",
            &["[ERROR] p.toml:8:1: rule b: template 301: rule a has 300 and 301"],
        ),
        (
            "key = [\"SRC_PORT:class\"]\nvalues = [\"max(SRC_PORT)\"]\nipfix = [\"h\"]\n",
            &["[ERROR] p.toml:3:1: rule a: src_port and max_src_port are one IPFIX element"],
        ),
        (
            "key = [\"SRC_PORT\", \"passivedns.id\"]\n",
            &["[ERROR] p.toml:3:1: rule a: it asks for passivedns, which is not on"],
        ),
    ] {
        let said = of(rest);
        assert_eq!(said.len(), expected.len(), "{rest}{said:?}");
        said.iter().zip(expected).for_each(|(said, line)| assert!(said.starts_with(line), "{rest}{said:?}"));
    }
    let none = parsed("[input]\nfiles = [\"a\"]\n[[rule]]\nname = \"a\"\nkey = [\"SRC_IP\"]\n").expect_err("no output");
    assert_eq!(none, ["[ERROR] p.toml:3:1: rule a has no output: give ipfix, ipfix_file or json"]);
    let single = parsed("[input]\nfiles = [\"a\"]\n[rule]\nname = \"a\"\n").expect_err("no list");
    assert_eq!(single, ["[ERROR] p.toml:3:2: a rule is a table in a list: write [[rule]]"]);
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let with = |rest: &str| parsed(&format!("[input]\nfiles = [\"a.pcap\"]\n{rest}")).expect_err(rest);
    for (rest, expected) in [
        ("lane = 2\n", &["[ERROR] p.toml:3:1: there is no key lane in [input]", "[INFO] Did you mean \"lanes\"?"][..]),
        ("[inptu]\n", &["[ERROR] p.toml:3:2: there is no table [inptu]", "[INFO] Did you mean \"input\"?"]),
        ("json = \"-\"\n", &["[ERROR] p.toml:3:1: json stands in the table [output]"]),
        ("[output]\njson = true\n", &["[ERROR] p.toml:4:8: json takes a string, not this boolean"]),
        ("[storage]\nflows = \"many\"\n", &["[ERROR] p.toml:4:9: flows takes an integer, not this string"]),
        (
            "lanes = 0\nring = 1.5\n",
            &[
                "[ERROR] p.toml:3:9: lanes = 0: 0 is not in 1..=256",
                "[ERROR] p.toml:4:8: ring takes an integer, not this float",
            ],
        ),
        (
            "[output]\noverflow = \"dorp\"\n",
            &[
                "[ERROR] p.toml:4:12: overflow = \"dorp\": one of wait, drop is possible",
                "[INFO] Did you mean \"drop\"?",
            ],
        ),
        (
            "[output]\nipfix = [\"a\", \"http://b\"]\n",
            &[
                "[ERROR] p.toml:4:15: ipfix = \"http://b\": unknown transport 'http', use udp://, tcp://, tls:// or dtls://",
            ],
        ),
        ("[storage]\nflows = 0\n", &["[ERROR] p.toml:4:1: flows 0 is out of range, use 1 to 1073741824"]),
        ("filter = \"nonsense !\"\n", &["[ERROR] p.toml:3:1: filter: filter `nonsense !`"]),
        (
            "[output]\nunirec = [\"u:a\", \"gopher=u:b\"]\n",
            &["[ERROR] p.toml:4:18: unirec gopher=u:b: there is no plugin 'gopher'"],
        ),
        ("[output]\nmtu = 20\n", &["[ERROR] p.toml:4:1: mtu 20: mtu 20 is too small, the least is 32"]),
        ("[output]\ntls_cert = \"/c\"\n", &["[ERROR] p.toml:4:1: tls_cert needs ipfix, tls_key"]),
        ("interface = [\"lo\"]\n", &["[ERROR] p.toml:3:1: interface cannot stand beside files"]),
        (
            "[process]\nl7 = [\"htpp\"]\n",
            &["[ERROR] p.toml:4:7: l7 = \"htpp\": there is no such plugin", "[INFO] Did you mean \"http\"?"],
        ),
        (
            "[process]\nl7 = [\"dnssd;txt\"]\n",
            &["[ERROR] p.toml:4:7: l7 = \"dnssd;txt\": options of a plugin stand in its table, [process.dnssd]"],
        ),
        (
            "[process.pstats]\n",
            &["[ERROR] p.toml:3:10: pstats is not on, so nobody reads its options: add \"pstats\" to stats"],
        ),
        ("[process.pstat]\n", &["[ERROR] p.toml:3:10: there is no plugin pstat", "[INFO] Did you mean \"pstats\"?"]),
        (
            "[process.dnssd]\ntext = true\n",
            &["[ERROR] p.toml:4:1: dnssd has no option text", "[INFO] Did you mean \"txt\"?"],
        ),
        ("[process.dnssd]\ntxt = 1\n", &["[ERROR] p.toml:4:7: txt takes true, false or a string, not this integer"]),
        ("[process.dnssd]\ntxt = \"/no/such/file\"\n", &["[ERROR] p.toml:4:7: dnssd: invalid argument for option txt"]),
        ("[process.http]\nuser = true\n", &["[ERROR] p.toml:4:1: http has no option user"]),
        ("[storage\n", &["[ERROR] p.toml:3:9: "]),
    ] {
        let said = with(rest);
        assert_eq!(said.len(), expected.len(), "{rest}{said:?}");
        said.iter().zip(expected).for_each(|(said, line)| assert!(said.starts_with(line), "{rest}{said:?}"));
    }
    for (text, line) in [
        ("", "[ERROR] p.toml:1:1: there is no input: give files or interface in [input]"),
        ("[input]\nlanes = 2\n", "[ERROR] p.toml:1:1: there is no input: give files or interface in [input]"),
        ("input = 3\n", "[ERROR] p.toml:1:1: input is a table: write [input]"),
        ("files = [\"a\"]\n", "[ERROR] p.toml:1:1: files stands in the table [input]"),
        ("[privileges]\nuser = \"x\"\n", "[ERROR] p.toml:2:1: user needs interface"),
        (
            "[input]\ninterface = [\"lo\"]\n[privileges]\nuser = \"x\"\nisolate = true\nkeep_privileges = true\n",
            "[ERROR] p.toml:",
        ),
    ] {
        let said = parsed(text).expect_err(text);
        assert!(said.len() == 1 && said[0].starts_with(line), "{text}{said:?}");
    }
}

proptest! {
    #[test]
    fn any_file(text in "((\\[(input|\\[rule\\]|storage|process|output|telemetry|privileges|process\\.[a-z]{1,6})\\]|(files|interface|lanes|l7|stats|ipfix|json|mtu|txt|user|flows|name|key|values|fields|filter|aggregate|template) = (\"[a-z:/,;=-]{0,6}\"|\\[\"[a-z;:]{0,6}\"\\]|[0-9]{1,9}|true|false)|[a-z=\"\\[]{0,4})\n){0,14}") {
        if let Err(lines) = parsed(&text) {
            prop_assert!(lines.iter().all(|line| line.starts_with("[ERROR] p.toml:") || line.starts_with("[INFO] ")), "{:?}", lines);
        }
    }
}
