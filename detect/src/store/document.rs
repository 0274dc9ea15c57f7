//! What an alert is found and shown by, read out of its document.
use super::Range;
use serde_json::Value;

/// Categories and nodes of a document that are indexed, and addresses, at the most.
const WORDS_MAX: usize = 64;
const ADDRESSES_MAX: usize = 1024;
/// Bytes of an identity and of an indexed word, at the most.
const ID_MAX: usize = 128;
const WORD_MAX: usize = 256;

/// Which end of the traffic an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Source = 0,
    Target = 1,
}

/// What is known of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub id: String,
    /// Milliseconds since 1970.
    pub detected: Option<i64>,
    pub categories: Vec<String>,
    pub nodes: Vec<String>,
    pub addresses: Vec<(Role, Range)>,
    /// Words and addresses that were too many.
    pub unindexed: u64,
}

/// One end of the traffic, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// Addresses, host names, as the document has them.
    pub names: Vec<String>,
    pub ports: Vec<u64>,
    pub protocols: Vec<String>,
}

impl Document {
    /// Reads a document; `None` if it is no JSON object with an `ID`.
    pub fn read(text: &str) -> Option<Document> {
        let value: Value = serde_json::from_str(text).ok()?;
        let id = value.get("ID")?.as_str().filter(|id| !id.is_empty() && id.len() <= ID_MAX)?;
        let mut document = Document {
            id: id.to_owned(),
            detected: time(&value, "DetectTime"),
            categories: Vec::new(),
            nodes: Vec::new(),
            addresses: Vec::new(),
            unindexed: 0,
        };
        document.categories = document.words(texts(value.get("Category")));
        document.nodes = document.words(items(value.get("Node")).filter_map(|node| node.get("Name")?.as_str()));
        for (role, key) in [(Role::Source, "Source"), (Role::Target, "Target")] {
            let sides = items(value.get(key));
            let addresses = sides.flat_map(|side| texts(side.get("IP4")).chain(texts(side.get("IP6"))));
            for address in addresses {
                // What is no address cannot be searched for either.
                let Ok(range) = address.parse() else { continue };
                if document.addresses.len() < ADDRESSES_MAX {
                    document.addresses.push((role, range));
                } else {
                    document.unindexed += 1;
                }
            }
        }
        Some(document)
    }

    fn words<'v>(&mut self, texts: impl Iterator<Item = &'v str>) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        for text in texts {
            if words.iter().any(|word| word == text) {
                continue;
            }
            if words.len() < WORDS_MAX && text.len() <= WORD_MAX {
                words.push(text.to_owned());
            } else {
                self.unindexed += 1;
            }
        }
        words
    }
}

impl Side {
    /// All sources or all targets of a document together.
    pub fn of(document: &Value, key: &str) -> Side {
        let mut whole = Side::default();
        for side in items(document.get(key)) {
            let names = ["IP4", "IP6", "Hostname", "URL", "Email"].into_iter().flat_map(|key| texts(side.get(key)));
            whole.names.extend(names.map(str::to_owned));
            whole.ports.extend(items(side.get("Port")).filter_map(Value::as_u64));
            whole.protocols.extend(texts(side.get("Proto")).map(str::to_owned));
        }
        whole
    }
}

/// A time of the document, in milliseconds since 1970.
pub(super) fn time(document: &Value, key: &str) -> Option<i64> {
    let time: jiff::Timestamp = document.get(key)?.as_str()?.parse().ok()?;
    Some(time.as_millisecond())
}

/// The elements of a list; something else is a list of one.
pub(crate) fn items(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    match value {
        Some(Value::Array(items)) => items.as_slice(),
        Some(other) => std::slice::from_ref(other),
        None => &[],
    }
    .iter()
}

/// The texts among [`items`].
pub(crate) fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    items(value).filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_indexed() {
        let text = r#"{"ID": "a-1", "DetectTime": "2026-11-22T01:02:03.5Z", "Category": ["Recon.Scanning", "Recon.Scanning", "Other"],
            "Node": [{"Name": "cz.example.x", "SW": ["Nemea"]}, {"SW": []}],
            "Source": [{"IP4": ["192.0.2.1", "host"], "IP6": ["2001:db8::/64"], "Port": [22]}],
            "Target": {"IP4": "192.0.2.2-192.0.2.3", "Proto": ["tcp"]}}"#;
        let document = Document::read(text).unwrap();
        assert_eq!(document.detected, Some(1_795_309_323_500));
        assert_eq!(
            (document.categories, document.nodes),
            (vec!["Recon.Scanning".into(), "Other".into()], vec!["cz.example.x".into()])
        );
        let addresses =
            [(Role::Source, "192.0.2.1"), (Role::Source, "2001:db8::/64"), (Role::Target, "192.0.2.2-192.0.2.3")];
        assert_eq!(document.addresses, addresses.map(|(role, range)| (role, range.parse().unwrap())));
        let value = serde_json::from_str(text).unwrap();
        let names = vec!["192.0.2.1".into(), "host".into(), "2001:db8::/64".into()];
        assert_eq!(Side::of(&value, "Source"), Side { names, ports: vec![22], protocols: vec![] });
    }

    #[test]
    fn what_is_no_alert_and_what_is_too_much() {
        for text in ["", "[]", "7", "{}", r#"{"ID": 7}"#, r#"{"ID": ""}"#] {
            assert_eq!(Document::read(text), None, "{text}");
        }
        let many: Vec<String> = (0..2_000).map(|n| format!("\"10.0.{}.{}\"", n / 256, n % 256)).collect();
        let document =
            Document::read(&format!(r#"{{"ID": "x", "Source": [{{"IP4": [{}]}}]}}"#, many.join(","))).unwrap();
        assert_eq!((document.addresses.len(), document.unindexed), (ADDRESSES_MAX, 976));
    }
}
