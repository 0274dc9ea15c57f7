//! Times of IDEA messages: RFC 3339 in UTC, whole seconds when we write them (spec/idea.md section 1).
use jiff::Timestamp;
use record::Time;

/// How a time is written.
const FORMAT: &str = "%Y-%m-%dT%H:%M:%SZ";

/// Members of a message that are dates in the NEMEA Dashboard (spec/idea.md section 2.4).
pub(crate) const DATES: [&str; 6] =
    ["CreateTime", "DetectTime", "EventTime", "CeaseTime", "WinStartTime", "WinEndTime"];

/// The time of the machine.
pub fn now() -> String {
    Timestamp::now().strftime(FORMAT).to_string()
}

/// The time of a record; the fraction is dropped.
pub fn of_record(time: Time) -> String {
    of_seconds(i64::try_from(time.secs()).unwrap_or(i64::MAX))
}

/// Seconds since 1970; the fraction is dropped. What no calendar has is 1970.
pub fn of_float(seconds: f64) -> String {
    of_seconds(seconds as i64)
}

fn of_seconds(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap_or_default().strftime(FORMAT).to_string()
}

/// Microseconds since 1970 of `YYYY-MM-DDTHH:MM:SS[.digits](Z|+HH:MM)`; a blank may stand for the `T`, and no zone is UTC.
pub fn parse(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let is_form = bytes.len() >= 19
        && text.is_ascii()
        && bytes[..19].iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            10 => matches!(byte, b'T' | b't' | b' '),
            13 | 16 => *byte == b':',
            _ => byte.is_ascii_digit(),
        });
    if !is_form {
        return None;
    }
    let (clock, rest) = text.split_at(19);
    let digits = rest.strip_prefix('.').map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    let (fraction, zone) = if digits > 0 { rest[1..].split_at(digits) } else { ("", rest) };
    let seconds: jiff::civil::DateTime = clock.to_ascii_uppercase().replace(' ', "T").parse().ok()?;
    let seconds = seconds.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    let micros: i64 = format!("{fraction:0<6}")[..6].parse().ok()?;
    let offset = match zone {
        "" | "Z" | "z" => 0,
        _ => {
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let is_two = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
            let sign = match zone.as_bytes()[0] {
                b'+' => 1,
                b'-' => -1,
                _ => return None,
            };
            if !is_two(hours) || !is_two(minutes) {
                return None;
            }
            sign * (hours.parse::<i64>().ok()? * 3_600 + minutes.parse::<i64>().ok()? * 60)
        }
    };
    (seconds - offset).checked_mul(1_000_000)?.checked_add(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_all_spellings() {
        let at = 1_672_654_500_000_000;
        assert_eq!(parse("2023-01-02T10:15:00Z"), Some(at));
        assert_eq!(parse("2023-01-02t12:15:00.5+02:00"), Some(at + 500_000));
        assert_eq!(parse("2023-01-02 08:45:00.1234567-01:30"), Some(at + 123_456));
        for bad in [
            "",
            "2023-01-02",
            "2023-13-02T10:15:00Z",
            "2023-01-02T10:15:00X",
            "2023-01-02T10:15:00+1:00",
            "2023-01-02T10:15:00Z ",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(of_float(1_672_654_500.9), "2023-01-02T10:15:00Z");
        assert_eq!(of_record(Time(1_672_654_500_999_999_999)), "2023-01-02T10:15:00Z");
        assert_eq!(of_float(f64::NAN), "1970-01-01T00:00:00Z");
    }
}
