//! The mappings of `-M`: new members computed from others.
//!
//! ```json
//! {"match":  [{"src": "PROTOCOL", "dest": "NAME", "mapping": {"6": "tcp", "17": "udp"}}],
//!  "regex":  [{"src": "SRC_IP", "dest": "NET", "mapping": {"10\\.": "inside", "192\\.168\\.": "home"}}],
//!  "timify": ["TIME_FIRST"]}
//! ```
use crate::pyjson::{self, Json, JsonError, float};
use crate::pytrap;
use jiff::Timestamp;
use record::Value;
use record::unirec::Datum;
use regex::Regex;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

/// All mappings, in the order in which they are applied.
#[derive(Clone, Debug, Default)]
pub struct Maps {
    matches: Vec<Mapping<HashMap<String, Json>>>,
    regexes: Vec<Mapping<Vec<(Regex, Json)>>>,
    timify: Vec<String>,
}

#[derive(Clone, Debug)]
struct Mapping<T> {
    src: String,
    dest: String,
    mapping: T,
}

/// Why mappings cannot be loaded or applied.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    #[error("Error: cannot read mappings from {path}: {source}")]
    Open { path: PathBuf, source: io::Error },
    #[error("Error: the file of mappings is no JSON: {0}")]
    Json(#[from] JsonError),
    #[error("Error: the file of mappings: {0}")]
    Shape(&'static str),
    #[error("Error: the file of mappings: {0}")]
    Regex(#[from] Box<regex::Error>),
    #[error("Error: a mapping names the field {0}, which the record does not have")]
    NoField(String),
    #[error("Error: the mapping timify names the field {0}, which is no number or time")]
    NoTime(String),
}

/// A member of the object to be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell<'a> {
    Field(Datum<'a>),
    Mapped(Json),
}

impl Maps {
    /// Reads a file.
    pub fn load(path: &Path) -> Result<Maps, MapError> {
        let text = std::fs::read(path).map_err(|source| MapError::Open { path: path.to_owned(), source })?;
        Maps::parse(&text)
    }

    /// Reads the text of a file.
    pub fn parse(text: &[u8]) -> Result<Maps, MapError> {
        let json = pyjson::parse(text)?;
        let mut maps = Maps::default();
        for item in list(&json, "match")? {
            let mapping = members(item)?.into_iter().collect();
            maps.matches.push(Mapping { src: text_of(item, "src")?, dest: text_of(item, "dest")?, mapping });
        }
        for item in list(&json, "regex")? {
            let mut mapping = Vec::new();
            for (pattern, value) in members(item)? {
                // re.match looks at the beginning of the text only.
                mapping.push((Regex::new(&format!("\\A(?:{pattern})")).map_err(Box::new)?, value));
            }
            maps.regexes.push(Mapping { src: text_of(item, "src")?, dest: text_of(item, "dest")?, mapping });
        }
        for item in list(&json, "timify")? {
            let Json::Str(name) = item else { return Err(MapError::Shape("timify is a list of names")) };
            maps.timify.push(name.to_plain());
        }
        Ok(maps)
    }

    /// Adds or replaces members.
    pub(super) fn apply<'m>(&'m self, cells: &mut Vec<(&'m str, Cell<'_>)>) -> Result<(), MapError> {
        for map in &self.matches {
            let text = find(cells, &map.src)?.text();
            let value = map.mapping.get(&text).cloned().unwrap_or(Json::Null);
            put(cells, &map.dest, value);
        }
        for map in &self.regexes {
            for (regex, value) in &map.mapping {
                // Looked up for each pattern, as the original does: a mapping may change its own source.
                if regex.is_match(&find(cells, &map.src)?.text()) {
                    put(cells, &map.dest, value.clone());
                }
            }
        }
        for name in &self.timify {
            let seconds = find(cells, name)?.seconds().ok_or_else(|| MapError::NoTime(name.clone()))?;
            let at = Timestamp::from_second(seconds as i64).map_err(|_| MapError::NoTime(name.clone()))?;
            put(cells, name, Json::text(&at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()));
        }
        Ok(())
    }
}

impl Cell<'_> {
    pub(super) fn into_json(self) -> Json {
        match self {
            Cell::Field(datum) => pytrap::json(datum),
            Cell::Mapped(json) => json,
        }
    }

    /// Python's `str`.
    fn text(&self) -> String {
        match self {
            Cell::Field(datum) => pytrap::text(*datum),
            Cell::Mapped(Json::Null) => "None".into(),
            Cell::Mapped(Json::Bool(true)) => "True".into(),
            Cell::Mapped(Json::Bool(false)) => "False".into(),
            Cell::Mapped(Json::Int(digits)) => digits.clone(),
            Cell::Mapped(Json::Float(v)) => float(*v),
            Cell::Mapped(Json::Str(text)) => text.to_plain(),
            Cell::Mapped(other) => {
                let mut out = String::new();
                other.dump(&mut out);
                out
            }
        }
    }

    /// Python's `float`.
    fn seconds(&self) -> Option<f64> {
        match self {
            Cell::Field(Datum::Value(Value::Time(time))) => Some(pytrap::seconds(*time)),
            _ => self.text().trim().parse().ok(),
        }
    }
}

