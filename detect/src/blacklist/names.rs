//! A list of URLs or domain names, as its file has them: `ENTITY\BITFIELD` (spec/detectors.md section 8.2).
//!
//! Contract: an entity is found by exactly its bytes. Of two lines about one entity both count.
use super::{ENTRIES_MAX, Wrong};
use std::collections::HashMap;
use std::io;
use std::path::Path;

/// See the module. Hashes are keyed: names come from the network.
#[derive(Clone, Debug, Default)]
pub struct Names(HashMap<Box<[u8]>, u64>);

impl Names {
    /// Reads a file and says on standard error which of its lines mean nothing.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn load(path: &Path) -> io::Result<Names> {
        let mut names = Names::default();
        super::load(path, |line| names.take(line))?;
        Ok(names)
    }

    /// The lists that the entity is on.
    #[inline]
    pub fn find(&self, entity: &[u8]) -> Option<u64> {
        self.0.get(entity).copied()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, line: &str) -> Result<(), Wrong> {
        // The last one: a URL may have backslashes of its own.
        let (entity, bits) = line.rsplit_once('\\').ok_or(Wrong::Format)?;
        let bits: u64 = bits.trim().parse().map_err(|_| Wrong::Format)?;
        if entity.is_empty() {
            return Err(Wrong::Format);
        }
        if self.0.len() >= ENTRIES_MAX && !self.0.contains_key(entity.as_bytes()) {
            return Err(Wrong::Full);
        }
        *self.0.entry(entity.as_bytes().into()).or_insert(0) |= bits;
        Ok(())
    }
}

/// Any bytes as a list: what a line names is found.
pub fn fuzz_names(input: &[u8]) {
    let mut names = Names::default();
    super::read("input", input, |line| {
        let taken = names.take(line);
        if taken.is_ok() {
            let (entity, bits) = line.rsplit_once('\\').expect("a line that was taken has a backslash");
            let bits: u64 = bits.trim().parse().expect("and a number");
            assert!(names.find(entity.as_bytes()).is_some_and(|found| found & bits == bits));
        }
        taken
    })
    .expect("reading memory does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn entities_and_their_bits() {
        let mut names = Names::default();
        let lines = ["bad.example.com\\1", "a\\b\\18446744073709551615", "bad.example.com\\4"];
        assert!(lines.iter().all(|line| names.take(line).is_ok()));
        assert_eq!((names.len(), names.find(b"bad.example.com"), names.find(b"a\\b")), (2, Some(5), Some(u64::MAX)));
        assert_eq!(names.find(b"BAD.example.com"), None);
        for bad in ["x", "\\1", "x\\", "x\\-1", "x\\y"] {
            assert_eq!(names.take(bad), Err(Wrong::Format), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text(text in "([a-c./\\\\]{0,6}\\\\?[0-9x]{0,3}\n?){0,8}") {
            fuzz_names(text.as_bytes());
        }
    }
}
