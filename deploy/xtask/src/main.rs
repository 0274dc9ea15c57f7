//! Chores of the project: `cargo xtask NAME`. One chore is one file.
#![forbid(unsafe_code)]

mod budget;
mod cases;
mod chain;
mod compare;
mod corpus;
mod docs;
mod extremes;
mod fuzz;
mod modules;
mod release;
mod shell;
mod synth;
#[expect(dead_code, reason = "the canary is run by the engines only")]
#[path = "../../../fuzz/targets.rs"]
mod targets;
mod trap_speed;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Chores of the project", version)]
struct Args {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    Docs(docs::Args),
    Synth(synth::Args),
    Cases(cases::Args),
    Corpus(corpus::Args),
    Fuzz(fuzz::Args),
    Compare(compare::Args),
    Budget(budget::Args),
    Memory(extremes::Memory),
    Hostile(extremes::Hostile),
    Live(extremes::Live),
    TrapSpeed(trap_speed::Args),
    Chain(chain::Args),
    Modules(modules::Args),
    Release(release::Args),
}

/// What a chore ends with: the message says what to do.
type Outcome = Result<(), String>;

fn main() -> ExitCode {
    let outcome = match Args::parse().chore {
        Chore::Docs(args) => docs::run(&args),
        Chore::Synth(args) => synth::run(&args),
        Chore::Cases(args) => cases::run(&args),
        Chore::Corpus(args) => corpus::run(&args),
        Chore::Fuzz(args) => fuzz::run(&args),
        Chore::Compare(args) => compare::run(&args),
        Chore::Budget(args) => budget::run(&args),
        Chore::Memory(args) => extremes::memory(&args),
        Chore::Hostile(args) => extremes::hostile(&args),
        Chore::Live(args) => extremes::live(&args),
        Chore::TrapSpeed(args) => trap_speed::run(&args),
        Chore::Chain(args) => chain::run(&args),
        Chore::Modules(args) => modules::run(&args),
        Chore::Release(args) => release::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