fn find<'c, 'a>(cells: &'c [(&str, Cell<'a>)], name: &str) -> Result<&'c Cell<'a>, MapError> {
    cells.iter().find(|(n, _)| *n == name).map(|(_, cell)| cell).ok_or_else(|| MapError::NoField(name.to_owned()))
}

fn put<'m>(cells: &mut Vec<(&'m str, Cell<'_>)>, name: &'m str, value: Json) {
    match cells.iter_mut().find(|(n, _)| *n == name) {
        Some((_, cell)) => *cell = Cell::Mapped(value),
        None => cells.push((name, Cell::Mapped(value))),
    }
}

fn list<'j>(json: &'j Json, name: &str) -> Result<&'j [Json], MapError> {
    match json {
        Json::Object(_) => match json.get(name) {
            None | Some(Json::Null) => Ok(&[]),
            Some(Json::Array(items)) => Ok(items),
            Some(_) => Err(MapError::Shape("match, regex and timify are lists")),
        },
        _ => Err(MapError::Shape("it is an object with match, regex and timify")),
    }
}

fn text_of(item: &Json, name: &str) -> Result<String, MapError> {
    match item.get(name) {
        Some(Json::Str(text)) => Ok(text.to_plain()),
        _ => Err(MapError::Shape("an item of match and regex has src, dest and mapping")),
    }
}

fn members(item: &Json) -> Result<Vec<(String, Json)>, MapError> {
    match item.get("mapping") {
        Some(Json::Object(members)) => {
            Ok(members.iter().map(|(name, value)| (name.to_plain(), value.clone())).collect())
        }
        _ => Err(MapError::Shape("an item of match and regex has a mapping, which is an object")),
    }
}

/// Any bytes as a file of mappings; what is accepted can be applied to a record.
pub fn fuzz_maps(input: &[u8]) {
    let Ok(maps) = Maps::parse(input) else { return };
    let mut cells = vec![("A", Cell::Field(Datum::Value(Value::Uint(6)))), ("B", Cell::Mapped(Json::Null))];
    // An unknown field is an answer.
    let _refused = maps.apply(&mut cells);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn applied(maps: &str) -> Result<String, MapError> {
        let maps = Maps::parse(maps.as_bytes())?;
        let mut cells = vec![
            ("P", Cell::Field(Datum::Value(Value::Uint(6)))),
            ("S", Cell::Field(Datum::Value(Value::Text(b"example.org")))),
            ("T", Cell::Field(Datum::Value(Value::Time(record::Time(1_600_000_000_999_000_000))))),
        ];
        maps.apply(&mut cells)?;
        Ok(cells
            .into_iter()
            .map(|(name, cell)| {
                let mut out = format!("{name}=");
                cell.into_json().dump(&mut out);
                out.push(' ');
                out
            })
            .collect())
    }

    #[test]
    fn match_regex_and_timify() {
        let maps = r#"{"match": [{"src":"P","dest":"N","mapping":{"6":"tcp"}}, {"src":"S","dest":"P","mapping":{}}],
            "regex": [{"src":"S","dest":"D","mapping":{"ex":1, "xam":2, ".*g$":[3]}}],
            "timify": ["T"]}"#;
        assert_eq!(applied(maps).unwrap(), r#"P=null S="example.org" T="2020-09-13T12:26:40Z" N="tcp" D=[3] "#);
        assert_eq!(applied("{}").unwrap(), r#"P=6 S="example.org" T=1600000000.999 "#);
        for bad in [
            "[]",
            "{",
            r#"{"match":3}"#,
            r#"{"timify":["NO"]}"#,
            r#"{"timify":["S"]}"#,
            r#"{"match":[{"src":"P"}]}"#,
            r#"{"regex":[{"src":"P","dest":"x","mapping":{"(":1}}]}"#,
        ] {
            assert!(applied(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text(input in "\\{\"(match|regex|timify)\":\\[[{}\"a-zA-Z:,\\[\\]0-9. ]{0,60}\\]\\}") {
            fuzz_maps(input.as_bytes());
        }
    }
}
