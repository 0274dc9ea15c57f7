//! The programs that are compared: how each is called, and how each says what it counted.
use super::Sums;
use crate::shell;
use dataplane::registry::{Layer, PluginId};
use rig::FIVE;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The process plugins of ipfixprobe 5.7 but osquery, which starts a program (spec/process_plugins.md).
pub(crate) const ORIGINAL: [&str; 26] = [
    "basicplus",
    "vlan",
    "icmp",
    "bstats",
    "pstats",
    "phists",
    "nettisa",
    "flowhash",
    "mpls",
    "idpcontent",
    "ovpn",
    "ssadetector",
    "http",
    "dns",
    "passivedns",
    "smtp",
    "sip",
    "tls",
    "rtsp",
    "dnssd",
    "netbios",
    "ssdp",
    "ntp",
    "mqtt",
    "quic",
    "wg",
];

/// A program that is timed.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) argv: Vec<String>,
    /// Times the speed of the first row that it should reach.
    pub(super) floor: Option<f64>,
    /// Emptied before each run.
    pub(super) folder: Option<PathBuf>,
}

/// All programs are there, sonda is built unless it is given.
pub(super) struct Peers {
    sonda: PathBuf,
}

/// The programs over one capture.
pub(super) struct Over<'p> {
    sonda: &'p Path,
    capture: String,
}

impl Peers {
    pub(super) fn ready(program: Option<&Path>) -> Result<Peers, String> {
        for (program, package) in
            [("softflowd", "softflowd"), ("nfpcapd", "nfdump"), ("nfdump", "nfdump"), ("taskset", "util-linux")]
        {
            shell::need(program, package)?;
        }
        Ok(Peers { sonda: shell::release(program)? })
    }

    pub(super) fn over(&self, capture: &Path) -> Over<'_> {
        Over { sonda: &self.sonda, capture: capture.display().to_string() }
    }
}

