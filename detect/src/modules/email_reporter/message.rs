//! The form of a message and what a record makes of it.
//!
//! A value can change nothing but the text around it: in a header its control characters, line breaks among them, are blanks; what is
//! sent has no line that SMTP or a reader of mail would take for something else.
use jiff::Timestamp;
use lettre::message::Body;
use lettre::message::header::{ContentTransferEncoding, HeaderName, HeaderValue, Headers};
use record::unirec;

/// Bytes of a message, at the most.
const MESSAGE_MAX: usize = 16 * 1024 * 1024;
/// Bytes of a line, without its end, at the most (RFC 5321 section 4.5.3.1.6).
const LINE_MAX: usize = 998;
/// Longer words in a header get a blank, so that the line can be folded.
const WORD_MAX: usize = 400;
/// The name that stands for the time of sending.
const DATETIME: &str = "_DATETIME_";

/// Headers and body with `$NAME` where values go.
#[derive(Clone, Debug)]
pub struct Template {
    headers: Vec<(String, Vec<Piece>)>,
    body: Vec<Piece>,
    /// Names of the fields that occur.
    fields: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// Index in [`Template::fields`].
    Field(usize),
    Datetime,
}

/// A message with its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// A value may be folded: a line break and a blank or tab.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// A message as it is sent, before dots are doubled. Lines end with CRLF, also the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wire {
    pub bytes: Vec<u8>,
    /// It needs a server that takes 8-bit text.
    pub is_8bit: bool,
}

/// The message would exceed 16 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message would be longer than {MESSAGE_MAX} bytes")]
pub struct TooLong;

impl Template {
    /// Finds the fields of `known` in the texts; a longer name goes first.
    pub fn new(headers: Vec<(String, String)>, body: &str, known: &unirec::Template) -> Template {
        let mut names: Vec<_> = known.fields().iter().map(|field| field.name.as_str()).collect();
        names.push(DATETIME);
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        let mut fields = Vec::new();
        let headers = headers.into_iter().map(|(name, value)| (name, cut(&value, &names, &mut fields))).collect();
        let body = cut(body, &names, &mut fields);
        Template { headers, body, fields }
    }

    /// Names of the fields whose values are needed.
    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    /// The message of these values, which are in the order of [`Self::fields`].
    pub fn fill(&self, values: &[String], now: Timestamp) -> Result<Message, TooLong> {
        let datetime = now.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string();
        let clean: Vec<_> = values.iter().map(|value| value.replace(char::is_control, " ")).collect();
        let mut left = MESSAGE_MAX;
        let mut join = |pieces: &[Piece], values: &[String]| {
            let mut out = String::new();
            for piece in pieces {
                let text = match piece {
                    Piece::Text(text) => text.as_str(),
                    Piece::Field(index) => values.get(*index).map_or("", String::as_str),
                    Piece::Datetime => datetime.as_str(),
                };
                left = left.checked_sub(text.len()).ok_or(TooLong)?;
                out.push_str(text);
            }
            Ok(out)
        };
        let headers = self.headers.iter().map(|(name, value)| Ok((name.clone(), join(value, &clean)?)));
        Ok(Message { headers: headers.collect::<Result<_, _>>()?, body: join(&self.body, values)? })
    }
}

/// Pieces of a text; fields that are found for the first time are added to `fields`.
fn cut(text: &str, names: &[&str], fields: &mut Vec<String>) -> Vec<Piece> {
    let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
    while let Some((before, behind)) = rest.split_once('$') {
        plain.push_str(before);
        let Some(name) = names.iter().find(|name| behind.starts_with(**name)) else {
            plain.push('$');
            rest = behind;
            continue;
        };
        rest = &behind[name.len()..];
        pieces.push(Piece::Text(std::mem::take(&mut plain)));
        pieces.push(if *name == DATETIME {
            Piece::Datetime
        } else {
            Piece::Field(fields.iter().position(|field| field == name).unwrap_or_else(|| {
                fields.push((*name).to_owned());
                fields.len() - 1
            }))
        });
    }
    plain.push_str(rest);
    pieces.push(Piece::Text(plain));
    pieces
}

impl Message {
    /// As a dry run shows it: lines end with a line feed, and nothing is encoded.
    pub fn to_text(&self) -> String {
        let headers: String = self.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        format!("{headers}\n{}", self.body)
    }

    /// As it is sent: what is not ASCII, and lines that are too long, are encoded (RFC 2045, RFC 2047), unless the template's own MIME
    /// headers say what the body is.
    pub fn to_wire(&self) -> Wire {
        let named = |name: &str| self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim());
        let body = self.body.replace("\r\n", "\n").replace('\r', "\n");
        let body = body.replace(|c: char| c.is_control() && !matches!(c, '\n' | '\t'), "?");
        let is_plain = body.is_ascii() && body.split('\n').all(|line| line.len() <= LINE_MAX);
        let is_text = named("Content-Type").is_none_or(|kind| kind.to_ascii_lowercase().starts_with("text/"));
        let is_free = is_text && named("Content-Transfer-Encoding").is_none();
        let mut out = String::new();
        for (name, value) in &self.headers {
            push_header(&mut out, name, value);
        }
        let is_8bit = !is_plain && !is_free && !body.is_ascii();
        let body = if is_plain || !is_free {
            body.replace('\n', "\r\n").into_bytes()
        } else {
            let body = Body::new(body);
            if named("MIME-Version").is_none() {
                out.push_str("MIME-Version: 1.0\r\n");
            }
            if named("Content-Type").is_none() {
                out.push_str("Content-Type: text/plain; charset=utf-8\r\n");
            }
            let encoding: ContentTransferEncoding = body.encoding();
            out.push_str(&format!("Content-Transfer-Encoding: {encoding}\r\n"));
            body.into_vec()
        };
        let mut bytes = out.into_bytes();
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&body);
        if !bytes.ends_with(b"\r\n") {
            bytes.extend_from_slice(b"\r\n");
        }
        Wire { bytes, is_8bit }
    }
}

