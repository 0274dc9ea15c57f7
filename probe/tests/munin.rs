//! The Munin plugin under a real munin-node (Debian's), which runs in a mount namespace with a configuration of its own: it looks for plugins in
//! /etc/munin only. Needs root for that; nothing of the machine's own munin-node is touched.
#[path = "supervisor/site.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod site;

use site::{CHAIN, PATIENCE, Site, said};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::process::{Child, Command, Output, Stdio};

/// The graphs of the original's plugin (section 11.1 of the reference), for these modules.
const GRAPHS: [&str; 12] = [
    "nemea_modules_cpu",
    "nemea_modules_mem_vms",
    "nemea_modules_mem_rss",
    "nemea_ifcs_total",
    "nemea_alerts",
    "rep_CPU",
    "rep_MEM",
    "rep_INIFC0",
    "rep_OUTIFC0",
    "2scans2idea_CPU",
    "2scans2idea_MEM",
    "2scans2idea_INIFC0",
];

/// The plugin under the name of the original, by the script that packages install, and under ours, by a link to the binary.
const PLUGINS: [&str; 2] = ["nemea_supervisor", "munin"];

/// A munin-node that does not outlive its test.
struct Node {
    child: Child,
    address: SocketAddr,
}

impl Node {
    fn start(site: &Site) -> Node {
        // Its port is free now; munin-node cannot be asked to take any and say which.
        let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
        site.write(
            "munin/munin-node.conf",
            &format!(
                "log_level 4\nlog_file @/munin.log\npid_file @/munin.pid\nbackground 0\nsetsid 0\nuser root\ngroup root\n\
                 host 127.0.0.1\nport {}\nallow ^127\\.0\\.0\\.1$\nhost_name box.example\n",
                address.port()
            ),
        );
        let own = "mount --bind \"$1\" /etc/munin && mount -t tmpfs state /var/lib/munin-node && exec munin-node";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", own, "sh", &site.text("munin")]).stdin(Stdio::null());
        let said = fs::File::create(site.path("munin.stderr")).expect("opened");
        let child = command.stderr(said).spawn().expect("unshare is installed (deploy/setup.sh)");
        let node = Node { child, address };
        site.until("munin-node answers", || TcpStream::connect(address).is_ok());
        node
    }

    /// What it answers to these lines, its greeting left out.
    fn asked(&self, lines: &[&str]) -> String {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        let mut greeting = String::new();
        let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
        reader.read_line(&mut greeting).expect("in time");
        assert_eq!(greeting, "# munin node at box.example\n");
        stream.write_all(format!("cap multigraph\n{}\nquit\n", lines.join("\n")).as_bytes()).expect("sent");
        let mut answer = String::new();
        reader.read_to_string(&mut answer).expect("in time");
        let (capable, answer) = answer.split_once('\n').expect("a line");
        assert!(capable.starts_with("cap ") && capable.contains("multigraph"), "{capable}");
        answer.to_owned()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended.
        let _gone = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// The fields with this attribute, by graph.
fn fields(text: &str, attribute: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut graphs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut graph = String::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("multigraph ") {
            graph = name.to_owned();
            graphs.entry(graph.clone()).or_default();
        } else if let Some((field, of)) = line.split(' ').next().and_then(|word| word.split_once('.'))
            && of == attribute
        {
            let is_one = |at: usize, c: char| c == '_' || c.is_ascii_alphabetic() || (at > 0 && c.is_ascii_digit());
            assert!(field.char_indices().all(|(at, c)| is_one(at, c)), "Munin takes no such field: {line}");
            graphs.get_mut(&graph).expect("a graph comes first").insert(field.to_owned());
        }
    }
    graphs
}

fn run_by_munin(site: &Site, words: &[&str]) -> Output {
    let mut command = Command::new("munin-run");
    command.args(["--config", &site.text("munin/munin-node.conf"), "--servicedir", &site.text("munin/plugins")]);
    command.args(["--sconfdir", &site.text("munin/plugin-conf.d"), "--ignore-systemd-properties"]).args(words);
    command.stdin(Stdio::null()).output().expect("munin-run is installed (deploy/setup.sh)")
}

#[test]
fn a_real_munin_node_lists_describes_and_fetches_all_graphs() {
    let mut site = Site::native(&CHAIN.replace("lg1", "2scans2idea"));
    for folder in ["munin", "munin/plugins", "munin/plugin-conf.d"] {
        fs::create_dir(site.path(folder)).expect("made");
    }
    let sonda = env!("CARGO_BIN_EXE_sonda");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/munin/nemea_supervisor");
    symlink(script, site.path("munin/plugins/nemea_supervisor")).expect("linked");
    symlink(sonda, site.path("munin/plugins/munin")).expect("linked");
    for plugin in PLUGINS {
        let settings = format!("[{plugin}]\nuser root\nenv.socket @/run/s.sock\nenv.SONDA {sonda}\n");
        site.write(&format!("munin/plugin-conf.d/{plugin}"), &settings);
    }
    let node = Node::start(&site);
    // Nobody answers yet.
    for plugin in PLUGINS {
        let asked = run_by_munin(&site, &[plugin, "autoconf"]);
        assert!(asked.status.success() && said(&asked).starts_with("no ("), "{}", said(&asked));
        assert_ne!(run_by_munin(&site, &[plugin]).status.code(), Some(0), "no value is not the value 0");
    }
    site.start();
    site.until("both tell their interfaces", || {
        let inventory = site.inventory();
        ["rep", "2scans2idea"].iter().all(|module| inventory[module]["inputs"][0].is_object())
    });

    let listed = node.asked(&["list"]);
    let expected: BTreeSet<&str> = PLUGINS.into();
    assert_eq!(listed.split_whitespace().collect::<BTreeSet<_>>(), expected);
    for plugin in PLUGINS {
        let config = node.asked(&[&format!("config {plugin}")]);
        let values = node.asked(&[&format!("fetch {plugin}")]);
        let described = fields(&config, "label");
        let names: BTreeSet<&str> = described.keys().map(String::as_str).collect();
        assert_eq!(names, GRAPHS.into(), "{config}");
        assert_eq!(described, fields(&values, "value"), "what is described has a value, and nothing else has");
        assert!(described["nemea_alerts"].contains("_2scans2idea"), "{config}");
        assert!(config.contains("graph_title rep output IFC supx_b\n") && !config.contains("# Bad exit"), "{config}");
        assert!(values.ends_with(".\n") && !values.contains('#'), "{values}");

        let printed = run_by_munin(&site, &[plugin]);
        assert!(printed.status.success(), "{}", said(&printed));
        assert_eq!(fields(&said(&printed), "value"), described);
        let memory: Option<u64> = said(&printed)
            .split("multigraph rep_MEM\n")
            .nth(1)
            .and_then(|graph| graph.lines().nth(1)?.strip_prefix("stat1.value ")?.parse().ok());
        assert!(memory.is_some_and(|bytes| bytes > 100_000), "{}", said(&printed));
        // A node leaves out empty lines and ends with a dot.
        let lines = |text: &str| {
            text.lines().filter(|line| !line.is_empty() && *line != ".").map(String::from).collect::<Vec<_>>()
        };
        assert_eq!(lines(&said(&run_by_munin(&site, &[plugin, "config"]))), lines(&config));
        assert_eq!(said(&run_by_munin(&site, &[plugin, "autoconf"])), "yes\n");
    }
    assert!(site.signal("TERM"));
    let gone = node.asked(&["fetch munin"]);
    assert!(gone.starts_with("# Bad exit"), "{gone}");
}
