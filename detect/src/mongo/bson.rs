//! Alerts as documents of MongoDB, as the NEMEA Dashboard wants them: the members of the message, its times as dates (spec/idea.md
//! sections 2.4 and 5).
use crate::report::time;
use jiff::Timestamp;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document};
use serde_json::{Map, Value};
use sha1::{Digest, Sha1};

/// The message as a document; what is no time in [`time::DATES`] stays as it is.
pub(crate) fn document(message: &Value) -> Document {
    let mut document = Document::new();
    for (name, value) in message.as_object().into_iter().flatten() {
        let micros = value.as_str().filter(|_| time::DATES.contains(&name.as_str())).and_then(time::parse);
        let date = micros.map(|micros| Bson::DateTime(DateTime::from_millis(micros.div_euclid(1_000))));
        document.insert(name, date.unwrap_or_else(|| bson(value)));
    }
    document
}

/// The message of a document: its members but `without`, and the server's `_id`. Dates are times with as much of a fraction as they have.
pub(crate) fn message(document: &Document, without: &str) -> Value {
    let members = document.iter().filter(|(name, _)| *name != "_id" && *name != without);
    Value::Object(members.map(|(name, value)| (name.clone(), json(value))).collect())
}

/// An `_id` that the same message has each time, so that it is kept once however often it is tried: the second of its detection, as
/// identities of MongoDB begin, and a part of the SHA-1 of its text.
pub(crate) fn identity(message: &Value, text: &str) -> ObjectId {
    let micros = message.get("DetectTime").and_then(Value::as_str).and_then(time::parse).unwrap_or_default();
    let second = u32::try_from(micros / 1_000_000).unwrap_or_default();
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&second.to_be_bytes());
    bytes[4..].copy_from_slice(&Sha1::digest(text.as_bytes())[..8]);
    ObjectId::from_bytes(bytes)
}

fn bson(value: &Value) -> Bson {
    match value {
        Value::Null => Bson::Null,
        Value::Bool(is_true) => Bson::Boolean(*is_true),
        Value::String(text) => Bson::String(text.clone()),
        // Small numbers in few bytes, as the original's driver writes them.
        Value::Number(n) => match n.as_i64() {
            Some(n) => i32::try_from(n).map_or(Bson::Int64(n), Bson::Int32),
            None => Bson::Double(n.as_f64().unwrap_or_default()),
        },
        Value::Array(items) => Bson::Array(items.iter().map(bson).collect()),
        Value::Object(members) => {
            Bson::Document(members.iter().map(|(name, value)| (name.clone(), bson(value))).collect())
        }
    }
}

fn json(value: &Bson) -> Value {
    match value {
        Bson::Null | Bson::Undefined => Value::Null,
        Bson::Boolean(is_true) => Value::Bool(*is_true),
        Bson::String(text) => Value::String(text.clone()),
        Bson::Int32(n) => (*n).into(),
        Bson::Int64(n) => (*n).into(),
        Bson::Double(n) => (*n).into(),
        Bson::Array(items) => Value::Array(items.iter().map(json).collect()),
        Bson::Document(document) => {
            let members: Map<_, _> = document.iter().map(|(name, value)| (name.clone(), json(value))).collect();
            Value::Object(members)
        }
        Bson::DateTime(date) => {
            let at = Timestamp::from_millisecond(date.timestamp_millis()).unwrap_or_default();
            Value::String(at.to_string())
        }
        // No message brings others; of a document that others wrote they are shown.
        other => Value::String(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_are_dates_and_all_else_comes_back() {
        let text = json!({
            "ID": "x", "DetectTime": "2023-01-02T10:15:00Z", "EventTime": "soon", "CeaseTime": "2023-01-02T10:15:00.25Z",
            "FlowCount": 7, "ByteCount": 5_000_000_000_u64, "Ratio": 0.5, "None": null, "Yes": true,
            "Source": [{"IP4": ["192.0.2.1"], "Port": [22, 65_535]}], "_CESNET": {"EventTime": "2023-01-02T10:15:00Z"},
        });
        let made = document(&text);
        assert_eq!(made.get("DetectTime"), Some(&Bson::DateTime(DateTime::from_millis(1_672_654_500_000))));
        assert_eq!(made.get("EventTime"), Some(&Bson::String("soon".into())));
        assert_eq!((made.get_i32("FlowCount").ok(), made.get_i64("ByteCount").ok()), (Some(7), Some(5_000_000_000)));
        assert_eq!(message(&made, "_sonda"), text);
    }

    #[test]
    fn the_same_message_has_the_same_identity() {
        let [one, other] = [json!({"ID": "x", "DetectTime": "2023-01-02T10:15:00Z"}), json!({"ID": "y"})];
        let id = |message: &Value| identity(message, &message.to_string());
        assert_eq!(id(&one), id(&one));
        assert_eq!(id(&one).timestamp().timestamp_millis(), 1_672_654_500_000);
        assert_ne!(id(&one), id(&other));
    }
}
