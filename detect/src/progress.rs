//! The character that some modules print for every so many records.
use std::io::{self, Write};

/// Counts records and prints a character to standard output each time there were enough.
#[derive(Clone, Debug)]
pub struct Progress {
    each: u64,
    mark: char,
    count: u64,
}

impl Progress {
    /// One `mark` for every `each` records; 0 prints nothing.
    pub fn new(each: u64, mark: char) -> Progress {
        Progress { each, mark, count: 0 }
    }

    /// Counts a record.
    pub fn count(&mut self) {
        if self.each > 0 {
            self.count += 1;
            if self.count == self.each {
                self.count = 0;
                say(self.mark);
            }
        }
    }

    /// Ends the line of marks, if there may be one.
    pub fn end(&self) {
        if self.each > 0 {
            say('\n');
        }
    }
}

/// Progress is of no interest to a reader that is gone, and a full disk shows with what matters.
fn say(mark: char) {
    let mut out = io::stdout().lock();
    let _ = write!(out, "{mark}").and_then(|()| out.flush());
}
