//! What the payload says, one protocol a file: its parser and the fields it exports.
pub mod dns;
pub(crate) mod headers;
pub mod http;
pub mod kerberos;
pub mod passivedns;
pub mod rdp;
pub mod segments;
pub mod sip;
pub mod smb;
pub mod smtp;
pub mod ssh;
pub mod tls;
