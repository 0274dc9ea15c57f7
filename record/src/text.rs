//! Values as people read them, appended to a caller's buffer without allocation; shared by JSON, tables and messages.
use crate::value::{Mac, Time};
use std::io::Write;
use std::net::IpAddr;

/// Appends `192.0.2.1` or `2001:db8::1` (RFC 5952).
pub fn ip(out: &mut Vec<u8>, ip: IpAddr) {
    append(out, format_args!("{ip}"));
}

/// Appends `00:1a:2b:33:44:55`.
pub fn mac(out: &mut Vec<u8>, mac: Mac) {
    for (i, byte) in mac.iter().enumerate() {
        if i > 0 {
            out.push(b':');
        }
        hex_byte(out, *byte, LOWER);
    }
}

/// Appends UTC in RFC 3339 with microseconds: `2016-10-28T17:01:54.088536Z`. Nanoseconds are cut.
pub fn time(out: &mut Vec<u8>, t: Time) {
    date_time(out, t.secs());
    append(out, format_args!(".{:06}Z", t.subsec_nanos() / 1_000));
}

/// Appends lower-case hexadecimal.
pub fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    bytes.iter().for_each(|b| hex_byte(out, *b, LOWER));
}

/// Appends text for a terminal: UTF-8 as it is, control characters and bytes that are not UTF-8 as `\xNN`, a backslash as `\\`.
/// Reading it back gives the same bytes.
pub fn escaped(out: &mut Vec<u8>, text: &[u8]) {
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => out.extend_from_slice(b"\\\\"),
                c if c.is_control() => c.encode_utf8(&mut [0; 4]).bytes().for_each(|b| hex_escape(out, b)),
                c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        chunk.invalid().iter().for_each(|b| hex_escape(out, *b));
    }
}

/// Digits of hexadecimal numbers.
pub(crate) type Digits = &'static [u8; 16];
pub(crate) const LOWER: Digits = b"0123456789abcdef";
pub(crate) const UPPER: Digits = b"0123456789ABCDEF";

pub(crate) fn hex_byte(out: &mut Vec<u8>, byte: u8, digits: Digits) {
    out.extend_from_slice(&[digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]);
}

fn hex_escape(out: &mut Vec<u8>, byte: u8) {
    out.extend_from_slice(b"\\x");
    hex_byte(out, byte, LOWER);
}

/// Appends what `format_args!` made; numbers and addresses need no heap for that.
pub(crate) fn append(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing into a Vec cannot fail.
    let _ = out.write_fmt(text);
}

/// Appends `2016-10-28T17:01:54` of Unix seconds.
pub(crate) fn date_time(out: &mut Vec<u8>, secs: u64) {
    let (year, month, day) = civil(secs / 86_400);
    let (hour, minute, second) = (secs / 3_600 % 24, secs / 60 % 60, secs % 60);
    append(out, format_args!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"));
}

/// Year, month and day of a day since 1970-01-01 in the Gregorian calendar: years counted from March, in eras of 400 years.
fn civil(days: u64) -> (u64, u64, u64) {
    const ERA_DAYS: u64 = 146_097;
    // Days from 0000-03-01 to 1970-01-01.
    let days = days + 719_468;
    let (era, of_era) = (days / ERA_DAYS, days % ERA_DAYS);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(f: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        f(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times() {
        assert_eq!(with(|o| time(o, Time::from_micros(1_477_674_114_088_536))), "2016-10-28T17:01:54.088536Z");
        assert_eq!(with(|o| time(o, Time(0))), "1970-01-01T00:00:00.000000Z");
        assert_eq!(with(|o| time(o, Time(951_782_400_000_000_000))), "2000-02-29T00:00:00.000000Z");
        assert_eq!(with(|o| time(o, Time(4_107_542_399_000_000_000))), "2100-02-28T23:59:59.000000Z");
        assert_eq!(with(|o| time(o, Time(u64::MAX))), "2554-07-21T23:34:33.709551Z");
    }

    #[test]
    fn addresses() {
        assert_eq!(with(|o| mac(o, [0, 0x1a, 0x2b, 0x33, 0x44, 0x55])), "00:1a:2b:33:44:55");
        assert_eq!(with(|o| ip(o, "2001:db8:0::1".parse().unwrap())), "2001:db8::1");
        assert_eq!(with(|o| ip(o, "192.0.2.1".parse().unwrap())), "192.0.2.1");
    }

    #[test]
    fn text_stays_visible() {
        assert_eq!(with(|o| escaped(o, b"Milan\xe2\x80\x99s \\ \n\x00\xff")), "Milan\u{2019}s \\\\ \\x0a\\x00\\xff");
        assert_eq!(with(|o| hex(o, &[0, 0xab])), "00ab");
    }
}
