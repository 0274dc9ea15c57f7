//! The books: what came into each part, and what became of it.
use super::Plane;
use crate::core::Books;
use crate::pages::{self, Found};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use record::page::columns::{self, LANE_IDENTITIES, OUTPUT_IDENTITY};
use serde::Serialize;
use std::collections::BTreeMap;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

/// A book.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ledger {
    /// supervisor, a probe's name, or PROBE/OUTPUT.
    pub of: String,
    /// processes (RELIABILITY I16), packets (I4), flows (I8) or records.
    pub ledger: &'static str,
    /// What came, by its source.
    pub came: BTreeMap<String, u64>,
    /// What became of it.
    pub became: BTreeMap<String, u64>,
    /// What came less what became of it. Of records it is what an output has in hand; elsewhere 0, or something is wrong.
    pub imbalance: i64,
}

impl Ledger {
    fn new(of: String, ledger: &'static str, came: BTreeMap<String, u64>, became: BTreeMap<String, u64>) -> Self {
        let sum = |parts: &BTreeMap<String, u64>| parts.values().fold(0, |sum: u64, n| sum.wrapping_add(*n));
        let imbalance = sum(&came).wrapping_sub(sum(&became)) as i64;
        Self { of, ledger, came, became, imbalance }
    }

    fn of_supervisor(books: &Books, running: usize) -> Self {
        let named = |parts: &[(&str, u64)]| parts.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
        let came = named(&[("started", books.spawned), ("adopted", books.adopted)]);
        let ended = [("ended", books.exited), ("killed", books.killed), ("gone", books.lost)];
        let became = named(&[&[("running", running as u64)], &ended[..]].concat());
        Self::new("supervisor".into(), "processes", came, became)
    }

    fn of_probe(found: &Found) -> Vec<Self> {
        let page = &found.page;
        let columns: Vec<(&str, u64)> =
            page.layout.lane_columns.iter().map(|name| (name.as_str(), page.sum(name))).collect();
        let mut all: Vec<Self> =
            LANE_IDENTITIES.iter().map(|identity| Self::of_columns(found.name.clone(), identity, &columns)).collect();
        for (name, counts) in page.layout.outputs.iter().zip(&page.outputs) {
            let names = page.layout.output_columns.iter().map(String::as_str);
            let columns: Vec<(&str, u64)> = names.zip(counts.values.iter().copied()).collect();
            all.push(Self::of_columns(format!("{}/{name}", found.name), &OUTPUT_IDENTITY, &columns));
        }
        all
    }

    fn of_columns(of: String, identity: &columns::Identity, columns: &[(&str, u64)]) -> Self {
        let part = |names: &[&str]| {
            let one = |name: &&str| ((*name).to_owned(), columns::sum(columns.iter().copied(), &[name]));
            names.iter().map(one).collect()
        };
        Self::new(of, identity.ledger, part(identity.came), part(identity.became))
    }
}

/// `GET /v1/ledgers`.
pub(super) async fn ledgers(State(plane): State<Plane>) -> Response {
    let snapshot = plane.handle.snapshot();
    let read = move || {
        let mut all = vec![Ledger::of_supervisor(&snapshot.books, snapshot.running())];
        all.extend(pages::all().iter().flat_map(Ledger::of_probe));
        all
    };
    match spawn_blocking(read).await {
        Ok(all) => Json(all).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
