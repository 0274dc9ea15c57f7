//! A mail server for tests: it does what it is told, and keeps what it gets.
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What the server does.
#[derive(Clone, Default)]
pub(crate) struct Behaviour {
    /// In place of a good one, and then it says nothing more.
    pub(crate) greeting: Option<String>,
    /// Offers STARTTLS, and a password only behind it.
    pub(crate) starttls: Option<Arc<ServerConfig>>,
    /// TLS at once.
    pub(crate) is_tls: Option<Arc<ServerConfig>>,
    /// Sends an answer too many before TLS.
    pub(crate) is_early: bool,
    /// The mechanism for `me` with `se:cret`; a message needs it.
    pub(crate) auth: Option<&'static str>,
    /// Other answers to commands that begin so, how many times.
    pub(crate) answers: Vec<(String, String, usize)>,
    /// One byte of an answer at a time.
    pub(crate) is_slow: bool,
    /// Connections until it is gone.
    pub(crate) connections: Option<usize>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Mail {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    /// Without doubled dots and the one at the end.
    pub(crate) text: String,
    pub(crate) is_tls: bool,
}

pub(crate) struct MailServer {
    pub(crate) port: u16,
    mails: Arc<Mutex<Vec<Mail>>>,
}

impl MailServer {
    pub(crate) fn start(behaviour: Behaviour) -> MailServer {
        MailServer::on(TcpListener::bind("127.0.0.1:0").unwrap(), behaviour)
    }

    pub(crate) fn on(listener: TcpListener, behaviour: Behaviour) -> MailServer {
        let port = listener.local_addr().unwrap().port();
        let mails = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&mails);
        let answers = Arc::new(Mutex::new(behaviour.answers.clone()));
        thread::spawn(move || {
            let limit = behaviour.connections.unwrap_or(usize::MAX);
            let mut sessions = Vec::new();
            for stream in listener.incoming().take(limit) {
                let Ok(stream) = stream else { return };
                let (behaviour, answers, mails) = (behaviour.clone(), Arc::clone(&answers), Arc::clone(&kept));
                sessions.push(thread::spawn(move || {
                    // The client left: a test looks at what it got.
                    let _ = Session { stream: Stream::Plain(stream), behaviour, answers, mails }.serve();
                }));
            }
        });
        MailServer { port, mails }
    }

    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.mails.lock().unwrap().clone()
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
    Gone,
}

struct Session {
    stream: Stream,
    behaviour: Behaviour,
    answers: Arc<Mutex<Vec<(String, String, usize)>>>,
    mails: Arc<Mutex<Vec<Mail>>>,
}

impl Session {
    fn serve(mut self) -> io::Result<()> {
        if let Some(config) = self.behaviour.is_tls.take() {
            self.encrypt(&config);
        }
        if let Some(greeting) = self.behaviour.greeting.take() {
            self.put(&greeting)?;
            while self.behaviour.is_slow {
                self.put("2")?;
                thread::sleep(Duration::from_millis(50));
            }
            return self.line().map(drop);
        }
        self.put("220-mail.example\r\n220 ready\r\n")?;
        let (mut mail, mut is_known) = (Mail::default(), false);
        loop {
            let line = self.line()?;
            let word = line.split([' ', ':']).next().unwrap_or("").to_ascii_uppercase();
            if let Some(answer) = self.told(&line) {
                self.put(&format!("{answer}\r\n"))?;
                continue;
            }
            let answer = match word.as_str() {
                "EHLO" => self.abilities(),
                "STARTTLS" => {
                    let config = self.behaviour.starttls.clone().unwrap();
                    self.put(if self.behaviour.is_early { "220 go\r\n250 early\r\n" } else { "220 go\r\n" })?;
                    self.encrypt(&config);
                    continue;
                }
                "AUTH" => {
                    is_known = self.password(&line)?;
                    if is_known { "235 welcome\r\n".into() } else { "535 wrong\r\n".into() }
                }
                "MAIL" if self.behaviour.auth.is_some() && !is_known && self.behaviour.starttls.is_none() => {
                    "530 who?\r\n".into()
                }
                "MAIL" => {
                    let is_tls = matches!(self.stream, Stream::Tls(_));
                    mail = Mail { from: line["MAIL FROM:".len()..].into(), is_tls, ..Mail::default() };
                    "250 ok\r\n".into()
                }
                "RCPT" => {
                    mail.to.push(line["RCPT TO:".len()..].into());
                    "250 ok\r\n".into()
                }
                "DATA" => {
                    self.put("354 go on\r\n")?;
                    mail.text = self.text()?;
                    match self.told(".") {
                        Some(answer) => format!("{answer}\r\n"),
                        None => {
                            self.mails.lock().unwrap().push(mail.clone());
                            "250 taken\r\n".into()
                        }
                    }
                }
                "QUIT" => return self.put("221 bye\r\n"),
                "HELO" => "250 mail.example\r\n".into(),
                _ => "500 what?\r\n".into(),
            };
            self.put(&answer)?;
        }
    }

