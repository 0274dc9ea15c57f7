//! A web server for tests: over TCP or TLS, it answers by a function of what is asked, and keeps what it was asked.
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

/// A request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names in small letters.
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// A status, lines of the head, and the body.
pub(crate) type Answer = (u16, Vec<String>, String);

pub(crate) struct WebServer {
    pub(crate) port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl WebServer {
    /// Listens on a port of its own.
    pub(crate) fn start(answer: impl FnMut(&Asked) -> Answer + Send + 'static) -> WebServer {
        WebServer::on(TcpListener::bind("127.0.0.1:0").unwrap(), None, answer)
    }

    /// Serves one connection after another, one request on each.
    pub(crate) fn on(
        listener: TcpListener,
        tls: Option<Arc<ServerConfig>>,
        mut answer: impl FnMut(&Asked) -> Answer + Send + 'static,
    ) -> WebServer {
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                // A client that goes before it has asked, or that trusts another server, asked nothing.
                let _gone = match &tls {
                    Some(tls) => {
                        let connection = ServerConnection::new(Arc::clone(tls)).unwrap();
                        serve(StreamOwned::new(connection, stream), &mut answer, &kept)
                    }
                    None => serve(stream, &mut answer, &kept),
                };
            }
        });
        WebServer { port, asked }
    }

    /// What it was asked so far, and answered.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(
    stream: impl Read + Write,
    answer: &mut dyn FnMut(&Asked) -> Answer,
    kept: &Mutex<Vec<Asked>>,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let mut words = line.split(' ').map(str::to_owned);
    let mut asked =
        Asked { method: words.next().unwrap_or_default(), path: words.next().unwrap_or_default(), ..Asked::default() };
    loop {
        line.clear();
        if stream.read_line(&mut line)? <= 2 {
            break;
        }
        let (name, value) = line.split_once(':').expect("a header");
        asked.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = asked.header("content-length").map_or(0, |length| length.parse().expect("a number"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    asked.body = String::from_utf8(body).expect("text");
    let (status, headers, body) = answer(&asked);
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let answer = format!("HTTP/1.1 {status} x\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len());
    // Kept before the client can know that it was answered.
    kept.lock().unwrap().push(asked);
    stream.get_mut().write_all(answer.as_bytes())?;
    stream.get_mut().flush()
}
