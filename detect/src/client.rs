//! Connections to servers that modules talk to: TCP within time limits, and whom TLS trusts.
//!
//! Contract: whatever a server does, each operation ends within the limits of [`Limits`]; its bytes are read as the caller asks, never
//! gathered here.
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use trap::{Stop, pem};

/// Longest single wait, then the stop flag is looked at.
const SLICE: Duration = Duration::from_millis(200);
/// What a connection may still take once the module shall stop.
const STOP_GRACE: Duration = Duration::from_secs(3);

/// How long a server may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For one operation: a connection that does not move for so long has failed.
    pub idle: Duration,
    /// For everything over one connection.
    pub total: Duration,
}

/// A connection that fails when its time is over, however slowly its peer goes on.
#[derive(Debug)]
pub struct Timed {
    stream: TcpStream,
    idle: Duration,
    deadline: Instant,
    stop: Stop,
    is_stopping: bool,
}

/// Which servers TLS trusts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those that the certificates of `SSL_CERT_FILE` vouch for, or the system's.
    #[default]
    System,
    /// Those that the certificates of this PEM file vouch for.
    File(PathBuf),
    /// Any: nobody listens, but anybody may answer.
    Anyone,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("no certificates to trust: set SSL_CERT_FILE to a file of them ({0})")]
    Nothing(String),
    #[error("TLS: {0}")]
    Tls(#[from] Error),
}

impl Timed {
    /// Connects to the first address of `host` that answers. `stop` shortens all waits once it is set.
    ///
    /// # Errors
    /// The last failure; the system's resolver has limits of its own.
    pub fn connect(host: &str, port: u16, limits: Limits, stop: &Stop) -> io::Result<Timed> {
        let deadline = Instant::now() + limits.total;
        let mut failed = io::Error::new(ErrorKind::NotFound, format!("{host} has no address"));
        for address in (host, port).to_socket_addrs()? {
            let left = deadline.saturating_duration_since(Instant::now()).min(limits.idle);
            if left.is_zero() || stop.is_set() {
                break;
            }
            match TcpStream::connect_timeout(&address, left) {
                Ok(stream) => {
                    return Ok(Timed { stream, idle: limits.idle, deadline, stop: stop.clone(), is_stopping: false });
                }
                Err(why) => failed = why,
            }
        }
        Err(failed)
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Tries `operation` in slices until it is done, fails, or time is over.
    fn within<T>(
        &mut self,
        set: fn(&TcpStream, Option<Duration>) -> io::Result<()>,
        mut operation: impl FnMut(&mut TcpStream) -> io::Result<T>,
    ) -> io::Result<T> {
        let idle_until = Instant::now() + self.idle;
        loop {
            if self.stop.is_set() && !self.is_stopping {
                self.is_stopping = true;
                self.deadline = self.deadline.min(Instant::now() + STOP_GRACE);
            }
            let left = self.deadline.min(idle_until).saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::new(ErrorKind::TimedOut, "the server takes too long"));
            }
            set(&self.stream, Some(left.min(SLICE)))?;
            match operation(&mut self.stream) {
                Err(why)
                    if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
                done => return done,
            }
        }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.within(TcpStream::set_read_timeout, |stream| stream.read(buffer))
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.within(TcpStream::set_write_timeout, |stream| stream.write(bytes))
    }
    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Trust {
    /// What a TLS client needs.
    ///
    /// # Errors
    /// There are no certificates to trust.
    pub fn client(&self) -> Result<Arc<ClientConfig>, TrustError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let config = match self {
            Trust::System => config.with_root_certificates(roots(&bundle()?)?),
            Trust::File(path) => config.with_root_certificates(roots(path)?),
            Trust::Anyone => config.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider))),
        };
        Ok(Arc::new(config.with_no_client_auth()))
    }
}

fn bundle() -> Result<PathBuf, TrustError> {
    pem::bundle().ok_or_else(|| TrustError::Nothing("the system has none".into()))
}

fn roots(path: &Path) -> Result<RootCertStore, TrustError> {
    pem::roots(path).map_err(|why| TrustError::Nothing(format!("{}: {why}", path.display())))
}

/// Takes every certificate; that its owner has the key is still checked.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
