//! `rate_limit: {alerts: N, seconds: S}`: further actions of the rule for at most N alerts in each S seconds (ours).
use super::{Act, Flow, Scene, Setup};
use crate::report::config::Section;
use serde_json::Value;
use std::time::{Duration, Instant};

struct RateLimit {
    alerts: u64,
    interval: Duration,
    /// Of the machine's clock.
    began: Instant,
    passed: u64,
    held: u64,
}

pub(super) fn read(section: &Section, _setup: &mut Setup<'_>) -> Result<Box<dyn Act>, String> {
    let alerts = section.number("alerts", u64::MAX)?.ok_or("`alerts` is missing")?;
    let seconds = section.number("seconds", 31_536_000)?.unwrap_or(3_600);
    let interval = Duration::from_secs(seconds.max(1));
    Ok(Box::new(RateLimit { alerts, interval, began: Instant::now(), passed: 0, held: 0 }))
}

impl Act for RateLimit {
    fn run(&mut self, _message: &mut Value, _scene: &mut Scene<'_>) -> Result<Flow, String> {
        if self.began.elapsed() >= self.interval {
            (self.began, self.passed) = (Instant::now(), 0);
        }
        if self.passed < self.alerts {
            self.passed += 1;
            return Ok(Flow::GoOn);
        }
        self.held += 1;
        Ok(Flow::EndRule)
    }

    fn tell(&self) -> Option<String> {
        (self.held > 0).then(|| {
            format!("{} alerts were held back: more than {} in {} s", self.held, self.alerts, self.interval.as_secs())
        })
    }
}
