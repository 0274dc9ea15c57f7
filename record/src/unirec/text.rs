//! Values from text, with the tolerance of C's scanf (spec/unirec.md section 6.2, modules.md section 0).
use super::builder::Taken;
use super::{time, wire};
use crate::Kind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The text is no value of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// Wire form of a value: the bytes and how many of them count.
pub(super) type Wire = ([u8; wire::SCALAR_MAX], usize);

/// Reads a value of fixed size. Numbers may be followed by anything.
pub(super) fn scalar(kind: Kind, text: &[u8]) -> Result<(Wire, Taken), Unreadable> {
    let size = kind.size().ok_or(Unreadable)?;
    let mut out = [0; wire::SCALAR_MAX];
    let mut taken = Taken::Whole;
    let mut put = |bytes: &[u8]| out[..bytes.len()].copy_from_slice(bytes);
    match kind {
        Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 => put(&unsigned(text)?.to_le_bytes()),
        Kind::I8 | Kind::I16 | Kind::I32 | Kind::I64 => put(&signed(text)?.to_le_bytes()),
        Kind::Char => put(&[*text.first().ok_or(Unreadable)?]),
        Kind::F32 => put(&float(text, |t| t.parse::<f32>().ok(), |v| v as f32)?.to_le_bytes()),
        Kind::F64 => put(&float(text, |t| t.parse::<f64>().ok(), |v| v)?.to_le_bytes()),
        Kind::Ip => put(&wire::ip_to(ip(text)?)),
        Kind::Mac => put(&mac(text)?),
        Kind::Time => match time::parse(text) {
            Some(fixed) => put(&fixed.to_le_bytes()),
            None => taken = Taken::TimeUnreadable,
        },
        Kind::Text | Kind::Bytes | Kind::List(_) => return Err(Unreadable),
    }
    Ok(((out, size), taken))
}

/// Bytes of pairs of hexadecimal digits: an odd last digit is ignored, a pair ends at its first other character (`0G` is 0).
pub(super) fn hex_pairs(text: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let digit = |b: u8| (b as char).to_digit(16).map(|d| d as u8);
    text.chunks_exact(2).map(move |pair| match (digit(pair[0]), digit(pair[1])) {
        (Some(high), Some(low)) => high << 4 | low,
        (Some(low), None) => low,
        (None, _) => 0,
    })
}

/// `%u`: decimal, at the most 2^64-1, negated if a minus stands before it. The caller cuts to the width, which is the wrap.
fn unsigned(text: &[u8]) -> Result<u64, Unreadable> {
    let (negative, digits) = sign(text);
    let magnitude = number(digits, 10)?;
    Ok(match magnitude {
        Some(v) if negative => v.wrapping_neg(),
        Some(v) => v,
        None => u64::MAX,
    })
}

/// `%i`: decimal, or hexadecimal behind `0x`, or octal behind `0`; clamped to 64 bits, then cut to the width by the caller.
fn signed(text: &[u8]) -> Result<i64, Unreadable> {
    let (negative, digits) = sign(text);
    let magnitude = match digits {
        // A prefix without a digit behind it is the number 0 with a tail.
        [b'0', b'x' | b'X', rest @ ..] => number(rest, 16).unwrap_or(Some(0)),
        [b'0', ..] => number(digits, 8)?,
        _ => number(digits, 10)?,
    };
    Ok(match (negative, magnitude.and_then(|v| i64::try_from(v).ok())) {
        (false, Some(v)) => v,
        (true, Some(v)) => -v,
        (false, None) => i64::MAX,
        (true, None) => i64::MIN,
    })
}

/// Digits at the start of the text; `Ok(None)` is a number beyond 64 bits.
fn number(text: &[u8], radix: u32) -> Result<Option<u64>, Unreadable> {
    let mut digits = text.iter().map_while(|b| (*b as char).to_digit(radix)).peekable();
    digits.peek().ok_or(Unreadable)?;
    Ok(digits.try_fold(0u64, |n, d| n.checked_mul(radix.into())?.checked_add(d.into())))
}

