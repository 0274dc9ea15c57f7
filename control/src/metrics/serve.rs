//! The endpoint that Prometheus scrapes: `GET /metrics`. Nobody is asked who he is, so it listens on loopback alone (RELIABILITY.md
//! section 7).
use super::{CONTENT_TYPE, text};
use crate::http::{self, Accept, Places};
use axum::Router;
use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

const ABOUT: &str = "Sonda: the counters of probes and modules are at /metrics\n";

/// The port, and what is served there.
struct Endpoint {
    listener: TcpListener,
    app: Router,
}

impl Accept for Endpoint {
    type Raw = (TcpStream, Router);
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Router)> {
        self.listener.accept().await.map(|(stream, _)| (stream, self.app.clone()))
    }

    async fn ready(raw: Self::Raw) -> io::Result<Self::Raw> {
        Ok(raw)
    }
}

/// Serves until `stop` comes to its end.
pub(super) async fn serve(listener: TcpListener, stop: impl Future<Output = ()>) {
    http::serve(Endpoint { listener, app: app() }, &Places::default(), stop).await;
}

fn app() -> Router {
    // One collection at a time: who scrapes twice at once waits instead of making the machine work twice.
    let turn = Arc::new(Mutex::new(()));
    let metrics = move || {
        let turn = Arc::clone(&turn);
        async move {
            let _mine = turn.lock().await;
            match spawn_blocking(|| text(None)).await {
                Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
                Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            }
        }
    };
    Router::new()
        .route("/metrics", get(metrics))
        .route("/", get(|| async { ABOUT }))
        .layer(middleware::from_fn(own_name))
}

/// Refuses names that somebody else's DNS may lead here with (a browser that was told so would read the counters).
async fn own_name(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or("?"));
    if host.is_none_or(is_own) {
        return next.run(request).await;
    }
    (StatusCode::MISDIRECTED_REQUEST, "ask for 127.0.0.1, [::1] or localhost\n").into_response()
}

/// Whether the Host header names this machine by an address or as localhost.
fn is_own(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_ours() {
        for own in ["127.0.0.1:9909", "localhost", "LOCALHOST:1", "[::1]:80", "[::1]", "10.0.0.1"] {
            assert!(is_own(own), "{own}");
        }
        for other in ["evil.example:9909", "", "127.0.0.1.evil.example", "?", "localhost.evil:80"] {
            assert!(!is_own(other), "{other}");
        }
    }
}
