//! JSON as Python's `json` module reads and writes it: what the JSON modules of NEMEA print byte for byte.
//!
//! Differences from [`serde_json`]: numbers keep all their digits, `NaN` and `Infinity` are values, lone surrogates survive, text is
//! ASCII with `\uXXXX`, separators are `", "` and `": "`, floats are spelled as `repr` does. Nesting is bounded ([`DEPTH_MAX`]).
use std::collections::HashMap;
use std::fmt::Write;

/// Arrays and objects inside each other, at the most; Python gives up near a thousand.
pub const DEPTH_MAX: usize = 200;

/// Digits of an integer, at the most, as in Python.
const DIGITS_MAX: usize = 4_300;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    /// Decimal digits, with `-` if below zero.
    Int(String),
    Float(f64),
    Str(Text),
    Array(Vec<Json>),
    /// Members in the order of their first appearance; of a repeated name the last value.
    Object(Vec<(Text, Json)>),
}

/// A text as it stands between quotes in the output: ASCII, escaped. Equal texts have equal spellings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Text(String);

/// Why bytes are no JSON, with the place in characters, in Python's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    #[error("{what}: line {line} column {column} (char {at})")]
    Syntax { what: &'static str, line: usize, column: usize, at: usize },
    #[error("'utf-8' codec can't decode byte 0x{byte:02x} in position {at}: invalid data")]
    Utf8 { byte: u8, at: usize },
}

impl Text {
    /// The spelling of a text.
    pub fn new(text: &str) -> Text {
        let mut out = String::with_capacity(text.len());
        text.chars().for_each(|c| push_escaped(&mut out, c));
        Text(out)
    }

    /// The text itself; lone surrogates become replacement characters.
    pub fn to_plain(&self) -> String {
        serde_json::from_str(&format!("\"{}\"", self.0)).unwrap_or_else(|_| self.0.clone())
    }
}

impl Json {
    /// A text.
    pub fn text(text: &str) -> Json {
        Json::Str(Text::new(text))
    }

    /// An integer.
    pub fn int(n: impl Into<i128>) -> Json {
        Json::Int(n.into().to_string())
    }

    /// Member of an object.
    pub fn get(&self, name: &str) -> Option<&Json> {
        let Json::Object(members) = self else { return None };
        let name = Text::new(name);
        members.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// Appends the value in one line.
    pub fn dump(&self, out: &mut String) {
        self.write(out, None, 0);
    }

    /// Appends the value; with an indent, one member or element per line. A negative indent is none, but lines are broken.
    pub fn dump_indented(&self, out: &mut String, indent: Option<i64>) {
        self.write(out, indent.map(|n| usize::try_from(n).unwrap_or(0)), 0);
    }

    fn write(&self, out: &mut String, indent: Option<usize>, level: usize) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(true) => out.push_str("true"),
            Json::Bool(false) => out.push_str("false"),
            Json::Int(digits) => out.push_str(digits),
            Json::Float(v) => out.push_str(&float(*v)),
            Json::Str(text) => quote(out, text),
            Json::Array(items) => group(out, ['[', ']'], items, indent, level, |out, item| {
                item.write(out, indent, level + 1);
            }),
            Json::Object(members) => group(out, ['{', '}'], members, indent, level, |out, (name, value)| {
                quote(out, name);
                out.push_str(": ");
                value.write(out, indent, level + 1);
            }),
        }
    }
}

/// Reads one value that fills the whole of `bytes`.
pub fn parse(bytes: &[u8]) -> Result<Json, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|why| {
        let at = why.valid_up_to();
        JsonError::Utf8 { byte: bytes[at], at }
    })?;
    let mut parser = Parser { text, at: 0 };
    if text.starts_with('\u{feff}') {
        return Err(parser.fail("Unexpected UTF-8 BOM (decode using utf-8-sig)", 0));
    }
    parser.blanks();
    let value = parser.value(0)?;
    parser.blanks();
    if parser.at < text.len() { Err(parser.fail("Extra data", parser.at)) } else { Ok(value) }
}

/// A float as Python's `repr` spells it: the fewest digits that read back, with an exponent below 1e-4 and from 1e16 on.
pub fn float(v: f64) -> String {
    if v.is_nan() {
        return "NaN".into();
    }
    if v.is_infinite() {
        return if v > 0.0 { "Infinity" } else { "-Infinity" }.into();
    }
    let scientific = format!("{v:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>().unwrap_or(0) {
        -4..=15 => {
            let mut plain = format!("{v}");
            if !plain.contains('.') {
                plain.push_str(".0");
            }
            plain
        }
        exponent => format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs()),
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
}

