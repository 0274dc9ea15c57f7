//! What a session to a collector goes over: a TCP stream, with TLS or without, or an association of DTLS. Neither ever waits.
use super::dtls::Association;
use std::io;

mod stream;
pub(super) use stream::{Stream, closed};

/// Messages that waited and go out in a row where nobody says that they are too fast: a receiver's usual buffer has room for some 92.
const DATAGRAMS_IN_A_ROW: usize = 16;

pub(super) enum Link {
    Stream(Stream),
    Datagrams(Box<Association>),
}

impl Link {
    /// Goes on with the handshake of TLS or DTLS; whether messages may go.
    pub(super) fn shake_hands(&mut self) -> io::Result<bool> {
        match self {
            Link::Stream(stream) => stream.shake_hands(),
            Link::Datagrams(association) => association.shake_hands(),
        }
    }

    /// Appends a message; answers where in the session it ends: nowhere if it could not be appended, which [`Link::look`] tells.
    pub(super) fn push(&mut self, message: &[u8]) -> u64 {
        match self {
            Link::Stream(stream) => stream.push(message),
            Link::Datagrams(association) => association.push(message),
        }
    }

    /// Hands to the kernel what it takes.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Link::Stream(stream) => stream.flush(),
            Link::Datagrams(association) => association.flush(),
        }
    }

    /// Whether the kernel has taken all.
    pub(super) fn is_clear(&self) -> bool {
        match self {
            Link::Stream(stream) => stream.is_clear(),
            Link::Datagrams(association) => association.is_clear(),
        }
    }

    /// Up to where the session is acknowledged, or as much as datagrams can be; also when it is broken.
    pub(super) fn acknowledged(&self) -> u64 {
        match self {
            Link::Stream(stream) => stream.acknowledged(),
            Link::Datagrams(association) => association.acknowledged(),
        }
    }

    /// Whether the collector has ended the session: in order, or with an error.
    pub(super) fn look(&mut self) -> io::Result<()> {
        match self {
            Link::Stream(stream) => stream.look(),
            Link::Datagrams(association) => association.look(),
        }
    }

    /// Whether it is so old that another handshake has to show that the collector is still there. What was sent counts as
    /// acknowledged then.
    pub(super) fn retire(&mut self) -> bool {
        match self {
            Link::Stream(_) => false,
            Link::Datagrams(association) => association.retire(),
        }
    }

    /// Whether nobody says what arrives.
    pub(super) fn is_unreliable(&self) -> bool {
        matches!(self, Link::Datagrams(_))
    }

    /// Messages that waited and may go out in a row.
    pub(super) fn in_a_row(&self) -> usize {
        if self.is_unreliable() { DATAGRAMS_IN_A_ROW } else { usize::MAX }
    }

    /// Ends the session in order.
    pub(super) fn close(self) {
        match self {
            Link::Stream(stream) => stream.close(),
            Link::Datagrams(association) => association.close(),
        }
    }

    /// Leaves at once; what has not arrived will not.
    pub(super) fn abandon(self) {
        match self {
            Link::Stream(stream) => stream.abandon(),
            Link::Datagrams(association) => drop(association),
        }
    }
}
