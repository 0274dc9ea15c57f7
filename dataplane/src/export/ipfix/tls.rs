//! TLS under a session to a collector (RFC 7011 section 11.1): its certificate must name the host, or the name that was given, under a
//! CA that is trusted; ours is shown if the collector asks for one.
//!
//! What goes into the stream is known to the byte before the kernel sees it, so acknowledgements are counted as without TLS.
use crate::export::{OpenError, Peer};
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use trap::pem;

/// Records read in a row of a collector that talks: it has nothing to say but TLS's own.
const RECORDS_MAX: usize = 64;

/// Whom a TLS collector must be vouched for by, and who we are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM file with CAs; without it those that the system trusts.
    pub authority: Option<PathBuf>,
    /// PEM files with our certificate, the certificates between it and the CA, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name that the collector's certificate must have; without it the host's.
    pub name: Option<String>,
}

/// The files, read: what connections are made of.
#[derive(Clone)]
pub(super) struct TlsClient {
    config: Arc<ClientConfig>,
    name: Option<String>,
}

impl TlsClient {
    pub(super) fn open(files: &TlsFiles) -> Result<TlsClient, OpenError> {
        let wrong = |path: &Path, why: &dyn std::fmt::Display| OpenError::Config(format!("{}: {why}", path.display()));
        let nobody = || OpenError::Config("this system trusts no certificates: give the collector's CA".into());
        let trusted = files.authority.clone().or_else(pem::bundle).ok_or_else(nobody)?;
        let roots = pem::roots(&trusted).map_err(|why| wrong(&trusted, &why))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13, &TLS12]);
        let builder = builder.map_err(|why| OpenError::Config(why.to_string()))?.with_root_certificates(roots);
        let config = match &files.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = pem::certificates(certificate).map_err(|why| wrong(certificate, &why))?;
                let private = pem::key(key).map_err(|why| wrong(key, &why))?;
                builder.with_client_auth_cert(chain, private).map_err(|why| wrong(certificate, &why))?
            }
        };
        let name = files.name.clone();
        if let Some(name) = &name {
            ServerName::try_from(name.as_str()).map_err(|why| OpenError::Config(format!("'{name}': {why}")))?;
        }
        Ok(TlsClient { config: Arc::new(config), name })
    }

    /// The beginning of a connection to this collector.
    pub(super) fn begin(&self, peer: &Peer) -> io::Result<Tls> {
        let name = self.name.as_ref().unwrap_or(&peer.host).clone();
        let name = ServerName::try_from(name).map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))?;
        let mut connection = ClientConnection::new(Arc::clone(&self.config), name).map_err(as_io)?;
        // What is written is taken out again at once.
        connection.set_buffer_limit(None);
        Ok(Tls(Box::new(connection)))
    }
}

/// One connection, of which the socket is another's.
pub(super) struct Tls(Box<ClientConnection>);

impl Tls {
    pub(super) fn is_shaking_hands(&self) -> bool {
        self.0.is_handshaking()
    }

    /// Appends `plain` in its encrypted form to `out`.
    pub(super) fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.0.writer().write_all(plain)?;
        self.drain(out)
    }

    /// Takes what the collector says, without waiting, and appends what TLS itself has to answer to `out`.
    ///
    /// # Errors
    /// It left, with or without a word of farewell; or what it says is no TLS, or its certificate is not good enough.
    pub(super) fn hear(&mut self, mut stream: &TcpStream, out: &mut Vec<u8>) -> io::Result<()> {
        for _ in 0..RECORDS_MAX {
            match self.0.read_tls(&mut stream) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
            let heard = self.0.process_new_packets();
            // Also the alert that says what was wrong.
            self.drain(out)?;
            let state = heard.map_err(as_io)?;
            if state.peer_has_closed() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let nothing_for_us =
                self.0.reader().take(state.plaintext_bytes_to_read() as u64).read_to_end(&mut Vec::new());
            nothing_for_us?;
        }
        self.drain(out)
    }

    /// Appends our farewell to `out`.
    pub(super) fn farewell(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.0.send_close_notify();
        self.drain(out)
    }

    fn drain(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        while self.0.wants_write() {
            self.0.write_tls(out)?;
        }
        Ok(())
    }
}

fn as_io(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
