//! UniRec time: seconds since 1970 in the upper half of a u64, 2^-32 fractions in the lower (spec/unirec.md section 5).
//!
//! Milliseconds, microseconds and nanoseconds survive a round trip, as fractions do that were made from one of them.
use crate::Time;

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;
/// Seconds of a day.
const DAY: u64 = 86_400;

/// Fraction in units of 2^-32 s of `nanos` (below 10^9).
#[inline]
pub const fn frac_from_nanos(nanos: u32) -> u32 {
    // round(2^64 / 10^9); the product of a value below 10^9 fits 64 bits.
    ((nanos as u64).wrapping_mul(0x4_4B82_FA0A) >> 32) as u32
}

/// Nanoseconds of a fraction, 0 to 999 999 999: the nearest, which is the one that the fraction was made from.
///
/// The original rounds up. Its own [`frac_from_nanos`] overshoots a little, so that it answers one nanosecond more for some of
/// the values that it wrote itself; only [`Printer`] follows it there.
#[inline]
pub const fn nanos_from_frac(frac: u32) -> u32 {
    below_second((frac as u64 * SECOND + 0x8000_0000) >> 32)
}

/// Microseconds of a fraction as the original prints them: nanoseconds rounded up, then truncated.
#[inline]
const fn micros_from_frac(frac: u32) -> u32 {
    below_second((frac as u64 * SECOND + 0xffff_ffff) >> 32) / 1_000
}

/// The last fractions round to a whole second, which would make seven digits of microseconds in CSV.
#[inline]
const fn below_second(nanos: u64) -> u32 {
    if nanos >= SECOND { (SECOND - 1) as u32 } else { nanos as u32 }
}

/// Fixed point of a time; times from 2106 on become the last one that UniRec can say.
#[inline]
pub const fn to_fixed(time: Time) -> u64 {
    let secs = time.secs();
    if secs > u32::MAX as u64 { u64::MAX } else { secs << 32 | frac_from_nanos(time.subsec_nanos()) as u64 }
}

/// The time of a fixed point value.
#[inline]
pub const fn from_fixed(fixed: u64) -> Time {
    Time((fixed >> 32) * SECOND + nanos_from_frac(fixed as u32) as u64)
}

/// Reads `YYYY-MM-DDTHH:MM:SS`, optionally a fraction and a final `Z`, UTC. `None` for anything else and for what lies outside
/// of 1970 to 2106. Digits behind the ninth of the fraction are dropped; days behind the end of a month count on.
pub fn parse(text: &[u8]) -> Option<u64> {
    let (date, rest) = text.split_at_checked(19)?;
    let number = |from: usize, to: usize| {
        date[from..to].iter().try_fold(0u32, |n, b| b.is_ascii_digit().then(|| n * 10 + u32::from(b - b'0')))
    };
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if marks.iter().any(|(at, mark)| date[*at] != *mark) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    // A second of 60 is a leap second and counts as the next one.
    let in_range = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !in_range || year < 1970 {
        return None;
    }
    let frac = frac_from_nanos(parse_fraction(rest)?);
    let secs = days_until(year, month, day) * DAY + u64::from(hour * 3_600 + minute * 60 + second);
    Some(u64::from(u32::try_from(secs).ok()?) << 32 | u64::from(frac))
}

/// Prints times; remembers the last day, because rows in sequence share it.
#[derive(Clone, Debug)]
pub struct Printer {
    /// Days since 1970 of the text.
    day: u64,
    /// `YYYY-MM-DDT`.
    text: [u8; 11],
}

impl Default for Printer {
    fn default() -> Self {
        Printer { day: 0, text: *b"1970-01-01T" }
    }
}

impl Printer {
    /// Appends `YYYY-MM-DDTHH:MM:SS.uuuuuu`, microseconds truncated: the CSV form.
    pub fn micros(&mut self, out: &mut Vec<u8>, fixed: u64) {
        let mut text = [0; 26];
        text[..19].copy_from_slice(&self.clock(fixed >> 32));
        text[19] = b'.';
        let us = micros_from_frac(fixed as u32);
        for (i, part) in [us / 10_000, us / 100 % 100, us % 100].into_iter().enumerate() {
            text[20 + 2 * i..22 + 2 * i].copy_from_slice(&two(part));
        }
        out.extend_from_slice(&text);
    }

    /// Appends `YYYY-MM-DDTHH:MM:SS` of `secs` since 1970 (years up to 9999).
    pub fn seconds(&mut self, out: &mut Vec<u8>, secs: u64) {
        let text = self.clock(secs);
        out.extend_from_slice(&text);
    }

