//! `sonda demo`: attacks that the generator tells among other people's traffic go the whole way of a site, from packets to alerts.
//!
//! Every step is a program of this box, run as its users run it, over files: `ipfixprobe`, detectors, aggregators, reporters, the store.
use crate::alerts::{Paint, Table};
use crate::applets;
use benches::attacks::{ATTACKS, Attack, SPAN, write_attacks};
use benches::{EPOCH, Nanos};
use clap::Parser;
use detect::store::{Alert, Order, Query, Store, StoreError};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::net::Ipv4Addr;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};

mod watches;
use watches::{WATCHES, Watch};

/// Alerts of one attack that are shown; a long one is told again and again.
const SHOWN_MAX: u64 = 1_000;
/// Flows of other people: 20 million packets or more.
const FLOWS_MAX: u64 = 10_000_000;
/// Slots of the probe's table, as a power of two, at the least.
const CACHE_MIN: u32 = 12;
/// A flow is in the table for so long, with what comes after its last packet.
const LIVE_SECS: u64 = 120;
const SPAN_SECS: u64 = SPAN / (1_000 * MILLION);
/// Plugins whose detectors want both directions in one record.
const BOTH_WAYS: [&str; 5] = ["ssh", "rdp", "smb", "kerberos", "tls"];
const MILLION: Nanos = 1_000_000;

/// Make traffic with attacks in it, find them, and show the alerts with the reason of each.
#[derive(Parser, Debug)]
#[command(
    name = "sonda demo",
    version,
    after_help = "Examples:\n  sonda demo\n  sonda demo --only port_scan,flood\n  sonda demo --keep /tmp/demo && sonda alerts --store /tmp/demo/alerts.db list\n  \
sonda demo --background-only      # what the detectors say of traffic without attacks: nothing\n\n\
Exit status: 0 every attack was found, and nothing else; 1 one was not, or a step failed; 2 wrong usage."
)]
pub(crate) struct Args {
    /// Only these attacks (default: all)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<Attack>,
    /// No attack at all
    #[arg(long, conflicts_with = "only")]
    background_only: bool,
    /// Flows of other people, over 20 minutes
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=FLOWS_MAX))]
    flows: u64,
    /// So many of them for each flow of an attack, all attacks together
    #[arg(long, value_name = "N", conflicts_with = "flows", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    mix: Option<u64>,
    /// The same seed makes the same traffic
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Leave the capture, flows, alerts and the store in this folder, which must not have any yet
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("{}: {why}", path.display())]
    File { path: PathBuf, why: io::Error },
    #[error("{} is there already; give --keep another folder", .0.display())]
    Used(PathBuf),
    #[error("{step} failed ({status}){said}")]
    Step { step: String, status: String, said: String },
    #[error("the store: {0}")]
    Store(#[from] StoreError),
    #[error("cannot write: {0}")]
    Write(#[from] io::Error),
}

pub(crate) fn main(args: &[OsString]) -> u8 {
    let args: Args = match applets::parse("demo", args) {
        Ok(args) => args,
        Err(status) => return status,
    };
    match run(&args) {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(DemoError::Write(e)) if e.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(e) => {
            eprintln!("sonda demo: {e}");
            1
        }
    }
}

/// Answers whether all was found, and nothing else.
fn run(args: &Args) -> Result<bool, DemoError> {
    let told: &[Attack] = match args {
        Args { background_only: true, .. } => &[],
        Args { only, .. } if !only.is_empty() => only,
        _ => ATTACKS,
    };
    // Removed when it goes.
    let temporary = tempfile::tempdir()?;
    let folder = args.keep.as_deref().unwrap_or(temporary.path());
    let mut site = Site::new(folder)?;
    let mut out = io::stdout().lock();
    // The background alone is as large as that among which attacks are found.
    let mixed: &[Attack] = if args.background_only { ATTACKS } else { told };
    let of_attacks = || mixed.iter().map(|attack| attack.flows(args.seed)).sum::<u64>();
    let others = args.mix.map_or(args.flows, |mix| (mix * of_attacks()).min(FLOWS_MAX));
    site.capture(told, others, args)?;
    let paint = Paint::of_stdout();
    let mut lines = Vec::new();
    let mut is_right = true;
    for watch in WATCHES {
        let attack = told.iter().find(|attack| attack.name == watch.attack);
        let alerts = site.watch(watch)?;
        let is_true = |alert: &&Alert| attack.is_some_and(|attack| names(alert, attack.culprit));
        let outcome = match (attack, alerts.iter().find(is_true)) {
            (None, _) if alerts.is_empty() => continue,
            _ if !alerts.iter().all(|alert| is_true(&alert)) => "FALSE ALERT".into(),
            (Some(attack), Some(alert)) => format!("found, {}", delay(alert, attack.begins)),
            _ => "NOT FOUND".into(),
        };
        is_right &= outcome.starts_with("found");
        writeln!(out, "{}: {}", watch.attack, attack.map_or("was not told", |attack| attack.doc))?;
        Table::of(&alerts, paint).write(&mut out)?;
        writeln!(out, "  why: {} ({})\n", watch.why, watch.detector[0])?;
        out.flush()?;
        lines.push((watch.attack, watch.detector[0], outcome));
    }
    for (attack, detector, outcome) in &lines {
        writeln!(out, "{attack:17}  {detector:24}  {outcome}")?;
    }
    let found = lines.iter().filter(|(.., outcome)| outcome.starts_with("found")).count();
    writeln!(out, "{found} of {} attacks found among {others} flows of others", told.len())?;
    if args.keep.is_some() {
        writeln!(out, "next: sonda alerts --store {} list", site.path("alerts.db").display())?;
    }
    out.flush()?;
    Ok(is_right)
}

/// Whether an alert is about this address.
fn names(alert: &Alert, address: Ipv4Addr) -> bool {
    alert.document.contains(&format!("\"{address}\""))
}

/// From the beginning of an attack to the end of what its first alert speaks of, by the time of the traffic.
fn delay(alert: &Alert, begin: Nanos) -> String {
    let begin = i64::try_from((EPOCH + begin) / MILLION).unwrap_or(i64::MAX);
    match alert.detected - begin {
        millis if (0..=(2 * SPAN / MILLION) as i64).contains(&millis) => {
            format!("{:.1} s after it began", millis as f64 / 1000.0)
        }
        _ => "by a detector that goes by the machine's clock".into(),
    }
}

/// A site in a folder: what lies there and what was run.
struct Site<'a> {
    folder: &'a Path,
    sonda: PathBuf,
    /// Number of the last alert that was shown.
    seen: i64,
}

