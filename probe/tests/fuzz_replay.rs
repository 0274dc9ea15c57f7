//! Fuzz targets without a fuzzer: every corpus file is replayed, then each target gets random and damaged inputs.
//!
//! The inputs are the same each time, so that a change is not told of what another one broke; `SONDA_FUZZ_SEED=N` gives others, and
//! `SONDA_FUZZ_SECONDS` gives each target so long in place of a fixed number of them. An input that breaks a promise, or that keeps
//! a target busy for ever, is kept under `fuzz/artifacts/TARGET/`; moved to `fuzz/corpus/TARGET/` it is replayed for ever.
#[path = "../../fuzz/targets.rs"]
mod targets;

use benches::Rng;
use record::fuzzing::Target;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, panic, process, thread};

/// Inputs for each target, without `SONDA_FUZZ_SECONDS`.
const INPUTS: usize = 150;
/// Longest random input, bytes.
const RANDOM_MAX: u64 = 1_200;
/// An input that takes so long is one that does not end: the slowest takes milliseconds.
const ENDLESS: Duration = Duration::from_secs(15);

#[test]
fn every_corpus_file_passes() {
    let all = targets::targets();
    for folder in fs::read_dir(fuzz_dir().join("corpus")).expect("fuzz/corpus is there") {
        let name = folder.expect("readable").file_name().into_string().expect("a name of ours");
        assert!(all.iter().any(|(target, _)| *target == name), "fuzz/corpus/{name} belongs to no target");
    }
    let failed: Vec<String> = all
        .iter()
        .flat_map(|target| {
            let seeds = corpus(target.0);
            assert!(!seeds.is_empty(), "no seed for {}: run `cargo xtask corpus`", target.0);
            seeds.into_iter().filter_map(|(path, data)| {
                call(target.1, &data).err().map(|why| format!("{} {}: {why}", target.0, path.display()))
            })
        })
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn no_two_targets_have_one_name() {
    let mut names: Vec<&str> = targets::targets().iter().map(|(name, _)| *name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert!(names.len() == count && !names.contains(&targets::CANARY));
}

#[test]
fn random_and_damaged_inputs_pass() {
    let seconds: Option<u64> =
        std::env::var("SONDA_FUZZ_SECONDS").ok().map(|text| text.parse().expect("SONDA_FUZZ_SECONDS is a number"));
    let all = targets::targets();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut failed = Vec::new();
        while let Some(target) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            failed.extend(smoke(target, seconds, INPUTS));
        }
        failed
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let failed: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("workers catch what targets do")).collect()
    });
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn the_canary_is_found() {
    assert!(smoke(&(targets::CANARY, targets::canary), None, 20_000).is_some(), "the smoke test finds nothing");
}

/// Feeds one target; answers what it did not stand. An input without an end ends the process, as nothing else ends a thread.
fn smoke(target: &Target, seconds: Option<u64>, inputs: usize) -> Option<String> {
    let current = &Mutex::new((Instant::now(), Vec::new()));
    let (fed, watched) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            while watched.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
                let (since, input) = &*current.lock().unwrap_or_else(PoisonError::into_inner);
                if since.elapsed() > ENDLESS {
                    eprintln!(
                        "{}: no end after {ENDLESS:?}; input kept as {}",
                        target.0,
                        keep(target.0, input).display()
                    );
                    #[allow(clippy::disallowed_methods, reason = "the thread that does not end cannot be unwound")]
                    process::abort();
                }
            }
        });
        let stood = feed(target, seconds, inputs, current);
        drop(fed);
        stood
    })
}

fn feed(target: &Target, seconds: Option<u64>, inputs: usize, current: &Mutex<(Instant, Vec<u8>)>) -> Option<String> {
    let (name, run) = *target;
    let seeds: Vec<Vec<u8>> = corpus(name).into_iter().map(|(_, data)| data).collect();
    let given: u64 =
        std::env::var("SONDA_FUZZ_SEED").map_or(0, |text| text.parse().expect("SONDA_FUZZ_SEED is a number"));
    let mut rng = Rng::new(name.bytes().fold(given, |seed, byte| seed.wrapping_mul(31) + u64::from(byte)));
    let started = Instant::now();
    let mut done = 0;
    let goes_on = |done: usize| match seconds {
        Some(seconds) => started.elapsed() < Duration::from_secs(seconds),
        None => done < inputs,
    };
    while goes_on(done) {
        let input = input(&mut rng, &seeds);
        *current.lock().unwrap_or_else(PoisonError::into_inner) = (Instant::now(), input.clone());
        if let Err(why) = call(run, &input) {
            return Some(format!("{name} after {done} inputs: {why}; input kept as {}", keep(name, &input).display()));
        }
        done += 1;
    }
    None
}

/// Random bytes, or a seed with some damage.
fn input(rng: &mut Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    if seeds.is_empty() || rng.chance(20) {
        return (0..rng.below(RANDOM_MAX)).map(|_| rng.draw() as u8).collect();
    }
    let any = |rng: &mut Rng| seeds[rng.below(seeds.len() as u64) as usize].clone();
    let mut data = any(rng);
    for _ in 0..rng.between(1, 6) {
        let at = rng.below(data.len() as u64 + 1) as usize;
        match rng.below(5) {
            0 => data.truncate(at),
            1 => data.insert(at, rng.draw() as u8),
            2 => {
                let other = any(rng);
                data.truncate(at);
                data.extend_from_slice(&other[other.len().min(at)..]);
            }
            3 if at < data.len() => drop(data.remove(at)),
            _ if at < data.len() => {
                let byte = rng.draw() as u8;
                data[at] = rng.pick(&[0, 1, 0x7f, 0x80, 0xff, byte]);
            }
            _ => {}
        }
    }
    data
}

fn call(run: fn(&[u8]), data: &[u8]) -> Result<(), String> {
    panic::catch_unwind(|| run(data)).map_err(|why| {
        let text = why.downcast_ref::<String>().map(String::as_str).or_else(|| why.downcast_ref::<&str>().copied());
        text.unwrap_or("panicked").to_owned()
    })
}

fn keep(name: &str, input: &[u8]) -> PathBuf {
    let folder = if name == targets::CANARY { std::env::temp_dir() } else { fuzz_dir().join("artifacts").join(name) };
    let sum = input.iter().fold(0u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte)));
    let path = folder.join(format!("smoke-{sum:08x}"));
    // The report matters more than the file.
    let _ = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, input));
    path
}

/// The corpus files of a target, in the order of their names.
fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(folder) = fs::read_dir(fuzz_dir().join("corpus").join(name)) else { return Vec::new() };
    let mut files: Vec<PathBuf> = folder.map(|file| file.expect("readable").path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(&path).expect("readable"))).collect()
}

fn fuzz_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}