    #[inline]
    fn clock(&mut self, secs: u64) -> [u8; 19] {
        let (day, second) = (secs / DAY, (secs % DAY) as u32);
        if day != self.day {
            self.turn_page(day);
        }
        let mut text = *b"YYYY-MM-DDTHH:MM:SS";
        text[..11].copy_from_slice(&self.text);
        text[11..13].copy_from_slice(&two(second / 3_600));
        text[14..16].copy_from_slice(&two(second / 60 % 60));
        text[17..19].copy_from_slice(&two(second % 60));
        text
    }

    fn turn_page(&mut self, day: u64) {
        let (year, month, of_month) = date_of(day);
        self.day = day;
        self.text[..2].copy_from_slice(&two(year / 100));
        self.text[2..4].copy_from_slice(&two(year % 100));
        self.text[5..7].copy_from_slice(&two(month));
        self.text[8..10].copy_from_slice(&two(of_month));
    }
}

/// Nanoseconds of `.DIGITS` and an optional `Z`; both may be absent.
fn parse_fraction(text: &[u8]) -> Option<u32> {
    let text = text.strip_suffix(b"Z").or_else(|| text.strip_suffix(b"z")).unwrap_or(text);
    let Some(digits) = text.strip_prefix(b".") else { return text.is_empty().then_some(0) };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |at: usize| digits.get(at).map_or(0, |b| u32::from(b - b'0'));
    Some((0..9).fold(0, |n, at| n * 10 + digit(at)))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, from 1970 on. Years are counted from March, so that the leap day
/// is the last of its year.
fn days_until(year: u32, month: u32, day: u32) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_year = (153 * month + 2) / 5 + day - 1;
    // 719 468 days lie between 0000-03-01 and 1970-01-01.
    u64::from(year * 365 + year / 4 - year / 100 + year / 400 + of_year) - 719_468
}

/// Year, month and day of the month of a count of days since 1970; years behind 9999 are wrapped to four digits.
fn date_of(day: u64) -> (u32, u32, u32) {
    let day = day + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    ((year % 10_000) as u32, month as u32, of_month as u32)
}

/// Two decimal digits of a number below 100.
#[inline(always)]
fn two(n: u32) -> [u8; 2] {
    [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(fixed: u64) -> String {
        let mut out = Vec::new();
        Printer::default().micros(&mut out, fixed);
        String::from_utf8(out).unwrap()
    }

    /// The checked values of spec/unirec.md section 5.
    #[test]
    fn fractions_are_those_of_the_original() {
        for (nanos, bytes) in [
            (500_000_000, [0, 0, 0, 0x80]),
            (123_000_000, [0x91, 0xed, 0x7c, 0x1f]),
            (1_000, [0xc6, 0x10, 0, 0]),
            (999_999_999, [0xfb, 0xff, 0xff, 0xff]),
            (123_456_789, [0x37, 0xdd, 0x9a, 0x1f]),
        ] {
            assert_eq!(frac_from_nanos(nanos).to_le_bytes(), bytes);
            assert_eq!(nanos_from_frac(u32::from_le_bytes(bytes)), nanos);
        }
        assert_eq!(nanos_from_frac(u32::MAX), 999_999_999);
        // Written by ipfixprobe for .466977; rounding up would make it one nanosecond more and another fraction.
        assert_eq!((frac_from_nanos(466_977_000), nanos_from_frac(0x778b_cdff)), (0x778b_cdff, 466_977_000));
    }

    #[test]
    fn text_of_all_days_until_2106() {
        let mut printer = Printer::default();
        for day in 0..=u64::from(u32::MAX) / DAY {
            let mut out = Vec::new();
            printer.seconds(&mut out, day * DAY);
            assert_eq!(parse(&out), Some((day * DAY) << 32), "{}", String::from_utf8_lossy(&out));
        }
        assert_eq!(text(u64::MAX), "2106-02-07T06:28:15.999999");
        assert_eq!(text(parse(b"2024-02-29T23:59:59.9999999Z").unwrap()), "2024-02-29T23:59:59.999999");
        assert_eq!(parse(b"2024-02-31T00:00:60"), parse(b"2024-03-02T00:01:00z"));
    }

    #[test]
    fn what_is_no_time() {
        for bad in [
            "",
            "2024",
            "2024-01-01 00:00:00",
            "2024-13-01T00:00:00",
            "2024-01-01T24:00:00",
            "1969-12-31T23:59:59",
            "2106-02-07T06:28:16",
            "2024-01-01T00:00:00x",
            "2024-01-01T00:00:00.",
            "2024-01-01T00:00:00.1zz",
            "2024-1-01T00:00:000",
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn times_beyond_2106_stay_at_the_end() {
        assert_eq!(to_fixed(Time(u64::MAX)), u64::MAX);
        assert_eq!(from_fixed(to_fixed(Time(1_530_118_374_123_456_789))), Time(1_530_118_374_123_456_789));
    }
}
