//! Wall and CPU time of programs that run in turns on one core.
use super::peers::{Row, emptied};
use crate::shell;
use std::process::Command;

/// The exporters are pinned here; the sink has the other cores.
pub(super) const CORE: &str = "0";

/// Seconds of one run.
#[derive(Clone, Copy)]
pub(super) struct Time {
    pub(super) wall: f64,
    /// User and system.
    pub(super) cpu: f64,
}

/// The median of each row; every row runs once before any runs again.
pub(super) fn in_turns(rows: &[Row], runs: usize) -> Result<Vec<Time>, String> {
    let mut times: Vec<Vec<Time>> = vec![Vec::new(); rows.len()];
    for round in 0..=runs {
        for (row, times) in rows.iter().zip(&mut times) {
            let time = timed(row)?;
            // The first round fills the page cache.
            if round > 0 {
                times.push(time);
            }
        }
    }
    Ok(times.iter().map(|times| median(times)).collect())
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

fn median(times: &[Time]) -> Time {
    let middle = |of: fn(&Time) -> f64| {
        let mut all: Vec<f64> = times.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    Time { wall: middle(|t| t.wall), cpu: middle(|t| t.cpu) }
}
