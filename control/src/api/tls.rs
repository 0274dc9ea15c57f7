//! TLS 1.3 under the API: the certificate that the server shows, read again when its files change, and what a client's certificate says.
use super::role::Role;
use super::secret::{hash_of, hex};
use super::stamp::Stamp;
use crate::model::Listen;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{RootCertStore, ServerConfig};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use trap::pem;
use webpki::{EndEntityCert, KeyUsage};

/// What a client's certificate names its role by: a URI among its other names (RFC 5280 section 4.2.1.6), `urn:sonda:role:viewer`,
/// `urn:sonda:role:operator` or `urn:sonda:role:admin`.
const ROLE_URI: &str = "urn:sonda:role:";
/// Digits of a certificate's SHA-256 that name it in the audit log.
const NAME_DIGITS: usize = 16;

/// The server's side, as its files have it.
#[derive(Debug)]
pub(super) struct Keeper {
    listen: Listen,
    now: Mutex<(Vec<Stamp>, Shown)>,
}

/// What clients are shown.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    pub(super) config: Arc<ServerConfig>,
    /// When the first certificate of the chain expires, in seconds since 1970.
    pub(super) expires: Option<u64>,
}

impl Keeper {
    /// # Errors
    /// A file is of no use, and which.
    pub(super) fn open(listen: &Listen) -> Result<Self, String> {
        let now = Mutex::new((stamps(listen), Shown::of(listen)?));
        Ok(Self { listen: listen.clone(), now })
    }

    /// What the next connection gets, and what is to be said of files that have changed. Ones that are of no use change nothing.
    pub(super) fn now(&self) -> (Shown, Option<String>) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = stamps(&self.listen);
        if now.0 == stamps {
            return (now.1.clone(), None);
        }
        now.0 = stamps;
        let said = match Shown::of(&self.listen) {
            Ok(shown) => {
                now.1 = shown;
                format!("[INFO] The control API shows the new certificate of {}.", self.listen.certificate.display())
            }
            Err(why) => format!("[WARNING] The control API goes on with its old certificate: {why}"),
        };
        (now.1.clone(), Some(said))
    }
}

fn stamps(listen: &Listen) -> Vec<Stamp> {
    let files = [Some(&listen.certificate), Some(&listen.key), listen.client_ca.as_ref()];
    files.into_iter().flatten().map(|path| Stamp::of(path)).collect()
}

fn named(path: &Path, why: &dyn std::fmt::Display) -> String {
    format!("{}: {why}", path.display())
}

impl Shown {
    fn of(listen: &Listen) -> Result<Self, String> {
        let chain = pem::certificates(&listen.certificate).map_err(|why| named(&listen.certificate, &why))?;
        let expires = chain.iter().filter_map(expiry).min();
        Ok(Self { config: config(listen, chain)?, expires })
    }
}

/// The end of a certificate's time (RFC 5280 section 4.1.2.5), in seconds since 1970.
fn expiry(der: &CertificateDer<'_>) -> Option<u64> {
    // webpki tells it to whoever verifies a certificate too late; before that it looks at nothing else.
    let too_late = UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX / 2));
    let certificate = EndEntityCert::try_from(der).ok()?;
    match certificate.verify_for_usage(&[], &[], &[], too_late, KeyUsage::server_auth(), None, None) {
        Err(webpki::Error::CertExpired { not_after, .. }) => Some(not_after.as_secs()),
        _ => None,
    }
}

fn config(listen: &Listen, chain: Vec<CertificateDer<'static>>) -> Result<Arc<ServerConfig>, String> {
    let key = pem::key(&listen.key).map_err(|why| named(&listen.key, &why))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[&TLS13]);
    let builder = builder.map_err(|why| why.to_string())?;
    let builder = match &listen.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let roots: RootCertStore = pem::roots(path).map_err(|why| named(path, &why))?;
            // Who shows none may have a token.
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).allow_unauthenticated();
            builder.with_client_cert_verifier(verifier.build().map_err(|why| named(path, &why))?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|why| named(&listen.certificate, &why))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Each connection shows its certificate anew: who lost it must not come back by a ticket.
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// A client's certificate, which the CA vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    /// Part of its SHA-256.
    pub(super) name: String,
    /// [`Role::Anyone`] if it names none. Of several the least counts.
    pub(super) role: Role,
}

impl Certificate {
    pub(super) fn of(der: &CertificateDer<'_>) -> Self {
        let mut name = hex(&hash_of(der));
        name.truncate(NAME_DIGITS);
        let role = EndEntityCert::try_from(der)
            .ok()
            .and_then(|parsed| {
                let uris = parsed.valid_uri_names().filter_map(|uri| uri.strip_prefix(ROLE_URI));
                uris.map(|word| Role::of_word(word).unwrap_or(Role::Anyone)).min()
            })
            .unwrap_or(Role::Anyone);
        Self { name, role }
    }
}
