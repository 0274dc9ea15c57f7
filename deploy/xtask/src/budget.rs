//! `cargo xtask budget`: instructions of small programs, counted by callgrind and held against benches/budgets.toml.
//!
//! Time differs from run to run on shared machines; instructions hardly do. Each program of benches/rig/examples/budget.rs runs with few passes
//! and with more; the difference belongs to the work alone, start-up and the making of inputs cancel out. Programs are built with the
//! `budget` profile: release without link-time optimization.
mod file;

use crate::{Outcome, shell};
use file::Budgets;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Count instructions per packet or record, and compare with the committed budgets
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write what was counted into benches/budgets.toml
    #[arg(long)]
    bless: bool,
}

/// The few passes are not none, because tables and pools fill in the first ones.
const PASSES: [u64; 2] = [2, 5];
/// Share by which a count may be off: with the compiler that the file names, and with another one.
const BAND: f64 = 0.05;
const BAND_OTHER_COMPILER: f64 = 0.15;

pub(crate) fn run(args: &Args) -> Outcome {
    shell::need("valgrind", "valgrind")?;
    let build = ["build", "--quiet", "--locked", "--profile", "budget", "-p", "rig", "--example", "budget"];
    shell::call(Command::new("cargo").args(build))?;
    let program = shell::target_dir().join("budget/examples/budget");
    let counted = count_all(&program)?;
    let (compiler, _) = shell::read(Command::new("rustc").arg("--version"))?;
    let now = Budgets { compiler: compiler.trim().to_owned(), machine: std::env::consts::ARCH.to_owned(), counted };
    let path = shell::top().join("benches/budgets.toml");
    if args.bless {
        return now.write(&path);
    }
    compare(&Budgets::read(&path)?, &now)
}

/// Prints all counts; fails if one is over its budget.
fn compare(budget: &Budgets, now: &Budgets) -> Outcome {
    if budget.machine != now.machine {
        println!("NOT CHECKED: budgets are for {}, this is {}", budget.machine, now.machine);
        return Ok(());
    }
    let same = budget.compiler == now.compiler;
    let band = if same { BAND } else { BAND_OTHER_COMPILER };
    if !same {
        println!(
            "warning: budgets are of {}, this is {}: fails only above {:.0} %",
            budget.compiler,
            now.compiler,
            100.0 * band
        );
    }
    println!("{:24} {:>10} {:>10} {:>8}", "instructions each", "budget", "counted", "");
    let (mut over, mut bless) = (Vec::new(), Vec::new());
    for (name, &counted) in &now.counted {
        let Some(&budget) = budget.counted.get(name) else {
            bless.push(format!("{name} is new"));
            continue;
        };
        let off = counted / budget - 1.0;
        println!("{name:24} {budget:10.1} {counted:10.1} {:+7.1}%", 100.0 * off);
        if off > band {
            over.push(name.as_str());
        } else if off < -band && same {
            bless.push(format!("{name} takes less"));
        }
    }
    bless.extend(
        budget.counted.keys().filter(|name| !now.counted.contains_key(*name)).map(|name| format!("{name} is gone")),
    );
    if !bless.is_empty() {
        println!("run `cargo xtask budget --bless` and commit benches/budgets.toml: {}", bless.join(", "));
    }
    if over.is_empty() {
        return Ok(());
    }
    Err(format!(
        "over budget by more than {:.0} %: {}; find out why, or bless it with a reason",
        100.0 * band,
        over.join(", ")
    ))
}

/// Instructions of each listed program for a packet or record.
fn count_all(program: &Path) -> Result<BTreeMap<String, f64>, String> {
    let (list, _) = shell::read(&mut Command::new(program))?;
    let listed: Vec<(&str, Option<&str>)> =
        list.lines().map(|line| line.split_once(' ').map_or((line, None), |(name, base)| (name, Some(base)))).collect();
    let names: Vec<&str> = listed.iter().flat_map(|(name, base)| std::iter::once(*name).chain(*base)).collect();
    let costs = Mutex::new(BTreeMap::new());
    let next = AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get());
    let work = || -> Outcome {
        while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
            let cost = cost(program, name)?;
            costs.lock().map_err(|_| "a worker panicked")?.insert(*name, cost);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|w| w.join().map_err(|_| "a worker panicked".to_owned())?)
    })?;
    let costs = costs.into_inner().map_err(|_| "a worker panicked")?;
    let cost = |name: &str| costs.get(name).copied().unwrap_or_default();
    Ok(listed.iter().map(|(name, base)| ((*name).to_owned(), cost(name) - base.map_or(0.0, cost))).collect())
}

fn cost(program: &Path, name: &str) -> Result<f64, String> {
    let ([few, units], [more, _]) = (instructions(program, name, PASSES[0])?, instructions(program, name, PASSES[1])?);
    let work = (PASSES[1] - PASSES[0]) * units;
    if more <= few || work == 0 {
        return Err(format!("{name}: {few} instructions for {} passes, {more} for {}", PASSES[0], PASSES[1]));
    }
    Ok((more - few) as f64 / work as f64)
}

/// Instructions of a run, and the packets or records of one pass.
fn instructions(program: &Path, name: &str, passes: u64) -> Result<[u64; 2], String> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(PathBuf::from(program));
    let (units, report) = shell::read(command.args([name, &passes.to_string()]))?;
    // `==4711== Collected : 123456`
    let collected = report.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    let collected = collected.ok_or_else(|| format!("callgrind did not say how much it collected:\n{report}"))?;
    let units = units.trim().parse().map_err(|_| format!("{name} said {units:?}"))?;
    Ok([collected, units])
}
