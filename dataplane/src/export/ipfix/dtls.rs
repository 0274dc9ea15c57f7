//! DTLS 1.2 under a session to a collector (RFC 7011 section 11, RFC 6347; cargo feature `dtls`): certificates as over TLS, messages as
//! over UDP.
//!
//! OpenSSL's is the state of the association and its retransmissions: its timers are looked at whenever it is called. It never sees
//! the socket, but [`Datagrams`], which keep what finds no room and note what was refused.
use super::tls::TlsFiles;
use crate::export::{OpenError, Peer};
use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{
    ErrorCode, Ssl, SslContext, SslContextBuilder, SslMethod, SslOptions, SslStream, SslVerifyMode, SslVersion,
};
use openssl::x509::verify::{X509CheckFlags, X509VerifyFlags};
use openssl::x509::{X509, X509VerifyResult};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{IpAddr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};
use trap::pem;

pub(super) const IS_BUILT_IN: bool = true;

/// What a record is longer than its message: its header (13 bytes), the nonce that is told (8) and the tag (16) of AES-GCM (RFC 5288);
/// ChaCha20-Poly1305 tells no nonce. Others are not offered, so this is the most.
pub(super) const OVERHEAD: u16 = 13 + 8 + 16;
/// Authenticated encryption and forward secrecy only (RFC 9325 section 4.2), for certificates of both kinds.
const CIPHERS: &str = "ECDHE+AESGCM:ECDHE+CHACHA20";
/// The longest message: the content of one record (RFC 6347 section 4.1).
pub(super) const MESSAGE_MAX: u16 = 1 << 14;
/// The handshake's datagrams, bytes: OpenSSL takes no less than the first.
const HANDSHAKE_MTU: std::ops::RangeInclusive<u16> = 256..=1458;
/// How long a datagram can be refused by its receiver; then it counts as arrived, as no one will say more of it.
const REFUSAL: Duration = Duration::from_millis(250);
/// Records read in a row of a collector that talks, and datagrams: OpenSSL looks for a record behind those that are none. It has nothing
/// to say but DTLS's own, and a flood from elsewhere does not keep the output from its work.
const RECORDS_MAX: usize = 64;
const DATAGRAMS_MAX: usize = 256;

/// What associations are made of.
#[derive(Clone)]
pub(super) struct DtlsClient {
    context: SslContext,
    name: Option<String>,
    /// Bytes in a datagram.
    mtu: u16,
    /// Zero: no end.
    lifetime: Duration,
}

impl DtlsClient {
    /// `mtu` is of datagrams; an association lasts so long.
    pub(super) fn open(files: &TlsFiles, mtu: u16, lifetime: Duration) -> Result<DtlsClient, OpenError> {
        let wrong = |path: &Path, why: &dyn std::fmt::Display| OpenError::Config(format!("{}: {why}", path.display()));
        let nobody = || OpenError::Config("this system trusts no certificates: give the collector's CA".into());
        let ours = |why: ErrorStack| OpenError::Config(format!("OpenSSL: {why}"));
        let trusted = files.authority.clone().or_else(pem::bundle).ok_or_else(nobody)?;
        let authorities = pem::certificates(&trusted).map_err(|why| wrong(&trusted, &why))?;
        let mut context = SslContext::builder(SslMethod::dtls_client()).map_err(ours)?;
        // Some of a bundle may be of a kind that is not understood; the others count.
        let vouching = authorities.iter().filter_map(|der| X509::from_der(der).ok());
        if vouching.filter(|authority| context.cert_store_mut().add_cert(authority.clone()).is_ok()).count() == 0 {
            return Err(wrong(&trusted, &pem::PemError::Empty));
        }
        settle(&mut context).map_err(ours)?;
        if let Some((certificate, key)) = &files.identity {
            let chain = pem::certificates(certificate).map_err(|why| wrong(certificate, &why))?;
            let private = pem::key(key).map_err(|why| wrong(key, &why))?;
            let private = PKey::private_key_from_der(private.secret_der()).map_err(|why| wrong(key, &why))?;
            for (place, der) in chain.iter().enumerate() {
                let read = X509::from_der(der).map_err(|why| wrong(certificate, &why))?;
                let taken =
                    if place == 0 { context.set_certificate(&read) } else { context.add_extra_chain_cert(read) };
                taken.map_err(|why| wrong(certificate, &why))?;
            }
            let fits = context.set_private_key(&private).and_then(|()| context.check_private_key());
            fits.map_err(|why| wrong(key, &why))?;
        }
        Ok(DtlsClient { context: context.build(), name: files.name.clone(), mtu, lifetime })
    }

