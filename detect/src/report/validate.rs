//! Whether a message is IDEA0: a checker of what its schema says about names, types, times, addresses and categories.
//!
//! It is lenient where IDEA is: members that the definition does not know are allowed.
use super::condition::AddressRange;
use super::time;
use serde_json::{Map, Value};

/// Faults that are told of one message, at the most.
const FAULTS_MAX: usize = 16;

/// What a member must be.
#[derive(Clone, Copy)]
enum Form {
    Text,
    Texts,
    Time,
    /// `[<days>D]HH:MM:SS`
    Span,
    /// A whole number that is not negative.
    Count,
    /// Whole numbers.
    Counts,
    /// Numbers or ranges of them as text, such as `80-90`.
    Ports,
    /// From 0 to 1.
    Share,
    Flag,
    Categories,
    Addresses4,
    Addresses6,
    Sides,
    Nodes,
    Objects,
}

const TOP: &[(&str, Form)] = &[
    ("ID", Form::Text),
    ("AltNames", Form::Texts),
    ("CorrelID", Form::Texts),
    ("AggrID", Form::Texts),
    ("PredID", Form::Texts),
    ("RelID", Form::Texts),
    ("CreateTime", Form::Time),
    ("DetectTime", Form::Time),
    ("EventTime", Form::Time),
    ("CeaseTime", Form::Time),
    ("WinStartTime", Form::Time),
    ("WinEndTime", Form::Time),
    ("ConnCount", Form::Count),
    ("FlowCount", Form::Count),
    ("PacketCount", Form::Count),
    ("ByteCount", Form::Count),
    ("Category", Form::Categories),
    ("Ref", Form::Texts),
    ("Confidence", Form::Share),
    ("Description", Form::Text),
    ("Note", Form::Text),
    ("Source", Form::Sides),
    ("Target", Form::Sides),
    ("Attach", Form::Objects),
    ("Node", Form::Nodes),
];

const SIDE: &[(&str, Form)] = &[
    ("Type", Form::Texts),
    ("Hostname", Form::Texts),
    ("IP4", Form::Addresses4),
    ("IP6", Form::Addresses6),
    ("MAC", Form::Texts),
    ("Port", Form::Ports),
    ("Proto", Form::Texts),
    ("URL", Form::Texts),
    ("Email", Form::Texts),
    ("AttachHand", Form::Texts),
    ("Note", Form::Text),
    ("Spoofed", Form::Flag),
    ("Imprecise", Form::Flag),
    ("Anonymised", Form::Flag),
    ("ASN", Form::Counts),
    ("Router", Form::Texts),
    ("Netname", Form::Texts),
    ("Ref", Form::Texts),
];

const NODE: &[(&str, Form)] =
    &[("Name", Form::Text), ("Type", Form::Texts), ("SW", Form::Texts), ("AggrWin", Form::Span), ("Note", Form::Text)];

/// What must be there.
const REQUIRED: [&str; 4] = ["Format", "ID", "DetectTime", "Category"];

/// What is wrong with a message; nothing if it is IDEA0.
pub fn faults(message: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let Some(members) = message.as_object() else { return vec!["it is no object".into()] };
    if members.get("Format").is_some_and(|format| format != "IDEA0") {
        faults.push("Format is not IDEA0".into());
    }
    faults
        .extend(REQUIRED.iter().filter(|name| !members.contains_key(**name)).map(|name| format!("{name} is missing")));
    check(members, TOP, "", &mut faults);
    faults.truncate(FAULTS_MAX);
    faults
}

fn check(members: &Map<String, Value>, forms: &[(&str, Form)], place: &str, faults: &mut Vec<String>) {
    for (name, form) in forms {
        if let Some(value) = members.get(*name)
            && faults.len() < FAULTS_MAX
        {
            let place = format!("{place}{name}");
            match form {
                Form::Sides | Form::Nodes | Form::Objects => objects(value, *form, &place, faults),
                _ if !fits(value, *form) => faults.push(format!("{place} is not {}", form.name())),
                _ => {}
            }
        }
    }
}

fn objects(value: &Value, form: Form, place: &str, faults: &mut Vec<String>) {
    let Some(items) = value.as_array() else {
        faults.push(format!("{place} is not a list"));
        return;
    };
    for (at, item) in items.iter().enumerate().take_while(|(at, _)| *at < 10_000) {
        let place = format!("{place}[{}].", at + 1);
        match (item.as_object(), form) {
            (None, _) => faults.push(format!("{place} is not an object")),
            (Some(members), Form::Sides) => check(members, SIDE, &place, faults),
            (Some(members), Form::Nodes) => check(members, NODE, &place, faults),
            (Some(_), _) => {}
        }
    }
}

