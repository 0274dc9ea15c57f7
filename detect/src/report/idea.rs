//! IDEA messages as mappings make them (spec/idea.md sections 1 and 3).
use super::time;
use crate::pyjson::{Json, Text};
use crate::uuid;
use serde_json::{Value, json};
use std::net::IpAddr;

/// Begins a message: format, identity, time of making, category and who saw it. `Name` of the node is the runtime's.
pub fn begin(category: &[&str], software: &str, kinds: &[&str]) -> Value {
    let mut node = json!({"SW": ["Nemea", software]});
    if !kinds.is_empty() {
        node["Type"] = json!(kinds);
    }
    json!({"Format": "IDEA0", "ID": uuid::random(), "CreateTime": time::now(), "Category": category, "Node": [node]})
}

/// Adds members.
pub fn extend(message: &mut Value, more: Value) {
    if let (Value::Object(message), Value::Object(more)) = (message, more) {
        message.extend(more);
    }
}

/// An end of the traffic: members, and an address among those of its kind.
pub fn side(address: IpAddr, more: Value) -> Value {
    let mut side = more;
    add_address(&mut side, address);
    side
}

/// Adds an address to `IP4` or `IP6` of an end.
pub fn add_address(side: &mut Value, address: IpAddr) {
    let key = if address.is_ipv4() { "IP4" } else { "IP6" };
    if let Value::Object(side) = side
        && let Value::Array(list) = side.entry(key).or_insert_with(|| json!([]))
    {
        list.push(address.to_string().into());
    }
}

/// Adds an address written as text; what is none is taken for one of IPv4 without a colon, as the originals do.
pub fn add_address_text(side: &mut Value, address: &str) {
    match address.parse() {
        Ok(address) => add_address(side, address),
        Err(_) => {
            let key = if address.contains(':') { "IP6" } else { "IP4" };
            if let Value::Object(side) = side
                && let Value::Array(list) = side.entry(key).or_insert_with(|| json!([]))
            {
                list.push(address.into());
            }
        }
    }
}

/// Name of a protocol that alerts are about.
pub fn protocol(number: u64) -> Option<&'static str> {
    match number {
        1 => Some("icmp"),
        6 => Some("tcp"),
        17 => Some("udp"),
        _ => None,
    }
}

/// Text of a record; what is no UTF-8 becomes replacement characters.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The message as Python's `json.dumps` writes it.
pub fn dump(message: &Value) -> String {
    let mut out = String::new();
    python(message).dump(&mut out);
    out
}

fn python(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(is_true) => Json::Bool(*is_true),
        Value::Number(n) => match (n.as_u64(), n.as_i64()) {
            (Some(n), _) => Json::int(n),
            (None, Some(n)) => Json::int(n),
            _ => Json::Float(n.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Json::text(text),
        Value::Array(items) => Json::Array(items.iter().map(python).collect()),
        Value::Object(members) => {
            Json::Object(members.iter().map(|(name, value)| (Text::new(name), python(value))).collect())
        }
    }
}

/// Names the node that tells of it; a message without one gets one.
pub fn set_node(message: &mut Value, name: &str) {
    let Value::Object(message) = message else { return };
    let nodes = message.entry("Node").or_insert_with(|| json!([]));
    if !nodes.is_array() {
        *nodes = json!([]);
    }
    let Value::Array(nodes) = nodes else { return };
    match nodes.first_mut() {
        Some(Value::Object(node)) => drop(node.insert("Name".into(), name.into())),
        Some(other) => *other = json!({"Name": name}),
        None => nodes.push(json!({"Name": name})),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_as_python_does() {
        let message = json!({"a": "caf\u{e9}", "b": [1, -2, 0.9, 5.0, null, true], "c": {}, "d": u64::MAX});
        assert_eq!(
            dump(&message),
            r#"{"a": "caf\u00e9", "b": [1, -2, 0.9, 5.0, null, true], "c": {}, "d": 18446744073709551615}"#
        );
    }

    #[test]
    fn nodes_and_addresses() {
        let mut message = json!({"Node": [{"SW": ["x"]}]});
        set_node(&mut message, "n");
        assert_eq!(message, json!({"Node": [{"SW": ["x"], "Name": "n"}]}));
        for strange in [json!({}), json!({"Node": []}), json!({"Node": "x"}), json!({"Node": [7]})] {
            let mut strange = strange;
            set_node(&mut strange, "n");
            assert_eq!(strange, json!({"Node": [{"Name": "n"}]}));
        }
        let mut end = side("192.0.2.1".parse().unwrap(), json!({"Proto": ["tcp"]}));
        add_address_text(&mut end, "192.0.2.2");
        add_address_text(&mut end, "::1");
        assert_eq!(end, json!({"Proto": ["tcp"], "IP4": ["192.0.2.1", "192.0.2.2"], "IP6": ["::1"]}));
    }
}
