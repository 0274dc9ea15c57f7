//! All routes, each with its role, and what they answer.
use super::extract::{Asked, Name};
use super::identify::{login, logout, me};
use super::role::{Peer, Role};
use super::views::{Done, Health, History, Log, Module, Probe, Profile, Status};
use super::{Plane, Route, alerts, allow, blacklists, identify, ledgers, openapi, prefilter, refuse, tap};
use crate::history;
use crate::links::{self, Link};
use crate::runner::{Command, Reply, Target};
use crate::snapshot::Snapshot;
use crate::{logs, metrics, pages};
use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use axum::{Extension, Json, Router, middleware};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

/// Bytes of a log that are answered where nothing else is asked for, and at the most.
const LOG_BYTES: u64 = 16 << 10;
const LOG_BYTES_MAX: u64 = 1 << 20;

/// A line of the table is a route: without a role it does not compile.
macro_rules! routes {
    ($($method:ident $path:literal $role:ident $answer:literal $handler:path, $about:literal
        $(query $query:literal)? $(body $body:literal)?;)+) => {
        /// All routes.
        pub const ROUTES: &[Route] = &[$(Route {
            method: Method::$method, path: $path, role: Role::$role, about: $about, answer: $answer,
            query: concat!($($query)?), body: concat!($($body)?),
        }),+];

        /// The routes with what answers them.
        pub(super) fn router() -> Router<Plane> {
            Router::new()$(.route($path, on(MethodFilter::$method, $handler)
                .layer(middleware::from_fn_with_state(Role::$role, allow))))+
        }
    };
}

routes! {
    GET "/v1/health" Anyone "Health" health, "Whether the box does its work; status 503 if it does not. Over TCP it needs viewer but on loopback";
    GET "/v1/openapi.json" Viewer "" description, "This description";
    GET "/v1/self" Viewer "Login" me, "Who asks, and what he may";
    POST "/v1/login" Viewer "Login" login, "Begin a session of a browser, by a token: the answer sets a cookie";
    POST "/v1/logout" Viewer "Done" logout, "End the session of the cookie";
    GET "/v1/status" Viewer "Status" status, "The supervisor and the books of its processes";
    GET "/v1/modules" Viewer "[Module]" modules, "All modules, in the order of the configuration";
    GET "/v1/modules/{name}" Viewer "Module" module, "A module with the counters of its interfaces";
    POST "/v1/modules/{name}/enable" Operator "Done" enable_module, "Let a module run until the configuration is applied anew";
    POST "/v1/modules/{name}/disable" Operator "Done" disable_module, "Stop a module until the configuration is applied anew";
    POST "/v1/modules/{name}/restart" Operator "Done" restart_module, "Stop and start a module that runs";
    GET "/v1/modules/{name}/log" Operator "Log" module_log, "The end of what a module printed" query "Part";
    GET "/v1/profiles" Viewer "[Profile]" profiles, "Modules that are enabled together";
    POST "/v1/profiles/{name}/enable" Operator "Done" enable_profile, "Let the modules of a profile run";
    POST "/v1/profiles/{name}/disable" Operator "Done" disable_profile, "Stop the modules of a profile";
    GET "/v1/links" Viewer "[Link]" links, "Who sends to whom: outputs and inputs of modules that meet";
    GET "/v1/events" Viewer "" events, "Server-sent events: module (as it is now), removed (its name), missed (how many)";
    GET "/v1/logs/{name}" Operator "Log" own_log, "The end of supervisor_log, modules_events or modules_statistics" query "Part";
    GET "/v1/configuration/plan" Operator "" plan, "What applying the edited configuration would do, module by module";
    POST "/v1/configuration/apply" Operator "Done" apply, "Read the configuration again: all of it is applied or nothing";
    GET "/v1/modules/{name}/prefilter" Operator "Prefilter" prefilter::get, "The rules in front of a probe, its sampling among them";
    POST "/v1/modules/{name}/prefilter" Operator "Done" prefilter::set, "Other rules for a probe, while it runs" body "Rules";
    GET "/v1/flows" Viewer "" tap::flows, "Server-sent events: flow (a record as it leaves an interface), error (why there are none)" query "Tap";
    GET "/v1/alerts" Viewer "Alerts" alerts::list, "Alerts of the store" query "Which";
    GET "/v1/alerts/counts" Viewer "AlertCounts" alerts::counts, "How many alerts there are, and how many are gone for which reason";
    GET "/v1/alerts/timeline" Viewer "AlertTimeline" alerts::timeline, "How many alerts of which category when; order and limit do not matter" query "Which";
    GET "/v1/alerts/{name}" Viewer "NotedAlert" alerts::one, "An alert by its number, its ID or the beginning of it";
    GET "/v1/alerts/{name}/flows" Viewer "AlertFlows" alerts::flows, "The flows that an alert speaks of, where they are stored on this box" query "WhichFlows";
    POST "/v1/alerts/{name}/acknowledge" Operator "Done" alerts::acknowledge, "Mark an alert as seen";
    POST "/v1/alerts/{name}/reopen" Operator "Done" alerts::reopen, "Make an alert new again";
    POST "/v1/alerts/{name}/notes" Operator "Done" alerts::note, "Write a note on an alert" body "NoteText";
    GET "/v1/blacklists" Viewer "[Blacklists]" blacklists::blacklists, "Lists that downloaders of this supervisor fetch, and the files of filters";
    GET "/v1/ledgers" Viewer "[Ledger]" ledgers::ledgers, "The books of processes, packets, flows and records";
    GET "/v1/probes" Viewer "[Probe]" probes, "The counters, books and top talkers of all probes of this machine";
    GET "/v1/history" Viewer "History" told, "What probes counted over time" query "Asked";
    GET "/metrics" Viewer "" prometheus, "All counters for Prometheus";
    POST "/v1/supervisor/leave" Admin "Done" leave, "End the supervisor; modules go on, the next supervisor takes them over";
    POST "/v1/supervisor/stop" Admin "Done" stop, "End all modules, then the supervisor";
}

