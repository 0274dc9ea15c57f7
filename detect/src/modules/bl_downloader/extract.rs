//! Entries of a list, out of whatever form its publisher gives it (spec/detectors.md section 8.5).
use super::settings::{Format, Keys, Source, Target};
use crate::blacklist::ENTRIES_MAX;
use crate::csv;
use crate::pyjson::{self, Json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

/// An entry: what it is, and ports; no ports are all.
pub(super) type Entries = BTreeMap<Entity, BTreeSet<u16>>;

/// Sorted as the files are: addresses by number, then by length; names by text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Entity {
    Network(IpAddr, u8),
    Name(String),
}

/// Entries of a list; those beyond [`ENTRIES_MAX`] are left out.
pub(super) fn entries(source: &Source, file: &[u8]) -> Entries {
    let text = String::from_utf8_lossy(file);
    let mut entries = Entries::new();
    let mut add = |text: &str, ports: BTreeSet<u16>| {
        let entity = match source.targets.first() {
            Some(Target::Ip4) => ipv4(text),
            Some(Target::Ip6) => ipv6(text),
            _ => url(text).map(Entity::Name),
        };
        if let Some(entity) = entity.filter(|entity| entries.len() < ENTRIES_MAX || entries.contains_key(entity)) {
            entries.entry(entity).or_default().extend(ports);
        }
    };
    match &source.format {
        Format::Plain => lines(&text).for_each(|line| add(line, BTreeSet::new())),
        Format::Csv(column) => {
            for line in lines(&text) {
                let cell = csv::rows(line).into_iter().next().and_then(|row| row.into_iter().nth(*column));
                cell.iter().for_each(|cell| add(cell.trim(), BTreeSet::new()));
            }
        }
        Format::Json(keys) => objects(file, &text, &mut |object| {
            if let Some((address, ports)) = keys.entry(object) {
                add(&address, ports);
            }
        }),
    }
    entries
}

impl Entity {
    /// As the files of filters have it: IPv6 in full, no length for a single address.
    pub(super) fn text(&self) -> String {
        match self {
            Entity::Network(IpAddr::V4(ip), 32) => ip.to_string(),
            Entity::Network(IpAddr::V4(ip), length) => format!("{ip}/{length}"),
            Entity::Network(IpAddr::V6(ip), 128) => in_full(ip),
            Entity::Network(IpAddr::V6(ip), length) => format!("{}/{length}", in_full(ip)),
            Entity::Name(name) => name.clone(),
        }
    }

    /// The domain in front; none for an address, and for a URL whose host is one.
    pub(super) fn domain(&self) -> Option<&str> {
        let Entity::Name(name) = self else { return None };
        let host = &name[..name.find(['/', ':', '?', '#']).unwrap_or(name.len())];
        let is_domain = host.contains('.') && host.parse::<IpAddr>().is_err();
        is_domain.then_some(host)
    }
}

fn in_full(ip: &Ipv6Addr) -> String {
    ip.segments().map(|segment| format!("{segment:04x}")).join(":")
}

/// Lines that are no comments.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';']))
}

/// The first IPv4 address of a line, with the length behind it.
fn ipv4(line: &str) -> Option<Entity> {
    let mut words = line.split(|c: char| !c.is_ascii_digit() && c != '.' && c != '/');
    words.find_map(|word| network(word.trim_end_matches(['.', '/'])).filter(|(ip, _)| ip.is_ipv4())).map(entity)
}

/// The first IPv6 address of a line, likewise.
fn ipv6(line: &str) -> Option<Entity> {
    let mut words = line.split(|c: char| !c.is_ascii_hexdigit() && !matches!(c, ':' | '.' | '/'));
    words.find_map(|word| network(word.trim_end_matches(['.', '/'])).filter(|(ip, _)| ip.is_ipv6())).map(entity)
}

fn entity((ip, length): (IpAddr, u8)) -> Entity {
    Entity::Network(ip, length)
}

