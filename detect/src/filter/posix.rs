//! POSIX extended regular expressions in the notation of the crate `regex`.
//!
//! Values are bytes (the originals run in the C locale), the point takes a newline, `^` and `$` are the ends of the value. Inside of
//! brackets a backslash is itself; outside, GNU's `\w \W \s \S \b \B \< \>` are known, other escaped characters are themselves.
//! Back references are not: an expression with one does not compile.
use regex::bytes::{Regex, RegexBuilder};

/// Memory of a compiled expression, bytes; a bound for hostile or careless ones like `(a{1000}){1000}`.
const COMPILED_MAX: usize = 1 << 20;

/// Why an expression is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RegexError {
    #[error("back references are not supported: \\{0}")]
    BackReference(char),
    #[error("unmatched [")]
    Bracket,
    #[error("trailing backslash")]
    Backslash,
    #[error("{0}")]
    Regex(String),
}

/// Compiles a POSIX expression.
pub(super) fn compile(posix: &[u8]) -> Result<Regex, RegexError> {
    let pattern = translate(posix)?;
    let built = RegexBuilder::new(&pattern)
        .unicode(false)
        .dot_matches_new_line(true)
        .size_limit(COMPILED_MAX)
        .dfa_size_limit(COMPILED_MAX)
        .nest_limit(100)
        .build();
    built.map_err(|why| RegexError::Regex(why.to_string().lines().last().unwrap_or_default().to_owned()))
}

fn translate(posix: &[u8]) -> Result<String, RegexError> {
    let mut out = String::with_capacity(posix.len() + 8);
    let mut at = 0;
    while let Some(b) = posix.get(at) {
        at += 1;
        match b {
            b'\\' => {
                match *posix.get(at).ok_or(RegexError::Backslash)? {
                    known @ (b'w' | b'W' | b's' | b'S' | b'b' | b'B') => out.extend(['\\', known as char]),
                    b'<' => out.push_str(r"\b{start}"),
                    b'>' => out.push_str(r"\b{end}"),
                    digit @ b'1'..=b'9' => return Err(RegexError::BackReference(digit as char)),
                    other => literal(&mut out, other),
                }
                at += 1;
            }
            b'[' => at = bracket(posix, at, &mut out)?,
            b'{' => match interval(&posix[at..]) {
                Some((text, length)) => {
                    out.push_str(&text);
                    at += length;
                }
                None => out.push_str(r"\{"),
            },
            // Behind another repetition `?` would make that one lazy; here it makes it optional.
            b'?' => out.push_str("{0,1}"),
            b'^' | b'$' | b'.' | b'(' | b')' | b'|' | b'*' | b'+' => out.push(*b as char),
            other => literal(&mut out, *other),
        }
    }
    Ok(out)
}

/// A byte that stands for itself.
fn literal(out: &mut String, byte: u8) {
    if byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b' ' | b'_' | b'/' | b'"' | b'\'' | b':' | b';' | b',' | b'<' | b'>' | b'=' | b'@' | b'!' | b'%'
        )
    {
        out.push(byte as char);
    } else {
        out.push_str(&format!("\\x{byte:02x}"));
    }
}

/// `m}`, `m,}`, `m,n}` or `,n}` behind an opening brace.
fn interval(text: &[u8]) -> Option<(String, usize)> {
    let end = text.iter().take(12).position(|b| *b == b'}')?;
    let inner = std::str::from_utf8(&text[..end]).ok()?;
    let (least, most) = inner.split_once(',').map_or((inner, None), |(least, most)| (least, Some(most)));
    let number = |n: &str| n.bytes().all(|b| b.is_ascii_digit()) && n.len() < 5;
    if !number(least) || !most.is_none_or(number) || (least.is_empty() && most.is_none_or(str::is_empty)) {
        return None;
    }
    let least = if least.is_empty() { "0" } else { least };
    let text = most.map_or_else(|| format!("{{{least}}}"), |most| format!("{{{least},{most}}}"));
    Some((text, end + 1))
}

/// A bracket expression whose content begins at `at`; answers what lies behind it.
fn bracket(posix: &[u8], mut at: usize, out: &mut String) -> Result<usize, RegexError> {
    out.push('[');
    if posix.get(at) == Some(&b'^') {
        out.push('^');
        at += 1;
    }
    let first = at;
    loop {
        match (posix.get(at).ok_or(RegexError::Bracket)?, posix.get(at + 1)) {
            (b']', _) if at > first => {
                out.push(']');
                return Ok(at + 1);
            }
            (b'[', Some(b':')) => {
                let rest = &posix[at..];
                // Behind the opening: the colon of `[:]` ends nothing.
                let name = rest[2..].windows(2).position(|pair| pair == b":]").ok_or(RegexError::Bracket)?;
                if !rest[2..2 + name].iter().all(u8::is_ascii_lowercase) {
                    return Err(RegexError::Bracket);
                }
                let end = name + 4;
                out.extend(rest[..end].iter().map(|b| *b as char));
                at += end;
            }
            _ => {
                let (low, behind) = element(posix, at)?;
                literal_in_bracket(out, low);
                at = behind;
                if posix.get(at) == Some(&b'-') && posix.get(at + 1).is_some_and(|b| *b != b']') {
                    let (high, behind) = element(posix, at + 1)?;
                    out.push('-');
                    literal_in_bracket(out, high);
                    at = behind;
                }
            }
        }
    }
}

/// One character of a bracket expression: itself, `[.x.]` or `[=x=]`.
fn element(posix: &[u8], at: usize) -> Result<(u8, usize), RegexError> {
    match &posix[at..] {
        [b'[', b'.', c, b'.', b']', ..] | [b'[', b'=', c, b'=', b']', ..] => Ok((*c, at + 5)),
        [c, ..] => Ok((*c, at + 1)),
        [] => Err(RegexError::Bracket),
    }
}

fn literal_in_bracket(out: &mut String, byte: u8) {
    if byte.is_ascii_alphanumeric() { out.push(byte as char) } else { out.push_str(&format!("\\x{byte:02x}")) }
}
