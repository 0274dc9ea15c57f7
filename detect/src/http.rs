//! The little of HTTP/1.1 that a module needs: one POST of bytes, or one GET of a file, over TCP or TLS, redirects followed (RFC 9112).
//!
//! Contract: an answer or an error comes within a bounded time, and no server makes us read more than [`HEAD_MAX`] bytes of a head, and of
//! a body what the caller says.
pub mod get;

use crate::client::{Limits, Timed, Trust, TrustError};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::Ipv6Addr;
use std::time::Duration;
use trap::Stop;

/// Bytes of an answer's head, at the most.
const HEAD_MAX: usize = 64 * 1024;
/// Redirects in a row, at the most.
const REDIRECTS_MAX: usize = 10;
/// How long a request may take.
const LIMITS: Limits = Limits { idle: Duration::from_secs(30), total: Duration::from_secs(120) };

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("\"{0}\" is no URL such as http://host:port/path")]
    Url(String),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("the server's answer is no HTTP, or too long")]
    Answer,
    #[error("more than {REDIRECTS_MAX} redirects")]
    Redirects,
    #[error("the server answers {0}")]
    Status(u16),
    #[error("the file is longer than {0} bytes")]
    TooLong(usize),
}

/// A URL in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    pub is_tls: bool,
    /// Without the brackets of an IPv6 address.
    pub host: String,
    pub port: u16,
    /// Begins with `/`; with the query, without the fragment.
    pub path: String,
}

impl Url {
    /// Reads `http://host[:port][/path]`, or `https`. User names are refused.
    pub fn parse(text: &str) -> Result<Url, HttpError> {
        let wrong = || HttpError::Url(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(wrong()),
        };
        let rest = rest.split('#').next().unwrap_or(rest);
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) if port.is_empty() || port.starts_with(':') => (host, port.strip_prefix(':')),
            Some(_) => return Err(wrong()),
            None => authority.rsplit_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let default = if is_tls { 443 } else { 80 };
        let port =
            port.filter(|port| !port.is_empty()).map_or(Ok(default), |port| port.parse().map_err(|_| wrong()))?;
        let is_clean = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
        let is_host = if authority.starts_with('[') {
            host.parse::<Ipv6Addr>().is_ok()
        } else {
            !host.is_empty() && !host.contains(['@', ':', '[', ']'])
        };
        if !is_host || !is_clean(host) || !is_clean(path) {
            return Err(wrong());
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Url { is_tls, host: host.to_owned(), port, path })
    }

    /// Where a redirect from here leads.
    fn join(&self, location: &str) -> Result<Url, HttpError> {
        if location.contains("://") {
            return Url::parse(location);
        }
        let scheme = if self.is_tls { "https" } else { "http" };
        match location.strip_prefix("//") {
            Some(rest) => Url::parse(&format!("{scheme}://{rest}")),
            None if location.starts_with('/') => Url::parse(&format!("{scheme}://{}{location}", self.authority())),
            None => {
                let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
                Url::parse(&format!("{scheme}://{}{folder}/{location}", self.authority()))
            }
        }
    }

    fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Sends `body` and answers the status of the last response. Redirects 301 to 303 go on as GET, as with curl; 307 and 308 as POST.
pub fn post(url: &str, content_type: &str, body: &[u8]) -> Result<u16, HttpError> {
    post_with(url, &[("Content-Type", content_type)], &Trust::System, body)
}

