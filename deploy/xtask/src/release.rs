//! `cargo xtask release`: the program as a sensor should run it, compiled after a look at itself at work (profile-guided optimization).
//!
//! The first build counts which ways it takes. It does what a sensor does, as runs over generated traffic (release/training.rs). The second build
//! lays out and inlines by those counts. What no run touched is taken for rare and inlined less, so whatever has to be fast has a run;
//! `cargo xtask compare` measures with another seed.
//!
//! The counts fit one state of the code and one compiler, so they are made anew each time and never committed.
use crate::{Outcome, shell};
use std::path::{Path, PathBuf};
use std::process::Command;

mod training;

/// Build the program for a sensor: optimized by what it was seen to do over generated traffic. Takes two release builds and some minutes
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Features of the program, as for cargo
    #[arg(long, value_delimiter = ',')]
    features: Vec<String>,
    /// Seed of the traffic that is looked at
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Where the program goes; by default to sensor/sonda in the folder that cargo builds in
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let triple = host()?;
    let profdata = profdata(&triple)?;
    training::ready()?;
    let folder = shell::target_dir().join("sensor");
    let (counts, merged) = (folder.join("counts"), folder.join("merged.profdata"));
    empty(&counts)?;

    println!("1/3 a build that counts");
    let counting = build(args, &triple, &folder, &format!("-Cprofile-generate={}", counts.display()))?;
    println!("2/3 what a sensor does");
    training::run(&counting, &folder, args.seed)?;
    shell::call(Command::new(profdata).arg("merge").arg("-o").arg(&merged).arg(&counts))?;
    println!("3/3 a build by the counts");
    let program = build(args, &triple, &folder, &format!("-Cprofile-use={}", merged.display()))?;

    let out = args.out.as_ref().map_or_else(|| folder.join("sonda"), |out| shell::top().join(out));
    let told = |e: std::io::Error| format!("{}: {e}", out.display());
    out.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(told)?;
    std::fs::copy(&program, &out).map_err(told)?;
    println!("{}", out.display());
    Ok(())
}

/// A build in a folder of its own. The target is named so that build scripts and macros, which run here, are compiled without the flags.
fn build(args: &Args, triple: &str, folder: &Path, flags: &str) -> Result<PathBuf, String> {
    let own = std::env::var("RUSTFLAGS").unwrap_or_default();
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--release", "--locked", "--package", "sonda", "--target", triple, "--target-dir"])
        .arg(folder);
    cargo.args(["--features", &args.features.join(",")]).env("RUSTFLAGS", format!("{own} {flags}"));
    shell::call(&mut cargo)?;
    Ok(folder.join(triple).join("release/sonda"))
}

/// The compiler's name of this machine.
fn host() -> Result<String, String> {
    let (said, _) = shell::read(Command::new("rustc").arg("-vV"))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| format!("rustc -vV names no host:\n{said}"))
}

/// The tool that merges counts: that of the compiler's own LLVM, since others do not read its format.
fn profdata(triple: &str) -> Result<PathBuf, String> {
    let (root, _) = shell::read(Command::new("rustc").args(["--print", "sysroot"]))?;
    let tool = Path::new(root.trim()).join("lib/rustlib").join(triple).join("bin/llvm-profdata");
    if tool.is_file() {
        return Ok(tool);
    }
    Err(format!("{} is missing: run `rustup component add llvm-tools`", tool.display()))
}

fn empty(folder: &Path) -> Outcome {
    let told = |e: std::io::Error| format!("{}: {e}", folder.display());
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(told)?;
    }
    std::fs::create_dir_all(folder).map_err(told)
}
