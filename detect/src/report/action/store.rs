//! `store: {path: FILE, days: N, alerts: N}`: the message in the alert store that `sonda alerts` reads (ours; docs/alerts.md).
use super::delivery::{Deliver, Undelivered, delivery};
use super::{Act, Setup};
use crate::report::config::Section;
use crate::report::idea;
use crate::store::{self, Added, Retention, Store};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);
const DAYS_MAX: u64 = 36_500;
const ALERTS_MAX: u64 = 100_000_000;

struct Keep {
    path: PathBuf,
    retention: Retention,
    /// Opened when the first message comes, and anew after a failure: the file may be another one by then.
    store: Option<Store>,
}

pub(super) fn read(section: &Section, setup: &mut Setup<'_>) -> Result<Box<dyn Act>, String> {
    let mut retention = Retention::default();
    if let Some(days) = section.number("days", DAYS_MAX)? {
        retention.age = DAY * days as u32;
    }
    retention.alerts = section.number("alerts", ALERTS_MAX)?.unwrap_or(retention.alerts);
    let path = section.text("path")?.unwrap_or_else(|| store::PATH.into()).into();
    delivery(Keep { path, retention, store: None }, setup)
}

impl Deliver for Keep {
    fn deliver(&mut self, message: &Value) -> Result<(), Undelivered> {
        let mut open = match self.store.take() {
            Some(open) => open,
            None => Store::create(&self.path, self.retention).map_err(Undelivered::passing)?,
        };
        let added = open.add(&idea::dump(message)).map_err(Undelivered::passing)?;
        self.store = Some(open);
        match added {
            Added::New(_) | Added::Known => Ok(()),
            Added::Refused => {
                Err(Undelivered::refused("the alert store takes no message without ID, or so large a one"))
            }
        }
    }
}