/// As [`post`], with these headers and this trust. Another host than the first is told no header but the type of the content.
pub(crate) fn post_with(url: &str, headers: &[(&str, &str)], trust: &Trust, body: &[u8]) -> Result<u16, HttpError> {
    let mut url = Url::parse(url)?;
    let first = url.authority();
    let mut body = Some(body);
    for _ in 0..=REDIRECTS_MAX {
        let told = headers.iter().filter(|(name, _)| *name == "Content-Type" || url.authority() == first);
        let (status, location) = exchange(&url, &told.copied().collect::<Vec<_>>(), trust, body)?;
        match (status, location) {
            (301..=303, Some(location)) => (url, body) = (url.join(&location)?, None),
            (307 | 308, Some(location)) => url = url.join(&location)?,
            _ => return Ok(status),
        }
    }
    Err(HttpError::Redirects)
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// One request; answers status and `Location`.
fn exchange(
    url: &Url,
    headers: &[(&str, &str)],
    trust: &Trust,
    body: Option<&[u8]>,
) -> Result<(u16, Option<String>), HttpError> {
    let mut stream = connect(url, LIMITS, trust, &Stop::default())?;
    let method = if body.is_some() { "POST" } else { "GET" };
    let mut head = format!(
        "{method} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: sonda\r\nConnection: close\r\n",
        url.path,
        url.authority()
    );
    if !headers.iter().any(|(name, _)| *name == "Accept") {
        head.push_str("Accept: */*\r\n");
    }
    if let Some(body) = body {
        headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let written = stream.write_all(head.as_bytes()).and_then(|()| body.map_or(Ok(()), |body| stream.write_all(body)));
    let written = written.and_then(|()| stream.flush());
    // A server that refuses early answers and closes: its answer tells more than the failed write.
    match (read_head(&mut *stream), written) {
        (Ok((head, _)), _) => Ok((head.status, head.value("location").map(str::to_owned))),
        (Err(_), Err(why)) => Err(why.into()),
        (Err(why), Ok(())) => Err(why),
    }
}

fn connect(url: &Url, limits: Limits, trust: &Trust, stop: &Stop) -> Result<Box<dyn Stream>, HttpError> {
    let stream = Timed::connect(&url.host, url.port, limits, stop)?;
    if !url.is_tls {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(url.host.clone()).map_err(|_| HttpError::Url(url.host.clone()))?;
    let connection = ClientConnection::new(trust.client()?, name)?;
    Ok(Box::new(StreamOwned::new(connection, stream)))
}

/// The head of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Head {
    status: u16,
    headers: Vec<(String, String)>,
}

impl Head {
    /// The first value of a header, without blanks around it.
    fn value(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }
}

/// Reads the head of the answer; what came of the body with it is the second answer.
fn read_head(stream: &mut dyn Read) -> Result<(Head, Vec<u8>), HttpError> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = end_of_head(&bytes) {
            let head = parse_head(&bytes[..end])?;
            bytes.drain(..end);
            if head.status / 100 != 1 {
                return Ok((head, bytes));
            }
            // 100 Continue and its like: the answer comes behind them.
            continue;
        }
        if bytes.len() > HEAD_MAX {
            return Err(HttpError::Answer);
        }
        match stream.read(&mut buffer)? {
            0 => return Err(HttpError::Answer),
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

fn parse_head(bytes: &[u8]) -> Result<Head, HttpError> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split("\r\n");
    let mut words = lines.next().unwrap_or("").split(' ');
    let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    let status = words.next().and_then(|word| word.parse().ok());
    let status = status.filter(|status| is_http && (100..600).contains(status)).ok_or(HttpError::Answer)?;
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
    Ok(Head { status, headers })
}

/// Any bytes as a URL and as the head of an answer.
pub fn fuzz_http(input: &[u8]) {
    if let Ok(url) = Url::parse(&String::from_utf8_lossy(input)) {
        let scheme = if url.is_tls { "https" } else { "http" };
        let again =
            Url::parse(&format!("{scheme}://{}{}", url.authority(), url.path)).expect("a URL's parts make a URL");
        assert_eq!(again, url);
        // A refusal is an answer.
        let _joined = url.join(&String::from_utf8_lossy(input));
    }
    let _answer = read_head(&mut io::Cursor::new(input));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn urls() {
        let parts = |text: &str| {
            Url::parse(text)
                .map(|url| format!("{} {} {} {}", url.is_tls, url.host, url.port, url.path))
                .unwrap_or_default()
        };
        assert_eq!(parts("http://a"), "false a 80 /");
        assert_eq!(parts("HTTPS://a.b:8081/1/2?x#y"), "true a.b 8081 /1/2?x");
        assert_eq!(parts("http://[::1]:80?q"), "false ::1 80 /?q");
        for bad in [
            "a",
            "ftp://a",
            "http://",
            "http://u@h/",
            "http://a:x/",
            "http://a/ b",
            "http://[::1]x/",
            "http://:1]:80/",
            "http://[a]/",
            "http://a/\r\nX: y",
        ] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
        let joined = |to: &str| Url::parse("https://a:1/b/c").unwrap().join(to).unwrap().path;
        assert_eq!((joined("/x").as_str(), joined("x").as_str(), joined("http://z/y").as_str()), ("/x", "/b/x", "/y"));
    }

    #[test]
    fn heads_of_answers() {
        let read = |text: &str| read_head(&mut io::Cursor::new(text));
        let answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 302\r\nlocation:  /x \r\n\r\nbody";
        let (head, rest) = read(answer).unwrap();
        assert_eq!((head.status, head.value("Location"), &rest[..]), (302, Some("/x"), &b"body"[..]));
        assert!(read("HTTP/1.1 200 OK\r\n").is_err() && read("SSH-2.0\r\n\r\n").is_err());
    }

    proptest! {
        #[test]
        fn any_text(input in "(https?://[a-z\\[\\]:0-9@.]{0,12}[/?#a-z ]{0,9}|HTTP/1.[01] [0-9]{1,4}\r\n([a-zL]{0,9}: [a-z]{0,3}\r\n){0,3}\r\n)") {
            fuzz_http(input.as_bytes());
        }
    }
}
