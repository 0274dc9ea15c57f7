//! The supervisor with real modules: as the original's template says, as our TOML says, and when things die.
#[path = "supervisor/site.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod site;

use site::{CHAIN, Site, kill, said};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Two modules in a chain, as in the reference; `more` stands in the second profile.
fn chain(more: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!-- a comment -->
<nemea-supervisor xmlns="urn:cesnet:tmc:nemea:1.0">
<modules>
  <name>Data sources</name>
  <enabled>true</enabled>
  <module>
    <name>rep</name>
    <enabled>true</enabled>
    <path>@/bin/traffic_repeater</path>
    <trapinterfaces>
      <interface><type>UNIXSOCKET</type><direction>OUT</direction><params>supx_b</params></interface>
      <interface><type>UNIXSOCKET</type><direction>IN</direction><params>supx_a</params></interface>
    </trapinterfaces>
  </module>
</modules>
<modules>
  <name>Loggers</name>
  <enabled>true</enabled>
  <module>
    <name>lg1</name>
    <enabled>true</enabled>
    <path>@/bin/logger</path>
    <params>-t -w "@/out file.csv"</params>
    <trapinterfaces>
      <interface><note>from rep</note><type>UNIXSOCKET</type><direction>IN</direction><params>supx_b</params></interface>
    </trapinterfaces>
  </module>
{more}</modules>
</nemea-supervisor>
"#
    )
}

/// A module that ends at once.
const CRASH: &str = "<module><name>crash</name><enabled>true</enabled><path>/bin/false</path><module-restarts>2</module-restarts></module>\n";

/// A neighbour: whoever reads from a module that dies before its HELLO ends with it, as modules of the original do.
const ALONE: &str = "<module><name>alone</name><enabled>true</enabled><path>@/bin/logger</path><params>-t -w @/alone</params>\
    <trapinterfaces><interface><type>UNIXSOCKET</type><direction>IN</direction><params>supx_d</params></interface></trapinterfaces></module>\n";

/// The same in our own words.
fn toml() -> String {
    format!("\n[supervisor]\nheartbeat_s = 6{CHAIN}")
}

#[test]
fn a_template_of_the_original_runs_and_sessions_look_as_documented() {
    let mut site = Site::template(&chain(CRASH));
    site.start();
    let (rep, lg1) = (site.runs("rep", None), site.runs("lg1", None));
    site.until("crash is given up", || site.count("modules_events", "I set it disabled.") == 1);
    let [rep_pid, lg1_pid] = [rep, lg1].map(|pid| pid.to_string());
    let width = rep_pid.len().max(lg1_pid.len()).max(3);
    let expected = format!(
        "--- [CONFIGURATION STATUS] ---\n\
         \x20    | name           | enabled | status  | {:width$} |\n\
         Profile: Data sources |  true   |\n\
         \x20  0 | rep            |  true   | running | {rep_pid:width$} |\n\n\
         Profile: Loggers      |  true   |\n\
         \x20  1 | lg1            |  true   | running | {lg1_pid:width$} |\n\
         \x20  2 | crash          |  false  | stopped | {:width$} |\n\n",
        "PID", "0"
    );
    assert_eq!(site.menu(&["4"]), [expected]);
    site.until("both tell their counters", || site.menu(&["5"])[0].matches("IFC service: connected").count() == 2);
    let details = site.menu(&["5"]).remove(0);
    assert!(
        details.contains("IFC 0:  IN; u; supx_a; not connected\n      IFC 1:  OUT; u; supx_b; num of clients: "),
        "{details}"
    );
    assert!(details.contains("   2 | crash | disabled | stopped\n"), "{details}");
    let loaded = site.menu(&["6"]).remove(0);
    assert!(loaded.contains("      IFC 0:  IN; UNIXSOCKET; supx_b; from rep\n"), "{loaded}");

    // Each is the leader of a session, shows its configured name, and has logs that begin with its command.
    let shown = fs::read_to_string(format!("/proc/{rep}/cmdline")).expect("it runs").replace('\0', " ");
    assert!(shown.starts_with("rep ") && shown.ends_with(" -i u:supx_a,u:supx_b "), "{shown}");
    let stat = fs::read_to_string(format!("/proc/{rep}/stat")).expect("it runs");
    let ids: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split(' ').collect();
    assert_eq!((ids[3], ids[4]), (rep_pid.as_str(), rep_pid.as_str()), "group and session");
    assert!(site.read("logs/modules_logs/lg1_stdout").contains("[INFO] Supervisor - executed command: "));

    let inventory = site.inventory();
    assert_eq!((&inventory["rep"]["status"], &inventory["crash"]["status"]), (&"running".into(), &"stopped".into()));
    assert_eq!((&inventory["lg1"]["idx"], &inventory["rep"]["params"]), (&1.into(), &"none".into()));
    assert!(inventory["rep"]["MEM-rss"].as_u64().is_some_and(|bytes| bytes > 0));
    let running = said(&site.client(&["supervisor_cli", "-x"]));
    assert!(running.contains("\"cli-num\"") && !running.contains("crash") && !running.ends_with('\n'), "{running}");
    let known = site.client(&["nemea-modulesinfo", "rep", "nobody"]);
    assert_eq!(known.status.code(), Some(65));
    assert!(said(&known).ends_with("Warning: No info on module(s): nobody\n"));
    assert!(site.path("run/supervisor_config_gener.xml").exists());
    let munin = |word: &[&str], socket: &str| {
        let mut plugin = site.tool(&["nemea_supervisor"]);
        said(&plugin.args(word).env("socket", site.text(socket)).output().expect("it runs"))
    };
    assert!(munin(&["config"], "run/s.sock").contains("graph_title rep input IFC supx_a\n"));
    assert!(munin(&[], "run/s.sock").contains("multigraph rep_OUTIFC0\nstat0.value 0\n"));
    assert_eq!(munin(&["autoconf"], "run/s.sock"), "yes\n");
    assert!(munin(&["autoconf"], "run/none").starts_with("no ("));
    assert!(site.signal("TERM"));
}

