//! TLS under TCP interfaces: both sides show a certificate that the other's CA file vouches for (trap.md section 3.1).
//!
//! As in the original no host name is compared: a certificate says who may take part, not where. A certificate that is itself
//! in the CA file is accepted too. Unlike OpenSSL, certificates must be X.509 version 3.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, ClientConfig, ClientConnection, Connection, Error, ServerConfig, ServerConnection};
use socket2::Socket;

use crate::error::TrapError;
use crate::net;
use crate::patience::Patience;
use crate::pem;

mod verify;

/// A peer that does not end its handshake in this time, counted in [`Patience`], is left.
pub(crate) const HANDSHAKE_WAIT: Duration = Duration::from_secs(2);
/// Longest single wait during a handshake.
const SLICE: Duration = Duration::from_millis(100);
/// Records read in a row that bring nothing for us, before the caller may look at its clock.
const EMPTY_RECORDS_MAX: usize = 64;

/// The three PEM files of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Private key.
    pub key: String,
    /// Certificate, and the certificates between it and the CA.
    pub certificate: String,
    /// Certificates that vouch for the other side.
    pub authority: String,
}

/// One connection; nothing of it is shared between threads but the socket, which may be shut down.
#[derive(Debug)]
pub(crate) struct TlsStream {
    connection: Connection,
    pub(crate) socket: Arc<Socket>,
}

impl TlsFiles {
    /// For an output.
    pub(crate) fn server(&self) -> Result<Arc<ServerConfig>, TrapError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let (chain, key) = self.identity()?;
        let verifier = verify::clients(certificates(&self.authority)?, &provider).map_err(|why| self.bad_ca(why))?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .and_then(|builder| builder.with_client_cert_verifier(verifier).with_single_cert(chain, key));
        config.map(Arc::new).map_err(|why| self.bad_identity(&why))
    }

    /// For an input.
    pub(crate) fn client(&self) -> Result<Arc<ClientConfig>, TrapError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let (chain, key) = self.identity()?;
        let verifier = verify::servers(certificates(&self.authority)?, &provider).map_err(|why| self.bad_ca(why))?;
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13, &TLS12]).and_then(
            |builder| {
                let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
                builder.with_client_auth_cert(chain, key)
            },
        );
        config.map(Arc::new).map_err(|why| self.bad_identity(&why))
    }

    fn identity(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TrapError> {
        let key = pem::key(Path::new(&self.key))
            .map_err(|why| TrapError::BadParams(format!("Cannot read a private key from \"{}\": {why}.", self.key)))?;
        Ok((certificates(&self.certificate)?, key))
    }

    fn bad_ca(&self, why: String) -> TrapError {
        TrapError::BadParams(format!("The CA file \"{}\" cannot be used: {why}.", self.authority))
    }

    fn bad_identity(&self, why: &Error) -> TrapError {
        let Self { key, certificate, .. } = self;
        TrapError::BadParams(format!("The certificate \"{certificate}\" and the key \"{key}\" cannot be used: {why}."))
    }
}

/// All certificates of a PEM file; at least one.
fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, TrapError> {
    pem::certificates(Path::new(path))
        .map_err(|why| TrapError::BadParams(format!("Cannot read certificates from \"{path}\": {why}.")))
}

impl TlsStream {
    /// The server's side of `socket`, with the handshake done. `go_on` is asked at least every 100 ms.
    pub(crate) fn accept(
        config: &Arc<ServerConfig>,
        socket: Arc<Socket>,
        go_on: impl Fn() -> bool,
    ) -> io::Result<Self> {
        let connection = ServerConnection::new(Arc::clone(config)).map_err(as_io)?;
        Self { connection: connection.into(), socket }.shake_hands(go_on)
    }

