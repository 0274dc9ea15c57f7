//! A client of the control API that says just what a test wants.
pub(crate) use super::certificates::*;
use super::site::{PATIENCE, Site};
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, StreamOwned, SupportedProtocolVersion};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;

/// The control API with what [`authority`] makes.
pub(crate) const API: &str = r#"
[api]
listen = "127.0.0.1:0"
certificate = "@/server.crt"
key = "@/server.key"
client_ca = "@/ca.crt"
tokens = "@/tokens.json"
"#;

/// A connection.
pub(crate) struct Client(StreamOwned<ClientConnection, TcpStream>);

impl Client {
    /// From `source`, one of this machine's own addresses.
    pub(crate) fn connect(site: &Site, port: u16, source: Ipv4Addr) -> io::Result<Client> {
        Self::with(site, port, source, &TLS13)
    }

    pub(crate) fn old(site: &Site, port: u16) -> io::Result<Client> {
        Self::with(site, port, Ipv4Addr::LOCALHOST, &TLS12)
    }

    fn with(
        site: &Site,
        port: u16,
        source: Ipv4Addr,
        version: &'static SupportedProtocolVersion,
    ) -> io::Result<Client> {
        let roots = trap::pem::roots(&site.path("ca.crt")).expect("certificates");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]);
        let config = config.expect("a version").with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        let mut client = Client(StreamOwned::new(connection, plain(port, source)?));
        while client.0.conn.is_handshaking() {
            client.0.conn.complete_io(&mut client.0.sock)?;
        }
        Ok(client)
    }

    /// The subject's bytes and all else of the server's certificate.
    pub(crate) fn certificate(&self) -> Vec<u8> {
        self.0.conn.peer_certificates().expect("it showed one")[0].to_vec()
    }

    /// A request as it is; its answer with a body of known length.
    pub(crate) fn say(&mut self, request: &str) -> io::Result<Answer> {
        self.0.write_all(request.as_bytes())?;
        let (mut text, mut byte) = (Vec::new(), [0]);
        while !text.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte)?;
            text.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&text).into_owned();
        let mut answer = Answer { head, body: String::new() };
        let length = answer.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        answer.body = String::from_utf8_lossy(&body).into_owned();
        Ok(answer)
    }

    /// A request without a body, with these lines in its head.
    pub(crate) fn ask(&mut self, method: &str, path: &str, lines: &[String]) -> Answer {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        self.say(&format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")).expect("an answer")
    }
}

/// A connection that has said nothing yet.
pub(crate) fn plain(port: u16, source: Ipv4Addr) -> io::Result<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}