/// Fault row 13, and what enables a module again.
#[test]
fn a_crash_loop_is_parked_and_a_reload_gives_it_another_chance() {
    let missing = "<module><name>missing</name><enabled>true</enabled><path>/nowhere/x</path><module-restarts>0</module-restarts></module>\n";
    let mut site = Site::template(&chain(&format!("{CRASH}{missing}")));
    site.start();
    let line = "Module: crash was restarted 2 times per minute and it is down again. I set it disabled.";
    site.until("it is given up", || site.count("modules_events", line) == 1);
    assert_eq!(site.count("modules_events", "[RESTART] Restarting module crash"), 2);
    site.until("so is the other", || site.count("modules_events", "Module: missing was restarted 0 times") == 1);
    assert!(site.read("logs/modules_logs/missing_stderr").contains("[ERROR] /nowhere/x: No such file"));
    let applied = site.client(&["supervisor_cli", "-r"]);
    assert!(applied.status.success());
    assert!(said(&applied).contains("[WARNING] crash enabled flag has been modified: disabled -> enabled.\n"));
    site.until("it is given up again", || site.count("modules_events", line) == 2);
    // By hand, too.
    let shown = site.menu(&["1", "2"]);
    assert!(shown[0].contains("--- [LIST OF DISABLED MODULES] ---\nProfile: Loggers\n   2 | crash\n"), "{shown:?}");
    site.until("and again", || site.count("modules_events", line) == 3);
    assert_eq!(site.count("modules_events", "[ENABLED] Module crash set to enabled."), 1);
}

/// Fault row 11.
#[test]
fn a_killed_module_is_restarted_and_the_others_stay() {
    let mut site = Site::template(&chain(ALONE));
    site.start();
    let (rep, alone) = (site.runs("rep", None), site.runs("alone", None));
    kill(rep, "KILL");
    let again = site.runs("rep", Some(rep));
    assert_eq!(site.pid("alone"), Some(alone));
    assert!(
        site.read("logs/modules_events")
            .contains(&format!("module \"rep\" (PID: {rep}) is not running! (was ended by signal 9)"))
    );
    // A restart that was asked for, and a profile that is switched off.
    site.menu(&["3", "0"]);
    site.runs("rep", Some(again));
    site.menu(&["2", "4"]);
    site.until("its profile is stopped", || site.pid("alone").is_none());
    assert_eq!(site.count("modules_events", "[ENABLED] Profile Loggers set to disabled."), 1);
}

