//! The captures that are made for this test, by protocol: what each one is good for says its name, or a comment.
pub(crate) mod carriers;
pub(crate) mod dns;
pub(crate) mod http;
pub(crate) mod mail;
pub(crate) mod quic;
pub(crate) mod sip;
pub(crate) mod ssh;
pub(crate) mod tls;

/// A capture by name. Names begin with the protocol that it is about.
pub(crate) type Made = (&'static str, fn() -> Vec<u8>);

pub(crate) const FAMILIES: [&[Made]; 8] =
    [http::CASES, tls::CASES, dns::CASES, quic::CASES, sip::CASES, mail::CASES, ssh::CASES, carriers::CASES];
