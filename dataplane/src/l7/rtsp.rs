//! rtsp: first request and first response of each transaction (spec/process_plugins.md, "rtsp"; RFC 2326, RFC 7826).
//!
//! Read as http is, on any port. The second request or response ends the record and begins the next one.
use super::headers::{Initials, c_copy};
use super::messages::{Dialect, Head, METHOD_MAX, Message, Reader, Seen, has_blank, transaction};
use crate::face::Face;
use crate::plugin::{Context, OptionError, Plugin, Slot, Slots, Step, put_short, put_text};
use memchr::memchr;
use record::element::cesnet;
use record::{Text, record};
use std::fmt::Write;

record! {
    /// RTSP request and response.
    pub struct RtspRecord = "rtsp" {
        /// Method of the request.
        method: Text<METHOD_LEN>, ipfix cesnet::rtspRequestMethod, unirec "RTSP_REQUEST_METHOD";
        /// User-Agent of the request.
        agent: Text<127>, ipfix cesnet::rtspRequestAgent, unirec "RTSP_REQUEST_AGENT";
        /// URI of the request.
        uri: Text<127>, ipfix cesnet::rtspRequestUri, unirec "RTSP_REQUEST_URI";
        /// Status code of the response.
        status: u16, ipfix cesnet::rtspResponseStatusCode, unirec "RTSP_RESPONSE_STATUS_CODE";
        /// Server of the response.
        server: Text<127>, ipfix cesnet::rtspResponseServer, unirec "RTSP_RESPONSE_SERVER";
        /// Content-Type of the response.
        content_type: Text<31>, ipfix cesnet::rtspResponseContentType, unirec "RTSP_RESPONSE_CONTENT_TYPE";
    }
}

/// SET_PARAMETER is the longest method; the original keeps 9 letters.
const METHOD_LEN: usize = 13;
const ORIGINAL_METHOD_LEN: usize = 9;

pub struct Rtsp {
    reader: Reader<Rtsp>,
}

impl Dialect for Rtsp {
    const NAME: [u8; 4] = *b"RTSP";

    #[inline(always)]
    fn is_method(start: [u8; 4]) -> bool {
        matches!(
            &start,
            b"GET "
                | b"POST"
                | b"PUT "
                | b"HEAD"
                | b"DELE"
                | b"TRAC"
                | b"OPTI"
                | b"CONN"
                | b"PATC"
                | b"DESC"
                | b"SETU"
                | b"PLAY"
                | b"PAUS"
                | b"TEAR"
                | b"RECO"
                | b"ANNO"
        )
    }
}

impl Plugin for Rtsp {
    type Record = RtspRecord;
    type State = Seen;
    const BEFORE: bool = true;
    const PROBES: bool = true;

    /// A response's first letters, or a version behind the second blank.
    #[inline(always)]
    fn may_begin(payload: &[u8]) -> bool {
        let may_have_method = match payload.first_chunk::<METHOD_MAX>() {
            Some(start) => has_blank(start) || Rtsp::starts_known(payload),
            None => true,
        };
        payload.starts_with(&Rtsp::NAME) || (may_have_method && has_version(payload))
    }

    fn new(options: &[&str], face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Rtsp { reader: Reader::new(face) })
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        self.take(ctx.packet.payload(), slots);
        Step::More
    }

    fn before(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        self.take(ctx.packet.payload(), slots)
    }

    fn text(r: &RtspRecord, out: &mut String) {
        let texts = [
            ("httpmethod=\"", r.method.as_bytes()),
            ("\",uri=\"", r.uri.as_bytes()),
            ("\",agent=\"", r.agent.as_bytes()),
            ("\",server=\"", r.server.as_bytes()),
            ("\",content=\"", r.content_type.as_bytes()),
        ];
        for (key, value) in texts {
            out.push_str(key);
            put_text(out, value);
        }
        let _ = write!(out, "\",status={}", r.status);
    }

    fn summary(r: &RtspRecord, out: &mut String) {
        put_short(out, r.method.as_bytes());
        out.push(' ');
        put_short(out, r.uri.as_bytes());
        if r.status != 0 {
            let _ = write!(out, " -> {}", r.status);
        }
    }
}

/// Whether a start line goes on with the version where a request has it.
#[inline(never)]
fn has_version(payload: &[u8]) -> bool {
    let behind_blank = |text: &'_ [u8]| memchr(b' ', text).map(|at| at + 1);
    let Some(first) = behind_blank(payload) else { return false };
    let Some(second) = behind_blank(&payload[first..]) else { return false };
    payload[first + second..].starts_with(&Rtsp::NAME)
}

