//! Requests and responses as HTTP and RTSP share them: the start line, and the header section behind it, read by the rules of either face.
use super::headers::{Fields, Initials, atoi, c_copy, cut, find, is_token, line};
use crate::face::Face;
use crate::plugin::{Plugin, Slot, Slots, Step};
use memchr::{memchr, memchr_iter};
use record::Text;
use std::marker::PhantomData;

/// What tells one protocol from the other.
pub(super) trait Dialect {
    /// What versions, hence responses, begin with.
    const NAME: [u8; 4];

    /// The letters by which the original knows a method.
    fn is_method(start: [u8; 4]) -> bool;

    /// The letters by which the original knows a method, and a response.
    #[inline(always)]
    fn starts_known(payload: &[u8]) -> bool {
        payload.first_chunk().is_some_and(|start| Self::is_method(*start) || *start == Self::NAME)
    }
}

/// How one face reads one protocol.
pub(super) struct Reader<D> {
    face: Face,
    dialect: PhantomData<D>,
}

impl<D: Dialect> Reader<D> {
    pub(super) fn new(face: Face) -> Self {
        Reader { face, dialect: PhantomData }
    }

    #[inline(always)]
    pub(super) fn is_original(&self) -> bool {
        self.face.is_original()
    }

    /// The message that a payload begins with.
    #[inline]
    pub(super) fn message<'m>(&self, payload: &'m [u8]) -> Option<Message<'m>> {
        if self.is_original() { original_message::<D>(payload) } else { message::<D>(payload) }
    }

    /// Shows the fields of a header section with these initials to `each` until it answers false. The original wants every line whole;
    /// we take what is there.
    #[inline]
    pub(super) fn fields<'m>(
        &self,
        section: Option<&'m [u8]>,
        initials: Initials,
        mut each: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Head<'m> {
        match section {
            Some(section) if self.is_original() => Head { counts: original_fields(section, each), behind: None },
            None if self.is_original() => Head { counts: false, behind: None },
            _ => {
                let mut fields = Fields::of(section.unwrap_or_default(), initials);
                let _ = fields.by_ref().all(|(name, value)| each(name, value));
                Head { counts: true, behind: fields.behind() }
            }
        }
    }

    /// Field names are case-insensitive (RFC 9110 section 5.1), in the original they are not.
    pub(super) fn is(&self, name: &[u8], wanted: &[u8]) -> bool {
        if self.is_original() { name == wanted } else { name.eq_ignore_ascii_case(wanted) }
    }

    pub(super) fn put<const N: usize>(&self, into: &mut Text<N>, value: &[u8]) {
        into.set(if self.is_original() { c_copy(value, N + 1) } else { value });
    }

    /// [`Reader::put`] of a field's value: in the original a line with NUL is none.
    pub(super) fn put_value<const N: usize>(&self, into: &mut Text<N>, value: &[u8]) {
        into.set(if self.is_original() { cut(value, N + 1) } else { value });
    }
}

/// What came of reading a header section.
pub(super) struct Head<'m> {
    /// Whether the message counts.
    pub(super) counts: bool,
    /// Natively what follows the section; `None` if it does not end here.
    pub(super) behind: Option<&'m [u8]>,
}

/// A recognised start line and the header section behind it, `None` if the packet ends within the line.
pub(super) enum Message<'a> {
    Request { method: &'a [u8], url: &'a [u8], section: Option<&'a [u8]> },
    Response { status: u16, section: Option<&'a [u8]> },
}

impl<'a> Message<'a> {
    pub(super) fn section(&self) -> Option<&'a [u8]> {
        match self {
            Message::Request { section, .. } | Message::Response { section, .. } => *section,
        }
    }
}

/// A method longer than this is taken for something else.
pub(super) const METHOD_MAX: usize = 32;

/// Without branches, so that it becomes a vector comparison.
#[inline(always)]
pub(super) fn has_blank(bytes: &[u8; METHOD_MAX]) -> bool {
    bytes.iter().fold(false, |found, byte| found | (*byte == b' '))
}

/// The same of a payload that is shorter: as many of its bytes as a number holds at a time, the last ones perhaps twice.
#[inline(always)]
pub(super) fn has_blank_near(bytes: &[u8]) -> bool {
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

/// The start line by RFC 9112 sections 3 and 4.
fn message<D: Dialect>(payload: &[u8]) -> Option<Message<'_>> {
    let section = |at: usize| payload.get(at..).and_then(line).map(|(_, rest)| rest);
    if let Some(version) = payload.strip_prefix(&D::NAME[..]).and_then(|rest| rest.strip_prefix(b"/")) {
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
    let behind = payload[version..].strip_prefix(&D::NAME[..]);
    let is_request = !url.is_empty() && behind.is_some_and(|rest| rest.first() == Some(&b'/'));
    is_request.then_some(Message::Request { method, url, section: section(version) })
}

/// The start line as the original recognises it.
fn original_message<D: Dialect>(payload: &[u8]) -> Option<Message<'_>> {
    let probe: &[u8; 4] = payload.first_chunk()?;
    let known = D::is_method(*probe);
    let method_max = if known { payload.len() } else { payload.len().min(METHOD_MAX) };
    let words = |first_max: usize| {
        let first = find(b' ', &payload[..first_max])?;
        let second = first + 1 + find(b' ', &payload[first + 1..])?;
        Some((first, second))
    };
    // What follows the line that the blank at `at` stands in.
    let section = |at: usize| crlf(&payload[at..]).map(|end| &payload[at + end + 2..]);
    if let Some((first, second)) = words(method_max)
        && payload[second + 1..].starts_with(&D::NAME)
    {
        let (method, url) = (&payload[..first], &payload[first + 1..second]);
        return Some(Message::Request { method, url, section: section(second) });
    }
    if *probe != D::NAME {
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
/// Which halves of a transaction are complete: what a plugin of this family remembers of a flow.
#[derive(Default)]
pub struct Seen {
    pub request: bool,
    pub response: bool,
    /// Heads of this transaction that are not whole yet: a bit for each of the flow's directions.
    pub cut: u8,
}

record::packed!(Seen { request: bool, response: bool, cut: u8 });

impl Seen {
    /// Whether it has a message of this kind.
    #[inline(always)]
    pub(super) fn has(&self, message: &Message<'_>) -> bool {
        match message {
            Message::Request { .. } => self.request,
            Message::Response { .. } => self.response,
        }
    }
}

/// The slot of the transaction that a message belongs to; or what the plugin says at once: the second request or response ends the
/// record and begins the next one.
#[inline(always)]
pub(super) fn transaction<'s, P: Plugin<State = Seen>>(
    slots: &'s mut Slots<'_, P>,
    message: &Message<'_>,
) -> Result<&'s mut Slot<P>, Step> {
    let fresh = slots.first().is_none();
    let slot = slots.first_or_open().ok_or(Step::More)?;
    if fresh {
        slot.export = false;
    }
    if slot.state.has(message) { Err(Step::Reinsert) } else { Ok(slot) }
}
