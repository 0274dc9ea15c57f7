//! Sessions as the original shows them (section 8.2), without their colours.
use super::*;
use crate::core::Core;
use crate::model::{Config, Direction, Interface, Kind, Limits, Module, Profile};
use crate::process::Usage;
use crate::snapshot::{About, Counters};
use std::collections::HashMap;
use std::time::Duration;

fn module(name: &str) -> Module {
    Module {
        name: name.into(),
        enabled: true,
        path: "/usr/bin/nemea/logger".into(),
        params: None,
        restarts: 3,
        interfaces: vec![],
        after: vec![],
        limits: Limits::default(),
    }
}

/// The modules of the reference's examples.
fn snapshot() -> Snapshot {
    let mut lg1 = module("lg1");
    lg1.params = Some("-t -w \"/tmp/out file.csv\"".into());
    lg1.interfaces = vec![Interface {
        note: Some("from rep".into()),
        kind: Some(Kind::Unix),
        direction: Some(Direction::In),
        params: Some("supx_b".into()),
    }];
    let mut crash = module("crash");
    crash.enabled = false;
    let profiles = vec![
        Profile { name: "Data sources".into(), enabled: true, modules: vec![module("rep")] },
        Profile { name: "Loggers".into(), enabled: true, modules: vec![lg1, crash] },
    ];
    let mut core = Core::default();
    core.apply(&Config { profiles, ..Config::default() });
    core.started("rep", 11775, Duration::ZERO);
    core.started("lg1", 11776, Duration::ZERO);
    let json = br#"{"in_cnt": 1, "out_cnt": 1, "in": [{"ifc_type": 117, "ifc_id": "supx_a", "ifc_state": 0, "messages": 0, "buffers": 0}],
        "out": [{"ifc_type": 117, "ifc_id": "supx_b", "num_clients": 0, "sent-messages": 0, "dropped-messages": 0, "buffers": 0,
        "autoflushes": 0}]}"#;
    let usage = Usage { cpu_user: 0, cpu_system: 0, virtual_bytes: 228_007_936, resident_bytes: 6_070_272 };
    let measured = HashMap::from([("rep".to_owned(), (usage, Some(Counters::parse(json).expect("whole"))))]);
    let about = About { logs: "/nowhere".into(), ..About::default() };
    Snapshot::of(&core, about, Duration::ZERO, &measured)
}

/// Without escape sequences.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('\x1b') {
        out += before;
        rest = behind.split_once('m').expect("a whole sequence").1;
    }
    out + rest
}

/// What is shown after these lines, and what is done.
fn session(lines: &[&str]) -> (String, Vec<Command>) {
    let (mut menu, mut text, mut commands) = (Menu::new(true), String::new(), vec![]);
    for line in lines {
        let turn = menu.line(line, &snapshot());
        text += &turn.text;
        commands.extend(turn.commands);
    }
    (plain(&text), commands)
}

#[test]
fn the_menu() {
    let items = "1. ENABLE MODULE OR PROFILE\n2. DISABLE MODULE OR PROFILE\n3. RESTART RUNNING MODULE\n4. PRINT BRIEF STATUS\n\
        5. PRINT DETAILED STATUS\n6. PRINT LOADED CONFIGURATION\n7. RELOAD CONFIGURATION\n8. PRINT SUPERVISOR INFO\n9. BROWSE LOG FILES\n";
    let daemon = "-- Type \"Cquit\" to exit client --\n-- Type \"Dstop\" to stop daemon --\n";
    let expected = |last: &str| format!("--------OPTIONS--------\n{items}{last}[INTERACTIVE] Your choice: ");
    assert_eq!(plain(&layout::menu(true)), expected(daemon));
    assert_eq!(plain(&layout::menu(false)), expected("0. STOP SUPERVISOR\n"));
}

#[test]
fn status_brief_and_detailed() {
    assert_eq!(
        session(&["4"]).0,
        "--- [CONFIGURATION STATUS] ---\n\
         \x20    | name           | enabled | status  | PID   |\n\
         Profile: Data sources |  true   |\n\
         \x20  0 | rep            |  true   | running | 11775 |\n\
         \n\
         Profile: Loggers      |  true   |\n\
         \x20  1 | lg1            |  true   | running | 11776 |\n\
         \x20  2 | crash          |  false  | stopped | 0     |\n\
         \n"
    );
    assert_eq!(
        session(&["5"]).0,
        "--- [PRINTING CONFIGURATION] ---\n\
         Profile: Data sources (enabled)\n\
         \x20  0 | rep | enabled | running | PID: 11775\n\
         \x20     IFC service: connected\n\
         \x20     IFC 0:  IN; u; supx_a; not connected\n\
         \x20     IFC 1:  OUT; u; supx_b; num of clients: 0\n\
         \n\
         Profile: Loggers (enabled)\n\
         \x20  1 | lg1 | enabled | running | PID: 11776\n\
         \x20     IFC service: not connected\n\
         \x20  2 | crash | disabled | stopped\n\
         \n"
    );
    let (text, _) = session(&["6"]);
    let lg1 = "Profile: Loggers\n   1 | lg1\n      PATH: /usr/bin/nemea/logger\n      PARAMS: -t -w \"/tmp/out file.csv\"\n      IFC 0:  IN; UNIXSOCKET; supx_b; from rep\n";
    assert!(text.contains(lg1) && text.contains("PARAMS: none"), "{text}");
}

