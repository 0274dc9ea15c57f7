//! What is left to a module of ours that a supervisor runs (RELIABILITY.md, section 6): nothing but its interfaces, the files of its options, and for
//! a reporter its far ends. Needs root, for whom everything else would be possible.
#[path = "supervisor/site.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod site;
mod support;

use site::{REPEATER, Site, said};
use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use support::{Folder, outcome, sonda};

const REPORT: &str = "SONDA_SANDBOX";

/// What can be tried, and whether it is possible for these arguments.
fn tried(args: &[&str], confined: bool) -> BTreeMap<String, bool> {
    let mut command = sonda([&["sandbox-try"], args].concat());
    if confined {
        command.env(REPORT, "-");
    } else {
        command.env_remove(REPORT);
    }
    let run = outcome(&mut command).must(0);
    if confined {
        for part in ["capabilities", "calls"] {
            assert!(run.stderr.contains(&format!("{part} yes\n")), "{}", run.stderr);
        }
        // A kernel without Landlock says so, and what it cannot keep is not shown.
        if run.stderr.contains("files no\n") {
            assert!(run.stderr.contains("[WARNING] sandbox: files are not fenced: this kernel"), "{}", run.stderr);
        }
    }
    let lines = run.stdout.lines().filter_map(|line| line.split_once(": "));
    lines.map(|(what, came)| (what.to_owned(), came == "possible")).collect()
}

/// Whether the kernel fences files.
fn has_landlock() -> bool {
    let run = outcome(sonda(["sandbox-try", "traffic_repeater"]).env(REPORT, "-")).must(0);
    let has = run.stderr.contains("files yes\n");
    if !has {
        println!("NOT SHOWN: files and ports; this kernel says\n{}", run.stderr);
    }
    has
}

#[test]
fn each_kind_of_module_is_refused_what_it_has_no_use_for() {
    let folder = Folder::new();
    let list = folder.write("list", "192.0.2.1\n").display().to_string();
    let config = folder.write("c.yaml", "namespace: org.example\nrules: []\n").display().to_string();
    let rows = folder.text("rows.csv");
    let script = folder.write("s.lua", "function on_record_recv() end\n").display().to_string();
    let settings = format!("<x><element name=\"ipv4_blacklist_file\">{list}</element></x>");
    let settings = folder.write("settings.xml", &settings).display().to_string();
    // The test is none if these could not be done anyway.
    let free = tried(&["vportscan_detector", "-i", "u:a,u:b"], false);
    assert!(free.len() == 7 && free.values().all(|is| *is), "{free:?}");
    let landlock = has_landlock();
    let of_this_machine = ["vportscan_detector", "-i", "u:a,u:b"];
    let with_list = ["brute_force_detector", "-S", "-w", &list, "-i", "u:a,u:b"];
    let kinds: [(&[&str], bool); 7] = [
        (&of_this_machine, false),
        (&with_list, false),
        (&["logger", "-w", &rows, "-i", "u:a"], false),
        (&["vportscan2idea", "-c", &config, "-i", "u:a"], true),
        (&["luamodule", "-l", &script, "-i", "u:a,u:b"], false),
        (&["ipblacklistfilter", "-c", &settings, "-i", "u:a,u:b"], false),
        (&["bl_downloader", "-c", &settings], true),
    ];
    for (args, networks) in kinds {
        let tried = tried(args, true);
        let mut expected = vec![
            ("start a program", false),
            ("a socket of IPv4", networks),
            ("a socket of this machine", true),
            ("read /proc/self/status", true),
        ];
        if landlock {
            expected.extend([
                ("read /etc/shadow", false),
                ("write to /etc/hosts", false),
                ("listen at a TCP port", false),
            ]);
        }
        for (what, is_possible) in expected {
            assert_eq!(tried[what], is_possible, "{args:?}: {what}");
        }
    }
}

