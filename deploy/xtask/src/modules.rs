//! `cargo xtask modules`: records a second of processor time, and peak memory, of modules and detectors on one core.
//!
//! Each reads a TRAP file of generated records (modules/records.rs) and writes to a blackhole, once over an ordinary mix and once over records
//! whose hosts are all new. Time is that of the process in user and kernel, reading the file and the start included. Memory is the highest that
//! /proc saw (VmHWM), looked at every few milliseconds.
use crate::{Outcome, shell};
use records::{Fields, Hosts};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

mod records;

/// Measure modules: records per CPU second and peak memory, over an ordinary mix and over hosts that are all new
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Records of each file
    #[arg(long, default_value_t = 2_000_000)]
    records: u64,
    /// Runs of each measurement; the fastest counts
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Only modules whose names begin so
    #[arg(long, default_value = "")]
    module: String,
    /// This program in place of one that is built for release
    #[arg(long, value_name = "SONDA")]
    program: Option<PathBuf>,
}

/// What is measured: name, fields, arguments. `@biflow` is a configuration that is written for the run, `@scratch` a file of it.
const MODULES: &[(&str, Fields, &[&str])] = &[
    ("unirecfilter", Fields::Flows, &["-F", "DST_PORT == 443 OR SRC_IP == 10.0.0.0/8 AND BYTES > 1000"]),
    ("agg", Fields::Flows, &["-k", "SRC_IP", "-k", "DST_PORT", "-s", "BYTES", "-s", "PACKETS", "-t", "A:10"]),
    ("biflow_aggregator", Fields::Flows, &["-c", "@biflow", "-n", "biflow", "-s", "20"]),
    ("vportscan_detector", Fields::Flows, &[]),
    ("haddrscan_detector", Fields::Flows, &[]),
    ("amplification_detection", Fields::Flows, &[]),
    ("brute_force_detector", Fields::Flows, &["-S", "-R", "-T"]),
    ("ddos_detector", Fields::Flows, &[]),
    ("sip_bf_detector", Fields::Sip, &[]),
    ("voip_fraud_detection", Fields::Sip, &["-e", "disabled", "-c", "disabled"]),
    ("dnstunnel_detection", Fields::Dns, &["-E", "@scratch"]),
    ("waintrusion_detector", Fields::Http, &[]),
    ("dga_detector", Fields::Dns, &[]),
    ("beacon_detector", Fields::Flows, &[]),
    // Of the usual hosts the clients, of the new ones half.
    ("exfiltration_detector", Fields::Flows, &["-n", "0.0.0.0/1"]),
    ("new_service_detector", Fields::Flows, &["-n", "0.0.0.0/0"]),
    ("reflection_detector", Fields::Flows, &[]),
];

const SETS: [(&str, Hosts); 2] = [("usual", Hosts::Usual), ("all new", Hosts::AllNew)];

const BIFLOW: &str = r#"<?xml version="1.0"?>
<aggregator><id name="biflow">
 <field><name>SRC_IP</name><type>KEY</type><reverse_name>DST_IP</reverse_name></field>
 <field><name>DST_IP</name><type>KEY</type><reverse_name>SRC_IP</reverse_name></field>
 <field><name>SRC_PORT</name><type>KEY</type><reverse_name>DST_PORT</reverse_name></field>
 <field><name>DST_PORT</name><type>KEY</type><reverse_name>SRC_PORT</reverse_name></field>
 <field><name>PROTOCOL</name><type>KEY</type></field>
 <field><name>PACKETS</name><type>SUM</type></field>
 <field><name>BYTES</name><type>SUM</type></field>
 <field><name>TCP_FLAGS</name><type>BITOR</type></field>
</id></aggregator>
"#;

/// Between two looks at the memory of a process.
const LOOK: Duration = Duration::from_millis(5);
/// Ticks a second of /proc (`getconf CLK_TCK` on Linux).
const TICKS: f64 = 100.0;