#[test]
fn choices_of_modules_and_profiles() {
    let (text, commands) = session(&["1", "2"]);
    assert_eq!(
        text,
        "--- [LIST OF DISABLED MODULES] ---\nProfile: Loggers\n   2 | crash\n\n--- [LIST OF DISABLED PROFILES] ---\n   \
         All profiles are enabled.\n[INTERACTIVE] Type in number or interval separated by comma (e.g. \"2,4-6,13\"): "
    );
    assert_eq!(commands, [Command::Enable { target: Target::Module("crash".into()), enabled: true }]);
    let (text, commands) = session(&["2", "0-4"]);
    assert!(text.contains("--- [LIST OF ENABLED PROFILES] ---\n   3 | Data sources\n   4 | Loggers\n"), "{text}");
    let targets = [Target::Module("rep".into()), Target::Module("lg1".into())].into_iter();
    let targets = targets.chain(["Data sources", "Loggers"].map(|name| Target::Profile(name.into())));
    assert_eq!(commands, targets.map(|target| Command::Enable { target, enabled: false }).collect::<Vec<_>>());
    assert_eq!(session(&["3", "1"]).1, [Command::Restart("lg1".into())]);
    assert_eq!(session(&["3", "2"]).1, [], "it does not run");
    assert!(session(&["1", "5"]).0.ends_with("[WARNING] Number 5 is not in range <0,4>!\n"));
    assert!(session(&["1", ""]).0.ends_with("[WARNING] Wrong input - empty string.\n"));
}

#[test]
fn three_zeros_stop_the_daemon_and_one_is_wrong() {
    let three = session(&["0", "0", "0"]);
    assert_eq!(three, (String::new(), vec![Command::Leave]));
    let mut menu = Menu::new(true);
    assert_eq!(menu.line("0", &snapshot()), Turn::default());
    assert!(menu.counts_zeros() && menu.ask().is_none());
    assert_eq!(plain(&menu.zeros_ended().text), "[WARNING] Wrong input!\n");
    assert!(menu.ask().is_some());
    assert_eq!(Menu::new(false).line("0", &snapshot()).commands, [Command::Leave]);
    for wrong in ["", "x", "1234", "10", "-1", "1 "] {
        assert_eq!(session(&[wrong]), ("[WARNING] Wrong input!\n".into(), vec![]), "{wrong}");
    }
}

#[test]
fn logs_have_numbers() {
    let mut menu = Menu::new(true);
    let text = plain(&menu.line("9", &snapshot()).text);
    assert!(
        text.starts_with("stdout | stderr | module name\n     0 |      1 | rep\n     2 |      3 | lg1\n"),
        "{text}"
    );
    assert!(text.ends_with("     8 | modules_events\n[INTERACTIVE] Choose the log number: "), "{text}");
    assert_eq!(menu.line("6", &snapshot()).page, Some("/nowhere/supervisor_log".into()));
    menu.line("9", &snapshot());
    assert_eq!(plain(&menu.line("9", &snapshot()).text), "[WARNING] Wrong input!\n");
}

#[test]
fn answers_in_json() {
    let expected = r#"{"rep":{"CPU-u":0,"CPU-s":0,"MEM-vms":228007936,"MEM-rss":6070272,"inputs":[{"type":"u","ID":"supx_a","is-conn":0,"messages":0,"buffers":0}],"outputs":[{"type":"u","ID":"supx_b","cli-num":0,"sent-msg":0,"drop-msg":0,"buffers":0,"autoflush":0}]},"lg1":"#;
    assert!(snapshot().statistics().starts_with(expected), "{}", snapshot().statistics());
    let all: serde_json::Value = serde_json::from_str(&snapshot().inventory()).expect("JSON");
    assert_eq!(
        (&all["crash"]["status"], &all["crash"]["idx"], &all["crash"]["params"]),
        (&"stopped".into(), &2.into(), &"none".into())
    );
    assert_eq!(all["lg1"]["path"], "/usr/bin/nemea/logger");
    assert_eq!(Snapshot::default().statistics(), "{}");
    assert_eq!(snapshot().statistics_lines(), "rep,in,u,supx_a,0,0\nrep,out,u,supx_b,0,0,0,0\n");
}