async fn health(State(plane): State<Plane>, Extension(peer): Extension<Peer>) -> Response {
    if peer.role == Role::Anyone && !peer.source.is_some_and(|source| source.is_loopback()) {
        return identify::unauthorized("only on this machine health is told to anyone");
    }
    let health = Health::of(&plane.handle.snapshot());
    let status = if health.healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health)).into_response()
}

async fn description() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi::text()).into_response()
}

async fn status(State(plane): State<Plane>) -> Json<Status> {
    Json(Status::of(&plane.handle.snapshot()))
}

async fn modules(State(plane): State<Plane>) -> Json<Vec<Module>> {
    Json(plane.handle.snapshot().modules.iter().map(Module::of).collect())
}

async fn module(State(plane): State<Plane>, Name(name): Name) -> Response {
    let snapshot = plane.handle.snapshot();
    match snapshot.modules.iter().find(|view| view.spec.name == name) {
        Some(view) => Json(Module::of(view)).into_response(),
        None => no_module(&snapshot, &name),
    }
}

async fn enable_module(plane: State<Plane>, name: Name) -> Response {
    switch(plane, Target::Module(name.0), true).await
}

async fn disable_module(plane: State<Plane>, name: Name) -> Response {
    switch(plane, Target::Module(name.0), false).await
}

async fn enable_profile(plane: State<Plane>, name: Name) -> Response {
    switch(plane, Target::Profile(name.0), true).await
}

async fn disable_profile(plane: State<Plane>, name: Name) -> Response {
    switch(plane, Target::Profile(name.0), false).await
}

async fn switch(State(plane): State<Plane>, target: Target, enabled: bool) -> Response {
    let snapshot = plane.handle.snapshot();
    match &target {
        Target::Module(name) if snapshot.modules.iter().all(|view| view.spec.name != *name) => {
            no_module(&snapshot, name)
        }
        Target::Profile(name) if snapshot.profiles.iter().all(|profile| profile.name != *name) => {
            let known = snapshot.profiles.iter().map(|profile| profile.name.as_str());
            not_found("profile", name, known)
        }
        _ => done(plane.handle.ask(Command::Enable { target, enabled }).await),
    }
}

async fn restart_module(State(plane): State<Plane>, Name(name): Name) -> Response {
    let snapshot = plane.handle.snapshot();
    match snapshot.modules.iter().find(|view| view.spec.name == name) {
        None => no_module(&snapshot, &name),
        Some(view) if view.pid.is_none() => {
            refuse(StatusCode::CONFLICT, &format!("module {name} does not run; enable it instead"))
        }
        Some(_) => done(plane.handle.ask(Command::Restart(name)).await),
    }
}

/// Which part of a log.
#[derive(Deserialize, ToSchema)]
pub(super) struct Part {
    /// Of a module: stderr (the default) or stdout.
    stream: Option<String>,
    /// Bytes from the end, 1048576 at the most.
    bytes: Option<u64>,
}

