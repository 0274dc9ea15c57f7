//! Reporters from records to files: mappings, rules and actions, over TRAP files.
#[allow(dead_code, reason = "each suite uses its part")]
mod common;

use common::{Folder, PLAIN, fixtures, module, read_lines};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Messages without what differs from run to run.
fn stable(mut messages: Vec<Value>, more: &[&str]) -> Vec<Value> {
    for message in &mut messages {
        let members = message.as_object_mut().unwrap();
        ["ID", "CreateTime"].iter().chain(more).for_each(|name| drop(members.remove(*name)));
    }
    messages
}

const SCANS: &str = "{\"src_ip\": \"203.0.113.66\", \"dst_ips\": {\"198.51.100.7\": 50, \"198.51.100.8\": 100}, \"ts_first\": 1672654500.0, \"ts_last\": 1672654504.5, \"protocol\": 6}\n\
    {\"src_ip\": \"2001:db8::6\", \"dst_ips\": {\"198.51.100.7\": 7}, \"ts_first\": 1672654500.0, \"ts_last\": 1672654504.5, \"protocol\": 6}\n\
    {\"src_ip\": 7}\n";

#[test]
fn a_record_becomes_a_message() {
    let folder = Folder::new();
    folder.replay(
        "in",
        "ipaddr SRC_IP,time DETECTION_TIME,uint32 EVENT_SCALE,uint16 DST_PORT,uint8 PROTOCOL,uint8 WARDEN_TYPE,string NOTE\n\
         203.0.113.5,2023-01-02T10:15:29.500000,30,22,6,2,\"x\"\n203.0.113.5,2023-01-02T10:15:29.500000,30,22,6,1,\"x\"\n\
         203.0.113.5,2023-01-02T10:15:29.500000,30,22,99,2,\"x\"\n",
    );
    let side = |more: Value| {
        let mut side = json!({"Proto": ["tcp", "ssh"]});
        side.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        side
    };
    let expected = json!({
        "Format": "IDEA0", "Category": ["Attempt.Login"], "DetectTime": "2023-01-02T10:15:29Z", "FlowCount": 30,
        "Description": "Multiple unsuccessful login attempts on SSH",
        "Source": [side(json!({"IP4": ["203.0.113.5"]}))], "Target": [side(json!({"Port": [22]}))],
        "Node": [{"Name": "cz.cesnet.nemea.bruteforce", "SW": ["Nemea", "brute_force_detector"], "Type": ["Flow", "Statistical"]}],
    });
    assert_eq!(stable(folder.report("bruteforce2idea", PLAIN, &[]), &[]), [expected]);
    let named = folder.report("bruteforce2idea.py", PLAIN, &["--name", "my.node"]);
    assert_eq!(named[0]["Node"][0]["Name"], "my.node");
}

#[test]
fn json_messages_and_rules() {
    let folder = Folder::new();
    folder.replay_json("in", "aggregated_portscan", SCANS);
    let found = folder.report("vportscan2idea", PLAIN, &["--aggrwin", "00:01:00"]);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0]["Description"], "Block portscan using TCP SYN");
    assert_eq!((&found[0]["FlowCount"], &found[0]["Node"][0]["AggrWin"]), (&json!(150), &json!("00:01:00")));
    assert_eq!(found[1]["Source"], json!([{"Proto": ["tcp"], "IP6": ["2001:db8::6"]}]));
    // A mark is seen by later actions of its rule only, and drop ends all.
    let rules = "
namespace: n
custom_actions:
  - {id: out, file: {path: OUT}}
  - {id: mark, mark: {path: _T.Seen, value: 1}}
addressgroups: [{id: them, list: [198.51.100.8/32]}]
rules:
  - {id: 1, condition: ConnCount == 1, actions: [drop], elseactions: [mark, out]}
  - {id: 2, condition: Target.IP4 in them, actions: [drop]}
  - {id: 3, condition: Null, actions: [out]}
";
    let found = folder.report("vportscan2idea", rules, &[]);
    let seen: Vec<_> = found.iter().map(|message| message.get("_T").is_some()).collect();
    assert_eq!(seen, [true, true, false]);
}

#[test]
fn times_that_cannot_be_true_are_skipped() {
    let folder = Folder::new();
    let now = detect::report::time::now();
    folder.replay_json("in", "IDEA", &format!(
        "{{\"ID\": \"a\", \"CreateTime\": \"{now}\", \"DetectTime\": \"{now}\"}}\n{{\"ID\": \"b\", \"CreateTime\": \"{now}\", \"DetectTime\": \"2001-01-01T00:00:00Z\"}}\n"
    ));
    let config = folder.config(PLAIN);
    assert_eq!(module("idea2idea", &["-i", &folder.ifc("in"), "-c", &config]), 0);
    let found = read_lines(Path::new(&folder.path("out")));
    assert_eq!(found.iter().map(|message| message["ID"].as_str().unwrap()).collect::<Vec<_>>(), ["a"]);
    assert_eq!(found[0]["Node"], json!([{"Name": "cz.cesnet.nemea.idea2idea"}]));
    assert_eq!(folder.report("idea2idea", PLAIN, &[]).len(), 2);
}

