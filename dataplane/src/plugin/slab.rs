//! Memory for what the plugins of a lane keep: chunks of many sizes in one bounded place, used again by size.
//!
//! Chunks come in steps of [`GRANULE`] bytes. One that is given back waits for the next of its size; where none waits, new ones are cut
//! from the end, so that memory is touched as live flows need it and not before. When the end is reached a larger chunk will do.

/// Sizes and places are multiples of this, bytes.
pub(crate) const GRANULE: usize = 16;
/// The place of a chunk is a number of granules in 32 bits.
const BYTES_MAX: usize = NONE as usize * GRANULE;
/// Largest chunk, granules.
const CLASSES: usize = 256;
/// Largest chunk, bytes.
pub(crate) const CHUNK_MAX: usize = CLASSES * GRANULE;

/// Before the content: the next chunk of a chain or of a free list, the class, and a mark of the owner.
pub(crate) const HEADER_LEN: usize = 6;
const CLASS_AT: usize = 4;
const MARK_AT: usize = 5;

/// No chunk: the end of a chain.
pub(crate) const NONE: u32 = u32::MAX;

/// Chunks of one lane.
pub(crate) struct Slab {
    bytes: Vec<u8>,
    /// From here on no chunk was cut yet.
    end: usize,
    /// The first free chunk of each class; class `n` has `n + 1` granules.
    free: [u32; CLASSES],
}

impl Default for Slab {
    fn default() -> Self {
        Slab { bytes: Vec::new(), end: 0, free: [NONE; CLASSES] }
    }
}

