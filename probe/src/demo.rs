//! `sonda demo`: attacks that the generator tells among other people's traffic go the whole way of a site, from packets to alerts.
//!
//! Every step is a program of this box, run as its users run it, over files: `ipfixprobe`, detectors, aggregators, reporters, the store.
use crate::alerts::{Paint, Table};
use crate::applets;
use benches::attacks::{ATTACKS, Attack, SPAN, write_attacks};
use benches::{EPOCH, Nanos};
use clap::Parser;
use detect::store::{Alert, Order, Query, Store, StoreError};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

mod watches;
use watches::{WATCHES, Watch};

/// Alerts of one attack that are shown; a long one is told again and again.
const SHOWN_MAX: u64 = 1_000;
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
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    flows: u64,
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
    site.capture(told, args)?;
    let paint = Paint::of_stdout();
    let mut lines = Vec::new();
    let mut is_right = true;
    for watch in WATCHES {
        let attack = told.iter().find(|attack| attack.name == watch.attack);
        let alerts = site.watch(watch)?;
        let outcome = match (attack, alerts.first()) {
            (Some(attack), Some(alert)) => format!("found, {}", delay(alert, attack.begins)),
            (Some(_), None) => "NOT FOUND".into(),
            (None, Some(_)) => "FALSE ALERT".into(),
            (None, None) => continue,
        };
        is_right &= attack.is_some() && !alerts.is_empty();
        writeln!(out, "{}: {}", watch.attack, attack.map_or("was not told", |attack| attack.doc))?;
        Table::of(&alerts, paint).write(&mut out)?;
        writeln!(out, "  why: {} ({})\n", watch.why, watch.detector[0])?;
        out.flush()?;
        lines.push((watch.attack, watch.detector[0], outcome));
    }
    for (attack, detector, outcome) in &lines {
        writeln!(out, "{attack:14}  {detector:24}  {outcome}")?;
    }
    let found = lines.iter().filter(|(.., outcome)| outcome.starts_with("found")).count();
    writeln!(out, "{found} of {} attacks found among {} flows of others", told.len(), args.flows)?;
    if args.keep.is_some() {
        writeln!(out, "next: sonda alerts --store {} list", site.path("alerts.db").display())?;
    }
    out.flush()?;
    Ok(is_right)
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
    /// Flow records, by the plugin that they were made with.
    flows: BTreeMap<&'static str, PathBuf>,
    /// Number of the last alert that was shown.
    seen: i64,
}

impl<'a> Site<'a> {
    fn new(folder: &'a Path) -> Result<Site<'a>, DemoError> {
        let site = Site { folder, sonda: std::env::current_exe()?, flows: BTreeMap::new(), seen: 0 };
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

    fn capture(&self, attacks: &[Attack], args: &Args) -> Result<(), DemoError> {
        let path = self.path("attacks.pcap");
        let written = File::create(&path).and_then(|mut file| write_attacks(attacks, args.flows, args.seed, &mut file));
        written.map(drop).map_err(|why| DemoError::File { path, why })
    }

    /// Lets one detector look at the traffic, and its reporters make of it what they do. Answers the alerts that came.
    fn watch(&mut self, watch: &Watch) -> Result<Vec<Alert>, DemoError> {
        let flows = self.flows(watch.plugin)?;
        let mut alerts = self.pass_on(watch.detector, &flows)?;
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
        self.step(reporter, &["-i", &file(&alerts), "-c", &config, "-D"], &[])?;
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

    /// The flow records that a plugin makes of the capture, each direction its own as most detectors want them. The cache is small because its
    /// sweep goes by packets: a large one tells of quiet flows many minutes late at so few packets a second.
    fn flows(&mut self, plugin: &'static str) -> Result<PathBuf, DemoError> {
        if let Some(flows) = self.flows.get(plugin) {
            return Ok(flows.clone());
        }
        let out = self.path(&format!("flows{plugin}.trapcap"));
        let input = format!("pcap;file={}", self.path("attacks.pcap").display());
        let output = format!("unirec;ifc={}:w:buffer=off:timeout=WAIT;id=0", file(&out));
        let cache = if BOTH_WAYS.contains(&plugin) { "cache;size=12" } else { "cache;split;size=12" };
        let mut args = vec!["-i", &input, "-s", cache, "-o", &output];
        if !plugin.is_empty() {
            args.extend(["-p", plugin]);
        }
        self.step("ipfixprobe", &args, &[])?;
        self.flows.insert(plugin, out.clone());
        Ok(out)
    }

    /// Runs a module from one file to another; `None` if it said nothing.
    fn pass_on(&self, module: &[&str], from: &Path) -> Result<Option<PathBuf>, DemoError> {
        // Without a record a file has no format either, and nobody can read it.
        if !is_written(from) {
            return Ok(None);
        }
        let out = self.path(&format!("{}.trapcap", module[0]));
        let interfaces = format!("{},{}:w:buffer=off", file(from), file(&out));
        // amplification_detection ends with 1 when all went well, as the original.
        self.step(module[0], &["-i", &interfaces], &module[1..])?;
        Ok(is_written(&out).then_some(out))
    }

    fn step(&self, name: &str, args: &[&str], more: &[&str]) -> Result<(), DemoError> {
        let mut command = Command::new(&self.sonda);
        command.arg(name).args(args).args(more).stdin(Stdio::null());
        let ended = command.output()?;
        let fine: &[i32] = if name == "amplification_detection" { &[0, 1] } else { &[0] };
        if ended.status.code().is_some_and(|code| fine.contains(&code)) {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&ended.stderr);
        let said = said.lines().last().map_or_else(String::new, |line| format!(": {line}"));
        Err(DemoError::Step { step: format!("sonda {name}"), status: ended.status.to_string(), said })
    }
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
    use std::collections::BTreeSet;

    #[test]
    fn each_attack_has_its_watch() {
        let told: BTreeSet<&str> = ATTACKS.iter().map(|attack| attack.name).collect();
        let watched: BTreeSet<&str> = WATCHES.iter().map(|watch| watch.attack).collect();
        assert_eq!((told, WATCHES.len()), (watched, ATTACKS.len()));
    }
}
