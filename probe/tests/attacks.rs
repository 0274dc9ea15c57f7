//! Attacks in a capture go the whole way of a site by `sonda demo`: packets to flows, flows to alerts by the detectors with their defaults, alerts to
//! IDEA messages, these to the store that `sonda alerts` reads. What is told of each attack: `benches::attacks`.
#[path = "support/mod.rs"]
mod support;

use benches::ATTACKS;
use support::{Folder, run};

/// What the alert about an attack has to say.
const CATEGORIES: &[(&str, &str)] = &[
    ("port_scan", "Recon.Scanning"),
    ("host_scan", "Recon.Scanning"),
    ("flood", "Availability.DoS"),
    ("amplification", "Availability.DDoS"),
    ("ssh_guessing", "Attempt.Login"),
    ("sip_guessing", "Attempt.Login"),
    ("toll_fraud", "Attempt.Login"),
    ("dns_tunnel", "Anomaly.Connection"),
    ("web_attack", "Attempt.Exploit"),
    ("generated_domains", "Intrusion.Botnet"),
    ("beacon", "Anomaly.Connection"),
    ("exfiltration", "Anomaly.Traffic"),
    ("new_service", "Anomaly.Connection"),
    ("reflection", "Availability.DDoS"),
    ("mining", "Suspicious.Miner"),
    ("ssh_logins", "Attempt.Login"),
    ("rdp_logins", "Attempt.Login"),
    ("smb_logons", "Attempt.Login"),
    ("kerberos_spray", "Attempt.Login"),
    ("doh_tunnel", "Anomaly.Connection"),
];

#[test]
fn every_attack_is_found_named_and_kept() {
    let own = Folder::new();
    let folder = own.text("demo");
    let said = run(["demo", "--seed", "6", "--keep", &folder]).must(0).stdout;
    assert!(said.contains(&format!("{} of {0} attacks found", ATTACKS.len())), "{said}");
    assert_eq!(said.matches("\n  why: ").count(), ATTACKS.len(), "{said}");
    let store = format!("{folder}/alerts.db");
    for attack in ATTACKS {
        let (_, category) =
            CATEGORIES.iter().find(|(name, _)| *name == attack.name).expect("each attack has a category");
        let culprit = attack.culprit.to_string();
        let wanted = ["alerts", "--store", &store, "export", "--category", category, "--address", &culprit];
        let kept = run(wanted).must(0).stdout;
        assert!(!kept.is_empty(), "{}: no alert of {category} about {culprit}\n{said}", attack.name);
    }
    // A folder that has a demo is left as it is.
    run(["demo", "--keep", &folder]).must(1).says(&["is there already"]);
}

#[test]
fn one_attack_is_found_alone() {
    let said = run(["demo", "--only", "web_attack", "--flows", "100"]).must(0).stdout;
    assert!(said.contains("1 of 1 attacks found among 100 flows"), "{said}");
    run(["demo", "--only", "earthquake"]).must(2).says(&["port_scan"]);
}

#[test]
fn the_background_alone_is_no_attack() {
    for seed in ["1", "6"] {
        let said = run(["demo", "--background-only", "--seed", seed]).must(0).stdout;
        assert_eq!(said, "0 of 0 attacks found among 2000 flows of others\n");
    }
}

/// The table that people read is what the command says.
#[test]
fn the_table_of_the_specification_is_true() {
    let specification = include_str!("../../SPECIFICATION.md");
    let said = run(["demo"]).must(0).stdout;
    let table: Vec<_> = said.lines().filter(|line| line.contains("  found, ")).collect();
    assert_eq!(table.len(), ATTACKS.len());
    assert!(specification.contains(&table.join("\n")), "{said}");
}

/// Those of few flows: a test has not the minutes that all of them take (`sonda demo --mix 1000`).
#[test]
fn attacks_are_found_among_a_thousand_times_as_many_flows() {
    let few: Vec<_> = ATTACKS.iter().filter(|attack| attack.flows(3) < 10).collect();
    let flows = 1_000 * few.iter().map(|attack| attack.flows(3)).sum::<u64>();
    let names = few.iter().map(|attack| attack.name).collect::<Vec<_>>().join(",");
    let said = run(["demo", "--seed", "3", "--mix", "1000", "--only", &names]).must(0).stdout;
    let found = format!("{} of {0} attacks found among {flows} flows of others\n", few.len());
    assert!(few.len() >= 4 && said.ends_with(&found), "{said}");
    let alone = run(["demo", "--seed", "3", "--flows", &flows.to_string(), "--background-only"]).must(0).stdout;
    assert_eq!(alone, format!("0 of 0 attacks found among {flows} flows of others\n"));
}