/// Fault row 14.
#[test]
fn a_killed_supervisor_leaves_modules_and_the_next_one_goes_on_with_them() {
    let mut site = Site::template(&chain(&format!("{CRASH}{ALONE}")));
    site.start();
    let (rep, alone) = (site.runs("rep", None), site.runs("alone", None));
    site.until("crash is given up", || site.count("modules_events", "I set it disabled.") == 1);
    assert!(!site.signal("KILL"));
    let alive = |pid: u32| Path::new(&format!("/proc/{pid}")).exists();
    assert!(alive(rep) && alive(alone));
    let began = std::time::Instant::now();
    site.start();
    println!("answers again after {:?}", began.elapsed());
    assert_eq!((site.pid("rep"), site.pid("alone"), site.pid("crash")), (Some(rep), Some(alone), None));
    // What was given up stays so, and those that were taken over are watched as before.
    assert_eq!(site.count("modules_events", "I set it disabled."), 1);
    kill(alone, "KILL");
    let again = site.runs("alone", Some(alone));
    // The file changed while nobody watched: as by a reload.
    site.signal("KILL");
    site.write(
        "t.xml",
        &chain(ALONE).replace(
            "supx_b</params></interface>\n      <interface><type>UNIXSOCKET</type><direction>IN",
            "supx_c</params></interface>\n      <interface><type>UNIXSOCKET</type><direction>IN",
        ),
    );
    site.start();
    site.runs("rep", Some(rep));
    assert_eq!((site.pid("alone"), site.inventory().get("crash")), (Some(again), None));
}

/// Fault row 18.
#[test]
fn a_storm_of_reloads_becomes_few_and_restarts_nothing() {
    let mut site = Site::template(&chain(""));
    site.start();
    let before = (site.runs("rep", None), site.runs("lg1", None));
    let done = site.count("supervisor_log", "[RELOAD] Result:");
    // Clients of the original do not wait, and the daemon takes five at once.
    let mut asked = 0;
    while asked < 100 {
        let answers: Vec<String> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..5).map(|_| scope.spawn(|| site.asked("115599"))).collect();
            all.into_iter().map(|one| one.join().expect("an answer")).collect()
        });
        // One that was a client too many got nothing.
        asked += answers.iter().filter(|text| text.contains("Unmodified modules:\t2\n")).count();
        assert!(answers.iter().all(|text| text.is_empty() || text.contains("successfully finished")), "{answers:?}");
    }
    let reloads = site.count("supervisor_log", "[RELOAD] Result:") - done;
    assert!((1..100).contains(&reloads), "{reloads} reloads for 100 requests");
    assert_eq!((site.pid("rep"), site.pid("lg1")), (Some(before.0), Some(before.1)));
}

/// Fault row 17: whatever is wrong, nothing changes, and the place is told.
#[test]
fn a_wrong_file_changes_nothing() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("after = [\"rep\"]", "aftr = [\"rep\"]", &["/s.toml:18:1: unknown field `aftr`", "Did you mean \"after\"?"]),
        ("after = [\"rep\"]", "after = [\"lg1\"]", &["/s.toml:18:10: modules wait for each other: lg1 after lg1"]),
        ("@/bin/logger", "@/bin/loger", &["[ERROR] module \"lg1\": ", "/bin/loger: No such file"]),
        ("name = \"lg1\"", "name = \"rep\"", &["/s.toml:13:8: a second module \"rep\""]),
        ("[[profile]]", "[[profile]", &["/s.toml:4:11: "]),
    ];
    let mut site = Site::native(&toml());
    site.start();
    let before = (site.runs("rep", None), site.runs("lg1", None));
    for (from, to, parts) in cases {
        site.write("s.toml", &toml().replacen(from, to, 1));
        for words in [&["ctl", "plan"] as &[&str], &["ctl", "apply"], &["supervisor_cli", "-r"]] {
            let output = site.client(words);
            assert_eq!(output.status.code(), Some(1), "{to}");
            parts.iter().for_each(|part| assert!(said(&output).contains(part), "{to}: {}", said(&output)));
        }
        let checked = site.tool(&["ctl", "check", &site.text("s.toml")]).output().expect("it runs");
        assert_eq!(checked.status.code(), Some(1));
        assert_eq!((site.pid("rep"), site.pid("lg1")), (Some(before.0), Some(before.1)), "{to}");
    }
    fs::remove_file(site.path("s.toml")).expect("it was there");
    assert_eq!(site.client(&["ctl", "apply"]).status.code(), Some(1));
    assert_eq!((site.pid("rep"), site.pid("lg1")), (Some(before.0), Some(before.1)));
    // As a template: in an included file.
    let mut site = Site::template("<nemea-supervisor>\n<!-- include @/inc -->\n</nemea-supervisor>\n");
    fs::create_dir(site.path("inc")).expect("made");
    let good = chain("");
    let good = &good[good.find("<modules>").expect("there")..good.find("</nemea").expect("there")];
    site.write("inc/a.sup", good);
    site.start();
    let before = (site.runs("rep", None), site.runs("lg1", None));
    site.write("inc/a.sup", &good.replacen("<enabled>true", "<enabled>ja", 1));
    let refused = said(&site.client(&["supervisor_cli", "-r"]));
    assert!(refused.contains("[ERROR] Expected one of {true, false} values in \"enabled\" element!\n"), "{refused}");
    assert!(
        refused.contains("/inc/a.sup:3:3.\n")
            && refused.contains("[RELOAD] Validation of the configuration file failed."),
        "{refused}"
    );
    assert_eq!((site.pid("rep"), site.pid("lg1")), (Some(before.0), Some(before.1)));
}