impl Parser<'_> {
    fn fail(&self, what: &'static str, at: usize) -> JsonError {
        let before = &self.text[..at.min(self.text.len())];
        let line_start = before.rfind('\n').map_or(0, |n| n + 1);
        JsonError::Syntax {
            what,
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            at: before.chars().count(),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Json, JsonError> {
        if depth > DEPTH_MAX {
            return Err(self.fail("Nested too deeply", self.at));
        }
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                Ok(Json::Str(self.string()?))
            }
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            _ => {
                let words = [
                    ("null", Json::Null),
                    ("true", Json::Bool(true)),
                    ("false", Json::Bool(false)),
                    ("NaN", Json::Float(f64::NAN)),
                    ("Infinity", Json::Float(f64::INFINITY)),
                    ("-Infinity", Json::Float(f64::NEG_INFINITY)),
                ];
                let rest = &self.text[self.at..];
                if let Some((word, value)) = words.into_iter().find(|(word, _)| rest.starts_with(word)) {
                    self.at += word.len();
                    return Ok(value);
                }
                self.number()
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.at += 1;
        let mut items = Vec::new();
        self.blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.blanks();
            match self.peek() {
                Some(b']') => {
                    self.at += 1;
                    return Ok(Json::Array(items));
                }
                Some(b',') => self.at += 1,
                _ => return Err(self.fail("Expecting ',' delimiter", self.at)),
            }
            self.blanks();
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.at += 1;
        let mut members: Vec<(Text, Json)> = Vec::new();
        let mut places: HashMap<Text, usize> = HashMap::new();
        self.blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(members));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.fail("Expecting property name enclosed in double quotes", self.at));
            }
            self.at += 1;
            let name = self.string()?;
            self.blanks();
            if self.peek() != Some(b':') {
                return Err(self.fail("Expecting ':' delimiter", self.at));
            }
            self.at += 1;
            self.blanks();
            let value = self.value(depth + 1)?;
            match places.get(&name) {
                Some(place) => members[*place].1 = value,
                None => {
                    places.insert(name.clone(), members.len());
                    members.push((name, value));
                }
            }
            self.blanks();
            match self.peek() {
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Json::Object(members));
                }
                Some(b',') => self.at += 1,
                _ => return Err(self.fail("Expecting ',' delimiter", self.at)),
            }
            self.blanks();
        }
    }

    /// The text behind an opening quote, which was taken.
    fn string(&mut self) -> Result<Text, JsonError> {
        let begin = self.at - 1;
        let mut out = String::new();
        loop {
            let Some(c) = self.text[self.at..].chars().next() else {
                return Err(self.fail("Unterminated string starting at", begin));
            };
            match c {
                '"' => {
                    self.at += 1;
                    return Ok(Text(out));
                }
                '\\' => self.escape(begin, &mut out)?,
                c if (c as u32) < 0x20 => return Err(self.fail("Invalid control character at", self.at)),
                c => {
                    push_escaped(&mut out, c);
                    self.at += c.len_utf8();
                }
            }
        }
    }

    fn escape(&mut self, begin: usize, out: &mut String) -> Result<(), JsonError> {
        let backslash = self.at;
        let Some(kind) = self.text[self.at + 1..].chars().next() else {
            return Err(self.fail("Unterminated string starting at", begin));
        };
        self.at += 1 + kind.len_utf8();
        let plain = match kind {
            '"' | '\\' | '/' => kind,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let digits = self.text.as_bytes().get(self.at..self.at + 4).unwrap_or(&[]);
                if digits.len() < 4 || !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(self.fail("Invalid \\uXXXX escape", backslash + 1));
                }
                let unit = u32::from_str_radix(&self.text[self.at..self.at + 4], 16).unwrap_or(0);
                self.at += 4;
                match char::from_u32(unit) {
                    Some(c) => c,
                    // Half of a pair: two halves in a row spell the character that they are.
                    None => {
                        push_unit(out, unit);
                        return Ok(());
                    }
                }
            }
            _ => return Err(self.fail("Invalid \\escape", backslash)),
        };
        push_escaped(out, plain);
        Ok(())
    }

    fn number(&mut self) -> Result<Json, JsonError> {
        let bytes = self.text.as_bytes();
        let digits_from = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        let begin = self.at;
        let first = begin + usize::from(bytes.get(begin) == Some(&b'-'));
        let whole = match bytes.get(first) {
            Some(b'0') => 1,
            Some(b'1'..=b'9') => digits_from(first),
            _ => return Err(self.fail("Expecting value", begin)),
        };
        let mut end = first + whole;
        let mut is_float = false;
        if bytes.get(end) == Some(&b'.') && digits_from(end + 1) > 0 {
            end += 1 + digits_from(end + 1);
            is_float = true;
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let from = (end + 1 + sign).min(bytes.len());
            if digits_from(from) > 0 {
                end = from + digits_from(from);
                is_float = true;
            }
        }
        let text = &self.text[begin..end];
        self.at = end;
        if is_float {
            return text.parse().map(Json::Float).map_err(|_| self.fail("Expecting value", begin));
        }
        if whole > DIGITS_MAX {
            return Err(self.fail("Integer has too many digits", begin));
        }
        Ok(Json::Int(if text == "-0" { "0".into() } else { text.into() }))
    }
}

fn group<T>(
    out: &mut String,
    [open, close]: [char; 2],
    items: &[T],
    indent: Option<usize>,
    level: usize,
    mut write: impl FnMut(&mut String, &T),
) {
    out.push(open);
    let line = |out: &mut String, level: usize| {
        if let Some(indent) = indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * level));
        }
    };
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push_str(if indent.is_some() { "," } else { ", " });
        }
        line(out, level + 1);
        write(out, item);
    }
    if !items.is_empty() {
        line(out, level);
    }
    out.push(close);
}

fn quote(out: &mut String, text: &Text) {
    out.push('"');
    out.push_str(&text.0);
    out.push('"');
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        ' '..='~' => out.push(c),
        c => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| push_unit(out, (*unit).into())),
    }
}

fn push_unit(out: &mut String, unit: u32) {
    // A String takes every write.
    let _ = write!(out, "\\u{unit:04x}");
}

/// Any bytes: what is read is written and read again as the same, and other readers of JSON take it too.
pub fn fuzz_pyjson(input: &[u8]) {
    let Ok(value) = parse(input) else { return };
    let mut line = String::new();
    value.dump(&mut line);
    assert!(line.is_ascii() && !line.contains('\n'));
    let again = parse(line.as_bytes()).expect("what was written is JSON");
    let mut second = String::new();
    again.dump(&mut second);
    assert_eq!(line, second);
    let mut indented = String::new();
    value.dump_indented(&mut indented, Some(1));
    let mut third = String::new();
    parse(indented.as_bytes()).expect("indented JSON is JSON").dump(&mut third);
    assert_eq!(line, third);
}

#[cfg(test)]
mod tests;
