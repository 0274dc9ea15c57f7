//! `cargo xtask fuzz`: every target of the registry under libFuzzer, one after the other; the canary must fail.
use crate::{Outcome, shell, targets};
use std::fs;
use std::process::Command;

/// Run the fuzz targets under libFuzzer (nightly toolchain and cargo-fuzz)
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Seconds for each target
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Targets; all if none is named
    targets: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Outcome {
    shell::need_cargo_fuzz()?;
    let all: Vec<&str> = targets::targets().iter().map(|(name, _)| *name).collect();
    if let Some(unknown) = args.targets.iter().find(|name| !all.contains(&name.as_str())) {
        return Err(format!("no target {unknown}; there are {}", all.join(" ")));
    }
    let chosen = |name: &&str| args.targets.is_empty() || args.targets.iter().any(|wanted| wanted == name);
    shell::call(Command::new("rustup").args(["run", "nightly", "cargo", "fuzz", "build", "any"]))?;
    let mut failed = Vec::new();
    for name in all.into_iter().filter(chosen) {
        println!("== {name}");
        if let Err(why) = engine(name, args.seconds) {
            eprintln!("{why}");
            failed.push(name);
        }
    }
    // The canary is built in to fail at the first right byte; a minute is more than enough.
    println!("== {} (must fail)", targets::CANARY);
    if engine(targets::CANARY, 60).is_ok() {
        return Err("the canary did not fail: the engine finds nothing".into());
    }
    if failed.is_empty() {
        println!("no target failed, the canary did");
        return Ok(());
    }
    Err(format!("failed: {}; inputs are in fuzz/artifacts/TARGET/", failed.join(" ")))
}

/// Finds go to `fuzz/target/corpus`, which git ignores; the seeds are only read.
fn engine(name: &str, seconds: u32) -> Outcome {
    let fuzz = shell::top().join("fuzz");
    let (found, artifacts) = (fuzz.join("target/corpus").join(name), fuzz.join("artifacts").join(name));
    for folder in [&found, &artifacts] {
        fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo", "fuzz", "run", "any"]).env("SONDA_FUZZ", name).arg(&found);
    let seeds = fuzz.join("corpus").join(name);
    if seeds.is_dir() {
        command.arg(seeds);
    }
    command.args(["--", "-timeout=10", "-rss_limit_mb=2048", "-verbosity=0", "-print_final_stats=1"]);
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-artifact_prefix={}/", artifacts.display()));
    shell::call(&mut command)
}
