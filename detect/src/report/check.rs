//! Whether the times of a message can be true (spec/idea.md section 1, loop 4).
use super::time;
use serde_json::Value;

/// A day, microseconds.
const DAY: i64 = 86_400_000_000;

/// Whether EventTime, CeaseTime and DetectTime, as far as they are there, lie within the day before CreateTime. A message without
/// CreateTime passes; a time that cannot be read does not.
pub fn times_are_sane(message: &Value) -> bool {
    let at = |name: &str| message.get(name).map(|value| value.as_str().and_then(time::parse));
    match at("CreateTime") {
        None => true,
        Some(None) => false,
        Some(Some(created)) => {
            let mut times = ["EventTime", "CeaseTime", "DetectTime"].into_iter().filter_map(at);
            times.all(|time| time.is_some_and(|time| (created.saturating_sub(DAY)..=created).contains(&time)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn within_the_day_before() {
        let sane = |event: &str| times_are_sane(&json!({"CreateTime": "2023-01-02T10:00:00Z", "EventTime": event}));
        assert!(sane("2023-01-02T10:00:00Z") && sane("2023-01-01T10:00:00Z") && sane("2023-01-02T12:00:00+02:00"));
        assert!(!sane("2023-01-02T10:00:01Z") && !sane("2023-01-01T09:59:59Z") && !sane("yesterday"));
        assert!(times_are_sane(&json!({"EventTime": "1999-01-01T00:00:00Z"})));
    }
}