fn network(word: &str) -> Option<(IpAddr, u8)> {
    let (ip, length) = word.split_once('/').map_or((word, None), |(ip, length)| (ip, Some(length)));
    let ip: IpAddr = ip.parse().ok()?;
    let longest = if ip.is_ipv4() { 32 } else { 128 };
    let length = length.map_or(Some(longest), |length| length.parse().ok().filter(|length| *length <= longest));
    Some((ip, length?))
}

/// A URL as urlblacklistfilter looks for it; none if the line is none, or its path has characters beyond ASCII.
fn url(line: &str) -> Option<String> {
    if line.starts_with(['#', '/']) || !line.contains('.') || line.contains(char::is_whitespace) {
        return None;
    }
    let mut url = line.to_lowercase();
    for prefix in ["https://", "http://", "www."] {
        url = url.replacen(prefix, "", 1);
    }
    let url = url.trim_end_matches('/');
    let (host, path) = url.split_at(url.find(['/', ':', '?', '#']).unwrap_or(url.len()));
    let host = idna::domain_to_ascii(host).ok().filter(|host| !host.is_empty())?;
    // A backslash would be taken for the mark before the bit field only if it were the last one; control characters end lines.
    path.bytes().all(|byte| byte.is_ascii_graphic()).then(|| host + path)
}

/// The objects of a JSON file: those of its arrays, itself, or one on each line.
fn objects(file: &[u8], text: &str, each: &mut dyn FnMut(&Json)) {
    match pyjson::parse(file) {
        Ok(value) => inner(&value, each),
        Err(_) => {
            lines(text).filter_map(|line| pyjson::parse(line.as_bytes()).ok()).for_each(|value| inner(&value, each))
        }
    }
}

/// Nesting is bounded by the parser.
fn inner(value: &Json, each: &mut dyn FnMut(&Json)) {
    match value {
        Json::Array(items) => items.iter().for_each(|item| inner(item, each)),
        Json::Object(members) => {
            each(value);
            members.iter().for_each(|(_, member)| inner(member, each));
        }
        _ => {}
    }
}

impl Keys {
    /// Address and ports of an object that the filter takes.
    fn entry(&self, object: &Json) -> Option<(String, BTreeSet<u16>)> {
        if let Some((key, value)) = &self.filter
            && object.get(key).and_then(plain).as_ref() != Some(value)
        {
            return None;
        }
        let mut address = object.get(&self.address).and_then(plain)?;
        if let Some(prefix) = self.prefix.as_ref().and_then(|key| object.get(key)).and_then(plain) {
            address = format!("{address}/{prefix}");
        }
        let mut ports = BTreeSet::new();
        match self.port.as_ref().and_then(|key| object.get(key)) {
            Some(Json::Array(items)) => ports.extend(items.iter().filter_map(|item| plain(item)?.parse::<u16>().ok())),
            Some(one) => {
                let text = plain(one).unwrap_or_default();
                ports.extend(text.split(',').filter_map(|port| port.trim().parse::<u16>().ok()));
            }
            None => {}
        }
        Some((address, ports))
    }
}

