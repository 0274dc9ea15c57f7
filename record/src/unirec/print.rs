//! Values as text, without format machinery (spec/unirec.md sections 4 and 6.1).
use super::wire;
use std::io::Write;
use std::net::IpAddr;

const DIGITS: &[u8; 200] = b"0001020304050607080910111213141516171819\
2021222324252627282930313233343536373839\
4041424344454647484950515253545556575859\
6061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";
const HEX: &[u8; 16] = b"0123456789abcdef";

/// Decimal.
#[inline]
pub(super) fn uint(out: &mut Vec<u8>, mut v: u64) {
    if v < 10 {
        return out.push(b'0' + v as u8);
    }
    let length = v.ilog10() as usize + 1;
    let mut text = [0; 20];
    let mut at = length;
    while v >= 10 {
        let pair = 2 * (v % 100) as usize;
        at -= 2;
        text[at..at + 2].copy_from_slice(&DIGITS[pair..pair + 2]);
        v /= 100;
    }
    if at > 0 {
        text[0] = b'0' + v as u8;
    }
    put(out, text, length);
}

/// Appends the first bytes of `text`: copying all and cutting is a few stores, copying some is a call.
#[inline(always)]
fn put<const N: usize>(out: &mut Vec<u8>, text: [u8; N], length: usize) {
    let end = out.len() + length;
    out.extend_from_slice(&text);
    out.truncate(end);
}

#[inline]
pub(super) fn int(out: &mut Vec<u8>, v: i64) {
    if v < 0 {
        out.push(b'-');
    }
    uint(out, v.unsigned_abs());
}

/// C's `%f`: six decimals, rounded half to even on the exact value.
pub(super) fn float(out: &mut Vec<u8>, v: f64) {
    if v.is_sign_negative() {
        out.push(b'-');
    }
    let bits = v.to_bits();
    let (exponent, fraction) = ((bits >> 52 & 0x7ff) as i32, bits & ((1 << 52) - 1));
    if exponent == 0x7ff {
        return out.extend_from_slice(if fraction == 0 { b"inf" } else { b"nan" });
    }
    // v = mantissa * 2^power; the product with 10^6 has at most 73 bits.
    let (mantissa, power) = if exponent == 0 { (fraction, -1_074) } else { (fraction | 1 << 52, exponent - 1_075) };
    let millionths = u128::from(mantissa) * 1_000_000;
    if power > 50 {
        // Beyond 2^102 there are no decimals to round, and speed is of no matter.
        let _ = write!(out, "{:.6}", v.abs()); // A Vec takes every write.
        return;
    }
    let rounded = if power >= 0 { millionths << power } else { half_even(millionths, power.unsigned_abs()) };
    let (whole, decimals) = if let Ok(small) = u64::try_from(rounded) {
        uint(out, small / 1_000_000);
        return six(out, small % 1_000_000);
    } else {
        (rounded / 1_000_000, (rounded % 1_000_000) as u64)
    };
    let _ = write!(out, "{whole}"); // As above.
    six(out, decimals);
}

/// `v / 2^shift`, halves to even.
fn half_even(v: u128, shift: u32) -> u128 {
    if shift > 100 {
        return 0; // v < 2^73, so the quotient is far below one half.
    }
    let (quotient, rest, half) = (v >> shift, v & ((1 << shift) - 1), 1 << (shift - 1));
    quotient + u128::from(rest > half || (rest == half && quotient & 1 == 1))
}

fn six(out: &mut Vec<u8>, v: u64) {
    let mut text = *b".000000";
    for (i, pair) in [v / 10_000, v / 100 % 100, v % 100].into_iter().enumerate() {
        let pair = 2 * pair as usize;
        text[1 + 2 * i..3 + 2 * i].copy_from_slice(&DIGITS[pair..pair + 2]);
    }
    out.extend_from_slice(&text);
}

/// An address in UniRec form as inet_ntop prints it.
#[inline]
pub(super) fn ip(out: &mut Vec<u8>, address: [u8; 16]) {
    match wire::ip_from(address) {
        IpAddr::V4(v4) => dotted(out, v4.octets()),
        IpAddr::V6(v6) => ipv6(out, v6.segments()),
    }
}

#[inline]
fn dotted(out: &mut Vec<u8>, octets: [u8; 4]) {
    let mut text = [0; 16];
    let mut end = 0;
    for (i, octet) in octets.into_iter().enumerate() {
        if i > 0 {
            text[end] = b'.';
            end += 1;
        }
        if octet >= 100 {
            text[end] = b'0' + octet / 100;
            end += 1;
        }
        if octet >= 10 {
            text[end] = b'0' + octet / 10 % 10;
            end += 1;
        }
        text[end] = b'0' + octet % 10;
        end += 1;
    }
    put(out, text, end);
}

