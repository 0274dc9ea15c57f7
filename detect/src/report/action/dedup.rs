//! `dedup: {window: SECONDS, by: [PATH, ...], alerts: N}`: further actions of the rule for the first of equal alerts only (ours).
//!
//! Alerts are equal if they have the same values at all paths. Time is DetectTime, as far as there is one, so that a replay gives the
//! same; an alert that goes on is told again once in each window.
use super::{Act, Flow, Scene, Setup};
use crate::bounded::Bounded;
use crate::report::config::Section;
use crate::report::{jpath, time};
use serde_json::Value;
use std::hash::{BuildHasher, RandomState};

/// What makes alerts equal if nothing is said.
const BY: [&str; 7] = ["Category", "Description", "Source.IP4", "Source.IP6", "Target.IP4", "Target.IP6", "Node.SW"];
/// Alerts that are remembered, at the most; about 60 bytes each.
const ALERTS: u64 = 65_536;
/// Seconds that they are remembered for.
const WINDOW: u64 = 300;

struct Dedup {
    paths: Vec<jpath::Path>,
    /// Microseconds.
    window: i64,
    /// Two keyed hashes of the values: nobody can choose alerts that meet.
    keys: [RandomState; 2],
    seen: Bounded<[u64; 2], i64>,
    held: u64,
}

pub(super) fn read(section: &Section, _setup: &mut Setup<'_>) -> Result<Box<dyn Act>, String> {
    let mut by = section.texts("by")?;
    if by.is_empty() {
        by = BY.map(str::to_owned).to_vec();
    }
    let paths = by.iter().map(|path| jpath::Path::parse(path).ok_or_else(|| format!("\"{path}\" is no path")));
    let window = section.number("window", 31_536_000)?.unwrap_or(WINDOW);
    let alerts = section.number("alerts", 10_000_000)?.unwrap_or(ALERTS);
    Ok(Box::new(Dedup {
        paths: paths.collect::<Result<_, _>>()?,
        window: window as i64 * 1_000_000,
        keys: [RandomState::new(), RandomState::new()],
        seen: Bounded::new(alerts as usize),
        held: 0,
    }))
}

impl Act for Dedup {
    fn run(&mut self, message: &mut Value, _scene: &mut Scene<'_>) -> Result<Flow, String> {
        let now = message.get("DetectTime").and_then(Value::as_str).and_then(time::parse);
        let now = now.unwrap_or_else(|| jiff::Timestamp::now().as_microsecond());
        let values: Vec<Vec<&Value>> = self.paths.iter().map(|path| path.values(message)).collect();
        let key = [self.keys[0].hash_one(&values), self.keys[1].hash_one(&values)];
        let mut is_new = false;
        let (first, _) = self.seen.entry(key, || {
            is_new = true;
            now
        });
        if !is_new && now.abs_diff(*first) < self.window.unsigned_abs() {
            self.held += 1;
            return Ok(Flow::EndRule);
        }
        *first = now;
        Ok(Flow::GoOn)
    }

    fn tell(&self) -> Option<String> {
        let forgotten = self.seen.evicted();
        let told = format!("{} alerts equalled an earlier one; {forgotten} were forgotten for want of room", self.held);
        (self.held + forgotten > 0).then_some(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use trap::Stop;

    #[test]
    fn equal_alerts_within_the_window() {
        let stop = Stop::default();
        let section = Section::new("d", json!({"window": 60, "by": ["Category", "Source.IP4"]}));
        let mut act = read(&section, &mut Setup::new("m", &stop)).unwrap();
        let mut run = |minute: u32, second: u32, source: &str| {
            let time = format!("2023-01-02T10:{minute:02}:{second:02}Z");
            let mut message = json!({"DetectTime": time, "Category": ["A"], "Source": [{"IP4": [source]}], "ID": time});
            act.run(&mut message, &mut Scene::default()).unwrap()
        };
        let got = [
            run(0, 0, "192.0.2.1"),
            run(0, 59, "192.0.2.1"),
            run(0, 30, "192.0.2.2"),
            run(1, 0, "192.0.2.1"),
            run(1, 59, "192.0.2.1"),
        ];
        assert_eq!(got, [Flow::GoOn, Flow::EndRule, Flow::GoOn, Flow::GoOn, Flow::EndRule]);
        assert_eq!(act.tell().unwrap(), "2 alerts equalled an earlier one; 0 were forgotten for want of room");
        assert!(read(&Section::new("d", json!({"by": ["a..b"]})), &mut Setup::new("m", &stop)).is_err());
    }
}
