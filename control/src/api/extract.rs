//! What handlers take from requests. What cannot be taken is refused as everything else is, with a reason in JSON.
use super::refuse;
use axum::body::{HttpBody, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::time::timeout;

/// Bytes of a request's body.
pub(super) const BODY_MAX: usize = 1 << 20;
/// For all of a body to come.
const BODY_WAIT: Duration = Duration::from_secs(10);

/// The name in a path.
pub(super) struct Name(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(name)| Self(name)).map_err(|why| refuse(StatusCode::BAD_REQUEST, &why.body_text()))
    }
}

/// What stands behind the question mark.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let query = Query::from_request_parts(parts, state).await;
        query.map(|Query(asked)| Self(asked)).map_err(|why| refuse(StatusCode::BAD_REQUEST, &why.body_text()))
    }
}

/// A body of JSON.
pub(super) struct Told<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Told<T> {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
            return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body is JSON, of type application/json"));
        }
        let too_long = || {
            let why = format!("the body is longer than {BODY_MAX} bytes, or was broken off");
            refuse(StatusCode::PAYLOAD_TOO_LARGE, &why)
        };
        let body = request.into_body();
        // One that says so is not waited for.
        if body.size_hint().lower() > BODY_MAX as u64 {
            return Err(too_long());
        }
        let bytes = match timeout(BODY_WAIT, to_bytes(body, BODY_MAX)).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(_)) => return Err(too_long()),
            Err(_) => return Err(refuse(StatusCode::REQUEST_TIMEOUT, "the body takes too long")),
        };
        serde_json::from_slice(&bytes).map(Self).map_err(|why| refuse(StatusCode::BAD_REQUEST, &why.to_string()))
    }
}
