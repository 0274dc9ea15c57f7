//! Words of the filter language. As in the original the longest match counts, and what matches nothing is skipped and told.
use super::Cmp;
use std::net::IpAddr;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Compare(Cmp),
    Not,
    And,
    Or,
    Open,
    Close,
    Bool(bool),
    Time(Vec<u8>),
    Array(Vec<Vec<u8>>),
    Float(f64),
    Number { value: i64, is_signed: bool },
    Ip(IpAddr),
    Net { address: IpAddr, bits: u8 },
    Port,
    Host,
    Protocol,
    Name(&'static str),
    Field(String),
    Text(Vec<u8>),
}

impl Token {
    /// For messages.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Token::Compare(_) => "operator",
            Token::Not => "NOT",
            Token::And => "AND",
            Token::Or => "OR",
            Token::Open => "(",
            Token::Close => ")",
            Token::Bool(_) => "boolean",
            Token::Time(_) => "time",
            Token::Array(_) => "list",
            Token::Float(_) | Token::Number { .. } => "number",
            Token::Ip(_) => "address",
            Token::Net { .. } => "prefix",
            Token::Port => "port",
            Token::Host => "host",
            Token::Protocol => "PROTOCOL",
            Token::Name(name) => name,
            Token::Field(_) => "field name",
            Token::Text(_) => "string",
        }
    }
}

/// Splits a text into words.
pub(super) struct Lexer<'t> {
    rest: &'t [u8],
    pub(super) echoed: Vec<u8>,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t [u8]) -> Lexer<'t> {
        Lexer { rest: text, echoed: Vec::new() }
    }

    /// The next word; `None` at the end.
    pub(super) fn next(&mut self) -> Option<Token> {
        loop {
            let first = *self.rest.first()?;
            if matches!(first, b' ' | b'\t' | b'\n' | b'\r') {
                self.rest = &self.rest[1..];
                continue;
            }
            if let Some((token, length)) = word(self.rest) {
                self.rest = &self.rest[length..];
                return Some(token);
            }
            self.echoed.push(first);
            self.rest = &self.rest[1..];
        }
    }
}

/// The word at the start of `text` and its length.
fn word(text: &[u8]) -> Option<(Token, usize)> {
    match text.first()? {
        b'(' => Some((Token::Open, 1)),
        b')' => Some((Token::Close, 1)),
        b'[' => array(text),
        quote @ (b'"' | b'\'') => quoted(text, *quote),
        b'0'..=b'9' | b':' | b'-' => literal(text),
        b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
            let (name, length) = name(text);
            // `fe80::1` begins like a name.
            literal(text).filter(|(_, longer)| *longer > length).or(Some((name, length)))
        }
        _ => operator(text),
    }
}

fn operator(text: &[u8]) -> Option<(Token, usize)> {
    let two = match text.get(..2)? {
        b"=<" | b"<=" => Some(Token::Compare(Cmp::Le)),
        b"=>" | b">=" => Some(Token::Compare(Cmp::Ge)),
        b"==" => Some(Token::Compare(Cmp::Eq)),
        b"!=" | b"<>" => Some(Token::Compare(Cmp::Ne)),
        b"=~" | b"~=" => Some(Token::Compare(Cmp::Regex)),
        b"||" => Some(Token::Or),
        b"&&" => Some(Token::And),
        _ => None,
    };
    let one = || match text[0] {
        b'<' => Some(Token::Compare(Cmp::Lt)),
        b'>' => Some(Token::Compare(Cmp::Gt)),
        b'=' => Some(Token::Compare(Cmp::Eq)),
        b'!' => Some(Token::Not),
        _ => None,
    };
    two.map(|token| (token, 2)).or_else(|| Some((one()?, 1)))
}

/// A keyword or the name of a field.
fn name(text: &[u8]) -> (Token, usize) {
    let length = text.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
    let token = match &text[..length] {
        b"in" | b"IN" => Token::Compare(Cmp::In),
        b"not" | b"NOT" => Token::Not,
        b"and" | b"AND" => Token::And,
        b"or" | b"OR" => Token::Or,
        b"true" | b"True" | b"TRUE" => Token::Bool(true),
        b"false" | b"False" | b"FALSE" => Token::Bool(false),
        b"port" => Token::Port,
        b"host" => Token::Host,
        b"PROTOCOL" => Token::Protocol,
        b"TCP" => Token::Name("TCP"),
        b"UDP" => Token::Name("UDP"),
        b"ICMP" => Token::Name("ICMP"),
        name => Token::Field(String::from_utf8_lossy(name).into_owned()),
    };
    (token, length)
}

/// The longest of time, number, address and prefix; for equal lengths the first of them.
fn literal(text: &[u8]) -> Option<(Token, usize)> {
    let candidates = [time(text), number(text), address(text)];
    // `max_by_key` answers the last of equals.
    candidates.into_iter().flatten().rev().max_by_key(|(_, length)| *length)
}