#[test]
fn a_supervisor_that_begins_with_a_wrong_file_stays_and_waits_for_a_right_one() {
    let mut site = Site::template("<nemea-supervisor><modules/></nemea-supervisor>");
    site.start();
    assert_eq!(site.inventory(), serde_json::json!({}));
    assert_eq!(said(&site.client(&["supervisor_cli", "-x"])), "{}");
    assert!(site.read("stderr").contains("[ERROR] Empty value in \"modules\" element!"));
    assert_eq!(
        site.menu(&["1"]),
        [
            "--- [LIST OF DISABLED MODULES] ---\n   No module is loaded.\n\n--- [LIST OF DISABLED PROFILES] ---\n   All profiles are enabled.\n"
        ]
    );
    site.write("t.xml", &chain(""));
    // Reading the plan writes nothing.
    let generated = site.read("run/supervisor_config_gener.xml");
    assert!(said(&site.client(&["ctl", "plan"])).starts_with("start    rep  it is new\n"));
    assert_eq!(site.read("run/supervisor_config_gener.xml"), generated);
    assert!(site.client(&["supervisor_cli", "-r"]).status.success());
    site.runs("rep", None);
    for (words, why) in [
        (&["-T", "@/none.xml", "-L", "@/logs"] as &[&str], "/none.xml: No such file"),
        (&["-T", "@/s.toml", "-L", "@/logs"], "the name of a template contains .xml"),
        (&["-T", "@/t.xml", "-L", "@/none"], "/none is no folder; make it first"),
        (&["-L", "@/logs"], "required"),
        (&["-Z"], "unexpected argument"),
    ] {
        let words: Vec<String> = words.iter().map(|word| word.replace('@', &site.text(""))).collect();
        let refused = site.tool(&["supervisor"]).args(&words).output().expect("it runs");
        assert_eq!(refused.status.code(), Some(2), "{words:?}");
        assert!(said(&refused).contains(why), "{words:?}: {}", said(&refused));
    }
}

/// Without -d: the menu at the terminal, and what happens between its lines.
#[test]
fn the_menu_of_a_supervisor_at_a_terminal() {
    use std::io::{BufRead, BufReader, Write};
    use std::process::Stdio;
    let mut site = Site::template(&chain(""));
    let mut supervisor = site.supervisor(&[]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it runs");
    let mut keys = supervisor.stdin.take().expect("piped");
    let mut lines = BufReader::new(supervisor.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("0. STOP SUPERVISOR")));
    keys.write_all(b"x\n").expect("sent");
    assert!(lines.any(|line| line.contains("[WARNING] Wrong input.")));
    site.until("both are started", || site.count("modules_events", "[START] Starting module") == 2);
    keys.write_all(b"4\n0\n").expect("sent");
    let table: Vec<String> =
        lines.by_ref().skip_while(|line| !line.contains("[CONFIGURATION STATUS]")).take(6).collect();
    assert!(table[3].contains("   0 | rep            |  true   | running | "), "{table:?}");
    assert!(lines.any(|line| line.contains("[WARNING] I let modules continue running!")));
    assert!(supervisor.wait().expect("a child").success());
    // A daemon goes on with them.
    site.start();
    site.until("both go on", || site.count("modules_events", "goes on as it was found running") == 2);
    assert!(site.pid("rep").is_some());
}

