//! `GET /v1/alerts/{name}/flows`: the flows that an alert speaks of, out of nfdump's files on this box.
use super::super::extract::{Asked, Name};
use super::super::{Plane, refuse};
use super::{time, unknown, when};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use detect::nfdump::{Flow, Found, Search, filter};
use detect::store::{Cause, Store};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use utoipa::ToSchema;

/// Flows of an answer, where nothing else is asked for and at the most.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1_000;
/// A search ends then, finished or not: a day of a busy link is some 100 million flows.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Searches at a time: each takes a core, and probes have to work on.
const SEARCHES_MAX: usize = 2;

/// Places for searches.
#[derive(Debug, Clone)]
pub(in crate::api) struct Searches(Arc<Semaphore>);

impl Default for Searches {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(SEARCHES_MAX)))
    }
}

/// Which of the flows of an alert.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct WhichFlows {
    /// Others than the times of the alert: flows that had not ended before this time (24h ago, a day, or a time).
    from: Option<String>,
    /// Flows that had begun by then.
    until: Option<String>,
    /// Whether those back from targets to sources are wanted, too.
    answers: Option<bool>,
    /// So many at the most, the earliest: 1 to 1000, 100 by default.
    limit: Option<usize>,
}

/// The flows that an alert speaks of.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct AlertFlows {
    /// What was looked for: times (RFC 3339), and the rest as nfdump takes it. Empty if the alert tells no address, port or time.
    pub from: String,
    pub until: String,
    pub filter: String,
    /// Addresses and ports that were too many for the filter.
    pub left_out: u64,
    /// Whether flows are stored on this box, and where they would be.
    pub stored: bool,
    pub folder: String,
    /// Flows that match, also those behind the limit; and all that were looked at, in how many files.
    pub found: u64,
    pub looked_at: u64,
    pub files: u64,
    /// Whether all files were looked at; otherwise a shorter time may find more.
    pub complete: bool,
    /// Files that could not be read (the first few, with the reason), and how many there are.
    pub faults: Vec<String>,
    pub faulty: u64,
    pub flows: Vec<StoredFlow>,
}

/// A flow of nfdump's files.
#[derive(Debug, Serialize, ToSchema)]
pub struct StoredFlow {
    /// RFC 3339.
    pub first: String,
    pub last: String,
    pub protocol: u8,
    pub source: String,
    pub source_port: u16,
    pub destination: String,
    /// Of ICMP its type times 256 and its code.
    pub destination_port: u16,
    pub packets: u64,
    pub bytes: u64,
    /// From destination to source, if the exporter tells both in one record.
    pub packets_back: u64,
    pub bytes_back: u64,
    /// Of CEUAPRSF those that were seen; the others are dots.
    pub tcp_flags: String,
    /// Number of the interface that it came in by.
    pub input: u32,
}

impl From<&Flow> for StoredFlow {
    fn from(flow: &Flow) -> Self {
        Self {
            first: time(flow.first.cast_signed()),
            last: time(flow.last.cast_signed()),
            protocol: flow.protocol,
            source: flow.source.to_string(),
            source_port: flow.ports[0],
            destination: flow.destination.to_string(),
            destination_port: flow.ports[1],
            packets: flow.packets,
            bytes: flow.bytes,
            packets_back: flow.extra.packets_back,
            bytes_back: flow.extra.bytes_back,
            tcp_flags: flow.flag_letters(),
            input: flow.input,
        }
    }
}

impl WhichFlows {
    /// Times in place of those of the alert, and the limit.
    pub(in crate::api) fn checked(&self) -> Result<([Option<i64>; 2], usize), String> {
        let limit = self.limit.unwrap_or(LIMIT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(format!("a limit is 1 to {LIMIT_MAX}"));
        }
        Ok(([when(&self.from)?, when(&self.until)?], limit))
    }
}

impl AlertFlows {
    /// What was asked; nothing is found yet.
    fn asked(cause: Option<Cause>, folder: &Path) -> Self {
        let cause = cause.map(|cause| (time(cause.from), time(cause.until), cause.filter, cause.left_out));
        let (from, until, filter, left_out) = cause.unwrap_or_default();
        Self {
            from,
            until,
            filter,
            left_out,
            stored: folder.is_dir(),
            folder: folder.display().to_string(),
            found: 0,
            looked_at: 0,
            files: 0,
            complete: true,
            faults: Vec::new(),
            faulty: 0,
            flows: Vec::new(),
        }
    }

    fn with(self, found: Found) -> Self {
        Self {
            found: found.matched,
            looked_at: found.looked_at,
            files: found.files,
            complete: !found.is_cut,
            faults: found.faults,
            faulty: found.faulty,
            flows: found.flows.iter().map(StoredFlow::from).collect(),
            ..self
        }
    }
}

/// The handler.
pub(in crate::api) async fn flows(
    State(plane): State<Plane>,
    Name(name): Name,
    Asked(which): Asked<WhichFlows>,
) -> Response {
    let (times, limit) = match which.checked() {
        Ok(checked) => checked,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, &why),
    };
    let Ok(place) = plane.searches.0.clone().try_acquire_owned() else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "others search now; ask again in some seconds");
    };
    let folder = plane.handle.gate().flows();
    let answers = which.answers.unwrap_or(false);
    super::with(plane, Store::read, move |store| {
        // The search goes on if nobody waits for it any more, and keeps its place.
        let _place = place;
        let Some(alert) = store.find(&name)? else { return Ok(unknown(&name)) };
        let document = serde_json::from_str(&alert.document).unwrap_or_default();
        let mut cause = Cause::of(&document, answers);
        if let Some(cause) = &mut cause {
            cause.from = times[0].unwrap_or(cause.from);
            cause.until = times[1].unwrap_or(cause.until);
        }
        Ok(match search(cause, &folder, limit) {
            Ok(flows) => Json(flows).into_response(),
            Err(why) => refuse(StatusCode::SERVICE_UNAVAILABLE, &format!("{}: {why}", folder.display())),
        })
    })
    .await
}

fn search(cause: Option<Cause>, folder: &Path, limit: usize) -> io::Result<AlertFlows> {
    let answer = AlertFlows::asked(cause.clone(), folder);
    let Some(cause) = cause.filter(|_| answer.stored) else { return Ok(answer) };
    let filter = filter::parse(&cause.filter).map_err(io::Error::other)?;
    // Times before 1970 are no times of flows.
    let [from, until] = [cause.from, cause.until].map(|time| u64::try_from(time).unwrap_or(0));
    let search = Search { from, until, filter: &filter, limit, deadline: Some(Instant::now() + TIME_MAX) };
    Ok(answer.with(search.run(folder)?))
}