/// `YYYY-m-dTHH:MM:SS` with an optional fraction of three digits.
fn time(text: &[u8]) -> Option<(Token, usize)> {
    let mut at = digits(text, 0, 4, 4)?;
    for (mark, most) in [(b'-', 2), (b'-', 2)] {
        at = digits(text, expect(text, at, mark)?, 1, most)?;
    }
    for mark in [b'T', b':', b':'] {
        at = digits(text, expect(text, at, mark)?, 2, 2)?;
    }
    // The original takes any character for the point; only a point makes a time that can be read.
    if let Some(longer) = expect(text, at, b'.').and_then(|from| digits(text, from, 3, 3)) {
        at = longer;
    }
    Some((Token::Time(text[..at].to_vec()), at))
}

/// `-?DIGITS` or `-?DIGITS.DIGITS`.
fn number(text: &[u8]) -> Option<(Token, usize)> {
    let is_signed = text.first() == Some(&b'-');
    let whole = digits(text, usize::from(is_signed), 1, usize::MAX)?;
    if let Some(end) = expect(text, whole, b'.').and_then(|from| digits(text, from, 1, usize::MAX)) {
        let value = std::str::from_utf8(&text[..end]).ok()?.parse().ok()?;
        return Some((Token::Float(value), end));
    }
    Some((Token::Number { value: integer(&text[..whole]), is_signed }, whole))
}

/// C's `%i`: octal behind a leading 0, up to the first digit that does not fit; clamped to 64 bits.
pub(super) fn integer(text: &[u8]) -> i64 {
    let (is_negative, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let radix = if text.first() == Some(&b'0') { 8 } else { 10 };
    let digits = text.iter().map_while(|b| (*b as char).to_digit(radix));
    let magnitude = digits.fold(0i128, |n, d| (n * i128::from(radix) + i128::from(d)).min(1 << 64));
    let value = if is_negative { -magnitude } else { magnitude };
    value.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

/// An address with an optional `/BITS`.
fn address(text: &[u8]) -> Option<(Token, usize)> {
    let longest = text.iter().take_while(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.')).count().min(45);
    let parse = |length: usize| std::str::from_utf8(&text[..length]).ok()?.parse::<IpAddr>().ok();
    let (address, length) = (2..=longest).rev().find_map(|length| Some((parse(length)?, length)))?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = |count: usize| {
        let end = digits(text, length + 1, count, count)?;
        let bits: u8 = std::str::from_utf8(&text[length + 1..end]).ok()?.parse().ok()?;
        let is_plain = count == 1 || text[length + 1] != b'0';
        (bits <= most && is_plain).then_some((Token::Net { address, bits }, end))
    };
    let net = if text.get(length) == Some(&b'/') { [3, 2, 1].into_iter().find_map(bits) } else { None };
    net.or(Some((Token::Ip(address), length)))
}

/// A string, or a time or address in double quotes. A quote behind a backslash does not end it if another one follows.
fn quoted(text: &[u8], quote: u8) -> Option<(Token, usize)> {
    let mut end = None;
    for (at, _) in text.iter().enumerate().skip(1).filter(|(_, b)| **b == quote) {
        end = Some(at);
        if at == 1 || text[at - 1] != b'\\' {
            break;
        }
    }
    let content = &text[1..end?];
    let whole =
        |found: Option<(Token, usize)>| found.filter(|(_, length)| *length == content.len()).map(|(token, _)| token);
    let special = if quote == b'"' { whole(time(content)).or_else(|| whole(address(content))) } else { None };
    Some((special.unwrap_or_else(|| Token::Text(content.to_vec())), content.len() + 2))
}

/// `[ELEMENT, ELEMENT]`: white space stands behind commas only.
fn array(text: &[u8]) -> Option<(Token, usize)> {
    let (mut elements, mut at) = (Vec::new(), 1);
    loop {
        let (_, length) = literal(&text[at..])?;
        elements.push(text[at..at + length].to_vec());
        at += length;
        match text.get(at)? {
            b']' => return Some((Token::Array(elements), at + 1)),
            b',' => at += 1,
            _ => return None,
        }
        at += text[at..].iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')).count();
    }
}

/// End of a run of at least `least` digits from `from`, of which at most `most` are taken.
fn digits(text: &[u8], from: usize, least: usize, most: usize) -> Option<usize> {
    let count = text.get(from..)?.iter().take(most).take_while(|b| b.is_ascii_digit()).count();
    (count >= least).then_some(from + count)
}

/// What lies behind `mark` at `at`.
fn expect(text: &[u8], at: usize, mark: u8) -> Option<usize> {
    (text.get(at) == Some(&mark)).then_some(at + 1)
}