impl Over<'_> {
    /// softflowd as Debian starts it comes first: it is the yardstick. `with_l7` adds what only traffic with payload can show; `floors`
    /// are those of basic, of five parsers and of everything.
    pub(super) fn rows(&self, port: u16, with_l7: bool, floors: (f64, f64, f64)) -> Vec<Row> {
        let row = |name, argv| Row { name, argv, floor: None, folder: None };
        let output = format!("host=127.0.0.1;port={port};udp");
        let nfpcapd = Row { folder: Some(flow_folder()), ..row("nfpcapd, to its files", self.nfpcapd(&flow_folder())) };
        let basic = Row { floor: Some(floors.0), ..row("sonda ipfixprobe, basic", self.sonda(&output, &[])) };
        let mut rows = vec![row("softflowd (NetFlow 5, IPv4 only)", self.softflowd(port, &[])), nfpcapd, basic];
        let collector = format!("udp://127.0.0.1:{port}");
        rows.push(row("sonda probe, basic", self.sonda_native(&collector, "none", "none")));
        if with_l7 {
            let five = self.sonda(&output, &FIVE);
            let native = self.sonda_native(&collector, &FIVE.join(","), "none");
            let original = row("sonda ipfixprobe, all 26 plugins", self.sonda(&output, &ORIGINAL));
            let same = self.sonda_native(&collector, &original_of(Layer::L7), &original_of(Layer::Stat));
            let same = row("sonda probe, the same 26", same);
            let all = row("sonda probe, everything", self.sonda_native(&collector, "all", "all"));
            rows.insert(1, row("softflowd -6 -v 10 (IPFIX, all)", self.softflowd(port, &["-6", "-v", "10"])));
            rows.push(Row { floor: Some(floors.1), ..row("sonda ipfixprobe, five L7", five) });
            rows.push(row("sonda probe, five L7", native));
            rows.extend([original, same, all].map(|row| Row { floor: Some(floors.2), ..row }));
        }
        rows
    }

    /// Runs sonda without pinning, with all records to a collector that adds up.
    pub(super) fn sonda_over_tcp(&self, port: u16, native: bool) -> Result<(), String> {
        let argv = if native {
            self.sonda_native(&format!("tcp://127.0.0.1:{port}"), "none", "none")
        } else {
            self.sonda(&format!("host=127.0.0.1;port={port}"), &[])
        };
        shell::read(Command::new(&argv[0]).args(&argv[1..])).map(drop)
    }

    /// What softflowd prints at its end. It sends IPFIX, so that it counts IPv6.
    pub(super) fn softflowd_sums(&self, port: u16) -> Result<Sums, String> {
        let argv = self.softflowd(port, &["-6", "-v", "10"]);
        let (said, more) = shell::read(Command::new(&argv[0]).args(&argv[1..]))?;
        let text = said + &more;
        let mut sums = Sums { flows: number_after(&text, "Flows expired:")?, ..Sums::default() };
        // `  tcp (6):   OCTETS  PACKETS   1.58s  16.72s`
        for line in text.lines().skip_while(|line| !line.starts_with("Per-protocol")).skip(1) {
            let Some((_, numbers)) = line.split_once("):") else { continue };
            let mut numbers = numbers.split_whitespace().map_while(|word| word.parse::<u64>().ok());
            sums.octets += numbers.next().unwrap_or(0);
            sums.packets += numbers.next().unwrap_or(0);
        }
        Ok(sums)
    }

    /// What nfdump reads in the files of nfpcapd.
    pub(super) fn nfpcapd_sums(&self) -> Result<Sums, String> {
        let folder = flow_folder();
        emptied(&folder)?;
        let argv = self.nfpcapd(&folder);
        shell::read(Command::new(&argv[0]).args(&argv[1..]))?;
        let (text, _) = shell::read(Command::new("nfdump").arg("-I").arg("-R").arg(&folder))?;
        Ok(Sums {
            flows: number_after(&text, "Flows:")?,
            packets: number_after(&text, "Packets:")?,
            octets: number_after(&text, "Bytes:")?,
        })
    }

    fn softflowd(&self, port: u16, more: &[&str]) -> Vec<String> {
        let pid = shell::target_dir().join("compare/softflowd.pid").display().to_string();
        let sink = format!("127.0.0.1:{port}");
        let fixed = ["softflowd", "-r", &self.capture, "-n", &sink, "-c", "none", "-p", &pid];
        fixed.iter().chain(more).map(ToString::to_string).collect()
    }

    fn nfpcapd(&self, folder: &Path) -> Vec<String> {
        ["nfpcapd", "-r", &self.capture, "-w", &folder.display().to_string()].map(String::from).to_vec()
    }

    fn sonda(&self, output: &str, plugins: &[&str]) -> Vec<String> {
        let (input, output) = (format!("pcap;file={}", self.capture), format!("ipfix;{output}"));
        let fixed = [&self.sonda.display().to_string(), "ipfixprobe", "-i", &input, "-o", &output].map(String::from);
        let plugins = plugins.iter().flat_map(|plugin| ["-p".to_owned(), (*plugin).to_owned()]);
        fixed.into_iter().chain(plugins).collect()
    }

    fn sonda_native(&self, collector: &str, l7: &str, stats: &str) -> Vec<String> {
        let sonda = self.sonda.display().to_string();
        [&sonda, "probe", &self.capture, "--l7", l7, "--stats", stats, "--ipfix", collector].map(String::from).to_vec()
    }
}

/// Those of the original's plugins that look there, as `sonda probe` takes them.
fn original_of(layer: Layer) -> String {
    let is_there = |name: &&str| PluginId::from_name(name).is_some_and(|id| id.layer() == layer);
    ORIGINAL.into_iter().filter(is_there).collect::<Vec<_>>().join(",")
}

/// Where nfpcapd writes.
fn flow_folder() -> PathBuf {
    shell::target_dir().join("compare/nfpcapd")
}

/// Makes a folder that holds nothing.
pub(super) fn emptied(folder: &Path) -> Result<(), String> {
    let told = |e: std::io::Error| format!("{}: {e}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(told)?;
    }
    fs::create_dir_all(folder).map_err(told)
}

fn number_after(text: &str, label: &str) -> Result<u64, String> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix(label));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    number.ok_or_else(|| format!("a peer did not say `{label}`:\n{text}"))
}
