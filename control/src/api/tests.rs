//! The routes with every role. Modules do not run here, for they are started by the binary; see probe/tests/control_api.rs.
use super::role::{Peer, Role, Who};
use super::{Audit, Plane, ROUTES, app, web};
use crate::config::Source;
use crate::runner::{Options, Runner};
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use axum::{Extension, Router};
use http_body_util::BodyExt;
use serde_json::Value;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tower::ServiceExt;

const CONFIGURATION: &str = r#"
[[profile]]
name = "All"
enabled = false
[[module]]
name = "sleeper one"
profile = "All"
path = "/bin/sleep"
params = "1000"
"#;

/// A supervisor with a module that is not to run.
struct Supervisor {
    app: Router,
    folder: TempDir,
    runner: tokio::task::JoinHandle<()>,
}

impl Supervisor {
    fn start() -> Supervisor {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("supervisor.toml");
        std::fs::write(&file, CONFIGURATION).expect("it is ours");
        let options = Options {
            source: Source::of_path(&file),
            logs: folder.path().into(),
            socket: folder.path().join("supervisor.sock"),
            is_daemon: true,
        };
        let (runner, handle, refused) = Runner::new(options).expect("logs");
        assert!(refused.is_none(), "{refused:?}");
        let audit = Audit::open(folder.path()).expect("a log");
        let app = app(Plane::new(handle, audit));
        Supervisor { app, folder, runner: tokio::spawn(runner.run()) }
    }

    async fn ask(&self, role: Role, method: Method, path: &str) -> (StatusCode, String) {
        let peer = peer(role);
        let request = Request::builder().method(method).uri(path).body(Body::empty()).expect("a request");
        let response =
            self.app.clone().layer(Extension(peer.clone())).oneshot(request).await.expect("it is infallible");
        let status = response.status();
        let is_endless = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
        let mut body = response.into_body();
        let bytes = if is_endless {
            body.frame().await.and_then(|frame| frame.ok()?.into_data().ok()).unwrap_or_default()
        } else {
            body.collect().await.expect("a body").to_bytes()
        };
        (status, String::from_utf8_lossy(&bytes).into_owned())
    }

    async fn json(&self, path: &str) -> Value {
        let (status, text) = self.ask(Role::Operator, Method::GET, path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why}: {text}"))
    }

    async fn end(self) {
        let (status, text) = self.ask(Role::Admin, Method::POST, "/v1/supervisor/stop").await;
        assert_eq!(status, StatusCode::OK, "{text}");
        tokio::time::timeout(Duration::from_secs(60), self.runner).await.expect("it ends").expect("in order");
    }
}

/// A process of the machine.
fn peer(role: Role) -> Peer {
    match role {
        Role::Anyone => Peer::nobody(Ipv4Addr::LOCALHOST.into()),
        _ => Peer { role, who: Who::Process { uid: 7, pid: None }, source: None },
    }
}

#[tokio::test]
async fn strangers_from_elsewhere_are_told_nothing() {
    let supervisor = Supervisor::start();
    let stranger = Peer::nobody(Ipv4Addr::new(192, 0, 2, 1).into());
    for route in ROUTES {
        let path = route.path.replace("{name}", "no%20such");
        let request = Request::builder().method(route.method.clone()).uri(&path).body(Body::empty());
        let app = supervisor.app.clone().layer(Extension(stranger.clone()));
        let response = app.oneshot(request.expect("a request")).await.expect("it is infallible");
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{} {path}", route.method);
    }
    assert!(audit(supervisor.folder.path()).is_empty(), "nor can they fill the log");
    supervisor.end().await;
}

fn audit(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("control_audit")).expect("there is one");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test]
async fn each_role_may_what_the_table_says() {
    for role in Role::ALL {
        let supervisor = Supervisor::start();
        // Routes that end the supervisor stand last.
        for route in ROUTES {
            let path = route.path.replace("{name}", "no%20such");
            let (status, text) = supervisor.ask(role, route.method.clone(), &path).await;
            let is_refused = matches!(status, StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED);
            assert_eq!(is_refused, role < route.role, "{role}: {} {path} is {status}: {text}", route.method);
            assert!(!status.is_server_error(), "{role}: {} {path} is {status}: {text}", route.method);
            let (wrong, _) = supervisor.ask(role, Method::DELETE, &path).await;
            let is_unknown = wrong == StatusCode::METHOD_NOT_ALLOWED || (is_refused && wrong == status);
            assert!(is_unknown, "{path} {wrong}");
        }
        if role < Role::Admin {
            supervisor.end().await;
        }
    }
}

