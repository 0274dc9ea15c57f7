//! http: first request and first response of each transaction (spec/process_plugins.md, "http"; RFC 9110, RFC 9112).
//!
//! On any port and protocol. A message counts where its start line stands. Over TCP heads may span segments, and a segment may hold several
//! messages (`http/stream.rs`); the original looks at each packet alone. The second request or response ends the record and begins the next one.
use super::headers::{Initials, c_copy, find};
use super::messages::{Dialect, METHOD_MAX, Message, Reader, Seen, has_blank, has_blank_near, transaction};
use super::streams::Streams;
use crate::face::Face;
use crate::packet::protocol;
use crate::plugin::{Context, OptionError, Plugin, Slot, Slots, Step, put_short, put_text};
use record::element::{cesnet, flowmon};
use record::{Text, record};
use std::fmt::Write;

record! {
    /// HTTP request and response.
    pub struct HttpRecord = "http" {
        /// User-Agent of the request.
        agent: Text<127>, ipfix flowmon::httpUserAgent, unirec "HTTP_REQUEST_AGENT";
        /// Method of the request.
        method: Text<15>, ipfix cesnet::httpMethod, unirec "HTTP_REQUEST_METHOD";
        /// Host of the request.
        host: Text<63>, ipfix flowmon::httpHost, unirec "HTTP_REQUEST_HOST";
        /// Referer of the request.
        referer: Text<127>, ipfix flowmon::httpReferer, unirec "HTTP_REQUEST_REFERER";
        /// Request target.
        url: Text<127>, ipfix flowmon::httpUrl, unirec "HTTP_REQUEST_URL";
        /// Content-Type of the response.
        content_type: Text<31>, ipfix flowmon::httpContentType, unirec "HTTP_RESPONSE_CONTENT_TYPE";
        /// Server of the response.
        server: Text<127>, ipfix cesnet::httpServer, unirec "HTTP_RESPONSE_SERVER";
        /// Names of the cookies that the response sets, joined by ";".
        cookie_names: Text<511>, ipfix cesnet::httpCookieNames, unirec "HTTP_RESPONSE_SET_COOKIE_NAMES";
        /// Status code of the response.
        status: u16, ipfix flowmon::httpStatusCode, unirec "HTTP_RESPONSE_STATUS_CODE";
    }
}

mod stream;

pub struct Http {
    reader: Reader<Http>,
    /// Heads that are not whole, natively only.
    streams: Option<Streams>,
}

/// What servers take for the head of a request at the most, and more than what most of them do.
const HEAD_LEN_MAX: usize = 16 * 1024;

impl Dialect for Http {
    const NAME: [u8; 4] = *b"HTTP";

    #[inline(always)]
    fn is_method(start: [u8; 4]) -> bool {
        matches!(&start, b"GET " | b"POST" | b"PUT " | b"HEAD" | b"DELE" | b"TRAC" | b"OPTI" | b"CONN" | b"PATC")
    }
}

impl Plugin for Http {
    type Record = HttpRecord;
    type State = Seen;
    const BEFORE: bool = true;
    const PROBES: bool = true;

    /// A start line has a blank early on; only behind methods that it knows the original looks farther.
    #[inline(always)]
    fn may_begin(payload: &[u8]) -> bool {
        match payload.first_chunk::<METHOD_MAX>() {
            Some(start) => has_blank(start) || (start[0].is_ascii_uppercase() && Http::starts_known(payload)),
            None => has_blank_near(payload),
        }
    }

    fn new(options: &[&str], face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Http { reader: Reader::new(face), streams: (!face.is_original()).then(|| Streams::new(HEAD_LEN_MAX)) })
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        self.take(ctx, slots);
        // The flow may be the rest of one whose record was cut.
        if self.is_idle() { Step::More } else { self.step_of(ctx) }
    }

    fn before(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        self.take(ctx, slots)
    }

    fn text(r: &HttpRecord, out: &mut String) {
        let texts = [
            ("method=\"", r.method.as_bytes()),
            ("\",host=\"", r.host.as_bytes()),
            ("\",uri=\"", r.url.as_bytes()),
            ("\",agent=\"", r.agent.as_bytes()),
            ("\",referer=\"", r.referer.as_bytes()),
            ("\",content=\"", r.content_type.as_bytes()),
        ];
        for (key, value) in texts {
            out.push_str(key);
            put_text(out, value);
        }
        let _ = write!(out, "\",status={},server=\"", r.status);
        put_text(out, r.server.as_bytes());
        out.push_str("\",set-cookie=\"");
        put_text(out, r.cookie_names.as_bytes());
        out.push('"');
    }

    fn summary(r: &HttpRecord, out: &mut String) {
        put_short(out, r.method.as_bytes());
        if !r.method.is_empty() {
            out.push(' ');
        }
        put_short(out, r.host.as_bytes());
        put_short(out, r.url.as_bytes());
        if r.status != 0 {
            let _ = write!(out, " -> {} ", r.status);
            put_short(out, r.content_type.as_bytes());
        }
    }
}

