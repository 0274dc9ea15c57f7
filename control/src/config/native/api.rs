//! The table `[api]`: what the control API shows, and where it is served over TCP.
use super::{File, Place, Refused};
use crate::api::tokens;
use crate::model::Listen;
use detect::nfdump::FOLDER;
use detect::store;
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;
use toml::Spanned;

/// The control API: what it shows, and where it is served over TCP; without `listen` it is at its unix socket alone.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// Address and port; it speaks TLS 1.3 and nothing else.
    #[schemars(with = "String", example = &"127.0.0.1:8443")]
    pub listen: Option<Spanned<String>>,
    /// The server's certificate and those up to its CA, a PEM file; read again when it changes.
    #[schemars(with = "String", example = &"/etc/sonda/api.crt")]
    pub certificate: Option<PathBuf>,
    /// Its private key, a PEM file.
    #[schemars(with = "String", example = &"/etc/sonda/api.key")]
    pub key: Option<PathBuf>,
    /// Certificates that vouch for those of clients, a PEM file. Such a one names its role among its other names, as the URI
    /// urn:sonda:role:viewer, urn:sonda:role:operator or urn:sonda:role:admin. Without this file clients need a token.
    #[schemars(with = "String", example = &"/etc/sonda/clients.crt")]
    pub client_ca: Option<PathBuf>,
    /// The file of `sonda ctl token`.
    #[schemars(with = "String", example = &tokens::FILE)]
    pub tokens: Option<PathBuf>,
    /// The alert store that it shows, as `store: {path: ...}` of reporters names it.
    #[schemars(with = "String", example = &store::PATH)]
    pub alerts: Option<PathBuf>,
    /// A folder with files of nfdump, as nfcapd keeps them: in it the flows that caused an alert are looked for.
    #[schemars(with = "String", example = &FOLDER)]
    pub flows: Option<PathBuf>,
}

/// The alert store, and the folder of flows.
pub(super) fn stored(files: &[(Place<'_>, File)]) -> (PathBuf, PathBuf) {
    let of = |key: fn(&Api) -> Option<PathBuf>| files.iter().find_map(|(_, file)| file.api.as_ref().and_then(key));
    let alerts = of(|table| table.alerts.clone()).unwrap_or_else(|| store::PATH.into());
    (alerts, of(|table| table.flows.clone()).unwrap_or_else(|| FOLDER.into()))
}

/// What the files say of it.
pub(super) fn of_files(files: &[(Place<'_>, File)], wrong: &mut Refused) -> Option<Listen> {
    let mut tables = files.iter().filter_map(|(place, file)| Some((place, file.api.as_ref()?)));
    let (place, table) = tables.next()?;
    for (other, _) in tables {
        wrong.lines.push(other.line(0, "a second table [api]; one file of the folder has it"));
    }
    let listen = table.listen.as_ref()?;
    let mut fault = |why: &str| wrong.lines.push(place.line(listen.span().start, why));
    let Ok(address) = listen.as_ref().parse() else {
        fault(&format!("listen = \"{}\": an address and a port, as 0.0.0.0:8443 or [::]:8443", listen.as_ref()));
        return None;
    };
    let (Some(certificate), Some(key)) = (table.certificate.clone(), table.key.clone()) else {
        fault("there is no TLS without both certificate and key");
        return None;
    };
    let tokens = table.tokens.clone().unwrap_or_else(|| tokens::FILE.into());
    Some(Listen { address, certificate, key, client_ca: table.client_ca.clone(), tokens })
}
