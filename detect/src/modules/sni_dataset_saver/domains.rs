//! The list of domains: which tag a server name has.
use crate::csv::rows;
use crate::pyjson::{self, Json};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

/// Domains of a list, at the most.
const DOMAINS_MAX: usize = 16 * 1024 * 1024;

/// Tags and their domains.
#[derive(Clone, Debug, Default)]
pub struct Domains {
    tags: Vec<Tag>,
    /// Domain to tag; the flag says that its subdomains belong to it too.
    places: HashMap<Vec<u8>, (usize, bool)>,
}

/// One row of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    pub name: String,
    /// Flows of earlier runs.
    pub count: u64,
}

/// Why a list was refused.
#[derive(Debug, thiserror::Error)]
pub enum DomainError {
    #[error("Error: cannot read {path}: {source}")]
    Open { path: PathBuf, source: io::Error },
    #[error("Invalid format of csv file.\nIt needs the columns Tag and Merged Domains, and at least one row.")]
    Columns,
    #[error("Error: more than {DOMAINS_MAX} domains")]
    TooMany,
    #[error("Stats file does not exist.\n{path}: {source}")]
    NoStats { path: PathBuf, source: io::Error },
    #[error("Stats file is empty.")]
    EmptyStats,
    #[error("Error: the third column of the stats file is no JSON object of counts")]
    Stats,
}

impl Domains {
    /// Reads a file.
    pub fn load(path: &Path) -> Result<Domains, DomainError> {
        let text = std::fs::read(path).map_err(|source| DomainError::Open { path: path.to_owned(), source })?;
        Domains::parse(&String::from_utf8_lossy(&text))
    }

    /// Reads CSV with the columns `Tag` and `Merged Domains`, a list separated by commas in which `*.` stands for any subdomain.
    pub fn parse(text: &str) -> Result<Domains, DomainError> {
        let mut rows = rows(text).into_iter();
        let header = rows.next().unwrap_or_default();
        let column = |name| header.iter().position(|known| known == name).ok_or(DomainError::Columns);
        let (tag, merged) = (column("Tag")?, column("Merged Domains")?);
        let mut domains = Domains::default();
        for row in rows {
            let (Some(name), Some(merged)) = (row.get(tag), row.get(merged)) else { return Err(DomainError::Columns) };
            let at = domains.tags.len();
            domains.tags.push(Tag { name: name.clone(), count: 0 });
            for item in merged.split(',') {
                let item: String = item.chars().filter(|c| !c.is_ascii_whitespace()).collect();
                let (domain, is_wide) = item.strip_prefix("*.").map_or((item.as_str(), false), |domain| (domain, true));
                // A domain that stands in several rows belongs to the first.
                domains.places.entry(domain.as_bytes().to_vec()).or_insert((at, is_wide));
                if domains.places.len() > DOMAINS_MAX {
                    return Err(DomainError::TooMany);
                }
            }
        }
        if domains.tags.is_empty() { Err(DomainError::Columns) } else { Ok(domains) }
    }

    /// Tags in the order of the list.
    pub fn tags(&self) -> &[Tag] {
        &self.tags
    }

    /// The tag of a server name: that of the longest entry which is the name, or a part behind a dot whose subdomains belong to it.
    pub fn find(&self, name: &[u8]) -> Option<usize> {
        if let Some((tag, _)) = self.places.get(name) {
            return Some(*tag);
        }
        let dots = name.iter().enumerate().filter(|(_, byte)| **byte == b'.');
        let entries = dots.filter_map(|(at, _)| self.places.get(&name[at + 1..]));
        entries.filter(|(_, is_wide)| *is_wide).map(|(tag, _)| *tag).next()
    }

    /// Takes the counts of an earlier run from what logger wrote of the second output, without a title.
    pub fn load_counts(&mut self, path: &Path) -> Result<(), DomainError> {
        let text = std::fs::read(path).map_err(|source| DomainError::NoStats { path: path.to_owned(), source })?;
        self.parse_counts(&String::from_utf8_lossy(&text))
    }

    fn parse_counts(&mut self, text: &str) -> Result<(), DomainError> {
        let first = rows(text).into_iter().next().and_then(|row| row.into_iter().nth(2));
        let json = pyjson::parse(first.ok_or(DomainError::EmptyStats)?.as_bytes());
        let Ok(Json::Object(members)) = json else { return Err(DomainError::Stats) };
        let counts: HashMap<String, &Json> = members.iter().map(|(name, count)| (name.to_plain(), count)).collect();
        for tag in &mut self.tags {
            if let Some(Json::Int(digits)) = counts.get(&tag.name) {
                tag.count = digits.parse().unwrap_or(0);
            }
        }
        Ok(())
    }
}

/// Any text as a list and as statistics; each domain of an accepted list finds a tag.
pub fn fuzz_domains(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let Ok(mut domains) = Domains::parse(&text) else { return };
    for domain in domains.places.keys() {
        assert!(domains.find(domain).is_some_and(|tag| tag < domains.tags.len()));
    }
    domains.find(input);
    // A refusal is an answer.
    let _counts = domains.parse_counts(&text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIST: &str = "Nr,Tag,Merged Domains\n1,web,\"a.example, *.b.example\"\r\n2,\"mail, \"\"x\"\"\",*.example\n\n";

    #[test]
    fn names_find_their_tags() {
        let domains = Domains::parse(LIST).unwrap();
        assert_eq!(domains.tags()[1].name, "mail, \"x\"");
        for (name, tag) in [
            ("a.example", Some(0)),
            ("b.example", Some(0)),
            ("x.y.b.example", Some(0)),
            ("x.a.example", Some(1)),
            ("c.example", Some(1)),
            ("example", Some(1)),
            ("cexample", None),
            ("", None),
            (".", None),
        ] {
            assert_eq!(domains.find(name.as_bytes()), tag, "{name}");
        }
        for bad in ["", "Tag,Merged Domains\n", "Tag\nx\n", "Tag,Merged Domains\nx\n"] {
            assert!(Domains::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn counts_of_an_earlier_run() {
        let mut domains = Domains::parse(LIST).unwrap();
        domains.parse_counts("t1,t2,\"{\"\"web\"\":7,\"\"other\"\":1}\"\n").unwrap();
        assert_eq!(domains.tags().iter().map(|tag| tag.count).collect::<Vec<_>>(), [7, 0]);
        assert!(matches!(domains.parse_counts(""), Err(DomainError::EmptyStats)));
        assert!(matches!(domains.parse_counts("a,b,c"), Err(DomainError::Stats)));
    }

    proptest! {
        #[test]
        fn any_list(input in "Tag,Merged Domains\n([a-c\"]{0,3},\"?([*.a-c,]{0,9})\"?\n){0,4}") {
            fuzz_domains(input.as_bytes());
        }
    }
}
