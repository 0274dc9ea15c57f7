//! A list of fingerprints or server names with reasons, as abuse.ch and others give them away.
//!
//! ```text
//! # one to a line
//! b386946a5a44d1ddcc843bc75336dfce
//! b386946a5a44d1ddcc843bc75336dfce,2017-07-14 18:08:15,2019-07-27 20:42:54,Dridex
//! "t13d190900_9dc949149365_97f8aa674fd9",Sliver
//! command.example.org,botnet
//! .evil.example
//! ```
//! The first column is what is looked for, the last one, if there are several, the reason. A name that begins with a dot, or with `*.`,
//! stands for itself and all names below. Letters are small or capital.
use super::{ENTRIES_MAX, Wrong};
use crate::csv;
use std::collections::HashMap;
use std::io;
use std::path::Path;

/// See the module. Hashes are keyed: what is looked for comes from the network.
#[derive(Clone, Debug, Default)]
pub struct Fingerprints {
    exact: HashMap<Box<[u8]>, Box<str>>,
    /// Names without their dot, which have others below.
    suffixes: HashMap<Box<[u8]>, Box<str>>,
}

/// Longest entry, and longest reason that is kept; a domain name has 253 bytes.
const ENTRY_MAX: usize = 253;
const REASON_MAX: usize = 128;

impl Fingerprints {
    /// Reads a file and says on standard error which of its lines mean nothing.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn load(path: &Path) -> io::Result<Fingerprints> {
        let mut list = Fingerprints::default();
        super::load(path, |line| list.take(line))?;
        Ok(list)
    }

    /// The reason for which something is on the list; it must be in small letters.
    pub fn find(&self, what: &[u8]) -> Option<&str> {
        self.exact.get(what).map(|reason| &**reason)
    }

    /// As [`Fingerprints::find`], for a name, which may also be below one that is on the list.
    pub fn find_name(&self, name: &[u8]) -> Option<&str> {
        let below = || {
            let mut rest = Some(name);
            std::iter::from_fn(move || {
                let this = rest?;
                rest = this.iter().position(|byte| *byte == b'.').map(|dot| &this[dot + 1..]);
                Some(this)
            })
        };
        self.find(name).or_else(|| below().find_map(|suffix| self.suffixes.get(suffix)).map(|reason| &**reason))
    }

    /// Entries of both kinds.
    pub fn len(&self) -> usize {
        self.exact.len() + self.suffixes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a line.
    pub(crate) fn take(&mut self, line: &str) -> Result<(), Wrong> {
        if line.starts_with('#') {
            return Ok(());
        }
        let rows = csv::rows(line);
        let [row] = &rows[..] else { return Err(Wrong::Format) };
        let entry = row.first().map(|entry| entry.trim().to_ascii_lowercase()).unwrap_or_default();
        let suffix = entry.strip_prefix("*.").or_else(|| entry.strip_prefix('.'));
        let key = suffix.unwrap_or(&entry);
        if key.is_empty()
            || key.len() > ENTRY_MAX
            || key.bytes().any(|b| b.is_ascii_whitespace() || b.is_ascii_control())
        {
            return Err(Wrong::Format);
        }
        if self.len() >= ENTRIES_MAX {
            return Err(Wrong::Full);
        }
        let reason = row.last().filter(|_| row.len() > 1).map_or("", |reason| reason.trim());
        let end = (0..=reason.len().min(REASON_MAX)).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
        let kind = if suffix.is_some() { &mut self.suffixes } else { &mut self.exact };
        kind.insert(key.as_bytes().into(), reason[..end].into());
        Ok(())
    }
}

/// Any bytes as a list: what a line names is found, with a reason that is not too long.
pub fn fuzz_fingerprints(input: &[u8]) {
    let mut list = Fingerprints::default();
    super::read("input", input, |line| list.take(line)).expect("reading memory does not fail");
    for entry in list.exact.keys() {
        assert!(list.find(entry).is_some_and(|reason| reason.len() <= REASON_MAX));
    }
    for suffix in list.suffixes.keys() {
        assert!(list.find_name(suffix).is_some() && list.find_name(&[b"a.", &suffix[..]].concat()).is_some());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(text: &str) -> (Fingerprints, usize) {
        let (mut list, mut wrong) = (Fingerprints::default(), 0);
        text.lines().for_each(|line| wrong += usize::from(list.take(line).is_err()));
        (list, wrong)
    }

    #[test]
    fn lines() {
        let (list, wrong) = list(
            "# ja3_md5,Firstseen,Lastseen,Listingreason\nB386946a5a44d1ddcc843bc75336dfce,2017-07-14 18:08:15,2019-07-27 20:42:54,Dridex\n\
             aa\n\"bb\",\"a, b\"\n,empty\nno entry\n.evil.example,x\n*.bad.example\nbad.example,itself",
        );
        assert_eq!((list.len(), wrong), (6, 2));
        assert_eq!(list.find(b"b386946a5a44d1ddcc843bc75336dfce"), Some("Dridex"));
        assert_eq!([&b"aa"[..], b"bb", b"cc"].map(|what| list.find(what)), [Some(""), Some("a, b"), None]);
        let names =
            ["evil.example", "a.b.evil.example", "notevil.example", "bad.example", "x.bad.example", "example", ""];
        let found = names.map(|name| list.find_name(name.as_bytes()));
        assert_eq!(found, [Some("x"), Some("x"), None, Some("itself"), Some(""), None, None]);
    }

    proptest! {
        #[test]
        fn any_list_is_survived(input: Vec<u8>) {
            fuzz_fingerprints(&input);
        }

        #[test]
        fn any_lines_are_survived(text in "([.*a-c,\"# ]{0,8}\n){0,8}") {
            fuzz_fingerprints(text.as_bytes());
        }
    }
}