/// Fault row 19: what the plan says is what happens.
#[test]
fn a_plan_says_what_applying_does() {
    let mut site = Site::native(&toml());
    site.start();
    let (rep, lg1) = (site.runs("rep", None), site.runs("lg1", None));
    let unchanged = said(&site.client(&["ctl", "plan"]));
    assert_eq!(unchanged, "keep     rep\nkeep     lg1\n");
    let third = "[[module]]\nname = \"third\"\nprofile = \"P\"\npath = \"@/bin/logger\"\nparams = \"-t -w @/third\"\ninputs = [\"u:supx_b\"]\n";
    let changed = toml().replace("name = \"rep\"", "name = \"rep\"\nrestarts = 9").replace("out file", "other file");
    site.write("s.toml", &(changed.clone() + third));
    let planned = said(&site.client(&["ctl", "plan"]));
    let rows: Vec<&str> = planned.lines().collect();
    assert!(rows[0].starts_with("live     rep    restarts: 3 -> 9"), "{planned}");
    assert!(
        rows[1].starts_with("restart  lg1    params: ") && rows[2].starts_with("start    third  it is new"),
        "{planned}"
    );
    assert_eq!((site.pid("rep"), site.pid("lg1"), site.pid("third")), (Some(rep), Some(lg1), None));
    assert!(site.client(&["ctl", "apply"]).status.success());
    let again = site.runs("lg1", Some(lg1));
    site.runs("third", None);
    assert_eq!(site.pid("rep"), Some(rep));
    site.write("s.toml", &changed);
    assert!(said(&site.client(&["ctl", "plan"])).contains("stop     third  it is not in the new configuration"));
    assert!(site.client(&["ctl", "apply"]).status.success());
    site.until("it is gone", || site.inventory().get("third").is_none());
    assert_eq!((site.pid("rep"), site.pid("lg1")), (Some(rep), Some(again)));
}

/// Fault row 41, and section 7.
#[test]
fn sigint_leaves_modules_with_a_backup_and_sigterm_stops_them() {
    let mut site = Site::template(&chain(""));
    site.start();
    let (rep, lg1) = (site.runs("rep", None), site.runs("lg1", None));
    assert!(site.signal("INT"));
    let sum: u64 = (1u64..).zip(site.text("t.xml").bytes()).map(|(at, byte)| at * u64::from(byte)).sum();
    let backup = site.read(&format!("run/{sum}_sup_backup_file.xml"));
    assert!(
        backup.contains(&format!("<module module_pid=\"{rep}\">")) && backup.contains("out file.csv&quot;"),
        "{backup}"
    );
    assert!(site.read(&format!("run/{sum}_sup_backup_file.xml_info")).contains("Number of running modules: 2\n"));
    site.start();
    assert_eq!((site.pid("rep"), site.pid("lg1")), (Some(rep), Some(lg1)));
    // The backup is a configuration like any other.
    site.write("t.xml", &backup);
    let applied = said(&site.client(&["supervisor_cli", "-r"]));
    assert!(applied.contains("Unmodified modules:\t2\n"), "{applied}");
    assert!(site.signal("TERM"));
    let is_gone = |pid: u32| !Path::new(&format!("/proc/{pid}")).exists();
    site.until("both are gone", || is_gone(rep) && is_gone(lg1));
    assert!(site.connect().is_none() && !site.path("run/s.sock").exists());
    assert!(site.read("logs/supervisor_log").contains("I stopped all modules!"));
}

