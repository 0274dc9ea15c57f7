//! The API over TCP: off until it is configured, and then TLS 1.3 (RELIABILITY.md section 7).
//!
//! Contract: [`Gate::prepare`] does all that may fail, before anything of a configuration is applied; [`Gate::set`] cannot fail. Connections
//! that are there go on whatever is set: with the certificate that they have seen, and the tokens of now.
use super::attempts::{Visit, Visits};
use super::tls::{Certificate, Keeper};
use super::tokens::Tokens;
use super::{Plane, remote_app};
use crate::config::Refused;
use crate::http::{self, Accept, Places};
use crate::logs::Logs;
use crate::model::{Listen, Settings};
use axum::{Extension, Router};
use rustls::ServerConfig;
use socket2::SockRef;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A peer that takes nothing of its answer for so long is left.
const STUCK: Duration = Duration::from_secs(30);

/// Whether, where and how the API is served over TCP, and what it serves of other programs.
#[derive(Debug)]
pub struct Gate(watch::Sender<Settled>);

/// What is to be set.
#[derive(Debug, Clone)]
pub struct Settled {
    open: Option<Arc<Open>>,
    /// The alert store.
    alerts: PathBuf,
    /// The folder of nfdump's files.
    flows: PathBuf,
}

#[derive(Debug)]
struct Open {
    listen: Listen,
    listener: Arc<std::net::TcpListener>,
    keeper: Keeper,
    tokens: Arc<Tokens>,
}

/// What is known of a peer before it has asked for anything.
#[derive(Debug, Clone)]
pub(super) struct Remote {
    pub(super) source: IpAddr,
    pub(super) certificate: Option<Certificate>,
    pub(super) tokens: Arc<Tokens>,
    /// Counts the connection while it lives.
    _visit: Arc<Visit>,
}

impl Remote {
    /// A peer who has shown no certificate.
    pub(super) fn unknown(source: IpAddr, tokens: Arc<Tokens>, visit: Visit) -> Self {
        Self { source, certificate: None, tokens, _visit: Arc::new(visit) }
    }
}

impl Default for Gate {
    fn default() -> Self {
        let Settings { alerts, flows, .. } = Settings::default();
        Self(watch::Sender::new(Settled { open: None, alerts, flows }))
    }
}

impl Gate {
    /// Opens the port and reads the files, and changes nothing.
    ///
    /// # Errors
    /// The port is taken, or a file is of no use.
    pub fn prepare(&self, settings: &Settings) -> Result<Settled, Refused> {
        let Settings { alerts, flows, .. } = settings.clone();
        let Some(listen) = &settings.api else { return Ok(Settled { open: None, alerts, flows }) };
        let refused = |why: String| Refused::one(format!("[ERROR] the control API over TCP: {why}"));
        let keeper = Keeper::open(listen).map_err(refused)?;
        let old = self.0.borrow().open.clone();
        let tokens = match old.as_ref().filter(|old| old.tokens.path() == listen.tokens) {
            Some(old) => Arc::clone(&old.tokens),
            None => Arc::new(Tokens::open(&listen.tokens).map_err(|why| refused(why.to_string()))?),
        };
        let listener = match old.filter(|old| old.listen.address == listen.address) {
            Some(old) => Arc::clone(&old.listener),
            None => Arc::new(bind(listen).map_err(refused)?),
        };
        let open = Arc::new(Open { listen: listen.clone(), listener, keeper, tokens });
        Ok(Settled { open: Some(open), alerts, flows })
    }

    /// Makes it so.
    pub fn set(&self, settled: Settled) {
        self.0.send_replace(settled);
    }

    /// When the certificate that is shown expires, in seconds since 1970, and what is to be said of one that has changed; `None`: none is shown.
    #[must_use]
    pub fn expiry(&self) -> (Option<u64>, Option<String>) {
        let open = self.0.borrow().open.clone();
        open.map_or((None, None), |open| {
            let (shown, said) = open.keeper.now();
            (shown.expires, said)
        })
    }