/// One header; as the template has it if that can be sent so, else encoded and folded anew.
fn push_header(out: &mut String, name: &str, value: &str) {
    let clean = |c: char| c.is_control() && c != '\t';
    let lines: Vec<_> = value.split('\n').map(|line| line.replace(clean, " ")).collect();
    let is_plain = value.is_ascii() && lines.iter().all(|line| name.len() + 2 + line.len() <= LINE_MAX);
    if is_plain {
        out.push_str(&format!("{name}: {}\r\n", lines.join("\r\n")));
        return;
    }
    // Names were checked where the file was read.
    let Ok(header) = HeaderName::new_from_ascii(name.to_owned()) else { return };
    let mut words = Vec::new();
    for mut word in lines.iter().flat_map(|line| line.split([' ', '\t'])).filter(|word| !word.is_empty()) {
        while word.len() > WORD_MAX && word.is_ascii() {
            let (head, tail) = word.split_at(WORD_MAX);
            words.push(head);
            word = tail;
        }
        words.push(word);
    }
    let mut headers = Headers::new();
    headers.insert_raw(HeaderValue::new(header, words.join(" ")));
    out.push_str(&headers.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn template(subject: &str, body: &str) -> Template {
        let known = unirec::Template::parse("string A,string AB,uint8 X").unwrap();
        Template::new(vec![("Subject".into(), subject.into())], body, &known)
    }

    fn filled(template: &Template, values: &[&str]) -> Message {
        let values: Vec<_> = values.iter().map(|v| (*v).to_owned()).collect();
        template.fill(&values, Timestamp::UNIX_EPOCH).unwrap()
    }

    fn wire(message: &Message) -> String {
        String::from_utf8(message.to_wire().bytes).unwrap()
    }

    #[test]
    fn longer_names_go_first_and_values_stay_as_they_are() {
        let template = template("$A-$AB$ABC 100%s $", "$_DATETIME_ $X$B$$A");
        assert_eq!(template.fields(), ["A", "AB", "X"]);
        let message = filled(&template, &["1$AB", "2", "3"]);
        assert_eq!(message.to_text(), "Subject: 1$AB-22C 100%s $\n\nThu, 01 Jan 1970 00:00:00 +0000 3$B$1$AB");
    }

    #[test]
    fn values_add_no_header_and_end_no_message() {
        let template = template("<$A>", "$AB");
        let message = filled(&template, &["x\r\nBcc: a@b.c\r\n\r\nbody\0\u{85}", "a\n.\nb\rc\0"]);
        assert_eq!(message.to_text(), "Subject: <x  Bcc: a@b.c    body  >\n\na\n.\nb\rc\0");
        assert_eq!(wire(&message), "Subject: <x  Bcc: a@b.c    body  >\r\n\r\na\r\n.\r\nb\r\nc?\r\n");
    }

    #[test]
    fn what_is_not_ascii_or_too_long_is_encoded() {
        let message = filled(&template("caf\u{e9} au lait $A", "$AB\n"), &["", "\u{e9}t\u{e9}"]);
        let sent = wire(&message);
        assert!(sent.is_ascii() && sent.contains("Subject: =?utf-8?") && sent.contains("\r\nMIME-Version: 1.0\r\n"));
        assert!(sent.ends_with("Content-Transfer-Encoding: base64\r\n\r\nw6l0w6kNCg==\r\n"), "{sent}");
        let long = "x".repeat(5_000);
        let sent = wire(&filled(&template("$A", "$AB"), &[&long, &long]));
        assert!(sent.split("\r\n").all(|line| line.len() <= LINE_MAX), "{sent}");
        let (head, _) = sent.split_once("\r\n\r\n").unwrap();
        assert_eq!(head.replace("text", "").matches('x').count(), 5_000);
    }

    #[test]
    fn the_templates_own_mime_headers_are_kept() {
        let mut message = filled(&template("s", "\u{e9}"), &[]);
        message.headers.push(("content-type".into(), "multipart/mixed; boundary=b".into()));
        let sent = message.to_wire();
        assert!(sent.is_8bit && !String::from_utf8(sent.bytes).unwrap().contains("MIME-Version"));
    }

    #[test]
    fn a_message_has_a_bound() {
        let template = template("", &"$A".repeat(300));
        assert_eq!(template.fill(&["x".repeat(65_535)], Timestamp::UNIX_EPOCH), Err(TooLong));
    }

    proptest! {
        #[test]
        fn any_value(a in any::<String>(), b in ".{0,50}([a-z\u{e9}]{0,1500} ?){0,3}") {
            let message = filled(&template("$A $AB\n $AB", "$A $AB"), &[&a, &b]);
            let sent = wire(&message);
            prop_assert!(sent.is_ascii());
            prop_assert!(sent.split("\r\n").all(|line| line.len() <= LINE_MAX && !line.contains(['\r', '\n', '\0'])));
            let (head, _) = sent.split_once("\r\n\r\n").unwrap();
            let names: Vec<_> = head.split("\r\n").filter(|l| !l.starts_with([' ', '\t'])).map(|l| l.split(':').next().unwrap()).collect();
            prop_assert!(names == ["Subject"] || names == ["Subject", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"], "{names:?}");
        }
    }
}
