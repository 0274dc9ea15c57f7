//! Certificates and keys of PEM files, and the file with those that the system trusts.
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Where systems keep the certificates that they trust; the first file that exists is read.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    #[error("{0}")]
    Unread(#[from] pem::Error),
    #[error("there is none in it")]
    Empty,
}

/// All certificates of a file; at least one.
///
/// # Errors
/// It cannot be read, or holds none.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let found = CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>()?;
    if found.is_empty() { Err(PemError::Empty) } else { Ok(found) }
}

/// The private key of a file.
///
/// # Errors
/// It cannot be read, or holds none.
pub fn key(path: &Path) -> Result<PrivateKeyDer<'static>, PemError> {
    Ok(PrivateKeyDer::from_pem_file(path)?)
}

/// The certificates of a file as those that vouch for others. Some of a bundle may be of a kind that is not understood; the others count.
///
/// # Errors
/// It cannot be read, or holds none that is understood.
pub fn roots(path: &Path) -> Result<RootCertStore, PemError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_file_iter(path)?.filter_map(Result::ok));
    if roots.is_empty() { Err(PemError::Empty) } else { Ok(roots) }
}

/// The file that `SSL_CERT_FILE` names, or the system's; `None` where there is neither.
#[must_use]
pub fn bundle() -> Option<PathBuf> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    named.or_else(|| BUNDLES.iter().map(PathBuf::from).find(|path| path.exists()))
}
