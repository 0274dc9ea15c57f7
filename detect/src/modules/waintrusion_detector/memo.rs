//! Values of the headers that most requests repeat, in which no signature found anything: they are not looked at again.
//!
//! Contract: at most [`SLOTS`] values of each field, none longer than [`VALUE_MAX`]; what is remembered was looked at whole, and is
//! compared whole.
use super::request::{Field, Request};
use std::hash::{BuildHasher, RandomState};

/// Values of a field. Two that fall into one slot take turns.
const SLOTS: usize = 1024;
/// Bytes of a value that is remembered.
const VALUE_MAX: usize = 512;
/// Fields whose values come again; a URL seldom does.
const FIELDS: [Field; 4] = [Field::Method, Field::Host, Field::UserAgent, Field::Referer];

/// See the module.
#[derive(Debug)]
pub(super) struct Memo {
    /// Of each of [`FIELDS`]. An empty slot has no bytes; the empty text is looked at each time.
    slots: [Vec<String>; FIELDS.len()],
    /// Clients choose the values: nobody can tell which of them share a slot.
    keys: RandomState,
}

impl Default for Memo {
    fn default() -> Memo {
        Memo { slots: FIELDS.map(|_| vec![String::new(); SLOTS]), keys: RandomState::new() }
    }
}

impl Memo {
    /// Whether nothing is in this field of the request.
    pub(super) fn has(&self, field: Field, request: &Request<'_>) -> bool {
        self.place(field, request).is_some_and(|(of, at, value)| self.slots[of][at] == value)
    }

    /// Remembers that nothing is in it.
    pub(super) fn put(&mut self, field: Field, request: &Request<'_>) {
        if let Some((of, at, value)) = self.place(field, request) {
            let slot = &mut self.slots[of][at];
            slot.clear();
            slot.push_str(value);
        }
    }

    fn place<'r>(&self, field: Field, request: &'r Request<'_>) -> Option<(usize, usize, &'r str)> {
        let of = FIELDS.iter().position(|known| *known == field)?;
        let value = request.values(field).next().filter(|value| (1..=VALUE_MAX).contains(&value.len()))?;
        Some((of, self.keys.hash_one(value) as usize % SLOTS, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_known() {
        let mut memo = Memo::default();
        let long = [b'x'; VALUE_MAX + 1];
        let request = Request::new(b"GET", b"/", b"a.example", &long, b"");
        for (field, _) in super::super::request::FIELDS {
            assert!(!memo.has(field, &request));
            memo.put(field, &request);
        }
        let known = super::super::request::FIELDS.map(|(field, _)| memo.has(field, &request));
        assert_eq!(known.iter().filter(|is_known| **is_known).count(), 2, "method and host");
        let other = Request::new(b"GET", b"/", b"b.example", b"x", b"");
        assert!(memo.has(Field::Method, &other) && !memo.has(Field::Host, &other));
        // However many come, there are no more slots.
        (0..10 * SLOTS)
            .for_each(|n| memo.put(Field::Host, &Request::new(b"", b"", n.to_string().as_bytes(), b"", b"")));
        assert_eq!(memo.slots.iter().map(Vec::len).sum::<usize>(), FIELDS.len() * SLOTS);
        assert!(!memo.has(Field::Host, &request), "it made room");
    }
}
