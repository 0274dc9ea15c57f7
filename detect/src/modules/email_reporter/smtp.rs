//! One connection to a mail server (RFC 5321): lettre makes the commands and reads the answers, the bytes go through [`Timed`].
//!
//! lettre's own connection has a limit for each read, but none for the whole, and gathers a line without end.
use super::config::{Encryption, Server};
use super::message::Wire;
use crate::client::{Limits, Timed, TrustError};
use lettre::Address;
use lettre::transport::smtp::Error as ProtocolError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::commands::{Auth, Data, Ehlo, Mail, Quit, Rcpt, Starttls};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter, ServerInfo};
use lettre::transport::smtp::response::Response;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use std::fmt::Display;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use trap::Stop;

/// Bytes of a line of an answer, at the most; RFC 5321 allows 512.
const LINE_MAX: usize = 4096;
/// Bytes of an answer, at the most.
const ANSWER_MAX: usize = 64 * 1024;
/// Questions of the server while a password is checked, at the most.
const CHALLENGES_MAX: usize = 10;
/// What is offered if the server takes it, best first.
const MECHANISMS: &[Mechanism] = &[Mechanism::Plain, Mechanism::Login];

/// Why a connection, or a message, failed.
#[derive(Debug, thiserror::Error)]
pub enum SmtpError {
    #[error("{0}")]
    Connect(io::Error),
    #[error("the connection failed: {0}")]
    Io(io::Error),
    #[error("{0}: say with ca=FILE whose certificates are trusted, or verify=0")]
    Certificate(io::Error),
    #[error("the connection failed after the message was sent, whether it was taken is not known: {0}")]
    Unknown(io::Error),
    #[error("{0}")]
    Trust(#[from] TrustError),
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("\"{0}\" is no name that a certificate could have")]
    Name(String),
    #[error("the server offers no STARTTLS: set starttls=0, or tls=1 for a port where TLS begins at once")]
    NoStartTls,
    #[error("the server sent text before TLS began: somebody is between")]
    Early,
    #[error("the server takes no password by PLAIN or LOGIN (over this connection)")]
    NoMechanism,
    #[error("the server takes ASCII only")]
    No8Bit,
    #[error("the server's answer is no SMTP, or too long")]
    Answer,
    #[error("{0}")]
    Protocol(#[from] ProtocolError),
    #[error("{step} was refused: {code} {text}")]
    Refused { step: &'static str, code: u16, text: String },
}

impl From<io::Error> for SmtpError {
    fn from(why: io::Error) -> SmtpError {
        let cause = why.get_ref().and_then(|cause| cause.downcast_ref());
        if matches!(cause, Some(rustls::Error::InvalidCertificate(_))) {
            SmtpError::Certificate(why)
        } else {
            SmtpError::Io(why)
        }
    }
}

impl SmtpError {
    /// Whether the server could not be reached.
    pub fn is_connection(&self) -> bool {
        matches!(self, SmtpError::Connect(_))
    }

    /// Whether the same may succeed a little later.
    pub fn is_passing(&self) -> bool {
        match self {
            SmtpError::Io(_) => true,
            SmtpError::Refused { code, .. } => (400..500).contains(code),
            _ => false,
        }
    }
}

/// A connection that is ready for messages.
pub(crate) struct Client {
    stream: Stream,
    /// Bytes that were read and not yet used.
    read: Vec<u8>,
    /// What the server can; nothing if it knows no EHLO.
    info: Option<ServerInfo>,
    is_shown: bool,
}

enum Stream {
    Plain(Timed),
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
}

impl Client {
    /// Connects, begins TLS and gives the password, as the settings say. `is_shown` prints the conversation to stderr, without passwords.
    pub(crate) fn open(server: &Server, limits: Limits, stop: &Stop, is_shown: bool) -> Result<Client, SmtpError> {
        let timed = Timed::connect(&server.host, server.port, limits, stop).map_err(SmtpError::Connect)?;
        let name = client_name(timed.stream().local_addr().map(|a| a.ip()).unwrap_or(IpAddr::from([127, 0, 0, 1])));
        let stream = if server.encryption == Encryption::Tls { encrypt(timed, server)? } else { Stream::Plain(timed) };
        let mut client = Client { stream, read: Vec::new(), info: None, is_shown };
        client.answer("the connection").map_err(|why| match why {
            SmtpError::Io(why) => SmtpError::Connect(why),
            other => other,
        })?;
        client.hello(&name)?;
        if server.encryption == Encryption::StartTls {
            if !client.can(Extension::StartTls) {
                return Err(SmtpError::NoStartTls);
            }
            client.command("STARTTLS", Starttls)?;
            let (true, Stream::Plain(timed)) = (client.read.is_empty(), client.stream) else {
                return Err(SmtpError::Early);
            };
            client = Client { stream: encrypt(timed, server)?, read: Vec::new(), info: None, is_shown };
            client.hello(&name)?;
        }
        if let Some((user, password)) = &server.login {
            client.log_in(Credentials::new(user.clone(), password.clone()))?;
        }
        Ok(client)
    }

    /// Sends a message. Recipients that the server refused come back, each with its answer; at least one was taken.
    pub(crate) fn send(
        &mut self,
        from: &Address,
        to: &[Address],
        wire: &Wire,
    ) -> Result<Vec<(Address, String)>, SmtpError> {
        let mut parameters = Vec::new();
        if wire.is_8bit {
            if !self.can(Extension::EightBitMime) {
                return Err(SmtpError::No8Bit);
            }
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        self.command("the sender", Mail::new(Some(from.clone()), parameters))?;
        let (mut refused, mut last) = (Vec::new(), None);
        for address in to {
            match self.command("the recipient", Rcpt::new(address.clone(), Vec::new())) {
                Ok(_) => {}
                Err(why @ SmtpError::Refused { .. }) => {
                    refused.push((address.clone(), why.to_string()));
                    last = Some(why);
                }
                Err(why) => return Err(why),
            }
        }
        if let Some(why) = last.filter(|_| refused.len() == to.len()) {
            return Err(why);
        }
        self.command("the message", Data)?;
        self.write(&doubled_dots(&wire.bytes))?;
        self.write(b".\r\n")?;
        self.answer("the message").map_err(|why| match why {
            SmtpError::Io(why) => SmtpError::Unknown(why),
            other => other,
        })?;
        Ok(refused)
    }

    /// Says goodbye; what a server answers to that changes nothing.
    pub(crate) fn quit(mut self) {
        let _ = self.command("QUIT", Quit);
        if let Stream::Tls(tls) = &mut self.stream {
            tls.conn.send_close_notify();
            let _ = tls.flush();
        }
    }

    fn can(&self, extension: Extension) -> bool {
        self.info.as_ref().is_some_and(|info| info.supports_feature(extension))
    }

    fn hello(&mut self, name: &ClientId) -> Result<(), SmtpError> {
        self.info = match self.command("EHLO", Ehlo::new(name.clone())) {
            Ok(answer) => Some(ServerInfo::from_response(&answer)?),
            Err(SmtpError::Refused { code: 500..=599, .. }) => {
                self.command("HELO", format!("HELO {name}\r\n"))?;
                None
            }
            Err(why) => return Err(why),
        };
        Ok(())
    }

    fn log_in(&mut self, credentials: Credentials) -> Result<(), SmtpError> {
        let mechanism = self.info.as_ref().and_then(|info| info.get_auth_mechanism(MECHANISMS));
        let mechanism = mechanism.ok_or(SmtpError::NoMechanism)?;
        let mut next = Auth::new(mechanism, credentials.clone(), None)?;
        for _ in 0..CHALLENGES_MAX {
            let answer = self.command("the login", next)?;
            if !answer.has_code(334) {
                return Ok(());
            }
            next = Auth::new_from_response(mechanism, credentials.clone(), &answer)?;
        }
        Err(SmtpError::Answer)
    }

    /// Sends a command and reads its answer; `step` is its name in messages.
    fn command(&mut self, step: &'static str, command: impl Display) -> Result<Response, SmtpError> {
        let text = command.to_string();
        if self.is_shown {
            eprintln!("send: {:?}", if step == "the login" { "AUTH ..." } else { text.trim_end() });
        }
        self.write(text.as_bytes())?;
        self.answer(step)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SmtpError> {
        let stream: &mut dyn Write = match &mut self.stream {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => stream,
        };
        stream.write_all(bytes)?;
        Ok(stream.flush()?)
    }

    /// Reads an answer; one that is not positive is an error.
    fn answer(&mut self, step: &'static str) -> Result<Response, SmtpError> {
        let mut text = String::new();
        loop {
            let line = self.line()?;
            // Lines of an answer but the last have a dash behind the code.
            let is_last = line.as_bytes().get(3) != Some(&b'-');
            text.push_str(&line);
            text.push_str("\r\n");
            if text.len() > ANSWER_MAX {
                return Err(SmtpError::Answer);
            }
            if is_last {
                break;
            }
        }
        if self.is_shown {
            eprintln!("reply: {:?}", text.trim_end());
        }
        let answer: Response = text.parse().map_err(|_| SmtpError::Answer)?;
        if answer.is_positive() {
            return Ok(answer);
        }
        // A peer's text may hold what a terminal would obey.
        let said: Vec<_> = answer.message().map(|line| line.replace(char::is_control, " ")).collect();
        Err(SmtpError::Refused { step, code: answer.code().into(), text: said.join(" ") })
    }

    fn line(&mut self) -> Result<String, SmtpError> {
        loop {
            if let Some(end) = self.read.iter().position(|b| *b == b'\n') {
                let line: Vec<_> = self.read.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned());
            }
            if self.read.len() > LINE_MAX {
                return Err(SmtpError::Answer);
            }
            let mut buffer = [0; 2048];
            let stream: &mut dyn Read = match &mut self.stream {
                Stream::Plain(stream) => stream,
                Stream::Tls(stream) => stream,
            };
            match stream.read(&mut buffer)? {
                0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                count => self.read.extend_from_slice(&buffer[..count]),
            }
        }
    }
}

fn encrypt(timed: Timed, server: &Server) -> Result<Stream, SmtpError> {
    let name = ServerName::try_from(server.host.clone()).map_err(|_| SmtpError::Name(server.host.clone()))?;
    let connection = ClientConnection::new(server.trust.client()?, name)?;
    Ok(Stream::Tls(Box::new(StreamOwned::new(connection, timed))))
}

/// The name of this host if it is a full one, else the address of its end of the connection (RFC 5321 section 4.1.4).
fn client_name(address: IpAddr) -> ClientId {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let is_name = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-');
    match address {
        _ if host.contains('.') && host.bytes().all(is_name) => ClientId::Domain(host.to_owned()),
        IpAddr::V4(address) => ClientId::Ipv4(address),
        IpAddr::V6(address) => ClientId::Ipv6(address),
    }
}

/// A dot that begins a line gets another (RFC 5321 section 4.5.2). All lines end with CRLF.
fn doubled_dots(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 64);
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_doubled() {
        assert_eq!(doubled_dots(b".\r\n..a\r\nb.\r\n.\r\n"), b"..\r\n...a\r\nb.\r\n..\r\n");
    }

    #[test]
    fn what_may_pass() {
        let refused = |code| SmtpError::Refused { step: "x", code, text: String::new() };
        assert!(refused(451).is_passing() && !refused(550).is_passing());
        assert!(!SmtpError::Unknown(io::ErrorKind::TimedOut.into()).is_passing());
    }
}
