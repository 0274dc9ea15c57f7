//! The control API: HTTP on a unix socket, and over TLS where that is configured ([`gate`]), for `sonda ctl`, scripts and pages.
//!
//! Contract: who asks ([`role::Peer`]) is known before a request's body is looked at: on the socket the kernel says who connected, over
//! TLS a token, a session or a certificate does ([`identify`]). Every route names its role
//! in the table below; there is no other way to add one. What changes something is written to the audit log before it is done. Clients
//! see snapshots and send commands, nothing else. The description for machines (docs/openapi.json) is made from the same table.
use crate::history;
use crate::http::{self, Accept, Places};
use crate::runner::Handle;
use audit::Audit;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use identify::Access;
use role::{Peer, Role, Who};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::{UnixListener, UnixStream};
use views::Refusal;

mod alerts;
mod attempts;
mod audit;
mod blacklists;
pub mod client;
mod events;
mod extract;
pub(crate) mod fuzzing;
pub mod gate;
mod identify;
mod ledgers;
pub mod openapi;
mod prefilter;
pub mod role;
mod routes;
pub mod secret;
mod sessions;
mod stamp;
mod tap;
#[cfg(test)]
mod tests;
mod tls;
pub mod tokens;
pub mod views;
pub mod web;

pub use alerts::StoredFlow;
pub use routes::ROUTES;

/// Where the API of the supervisor with that socket is: `NAME-api.sock` beside `NAME.sock`.
#[must_use]
pub fn socket_of(daemon: &Path) -> PathBuf {
    let name = daemon.file_stem().unwrap_or_default().to_string_lossy();
    daemon.with_file_name(format!("{name}-api.sock"))
}

/// A route as the description tells of it.
#[derive(Debug, Clone)]
pub struct Route {
    pub method: Method,
    /// With `{name}` where a name stands.
    pub path: &'static str,
    pub role: Role,
    /// A sentence without its full stop.
    pub about: &'static str,
    /// The type of the answer, by its name in the description; empty where it is no JSON object.
    pub answer: &'static str,
    /// The types of what stands behind the question mark, and of the body; empty where there is none.
    pub query: &'static str,
    pub body: &'static str,
}

/// What handlers have.
#[derive(Debug, Clone)]
struct Plane {
    handle: Handle,
    audit: Arc<Audit>,
    watchers: events::Watchers,
    access: Arc<Access>,
    rules: Arc<prefilter::Turn>,
    searches: alerts::Searches,
    history: history::Shared,
}

impl Plane {
    fn new(handle: Handle, audit: Audit) -> Self {
        let (watchers, history) = (events::Watchers::default(), history::Shared::default());
        let (access, rules, searches) = (Arc::default(), Arc::default(), alerts::Searches::default());
        Self { handle, audit: Arc::new(audit), watchers, access, rules, searches, history }
    }
}

/// Serves the API at `listener`, and over TCP where that is configured, until the supervisor ends.
///
/// # Errors
/// The audit log cannot be written: nothing may be changed then without a trace.
pub async fn serve(listener: UnixListener, path: &Path, handle: Handle) -> io::Result<()> {
    let socket_gid = std::fs::metadata(path)?.gid();
    let audit = Audit::open(handle.logs().folder())?;
    let gate = handle.gate();
    let plane = Plane::new(handle, audit);
    tokio::spawn(plane.history.clone().keep());
    let door = Door { listener, socket_gid, app: app(plane.clone()) };
    let places = Places::default();
    tokio::join!(http::serve(door, &places, std::future::pending()), gate::serve(&gate, plane));
    Ok(())
}

/// The socket, whose group may come in as operators.
struct Door {
    listener: UnixListener,
    socket_gid: u32,
    app: Router,
}

impl Accept for Door {
    type Raw = (UnixStream, Router);
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Router)> {
        let (stream, _) = self.listener.accept().await?;
        let who = stream.peer_cred()?;
        let peer = Peer::of(who.uid(), who.gid(), who.pid(), self.socket_gid);
        Ok((stream, self.app.clone().layer(Extension(peer))))
    }

    async fn ready(raw: Self::Raw) -> io::Result<Self::Raw> {
        Ok(raw)
    }
}

fn app(plane: Plane) -> Router {
    let audited = middleware::from_fn_with_state(Arc::clone(&plane.audit), audit);
    let unknown = || async { refuse(StatusCode::NOT_FOUND, "there is no such path; GET /v1/openapi.json lists all") };
    routes::router()
        .merge(web::router())
        .fallback(unknown)
        .layer(audited)
        .layer(DefaultBodyLimit::max(extract::BODY_MAX))
        .with_state(plane)
}

/// As [`app`], for peers of whom nothing is known yet.
fn remote_app(plane: Plane) -> Router {
    app(plane.clone()).layer(middleware::from_fn_with_state(plane, identify::identify))
}

/// Lets those through who may; in front of each route, with its role.
async fn allow(State(needed): State<Role>, request: Request, next: Next) -> Response {
    let role = request.extensions().get::<Peer>().map_or(Role::Anyone, |peer| peer.role);
    if role >= needed {
        return next.run(request).await;
    }
    if role == Role::Anyone {
        return identify::unauthorized("say who you are, by a token or a certificate: see `sonda ctl --help`");
    }
    refuse(StatusCode::FORBIDDEN, &format!("this needs the role {needed}, and you are {role}: see `sonda ctl --help`"))
}

/// Writes down who wanted to change something and what came of it.
async fn audit(State(audit): State<Arc<Audit>>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().cloned();
    // Who is nobody can change nothing, and must not be able to fill the disk.
    let is_nobody = peer.as_ref().is_none_or(|peer| peer.who == Who::Nobody);
    if is_nobody || !identify::is_change(request.method()) {
        return next.run(request).await;
    }
    let what = format!("{} {}", request.method(), request.uri().path());
    if let Err(why) = audit.asked(peer.as_ref(), &what) {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, &format!("nothing is changed without a trace, and {why}"));
    }
    let response = next.run(request).await;
    audit.answered(peer.as_ref(), &what, response.status());
    response
}

fn refuse(status: StatusCode, error: &str) -> Response {
    (status, Json(Refusal { error: error.into() })).into_response()
}
