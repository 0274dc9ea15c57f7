//! What the payload says, one protocol a file: its parser and the fields it exports.
pub(crate) mod headers;
pub mod http;
pub mod sip;
pub mod dns;
pub mod passivedns;
pub mod tls;
pub mod smtp;