/// A text or a number.
fn plain(value: &Json) -> Option<String> {
    match value {
        Json::Str(text) => Some(text.to_plain()),
        Json::Int(digits) => Some(digits.clone()),
        Json::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// Any bytes in each format: what is written of an entry is an entry again.
pub(crate) fn fuzz_extract(input: &[u8]) {
    let json = Keys { address: "ip".into(), prefix: Some("prefix".into()), port: Some("ports".into()), filter: None };
    for format in [Format::Plain, Format::Csv(1), Format::Json(json)] {
        for target in Target::ALL {
            let source = Source {
                id: 1,
                name: String::new(),
                place: String::new(),
                interval: std::time::Duration::ZERO,
                format: format.clone(),
                targets: vec![target],
            };
            for entity in entries(&source, input).keys() {
                let text = entity.text();
                assert!(!text.contains(['\n', '\r']) && entity.domain().is_none_or(|domain| text.starts_with(domain)));
                match target {
                    Target::Ip4 => assert_eq!(ipv4(&text).as_ref(), Some(entity)),
                    Target::Ip6 => assert_eq!(ipv6(&text).as_ref(), Some(entity)),
                    Target::Url | Target::Dns => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(format: Format, target: Target, file: &str) -> Vec<String> {
        let source = Source {
            id: 1,
            name: "x".into(),
            place: String::new(),
            interval: std::time::Duration::ZERO,
            format,
            targets: vec![target],
        };
        let entries = entries(&source, file.as_bytes());
        entries.iter().map(|(entity, ports)| format!("{} {ports:?}", entity.text())).collect()
    }

    #[test]
    fn plain_lists() {
        let file = "# 1.1.1.1\n;2.2.2.2\n\n198.51.100.5 ; SBL1 9.9.9.9\n10.0.0.0/8 ; x\r\nseen 2.0.0.1/32, 300.1.1.1\nx\n198.51.100.5\n";
        assert_eq!(shown(Format::Plain, Target::Ip4, file), ["2.0.0.1 {}", "10.0.0.0/8 {}", "198.51.100.5 {}"]);
        let file = "2001:db8::/32 ; SBL2\n::1/128\n10.0.0.1\n";
        let expected = ["0000:0000:0000:0000:0000:0000:0000:0001 {}", "2001:0db8:0000:0000:0000:0000:0000:0000/32 {}"];
        assert_eq!(shown(Format::Plain, Target::Ip6, file), expected);
        let file = "https://www.Bad.example.com/\nhttp://a.example/X?y=1//\nbücher.example/x\nb.example/ü\n/x.y\nnodot\nc.example:8080\n";
        let expected = ["a.example/x?y=1 {}", "bad.example.com {}", "c.example:8080 {}", "xn--bcher-kva.example/x {}"];
        assert_eq!(shown(Format::Plain, Target::Url, file), expected);
    }

    #[test]
    fn tables_and_objects() {
        let file = "id,url,more\n1,\"http://a.example/x,y\",z\n2\n";
        assert_eq!(shown(Format::Csv(1), Target::Url, file), ["a.example/x,y {}"]);
        let keys = Keys {
            address: "ip".into(),
            prefix: Some("prefix".into()),
            port: Some("ports".into()),
            filter: Some(("kind".into(), "c2".into())),
        };
        let file = r#"{"data": [{"ip": "10.0.0.0", "prefix": 8, "ports": [80, "443"], "kind": "c2"},
            {"ip": "10.0.0.1", "kind": "other"}, {"ip": "10.0.0.2", "ports": "1, 2", "kind": "c2"}, 7]}"#;
        assert_eq!(shown(Format::Json(keys.clone()), Target::Ip4, file), ["10.0.0.0/8 {80, 443}", "10.0.0.2 {1, 2}"]);
        let keys = Keys { filter: None, ..keys };
        assert_eq!(
            shown(Format::Json(keys), Target::Ip4, "{\"ip\": \"1.1.1.1\"}\nx\n{\"ip\": \"1.1.1.2\"}\n").len(),
            2
        );
    }

    #[test]
    fn domains_of_urls() {
        let domain = |name: &str| Entity::Name(name.into()).domain().map(str::to_owned);
        assert_eq!(domain("a.example/x").as_deref(), Some("a.example"));
        assert_eq!(domain("a.example:80").as_deref(), Some("a.example"));
        assert_eq!((domain("10.0.0.1/x"), domain("nodot")), (None, None));
    }

    proptest! {
        #[test]
        fn any_text(text in "(((10|300)\\.0\\.0\\.[0-9]|[0-9a-f:]{1,6}|https?://www\\.[a-ü]{1,3}\\.[a-z]{0,2}/?)(/[0-9]{1,3})?[,; \n]?|\\{\"ip\": \"::1\"\\}){0,6}") {
            fuzz_extract(text.as_bytes());
        }
    }
}
