//! The recorded scenarios the whole way: flows through a detector, an aggregator where there is one, and the reporter, held against what the
//! originals wrote (spec/scenarios/golden/INDEX.md).
#[allow(dead_code, reason = "each suite uses its part")]
mod common;

use common::{Folder, PLAIN, fixtures, read_lines};
use serde_json::Value;
use std::fs;

/// A chain of modules; `@` stands for a path of the scenarios, `%` for one of the test's folder.
struct Chain {
    scenario: &'static str,
    detector: &'static str,
    options: &'static [&'static str],
    aggregator: Option<&'static str>,
    reporter: &'static str,
    /// What differs from run to run.
    varies: &'static [&'static str],
    /// The exit code of the detector.
    code: u8,
}

const fn chain(scenario: &'static str, detector: &'static str, reporter: &'static str) -> Chain {
    Chain { scenario, detector, options: &[], aggregator: None, reporter, varies: &[], code: 0 }
}

const CHAINS: [Chain; 11] = [
    // The original's mistake, kept.
    Chain { code: 1, ..chain("amplification_pos", "amplification_detection", "amplification2idea") },
    Chain { options: &["-S"], ..chain("bruteforce_ssh_pos", "brute_force_detector", "bruteforce2idea") },
    Chain { varies: &["AltNames"], ..chain("ddos_pos", "ddos_detector", "ddos_detector2idea") },
    Chain {
        options: &["-E", "%evidence"],
        varies: &["DetectTime", "EventTime", "CeaseTime"],
        ..chain("dnstunnel_pos", "dnstunnel_detection", "dnstunnel2idea")
    },
    Chain {
        aggregator: Some("haddrscan_aggregator"),
        ..chain("haddrscan_pos", "haddrscan_detector", "haddrscan2idea")
    },
    Chain {
        options: &["-F", "-c", "@hoststats.conf"],
        varies: &["DetectTime"],
        ..chain("hoststats_synscan_pos", "hoststatsnemea", "hoststats2idea")
    },
    Chain { options: &["-u", "%miner.xml"], ..chain("miner_pos", "miner_detector", "minerdetector2idea") },
    Chain { varies: &["DetectTime"], ..chain("sip_bf_pos", "sip_bf_detector", "sipbf2idea") },
    Chain {
        options: &["-e", "disabled", "-c", "disabled", "-o"],
        ..chain("voip_fraud_pos", "voip_fraud_detection", "voipfraud2idea")
    },
    Chain {
        aggregator: Some("vportscan_aggregator"),
        ..chain("vportscan_pos", "vportscan_detector", "vportscan2idea")
    },
    Chain {
        options: &["-ursrc", "flow_meter"],
        ..chain("waintrusion_pos", "waintrusion_detector", "waintrusion_detector2idea")
    },
];

/// Messages without what differs from run to run.
fn stable(mut messages: Vec<Value>, more: &[&str]) -> Vec<Value> {
    for message in &mut messages {
        let members = message.as_object_mut().unwrap();
        ["ID", "CreateTime"].iter().chain(more).for_each(|name| drop(members.remove(*name)));
    }
    messages
}

#[test]
fn the_originals_wrote_the_same() {
    let Some(base) = fixtures("../spec/scenarios") else { return };
    let text = |name: &str| fs::read_to_string(base.join(name)).unwrap();
    for Chain { scenario, detector, options, aggregator, reporter, varies, code } in CHAINS {
        let folder = Folder::new();
        let list = base.join("miner_blacklist.txt");
        // Paths of lists are relative to the scenarios.
        folder.write("miner.xml", &text("miner_config.xml").replace("miner_blacklist.txt", list.to_str().unwrap()));
        let option = |option: &&str| match (option.strip_prefix('@'), option.strip_prefix('%')) {
            (Some(name), _) => base.join(name).to_str().unwrap().to_owned(),
            (_, Some(name)) => folder.path(name),
            _ => (*option).to_owned(),
        };
        let options: Vec<_> = options.iter().map(option).collect();
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        folder.replay("flows", &text(&format!("{scenario}.csv")));
        let found = if aggregator.is_some() { "found" } else { "in" };
        assert_eq!(folder.pass(detector, "flows", found, &options), code, "{scenario}");
        if let Some(aggregator) = aggregator {
            assert_eq!(folder.pass(aggregator, found, "in", &[]), 0, "{scenario}");
            let golden = base.join(format!("golden/{aggregator}.csv"));
            if golden.exists() {
                let rows = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
                assert_eq!(rows(&folder.log("in")), rows(&fs::read_to_string(golden).unwrap()), "{aggregator}");
            }
        }
        let reported = stable(folder.report(reporter, PLAIN, &[]), varies);
        let golden = read_lines(&base.join(format!("golden/chain_{scenario}.json")));
        assert!(!golden.is_empty());
        assert_eq!(reported, stable(golden, varies), "{scenario}");
    }
}
