//! What the payload says, one protocol a file: its parser and the fields it exports.
pub mod dns;
pub mod dnssd;
mod entries;
pub(crate) mod headers;
pub mod http;
mod messages;
pub mod mqtt;
pub mod netbios;
pub mod ntp;
pub mod passivedns;
pub mod quic;
pub mod rtsp;
pub mod sip;
pub mod smtp;
pub mod ssdp;
pub mod tls;
pub mod wg;
