//! Certificates by `openssl`.
use std::path::Path;
use std::process::Command;

pub(crate) fn openssl(folder: &Path, words: &str) {
    let ran =
        Command::new("openssl").args(words.split(' ')).current_dir(folder).output().expect("openssl is installed");
    assert!(ran.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&ran.stderr));
}

const NEW_KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";

/// A CA and the certificate of a server at this machine.
pub(crate) fn authority(folder: &Path) {
    openssl(folder, &format!("req -x509 {NEW_KEY} -subj /CN=ca -days 2 -keyout ca.key -out ca.crt"));
    certificate(folder, "server", "DNS:localhost,IP:127.0.0.1");
}

/// A certificate under the CA with these names.
pub(crate) fn certificate(folder: &Path, name: &str, names: &str) {
    let request = format!(
        "req -new {NEW_KEY} -subj /CN={name} -addext subjectAltName={names} -keyout {name}.key -out {name}.csr"
    );
    openssl(folder, &request);
    let signed = "-CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -copy_extensions copy";
    openssl(folder, &format!("x509 -req -in {name}.csr {signed} -out {name}.crt"));
}
