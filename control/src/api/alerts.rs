//! Alerts, from the store that reporters write and `sonda alerts` reads.
use super::extract::{Asked, Name, Told};
use super::role::{Peer, Who};
use super::views::Done;
use super::{Plane, refuse};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use detect::store::{self, NOTE_MAX, Noted, Order, Query, Range, Role as End, State as Handled, Store, StoreError};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use nix::unistd::{Uid, User};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::ops::ControlFlow;
use std::path::Path;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

mod flows;
mod timeline;

pub use flows::StoredFlow;
pub(super) use flows::{AlertFlows, Searches, WhichFlows, flows};
pub(super) use timeline::{AlertTimeline, timeline};

/// Alerts of an answer, where nothing else is asked for and at the most.
const LIMIT: u64 = 50;
const LIMIT_MAX: u64 = 1_000;
/// Bytes of the documents of an answer; the list ends before it.
const ANSWER_MAX: usize = 16 << 20;

/// Which alerts; all conditions must hold. Lists are separated by commas: one of their elements must hold.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// Detected at this time or later: 24h ago, a day (2026-11-22) or a time (2026-11-22T14:00:00Z).
    from: Option<String>,
    /// Detected before that time.
    until: Option<String>,
    /// Categories with those below them: Recon finds Recon.Scanning.
    category: Option<String>,
    /// Addresses, networks or ranges FIRST-LAST at either end.
    address: Option<String>,
    source: Option<String>,
    target: Option<String>,
    /// Parts of names of detectors' nodes.
    node: Option<String>,
    /// new or acknowledged.
    state: Option<String>,
    /// Stored behind the alert of this number.
    after: Option<i64>,
    /// newest (the default), oldest, or stored: in the order in which they came.
    order: Option<String>,
    /// So many at the most: 1 to 1000, 50 by default.
    limit: Option<u64>,
}

/// Alerts, and how many there are.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Alerts {
    /// All that were asked for, also those behind the limit.
    pub found: u64,
    pub alerts: Vec<Alert>,
}

/// An alert.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Alert {
    /// Grows with each alert, is never used again.
    pub number: i64,
    pub id: String,
    /// RFC 3339.
    pub detected: String,
    pub stored: String,
    /// new or acknowledged.
    pub state: &'static str,
    /// When the state was changed, and by whom.
    pub changed: Option<String>,
    pub changed_by: Option<String>,
    /// How many there are.
    pub notes: u64,
    /// The IDEA message.
    #[schema(value_type = Object)]
    pub document: Value,
}

/// An alert with what people wrote about it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NotedAlert {
    pub alert: Alert,
    pub notes: Vec<Note>,
}

/// What somebody wrote about an alert.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Note {
    /// RFC 3339.
    pub at: String,
    pub by: String,
    pub text: String,
}

/// A note to be written.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NoteText {
    /// 1 to 4096 bytes.
    text: String,
}

/// How many alerts there are, and how many are gone for which reason.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AlertCounts {
    pub alerts: u64,
    pub unread: u64,
    /// Removed for their age, and to make room.
    pub expired: u64,
    pub displaced: u64,
    /// Not kept: known already, or no alerts.
    pub known: u64,
    pub refused: u64,
    /// Addresses, categories and nodes by which an alert cannot be found, because it has too many.
    pub unindexed: u64,
}

impl Alert {
    fn of(alert: store::Alert) -> Self {
        let (changed, changed_by) = alert.changed.map(|(at, by)| (time(at), by)).unzip();
        Self {
            number: alert.number,
            id: alert.id,
            detected: time(alert.detected),
            stored: time(alert.stored),
            state: if alert.state == Handled::New { "new" } else { "acknowledged" },
            changed,
            changed_by,
            notes: alert.notes,
            // The store takes nothing but JSON.
            document: serde_json::from_str(&alert.document).unwrap_or_default(),
        }
    }
}

fn time(millis: i64) -> String {
    Timestamp::from_millisecond(millis).map_or_else(|_| millis.to_string(), |time| time.to_string())
}

impl Which {
    pub(super) fn query(&self) -> Result<(Query, Order, u64), String> {
        let words = |text: &Option<String>| -> Vec<String> {
            text.iter().flat_map(|text| text.split(',')).filter(|word| !word.is_empty()).map(String::from).collect()
        };
        let mut addresses = Vec::new();
        for (end, text) in [(None, &self.address), (Some(End::Source), &self.source), (Some(End::Target), &self.target)]
        {
            for word in words(text) {
                addresses.push((end, word.parse::<Range>().map_err(|why| why.to_string())?));
            }
        }
        let state = match self.state.as_deref() {
            None => None,
            Some("new") => Some(Handled::New),
            Some("acknowledged") => Some(Handled::Acknowledged),
            Some(_) => return Err("a state is new or acknowledged".into()),
        };
        let order = match self.order.as_deref() {
            None | Some("newest") => Order::Newest,
            Some("oldest") => Order::Oldest,
            Some("stored") => Order::Stored,
            Some(_) => return Err("an order is newest, oldest or stored".into()),
        };
        let limit = self.limit.unwrap_or(LIMIT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(format!("a limit is 1 to {LIMIT_MAX}"));
        }
        let (from, until) = (when(&self.from)?, when(&self.until)?);
        let (categories, nodes) = (words(&self.category), words(&self.node));
        Ok((Query { from, until, categories, addresses, nodes, state, after: self.after }, order, limit))
    }
}

