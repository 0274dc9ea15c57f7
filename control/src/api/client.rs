//! Asking the control API, for `sonda ctl`.
use axum::body::Bytes;
use axum::http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::io;
use std::path::Path;
use tokio::net::UnixStream;

/// Bytes of an answer that is kept whole.
const ANSWER_MAX: usize = 64 << 20;

/// One request; pieces of the answer's body go to `piece` as they come, until it ends or `piece` answers false.
///
/// # Errors
/// Nobody answers at the socket, or what answers is no HTTP.
pub fn stream(
    socket: &Path,
    method: Method,
    path: &str,
    mut piece: impl FnMut(StatusCode, &[u8]) -> bool,
) -> io::Result<StatusCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stream = UnixStream::connect(socket).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        // It ends with the request.
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
        let request = request.body(Empty::<Bytes>::new()).map_err(io::Error::other)?;
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let status = response.status();
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(io::Error::other)?;
            if frame.data_ref().is_some_and(|bytes| !piece(status, bytes)) {
                break;
            }
        }
        Ok(status)
    })
}

/// One request and its whole answer.
///
/// # Errors
/// Those of [`stream`]; the answer is too long.
pub fn ask(socket: &Path, method: Method, path: &str) -> io::Result<(StatusCode, String)> {
    let (mut answer, mut is_cut) = (Vec::new(), false);
    let status = stream(socket, method, path, |_, bytes| {
        is_cut |= answer.len() + bytes.len() > ANSWER_MAX;
        answer.extend_from_slice(bytes);
        !is_cut
    })?;
    if is_cut {
        return Err(io::Error::other(format!("the answer is longer than {ANSWER_MAX} bytes")));
    }
    Ok((status, String::from_utf8_lossy(&answer).into_owned()))
}

/// A name as a part of a path (RFC 3986 section 2.1).
#[must_use]
pub fn encoded(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_paths() {
        assert_eq!(encoded("vportscan_detector-1.x~"), "vportscan_detector-1.x~");
        assert_eq!(encoded("Data sources/\u{e9}?"), "Data%20sources%2F%C3%A9%3F");
    }
}