    fn abilities(&self) -> String {
        let mut lines = vec!["mail.example".to_owned(), "8BITMIME".into()];
        let is_open = matches!(self.stream, Stream::Plain(_)) && self.behaviour.starttls.is_some();
        if is_open {
            lines.push("STARTTLS".into());
        } else if let Some(mechanism) = self.behaviour.auth {
            lines.push(format!("AUTH {mechanism}"));
        }
        let last = lines.len() - 1;
        let dash = |at| if at == last { ' ' } else { '-' };
        lines.iter().enumerate().map(|(at, line)| format!("250{}{line}\r\n", dash(at))).collect()
    }

    /// Base64 of user and password, made by `printf '\0me\0se:cret' | base64` and the like.
    fn password(&mut self, line: &str) -> io::Result<bool> {
        if line.starts_with("AUTH PLAIN ") {
            return Ok(line == "AUTH PLAIN AG1lAHNlOmNyZXQ=");
        }
        self.put("334 VXNlcm5hbWU6\r\n")?;
        let user = self.line()?;
        self.put("334 UGFzc3dvcmQ6\r\n")?;
        Ok((user.as_str(), self.line()?.as_str()) == ("bWU=", "c2U6Y3JldA=="))
    }

    fn told(&self, line: &str) -> Option<String> {
        let mut answers = self.answers.lock().unwrap();
        let (_, answer, times) =
            answers.iter_mut().find(|(begin, _, times)| line.starts_with(begin.as_str()) && *times > 0)?;
        *times -= 1;
        Some(answer.clone())
    }

    fn text(&mut self) -> io::Result<String> {
        let mut text = String::new();
        loop {
            let line = self.line()?;
            if line == "." {
                return Ok(text);
            }
            text.push_str(line.strip_prefix('.').unwrap_or(&line));
            text.push_str("\r\n");
        }
    }

    /// A line; it must end with CRLF and have no other of their kind.
    fn line(&mut self) -> io::Result<String> {
        let (mut line, mut byte) = (Vec::new(), [0]);
        while !line.ends_with(b"\r\n") {
            match &mut self.stream {
                Stream::Plain(stream) => stream.read_exact(&mut byte)?,
                Stream::Tls(stream) => stream.read_exact(&mut byte)?,
                Stream::Gone => return Err(io::ErrorKind::BrokenPipe.into()),
            }
            line.push(byte[0]);
        }
        line.truncate(line.len() - 2);
        assert!(!line.contains(&b'\r') && !line.contains(&b'\n'), "{line:?}");
        Ok(String::from_utf8(line).unwrap())
    }

    fn put(&mut self, text: &str) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(text.as_bytes()),
            Stream::Tls(stream) => stream.write_all(text.as_bytes()).and_then(|()| stream.flush()),
            Stream::Gone => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn encrypt(&mut self, config: &Arc<ServerConfig>) {
        if let Stream::Plain(stream) = std::mem::replace(&mut self.stream, Stream::Gone) {
            let connection = ServerConnection::new(Arc::clone(config)).unwrap();
            self.stream = Stream::Tls(Box::new(StreamOwned::new(connection, stream)));
        }
    }
}

/// The server's side of TLS with `server.crt` and `server.key` of a folder.
pub(crate) fn tls_config(folder: &Path) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = CertificateDer::pem_file_iter(folder.join("server.crt")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap())
}

pub(crate) fn openssl(folder: &Path, arguments: &str) {
    let ran = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().expect("openssl");
    assert!(ran.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&ran.stderr));
}