#[tokio::test]
async fn what_is_switched_is_so_and_it_is_written_down() {
    let supervisor = Supervisor::start();
    let (status, _) = supervisor.ask(Role::Operator, Method::POST, "/v1/modules/sleeper%20one/disable").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(supervisor.json("/v1/modules/sleeper%20one").await["enabled"], false);
    let (status, _) = supervisor.ask(Role::Operator, Method::POST, "/v1/profiles/All/disable").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(supervisor.json("/v1/profiles").await[0]["enabled"], false);
    let (status, text) = supervisor.ask(Role::Operator, Method::POST, "/v1/modules/sleeper%20one/restart").await;
    assert!(status == StatusCode::CONFLICT && text.contains("enable it"), "{status} {text}");
    let (status, text) = supervisor.ask(Role::Viewer, Method::GET, "/v1/modules/other").await;
    assert!(status == StatusCode::NOT_FOUND && text.contains("there are sleeper one"), "{status} {text}");
    let (status, _) = supervisor.ask(Role::Viewer, Method::POST, "/v1/profiles/All/enable").await;
    assert_eq!(status, StatusCode::FORBIDDEN);

    // A wrong file is refused whole, and says where it is wrong.
    std::fs::write(supervisor.folder.path().join("supervisor.toml"), "[[profile]]\nnmae = \"All\"\n")
        .expect("it is ours");
    let (status, text) = supervisor.ask(Role::Operator, Method::POST, "/v1/configuration/apply").await;
    assert!(status == StatusCode::CONFLICT && text.contains("supervisor.toml:2"), "{status} {text}");
    assert_eq!(supervisor.json("/v1/configuration/plan").await["applies"], false);
    assert_eq!(supervisor.json("/v1/modules").await.as_array().map(Vec::len), Some(1));

    let lines = audit(supervisor.folder.path());
    let of = |what: &str| {
        lines.iter().filter(|line| line["what"] == what).map(|line| line["status"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(of("POST /v1/profiles/All/enable"), [Value::Null, 403.into()], "also what was refused");
    assert_eq!(of("POST /v1/profiles/All/disable"), [Value::Null, 200.into()]);
    assert!(lines.iter().all(|line| line["uid"] == 7 && line["time"].as_str().is_some_and(|time| time.ends_with('Z'))));
    assert!(!lines.iter().any(|line| line["what"].as_str().is_some_and(|what| what.starts_with("GET"))));
    supervisor.end().await;
}

#[tokio::test]
async fn pages_are_for_anyone_and_no_path_leads_elsewhere() {
    let supervisor = Supervisor::start();
    for asset in web::ASSETS {
        let (status, text) = supervisor.ask(Role::Anyone, Method::GET, asset.path).await;
        assert!(status == StatusCode::OK && text == asset.body, "{}", asset.path);
        let (status, _) = supervisor.ask(Role::Admin, Method::POST, asset.path).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{}", asset.path);
    }
    for path in [
        "/web/",
        "/web/../api.rs",
        "/web/..%2f..%2fCargo.toml",
        "/web/%2e%2e/sonda.css",
        "/web//sonda.css",
        "/web/sonda.css/",
        "/status.js",
    ] {
        let (status, _) = supervisor.ask(Role::Admin, Method::GET, path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
    supervisor.end().await;
}

#[tokio::test]
async fn a_history_is_asked_for_by_time() {
    let supervisor = Supervisor::start();
    let history = supervisor.json("/v1/history?from=-300&step=20").await;
    assert!(history["step"] == 20 && history["series"] == serde_json::json!([]), "{history}");
    for (query, why) in [("step=3", "2, 20, 300"), ("from=yesterday", "invalid digit"), ("step=-2", "invalid digit")] {
        let (status, text) = supervisor.ask(Role::Viewer, Method::GET, &format!("/v1/history?{query}")).await;
        assert!(status == StatusCode::BAD_REQUEST && text.contains(why), "{status} {text}");
    }
    supervisor.end().await;
}

#[tokio::test]
async fn watchers_are_told_what_is_and_what_changes() {
    let supervisor = Supervisor::start();
    let peer = peer(Role::Viewer);
    let request = Request::builder().uri("/v1/events").body(Body::empty()).expect("a request");
    let response =
        supervisor.app.clone().layer(Extension(peer.clone())).oneshot(request).await.expect("it is infallible");
    let mut body = response.into_body();
    let mut next = async || {
        let frame = tokio::time::timeout(Duration::from_secs(30), body.frame()).await.expect("it comes");
        String::from_utf8_lossy(&frame.expect("it goes on").expect("in order").into_data().unwrap_or_default())
            .into_owned()
    };
    let event = next().await;
    assert!(event.starts_with("event: module\n") && event.contains("\"enabled\":true"), "{event}");
    supervisor.ask(Role::Operator, Method::POST, "/v1/modules/sleeper%20one/disable").await;
    let event = next().await;
    assert!(event.starts_with("event: module\n") && event.contains("\"enabled\":false"), "{event}");
    // There are so many places.
    let mut places = Vec::new();
    loop {
        let request = Request::builder().uri("/v1/events").body(Body::empty()).expect("a request");
        let response =
            supervisor.app.clone().layer(Extension(peer.clone())).oneshot(request).await.expect("it is infallible");
        if response.status() == StatusCode::SERVICE_UNAVAILABLE {
            break;
        }
        assert!(places.len() < 100, "there is a bound");
        places.push(response);
    }
    supervisor.end().await;
}
