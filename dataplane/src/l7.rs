//! What the payload says, one protocol a file: its parser and the fields it exports.
pub mod dns;
pub(crate) mod headers;
pub mod http;
pub mod passivedns;
pub mod sip;
pub mod smtp;
pub mod tls;