async fn module_log(State(plane): State<Plane>, Name(name): Name, Asked(part): Asked<Part>) -> Response {
    let snapshot = plane.handle.snapshot();
    if snapshot.modules.iter().all(|view| view.spec.name != name) {
        return no_module(&snapshot, &name);
    }
    match part.stream.as_deref().unwrap_or("stderr") {
        stream @ ("stdout" | "stderr") => {
            let path = plane.handle.logs().path(logs::MODULES).join(format!("{name}_{stream}"));
            end_of(path, part.bytes).await
        }
        other => refuse(StatusCode::BAD_REQUEST, &format!("there is no stream {other}; use stdout or stderr")),
    }
}

async fn own_log(State(plane): State<Plane>, Name(name): Name, Asked(part): Asked<Part>) -> Response {
    let all = [logs::SUPERVISOR, logs::EVENTS, logs::STATISTICS];
    match all.into_iter().find(|known| *known == name) {
        Some(known) => end_of(plane.handle.logs().path(known), part.bytes).await,
        None => not_found("log", &name, all.into_iter()),
    }
}

/// The last bytes of a log.
async fn end_of(path: PathBuf, bytes: Option<u64>) -> Response {
    let most = bytes.unwrap_or(LOG_BYTES).min(LOG_BYTES_MAX);
    let read = move || -> io::Result<Log> {
        let mut file = File::open(&path)?;
        let len = file.metadata()?.len();
        file.seek(SeekFrom::Start(len.saturating_sub(most)))?;
        let mut text = Vec::new();
        file.take(most).read_to_end(&mut text)?;
        Ok(Log { path: path.display().to_string(), cut: len > most, text: String::from_utf8_lossy(&text).into_owned() })
    };
    match spawn_blocking(read).await {
        Ok(Ok(log)) => Json(log).into_response(),
        Ok(Err(why)) if why.kind() == io::ErrorKind::NotFound => {
            refuse(StatusCode::NOT_FOUND, "there is no such log yet")
        }
        Ok(Err(why)) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &why.to_string()),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn profiles(State(plane): State<Plane>) -> Json<Vec<Profile>> {
    Json(Profile::all(&plane.handle.snapshot()))
}

async fn events(State(plane): State<Plane>) -> Response {
    match plane.watchers.watch(&plane.handle) {
        Some(events) => events.into_response(),
        None => refuse(StatusCode::SERVICE_UNAVAILABLE, "all places for watchers are taken; ask for /v1/modules"),
    }
}

async fn plan(State(plane): State<Plane>) -> Response {
    let reply = plane.handle.ask(Command::Plan).await;
    match serde_json::from_str::<Value>(&reply.text) {
        Ok(plan) => Json(plan).into_response(),
        Err(_) => done(reply),
    }
}

async fn apply(State(plane): State<Plane>) -> Response {
    done(plane.handle.ask(Command::Reload).await)
}

async fn probes() -> Response {
    match spawn_blocking(|| pages::all().iter().map(Probe::of).collect::<Vec<_>>()).await {
        Ok(probes) => Json(probes).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn links(State(plane): State<Plane>) -> Json<BTreeSet<Link>> {
    Json(links::all(&plane.handle.snapshot().modules))
}

async fn told(State(plane): State<Plane>, Asked(asked): Asked<history::Asked>) -> Response {
    let history = plane.history.lock();
    match history.range(asked) {
        Ok(range) => Json(History::of(&history, range)).into_response(),
        Err(why) => refuse(StatusCode::BAD_REQUEST, &why.to_string()),
    }
}

async fn prometheus(State(plane): State<Plane>) -> Response {
    let snapshot = plane.handle.snapshot();
    match spawn_blocking(move || metrics::text(Some(&snapshot))).await {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn leave(State(plane): State<Plane>) -> Response {
    done(plane.handle.ask(Command::Leave).await)
}

async fn stop(State(plane): State<Plane>) -> Response {
    done(plane.handle.ask(Command::Stop).await)
}

/// What became of a command; 409 if it was refused, and nothing changed.
fn done(reply: Reply) -> Response {
    let status = if reply.is_done { StatusCode::OK } else { StatusCode::CONFLICT };
    (status, Json(Done { done: reply.is_done, text: reply.text })).into_response()
}

pub(super) fn no_module(snapshot: &Snapshot, name: &str) -> Response {
    not_found("module", name, snapshot.modules.iter().map(|view| view.spec.name.as_str()))
}

fn not_found<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Response {
    let known: Vec<&str> = known.collect();
    let known = if known.is_empty() { "none is configured".into() } else { format!("there are {}", known.join(", ")) };
    refuse(StatusCode::NOT_FOUND, &format!("there is no {what} '{name}'; {known}"))
}
