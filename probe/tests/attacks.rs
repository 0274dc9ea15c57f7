//! Attacks in a capture, found the way a site finds them: packets to flows by `sonda ipfixprobe`, flows to alerts by the detectors with their
//! defaults, over files. What is told of each attack: `benches::attacks`.
#[path = "support/mod.rs"]
mod support;

use benches::{ATTACKS, Attack, write_attacks};
use std::fs::File;
use std::path::Path;
use support::{Folder, run};

/// Background flows, over 20 minutes.
const FLOWS: u64 = 2_000;
const SEED: u64 = 6;

/// Which detector is there for an attack, its options, and the plugin without which it is blind.
const WATCHES: &[(&str, &str, &[&str], &str)] = &[
    ("port_scan", "vportscan_detector", &[], ""),
    ("host_scan", "haddrscan_detector", &[], ""),
    ("flood", "ddos_detector", &[], ""),
    ("amplification", "amplification_detection", &[], ""),
    ("ssh_guessing", "brute_force_detector", &["-S"], ""),
    ("sip_guessing", "sip_bf_detector", &[], "sip"),
    ("toll_fraud", "voip_fraud_detection", &["-e", "disabled"], "sip"),
    ("dns_tunnel", "dnstunnel_detection", &[], "dns"),
    ("web_attack", "waintrusion_detector", &[], "http"),
];

/// Flow records of a capture, each direction its own as the detectors want them. The cache is small because its sweep goes by packets: a large one
/// that sees 50 packets a second tells of quiet flows many minutes late, and the windows of the detectors are over by then.
fn records(own: &Folder, capture: &Path, plugin: &str) -> String {
    let (input, out) = (format!("pcap;file={}", capture.display()), own.text(&format!("flows-{plugin}.trapcap")));
    let output = format!("unirec;ifc=f:{out}:w:buffer=off:timeout=WAIT;id=0");
    let plugins: &[&str] = if plugin.is_empty() { &[] } else { &["-p", plugin] };
    run([&["ipfixprobe", "-i", &input, "-s", "cache;split;size=12", "-o", &output], plugins].concat()).must(0);
    out
}

/// What a detector says of records: rows as the logger prints them.
fn alerts(own: &Folder, flows: &str, detector: &str, options: &[&str]) -> Vec<String> {
    let out = own.text(&format!("{detector}.trapcap"));
    let ifc = format!("f:{flows},f:{out}:w:buffer=off");
    let ended = run([&[detector, "-i", &ifc], options].concat());
    // amplification_detection ends with 1, as the original.
    assert!(ended.status <= 1, "{}: {}\n{}", ended.what, ended.status, ended.stderr);
    if std::fs::metadata(&out).map_or(0, |file| file.len()) == 0 {
        return Vec::new();
    }
    run(["logger", "-i", &format!("f:{out}")]).must(0).stdout.lines().map(str::to_owned).collect()
}

fn capture(own: &Folder, attacks: &[Attack]) -> std::path::PathBuf {
    let path = own.path("attacks.pcap");
    let mut file = File::create(&path).expect("the temporary folder takes a file");
    write_attacks(attacks, FLOWS, SEED, &mut file).expect("the capture is written");
    path
}

#[test]
fn each_attack_has_its_watch() {
    let watched: Vec<&str> = WATCHES.iter().map(|(attack, ..)| *attack).collect();
    let told: Vec<&str> = ATTACKS.iter().map(|attack| attack.name).collect();
    assert_eq!(watched, told);
}

#[test]
fn every_attack_is_found_and_named() {
    let own = Folder::new();
    let capture = capture(&own, ATTACKS);
    for (attack, (_, detector, options, plugin)) in ATTACKS.iter().zip(WATCHES) {
        let flows = records(&own, &capture, plugin);
        let rows = alerts(&own, &flows, detector, options);
        let culprit = attack.culprit.to_string();
        assert!(!rows.is_empty(), "{}: {detector} says nothing", attack.name);
        assert!(rows.iter().all(|row| row.contains(&culprit)), "{}: not {culprit}: {rows:#?}", attack.name);
    }
}

#[test]
fn the_background_alone_is_no_attack() {
    let own = Folder::new();
    let capture = capture(&own, &[]);
    for (attack, detector, options, plugin) in WATCHES {
        let flows = records(&own, &capture, plugin);
        assert_eq!(alerts(&own, &flows, detector, options), [""; 0], "{attack}: {detector}");
    }
}