fn fits(value: &Value, form: Form) -> bool {
    let all = |fits: &dyn Fn(&Value) -> bool| value.as_array().is_some_and(|items| items.iter().all(fits));
    let all_texts = |fits: &dyn Fn(&str) -> bool| all(&|item| item.as_str().is_some_and(fits));
    match form {
        Form::Text => value.is_string(),
        Form::Texts => all_texts(&|_| true),
        Form::Time => value.as_str().is_some_and(|text| time::parse(text).is_some() && is_zoned(text)),
        Form::Span => value.as_str().is_some_and(is_span),
        Form::Count => value.is_u64(),
        Form::Counts => all(&Value::is_u64),
        Form::Ports => all(&|item| match item {
            Value::String(text) => text.split('-').all(|part| part.parse::<u16>().is_ok()),
            other => other.as_u64().is_some_and(|port| port <= u16::MAX.into()),
        }),
        Form::Share => value.as_f64().is_some_and(|share| (0.0..=1.0).contains(&share)),
        Form::Flag => value.is_boolean(),
        Form::Categories => all_texts(&is_category) && value.as_array().is_some_and(|items| !items.is_empty()),
        Form::Addresses4 => all_texts(&|text| !text.contains(':') && text.parse::<AddressRange>().is_ok()),
        Form::Addresses6 => all_texts(&|text| text.contains(':') && text.parse::<AddressRange>().is_ok()),
        Form::Sides | Form::Nodes | Form::Objects => true,
    }
}

/// A time of RFC 3339 names its zone.
fn is_zoned(text: &str) -> bool {
    text.len() > 19 && (text.ends_with(['Z', 'z']) || text[19..].contains(['+', '-']))
}

fn is_span(text: &str) -> bool {
    let (days, clock) = text.split_once(['D', 'd']).unwrap_or(("0", text));
    let is_number = |text: &str| !text.is_empty() && text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit());
    is_number(days) && clock.split(':').count() == 3 && clock.split(':').all(|part| part.len() == 2 && is_number(part))
}

/// `Category.Sub` in words of letters, as `Recon.Scanning`; `Test` alone.
fn is_category(text: &str) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    text.len() <= 128 && text.split('.').count() <= 4 && text.split('.').all(is_word)
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Form::Text => "a text",
            Form::Texts => "a list of texts",
            Form::Time => "a time of RFC 3339",
            Form::Span => "a span such as 00:05:00",
            Form::Count => "a whole number",
            Form::Counts => "a list of whole numbers",
            Form::Ports => "a list of ports",
            Form::Share => "a number from 0 to 1",
            Form::Flag => "true or false",
            Form::Categories => "a list of categories such as Recon.Scanning",
            Form::Addresses4 => "a list of IPv4 addresses, prefixes or ranges",
            Form::Addresses6 => "a list of IPv6 addresses, prefixes or ranges",
            Form::Sides | Form::Nodes | Form::Objects => "a list of objects",
        }
    }
}

/// Any JSON: it has faults or not, and no end of them.
pub fn fuzz_validate(input: &[u8]) {
    if let Ok(message) = serde_json::from_slice(input) {
        assert!(faults(&message).len() <= FAULTS_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::idea;
    use serde_json::json;

    #[test]
    fn what_mappings_make_is_idea() {
        let mut message = idea::begin(&["Recon.Scanning"], "x", &["Flow"]);
        idea::extend(
            &mut message,
            json!({"DetectTime": "2023-01-02T10:15:00Z", "Confidence": 0.9, "FlowCount": 3,
            "Source": [{"IP4": ["192.0.2.1"], "IP6": ["2001:db8::/32"], "Port": [80], "Imprecise": true}]}),
        );
        idea::set_node(&mut message, "a.b");
        assert_eq!(faults(&message), Vec::<String>::new());
    }

    #[test]
    fn each_fault_is_named() {
        let message = json!({"Format": "IDEA0", "ID": 7, "Category": ["no good"], "DetectTime": "2023-01-02 10:15:00",
            "FlowCount": -1, "Confidence": 2, "Source": [{"IP4": ["::1"], "Port": ["80-90", 70_000], "Type": "Miner"}, 5],
            "Node": [{"AggrWin": "5 minutes"}], "Own": {}});
        let faults = faults(&message).join("\n");
        for part in [
            "ID is not a text",
            "DetectTime is not a time",
            "FlowCount is not",
            "Category is not",
            "Confidence is not",
            "Source[1].Type is not a list",
            "Source[1].IP4 is not",
            "Source[1].Port is not",
            "Source[2]. is not an object",
            "Node[1].AggrWin is not",
        ] {
            assert!(faults.contains(part), "{part} in {faults}");
        }
        assert!(super::faults(&json!([])).len() == 1 && super::faults(&json!({})).len() == 4);
    }
}
