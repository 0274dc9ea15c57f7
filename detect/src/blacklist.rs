//! Blacklists: the catalog that says where they come from, their files, and who is on them (spec/detectors.md section 8).
//!
//! A list has a number from 1 to 64, unique among those of its kind. Files and alerts name lists by a bit field in which list n is the bit
//! n - 1.
//!
//! A line of a file that is no entry is told and left out; entries beyond [`ENTRIES_MAX`] are left out and counted.
pub mod addresses;
pub mod catalog;
pub(crate) mod filter;
pub mod fingerprints;
pub mod names;
pub(crate) mod watched;

use crate::lines::Lines;
use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// Lists of one kind, at the most: bits of a field.
pub const LISTS_MAX: u8 = 64;
/// Entries of a file, at the most; 30 to 150 bytes of memory each.
pub const ENTRIES_MAX: usize = 1 << 24;
/// Lines of a file that are told to be wrong; the others are counted.
const TOLD_MAX: u64 = 20;

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It is no entry, in form.
    Format,
    /// It has no address, or one of the other family.
    Address,
    /// The entry is taken, but this part of it means nothing.
    Ports(String),
    /// There are [`ENTRIES_MAX`] entries.
    Full,
}

/// Gives the lines of a file to `each`, empty ones left out, and says on standard error which of them it refuses.
pub(crate) fn load(path: &Path, each: impl FnMut(&str) -> Result<(), Wrong>) -> io::Result<()> {
    read(path.display(), BufReader::new(File::open(path)?), each)
}

pub(crate) fn read(
    name: impl Display,
    text: impl BufRead,
    mut each: impl FnMut(&str) -> Result<(), Wrong>,
) -> io::Result<()> {
    let (mut lines, mut number, mut wrong, mut left_out) = (Lines::new(text), 0_u64, 0, 0_u64);
    while let Some((line, is_whole)) = lines.next()? {
        number += 1;
        // Entries are ASCII; a line that is no text at all is damaged.
        let line = str::from_utf8(line).ok().filter(|_| is_whole).map(str::trim);
        let taken = match line {
            Some("") => continue,
            Some(line) => each(line),
            None => Err(Wrong::Format),
        };
        match taken {
            Ok(()) => {}
            Err(Wrong::Full) => left_out += 1,
            Err(why) => {
                wrong += 1;
                if wrong <= TOLD_MAX {
                    eprintln!("{}", Told { name: &name, number, why });
                }
            }
        }
    }
    if wrong > TOLD_MAX {
        eprintln!("WARNING: File '{name}' has {} more bad formatted lines", wrong - TOLD_MAX);
    }
    if left_out > 0 {
        eprintln!("WARNING: File '{name}' has more than {ENTRIES_MAX} entries; {left_out} are left out");
    }
    Ok(())
}

/// What is said of a line, in the words of the original.
struct Told<N> {
    name: N,
    number: u64,
    why: Wrong,
}

impl<N: Display> Display for Told<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Told { name, number, why } = self;
        match why {
            Wrong::Ports(part) => write!(f, "WARNING: Invalid blacklist:[ports] on line {number} of '{name}': {part}"),
            Wrong::Address => write!(f, "WARNING: Invalid IP address in file '{name}' on line number '{number}'"),
            Wrong::Format | Wrong::Full => {
                write!(f, "WARNING: File '{name}' has bad formatted line number '{number}'")
            }
        }
    }
}
