//! IDEA messages as STIX 2.1 objects (OASIS standard of 2021-06-10).
//!
//! | of the message | object |
//! |---|---|
//! | each node | `identity` (system) |
//! | each address, network, host name, URL, e-mail address of a source or target | `ipv4-addr`, `ipv6-addr`, `domain-name`, `url`, `email-addr` |
//! | a source and a target with one address of one family each | `network-traffic` with ports and protocols |
//! | what was seen: times, counts | `observed-data` about the objects above |
//! | what it is held for, at the sources or else the targets | `indicator` with a pattern; the categories are its labels |
//! | that it was seen, by whom | `sighting` of the indicator |
//!
//! Identities are made of what they name (UUID version 5), so the same alert, exported twice, is one object. Ranges `A-B`, which STIX has no
//! object for, are left out of the pattern and stand in the description only.
use crate::store::{items, texts};
use crate::uuid;
use serde_json::{Map, Value, json};
use sha1::{Digest, Sha1};

/// Namespace of identities of observables (STIX 2.1 section 2.9); we use it for all.
const NAMESPACE: u128 = 0x00abedb4_aa42_466c_9c01_fed23315a9b7;
/// Objects of one kind at an end of an alert, at the most.
const OBSERVABLES_MAX: usize = 200;
const VERSION: &str = "2.1";

/// A bundle of objects.
#[must_use]
pub fn bundle(objects: Vec<Value>) -> Value {
    let ids: String = objects.iter().filter_map(|object| object.get("id")?.as_str()).collect();
    json!({"type": "bundle", "id": name("bundle", &ids), "objects": objects})
}

/// The objects of a message; none if it has no `ID` or no time.
#[must_use]
pub fn objects(message: &Value) -> Vec<Value> {
    let Some(id) = message.get("ID").and_then(Value::as_str) else { return Vec::new() };
    let Some(detected) = time(message, &["DetectTime", "EventTime", "CreateTime"]) else { return Vec::new() };
    let first = time(message, &["EventTime", "WinStartTime", "DetectTime"]).unwrap_or_else(|| detected.clone());
    let last = time(message, &["CeaseTime", "WinEndTime", "DetectTime"]).unwrap_or_else(|| detected.clone());
    // The last time may not lie before the first.
    let last = if last < first { first.clone() } else { last };
    let created = time(message, &["CreateTime"]).unwrap_or_else(|| detected.clone());
    let common = |kind: &str| json!({"type": kind, "spec_version": VERSION, "id": name(kind, id), "created": created, "modified": created});

    let identities: Vec<Value> = items(message.get("Node")).filter_map(|node| identity(node, &created)).collect();
    let author = identities.first().and_then(|identity| identity.get("id")).cloned();
    let sources = observables(message.get("Source"));
    let targets = observables(message.get("Target"));
    let mut seen: Vec<Value> = Vec::new();
    for observable in sources.iter().chain(&targets) {
        if !seen.contains(observable) {
            seen.push(observable.clone());
        }
    }
    seen.extend(traffic(message, &sources, &targets));
    let mut objects = identities;
    if seen.is_empty() {
        return objects;
    }
    let number = ["FlowCount", "ConnCount"].iter().find_map(|key| message.get(*key)?.as_u64()).unwrap_or(1);
    let references: Vec<&Value> = seen.iter().filter_map(|object| object.get("id")).collect();
    let observed = with(
        common("observed-data"),
        json!({"first_observed": first, "last_observed": last, "number_observed": number.clamp(1, 999_999_999), "object_refs": references}),
    );
    let labels: Vec<&str> = texts(message.get("Category")).collect();
    let suspects = if sources.is_empty() { &targets } else { &sources };
    let mut made = vec![observed.clone()];
    if let Some(pattern) = pattern(suspects) {
        let title = ["Description", "Note"].iter().find_map(|key| message.get(*key)?.as_str());
        let mut indicator = with(
            common("indicator"),
            json!({
                "name": title.unwrap_or("Alert"),
                "indicator_types": [kind_of(&labels)],
                "pattern": pattern,
                "pattern_type": "stix",
                "valid_from": first,
                "labels": labels,
            }),
        );
        if let (Some(note), Value::Object(indicator)) = (message.get("Note").and_then(Value::as_str), &mut indicator) {
            indicator.insert("description".into(), note.into());
        }
        let sighting = json!({
            "first_seen": first,
            "last_seen": last,
            "count": number.clamp(1, 999_999_999),
            "sighting_of_ref": indicator["id"],
            "observed_data_refs": [observed["id"]],
        });
        let mut sighting = with(common("sighting"), sighting);
        if let Some(author) = &author {
            sighting["where_sighted_refs"] = json!([author]);
        }
        made.extend([indicator, sighting]);
    }
    if let Some(author) = author {
        made.iter_mut().for_each(|object| object["created_by_ref"] = author.clone());
    }
    objects.extend(seen);
    objects.extend(made);
    objects
}