    /// The beginning of an association with this collector, over a connected socket.
    pub(super) fn begin(&self, peer: &Peer, socket: UdpSocket) -> io::Result<Association> {
        socket.set_nonblocking(true)?;
        let name = self.name.as_ref().unwrap_or(&peer.host);
        let mut ssl = Ssl::new(&self.context)?;
        let checked = ssl.param_mut();
        // As with TLS: names are those of the certificate's list, a wildcard is a whole label.
        checked.set_hostflags(X509CheckFlags::NEVER_CHECK_SUBJECT | X509CheckFlags::NO_PARTIAL_WILDCARDS);
        match name.parse::<IpAddr>() {
            Ok(address) => checked.set_ip(address)?,
            Err(_) => {
                checked.set_host(name)?;
                ssl.set_hostname(name)?;
            }
        }
        ssl.set_mtu(self.mtu.clamp(*HANDSHAKE_MTU.start(), *HANDSHAKE_MTU.end()).into())?;
        let datagrams = Datagrams { socket, unread: DATAGRAMS_MAX, waiting: VecDeque::new(), refused: None };
        Ok(Association {
            ssl: SslStream::new(ssl, datagrams)?,
            ends: Instant::now().checked_add(self.lifetime).filter(|_| !self.lifetime.is_zero()),
            length: 0,
            before_last: 0,
            last: Instant::now(),
            is_over: false,
            broken: None,
        })
    }
}

fn settle(context: &mut SslContextBuilder) -> Result<(), ErrorStack> {
    context.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
    context.set_cipher_list(CIPHERS)?;
    context.set_verify(SslVerifyMode::PEER);
    // Whoever stands in the file is trusted, also where another vouches for him: as with TLS.
    context.verify_param_mut().set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
    context.set_options(SslOptions::NO_QUERY_MTU | SslOptions::NO_RENEGOTIATION | SslOptions::NO_TICKET);
    Ok(())
}

/// One association.
pub(super) struct Association {
    ssl: SslStream<Datagrams>,
    /// When another handshake is due.
    ends: Option<Instant>,
    /// Bytes of messages so far, and without those that may be refused yet.
    length: u64,
    before_last: u64,
    /// When the last one left.
    last: Instant,
    /// Whether no refusal of the last one is waited for any more.
    is_over: bool,
    /// Why nothing more can be sent.
    broken: Option<io::Error>,
}

