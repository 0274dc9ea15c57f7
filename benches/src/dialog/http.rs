//! HTTP/1.1 transactions on one connection (RFC 9112).
use super::{Body, Side, Turn};
use crate::{MILLISECOND, Rng};

/// One request and its response.
#[derive(Clone, Copy, Debug)]
pub struct Transaction<'a> {
    pub method: &'a str,
    pub host: &'a str,
    pub target: &'a str,
    pub agent: &'a str,
    pub referer: Option<&'a str>,
    /// Sent with the request.
    pub form: &'a str,
    pub status: u16,
    pub reason: &'a str,
    pub server: &'a str,
    pub content_type: &'a str,
    /// `name=value` of each Set-Cookie line.
    pub cookies: &'a [&'a str],
    /// Length of the response body, which is noise.
    pub content: u64,
}

impl Default for Transaction<'_> {
    fn default() -> Self {
        Self {
            method: "GET",
            host: "www.example.org",
            target: "/",
            agent: "sonda-synth/1.0",
            referer: None,
            form: "",
            status: 200,
            reason: "OK",
            server: "example-httpd/2.4",
            content_type: "text/html",
            cookies: &[],
            content: 600,
        }
    }
}

impl Transaction<'_> {
    /// The head of the request with its form.
    pub fn request(&self) -> String {
        let Self { method, host, target, agent, form, .. } = self;
        let referer = self.referer.map_or(String::new(), |from| format!("Referer: {from}\r\n"));
        let length = if form.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", form.len()) };
        format!(
            "{method} {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nAccept: */*\r\n{referer}{length}\r\n{form}"
        )
    }

    /// The head of the response.
    pub fn response(&self) -> String {
        let Self { status, reason, server, content_type, content, .. } = self;
        let cookies: String = self.cookies.iter().map(|cookie| format!("Set-Cookie: {cookie}; Path=/\r\n")).collect();
        format!(
            "HTTP/1.1 {status} {reason}\r\nServer: {server}\r\nContent-Type: {content_type}\r\n{cookies}\
             Content-Length: {content}\r\n\r\n"
        )
    }

    /// Request, response head, response body.
    pub fn turns(&self) -> Vec<Turn> {
        vec![
            Turn::client(self.request()),
            Turn::server(self.response()).after(5 * MILLISECOND),
            Turn { side: Side::Server, pause: 0, body: Body::Filler(self.content) },
        ]
    }
}

/// A visit as traffic mixes need it: one to four transactions of varied looks; `content` bytes in the last response.
pub fn visit(rng: &mut Rng, content: u64) -> Vec<Turn> {
    let host = format!("{}{}.example.org", rng.pick(&["www", "api", "static", "mirror"]), rng.below(500));
    let agent = rng.pick(&[
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "sonda-synth/1.0",
        "package-fetcher/2.2 (+https://www.example.org/fetcher)",
    ]);
    let mut turns = Vec::new();
    let last = rng.below(4);
    for number in 0..=last {
        let target = format!("/{}/{:x}", rng.pick(&["pages", "images", "v1/items", "pool"]), rng.below(1 << 40));
        let (method, form) = if rng.chance(10) { ("POST", "key=value&other=1") } else { ("GET", "") };
        let (status, reason) =
            rng.pick(&[(200, "OK"), (200, "OK"), (200, "OK"), (304, "Not Modified"), (404, "Not Found")]);
        let transaction = Transaction {
            method,
            form,
            host: &host,
            target: &target,
            agent,
            status,
            reason,
            content_type: rng.pick(&["text/html; charset=utf-8", "application/json", "application/octet-stream"]),
            cookies: if rng.chance(20) { &["session=0123456789abcdef", "theme=dark"] } else { &[] },
            content: if number == last { content } else { rng.between(80, 1200) },
            ..Transaction::default()
        };
        turns.extend(transaction.turns());
    }
    turns
}