impl Http {
    fn take(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if !self.is_idle()
            && let Some(step) = self.go_on(ctx, slots)
        {
            return step;
        }
        let payload = ctx.packet.payload();
        let Some(message) = self.reader.message(payload) else {
            return if Http::starts_known(payload) { self.begin_line(ctx) } else { Step::More };
        };
        // Of several transactions the first that lacks such a message is meant.
        if !self.reader.is_original() && slots.has_several() {
            return self.read_more(ctx, slots, 0);
        }
        let slot = match transaction(slots, &message) {
            Ok(slot) => slot,
            Err(Step::Reinsert) if !self.is_idle() => return self.read_more(ctx, slots, 0),
            Err(step) => return step,
        };
        let behind = read(&self.reader, &message, slot);
        match behind {
            // The usual message is all there is in its segment.
            Some([]) => Step::More,
            _ if ctx.packet.packet.protocol != protocol::TCP => Step::More,
            _ => self.read_rest(ctx, slots, &message, behind),
        }
    }

    /// Whether no head is awaited in any flow.
    #[inline(always)]
    fn is_idle(&self) -> bool {
        self.streams.as_ref().is_none_or(Streams::is_idle)
    }
}

/// Reads a message into its transaction; answers what follows its head, if that is whole.
#[inline]
fn read<'m>(reader: &Reader<Http>, message: &Message<'m>, slot: &mut Slot<Http>) -> Option<&'m [u8]> {
    match *message {
        Message::Request { method, url, section } => request(reader, method, url, section, slot),
        Message::Response { status, section } => response(reader, status, section, slot),
    }
}

fn request<'m>(
    reader: &Reader<Http>,
    method: &[u8],
    url: &[u8],
    section: Option<&'m [u8]>,
    slot: &mut Slot<Http>,
) -> Option<&'m [u8]> {
    let r = &mut slot.record;
    reader.put(&mut r.method, if reader.is_original() { c_copy(method, 64) } else { method });
    reader.put(&mut r.url, url);
    if section.is_some() {
        r.host.set(b"");
        r.agent.set(b"");
        r.referer.set(b"");
    }
    let head = reader.fields(section, Initials::of(b"HUR"), |name, value| {
        if reader.is(name, b"Host") {
            reader.put_value(&mut r.host, value);
        } else if reader.is(name, b"User-Agent") {
            reader.put_value(&mut r.agent, value);
        } else if reader.is(name, b"Referer") {
            reader.put_value(&mut r.referer, value);
        }
        true
    });
    slot.state.request |= head.counts;
    slot.export |= head.counts;
    head.behind
}

fn response<'m>(
    reader: &Reader<Http>,
    status: u16,
    section: Option<&'m [u8]>,
    slot: &mut Slot<Http>,
) -> Option<&'m [u8]> {
    let r = &mut slot.record;
    r.status = status;
    if section.is_some() {
        r.content_type.set(b"");
        r.server.set(b"");
        r.cookie_names.set(b"");
    }
    let head = reader.fields(section, Initials::of(b"CS"), |name, value| {
        if reader.is(name, b"Content-Type") {
            reader.put_value(&mut r.content_type, value);
        } else if reader.is(name, b"Server") {
            reader.put_value(&mut r.server, value);
        } else if reader.is(name, b"Set-Cookie") {
            // The original stops reading at a cookie without a name.
            let Some(end) = find(b'=', value) else { return !reader.is_original() };
            add_cookie(reader, &mut r.cookie_names, &value[..end]);
        }
        true
    });
    // An interim response (RFC 9110 section 15.2) is not the answer, but the original takes it for one.
    let is_final = reader.is_original() || status == 101 || !(100..200).contains(&status);
    slot.state.response |= head.counts && is_final;
    slot.export |= head.counts;
    head.behind
}

fn add_cookie(reader: &Reader<Http>, into: &mut Text<511>, name: &[u8]) {
    if into.is_empty() {
        reader.put_value(into, name);
    } else if into.room() > 1 {
        into.push(b";");
        into.push(name);
    }
}

#[cfg(test)]
mod tests;
