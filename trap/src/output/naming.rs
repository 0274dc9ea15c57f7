//! Names of output files: strftime, `time=`, and numbers of mode `a` and `size=` (trap.md section 9.2).

use std::path::{Path, PathBuf};

use jiff::fmt::strtime::{BrokenDownTime, Config};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::error::TrapError;
use crate::expand;

/// Highest number of a file.
const INDEX_MAX: u32 = 65_535;

/// Gives the names of one output, one after another.
#[derive(Debug)]
pub struct Naming {
    template: String,
    append: bool,
    minutes: Option<u32>,
    megabytes: Option<u64>,
    next_index: u32,
    zone: TimeZone,
}

/// Name of the next file and when it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName {
    /// Where to write.
    pub path: PathBuf,
    /// Start of its period, seconds since the epoch; with `time=` a multiple of the period.
    pub starts: i64,
}

impl Naming {
    /// Names from `path`, of which the first word after expansion counts.
    ///
    /// # Errors
    /// A path that expands to nothing.
    pub fn new(path: &str, append: bool, minutes: Option<u32>, megabytes: Option<u64>) -> Result<Self, TrapError> {
        let Some(mut template) = expand::expand(path).into_iter().next().filter(|word| !word.is_empty()) else {
            return Err(TrapError::BadParams(format!("File name \"{path}\" expands to nothing.")));
        };
        if minutes.is_some() {
            template.push_str(".%Y%m%d%H%M");
        }
        Ok(Self { template, append, minutes, megabytes, next_index: 0, zone: TimeZone::system() })
    }

    /// The same names in another time zone.
    #[must_use]
    pub fn in_zone(mut self, zone: TimeZone) -> Self {
        self.zone = zone;
        self
    }

    /// True when files are opened for appending instead of truncated.
    #[must_use]
    pub fn appends(&self) -> bool {
        self.append
    }

    /// True for the standard output, which is never truncated or rotated.
    #[must_use]
    pub fn is_stdout(&self) -> bool {
        self.template.starts_with("/dev/stdout")
    }

    /// Length at which a file is full, bytes.
    #[must_use]
    pub fn bytes_max(&self) -> Option<u64> {
        self.megabytes.map(|megabytes| megabytes.saturating_mul(1 << 20))
    }

    /// True when at `now` the period of a file that began at `starts` is over.
    #[must_use]
    pub fn is_over(&self, starts: i64, now: i64) -> bool {
        self.period().is_some_and(|period| now.saturating_sub(starts) >= period)
    }

    /// Numbers start again; for a new period.
    pub fn restart_index(&mut self) {
        self.next_index = 0;
    }

    /// The next name at `now`. Mode `a` takes the lowest unused number from where it stands, `size=` the next one.
    ///
    /// # Errors
    /// No number up to 65535 is free.
    pub fn next_name(&mut self, now: Timestamp) -> Result<FileName, TrapError> {
        let seconds = now.as_second();
        let starts = self.period().map_or(seconds, |period| seconds - seconds.rem_euclid(period));
        let path = self.format(Timestamp::from_second(starts).unwrap_or(now));
        if self.is_stdout() || !(self.append || self.megabytes.is_some()) {
            return Ok(FileName { path: path.into(), starts });
        }
        while self.next_index <= INDEX_MAX {
            let numbered = PathBuf::from(format!("{path}.{:05}", self.next_index));
            self.next_index += 1;
            if !self.append || !is_used(&numbered) {
                return Ok(FileName { path: numbered, starts });
            }
        }
        Err(TrapError::BadParams(format!(
            "All numbers up to {INDEX_MAX} of \"{path}\" are used; move old files away or choose another name."
        )))
    }

    fn period(&self) -> Option<i64> {
        self.minutes.map(|minutes| i64::from(minutes) * 60)
    }

    fn format(&self, at: Timestamp) -> String {
        if !self.template.contains('%') {
            return self.template.clone();
        }
        let local = Zoned::new(at, self.zone.clone());
        // Lenient: what is no conversion stays as typed, as in C.
        BrokenDownTime::from(&local)
            .to_string_with_config(&Config::new().lenient(true), &self.template)
            .unwrap_or_else(|_| self.template.clone())
    }
}

/// A dangling link is used as well: appending would create its target.
fn is_used(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(naming: &mut Naming, count: usize, at: &str) -> Vec<String> {
        let at: Timestamp = at.parse().expect("timestamp");
        (0..count).map(|_| naming.next_name(at).expect("free").path.display().to_string()).collect()
    }

    fn naming(path: &str, append: bool, minutes: Option<u32>, megabytes: Option<u64>) -> Naming {
        Naming::new(path, append, minutes, megabytes).expect("path").in_zone(TimeZone::UTC)
    }

    const NOW: &str = "2026-11-20T23:17:42Z";

    #[test]
    fn plain_and_strftime() {
        assert_eq!(names(&mut naming("x.trapcap", false, None, None), 2, NOW), ["x.trapcap", "x.trapcap"]);
        assert_eq!(names(&mut naming("p-%Y.trapcap", false, None, None), 1, NOW), ["p-2026.trapcap"]);
        assert_eq!(names(&mut naming("100%.trapcap", false, None, None), 1, NOW), ["100%.trapcap"]);
    }

    #[test]
    fn size_numbers_from_the_first_file() {
        let mut sized = naming("s.trapcap", false, None, Some(1));
        assert_eq!(names(&mut sized, 2, NOW), ["s.trapcap.00000", "s.trapcap.00001"]);
        assert_eq!(sized.bytes_max(), Some(1_048_576));
    }

    #[test]
    fn time_rounds_down() {
        let mut timed = naming("ts.trapcap", false, Some(5), Some(1));
        assert_eq!(names(&mut timed, 2, NOW), ["ts.trapcap.202611202315.00000", "ts.trapcap.202611202315.00001"]);
        timed.restart_index();
        assert_eq!(names(&mut timed, 1, "2026-11-20T23:20:00Z"), ["ts.trapcap.202611202320.00000"]);
        assert_eq!(names(&mut naming("t", false, Some(60), None), 1, NOW), ["t.202611202300"]);
        let starts = naming("t", false, Some(5), None).next_name(NOW.parse().expect("time")).expect("name").starts;
        let ends = starts + 300;
        assert!(!timed.is_over(starts, ends - 1) && timed.is_over(starts, ends));
    }

    #[test]
    fn local_time_is_used() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let mut timed = Naming::new("t", false, Some(5), None).expect("path").in_zone(zone);
        assert_eq!(names(&mut timed, 1, NOW), ["t.202611210115"]);
    }

    #[test]
    fn append_takes_the_lowest_unused_number() {
        let dir = tempfile::tempdir().expect("tempdir");
        let base = dir.path().join("a.cap").display().to_string();
        for used in ["", ".00000", ".00002"] {
            std::fs::write(format!("{base}{used}"), "").expect("write");
        }
        let mut naming = naming(&base, true, None, None);
        assert_eq!(names(&mut naming, 2, NOW), [format!("{base}.00001"), format!("{base}.00003")]);
        naming.next_index = INDEX_MAX + 1;
        assert!(naming.next_name(Timestamp::UNIX_EPOCH).is_err());
    }
}