/// Skips white space and takes an optional sign; true is minus.
fn sign(text: &[u8]) -> (bool, &[u8]) {
    let blanks = text.iter().take_while(|b| b.is_ascii_whitespace() || **b == 0x0b).count();
    match &text[blanks..] {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    }
}

/// `%f`: the longest start of the text that is a number, `inf`, `nan` or hexadecimal floating point.
fn float<T: std::ops::Neg<Output = T>>(
    text: &[u8],
    decimal: impl Fn(&str) -> Option<T>,
    narrow: impl Fn(f64) -> T,
) -> Result<T, Unreadable> {
    let (negative, text) = sign(text);
    let word = |w: &[u8]| text.get(..w.len()).is_some_and(|t| t.eq_ignore_ascii_case(w));
    let value = if word(b"inf") {
        narrow(f64::INFINITY)
    } else if word(b"nan") {
        narrow(f64::NAN)
    } else if let Some(value) = word(b"0x").then(|| hex_float(&text[2..])).flatten() {
        narrow(value)
    } else {
        // The bytes that `decimal_length` accepts are ASCII.
        let digits = std::str::from_utf8(&text[..decimal_length(text)]).map_err(|_| Unreadable)?;
        decimal(digits).ok_or(Unreadable)?
    };
    Ok(if negative { -value } else { value })
}

/// Length of `DIGITS[.DIGITS][eEXP]` at the start of the text, 0 if there is no digit.
fn decimal_length(text: &[u8]) -> usize {
    let digits = |from: usize| text.get(from..).unwrap_or(&[]).iter().take_while(|b| b.is_ascii_digit()).count();
    let whole = digits(0);
    let mut end = whole;
    if text.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        if whole + fraction == 0 {
            return 0;
        }
        end += 1 + fraction;
    }
    if end > 0 && matches!(text.get(end), Some(b'e' | b'E')) {
        let signed = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + signed);
        if exponent > 0 {
            end += 1 + signed + exponent;
        }
    }
    end
}

/// `HEX[.HEX][pEXP]` behind `0x`; digits beyond the precision of the mantissa count for the magnitude only.
fn hex_float(text: &[u8]) -> Option<f64> {
    let (mut mantissa, mut exponent, mut seen, mut point, mut at) = (0u64, 0i32, false, false, 0);
    while let Some(b) = text.get(at) {
        if *b == b'.' && !point {
            point = true;
        } else if let Some(digit) = (*b as char).to_digit(16) {
            seen = true;
            if mantissa >> 60 == 0 {
                mantissa = mantissa << 4 | u64::from(digit);
                exponent -= 4 * i32::from(point);
            } else {
                exponent = exponent.saturating_add(4 * i32::from(!point));
            }
        } else {
            break;
        }
        at += 1;
    }
    if matches!(text.get(at), Some(b'p' | b'P')) {
        let (negative, digits) = sign(&text[at + 1..]);
        if let Ok(power) = number(digits, 10) {
            let power = power.map_or(9_999, |p| p.min(9_999)) as i32;
            exponent = exponent.saturating_add(if negative { -power } else { power });
        }
    }
    // Two steps, because one power of two alone may leave the range although the product does not.
    let half = exponent.clamp(-4_000, 4_000) / 2;
    let rest = exponent.clamp(-4_000, 4_000) - half;
    seen.then(|| mantissa as f64 * 2f64.powi(half) * 2f64.powi(rest))
}

/// A colon makes it IPv6; nothing may follow (inet_pton).
fn ip(text: &[u8]) -> Result<IpAddr, Unreadable> {
    let text = std::str::from_utf8(text).map_err(|_| Unreadable)?;
    if text.contains(':') {
        text.parse::<Ipv6Addr>().map(IpAddr::V6).map_err(|_| Unreadable)
    } else {
        text.parse::<Ipv4Addr>().map(IpAddr::V4).map_err(|_| Unreadable)
    }
}