impl Association {
    /// Goes on with the handshake; whether messages may go.
    ///
    /// # Errors
    /// Nobody listens there, what is said is no DTLS, or its certificate is not good enough.
    pub(super) fn shake_hands(&mut self) -> io::Result<bool> {
        self.ssl.get_mut().unread = DATAGRAMS_MAX;
        let shaken = self.ssl.connect();
        self.flush()?;
        match shaken {
            Ok(()) => Ok(true),
            Err(why) if is_patient(&why) => Ok(false),
            Err(why) => Err(match self.ssl.ssl().verify_result() {
                X509VerifyResult::OK => as_io(why),
                bad => io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("invalid peer certificate: {}", bad.error_string()),
                ),
            }),
        }
    }

    /// Sends a message; answers where it ends, counted in bytes of messages. What goes wrong is told by [`Association::look`].
    pub(super) fn push(&mut self, message: &[u8]) -> u64 {
        let before = self.before_last;
        if self.is_clear() && self.ssl.get_ref().refused.is_none() {
            self.before_last = self.length;
        }
        self.last = Instant::now();
        self.length += message.len() as u64;
        if let Err(why) = self.ssl.ssl_write(message) {
            self.broken.get_or_insert(as_io(why));
        }
        if self.ssl.get_ref().refused.is_some() {
            // What was told is about the one before; this one did not go out.
            self.before_last = before;
        }
        self.length
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.ssl.get_mut().flush()
    }

    pub(super) fn is_clear(&self) -> bool {
        self.ssl.get_ref().waiting.is_empty()
    }

    /// Up to where nobody has refused anything. The kernel tells a refusal once, of a datagram that it does not name: the last one is
    /// taken for it, as over UDP.
    pub(super) fn acknowledged(&self) -> u64 {
        let is_settled = self.is_over || self.last.elapsed() >= REFUSAL;
        let may_be_refused = self.ssl.get_ref().refused.is_some() || !self.is_clear() || !is_settled;
        if may_be_refused { self.before_last } else { self.length }
    }

    /// Hears what the collector says, without waiting.
    ///
    /// # Errors
    /// It left, with a word of farewell; or nobody listens there any more.
    pub(super) fn look(&mut self) -> io::Result<()> {
        if let Some(why) = self.broken.take() {
            return Err(why);
        }
        self.ssl.get_mut().unread = DATAGRAMS_MAX;
        for _ in 0..RECORDS_MAX {
            match self.ssl.ssl_read(&mut [0; 512]) {
                // Nothing for us.
                Ok(_) => {}
                Err(why) if why.code() == ErrorCode::ZERO_RETURN => {
                    self.is_over = true;
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Err(why) if is_patient(&why) => break,
                Err(why) => return Err(as_io(why)),
            }
        }
        self.flush()
    }

    /// Whether another handshake is due. Then what was sent counts as arrived: whether the collector was there the next one tells.
    pub(super) fn retire(&mut self) -> bool {
        self.is_over = self.is_clear() && self.ends.is_some_and(|ends| Instant::now() >= ends);
        self.is_over
    }

    /// Says farewell, once: a datagram that is lost on the way is not missed.
    pub(super) fn close(mut self) {
        let _gone_already = self.flush();
        let _gone_already = self.ssl.shutdown();
    }
}

/// The socket as OpenSSL sees it: a read is a datagram, and so is a write.
struct Datagrams {
    socket: UdpSocket,
    /// Datagrams that may be read until the next look.
    unread: usize,
    /// What the kernel had no room for: a flight of the handshake, a message, or the templates of a session.
    waiting: VecDeque<Vec<u8>>,
    /// An error that the kernel told of the way there.
    refused: Option<io::Error>,
}

impl Datagrams {
    /// Whether it went out. After a refusal nothing does.
    fn send(&mut self, datagram: &[u8]) -> bool {
        if self.refused.is_some() {
            return true;
        }
        match self.socket.send(datagram) {
            Ok(_) => true,
            Err(why) if matches!(why.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => false,
            Err(why) => {
                self.refused = Some(why);
                true
            }
        }
    }
}

impl Read for Datagrams {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(unread) = self.unread.checked_sub(1) else { return Err(io::ErrorKind::WouldBlock.into()) };
        self.unread = unread;
        match self.socket.recv(buffer) {
            // An empty datagram is not the end of anything.
            Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
            Err(why) if !matches!(why.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                self.refused.get_or_insert(why);
                Err(io::ErrorKind::WouldBlock.into())
            }
            Err(_) => Err(io::ErrorKind::WouldBlock.into()),
            read => read,
        }
    }
}

impl Write for Datagrams {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        if !self.waiting.is_empty() || !self.send(datagram) {
            self.waiting.push_back(datagram.to_vec());
        }
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        while let Some(datagram) = self.waiting.pop_front() {
            if !self.send(&datagram) {
                self.waiting.push_front(datagram);
                break;
            }
        }
        match &self.refused {
            None => Ok(()),
            Some(why) => Err(io::Error::new(why.kind(), why.to_string())),
        }
    }
}

/// Whether nothing is wrong: there is nothing to read.
fn is_patient(why: &openssl::ssl::Error) -> bool {
    matches!(why.code(), ErrorCode::WANT_READ | ErrorCode::WANT_WRITE)
}

fn as_io(why: openssl::ssl::Error) -> io::Error {
    why.into_io_error().unwrap_or_else(|why| io::Error::new(io::ErrorKind::InvalidData, why))
}