    /// The client's side. The host is told to the server, and not compared.
    pub(crate) fn connect(
        config: &Arc<ClientConfig>,
        host: &str,
        socket: Arc<Socket>,
        go_on: impl Fn() -> bool,
    ) -> io::Result<Self> {
        let name = ServerName::try_from(host.to_owned()).or_else(|_| ServerName::try_from("localhost"));
        let name = name.map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))?;
        let connection = ClientConnection::new(Arc::clone(config), name).map_err(as_io)?;
        Self { connection: connection.into(), socket }.shake_hands(go_on)
    }

    fn shake_hands(mut self, go_on: impl Fn() -> bool) -> io::Result<Self> {
        let mut patience = Patience::new(HANDSHAKE_WAIT);
        self.socket.set_read_timeout(Some(SLICE))?;
        self.socket.set_write_timeout(Some(SLICE))?;
        while self.connection.is_handshaking() || self.connection.wants_write() {
            let step = if self.connection.wants_write() { self.push().map(drop) } else { self.pull() };
            match step {
                Ok(()) => {}
                Err(error) if net::is_transient(&error) => {}
                Err(error) => return Err(error),
            }
            if patience.is_spent() || !go_on() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake takes too long"));
            }
        }
        Ok(self)
    }

    /// Reads as from a socket; 0 is the end, with or without a word of farewell.
    pub(crate) fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        for _ in 0..EMPTY_RECORDS_MAX {
            match self.connection.reader().read(buf) {
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) => return Err(error),
            }
            if self.connection.wants_write() {
                // Answers of the protocol itself; what finds no room now goes next time.
                match self.push() {
                    Err(error) if !net::is_transient(&error) => return Err(error),
                    _ => {}
                }
            }
            match self.pull() {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                pulled => pulled?,
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// As [`net::send_all`]; `go_on` gets the number of bytes that were encrypted so far.
    pub(crate) fn send_all(&mut self, bytes: &[u8], mut go_on: impl FnMut(usize) -> bool) -> io::Result<()> {
        let mut taken = 0;
        while taken < bytes.len() || self.connection.wants_write() {
            // Takes no more than its buffer has room for, so a slow peer costs 64 KiB.
            taken += self.connection.writer().write(&bytes[taken..])?;
            match self.push() {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                // A peer that left or talks makes no room any more.
                Err(error) if net::is_transient(&error) && self.is_listening_peer() => {}
                Err(error) => return Err(error),
            }
            if (taken < bytes.len() || self.connection.wants_write()) && !go_on(taken) {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        Ok(())
    }

    /// As [`net::is_listening_peer`]: true while the peer neither closed nor sent a byte of its own. Does not wait.
    pub(crate) fn is_listening_peer(&mut self) -> bool {
        if self.socket.set_nonblocking(true).is_err() {
            return false;
        }
        let read = self.read(&mut [0; 1]);
        let is_there = matches!(read, Err(error) if net::is_transient(&error));
        is_there && self.socket.set_nonblocking(false).is_ok()
    }

    /// Says goodbye if there is room for it.
    pub(crate) fn close(&mut self) {
        self.connection.send_close_notify();
        let _gone_already = self.push();
    }

    fn push(&mut self) -> io::Result<usize> {
        self.connection.write_tls(&mut NoSignal(&self.socket))
    }

    fn pull(&mut self) -> io::Result<()> {
        let mut socket: &Socket = &self.socket;
        if self.connection.read_tls(&mut socket)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.connection.process_new_packets().map(drop).map_err(|why| {
            // The alert that tells the peer why.
            let _gone_already = self.push();
            as_io(why)
        })
    }
}

/// The reason when a connection failed because a certificate was missing or not good enough, here or at the peer.
pub(crate) fn certificate_fault(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    match error {
        Error::InvalidCertificate(why) => Some(format!("the peer's certificate: {why}")),
        Error::NoCertificatesPresented => Some("the peer has no certificate".into()),
        Error::AlertReceived(
            alert @ (AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::AccessDenied
            | AlertDescription::NoCertificate),
        ) => Some(format!("the peer refuses ours: {alert:?}")),
        _ => None,
    }
}

fn as_io(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Writing to a peer that left is an error, never a signal.
struct NoSignal<'a>(&'a Socket);

impl Write for NoSignal<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send_with_flags(bytes, libc::MSG_NOSIGNAL)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
