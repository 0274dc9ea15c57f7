//! Asking the control API, for `sonda ctl`: at its unix socket, or over TLS.
use super::identify::CSRF;
use super::secret::Secret;
use axum::body::Bytes;
use axum::http::uri::Scheme;
use axum::http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use trap::pem;

/// Bytes of an answer that is kept whole.
const ANSWER_MAX: usize = 64 << 20;
/// Bytes of a token's file.
const TOKEN_MAX: usize = 4 << 10;
/// The port of a URL that names none.
const PORT: u16 = 8443;
/// For a connection and its TLS.
const CONNECT_WAIT: Duration = Duration::from_secs(10);

/// Where the API is.
#[derive(Debug)]
pub enum Server {
    Unix(PathBuf),
    Tls(Box<Remote>),
}

/// The API over TLS.
#[derive(Debug)]
pub struct Remote {
    host: String,
    port: u16,
    token: Option<Secret>,
    config: Arc<ClientConfig>,
}

/// What goes with a URL.
#[derive(Debug, Default)]
pub struct Credentials<'a> {
    /// A file whose first line is a token.
    pub token_file: Option<&'a Path>,
    /// Certificates that vouch for the server's; else those that the system trusts.
    pub ca: Option<&'a Path>,
    /// A certificate and its key.
    pub identity: Option<(&'a Path, &'a Path)>,
}

impl Server {
    /// By a URL, `https://HOST:PORT`.
    ///
    /// # Errors
    /// It is none, or a file is of no use; the message says which.
    pub fn of_url(url: &str, credentials: &Credentials<'_>) -> Result<Self, String> {
        let parsed: Uri = url.parse().map_err(|why| format!("{url} is no URL: {why}"))?;
        if parsed.scheme() != Some(&Scheme::HTTPS) || !matches!(parsed.path(), "" | "/") || parsed.query().is_some() {
            return Err(format!("{url}: a URL is https://HOST:PORT here; without TLS nothing is sent"));
        }
        let authority = parsed.authority().ok_or_else(|| format!("{url} names no host"))?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let named = |path: &Path, why: &dyn fmt::Display| format!("{}: {why}", path.display());
        let token = credentials.token_file.map(|path| {
            let text = crate::config::text_of(path, TOKEN_MAX).map_err(|why| named(path, &why))?;
            let line = text.lines().next().unwrap_or_default().trim().to_owned();
            if line.is_empty() {
                Err(named(path, &"there is no token in its first line"))
            } else {
                Ok(Secret::from(line))
            }
        });
        let trusted = match credentials.ca {
            Some(path) => path.to_owned(),
            None => pem::bundle().ok_or("this system trusts no certificates: give the server's CA with --ca")?,
        };
        let roots = pem::roots(&trusted).map_err(|why| named(&trusted, &why))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13]);
        let builder = builder.map_err(|why| why.to_string())?.with_root_certificates(roots);
        let config = match credentials.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = pem::certificates(certificate).map_err(|why| named(certificate, &why))?;
                let private = pem::key(key).map_err(|why| named(key, &why))?;
                builder.with_client_auth_cert(chain, private).map_err(|why| named(certificate, &why))?
            }
        };
        let (port, token) = (authority.port_u16().unwrap_or(PORT), token.transpose()?);
        Ok(Self::Tls(Box::new(Remote { host, port, token, config: config.into() })))
    }

    /// What a failure to connect may be mended by.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Unix(_) => "give the supervisor's socket with -s",
            Self::Tls(_) => "is [api] listen set there, and does --ca vouch for its certificate?",
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(f),
            Self::Tls(remote) if remote.host.contains(':') => write!(f, "https://[{}]:{}", remote.host, remote.port),
            Self::Tls(remote) => write!(f, "https://{}:{}", remote.host, remote.port),
        }
    }
}

/// One request, with a body of JSON unless it is empty; pieces of the answer's body go to `piece` as they come, until it ends or `piece`
/// answers false.
///
/// # Errors
/// Nobody answers there, or what answers is no HTTP.
pub fn stream(
    server: &Server,
    method: Method,
    path: &str,
    body: String,
    piece: impl FnMut(StatusCode, &[u8]) -> bool,
) -> io::Result<StatusCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let request = Request::builder().method(method).uri(path).header(CSRF, "1");
    let request = if body.is_empty() { request } else { request.header(header::CONTENT_TYPE, "application/json") };
    runtime.block_on(async {
        match server {
            Server::Unix(socket) => {
                let request = request.header(header::HOST, "localhost").body(Full::from(body));
                let request = request.map_err(io::Error::other)?;
                talk(UnixStream::connect(socket).await?, request, piece).await
            }
            Server::Tls(remote) => {
                let Remote { host, port, token, config } = remote.as_ref();
                let authority = server.to_string();
                let request = request.header(header::HOST, authority.trim_start_matches("https://"));
                let request = match token {
                    Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {}", token.shown())),
                    None => request,
                };
                let request = request.body(Full::from(body)).map_err(io::Error::other)?;
                let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
                let connected = timeout(CONNECT_WAIT, async {
                    let stream = TcpStream::connect((host.as_str(), *port)).await?;
                    TlsConnector::from(Arc::clone(config)).connect(name, stream).await
                });
                talk(connected.await.map_err(|_| io::ErrorKind::TimedOut)??, request, piece).await
            }
        }
    })
}

async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
    mut piece: impl FnMut(StatusCode, &[u8]) -> bool,
) -> io::Result<StatusCode> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // It ends with the request.
    tokio::spawn(connection);
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
}

/// One request and its whole answer.
///
/// # Errors
/// Those of [`stream`]; the answer is too long.
pub fn ask(server: &Server, method: Method, path: &str, body: String) -> io::Result<(StatusCode, String)> {
    let (mut answer, mut is_cut) = (Vec::new(), false);
    let status = stream(server, method, path, body, |_, bytes| {
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

    #[test]
    fn urls_that_are_refused() {
        for url in ["http://h:1", "h:1", "https://", "https://h/path", "https://h?x", "ftp://h"] {
            assert!(Server::of_url(url, &Credentials::default()).is_err(), "{url}");
        }
    }
}
