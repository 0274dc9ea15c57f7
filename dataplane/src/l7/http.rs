//! http: first request and first response of each transaction (spec/process_plugins.md, "http"; RFC 9110, RFC 9112).
//!
//! Each packet is looked at alone, on any port and protocol. A message counts where its start line stands; of its header section the
//! packet that holds the start line is read. The second request or response ends the record and begins the next one.
use super::headers::{Fields, Initials, atoi, c_copy, cut, find, is_token, line};
use crate::face::Face;
use crate::plugin::{Context, OptionError, Plugin, Slot, Slots, Step, put_short, put_text};
use memchr::{memchr, memchr_iter};
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
    face: Face,
}

/// Which halves of the transaction are complete.
#[derive(Default)]
pub struct Seen {
    request: bool,
    response: bool,
}

record::packed!(Seen { request: bool, response: bool });

impl Plugin for Http {
    type Record = HttpRecord;
    type State = Seen;
    const BEFORE: bool = true;
    const PROBES: bool = true;

    /// A start line has a blank early on; only behind methods that it knows the original looks farther.
    #[inline(always)]
    fn may_begin(payload: &[u8]) -> bool {
        match payload.first_chunk::<METHOD_MAX>() {
            Some(start) => has_blank(start) || (start[0].is_ascii_uppercase() && starts_known(payload)),
            None => has_blank_near(payload),
        }
    }