#[test]
fn messages_go_on_over_trap_with_the_end_of_the_stream() {
    let folder = Folder::new();
    folder.replay_json("in", "smtp_alert", "{\"ID\": \"a\", \"Category\": [\"Abusive.Spam\"]}\n");
    let config = folder
        .config("namespace: n\ncustom_actions: [{id: t, trap: {}}]\nrules: [{id: 1, condition: null, actions: [t]}]\n");
    assert_eq!(
        module(
            "idea2idea",
            &["-T", "-D", "-i", &format!("{},{}", folder.ifc("in"), folder.ifc("sent")), "-c", &config]
        ),
        0
    );
    assert_eq!(module("json_dump", &["-i", &folder.ifc("sent"), "-w", &folder.path("out")]), 0);
    assert_eq!(read_lines(Path::new(&folder.path("out")))[0]["Node"][0]["Name"], "n.idea2idea");
}

#[test]
fn a_folder_gets_one_file_for_each_message() {
    let folder = Folder::new();
    folder.replay_json("in", "IDEA", "{\"ID\": \"../a\"}\n{\"ID\": \"b\"}\n");
    for name in ["incoming", "tmp"] {
        fs::create_dir(folder.path(name)).unwrap();
    }
    let filer = format!("{{path: {}, temp_path: {}}}", folder.path("incoming"), folder.path("tmp"));
    folder.report("idea2idea", &PLAIN.replace("{path: OUT}", &filer), &[]);
    let names = |name: &str| {
        let mut names: Vec<_> =
            fs::read_dir(folder.path(name)).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!((names("incoming"), names("tmp")), (vec!["_.._a.idea".to_owned(), "b.idea".into()], vec![]));
}

#[test]
fn command_lines_and_configurations_that_are_refused() {
    let folder = Folder::new();
    folder.replay_json("in", "IDEA", "{}\n");
    let (ifc, good) = (folder.ifc("in"), folder.config(PLAIN));
    let bad = folder.write("bad.yaml", "namespace: x");
    for (code, args) in [
        (0, &["-h"][..]),
        (1, &["-c", &good]),
        (2, &["-i", &ifc, "word"]),
        (2, &["-i", &ifc, "-v", "x"]),
        (1, &["-i", &ifc, "-c", "/nonexist"]),
        (1, &["-i", &ifc, "-c", &bad]),
        (1, &["-i", "x:y", "-c", &good]),
        (0, &["-d", "-c", &good]),
        (1, &["-d", "-c", &bad]),
    ] {
        assert_eq!(module("idea2idea", args), code, "{args:?}");
    }
    assert_eq!(module("blacklist2idea", &["-i", &ifc, "-c", &good, "--blacklist-config", "/nonexist"]), 1);
}

const CATALOG: &str = "<configuration><struct name=\"blacklist_array\"><array type=\"IP\"><struct><element name=\"id\">4</element>\
    <element name=\"category\">Intrusion.Botnet</element><element name=\"name\">Bots</element><element name=\"source\">https://b.example</element>\
    </struct></array></struct></configuration>";

#[test]
fn blacklists() {
    let folder = Folder::new();
    let catalog = folder.write("catalog.xml", CATALOG);
    let alert = |answered: u32, list: u32| {
        format!(
            "{{\"type\": \"ip\", \"ts_first\": 1672654500.0, \"ts_last\": 1672654530.25, \"protocol\": 17, \"source_ports\": [53], \"source\": \"192.0.2.77\", \"targets\": [\"10.0.0.1\", \"::1\"], \"src_sent_bytes\": 600, \"src_sent_flows\": 2, \"src_sent_packets\": 6, \"tgt_sent_bytes\": 5, \"tgt_sent_flows\": {answered}, \"tgt_sent_packets\": 5, \"blacklist_id\": {list}, \"agg_win_minutes\": 1500.0}}\n"
        )
    };
    folder.replay_json("in", "aggregated_blacklist", &[alert(1, 8), alert(0, 8), alert(1, 1)].concat());
    let found = folder.report("blacklist2idea", PLAIN, &["--blacklist-config", &catalog]);
    assert_eq!(found.len(), 2, "the unknown list is skipped");
    assert_eq!(found[0]["Node"][0]["AggrWin"], "1D01:00:00");
    assert_eq!(
        (&found[0]["FlowCount"], &found[0]["Source"][0]["Type"], &found[0]["Source"][1]["Type"]),
        (&json!(3), &json!(["CC", "Botnet"]), &json!(["Botnet"]))
    );
    assert_eq!(found[0]["Description"], "Suspicious communication with IP listed on Bots blacklist");
    assert_eq!(found[1]["Target"], json!([{"Proto": ["udp"], "IP4": ["10.0.0.1"], "IP6": ["::1"]}]));
    assert_eq!(found[1]["Source"].as_array().unwrap().len(), 1);
    let found = folder.report("smashedblacklist2idea", PLAIN, &[]);
    assert_eq!((found.len(), &found[0]["Source"][0]["Type"]), (3, &json!("Miner")));
}

/// What the originals wrote for alerts of all detectors (spec/scenarios/golden/INDEX.md).
#[test]
fn the_originals_wrote_the_same() {
    let Some(shared) = fixtures("../spec/scenarios") else { return };
    let folder = Folder::new();
    let csv = [
        ("amplification2idea", "reporters/amplification", "reporters/amplification", &[][..]),
        ("bruteforce2idea", "reporters/bruteforce", "reporters/bruteforce", &[]),
        ("dgadetection2idea", "reporters/dgadetection", "reporters/dgadetection", &[]),
        ("dnstunnel2idea", "reporters/dnstunnel", "reporters/dnstunnel", &[]),
        ("haddrscan2idea", "reporters/haddrscan", "reporters/haddrscan", &[]),
        ("hoststats2idea", "reporters/hoststats", "reporters/hoststats", &["DetectTime"]),
        ("sipbf2idea", "reporters/sipbf", "reporters/sipbf", &["DetectTime"]),
        ("sshbruteforceml2idea", "reporters/sshbruteforceml", "reporters/sshbruteforceml", &[]),
        ("venom2idea", "reporters/venom", "reporters/venom", &[]),
        ("voipfraud2idea", "reporters/voipfraud", "reporters/voipfraud", &[]),
        ("amplification2idea", "amplification_pos", "chain_amplification_pos", &[]),
        ("bruteforce2idea", "bruteforce_ssh_pos", "chain_bruteforce_ssh_pos", &[]),
        ("ddos_detector2idea", "ddos_pos", "chain_ddos_pos", &["AltNames"]),
        ("dnstunnel2idea", "dnstunnel_pos", "chain_dnstunnel_pos", &["DetectTime", "EventTime", "CeaseTime"]),
        ("haddrscan2idea", "haddrscan_aggregator", "chain_haddrscan_pos", &[]),
        ("hoststats2idea", "hoststats_synscan_pos", "chain_hoststats_synscan_pos", &["DetectTime"]),
        ("minerdetector2idea", "miner_pos", "chain_miner_pos", &[]),
        ("sipbf2idea", "sip_bf_pos", "chain_sip_bf_pos", &["DetectTime"]),
        ("voipfraud2idea", "voip_fraud_pos", "chain_voip_fraud_pos", &[]),
        ("waintrusion_detector2idea", "waintrusion_pos", "chain_waintrusion_pos", &[]),
    ];
    let golden = |name: &str| shared.join("golden").join(name);
    for (reporter, from, expected, varies) in csv {
        folder.replay("in", &fs::read_to_string(golden(&format!("{from}.csv"))).unwrap());
        let found = stable(folder.report(reporter, PLAIN, &[]), varies);
        assert_eq!(found, stable(read_lines(&golden(&format!("{expected}.json"))), varies), "{reporter} {from}");
    }
    let catalog = shared.join("idea_blacklist_config.xml");
    let catalog = ["--blacklist-config", catalog.to_str().unwrap()];
    for (reporter, format, from, expected, args) in [
        ("vportscan2idea", "aggregated_portscan", "idea_vportscan_in", "idea_vportscan", &[][..]),
        ("vportscan2idea", "aggregated_portscan", "golden/vportscan_aggregator", "chain_vportscan_pos", &[]),
        ("blacklist2idea", "aggregated_blacklist", "idea_blacklist_in", "idea_blacklist", &catalog),
        ("blacklist2idea", "aggregated_blacklist", "idea_blacklist_more_in", "idea_blacklist_more", &catalog),
    ] {
        folder.replay_json("in", format, &fs::read_to_string(shared.join(format!("{from}.json"))).unwrap());
        let found = stable(folder.report(reporter, PLAIN, args), &[]);
        assert_eq!(found, stable(read_lines(&golden(&format!("{expected}.json"))), &[]), "{reporter} {from}");
    }
    // The original dies of messages without a node.
    folder.replay_json("in", "smtp_alert", &fs::read_to_string(golden("smtp_spam_pos.json")).unwrap());
    assert_eq!(folder.report("idea2idea", PLAIN, &[])[0]["Node"][0]["Name"], "cz.cesnet.nemea.idea2idea");
}
