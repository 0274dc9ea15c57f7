//! http: first request and first response of each transaction (spec/process_plugins.md, "http"; RFC 9110, RFC 9112).
//!
//! Each packet is looked at alone, on any port and protocol. A message counts where its start line stands; of its header section the
//! packet that holds the start line is read. The second request or response ends the record and begins the next one.
use super::headers::{Initials, c_copy, find};
use super::messages::{Dialect, METHOD_MAX, Message, Reader, Seen, has_blank, has_blank_near, transaction};
use crate::face::Face;
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

pub struct Http {
    reader: Reader<Http>,
}

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
        Ok(Http { reader: Reader::new(face) })
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        self.take(ctx.packet.payload(), slots);
        Step::More
    }

    fn before(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        self.take(ctx.packet.payload(), slots)
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

    fn request(&self, method: &[u8], url: &[u8], section: Option<&[u8]>, slot: &mut Slot<Self>) {
        let r = &mut slot.record;
        self.reader.put(&mut r.method, if self.reader.is_original() { c_copy(method, 64) } else { method });
        self.reader.put(&mut r.url, url);
        if section.is_some() {
            r.host.set(b"");
            r.agent.set(b"");
            r.referer.set(b"");
        }
        let complete = self.reader.fields(section, Initials::of(b"HUR"), |name, value| {
            if self.reader.is(name, b"Host") {
                self.reader.put_value(&mut r.host, value);
            } else if self.reader.is(name, b"User-Agent") {
                self.reader.put_value(&mut r.agent, value);
            } else if self.reader.is(name, b"Referer") {
                self.reader.put_value(&mut r.referer, value);
            }
            true
        });
        slot.state.request |= complete;
        slot.export |= complete;
    }

    fn response(&self, status: u16, section: Option<&[u8]>, slot: &mut Slot<Self>) {
        let r = &mut slot.record;
        r.status = status;
        if section.is_some() {
            r.content_type.set(b"");
            r.server.set(b"");
            r.cookie_names.set(b"");
        }
        let complete = self.reader.fields(section, Initials::of(b"CS"), |name, value| {
            if self.reader.is(name, b"Content-Type") {
                self.reader.put_value(&mut r.content_type, value);
            } else if self.reader.is(name, b"Server") {
                self.reader.put_value(&mut r.server, value);
            } else if self.reader.is(name, b"Set-Cookie") {
                // The original stops reading at a cookie without a name.
                let Some(end) = find(b'=', value) else { return !self.reader.is_original() };
                self.add_cookie(&mut r.cookie_names, &value[..end]);
            }
            true
        });
        // An interim response (RFC 9110 section 15.2) is not the answer, but the original takes it for one.
        let is_final = self.reader.is_original() || status == 101 || !(100..200).contains(&status);
        slot.state.response |= complete && is_final;
        slot.export |= complete;
    }

    fn add_cookie(&self, into: &mut Text<511>, name: &[u8]) {
        if into.is_empty() {
            self.reader.put_value(into, name);
        } else if into.room() > 1 {
            into.push(b";");
            into.push(name);
        }
    }
}

#[cfg(test)]
mod tests;