/// Lower case; the first longest run of two or more zero groups is `::`; IPv4-mapped and IPv4-compatible tails are dotted.
fn ipv6(out: &mut Vec<u8>, groups: [u16; 8]) {
    let (mut start, mut length, mut at) = (8, 1, 0);
    while at < 8 {
        let run = groups[at..].iter().take_while(|g| **g == 0).count();
        if run > length {
            (start, length) = (at, run);
        }
        at += run.max(1);
    }
    let embedded = start == 0 && (length == 6 || (length == 5 && groups[5] == 0xffff));
    let mut at = 0;
    while at < 8 {
        if at == start {
            out.extend_from_slice(b"::");
            at += length;
            continue;
        }
        if at > 0 && at != start + length {
            out.push(b':');
        }
        if embedded && at == 6 {
            let ([a, b], [c, d]) = (groups[6].to_be_bytes(), groups[7].to_be_bytes());
            return dotted(out, [a, b, c, d]);
        }
        hex_group(out, groups[at]);
        at += 1;
    }
}

fn hex_group(out: &mut Vec<u8>, group: u16) {
    let digits = [12, 8, 4, 0].map(|shift| HEX[usize::from(group >> shift & 15)]);
    out.extend_from_slice(&digits[(group.leading_zeros() as usize / 4).min(3)..]);
}

#[inline]
pub(super) fn mac(out: &mut Vec<u8>, mac: [u8; 6]) {
    let mut text = *b"00:00:00:00:00:00";
    for (i, octet) in mac.into_iter().enumerate() {
        text[3 * i] = HEX[usize::from(octet >> 4)];
        text[3 * i + 1] = HEX[usize::from(octet & 15)];
    }
    out.extend_from_slice(&text);
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(2 * bytes.len());
    for b in bytes {
        out.extend_from_slice(&[HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]);
    }
}

/// In double quotes: quotes doubled, newline becomes a space, every other byte that is not printable ASCII is dropped.
#[inline]
pub(super) fn quoted(out: &mut Vec<u8>, text: &[u8]) {
    let plain = |b: &u8| matches!(b, b' '..=b'~') && *b != b'"';
    out.push(b'"');
    let mut rest = text;
    while !rest.is_empty() {
        let run = rest.iter().position(|b| !plain(b)).unwrap_or(rest.len());
        out.extend_from_slice(&rest[..run]);
        match rest.get(run) {
            Some(b'"') => out.extend_from_slice(b"\"\""),
            Some(b'\n') => out.push(b' '),
            _ => {}
        }
        rest = rest.get(run + 1..).unwrap_or(&[]);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv6Addr;

    fn text(print: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        print(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn integers() {
        for v in [0, 9, 10, 99, 100, 12_345, u64::MAX] {
            assert_eq!(text(|o| uint(o, v)), v.to_string());
        }
        assert_eq!(text(|o| int(o, i64::MIN)), i64::MIN.to_string());
    }

    #[test]
    fn floats_are_those_of_printf() {
        for (v, want) in [
            (f64::from(1e20_f32), "100000002004087734272.000000"),
            (-1.25, "-1.250000"),
            (f64::INFINITY, "inf"),
            (f64::NAN, "nan"),
            (-0.0, "-0.000000"),
            (0.000_000_5, "0.000000"),
            (0.000_001_5, "0.000002"),
            (f64::MIN_POSITIVE, "0.000000"),
            (5e-324, "0.000000"),
            (0.999_999_9, "1.000000"),
            (2f64.powi(-7), "0.007812"),
            (3.0 * 2f64.powi(-7), "0.023438"),
        ] {
            assert_eq!(text(|o| float(o, v)), want, "{v:e}");
        }
        assert_eq!(text(|o| float(o, f64::MAX)), format!("{:.6}", f64::MAX));
    }

    #[test]
    fn addresses_are_those_of_inet_ntop() {
        for (address, want) in [
            ("::", "::"),
            ("::1", "::1"),
            ("1::", "1::"),
            ("2001:db8::1", "2001:db8::1"),
            ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
            ("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"),
            ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
            ("::102:304", "::1.2.3.4"),
            ("0:1::", "0:1::"),
            ("fe80::a2f3:c1ff:fe16:5aca", "fe80::a2f3:c1ff:fe16:5aca"),
            ("1:0:0:2:3:0:0:4", "1::2:3:0:0:4"),
        ] {
            assert_eq!(text(|o| ip(o, address.parse::<Ipv6Addr>().unwrap().octets())), want);
        }
        assert_eq!(text(|o| dotted(o, [255, 0, 10, 9])), "255.0.10.9");
    }

    #[test]
    fn strings_lose_what_is_not_printable() {
        assert_eq!(text(|o| quoted(o, "čau\nx\ty\\z \"q\"".as_bytes())), r#""au xy\z ""q""""#);
    }
}