impl<'a> Site<'a> {
    fn new(folder: &'a Path) -> Result<Site<'a>, DemoError> {
        let site = Site { folder, sonda: std::env::current_exe()?, seen: 0 };
        fs::create_dir_all(folder).map_err(|why| DemoError::File { path: folder.into(), why })?;
        for name in ["attacks.pcap", "alerts.db"] {
            if site.path(name).exists() {
                return Err(DemoError::Used(site.path(name)));
            }
        }
        let config = site.path("reporters.yaml");
        fs::write(&config, site.yaml()).map_err(|why| DemoError::File { path: config, why })?;
        Ok(site)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Keeps every alert in the store. JSON is YAML, whatever the path has in it.
    fn yaml(&self) -> String {
        serde_json::json!({
            "namespace": "org.example.demo",
            "custom_actions": [{ "id": "keep", "store": { "path": self.path("alerts.db").to_string_lossy() } }],
            "rules": [{ "id": "all", "condition": true, "actions": ["keep"] }],
        })
        .to_string()
    }

    /// Tells the traffic to two probes, one of which has each direction as a record of its own. They write a file of flow records for each plugin
    /// that a detector needs. The traffic itself is many times as large, and is left only where that is asked for.
    fn capture(&self, attacks: &[Attack], others: u64, args: &Args) -> Result<(), DemoError> {
        let plugins = WATCHES.iter().map(|watch| watch.plugin);
        let (both, split): (BTreeSet<&str>, BTreeSet<&str>) = plugins.partition(|plugin| BOTH_WAYS.contains(plugin));
        let mut probes = [self.probe("split;", &split, others)?, self.probe("", &both, others)?];
        let path = self.path("attacks.pcap");
        let kept = args.keep.as_ref().map(|_| File::create(&path)).transpose();
        let kept = kept.map_err(|why| DemoError::File { path, why })?;
        let probes_in = probes.iter_mut().filter_map(|probe| probe.stdin.take()).collect();
        let mut told = BufWriter::new(Told { probes: probes_in, kept });
        let written = write_attacks(attacks, others, args.seed, &mut told).and_then(|_| told.flush());
        // The end of the capture.
        drop(told);
        for probe in probes {
            // A probe that ended early says why; the pipe only says that it did.
            ended("ipfixprobe", &probe.wait_with_output()?, &[0])?;
        }
        Ok(written?)
    }

    /// A probe that reads a capture from standard input. The cache is as small as the traffic is, because its sweep goes by packets: a large one
    /// tells of quiet flows many minutes late at few packets a second.
    fn probe(&self, split: &str, plugins: &BTreeSet<&str>, others: u64) -> io::Result<Child> {
        let interfaces =
            plugins.iter().map(|plugin| format!("{}:w:buffer=off:timeout=WAIT", file(&self.flows(plugin))));
        let interfaces = interfaces.collect::<Vec<_>>().join(",");
        let map = plugins.iter().copied().collect::<Vec<_>>().join(",");
        let output = format!("unirec;ifc={interfaces};id=0;plugins={map}");
        let size = CACHE_MIN.max((4 * others * LIVE_SECS / SPAN_SECS).max(1).ilog2());
        let mut command = Command::new(&self.sonda);
        command.args(["ipfixprobe", "-i", "pcap;file=-", "-s", &format!("cache;{split}size={size}"), "-o", &output]);
        command.args(plugins.iter().filter(|plugin| **plugin != "basic").flat_map(|plugin| ["-p", *plugin]));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()
    }

    /// Where the flow records of a plugin are.
    fn flows(&self, plugin: &str) -> PathBuf {
        self.path(&format!("flows_{plugin}.trapcap"))
    }

    /// Lets one detector look at the traffic, and its reporters make of it what they do. Answers the alerts that came.
    fn watch(&mut self, watch: &Watch) -> Result<Vec<Alert>, DemoError> {
        for (name, content) in watch.files {
            let path = self.path(name);
            fs::write(&path, self.placed(content)).map_err(|why| DemoError::File { path, why })?;
        }
        let mut alerts = self.pass_on(watch.detector, &self.flows(watch.plugin))?;
        let Some((reporter, between)) = watch.reporters.split_last() else { return Ok(Vec::new()) };
        for module in between {
            alerts = match alerts {
                Some(alerts) => self.pass_on(&[module], &alerts)?,
                None => None,
            };
        }
        let Some(alerts) = alerts else { return Ok(Vec::new()) };
        let config = self.path("reporters.yaml").to_string_lossy().into_owned();
        // -D: the traffic is from 2020, and messages of other days are passed over otherwise.
        self.step(reporter, ["-i", &file(&alerts), "-c", &config, "-D"])?;
        let mut found = Vec::new();
        if !self.path("alerts.db").exists() {
            return Ok(found);
        }
        let query = Query { after: Some(self.seen), ..Query::default() };
        Store::read(&self.path("alerts.db"))?.alerts(&query, Order::Stored, SHOWN_MAX, |alert| {
            self.seen = self.seen.max(alert.number);
            found.push(alert);
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// Runs a module from one file to another; `None` if it said nothing.
    fn pass_on(&self, module: &[&str], from: &Path) -> Result<Option<PathBuf>, DemoError> {
        // Without a record a file has no format either, and nobody can read it.
        if !is_written(from) {
            return Ok(None);
        }
        let out = self.path(&format!("{}.trapcap", module[0]));
        let interfaces = format!("{},{}:w:buffer=off", file(from), file(&out));
        let options: Vec<_> = module[1..].iter().map(|option| self.placed(option)).collect();
        let args = ["-i", &interfaces].into_iter().chain(options.iter().map(String::as_str));
        self.step(module[0], args)?;
        Ok(is_written(&out).then_some(out))
    }

    /// A text of a [`Watch`] with the folder in its place.
    fn placed(&self, text: &str) -> String {
        text.replace("{}", &self.folder.to_string_lossy())
    }

    fn step<'s>(&self, name: &str, args: impl IntoIterator<Item = &'s str>) -> Result<(), DemoError> {
        let output = Command::new(&self.sonda).arg(name).args(args).stdin(Stdio::null()).output()?;
        // amplification_detection ends with 1 when all went well, as the original.
        ended(name, &output, if name == "amplification_detection" { &[0, 1] } else { &[0] })
    }
}

/// Where the capture goes.
struct Told {
    probes: Vec<ChildStdin>,
    kept: Option<File>,
}

impl Write for Told {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(kept) = &mut self.kept {
            kept.write_all(bytes)?;
        }
        self.probes.iter_mut().try_for_each(|probe| probe.write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.probes.iter_mut().try_for_each(Write::flush)
    }
}

/// Whether a program ended as it should.
fn ended(name: &str, output: &Output, fine: &[i32]) -> Result<(), DemoError> {
    if output.status.code().is_some_and(|code| fine.contains(&code)) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().last().map_or_else(String::new, |line| format!(": {line}"));
    Err(DemoError::Step { step: format!("sonda {name}"), status: output.status.to_string(), said })
}

fn is_written(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.len() > 0)
}

/// Interface specifier of a file.
fn file(path: &Path) -> String {
    format!("f:{}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attack_has_its_watch() {
        let told: BTreeSet<&str> = ATTACKS.iter().map(|attack| attack.name).collect();
        let watched: BTreeSet<&str> = WATCHES.iter().map(|watch| watch.attack).collect();
        assert_eq!((told, WATCHES.len()), (watched, ATTACKS.len()));
    }
}
