//! The harness of requests: what a stranger says over TLS, and the texts in it that peers who are known may say (F20).
use super::alerts::{NoteText, Which, WhichFlows};
use super::attempts::{Visit, Visits};
use super::gate::Remote;
use super::prefilter::Rules;
use super::routes::Part;
use super::tap::Tap;
use super::tokens::{self, Tokens};
use super::{Audit, Plane, extract, identify, remote_app, sessions, web};
use crate::history::{self, Range};
use crate::http::converse;
use crate::runner::Handle;
use axum::Extension;
use axum::body::{Body, HttpBody};
use axum::extract::{Query, Request};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::middleware::{self, Next};
use hyper::body::{Frame, SizeHint};
use std::cell::Cell;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::{Builder, Runtime};

/// Bytes of a connection that are on their way.
const PIPE: usize = 64 << 10;
/// Bytes of an answer that are looked at.
const ANSWER_MAX: usize = 4 << 10;
/// Milliseconds since 1970 for questions about the past.
const SEEN: u64 = 1_800_000_000_000;

/// Bytes as they come out of TLS: whoever has no token gets pages and health and nothing else, no body of his is looked at, and no answer is a
/// server's error. Then queries, bodies, cookies and token files by themselves.
pub(crate) fn fuzz_api_request(data: &[u8]) {
    thread_local!(static STRANGER: Stranger = Stranger::new());
    STRANGER.with(|stranger| stranger.says(data));
    let text = String::from_utf8_lossy(data);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, &text));
    queries(head.split_ascii_whitespace().nth(1).unwrap_or_default());
    bodies(body.as_bytes());
    head.split("\r\n").filter_map(|line| line.split_once(':')).for_each(|(_, value)| secrets(value.trim()));
}

/// Somebody at the port, a new one each time: nobody is refused for what others did.
struct Stranger {
    runtime: Runtime,
    plane: Plane,
    number: Cell<u32>,
}

impl Stranger {
    fn new() -> Self {
        // Logs and audit need a folder once. It is gone before anybody says anything: a stranger writes no file.
        let folder = std::env::temp_dir().join(format!("sonda-fuzz-{:?}", std::thread::current().id()));
        let folder = folder.with_extension(std::process::id().to_string());
        let handle = Handle::to_nobody(&folder).expect("a folder for temporary files");
        let audit = Audit::open(&folder).expect("it is ours");
        std::fs::remove_dir_all(&folder).expect("it is ours");
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { runtime, plane: Plane::new(handle, audit), number: Cell::new(1) }
    }

    fn remote(&self) -> Remote {
        let number = self.number.replace(self.number.get().wrapping_add(1));
        let net = if number.is_multiple_of(2) { 127 } else { 10 };
        let source = Ipv4Addr::from(net << 24 | number & 0x00ff_ffff).into();
        let visit: Visit = Visits::default().enter(source).expect("its first");
        let tokens = Tokens::open("/nonexistent/tokens.json".as_ref()).expect("no file is no token");
        Remote::unknown(source, Arc::new(tokens), visit)
    }

    fn says(&self, data: &[u8]) {
        let looked = Arc::new(AtomicBool::new(false));
        let watch = Arc::clone(&looked);
        let app = remote_app(self.plane.clone()).layer(Extension(self.remote()));
        let app = app.layer(middleware::from_fn(move |request: Request, next: Next| {
            let looked = Arc::clone(&watch);
            next.run(request.map(|body| Body::new(Watched { body, looked })))
        }));
        let answer = self.runtime.block_on(async {
            let (here, there) = tokio::io::duplex(PIPE);
            let talk = talk(here, data);
            tokio::pin!(talk);
            tokio::select! {
                answer = &mut talk => answer,
                // What it said last is still on its way.
                () = converse(there, app) => talk.await,
            }
        });
        assert!(!looked.load(Ordering::Relaxed), "a stranger's body is looked at");
        judge(data, &String::from_utf8_lossy(&answer));
    }
}

/// Says all, and takes the head of the first answer.
async fn talk(stream: DuplexStream, data: &[u8]) -> Vec<u8> {
    let (mut from, mut to) = tokio::io::split(stream);
    let say = async {
        // It may be closed at any time.
        let _closed = to.write_all(data).await;
        let _closed = to.shutdown().await;
        std::future::pending::<()>().await;
    };
    let hear = async {
        let mut answer = Vec::new();
        while answer.len() < ANSWER_MAX && !answer.windows(4).any(|end| end == b"\r\n\r\n") {
            match from.read_buf(&mut answer).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        answer
    };
    tokio::select! {
        answer = hear => answer,
        () = say => Vec::new(),
    }
}

/// The answer to a stranger.
fn judge(data: &[u8], answer: &str) {
    let Some(status) = answer.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok()) else { return };
    assert!(status < 500 && status != 403, "{status}: he is nobody, and nothing is broken");
    if status == 200 {
        let asked = String::from_utf8_lossy(data);
        let target = asked.split_ascii_whitespace().nth(1).unwrap_or_default();
        let path = target.parse::<Uri>().map(|uri| uri.path().to_owned()).unwrap_or_default();
        let is_public = path == "/v1/health" || web::ASSETS.iter().any(|asset| asset.path == path);
        assert!(is_public, "a stranger is shown {path}");
    }
}

/// A body that tells whether it was looked at.
struct Watched {
    body: Body,
    looked: Arc<AtomicBool>,
}

impl HttpBody for Watched {
    type Data = <Body as HttpBody>::Data;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.looked.store(true, Ordering::Relaxed);
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What stands behind the question mark, as each route takes it.
fn queries(target: &str) {
    let Ok(uri) = target.parse::<Uri>() else { return };
    if let Ok(Query(which)) = Query::<Which>::try_from_uri(&uri) {
        assert!(which.query().is_err() || which.query().is_ok_and(|(.., limit)| (1..=1_000).contains(&limit)));
    }
    if let Ok(Query(which)) = Query::<WhichFlows>::try_from_uri(&uri) {
        assert!(which.checked().is_err() || which.checked().is_ok_and(|(_, limit)| (1..=1_000).contains(&limit)));
    }
    if let Ok(Query(tap)) = Query::<Tap>::try_from_uri(&uri) {
        assert!(tap.spec().is_none_or(|spec| !spec.contains('/')));
    }
    if let Ok(Query(asked)) = Query::<history::Asked>::try_from_uri(&uri)
        && let Ok(range) = Range::of(asked, SEEN)
    {
        assert!(range.slots < history::LEVELS[range.level].slots && range.from() * 1_000 <= SEEN);
    }
    let _any = Query::<Part>::try_from_uri(&uri);
}

/// Bodies of JSON, and the file of tokens.
fn bodies(body: &[u8]) {
    let body = &body[..body.len().min(extract::BODY_MAX)];
    let _any = serde_json::from_slice::<NoteText>(body);
    let _any = serde_json::from_slice::<Rules>(body);
    if let Ok(known) = tokens::parse(&String::from_utf8_lossy(body)) {
        assert!(known.len() <= tokens::TOKENS_MAX && known.iter().all(|token| token.id().len() == 16));
    }
}

/// What may be in the head of a request to say who asks.
fn secrets(value: &str) {
    if let Some(token) = identify::bearer(value) {
        assert!(value.contains(token) && !token.starts_with(' '));
    }
    if let Ok(line) = HeaderValue::from_str(value) {
        let headers = HeaderMap::from_iter([(header::COOKIE, line)]);
        assert!(sessions::cookie(&headers).is_none_or(|secret| value.contains(secret)));
    }
}