fn identity(node: &Value, created: &str) -> Option<Value> {
    let title = node.get("Name")?.as_str()?;
    let id = name("identity", title);
    let about: Vec<&str> = texts(node.get("SW")).collect();
    let mut identity = json!({
        "type": "identity", "spec_version": VERSION, "id": id, "created": created, "modified": created, "name": title, "identity_class": "system",
    });
    if !about.is_empty() {
        identity["description"] = about.join(", ").into();
    }
    Some(identity)
}

/// Addresses and names of one end.
fn observables(sides: Option<&Value>) -> Vec<Value> {
    let kinds = [
        ("IP4", "ipv4-addr"),
        ("IP6", "ipv6-addr"),
        ("Hostname", "domain-name"),
        ("URL", "url"),
        ("Email", "email-addr"),
    ];
    let mut found: Vec<Value> = Vec::new();
    for side in items(sides) {
        for (key, kind) in kinds {
            for text in texts(side.get(key)) {
                // Networks are allowed as values, ranges are not.
                let is_one = !key.starts_with("IP") || !(text.contains('-') || text.contains(".."));
                // The identity is that of the canonical JSON of what contributes to it.
                let made = json!({"type": kind, "spec_version": VERSION, "id": name(kind, &json!({"value": text}).to_string()), "value": text});
                if is_one && found.len() < OBSERVABLES_MAX && !found.contains(&made) {
                    found.push(made);
                }
            }
        }
    }
    found
}

/// Traffic from one address to another, if that is what the message is about.
fn traffic(message: &Value, sources: &[Value], targets: &[Value]) -> Option<Value> {
    let ([source], [target]) = (sources, targets) else { return None };
    let is_address = |object: &Value| object["type"] == "ipv4-addr" || object["type"] == "ipv6-addr";
    if !is_address(source) || !is_address(target) {
        return None;
    }
    let side = |key: &str| items(message.get(key)).next().cloned().unwrap_or_default();
    let (from, to) = (side("Source"), side("Target"));
    let mut protocols: Vec<String> = Vec::new();
    for text in texts(to.get("Proto")).chain(texts(from.get("Proto"))).map(str::to_lowercase) {
        if !protocols.contains(&text) {
            protocols.push(text);
        }
    }
    if protocols.is_empty() {
        // Required, and at least what carries the addresses is known.
        protocols.push(if source["type"] == "ipv4-addr" { "ipv4" } else { "ipv6" }.to_owned());
    }
    let port = |side: &Value| {
        let mut ports = items(side.get("Port")).filter_map(Value::as_u64);
        ports.next().filter(|port| *port <= 65_535 && ports.next().is_none())
    };
    // In the order of the canonical JSON, which the identity is made of.
    let mut traffic = Map::new();
    traffic.extend(port(&to).map(|port| ("dst_port".to_owned(), port.into())));
    traffic.insert("dst_ref".into(), target["id"].clone());
    traffic.insert("protocols".into(), protocols.into());
    traffic.extend(port(&from).map(|port| ("src_port".to_owned(), port.into())));
    traffic.insert("src_ref".into(), source["id"].clone());
    let mut traffic = Value::Object(traffic);
    let id = name("network-traffic", &traffic.to_string());
    traffic = with(json!({"type": "network-traffic", "spec_version": VERSION, "id": id}), traffic);
    Some(traffic)
}

/// `[ipv4-addr:value = '192.0.2.1'] OR ...`.
fn pattern(observables: &[Value]) -> Option<String> {
    let terms = observables.iter().filter_map(|object| {
        let (kind, value) = (object["type"].as_str()?, object["value"].as_str()?);
        let order = if value.contains('/') && kind.starts_with("ipv") { "ISSUBSET" } else { "=" };
        Some(format!("[{kind}:value {order} '{}']", value.replace('\\', "\\\\").replace('\'', "\\'")))
    });
    let terms: Vec<String> = terms.collect();
    (!terms.is_empty()).then(|| terms.join(" OR "))
}