impl Rtsp {
    fn take(&self, payload: &[u8], slots: &mut Slots<'_, Self>) -> Step {
        let Some(message) = self.reader.message(payload) else { return Step::More };
        let slot = match transaction(slots, &message) {
            Ok(slot) => slot,
            Err(step) => return step,
        };
        match message {
            Message::Request { method, url, section } => self.request(method, url, section, slot),
            Message::Response { status, section } => self.response(status, section, slot),
        }
        Step::More
    }

    fn request(&self, method: &[u8], uri: &[u8], section: Option<&[u8]>, slot: &mut Slot<Self>) {
        let r = &mut slot.record;
        r.method.set(if self.reader.is_original() { c_copy(method, ORIGINAL_METHOD_LEN + 1) } else { method });
        self.reader.put(&mut r.uri, uri);
        let Head { counts: complete, .. } = self.reader.fields(section, Initials::of(b"U"), |name, value| {
            if self.reader.is(name, b"User-Agent") {
                self.reader.put_value(&mut r.agent, value);
            }
            true
        });
        slot.state.request |= complete;
        slot.export |= complete;
    }

    fn response(&self, status: u16, section: Option<&[u8]>, slot: &mut Slot<Self>) {
        let r = &mut slot.record;
        r.status = status;
        let Head { counts: complete, .. } = self.reader.fields(section, Initials::of(b"CS"), |name, value| {
            if self.reader.is(name, b"Content-Type") {
                self.reader.put_value(&mut r.content_type, value);
            } else if self.reader.is(name, b"Server") {
                self.reader.put_value(&mut r.server, value);
            }
            true
        });
        // 100 Continue is not the answer (RFC 2326 section 7.1.1), but the original takes it for one.
        slot.state.response |= complete && (self.reader.is_original() || !(100..200).contains(&status));
        slot.export |= complete;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Direction::{self, Forward, Reverse};
    use crate::packet::protocol::TCP;
    use crate::plugin::testing::Harness;
    use proptest::prelude::*;

    const DESCRIBE: &[u8] =
        b"DESCRIBE rtsp://media.example.org/a RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: Player/1\r\nAccept: application/sdp\r\n\r\n";
    const ANSWER: &[u8] = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nServer: Media/2\r\nContent-Type: application/sdp\r\n\r\nv=0";

    fn play(face: Face, steps: &[(Direction, &[u8])]) -> Vec<RtspRecord> {
        let mut h = Harness::<Rtsp>::new(face);
        for (direction, payload) in steps {
            let (from, to) = if *direction == Forward { (40000, 554) } else { (554, 40000) };
            h.packet(*direction, from, to, TCP, payload);
        }
        h.records()
    }

    #[test]
    fn transactions() {
        let parameter = b"SET_PARAMETER rtsp://media.example.org/a RTSP/1.0\r\nCSeq: 2\r\n\r\n";
        for (face, method) in [(Face::Native, &b"SET_PARAMETER"[..]), (Face::Ipfixprobe, b"SET_PARAM")] {
            let records = play(face, &[(Forward, DESCRIBE), (Reverse, ANSWER), (Forward, parameter)]);
            let [first, second] = &records[..] else { panic!("two records") };
            let mut text = String::new();
            Rtsp::text(first, &mut text);
            let request = "httpmethod=\"DESCRIBE\",uri=\"rtsp://media.example.org/a\",agent=\"Player/1\"";
            assert_eq!(text, format!("{request},server=\"Media/2\",content=\"application/sdp\",status=200"));
            assert_eq!((second.method.as_bytes(), second.status), (method, 0));
        }
    }

    #[test]
    fn other_protocols() {
        let http = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n and some more behind it";
        for face in [Face::Native, Face::Ipfixprobe] {
            assert!(
                play(face, &[(Forward, http), (Reverse, b"HTTP/1.1 200 OK\r\nServer: a\r\n\r\n of no use")]).is_empty()
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(at in 0..DESCRIBE.len(), byte: u8, tail in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut damaged = DESCRIBE.to_vec();
            damaged[at] = byte;
            damaged.extend(&tail);
            for face in [Face::Native, Face::Ipfixprobe] {
                prop_assert!(play(face, &[(Forward, &damaged), (Reverse, &[b"RTSP/1.0 ", &tail[..]].concat())]).len() <= 2);
            }
        }
    }
}
