//! Harnesses: each takes any bytes and must return.
use super::{Cause, Document, Range, when};
use crate::nfdump::filter;
use jiff::{Timestamp, tz::TimeZone};

/// Any text as a document, an address and a time. What is indexed of a document is bounded, and a question for its flows is one that filters
/// can say.
pub fn fuzz_alert_store(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(document) = Document::read(&text) {
        assert!(document.addresses.len() <= 1024 && document.categories.len() <= 64 && document.nodes.len() <= 64);
    }
    if let Ok(document) = serde_json::from_str(&text) {
        for cause in [false, true].into_iter().filter_map(|with_answers| Cause::of(&document, with_answers)) {
            assert!(cause.from <= cause.until && filter::parse(&cause.filter).is_ok(), "{cause:?}");
        }
    }
    if let Ok(range) = text.parse::<Range>() {
        let (first, last) = range.keys();
        assert!(first <= last && first.len() == last.len());
    }
    let _: Result<i64, _> = when(&text, Timestamp::UNIX_EPOCH, &TimeZone::UTC);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes(data in prop::collection::vec(any::<u8>(), 0..200)) {
            fuzz_alert_store(&data);
        }

        #[test]
        fn nearly_addresses_and_times(text in "[0-9a-fTZ:./ +-]{0,30}[smhdw]?") {
            fuzz_alert_store(text.as_bytes());
        }

        #[test]
        fn nearly_documents(text in r#"\{"ID": "x"(, "(Source|Target|Node|Category|DetectTime)": (\[?"[0-9.:/-]{0,12}"\]?|\[\{"(IP4|IP6|Name)": \["[0-9.:/-]{0,20}"\]\}\]|\{\}|[0-9])){0,4}\}"#) {
            fuzz_alert_store(text.as_bytes());
        }
    }
}
