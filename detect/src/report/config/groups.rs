//! Address groups: names for lists of addresses in conditions (spec/idea.md section 2.1).
use super::{ConfigError, Section, SectionError};
use crate::lines::Lines;
use crate::report::condition::AddressRange;
use crate::report::log;
use std::fs::File;
use std::io::{BufReader, Read};

/// Addresses of one group, at the most; written out in a condition they take about 20 bytes each.
const ADDRESSES_MAX: usize = 500_000;

/// Bytes of a group's file, at the most.
const FILE_MAX: u64 = 64 * 1024 * 1024;

/// A group.
#[derive(Clone, Debug)]
pub struct Group {
    pub id: String,
    /// As they are written.
    pub ranges: Vec<String>,
}

impl Group {
    /// Reads a group from its list or its file. What is no address is told and left out.
    ///
    /// # Errors
    /// It has no id, or neither list nor file, or the file cannot be read.
    pub fn read(section: &Section) -> Result<Group, ConfigError> {
        let mut group = Group { id: section.need("id")?, ranges: Vec::new() };
        if let Some(path) = section.text("file")? {
            let failed = |why| ConfigError::Open(path.clone(), why);
            let mut lines = Lines::new(BufReader::new(File::open(&path).map_err(failed)?.take(FILE_MAX)));
            while let Some((line, _)) = lines.next().map_err(failed)? {
                group.add(&String::from_utf8_lossy(line));
            }
        } else {
            if !section.has("list") {
                return Err(SectionError::Missing(section.place().to_owned(), "list` or `file".into()).into());
            }
            section.texts("list")?.iter().for_each(|text| group.add(text));
        }
        if group.ranges.len() > ADDRESSES_MAX {
            log::error!("address group {}: only the first {ADDRESSES_MAX} addresses are used.", group.id);
            group.ranges.truncate(ADDRESSES_MAX);
        }
        Ok(group)
    }

    fn add(&mut self, text: &str) {
        let text = text.trim();
        if text.is_empty() || self.ranges.len() > ADDRESSES_MAX {
            return;
        }
        match text.parse::<AddressRange>() {
            Ok(_) => self.ranges.push(text.to_owned()),
            Err(why) => log::error!("address group {}: \"{text}\" is left out: {why}", self.id),
        }
    }

    /// The group as a list literal of conditions.
    pub fn literal(&self) -> String {
        let quoted: Vec<_> = self.ranges.iter().map(|range| format!("'{range}'")).collect();
        format!("[{}]", quoted.join(", "))
    }
}

/// `text` with each whole word `word` replaced, wherever it stands.
pub fn replace_words(text: &str, word: &str, with: &str) -> String {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let (mut out, mut rest, mut before) = (String::new(), text, None);
    while let Some(at) = rest.find(word).filter(|_| !word.is_empty()) {
        let (head, tail) = rest.split_at(at);
        let behind = &tail[word.len()..];
        let previous = head.chars().next_back().or(before);
        let is_word = !is_part(previous) && !is_part(behind.chars().next());
        out.push_str(head);
        out.push_str(if is_word { with } else { word });
        (rest, before) = (behind, word.chars().next_back());
    }
    out.push_str(rest);
    out
}