#[test]
fn a_downloader_in_its_sandbox_writes_the_list_that_a_filter_reads() {
    let (lists, sources) = (Folder::new(), Folder::new());
    let source = sources.write("source", "# comment\n192.0.2.7\n").display().to_string();
    let element = |name: &str, value: &str| format!("<element name=\"{name}\">{value}</element>");
    let files = [("IP4", "new/ip4"), ("IP6", "new/ip6"), ("URL", "url"), ("DNS", "dns")];
    let files: String = files.iter().map(|(name, file)| element(name, &lists.text(file))).collect();
    let list = [
        ("id", "3"),
        ("category", "Test"),
        ("method", "web"),
        ("name", "Ours"),
        ("file_format", "plaintext"),
        ("source", &format!("file://{source}")),
        ("download_interval", "1"),
        ("ip_version", "4"),
    ];
    let list: String = list.iter().map(|(name, value)| element(name, value)).collect();
    let catalog = format!(
        "<configuration><struct name=\"general\">{}{}</struct><struct name=\"detector_files\">{files}</struct>\
         <struct name=\"blacklist_array\"><array type=\"IP\"><struct>{list}</struct></array></struct></configuration>",
        element("download_interval", "1"),
        element("socket_timeout", "5")
    );
    let catalog = sources.write("catalog.xml", &catalog).display().to_string();
    let mut command = sonda(["bl_downloader", "-c", &catalog]);
    let downloader = command.env(REPORT, "-").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    support::wait_for("the list", || {
        fs::read_to_string(lists.path("new/ip4")).is_ok_and(|text| text == "192.0.2.7,4\n")
    });
    site::kill(downloader.id(), "INT");
    let said = said(&downloader.wait_with_output().expect("it ends"));
    assert!(said.contains("capabilities yes\n") && said.contains("calls yes\n"), "{said}");
}

/// What stands behind the repeater.
const LOGGERS: &str = r#"[[module]]
name = "lg1"
profile = "P"
path = "@/bin/logger"
params = "-a @/rows.csv"
inputs = ["u:supx_b"]
user = "nobody"
[[module]]
name = "free"
profile = "P"
path = "@/bin/logger"
params = "-a @/others.csv"
inputs = ["u:supx_c"]
sandbox = false
"#;

#[test]
fn modules_of_a_supervisor_are_in_their_sandbox_and_it_is_told() {
    let landlock = has_landlock();
    let mut site = Site::native(&(REPEATER.replace("supx_b", "supx_b:timeout=WAIT") + LOGGERS));
    // Whoever runs as nobody reaches the folders of the site, and writes its rows.
    use std::os::unix::fs::{PermissionsExt, chown};
    for folder in ["", "traps", "bin"] {
        fs::set_permissions(site.path(folder), fs::Permissions::from_mode(0o777)).expect("ours");
    }
    fs::write(site.path("rows.csv"), "").expect("written");
    chown(site.path("rows.csv"), Some(65_534), Some(65_534)).expect("root may");
    site.start();
    let pids = ["rep", "lg1", "free"].map(|module| site.runs(module, None));
    site.until("all answer", || {
        let inventory = site.inventory();
        ["rep", "lg1", "free"].iter().all(|module| inventory[module]["inputs"][0].is_object())
    });
    for (at, pid) in pids.into_iter().enumerate() {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
        for task in tasks {
            let Ok(status) = fs::read_to_string(task.expect("a thread").path().join("status")) else { continue };
            let has = |line: &str| status.lines().any(|there| there == line);
            let confined = has("CapEff:\t0000000000000000") && has("NoNewPrivs:\t1") && has("Seccomp:\t2");
            assert_eq!(confined, at < 2, "{status}");
            assert_eq!(has("Uid:\t65534\t65534\t65534\t65534"), at == 1, "{status}");
        }
    }
    let metrics = || said(&site.client(&["ctl", "get", "/metrics"]));
    let part = |module: &str, part: &str, is: bool| {
        format!("sonda_supervised_sandbox{{module=\"{module}\",profile=\"P\",part=\"{part}\"}} {}", u8::from(is))
    };
    let expected = ["rep", "lg1"].map(|module| {
        [("capabilities", true), ("files", landlock), ("calls", true)].map(|(word, is)| part(module, word, is))
    });
    site.until("what is in force is counted", || {
        let text = metrics();
        expected.iter().flatten().all(|line| text.lines().any(|there| there == line))
    });
    assert!(!metrics().contains("sonda_supervised_sandbox{module=\"free\""));
    assert_eq!(site.count("modules_events", "runs without a part of its sandbox (files)") > 0, !landlock);

    // Records go through it all.
    let capture = site.path("c.pcap");
    fs::write(&capture, support::mixture(2_000, 200)).expect("written");
    let flows = capture.to_str().expect("plain");
    let fed = outcome(&mut site.tool(&["probe", flows, "--unirec", "u:supx_a:timeout=WAIT"])).must(0);
    let records = support::Summary::of(&fed.stderr).records.1;
    site.until("all rows are logged", || site.read("rows.csv").lines().count() as u64 == records);
}
