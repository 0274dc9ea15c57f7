//! flow_age_stats: how old flows are when they arrive (spec/modules.md section 35).
use super::begin;
use crate::clock::unix_secs;
use crate::options::{self, flag};
use crate::reading::{self, Next, ReadError, Reader};
use record::Time;
use std::fmt::Write;
use std::io;
use std::path::Path;
use trap::Input;
use trap::module::{Count, Module, ModuleInfo, Param};

const FIELDS: &str = "time TIME_FIRST,time TIME_LAST";

/// The last age with a bin of its own, seconds; bins end at 1, 10, 20, ..., and one more takes what is older.
const AGE_MAX: u64 = 600;
const BINS: usize = AGE_MAX as usize / 10 + 2;

/// One line for lists of modules.
pub const ABOUT: &str = "Tells how old flows are when they arrive.";

const INFO: ModuleInfo = ModuleInfo {
    name: "Flow Age Stats module",
    description: "This module finds min, max and avg of ages of flow data from input.\n\
                  It can also make histograms of flow ages and output them into a file when -t is specified.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(0),
    params: PARAMS,
};

const PARAMS: &[Param] =
    &[flag('t', "table", "Write histograms to time_first.txt and time_last.txt in the working directory.")];

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let has_table = |words: &[String]| match options::parse(words, PARAMS) {
        Ok(given) => Ok(!given.is_empty()),
        Err(why) => Err(format!("Invalid arguments.\n{why}")),
    };
    let (has_table, Module { mut inputs, .. }) = match begin(&INFO, args, has_table, |_| 255) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    let mut stats = Stats::default();
    let began = unix_secs();
    let ended = run(&mut inputs[0], unix_secs, &mut stats);
    print!("{}", stats.summary(unix_secs().saturating_sub(began)));
    if has_table && let Err(why) = stats.write_tables(Path::new("")) {
        eprintln!("{why}");
    }
    match ended {
        Ok(()) => 0,
        Err(why) => why.report(),
    }
}

/// Counts until the stream ends or the stop flag is set; `now` tells the seconds since 1970.
pub fn run(input: &mut Input, now: impl Fn() -> u64, stats: &mut Stats) -> Result<(), ReadError> {
    let mut reader = Reader::new(input, FIELDS)?;
    let (mut first, mut last) = (0, 0);
    loop {
        match reader.read()? {
            Next::Record { view, is_new } => {
                if is_new {
                    first = reading::field(view.template(), "TIME_FIRST");
                    last = reading::field(view.template(), "TIME_LAST");
                }
                let now_ms = now() * 1_000;
                // As in the original, a flow of the future has an age too.
                let age = |field| view.time(field).unwrap_or(Time(0)).millis().abs_diff(now_ms);
                stats.first.add(age(first));
                stats.last.add(age(last));
            }
            Next::Nothing | Next::Damaged => {}
            Next::Eof | Next::Stopped => return Ok(()),
        }
    }
}

/// Ages of both times.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    pub first: Ages,
    pub last: Ages,
}

/// Ages of one time, milliseconds.
#[derive(Clone, Debug)]
pub struct Ages {
    count: u64,
    min: u64,
    max: u64,
    sum: u128,
    bins: [u64; BINS],
}

impl Default for Ages {
    fn default() -> Self {
        Ages { count: 0, min: u64::MAX, max: 0, sum: 0, bins: [0; BINS] }
    }
}

impl Ages {
    /// Counts an age in milliseconds.
    pub fn add(&mut self, age_ms: u64) {
        self.count += 1;
        self.min = self.min.min(age_ms);
        self.max = self.max.max(age_ms);
        self.sum += u128::from(age_ms);
        let bin = match age_ms / 1_000 {
            0 | 1 => 0,
            secs if secs <= AGE_MAX => secs.div_ceil(10) as usize,
            _ => BINS - 1,
        };
        self.bins[bin] += 1;
    }

    /// Smallest, largest and mean age, seconds; zeros if there is none (the original prints 2^64 or dies).
    fn extent(&self) -> [f64; 3] {
        if self.count == 0 {
            return [0.0; 3];
        }
        [self.min, self.max, (self.sum / u128::from(self.count)) as u64].map(|ms| ms as f64 / 1_000.0)
    }

    /// Lines of bin, share and count.
    pub fn table(&self) -> String {
        let mut out = String::new();
        for (at, count) in self.bins.iter().enumerate() {
            let label = match at {
                0 => "1".to_owned(),
                at if at == BINS - 1 => format!("{AGE_MAX}+"),
                at => (at * 10).to_string(),
            };
            let share = if self.count == 0 { 0.0 } else { (count * 100) as f64 / self.count as f64 };
            // A String takes every write.
            let _ = writeln!(out, "{label}\t{share:.2}%\t{count}");
        }
        out
    }
}

impl Stats {
    /// What is printed at the end.
    pub fn summary(&self, runtime_secs: u64) -> String {
        let mut out = format!("\nRuntime: {runtime_secs}.00s\nNumber of flows processed: {}\n \n", self.first.count);
        for (name, ages) in [("time_first", &self.first), ("time_last", &self.last)] {
            for (what, age) in ["Minimal", "Maximal", "Average"].iter().zip(ages.extent()) {
                // A String takes every write.
                let _ = writeln!(out, "{what} age of {name}: {age:.2} s");
            }
        }
        out
    }

    /// Writes both tables.
    pub fn write_tables(&self, folder: &Path) -> Result<(), TableError> {
        for (name, ages) in [("time_first.txt", &self.first), ("time_last.txt", &self.last)] {
            std::fs::write(folder.join(name), ages.table()).map_err(|source| TableError { name, source })?;
        }
        Ok(())
    }
}

/// A table cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("Error: Could not open file '{name}'.\n{source}")]
pub struct TableError {
    name: &'static str,
    source: io::Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_end_at_1_10_20_and_so_on() {
        let mut ages = Ages::default();
        for secs in [0, 1, 2, 10, 11, 20, 591, 600, 601, 100_000] {
            ages.add(secs * 1_000 + 999);
        }
        let table = ages.table();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines.len(), 62);
        assert_eq!(lines[..3], ["1\t20.00%\t2", "10\t20.00%\t2", "20\t20.00%\t2"]);
        assert_eq!(lines[60..], ["600\t20.00%\t2", "600+\t20.00%\t2"]);
        assert_eq!(ages.extent()[..2], [0.999, 100_000.999]);
        assert!(Ages::default().table().starts_with("1\t0.00%\t0\n"));
    }

    #[test]
    fn the_summary() {
        let mut stats = Stats::default();
        stats.first.add(1_500);
        stats.first.add(2_500);
        stats.last.add(10);
        assert_eq!(
            stats.summary(3),
            "\nRuntime: 3.00s\nNumber of flows processed: 2\n \nMinimal age of time_first: 1.50 s\n\
             Maximal age of time_first: 2.50 s\nAverage age of time_first: 2.00 s\nMinimal age of time_last: 0.01 s\n\
             Maximal age of time_last: 0.01 s\nAverage age of time_last: 0.01 s\n"
        );
    }
}