/// A time that was asked for, in milliseconds since 1970.
fn when(text: &Option<String>) -> Result<Option<i64>, String> {
    let when = text.as_ref().map(|text| store::when(text, Timestamp::now(), &TimeZone::system()));
    when.transpose().map_err(|why| why.to_string())
}

/// Does something with the store, beside everything else.
async fn with<T: IntoResponse + Send + 'static>(
    plane: Plane,
    open: fn(&Path) -> Result<Store, StoreError>,
    job: impl FnOnce(Store) -> Result<T, StoreError> + Send + 'static,
) -> Response {
    let path = plane.handle.gate().alerts();
    match spawn_blocking(move || open(&path).and_then(job)).await {
        Ok(Ok(answer)) => answer.into_response(),
        Ok(Err(why @ StoreError::Absent(_))) => refuse(StatusCode::NOT_FOUND, &why.to_string()),
        Ok(Err(why)) => refuse(StatusCode::SERVICE_UNAVAILABLE, &why.to_string()),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// `GET /v1/alerts`.
pub(super) async fn list(State(plane): State<Plane>, Asked(which): Asked<Which>) -> Response {
    let (query, order, limit) = match which.query() {
        Ok(query) => query,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, &why),
    };
    with(plane, Store::read, move |store| {
        let (mut alerts, mut bytes) = (Vec::new(), 0);
        store.alerts(&query, order, limit, |alert| {
            bytes += alert.document.len();
            if bytes > ANSWER_MAX {
                return ControlFlow::Break(());
            }
            alerts.push(Alert::of(alert));
            ControlFlow::Continue(())
        })?;
        Ok(Json(Alerts { found: store.count(&query)?, alerts }))
    })
    .await
}

/// `GET /v1/alerts/counts`.
pub(super) async fn counts(State(plane): State<Plane>) -> Response {
    with(plane, Store::read, |store| {
        let store::Counts { alerts, unread, expired, displaced, known, refused, unindexed } = store.counts()?;
        Ok(Json(AlertCounts { alerts, unread, expired, displaced, known, refused, unindexed }))
    })
    .await
}

/// `GET /v1/alerts/{name}`.
pub(super) async fn one(State(plane): State<Plane>, Name(name): Name) -> Response {
    with(plane, Store::read, move |store| {
        let Some(alert) = store.find(&name)? else { return Ok(unknown(&name)) };
        let notes = store.notes(alert.number)?.into_iter();
        let notes = notes.map(|note| Note { at: time(note.at), by: note.author, text: note.text }).collect();
        Ok(Json(NotedAlert { alert: Alert::of(alert), notes }).into_response())
    })
    .await
}

/// `POST /v1/alerts/{name}/acknowledge`.
pub(super) async fn acknowledge(plane: State<Plane>, peer: Extension<Peer>, name: Name) -> Response {
    set_state(plane.0, &peer, name.0, Handled::Acknowledged).await
}

/// `POST /v1/alerts/{name}/reopen`.
pub(super) async fn reopen(plane: State<Plane>, peer: Extension<Peer>, name: Name) -> Response {
    set_state(plane.0, &peer, name.0, Handled::New).await
}

async fn set_state(plane: Plane, peer: &Peer, name: String, state: Handled) -> Response {
    let author = author(peer);
    with(plane, Store::open, move |mut store| {
        let Some(alert) = store.find(&name)? else { return Ok(unknown(&name)) };
        let changed = store.set_state(&[alert.number], state, &author)?;
        let text = if changed == 0 { "it was so before" } else { "" };
        Ok(Json(Done { done: true, text: text.into() }).into_response())
    })
    .await
}

/// `POST /v1/alerts/{name}/notes`.
pub(super) async fn note(
    State(plane): State<Plane>,
    Extension(peer): Extension<Peer>,
    Name(name): Name,
    Told(NoteText { text }): Told<NoteText>,
) -> Response {
    if text.trim().is_empty() || text.len() > NOTE_MAX {
        return refuse(StatusCode::BAD_REQUEST, &format!("a note has 1 to {NOTE_MAX} bytes"));
    }
    let author = author(&peer);
    with(plane, Store::open, move |mut store| {
        let Some(alert) = store.find(&name)? else { return Ok(unknown(&name)) };
        Ok(match store.note(alert.number, &author, &text)? {
            Noted::Yes => Json(Done { done: true, text: String::new() }).into_response(),
            Noted::NoAlert => unknown(&name),
            Noted::Full => refuse(StatusCode::CONFLICT, &format!("it has {} notes already", store::NOTES_MAX)),
        })
    })
    .await
}

fn unknown(name: &str) -> Response {
    refuse(StatusCode::NOT_FOUND, &format!("there is no alert '{name}', or more than one begins so"))
}

/// What the store calls who does it.
fn author(peer: &Peer) -> String {
    match &peer.who {
        Who::Process { uid, .. } => {
            let user = User::from_uid(Uid::from_raw(*uid)).ok().flatten();
            user.map_or_else(|| format!("uid {uid}"), |user| user.name)
        }
        Who::Token { name, .. } | Who::Session { name } | Who::Certificate { name } => name.clone(),
        Who::Nobody => "nobody".into(),
    }
}
