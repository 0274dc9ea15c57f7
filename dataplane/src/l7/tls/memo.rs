//! The hashes of lists seen lately. Programs are few and connections many: nearly every ClientHello says what one said before it.
//!
//! A memo only ever answers what it was given for an equal list, so it changes speed and nothing else.

/// Lists of which a lane remembers the hash.
const PLACES: usize = 256;
/// Longest list that is remembered, 16-bit words.
pub const WORDS_MAX: usize = 128;
/// Odd, from the golden ratio: spreads a product over its high bits.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Values by lists of words; the newer list takes the place of an older one.
pub struct Memo<V> {
    places: Vec<Place<V>>,
}

#[derive(Clone)]
struct Place<V> {
    list: Words,
    value: V,
}

/// A list of words on the stack, which may turn out too long to be remembered.
#[derive(Clone)]
pub struct Words {
    /// Words that were pushed, whether or not they were kept.
    len: usize,
    words: [u16; WORDS_MAX],
}

impl<V: Copy + Default> Memo<V> {
    /// Takes the memory.
    pub fn new() -> Memo<V> {
        // No list is empty, so a free place equals none.
        Memo { places: vec![Place { list: Words { len: 0, words: [0; WORDS_MAX] }, value: V::default() }; PLACES] }
    }

    /// What `compute` answered for this list.
    pub fn get(&mut self, list: &Words, compute: impl FnOnce() -> V) -> V {
        let Some(words) = list.kept() else { return compute() };
        let place = &mut self.places[place(words)];
        if place.list.kept() != Some(words) {
            place.value = compute();
            place.list.words[..words.len()].copy_from_slice(words);
            place.list.len = words.len();
        }
        place.value
    }
}

impl<V: Copy + Default> Default for Memo<V> {
    fn default() -> Self {
        Memo::new()
    }
}

impl Words {
    /// Begins with a word that says what it is the list of.
    #[inline]
    pub fn of(kind: u16) -> Words {
        let mut words = Words { len: 1, words: [0; WORDS_MAX] };
        words.words[0] = kind;
        words
    }

    #[inline(always)]
    pub fn push(&mut self, word: u16) {
        if let Some(place) = self.words.get_mut(self.len) {
            *place = word;
        }
        self.len += 1;
    }

    /// Appends words; answers how many.
    #[inline(always)]
    fn extend(&mut self, mut words: impl Iterator<Item = u16>) -> usize {
        let room = self.words.get_mut(self.len..).unwrap_or_default();
        let mut count = 0;
        for (place, word) in room.iter_mut().zip(words.by_ref()) {
            *place = word;
            count += 1;
        }
        // Those that found no room.
        count += words.count();
        self.len += count;
        count
    }

    /// Appends a list and before it its length, so that the lists behind each other cannot be mistaken for others; answers the length.
    #[inline(always)]
    pub fn append(&mut self, words: impl Iterator<Item = u16>) -> usize {
        let at = self.len;
        self.push(0);
        let count = self.extend(words);
        if let Some(place) = self.words.get_mut(at) {
            *place = count as u16;
        }
        count
    }

    /// Appends a list of two bytes each, as [`Words::append`] does.
    #[inline(always)]
    pub fn append_pairs(&mut self, list: &[u8], plain: impl Fn(u16) -> u16) {
        let pairs = list.as_chunks().0;
        self.push(pairs.len() as u16);
        if let Some(room) = self.words.get_mut(self.len..).and_then(|rest| rest.get_mut(..pairs.len())) {
            room.iter_mut().zip(pairs).for_each(|(place, pair)| *place = plain(u16::from_be_bytes(*pair)));
        }
        self.len += pairs.len();
    }

    /// The words, unless they are too many.
    #[inline(always)]
    fn kept(&self) -> Option<&[u16]> {
        self.words.get(..self.len)
    }
}

fn place(words: &[u16]) -> usize {
    let mut hash = words.len() as u64;
    let (fours, rest) = words.as_chunks::<4>();
    for &[a, b, c, d] in fours {
        let four = (a as u64) | (b as u64) << 16 | (c as u64) << 32 | (d as u64) << 48;
        hash = (hash.rotate_left(23) ^ four).wrapping_mul(SPREAD);
    }
    for word in rest {
        hash = (hash.rotate_left(23) ^ *word as u64).wrapping_mul(SPREAD);
    }
    (hash >> 32) as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn words(items: &[u16]) -> Words {
        let mut words = Words::of(1);
        words.append(items.iter().copied());
        words
    }

    #[test]
    fn a_list_is_computed_once_and_never_mistaken() {
        let mut memo = Memo::new();
        let computed = Cell::new(0);
        let mut ask = |items: &[u16]| {
            let value = items.first().copied().unwrap_or(7) as u8;
            let got = memo.get(&words(items), || {
                computed.set(computed.get() + 1);
                [value; 16]
            });
            assert_eq!(got, [value; 16]);
        };
        for _ in 0..3 {
            ask(&[]);
            ask(&[1, 2, 3]);
            ask(&[4; WORDS_MAX - 2]);
        }
        assert_eq!(computed.get(), 3);
        // More lists than places, and lists that are too long.
        for n in 0..4 * PLACES as u16 {
            ask(&[n, 1]);
        }
        ask(&[5; WORDS_MAX]);
        ask(&[6; WORDS_MAX]);
        ask(&[6; 3 * WORDS_MAX]);
    }
}
