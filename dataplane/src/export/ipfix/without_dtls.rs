//! What stands in for DTLS in builds without the feature `dtls`: nothing of it can be made.
use super::tls::TlsFiles;
use crate::export::{OpenError, Peer};
use std::io;
use std::net::UdpSocket;
use std::time::Duration;

pub(super) const IS_BUILT_IN: bool = false;
pub(super) const OVERHEAD: u16 = 37;
pub(super) const MESSAGE_MAX: u16 = 1 << 14;

#[derive(Clone)]
pub(super) enum DtlsClient {}

pub(super) enum Association {}

impl DtlsClient {
    /// # Errors
    /// Always: how it is built with DTLS.
    pub(super) fn open(_: &TlsFiles, _: u16, _: Duration) -> Result<DtlsClient, OpenError> {
        Err(super::wire::without_dtls())
    }

    pub(super) fn begin(&self, _: &Peer, _: UdpSocket) -> io::Result<Association> {
        match *self {}
    }
}

impl Association {
    pub(super) fn shake_hands(&mut self) -> io::Result<bool> {
        match *self {}
    }
    pub(super) fn push(&mut self, _: &[u8]) -> u64 {
        match *self {}
    }
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match *self {}
    }
    pub(super) fn is_clear(&self) -> bool {
        match *self {}
    }
    pub(super) fn acknowledged(&self) -> u64 {
        match *self {}
    }
    pub(super) fn look(&mut self) -> io::Result<()> {
        match *self {}
    }
    pub(super) fn retire(&mut self) -> bool {
        match *self {}
    }
    pub(super) fn close(self) {
        match self {}
    }
}
