//! `cargo xtask modules`: records a second of processor time, and peak memory, of modules and detectors on one core.
//!
//! Each reads a TRAP file of generated records (modules/records.rs) and writes to a blackhole, once over an ordinary mix and once over records
//! whose hosts are all new. Time is that of the process in user and kernel, reading the file and the start included. Memory is the highest that
//! /proc saw (VmHWM), looked at every few milliseconds. `--hosts N` measures memory alone: with N hosts that are all new, and with four times as
//! many, so that what is bounded shows.
use crate::{Outcome, shell};
use cases::{Case, MODULES};
use records::{Fields, Hosts};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

mod cases;
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
    /// Only memory: with so many hosts, each in one record as a source and in one as a destination, and with four times as many
    #[arg(long, value_name = "N")]
    hosts: Option<u64>,
}

const SETS: [(&str, Hosts); 2] = [("usual", Hosts::Usual), ("all new", Hosts::AllNew)];
/// How many more hosts show whether memory is bounded.
const MORE: u64 = 4;

/// Between two looks at the memory of a process.
const LOOK: Duration = Duration::from_millis(5);
/// Ticks a second of /proc (`getconf CLK_TCK` on Linux).
const TICKS: f64 = 100.0;

pub(crate) fn run(args: &Args) -> Outcome {
    shell::need("taskset", "util-linux")?;
    let program = shell::release(args.program.as_deref())?;
    let folder = folder()?;
    let sets = match args.hosts {
        Some(hosts) => {
            [(hosts.to_string(), Hosts::AllNew, hosts), ((MORE * hosts).to_string(), Hosts::AllNew, MORE * hosts)]
        }
        None => SETS.map(|(name, hosts)| (name.to_owned(), hosts, args.records)),
    };
    let names = sets.each_ref().map(|(name, ..)| name.as_str());
    if args.hosts.is_some() {
        println!("Peak memory, MiB, with hosts that are all new\n\n| module | {} |\n|---|---|---|", names.join(" | "));
    } else {
        println!(
            "{} records, one core, the fastest of {} runs; M records/s of CPU time, MiB at the most\n",
            args.records, args.runs
        );
        println!("| module | {} |\n|---|---|---|---|---|", names.map(|name| format!("{name}: M/s | MiB")).join(" | "));
    }
    each(&args.module, folder.path(), &sets, |case| {
        let cells = sets.iter().map(|(set, _, records)| measure(args, &program, case, folder.path(), (set, *records)));
        let cells = cells.collect::<Result<Vec<_>, String>>()?;
        println!("| {} | {} |", case.module, cells.join(" | "));
        Ok(())
    })
}

/// Each module once over an ordinary mix, for a look at what it does.
pub(crate) fn train(program: &Path, records: u64) -> Outcome {
    let folder = folder()?;
    let (set, hosts) = SETS[0];
    let sets = [(set.to_owned(), hosts, records)];
    each("", folder.path(), &sets, |case| once(program, case, folder.path(), set).map(drop))
}

/// A folder with what modules read beside records. Where cargo builds: the records are larger than /tmp should hold.
fn folder() -> Result<TempDir, String> {
    let folder = tempfile::tempdir_in(shell::target_dir()).map_err(|e| format!("no temporary folder: {e}"))?;
    cases::write(folder.path()).map_err(|e| format!("cannot write: {e}"))?;
    Ok(folder)
}

/// Goes through the modules whose names begin so, those that read the same fields behind each other: the sets (name of the file, hosts, records) are
/// written once for all of them.
fn each(
    prefix: &str,
    folder: &Path,
    sets: &[(String, Hosts, u64)],
    mut work: impl FnMut(&'static Case) -> Outcome,
) -> Outcome {
    for fields in Fields::ALL {
        let mut chosen =
            MODULES.iter().filter(|case| case.fields == fields && case.module.starts_with(prefix)).peekable();
        if chosen.peek().is_none() {
            continue;
        }
        for (name, hosts, records) in sets {
            records::write(&folder.join(name), fields, *hosts, *records)?;
        }
        chosen.try_for_each(&mut work)?;
    }
    Ok(())
}

/// The fastest run of a module over a set, as cells of the table.
fn measure(
    args: &Args,
    program: &Path,
    case: &Case,
    folder: &Path,
    (set, records): (&str, u64),
) -> Result<String, String> {
    let mut best = f64::INFINITY;
    let mut peak = 0;
    let runs = if args.hosts.is_some() { 1 } else { args.runs.max(1) };
    for _ in 0..runs {
        let (seconds, memory) = once(program, case, folder, set)?;
        best = best.min(seconds);
        peak = peak.max(memory);
    }
    let memory = peak / 1024;
    Ok(if args.hosts.is_some() { memory.to_string() } else { format!("{:.2} | {memory}", records as f64 / best / 1e6) })
}

/// Seconds of processor time, and KiB.
fn once(program: &Path, case: &Case, folder: &Path, set: &str) -> Result<(f64, u64), String> {
    let Case { module, .. } = *case;
    let mut ifcs = vec![format!("f:{}", folder.join(set).display()); case.inputs];
    ifcs.extend(case.has_output.then(|| "b:".to_owned()));
    let words = case.args.iter().map(|word| match word.strip_prefix('@') {
        Some(name) => folder.join(name).display().to_string(),
        None => (*word).to_owned(),
    });
    let before = children()?;
    let mut child = Command::new("taskset")
        .args(["-c", "0"])
        .arg(program)
        .args([module, "-i", &ifcs.join(",")])
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