pub(crate) fn run(args: &Args) -> Outcome {
    shell::need("taskset", "util-linux")?;
    let program = match &args.program {
        Some(program) => program.clone(),
        None => {
            shell::call(Command::new("cargo").args(["build", "--quiet", "--release", "--locked", "-p", "sonda"]))?;
            shell::target_dir().join("release/sonda")
        }
    };
    // Beside the program: the files are larger than /tmp should hold.
    let folder = tempfile::tempdir_in(shell::target_dir()).map_err(|e| format!("no temporary folder: {e}"))?;
    let file = |name: &str| folder.path().join(name);
    fs::write(file("biflow"), BIFLOW).map_err(|e| format!("cannot write: {e}"))?;
    println!(
        "{} records, one core, the fastest of {} runs; M records/s of CPU time, MiB at the most\n",
        args.records, args.runs
    );
    println!("| module | {} |\n|---|---|---|---|---|", SETS.map(|(name, _)| format!("{name}: M/s | MiB")).join(" | "));
    for fields in [Fields::Flows, Fields::Sip, Fields::Dns, Fields::Http] {
        let chosen = MODULES.iter().filter(|(name, of, _)| *of == fields && name.starts_with(&args.module));
        let chosen: Vec<_> = chosen.collect();
        if chosen.is_empty() {
            continue;
        }
        for (name, hosts) in SETS {
            records::write(&file(name), fields, hosts, args.records)?;
        }
        for (module, _, words) in chosen {
            let cells = SETS.iter().map(|(set, _)| measure(args, &program, module, words, folder.path(), set));
            let cells = cells.collect::<Result<Vec<_>, String>>()?;
            println!("| {module} | {} |", cells.join(" | "));
        }
    }
    Ok(())
}

/// The fastest run of a module over a set, as cells of the table.
fn measure(
    args: &Args,
    program: &Path,
    module: &str,
    words: &[&str],
    folder: &Path,
    set: &str,
) -> Result<String, String> {
    let mut best = f64::INFINITY;
    let mut peak = 0;
    for _ in 0..args.runs.max(1) {
        let (seconds, memory) = once(program, module, words, folder, set)?;
        best = best.min(seconds);
        peak = peak.max(memory);
    }
    Ok(format!("{:.2} | {}", args.records as f64 / best / 1e6, peak / 1024))
}

/// Seconds of processor time, and KiB.
fn once(program: &Path, module: &str, words: &[&str], folder: &Path, set: &str) -> Result<(f64, u64), String> {
    let ifcs = format!("f:{},b:", folder.join(set).display());
    let words = words.iter().map(|word| match word.strip_prefix('@') {
        Some(name) => folder.join(name).display().to_string(),
        None => (*word).to_owned(),
    });
    let before = children()?;
    let mut child = Command::new("taskset")
        .args(["-c", "0"])
        .arg(program)
        .args([module, "-i", &ifcs])
        .args(words)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("{}: {e}", program.display()))?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let ended = loop {
        if let Some(ended) = child.try_wait().map_err(|e| format!("{module}: {e}"))? {
            break ended;
        }
        peak = peak.max(high_water(&fs::read_to_string(&status).unwrap_or_default()));
        std::thread::sleep(LOOK);
    };
    // As the original, this one ends with 1 when all is well.
    if ended.code() != Some(i32::from(module == "amplification_detection")) {
        return Err(format!("{module} ended with {ended}"));
    }
    Ok((children()? - before, peak))
}

/// KiB, of a process' status.
fn high_water(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Seconds of processor time of all children that have ended (proc(5), cutime and cstime).
fn children() -> Result<f64, String> {
    let stat = fs::read_to_string("/proc/self/stat").map_err(|e| format!("/proc/self/stat: {e}"))?;
    // The name in brackets may have blanks; the fields behind it begin with the third.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at - 3).and_then(|field| field.parse::<f64>().ok());
    let sum = ticks(16).zip(ticks(17)).map(|(user, system)| user + system);
    sum.map(|ticks| ticks / TICKS).ok_or_else(|| "/proc/self/stat is of another form".to_owned())
}
