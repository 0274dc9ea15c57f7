//! What was seen of late: two filters, of which the younger becomes the older one when its time has passed.
use crate::bloom::{Bloom, SizeError};

/// A set of keys in which those of the last `length` seconds certainly are, and none older than twice that.
#[derive(Debug)]
pub(super) struct History {
    current: Bloom,
    next: Bloom,
    length: u64,
    latest: u64,
    begun: Option<u64>,
}

impl History {
    /// `rate` keys per second are expected.
    pub(super) fn new(length_secs: u32, rate: u64, error: f32) -> Result<History, SizeError> {
        let entries = u32::try_from(u64::from(length_secs) * 2 * rate).unwrap_or(u32::MAX);
        let set = || Bloom::new(entries, error.into());
        Ok(History { current: set()?, next: set()?, length: length_secs.into(), latest: 0, begun: None })
    }

    /// Inserts a pair of addresses at a time; answers the latest time.
    pub(super) fn add(&mut self, src: u32, dst: u32, at_secs: u64) -> u64 {
        self.advance(at_secs);
        self.insert(&pair(src, dst));
        self.latest
    }

    /// Whether a pair was seen.
    pub(super) fn contains(&self, src: u32, dst: u32) -> bool {
        self.current.contains(&pair(src, dst))
    }

    /// Inserts a key; true if it was seen before.
    pub(super) fn insert(&mut self, key: &[u8]) -> bool {
        let was_in = self.current.insert(key);
        if self.latest >= self.begun.unwrap_or(0) + self.length {
            self.next.insert(key);
        }
        was_in
    }

    /// Moves on to a time.
    pub(super) fn advance(&mut self, at_secs: u64) {
        self.latest = self.latest.max(at_secs);
        let begun = self.begun.get_or_insert(at_secs);
        if self.latest > *begun + 2 * self.length {
            *begun += self.length;
            std::mem::swap(&mut self.current, &mut self.next);
            self.next.clear();
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.current.clear();
        self.next.clear();
        self.begun = None;
        self.latest = 0;
    }
}

fn pair(src: u32, dst: u32) -> [u8; 8] {
    let ([a, b, c, d], [e, f, g, h]) = (src.to_le_bytes(), dst.to_le_bytes());
    [a, b, c, d, e, f, g, h]
}
