//! Who asks over TCP, before anything of a request but its head is looked at: a token, a browser's session, or a certificate.
use super::attempts::{Attempts, Failed};
use super::gate::Remote;
use super::role::{Peer, Role, Who};
use super::sessions::{Sessions, set_cookie};
use super::views::{Done, Login};
use super::{Plane, refuse};
use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::time::{Duration, Instant};

/// A header that a page of another site cannot send: what is changed by a browser's cookie or certificate needs it, whatever it says.
pub(super) const CSRF: &str = "x-sonda-csrf";
/// What a source that has failed too often waits for its refusal.
const DELAY: Duration = Duration::from_secs(1);
/// Seconds after which it may try again, as it is told.
const RETRY_S: &str = "60";

/// What is remembered of peers.
#[derive(Debug, Default)]
pub(super) struct Access {
    attempts: Attempts,
    sessions: Sessions,
}

/// Why nobody knows who asks.
enum Unknown {
    /// What is presented is worth nothing.
    Wrong(Failed),
    /// The source has failed too often.
    Refused,
}

/// Says who asks, or refuses; in front of everything that is served over TCP.
pub(super) async fn identify(
    State(plane): State<Plane>,
    Extension(remote): Extension<Remote>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = match plane.access.who(&remote, request.headers()) {
        Ok(peer) => peer,
        Err(Unknown::Wrong(failed)) => {
            if failed == Failed::Last {
                let line = format!("[WARNING] {} has shown too many wrong tokens and is refused.", remote.source);
                plane.handle.logs().say(&line);
            }
            return unauthorized(
                "this token is not known, has expired or was revoked; `sonda ctl token list` shows all",
            );
        }
        Err(Unknown::Refused) => {
            tokio::time::sleep(DELAY).await;
            let answer =
                refuse(StatusCode::TOO_MANY_REQUESTS, "too many wrong tokens from your address; wait a minute");
            return ([(header::RETRY_AFTER, RETRY_S)], answer).into_response();
        }
    };
    let is_by_browser = matches!(peer.who, Who::Session { .. } | Who::Certificate { .. });
    if is_change(request.method()) && is_by_browser && !request.headers().contains_key(CSRF) {
        return refuse(StatusCode::FORBIDDEN, &format!("a change by a session or certificate needs the header {CSRF}"));
    }
    request.extensions_mut().insert(peer);
    next.run(request).await
}

/// Whether a request may change something.
pub(super) fn is_change(method: &Method) -> bool {
    *method != Method::GET && *method != Method::HEAD
}

/// 401, and how to do better (RFC 6750 section 3).
pub(super) fn unauthorized(why: &str) -> Response {
    ([(header::WWW_AUTHENTICATE, "Bearer realm=\"sonda\"")], refuse(StatusCode::UNAUTHORIZED, why)).into_response()
}

impl Access {
    /// What is said outright counts before what a browser sends by itself. A cookie that is not known any more is no failed attempt: browsers
    /// send theirs until they are told otherwise, and nobody guesses 256 bits.
    fn who(&self, remote: &Remote, headers: &HeaderMap) -> Result<Peer, Unknown> {
        let source = Some(remote.source);
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let now = Instant::now();
            if self.attempts.is_refused(remote.source, now) {
                return Err(Unknown::Refused);
            }
            let presented = value.to_str().ok().and_then(bearer);
            let Some(token) = presented.and_then(|text| remote.tokens.presented(text)) else {
                return Err(Unknown::Wrong(self.attempts.failed(remote.source, now)));
            };
            let who = Who::Token { id: token.id().into(), name: token.name };
            return Ok(Peer { role: token.role, who, source });
        }
        let token = self.sessions.token(headers, Instant::now()).and_then(|id| remote.tokens.of_id(&id));
        if let Some(token) = token {
            return Ok(Peer { role: token.role, who: Who::Session { name: token.name }, source });
        }
        Ok(match &remote.certificate {
            Some(shown) if shown.role > Role::Anyone => {
                Peer { role: shown.role, who: Who::Certificate { name: shown.name.clone() }, source }
            }
            _ => Peer::nobody(remote.source),
        })
    }
}

/// The token of an Authorization header (RFC 6750 section 2.1); the scheme has capitals or not.
pub(crate) fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim_matches(' '))
}

/// `POST /v1/login`.
pub(super) async fn login(State(plane): State<Plane>, Extension(peer): Extension<Peer>) -> Response {
    let Who::Token { id, .. } = &peer.who else {
        return refuse(
            StatusCode::CONFLICT,
            "a session begins with a token, in the header Authorization: Bearer TOKEN",
        );
    };
    match plane.access.sessions.begin(id, Instant::now()) {
        Some(secret) => ([(header::SET_COOKIE, set_cookie(Some(&secret)))], Json(Login::of(&peer))).into_response(),
        None => refuse(StatusCode::SERVICE_UNAVAILABLE, "the system has no source of chance"),
    }
}

/// `POST /v1/logout`.
pub(super) async fn logout(State(plane): State<Plane>, headers: HeaderMap) -> Response {
    plane.access.sessions.end(&headers);
    ([(header::SET_COOKIE, set_cookie(None))], Json(Done { done: true, text: String::new() })).into_response()
}

/// `GET /v1/self`.
pub(super) async fn me(Extension(peer): Extension<Peer>) -> Json<Login> {
    Json(Login::of(&peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_in_headers() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bEARER  abc "), Some("abc"));
        for other in ["Basic abc", "Bearerabc", "", "abc"] {
            assert_eq!(bearer(other), None, "{other}");
        }
    }
}