    /// Where the alert store is.
    #[must_use]
    pub fn alerts(&self) -> PathBuf {
        self.0.borrow().alerts.clone()
    }

    /// Where flows are stored, if they are.
    #[must_use]
    pub fn flows(&self) -> PathBuf {
        self.0.borrow().flows.clone()
    }
}

fn bind(listen: &Listen) -> Result<std::net::TcpListener, String> {
    let address = listen.address;
    let bound = std::net::TcpListener::bind(address).and_then(|bound| bound.set_nonblocking(true).map(|()| bound));
    bound.map_err(|why| match why.kind() {
        io::ErrorKind::AddrInUse => {
            format!("somebody listens at {address} already (`ss -ltnp` says who); end it, or choose another port")
        }
        io::ErrorKind::AddrNotAvailable => format!("{address} is no address of this machine"),
        io::ErrorKind::PermissionDenied => format!("{address}: ports below 1024 need CAP_NET_BIND_SERVICE"),
        _ => format!("{address}: {why}"),
    })
}

/// Serves what is set, for ever.
pub(super) async fn serve(gate: &Gate, plane: Plane) {
    let (places, visits) = (Places::default(), Visits::default());
    let mut settings = gate.0.subscribe();
    let logs = plane.handle.shared_logs();
    let app = remote_app(plane);
    let mut told = None;
    loop {
        let open = settings.borrow_and_update().open.clone();
        let changed = async {
            // The gate lives as long as the supervisor.
            let _ended = settings.changed().await;
        };
        let Some(open) = open else {
            if told.take().is_some() {
                logs.say("[INFO] The control API is no longer served over TCP.");
            }
            changed.await;
            continue;
        };
        let address = open.listener.local_addr().unwrap_or(open.listen.address);
        if told.replace(address) != Some(address) {
            logs.say(&format!("[INFO] The control API is served at https://{address}."));
        }
        match open.listener.try_clone().and_then(TcpListener::from_std) {
            Ok(listener) => {
                let (app, visits, logs) = (app.clone(), visits.clone(), Arc::clone(&logs));
                http::serve(Door { listener, open, app, visits, logs }, &places, changed).await;
            }
            Err(why) => {
                logs.say(&format!("[ERROR] The control API is not served at {address}: {why}"));
                changed.await;
            }
        }
    }
}

/// The port.
struct Door {
    listener: TcpListener,
    open: Arc<Open>,
    app: Router,
    visits: Visits,
    logs: Arc<Logs>,
}

/// A connection whose peer has said nothing yet.
struct Knock {
    stream: TcpStream,
    config: Arc<ServerConfig>,
    remote: Remote,
    app: Router,
}

impl Accept for Door {
    type Raw = Knock;
    type Stream = TlsStream<TcpStream>;

    async fn accept(&self) -> io::Result<Knock> {
        loop {
            let (stream, address) = self.listener.accept().await?;
            let source = address.ip().to_canonical();
            // A source that has enough connections is closed without a word.
            let Some(visit) = self.visits.enter(source) else { continue };
            // Small answers go at once.
            stream.set_nodelay(true)?;
            SockRef::from(&stream).set_tcp_user_timeout(Some(STUCK))?;
            let (shown, said) = self.open.keeper.now();
            said.into_iter().for_each(|line| self.logs.say(&line));
            let tokens = Arc::clone(&self.open.tokens);
            let remote = Remote::unknown(source, tokens, visit);
            return Ok(Knock { stream, config: shown.config, remote, app: self.app.clone() });
        }
    }

    async fn ready(knock: Knock) -> io::Result<(TlsStream<TcpStream>, Router)> {
        let Knock { stream, config, mut remote, app } = knock;
        let stream = TlsAcceptor::from(config).accept(stream).await?;
        let (_, connection) = stream.get_ref();
        remote.certificate = connection.peer_certificates().and_then(|chain| chain.first()).map(Certificate::of);
        Ok((stream, app.layer(Extension(remote))))
    }
}
