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

/// Connections at a time; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 64;
/// Bytes of a request's head.
const HEAD_MAX: usize = 16 << 10;
/// Time in which a request's head must have come, also the first after the last: no connection is kept for nothing.
const HEAD_WAIT: Duration = Duration::from_secs(10);
/// Pause after the kernel refused a connection, for want of descriptors mostly.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// Where connections come from.
pub(crate) trait Accept {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection, and what it may see.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Router)>> + Send;
}

/// Serves connections until `stop` comes to its end.
pub(crate) async fn serve(listener: impl Accept, stop: impl Future<Output = ()>) {
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
        let Ok((stream, app)) = accepted else {
            tokio::time::sleep(REFUSED_PAUSE).await;
            continue;
        };
        tokio::spawn(async move {
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEAD_WAIT).max_buf_size(HEAD_MAX);
            // How a peer ends a connection is its own business.
            let _ended = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app)).await;
            drop(place);
        });
    }
}