/// Six groups of one or two hexadecimal digits; what follows is ignored.
fn mac(text: &[u8]) -> Result<[u8; 6], Unreadable> {
    let mut out = [0; 6];
    let mut rest = text;
    for (i, octet) in out.iter_mut().enumerate() {
        if i > 0 {
            rest = rest.strip_prefix(b":").ok_or(Unreadable)?;
        }
        let digits = rest.iter().take(2).take_while(|b| b.is_ascii_hexdigit()).count();
        *octet = number(&rest[..digits], 16)?.ok_or(Unreadable)? as u8;
        rest = &rest[digits..];
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(kind: Kind, text: &str) -> Option<String> {
        let ((bytes, size), _) = scalar(kind, text.as_bytes()).ok()?;
        Some(bytes[..size].iter().map(|b| format!("{b:02x}")).collect())
    }

    #[test]
    fn numbers_read_as_scanf_reads_them() {
        for (kind, text, want) in [
            (Kind::U8, "300", "2c"),
            (Kind::U8, "-1", "ff"),
            (Kind::U16, "70000", "7011"),
            (Kind::U8, " \t+7x", "07"),
            (Kind::U16, "0x10", "0000"),
            (Kind::I16, "0x10", "1000"),
            (Kind::I16, "010", "0800"),
            (Kind::I8, "-0x1", "ff"),
            (Kind::I8, "09", "00"),
            (Kind::I8, "0x", "00"),
            (Kind::U64, "99999999999999999999", "ffffffffffffffff"),
            (Kind::I64, "-99999999999999999999", "0000000000000080"),
            (Kind::I64, "-9000000000", "00e68ee7fdffffff"),
            (Kind::F64, "-1.25", "000000000000f4bf"),
            (Kind::F32, ".5e0junk", "0000003f"),
            (Kind::F32, "1e", "0000803f"),
            (Kind::F64, "0x1.8p1", "0000000000000840"),
            (Kind::F32, "INFinity", "0000807f"),
            (Kind::F32, "1e3", "00007a44"),
            (Kind::Char, "xyz", "78"),
            (Kind::Mac, "0:1:2:3:4:5 tail", "000102030405"),
            (Kind::F64, "0x", "0000000000000000"),
        ] {
            assert_eq!(hex(kind, text).as_deref(), Some(want), "{kind:?} {text}");
        }
        assert!(hex(Kind::F32, "nan").is_some());
    }

    #[test]
    fn what_is_unreadable() {
        for (kind, text) in [
            (Kind::U8, ""),
            (Kind::U8, "x"),
            (Kind::I8, "-"),
            (Kind::F32, "."),
            (Kind::F64, "e5"),
            (Kind::Char, ""),
            (Kind::Ip, "1.2.3"),
            (Kind::Ip, "1.2.3.4 "),
            (Kind::Ip, "::g"),
            (Kind::Mac, "0:1:2:3:4"),
            (Kind::Mac, "0:1:2:3:4:x"),
        ] {
            assert_eq!(hex(kind, text), None, "{kind:?} {text}");
        }
    }

    #[test]
    fn addresses_and_bytes() {
        assert_eq!(hex(Kind::Ip, "0.0.0.0").as_deref(), Some("000000000000000000000000ffffffff"));
        assert_eq!(hex(Kind::Ip, "::ffff:1.2.3.4").as_deref(), Some("00000000000000000000ffff01020304"));
        assert_eq!(hex_pairs(b"0GdeADf").collect::<Vec<_>>(), [0, 0xde, 0xad]);
        let (_, taken) = scalar(Kind::Time, b"yesterday").unwrap();
        assert_eq!(taken, Taken::TimeUnreadable);
    }
}