/// The open vocabulary of indicators (section 10.12).
fn kind_of(categories: &[&str]) -> &'static str {
    let begins = |start: &str| categories.iter().any(|category| category.starts_with(start));
    if begins("Intrusion") || begins("Malware") {
        "compromised"
    } else if begins("Attempt") || begins("Availability") || begins("Abusive") || begins("Fraud") || begins("Recon") {
        "malicious-activity"
    } else {
        "anomalous-activity"
    }
}

/// The first of these times that is there, as STIX writes it: UTC with milliseconds, so that texts sort as times do.
fn time(message: &Value, keys: &[&str]) -> Option<String> {
    let time = keys.iter().find_map(|key| message.get(*key)?.as_str()?.parse::<jiff::Timestamp>().ok())?;
    Some(time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
}

/// The identity of an object: its kind and the UUID of what it is made of (RFC 9562 section 5.5).
fn name(kind: &str, made_of: &str) -> String {
    let hash = Sha1::new().chain_update(NAMESPACE.to_be_bytes()).chain_update(made_of).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    format!("{kind}--{}", uuid::of(bytes, 5))
}

fn with(object: Value, more: Value) -> Value {
    let members = [object, more].into_iter().filter_map(|value| match value {
        Value::Object(members) => Some(members),
        _ => None,
    });
    Value::Object(members.flatten().collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brute_force_attempt() {
        let message = json!({
            "Format": "IDEA0", "ID": "5c3f7f68-1111-4111-8111-111111111111", "CreateTime": "2026-11-22T01:00:05Z",
            "DetectTime": "2026-11-22T01:00:00Z", "EventTime": "2026-11-22T00:50:00Z", "CeaseTime": "2026-11-22T01:00:00Z",
            "Category": ["Attempt.Login"], "Description": "SSH guessing", "Note": "of 'root'", "FlowCount": 42,
            "Node": [{"Name": "cz.example.bruteforce", "SW": ["Nemea", "brute_force_detector"]}],
            "Source": [{"IP4": ["192.0.2.1"], "Proto": ["tcp", "ssh"]}],
            "Target": [{"IP4": ["198.51.100.7"], "Port": [22], "Proto": ["tcp", "ssh"]}],
        });
        let made = objects(&message);
        let kinds: Vec<&str> = made.iter().filter_map(|object| object["type"].as_str()).collect();
        assert_eq!(
            kinds,
            ["identity", "ipv4-addr", "ipv4-addr", "network-traffic", "observed-data", "indicator", "sighting"]
        );
        assert_eq!(made, objects(&message), "the same alert is the same objects");
        // Python: uuid.uuid5(uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7"), '{"value":"192.0.2.1"}')
        assert_eq!(made[1]["id"], "ipv4-addr--8dded90c-40c0-545a-8027-5b212bb37e8e");
        assert_eq!(made[3]["dst_port"], 22);
        assert_eq!(made[3]["protocols"], json!(["tcp", "ssh"]));
        assert_eq!(made[4]["number_observed"], 42);
        assert_eq!(made[4]["object_refs"].as_array().unwrap().len(), 3);
        assert_eq!(
            (&made[4]["first_observed"], &made[4]["last_observed"]),
            (&json!("2026-11-22T00:50:00.000Z"), &json!("2026-11-22T01:00:00.000Z"))
        );
        assert_eq!(made[5]["pattern"], "[ipv4-addr:value = '192.0.2.1']");
        assert_eq!(made[5]["indicator_types"], json!(["malicious-activity"]));
        assert_eq!((&made[6]["sighting_of_ref"], &made[6]["where_sighted_refs"][0]), (&made[5]["id"], &made[0]["id"]));
        assert!(bundle(made)["id"].as_str().unwrap().starts_with("bundle--"));
    }

    #[test]
    fn what_has_little_to_say() {
        assert!(objects(&json!({})).is_empty());
        assert!(objects(&json!({"ID": "x", "DetectTime": "yesterday"})).is_empty());
        let message = json!({"ID": "x", "DetectTime": "2026-11-22T01:00:00Z", "Source": [{"IP6": ["2001:db8::/64"], "IP4": ["1.2.3.4-1.2.3.9"], "URL": ["http://a/'b'"]}]});
        let made = objects(&message);
        assert_eq!(made.len(), 5);
        assert_eq!(made[3]["pattern"], r"[ipv6-addr:value ISSUBSET '2001:db8::/64'] OR [url:value = 'http://a/\'b\'']");
    }
}
