//! A collector's certificates and ours, by `openssl`.
use dataplane::export::ipfix::TlsFiles;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const NAMES: &str = "DNS:localhost,DNS:collector.example,IP:127.0.0.1";

/// A folder with a CA, one below it, by which a collector at this machine is vouched for, and a certificate of ours.
pub(crate) struct Site(TempDir);

impl Site {
    /// With keys of this kind: `ec` or `rsa`.
    pub(crate) fn new(kind: &str) -> Site {
        let site = Site(tempfile::tempdir().expect("a folder"));
        let key = if kind == "rsa" { "rsa:2048" } else { "ec -pkeyopt ec_paramgen_curve:P-256" };
        site.openssl(&format!("req -x509 -newkey {key} -nodes -subj /CN=ca -days 2 -keyout ca.key -out ca.crt"));
        site.certificate("below", key, "basicConstraints=critical,CA:TRUE", "ca");
        site.certificate("server", key, &format!("subjectAltName={NAMES}"), "below");
        site.certificate("probe", key, "subjectAltName=DNS:probe.example", "ca");
        site
    }

    fn certificate(&self, name: &str, key: &str, extension: &str, by: &str) {
        let request = format!("req -new -newkey {key} -nodes -subj /CN={name} -addext {extension}");
        self.openssl(&format!("{request} -keyout {name}.key -out {name}.csr"));
        let signed = format!("x509 -req -in {name}.csr -CA {by}.crt -CAkey {by}.key -CAcreateserial -days 2");
        self.openssl(&format!("{signed} -copy_extensions copy -out {name}.crt"));
    }

    fn openssl(&self, words: &str) {
        let mut command = Command::new("openssl");
        let ran = command.args(words.split(' ')).current_dir(self.folder()).output();
        let ran = ran.expect("openssl (Debian package `openssl`)");
        assert!(ran.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&ran.stderr));
    }

    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// What a probe is told.
    pub(crate) fn tls(&self) -> TlsFiles {
        let identity = Some((self.path("probe.crt"), self.path("probe.key")));
        TlsFiles { authority: Some(self.path("ca.crt")), identity, name: None }
    }
}
