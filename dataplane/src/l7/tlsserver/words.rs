//! Handshake messages of a server out of their records (RFC 8446 section 5.1, RFC 5246 7.4), up to its certificate.
use super::certificate::Names;
use crate::face::Face;
use crate::l7::tls::hello::{HANDSHAKE_HEADER_LEN, Hello, Kind, RECORD_HANDSHAKE, RECORD_HEADER_LEN};

/// TLS 1.3: from here on certificates are encrypted.
const VERSION_1_3: u16 = 0x0304;
/// Handshake types.
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;
/// Certificate status (RFC 6066) and supplemental data (RFC 4680) may stand around the certificate.
const BETWEEN: [u8; 2] = [22, 23];

/// What a server has said so far.
pub(super) struct Words<'m> {
    pub(super) hello: Option<Hello<'m>>,
    pub(super) names: Option<Names<'m>>,
    /// Whether nothing more is of interest, or to be expected.
    pub(super) is_whole: bool,
}

impl<'m> Words<'m> {
    /// Reads records from the ServerHello's on; `messages` is where their content is put together.
    pub(super) fn of(text: &[u8], messages: &'m mut Vec<u8>) -> Self {
        let is_cut_off = gather(text, messages);
        let mut words = Words { hello: None, names: None, is_whole: is_cut_off };
        let mut rest = &messages[..];
        while let Some((&[kind, l2, l1, l0], behind)) = rest.split_first_chunk::<HANDSHAKE_HEADER_LEN>() {
            let len = u32::from_be_bytes([0, l2, l1, l0]) as usize;
            let body = &behind[..behind.len().min(len)];
            match kind {
                SERVER_HELLO if words.hello.is_none() => {
                    if body.len() < len {
                        break;
                    }
                    words.hello = Hello::of_handshake(rest, Face::Native).filter(|hello| hello.kind == Kind::Server);
                    let has_more =
                        words.hello.as_ref().is_some_and(|hello| hello.supported_versions().next() < Some(VERSION_1_3));
                    words.is_whole |= !has_more;
                }
                CERTIFICATE => {
                    words.names = Names::of(body);
                    words.is_whole |= words.names.is_some() || body.len() == len;
                }
                _ if BETWEEN.contains(&kind) => {}
                _ => words.is_whole = true,
            }
            if words.is_whole {
                break;
            }
            rest = behind.get(len..).unwrap_or_default();
        }
        words
    }
}

/// Copies what handshake records hold one after the other; whether something else follows them.
fn gather(text: &[u8], messages: &mut Vec<u8>) -> bool {
    messages.clear();
    let mut rest = text;
    while let Some((&[kind, _, _, l1, l0], behind)) = rest.split_first_chunk::<RECORD_HEADER_LEN>() {
        let len = usize::from(u16::from_be_bytes([l1, l0]));
        if kind != RECORD_HANDSHAKE || len == 0 {
            return true;
        }
        // The buffer keeps its size: what a long packet has more is not looked at.
        let room = messages.capacity() - messages.len();
        messages.extend_from_slice(&behind[..behind.len().min(len).min(room)]);
        rest = behind.get(len..).unwrap_or_default();
    }
    rest.first().is_some_and(|kind| *kind != RECORD_HANDSHAKE)
}
