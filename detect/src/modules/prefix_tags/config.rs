//! The configuration of prefix_tags: a JSON array of `{"id": 1, "ip_prefix": "192.0.2.0/24"}` (spec/modules.md section 23).
use super::networks::Networks;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::Path;

/// Bytes of a configuration, at the most: over a million networks.
const FILE_MAX: u64 = 64 * 1024 * 1024;

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{0}")]
    Read(io::Error),
    #[error("the file has more than {FILE_MAX} bytes: split the networks over several modules")]
    TooLarge,
    #[error("parsing config on line {line}: {why}", line = .0.line(), why = .0)]
    Json(serde_json::Error),
    #[error("Malformed IP prefix {0} in the configuration file. Write ADDRESS/LENGTH, such as 192.0.2.0/24.")]
    Prefix(String),
}

/// Reads a configuration file.
///
/// # Errors
/// See [`ConfigError`].
pub fn read(path: &Path) -> Result<Networks, ConfigError> {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_MAX + 1).read_to_end(&mut text));
    if read.map_err(ConfigError::Read)? as u64 > FILE_MAX {
        return Err(ConfigError::TooLarge);
    }
    parse(&text)
}

/// Reads a configuration.
///
/// # Errors
/// [`ConfigError::Json`] or [`ConfigError::Prefix`].
pub fn parse(text: &[u8]) -> Result<Networks, ConfigError> {
    let entries: Entries = serde_json::from_slice(text).map_err(ConfigError::Json)?;
    let mut networks = Networks::default();
    for (id, prefix) in entries.0 {
        let added = split(&prefix).is_some_and(|(address, length)| networks.add(address, length, id));
        if !added {
            return Err(ConfigError::Prefix(prefix));
        }
    }
    Ok(networks)
}

/// Address and length of a prefix as written; the length is mandatory.
fn split(prefix: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = prefix.split_once('/')?;
    Some((address.parse().ok()?, length.parse().ok()?))
}

/// Number and prefix of each network, in order.
struct Entries(Vec<(u32, String)>);

impl<'de> serde::Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of networks")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Entries, A::Error> {
        let mut entries = Vec::new();
        while let Some(Entry(id, prefix)) = from.next_element()? {
            entries.push((id, prefix));
        }
        Ok(Entries(entries))
    }
}

struct Entry(u32, String);

impl<'de> serde::Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a network: {\"id\": NUMBER, \"ip_prefix\": \"ADDRESS/LENGTH\"}")
    }

    /// Refuses a key that comes twice, as the original does; keys that mean nothing here are ignored.
    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Entry, A::Error> {
        let mut seen = HashSet::new();
        let (mut id, mut prefix) = (None, None);
        while let Some(key) = from.next_key::<String>()? {
            match key.as_str() {
                "id" => id = Some(from.next_value()?),
                "ip_prefix" => prefix = Some(from.next_value()?),
                _ => {
                    let _: IgnoredAny = from.next_value()?;
                }
            }
            if let Some(twice) = seen.replace(key) {
                return Err(A::Error::custom(format!("the key \"{twice}\" stands twice in one object")));
            }
        }
        let id = id.ok_or_else(|| A::Error::missing_field("id"))?;
        Ok(Entry(id, prefix.ok_or_else(|| A::Error::missing_field("ip_prefix"))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_configuration_and_what_is_ignored_in_it() {
        let networks = parse(
            br#"[{"id": 7, "ip_prefix": "192.0.2.0/24", "name": {"a": [1, null]}}, {"ip_prefix": "2001:db8::/32", "id": 8}]"#,
        )
        .unwrap();
        assert_eq!(networks.find("192.0.2.9".parse().unwrap()), Some(7));
        assert_eq!(networks.find("2001:db8::9".parse().unwrap()), Some(8));
        assert!(parse(b"[]").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_configuration() {
        for (text, why) in [
            ("", "EOF"),
            ("{}", "expected an array of networks"),
            ("[1]", "expected a network"),
            (r#"[{"id": 1}]"#, "missing field `ip_prefix`"),
            (r#"[{"ip_prefix": "1.2.3.4/8"}]"#, "missing field `id`"),
            (r#"[{"id": "1", "ip_prefix": "1.2.3.4/8"}]"#, "expected u32"),
            (r#"[{"id": 1.5, "ip_prefix": "1.2.3.4/8"}]"#, "expected u32"),
            (r#"[{"id": 4294967296, "ip_prefix": "1.2.3.4/8"}]"#, "expected u32"),
            (r#"[{"id": 1, "ip_prefix": 5}]"#, "expected a string"),
            (r#"[{"id": 1, "id": 2, "ip_prefix": "1.2.3.4/8"}]"#, "\"id\" stands twice"),
            (r#"[{"id": 1, "ip_prefix": "1.2.3.4/8", "x": 1, "x": 1}]"#, "\"x\" stands twice"),
            (r#"[{"id": 1, "ip_prefix": "1.2.3.4/8"}] x"#, "trailing characters"),
            (r#"[{"id": 1, "ip_prefix": "1.2.3.4"}]"#, "Malformed IP prefix 1.2.3.4 in"),
            (r#"[{"id": 1, "ip_prefix": "1.2.3/8"}]"#, "Malformed IP prefix 1.2.3/8 in"),
            (r#"[{"id": 1, "ip_prefix": "1.2.3.4/33"}]"#, "Malformed IP prefix 1.2.3.4/33 in"),
            (r#"[{"id": 1, "ip_prefix": "::/129"}]"#, "Malformed IP prefix ::/129 in"),
            (r#"[{"id": 1, "ip_prefix": "1.2.3.4/-1"}]"#, "Malformed"),
        ] {
            let said = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(said.contains(why), "{text}: {said}");
        }
        assert!(matches!(read(Path::new("/nonexist/x")), Err(ConfigError::Read(_))));
    }

    proptest! {
        #[test]
        fn nearly_valid_texts(text in r#"(\[|\]|\{|\}|,|:|"id"|"ip_prefix"|"1\.2\.3\.0/24"|"::/0"|12|-1|null| ){0,16}"#) {
            let _ = parse(text.as_bytes());
        }
    }
}