    fn new(options: &[&str], face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Http { face })
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

/// A recognised start line and the header section behind it, `None` if the packet ends within the line.
enum Message<'a> {
    Request { method: &'a [u8], url: &'a [u8], section: Option<&'a [u8]> },
    Response { status: u16, section: Option<&'a [u8]> },
}

/// A method longer than this is taken for something else.
const METHOD_MAX: usize = 32;

/// Without branches, so that it becomes a vector comparison.
#[inline(always)]
fn has_blank(bytes: &[u8; METHOD_MAX]) -> bool {
    bytes.iter().fold(false, |found, byte| found | (*byte == b' '))
}

/// The same of a payload that is shorter: as many of its bytes as a number holds at a time, the last ones perhaps twice.
#[inline(always)]
fn has_blank_near(bytes: &[u8]) -> bool {
    let any = |half: &[u8; 8]| {
        // A byte that is zero after this borrows from its own highest bit: exact as to whether there is one.
        let zeros = u64::from_ne_bytes(*half) ^ u64::from_ne_bytes([b' '; 8]);
        zeros.wrapping_sub(u64::from_ne_bytes([0x01; 8])) & !zeros & u64::from_ne_bytes([0x80; 8]) != 0
    };
    match (bytes.as_chunks::<8>().0, bytes.last_chunk::<8>()) {
        (halves, Some(last)) => halves.iter().any(any) | any(last),
        (_, None) => bytes.contains(&b' '),
    }
}

/// The letters by which the original knows a method, and a response.
#[inline(always)]
fn starts_known(payload: &[u8]) -> bool {
    matches!(
        payload.first_chunk(),
        Some(b"GET " | b"POST" | b"PUT " | b"HEAD" | b"DELE" | b"TRAC" | b"OPTI" | b"CONN" | b"PATC" | b"HTTP")
    )
}

impl Http {
    fn take(&self, payload: &[u8], slots: &mut Slots<'_, Self>) -> Step {
        let message = if self.face.is_original() { original_message(payload) } else { message(payload) };
        let Some(message) = message else { return Step::More };
        let fresh = slots.first().is_none();
        let Some(slot) = slots.first_or_open() else { return Step::More };
        if fresh {
            slot.export = false;
        }
        match message {
            Message::Request { .. } if slot.state.request => return Step::Reinsert,
            Message::Response { .. } if slot.state.response => return Step::Reinsert,
            Message::Request { method, url, section } => self.request(method, url, section, slot),
            Message::Response { status, section } => self.response(status, section, slot),
        }
        Step::More
    }

    fn request(&self, method: &[u8], url: &[u8], section: Option<&[u8]>, slot: &mut Slot<Self>) {
        let r = &mut slot.record;
        self.put(&mut r.method, if self.face.is_original() { c_copy(method, 64) } else { method });
        self.put(&mut r.url, url);
        if section.is_some() {
            r.host.set(b"");
            r.agent.set(b"");
            r.referer.set(b"");
        }
        let complete = self.fields(section, Initials::of(b"HUR"), |name, value| {
            if self.is(name, b"Host") {
                self.put_value(&mut r.host, value);
            } else if self.is(name, b"User-Agent") {
                self.put_value(&mut r.agent, value);
            } else if self.is(name, b"Referer") {
                self.put_value(&mut r.referer, value);
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
        let complete = self.fields(section, Initials::of(b"CS"), |name, value| {
            if self.is(name, b"Content-Type") {
                self.put_value(&mut r.content_type, value);
            } else if self.is(name, b"Server") {
                self.put_value(&mut r.server, value);
            } else if self.is(name, b"Set-Cookie") {
                // The original stops reading at a cookie without a name.
                let Some(end) = find(b'=', value) else { return !self.face.is_original() };
                self.add_cookie(&mut r.cookie_names, &value[..end]);
            }
            true
        });
        // An interim response (RFC 9110 section 15.2) is not the answer, but the original takes it for one.
        let is_final = self.face.is_original() || status == 101 || !(100..200).contains(&status);
        slot.state.response |= complete && is_final;
        slot.export |= complete;
    }

    /// Shows the fields of a header section with these initials to `each` until it answers false; answers whether the message counts.
    /// The original wants every line whole; we take what is there.
    fn fields(&self, section: Option<&[u8]>, initials: Initials, mut each: impl FnMut(&[u8], &[u8]) -> bool) -> bool {
        match section {
            Some(section) if self.face.is_original() => original_fields(section, each),
            None if self.face.is_original() => false,
            _ => {
                let _ = Fields::of(section.unwrap_or_default(), initials).all(|(name, value)| each(name, value));
                true
            }
        }
    }

    /// Field names are case-insensitive (RFC 9110 section 5.1), in the original they are not.
    fn is(&self, name: &[u8], wanted: &[u8]) -> bool {
        if self.face.is_original() { name == wanted } else { name.eq_ignore_ascii_case(wanted) }
    }

    fn put<const N: usize>(&self, into: &mut Text<N>, value: &[u8]) {
        into.set(if self.face.is_original() { c_copy(value, N + 1) } else { value });
    }

    /// [`Http::put`] of a field's value: in the original a line with NUL is none.
    fn put_value<const N: usize>(&self, into: &mut Text<N>, value: &[u8]) {
        into.set(if self.face.is_original() { cut(value, N + 1) } else { value });
    }

    fn add_cookie(&self, into: &mut Text<511>, name: &[u8]) {
        if into.is_empty() {
            self.put_value(into, name);
        } else if into.room() > 1 {
            into.push(b";");
            into.push(name);
        }
    }
}

/// The start line by RFC 9112 sections 3 and 4.
fn message(payload: &[u8]) -> Option<Message<'_>> {
    let section = |at: usize| payload.get(at..).and_then(line).map(|(_, rest)| rest);
    if let Some(version) = payload.strip_prefix(b"HTTP/") {
        let blank = 5 + find(b' ', &version[..version.len().min(8)])?;
        let &[a, b, c] = payload[blank + 1..].first_chunk()?;
        if ![a, b, c].iter().all(u8::is_ascii_digit) || payload.get(blank + 4).is_some_and(u8::is_ascii_alphanumeric) {
            return None;
        }
        let status = [a, b, c].iter().fold(0, |n, d| n * 10 + (d - b'0') as u16);
        return (status >= 100).then_some(Message::Response { status, section: section(blank + 4) });
    }
    let method_end = find(b' ', &payload[..payload.len().min(METHOD_MAX)])?;
    let (method, rest) = (&payload[..method_end], &payload[method_end + 1..]);
    if !is_token(method) {
        return None;
    }
    let url = &rest[..find(b' ', rest)?];
    let version = method_end + 1 + url.len() + 1;
    let is_http = !url.is_empty() && payload[version..].starts_with(b"HTTP/");
    is_http.then_some(Message::Request { method, url, section: section(version) })
}

/// The start line as the original recognises it.
fn original_message(payload: &[u8]) -> Option<Message<'_>> {
    let probe: &[u8; 4] = payload.first_chunk()?;
    let known = starts_known(payload) && probe != b"HTTP";
    let method_max = if known { payload.len() } else { payload.len().min(METHOD_MAX) };
    let words = |first_max: usize| {
        let first = find(b' ', &payload[..first_max])?;
        let second = first + 1 + find(b' ', &payload[first + 1..])?;
        Some((first, second))
    };
    // What follows the line that the blank at `at` stands in.
    let section = |at: usize| crlf(&payload[at..]).map(|end| &payload[at + end + 2..]);
    if let Some((first, second)) = words(method_max)
        && payload[second + 1..].starts_with(b"HTTP")
    {
        let (method, url) = (&payload[..first], &payload[first + 1..second]);
        return Some(Message::Request { method, url, section: section(second) });
    }
    if probe != b"HTTP" {
        return None;
    }
    // A status line without a reason phrase takes the next line's first word with it.
    let (first, second) = words(payload.len())?;
    let status = atoi(c_copy(&payload[first + 1..second], 64));
    (status > 0).then_some(Message::Response { status: status as u16, section: section(second) })
}

/// The header section as the original walks it: CRLF ends lines, NUL spoils them, a value begins two bytes behind the colon and
/// ends with the CR, every line must be whole.
fn original_fields(section: &[u8], mut each: impl FnMut(&[u8], &[u8]) -> bool) -> bool {
    let nul = memchr(0, section).unwrap_or(section.len());
    let (mut at, mut colon) = (0, 0);
    while at < section.len() {
        let Some(len) = line_end(&section[at..]) else { return false };
        let end = at + len;
        if nul < end {
            return false;
        }
        if len == 0 {
            break;
        }
        // The next colon may stand in a later line: then this line has no value. It is looked for once, not once a line.
        if colon < at || section[colon] != b':' {
            let here = find(b':', &section[at..end]);
            let Some(next) = here.or_else(|| Some(len + memchr(b':', &section[end..])?)) else { return false };
            colon = at + next;
        }
        if colon < end && !each(cut(&section[at..colon], 64), &section[colon + 2..=end]) {
            break;
        }
        at = end + 2;
    }
    true
}

/// Where the first CRLF stands, if no NUL comes before it.
fn crlf(text: &[u8]) -> Option<usize> {
    let end = line_end(text)?;
    find(0, &text[..end]).is_none().then_some(end)
}

/// Where the first CRLF stands.
fn line_end(text: &[u8]) -> Option<usize> {
    let first = find(b'\r', text)?;
    if text.get(first + 1) == Some(&b'\n') {
        return Some(first);
    }
    memchr_iter(b'\r', text).find(|&at| text.get(at + 1) == Some(&b'\n'))
}

#[cfg(test)]
mod tests;
