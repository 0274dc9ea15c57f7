//! Serving HTTP to peers that may be slow, silent or hostile (RELIABILITY.md section 7): bounded places, heads and time.
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Connections at a time; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 64;
/// Bytes of a request's head.
const HEAD_MAX: usize = 16 << 10;
/// Time in which a request's head must have come, also the first after the last: no connection is kept for nothing. What comes before
/// HTTP has as long.
const HEAD_WAIT: Duration = Duration::from_secs(10);
/// Pause after the kernel refused a connection, for want of descriptors mostly.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// Where connections come from.
pub(crate) trait Accept {
    /// A connection as the kernel has it.
    type Raw: Send + 'static;
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Raw>> + Send;

    /// What stands between it and HTTP, done beside all others; and what it may see.
    fn ready(raw: Self::Raw) -> impl Future<Output = io::Result<(Self::Stream, Router)>> + Send + 'static;
}

/// Places for connections; those that outlive their listener keep theirs.
#[derive(Debug, Clone)]
pub(crate) struct Places(Arc<Semaphore>);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(CONNECTIONS_MAX)))
    }
}

/// Serves connections until `stop` comes to its end; those that are there go on.
pub(crate) async fn serve<A: Accept>(listener: A, places: &Places, stop: impl Future<Output = ()>) {
    tokio::pin!(stop);
    loop {
        let accepted = async {
            let place = Arc::clone(&places.0).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut stop => return,
            accepted = accepted => accepted,
        };
        let Ok(raw) = accepted else {
            tokio::time::sleep(REFUSED_PAUSE).await;
            continue;
        };
        tokio::spawn(async move {
            let Ok(Ok((stream, app))) = timeout(HEAD_WAIT, A::ready(raw)).await else { return };
            converse(stream, app).await;
            drop(place);
        });
    }
}

/// Answers a peer until its connection ends.
pub(crate) async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, app: Router) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_WAIT).max_buf_size(HEAD_MAX);
    // How a peer ends a connection is its own business.
    let _ended = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app)).await;
}
