//! The endpoint that Prometheus scrapes: `GET /metrics`. Nobody is asked who he is, so it listens on loopback alone (RELIABILITY.md
//! section 7); a peer has bounded time, bytes and places.
use super::{CONTENT_TYPE, text};
use axum::Router;
use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::spawn_blocking;

/// Connections at a time; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 64;
/// Bytes of a request's head.
const HEAD_MAX: usize = 16 << 10;
/// Time in which a request's head must have come, also the first after the last: no connection is kept for nothing.
const HEAD_WAIT: Duration = Duration::from_secs(10);
/// Pause after the kernel refused a connection, for want of descriptors mostly.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

const ABOUT: &str = "Sonda: the counters of probes and modules are at /metrics\n";

/// Serves until `stop` comes to its end.
pub(super) async fn serve(listener: TcpListener, stop: impl Future<Output = ()>) {
    let app = app();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    tokio::pin!(stop);
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut stop => return,
            accepted = accepted => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(REFUSED_PAUSE).await;
            continue;
        };
        let service = TowerToHyperService::new(app.clone());
        tokio::spawn(async move {
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEAD_WAIT).max_buf_size(HEAD_MAX);
            // How a peer ends a connection is its own business.
            let _ended = http.serve_connection(TokioIo::new(stream), service).await;
            drop(place);
        });
    }
}

fn app() -> Router {
    // One collection at a time: who scrapes twice at once waits instead of making the machine work twice.
    let turn = Arc::new(Mutex::new(()));
    let metrics = move || {
        let turn = Arc::clone(&turn);
        async move {
            let _mine = turn.lock().await;
            match spawn_blocking(text).await {
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
