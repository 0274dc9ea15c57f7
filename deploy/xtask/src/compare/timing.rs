//! Wall and CPU time of programs that run in turns on one core.
use super::peers::{Row, emptied};
use crate::shell;
use std::process::Command;

/// The exporters are pinned here; the sink has the other cores.
pub(super) const CORE: &str = "0";

/// Seconds of one run, or how many times as fast.
#[derive(Clone, Copy)]
pub(super) struct Time {
    pub(super) wall: f64,
    /// User and system.
    pub(super) cpu: f64,
}

/// The times of a program, a round after the other.
#[derive(Clone, Default)]
pub(super) struct Runs(Vec<Time>);

/// Every row runs once before any runs again.
pub(super) fn in_turns(rows: &[Row], runs: usize) -> Result<Vec<Runs>, String> {
    let mut times = vec![Runs::default(); rows.len()];
    for round in 0..=runs {
        // There and back: what a program leaves to the next one, cold caches and memory that the host has taken back, is not always the same one's.
        let there = 0..rows.len();
        let turns: Vec<usize> = if round % 2 == 0 { there.collect() } else { there.rev().collect() };
        for at in turns {
            let time = timed(&rows[at])?;
            // The first round fills the page cache.
            if round > 0 {
                times[at].0.push(time);
            }
        }
    }
    Ok(times)
}

fn timed(row: &Row) -> Result<Time, String> {
    if let Some(folder) = &row.folder {
        emptied(folder)?;
    }
    // bash counts the time of its children in milliseconds, without a system call of ours that would need `unsafe`.
    let script = r#"TIMEFORMAT='%R %U %S'; time "$@" >/dev/null 2>&1"#;
    let mut command = Command::new("bash");
    command.env("LC_ALL", "C").args(["-c", script, "time", "taskset", "-c", CORE]).args(&row.argv);
    let (_, times) = shell::read(&mut command)?;
    let numbers: Vec<f64> = times.split_whitespace().map_while(|word| word.parse().ok()).collect();
    let &[wall, user, sys] = numbers.as_slice() else { return Err(format!("no times in {times:?}")) };
    Ok(Time { wall, cpu: (user + sys).max(0.001) })
}

impl Runs {
    /// The medians of both.
    pub(super) fn median(&self) -> Time {
        Time { wall: middle(self.0.iter().map(|time| time.wall)), cpu: middle(self.0.iter().map(|time| time.cpu)) }
    }

    /// How many times as fast as the first, in wall and CPU time: the medians of what they were in each round. Rounds of a shared machine
    /// differ by half, the runs of a round do not.
    pub(super) fn times_of(&self, first: &Runs) -> Time {
        let rounds = || first.0.iter().zip(&self.0);
        Time {
            wall: middle(rounds().map(|(first, own)| first.wall / own.wall)),
            cpu: middle(rounds().map(|(first, own)| first.cpu / own.cpu)),
        }
    }
}

fn middle(values: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = values.collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}