impl Slab {
    /// Takes address space for at least so many bytes; only before the first chunk is taken.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        debug_assert_eq!(self.end, 0, "chunks keep their places");
        let bytes = bytes.min(BYTES_MAX);
        if bytes > self.bytes.len() {
            // Zeros that the allocator has from the kernel take no memory until they are written over.
            self.bytes = vec![0; bytes];
            sys::advise_huge(&mut self.bytes);
        }
    }

    /// A chunk for a content of `len` bytes at the end of a chain and with a mark; `None` if there is no room left.
    #[inline]
    pub(crate) fn take(&mut self, len: usize, mark: u8) -> Option<u32> {
        let class = class_of(len);
        let (at, class) = match *self.free.get(class)? {
            NONE => self.cut(class).map(|at| (at, class)).or_else(|| self.take_larger(class))?,
            free => {
                self.free[class] = self.next(free);
                (free, class)
            }
        };
        let header = self.header(at);
        *header = [0xff, 0xff, 0xff, 0xff, class as u8, mark];
        Some(at)
    }

    /// Gives a chunk back; answers the one that was behind it in its chain.
    #[inline]
    pub(crate) fn give(&mut self, at: u32) -> u32 {
        let class = self.header(at)[CLASS_AT] as usize;
        let next = self.next(at);
        self.link(at, self.free[class]);
        self.free[class] = at;
        next
    }

    /// Whether a content of `len` bytes fits a chunk and no smaller one.
    #[inline]
    pub(crate) fn suits(&self, at: u32, len: usize) -> bool {
        self.bytes.get(place(at) + CLASS_AT).is_some_and(|class| *class as usize == class_of(len))
    }

    /// The content of a chunk; the slice goes on behind it.
    #[inline]
    pub(crate) fn content(&self, at: u32) -> &[u8] {
        self.bytes.get(place(at) + HEADER_LEN..).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn content_mut(&mut self, at: u32) -> &mut [u8] {
        let size = (self.header(at)[CLASS_AT] as usize + 1) * GRANULE;
        self.bytes.get_mut(place(at) + HEADER_LEN..place(at) + size).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn next(&self, at: u32) -> u32 {
        self.bytes.get(place(at)..).and_then(|b| b.first_chunk()).map_or(NONE, |next| u32::from_le_bytes(*next))
    }

    #[inline]
    pub(crate) fn link(&mut self, at: u32, next: u32) {
        self.header(at)[..CLASS_AT].copy_from_slice(&next.to_le_bytes());
    }

    /// Puts a chunk at the end of a chain.
    pub(crate) fn append(&mut self, head: &mut u32, at: u32) {
        if *head == NONE {
            *head = at;
            return;
        }
        let mut last = *head;
        while self.next(last) != NONE {
            last = self.next(last);
        }
        self.link(last, at);
    }

    #[inline]
    pub(crate) fn mark(&self, at: u32) -> u8 {
        self.bytes.get(place(at) + MARK_AT).copied().unwrap_or_default()
    }

    #[inline]
    pub(crate) fn set_mark(&mut self, at: u32, mark: u8) {
        self.header(at)[MARK_AT] = mark;
    }

    /// Asks for the first lines of a chunk that will be read soon.
    #[inline]
    pub(crate) fn prefetch(&self, at: u32) {
        const AHEAD: usize = 256;
        sys::prefetch_bytes(&self.bytes, place(at)..place(at) + AHEAD);
    }

    /// A new chunk from the end.
    fn cut(&mut self, class: usize) -> Option<u32> {
        let (at, end) = (self.end, self.end + (class + 1) * GRANULE);
        if end > self.bytes.len() {
            return None;
        }
        self.end = end;
        Some((at / GRANULE) as u32)
    }

    #[cold]
    fn take_larger(&mut self, class: usize) -> Option<(u32, usize)> {
        let class = (class..CLASSES).find(|class| self.free[*class] != NONE)?;
        let at = self.free[class];
        self.free[class] = self.next(at);
        Some((at, class))
    }

    #[inline]
    fn header(&mut self, at: u32) -> &mut [u8; HEADER_LEN] {
        self.bytes[place(at)..].first_chunk_mut().expect("chunks are longer than their header")
    }
}

/// The class of the chunks that have room for a content of `len` bytes.
#[inline]
fn class_of(len: usize) -> usize {
    (HEADER_LEN + len - 1) / GRANULE
}

#[inline]
fn place(at: u32) -> usize {
    at as usize * GRANULE
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slab(bytes: usize) -> Slab {
        let mut slab = Slab::default();
        slab.reserve(bytes);
        slab
    }

    #[test]
    fn a_chunk_that_was_given_back_is_taken_again() {
        let mut s = slab(1 << 20);
        let [a, b] = [100, 100].map(|len| s.take(len, 1).expect("room"));
        let end = s.end;
        s.link(a, b);
        assert_eq!((s.next(a), s.next(b)), (b, NONE));
        assert!(s.suits(a, 100) && s.suits(a, 106) && !s.suits(a, 107) && !s.suits(a, 80));
        assert_eq!(s.give(a), b);
        assert_eq!(s.give(b), NONE);
        assert_eq!([s.take(100, 0), s.take(99, 0)], [Some(b), Some(a)]);
        assert_eq!(s.end, end);
    }

    #[test]
    fn the_bound_holds_and_larger_chunks_help_out() {
        let mut s = slab(4 * CHUNK_MAX);
        let room = s.bytes.len() / CHUNK_MAX;
        let large: Vec<u32> = std::iter::from_fn(|| s.take(CHUNK_MAX - HEADER_LEN, 0)).collect();
        assert_eq!(large.len(), room);
        assert_eq!(s.take(CHUNK_MAX, 0), None, "larger than any chunk");
        while s.take(1, 0).is_some() {}
        s.give(large[0]);
        let helped = s.take(1, 7).expect("the large one");
        assert_eq!((helped, s.mark(helped), s.content_mut(helped).len()), (large[0], 7, CHUNK_MAX - HEADER_LEN));
        assert_eq!(s.take(1, 0), None);
        s.give(helped);
        assert_eq!(s.take(CHUNK_MAX - HEADER_LEN, 0), Some(helped), "its class was not forgotten");
    }

    proptest! {
        /// Chunks never overlap, whatever is taken and given back.
        #[test]
        fn contents_stay_as_they_were_left(steps in prop::collection::vec((0..600usize, any::<u8>(), any::<bool>()), 1..300)) {
            let mut s = slab(1 << 15);
            let mut held: Vec<(u32, usize, u8)> = Vec::new();
            for (len, byte, give) in steps {
                if give && !held.is_empty() {
                    let (at, ..) = held.swap_remove(len % held.len());
                    s.give(at);
                } else if let Some(at) = s.take(len, byte) {
                    s.content_mut(at).fill(byte);
                    held.push((at, len, byte));
                }
                for (at, len, byte) in &held {
                    prop_assert_eq!(s.mark(*at), *byte);
                    prop_assert!(s.content(*at)[..*len].iter().all(|b| b == byte));
                }
            }
        }
    }
}
