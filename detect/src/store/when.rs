//! Times as people give them.
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// The text is no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "give how long ago (90s, 30m, 2h, 7d), a day (2026-11-22), a time (2026-11-22T14:00, local) or one with a zone (2026-11-22T14:00:00Z)"
)]
pub struct WhenError;

/// Milliseconds since 1970. A day is its start; what has no zone is in `zone`; spans count back from `now`.
///
/// # Errors
/// The text is none of these, or leaves the calendar.
pub fn parse(text: &str, now: Timestamp, zone: &TimeZone) -> Result<i64, WhenError> {
    let text = text.trim();
    let time = if text == "now" {
        Some(now)
    } else if let Some(ago) = span(text) {
        now.checked_sub(ago).ok()
    } else if let Ok(time) = text.parse::<Timestamp>() {
        Some(time)
    } else if let Ok(date) = text.parse::<DateTime>() {
        date.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp())
    } else {
        None
    };
    time.map(Timestamp::as_millisecond).ok_or(WhenError)
}

/// `30m`: a number and a unit.
fn span(text: &str) -> Option<SignedDuration> {
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    let number: i64 = text[..text.len() - 1].parse::<u32>().ok()?.into();
    number.checked_mul(unit).map(SignedDuration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_time() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let at = |text: &str| parse(text, now, &zone).map(|ms| Timestamp::from_millisecond(ms).unwrap().to_string());
        for (text, time) in [
            ("now", "2026-11-22T12:00:00Z"),
            ("90s", "2026-11-22T11:58:30Z"),
            ("2h", "2026-11-22T10:00:00Z"),
            ("7d", "2026-11-15T12:00:00Z"),
            ("2026-11-22", "2026-11-21T23:00:00Z"),
            ("2026-11-22T14:00", "2026-11-22T13:00:00Z"),
            ("2026-11-22T14:00:00Z", "2026-11-22T14:00:00Z"),
            ("2026-11-22T14:00:00+02:00", "2026-11-22T12:00:00Z"),
        ] {
            assert_eq!(at(text), Ok(time.to_owned()), "{text}");
        }
        for text in ["", "x", "h", "-2h", "1.5h", "99999999999d", "4294967295w", "2026-13-01", "yesterday", "ä"] {
            assert_eq!(at(text), Err(WhenError), "{text}");
        }
    }
}
