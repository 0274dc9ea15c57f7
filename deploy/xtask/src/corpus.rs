//! `cargo xtask corpus`: seeds for the fuzz targets, made from the golden captures of our own generator.
//!
//! Each target's seeds are the smallest inputs of different shapes, so that all stay small enough to be in git and to be replayed by
//! every test run. Files that are not called `seed-*` (found crashes) are left alone.
mod captures;
mod flows;
mod supervisor;
mod words;

use crate::{Outcome, shell, targets};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Bytes of the seeds of one target, and of one seed, at the most.
const TARGET_MAX: usize = 12_000;
const SEED_MAX: usize = 4_000;

/// Write the seeds of the fuzz targets to fuzz/corpus/
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> Outcome {
    let mut seeds = Seeds::default();
    words::add(&mut seeds);
    supervisor::add(&mut seeds);
    captures::add(&mut seeds);
    flows::add(&mut seeds)?;
    let corpus = shell::top().join("fuzz/corpus");
    let (mut files, mut bytes) = (0, 0);
    for (name, _) in targets::targets() {
        let chosen = seeds.choose(name);
        if chosen.is_empty() {
            return Err(format!("no seed for {name}: add one in deploy/xtask/src/corpus/"));
        }
        files += chosen.len();
        bytes += chosen.iter().map(Vec::len).sum::<usize>();
        write(&corpus.join(name), &chosen).map_err(|e| format!("fuzz/corpus/{name}: {e}"))?;
    }
    println!("{files} seeds, {bytes} bytes");
    Ok(())
}

/// Candidates by target. Of those with the same shape the smallest is kept.
#[derive(Default)]
pub(crate) struct Seeds {
    by_target: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
}

impl Seeds {
    /// `shape` tells apart what a target treats in different ways.
    pub(crate) fn add(&mut self, target: &str, shape: impl ToString, data: &[u8]) {
        if data.len() > SEED_MAX {
            return;
        }
        let seeds = self.by_target.entry(target.to_owned()).or_default();
        let seed = seeds.entry(shape.to_string()).or_insert_with(|| data.to_vec());
        if data.len() < seed.len() {
            *seed = data.to_vec();
        }
    }

    /// Small ones first, as many as there is room for.
    fn choose(&self, target: &str) -> Vec<Vec<u8>> {
        let all: BTreeSet<&Vec<u8>> = self.by_target.get(target).into_iter().flatten().map(|(_, data)| data).collect();
        let mut all: Vec<&Vec<u8>> = all.into_iter().collect();
        all.sort_by_key(|data| data.len());
        let mut room = TARGET_MAX;
        let fits = |data: &&Vec<u8>| {
            let fits = data.len() <= room;
            room -= if fits { data.len() } else { 0 };
            fits
        };
        all.into_iter().filter(fits).cloned().collect()
    }
}

fn write(folder: &Path, seeds: &[Vec<u8>]) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    for file in fs::read_dir(folder)? {
        let file = file?;
        if file.file_name().to_string_lossy().starts_with("seed-") {
            fs::remove_file(file.path())?;
        }
    }
    for seed in seeds {
        // FNV-1a: the name follows from the content, so that an unchanged seed is no change.
        let sum = seed.iter().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3));
        fs::write(folder.join(format!("seed-{sum:016x}")), seed)?;
    }
    Ok(())
}