/// Fault row 12.
#[test]
fn a_module_that_hangs_is_killed_and_restarted() {
    // Whoever reads from it may end with it; one that does not is not touched.
    let alone = "[[module]]\nname = \"alone\"\nprofile = \"P\"\npath = \"@/bin/logger\"\nparams = \"-t -w @/alone\"\ninputs = [\"u:supx_c\"]\n";
    let mut site = Site::native(&(toml() + alone));
    site.start();
    let (rep, alone) = (site.runs("rep", None), site.runs("alone", None));
    site.until("it has answered", || site.count("modules_events", "[SERVICE] Connected to module rep") == 1);
    kill(rep, "STOP");
    site.runs("rep", Some(rep));
    assert!(
        site.read("logs/modules_events").contains("[STOP] Stopping module rep... sending SIGKILL It does not answer")
    );
    assert_eq!(site.pid("alone"), Some(alone));
}

#[test]
fn clients_are_few_and_only_those_who_may() {
    let mut site = Site::template(&chain(""));
    site.start();
    let mode = fs::metadata(site.path("run/s.sock")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    assert_eq!(site.asked("999"), "", "a wrong code");
    site.runs("lg1", None);
    {
        use std::io::{Read, Write};
        let mut first = site.connect().expect("it answers");
        first.write_all(b"789123\n").expect("sent");
        first.read_exact(&mut [0; 8]).expect("the menu begins");
        let second = site.asked("789123");
        assert!(
            second.contains(
                "[WARNING] Another client is connected to supervisor in configuration mode, you have to wait."
            )
        );
    }
    // A second supervisor is told why it cannot be.
    let second = site.supervisor(&["-F"]).output().expect("it runs");
    assert_eq!(second.status.code(), Some(1));
    assert!(said(&second).contains("another supervisor answers at this socket"), "{}", said(&second));
    let only_one = site.client(&["supervisor_cli", "-x", "-i"]);
    assert_eq!(only_one.status.code(), Some(1));
    assert!(site.signal("TERM"));
    let nobody = site.client(&["supcli", "-i"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(said(&nobody).contains("[ERROR] Could not connect to supervisor!"));
}

/// What systemd is told: ready, alive, ending.
#[test]
fn systemd_is_told() {
    let mut site = Site::template(&chain(""));
    let socket = std::os::unix::net::UnixDatagram::bind(site.path("notify")).expect("bound");
    socket.set_read_timeout(Some(site::PATIENCE)).expect("set");
    let notify = site.text("notify");
    site.start_with(&[("NOTIFY_SOCKET", &notify), ("WATCHDOG_USEC", "300000")]);
    let next = || {
        let mut bytes = [0; 512];
        let len = socket.recv(&mut bytes).expect("in time");
        String::from_utf8_lossy(&bytes[..len]).trim_end().to_owned()
    };
    assert!(next().starts_with("READY=1\n"));
    assert_eq!([next(), next()], ["WATCHDOG=1", "WATCHDOG=1"]);
    assert!(site.signal("TERM"));
    while next() != "STOPPING=1" {}
}

#[test]
fn the_unit_leaves_little_open() {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/sonda-supervisor.service");
    // Ten times the level: the 2.0 of RELIABILITY.md.
    let words = ["security", "--offline=true", "--threshold=20", unit];
    let checked = std::process::Command::new("systemd-analyze").args(words).output().expect("it is installed");
    assert!(checked.status.success(), "{}", said(&checked));
}

/// `-d`, then `supcli` as people use it: the terminal's lines, `Dstop`.
#[test]
fn to_the_background_and_back_by_the_client() {
    use std::io::Write;
    use std::process::Stdio;
    let site = Site::template(&chain(""));
    let started = site.supervisor(&["-d"]).output().expect("it runs");
    assert!(started.status.success(), "{}", said(&started));
    assert!(said(&started).contains(" [INFO] PID of daemon process: "), "{}", said(&started));
    let (rep, _) = (site.runs("rep", None), site.runs("lg1", None));
    let talk = |lines: &str| {
        let mut client = site.tool(&["supcli", "-s", &site.text("run/s.sock")]);
        let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it runs");
        client.stdin.take().expect("piped").write_all(lines.as_bytes()).expect("sent");
        said(&client.wait_with_output().expect("it ends"))
    };
    let shown = talk("8\nCquit\n");
    assert!(shown.contains("Number of running modules:\x1b[0m 2\n"), "{shown}");
    assert!(talk("0\n4\nCquit\n").contains("[CONFIGURATION STATUS]"), "one zero stops nothing");
    talk("Dstop\n");
    site.until("the daemon is gone", || site.connect().is_none());
    assert!(Path::new(&format!("/proc/{rep}")).exists());
}
