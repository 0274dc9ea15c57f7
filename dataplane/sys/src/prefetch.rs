//! Hints that memory will be read soon. They change nothing but speed.
use std::ops::Range;

/// Length of a cache line, bytes.
const LINE: usize = 64;

/// Asks for the cache line that `place` begins in. Free of effect where the target has no such instruction.
#[inline(always)]
pub fn prefetch<T: ?Sized>(place: &T) {
    line(std::ptr::from_ref(place).cast::<u8>());
}

/// Asks for the cache line so many bytes behind `place`, whatever is there.
#[inline(always)]
pub fn prefetch_far<T>(place: *const T, bytes: usize) {
    line(place.cast::<u8>().wrapping_byte_add(bytes));
}

/// Lines of a value that [`prefetch_value`] asks for at the most: more than a core can wait for at once.
const VALUE_LINES_MAX: usize = 16;

/// Asks for the cache lines of a value, the first 1024 bytes of a large one.
#[inline(always)]
pub fn prefetch_value<T>(value: &T) {
    let from = std::ptr::from_ref(value).cast::<u8>();
    for n in 0..size_of::<T>().div_ceil(LINE).min(VALUE_LINES_MAX) {
        line(from.wrapping_byte_add(n * LINE));
    }
}

/// Asks for the first two cache lines of a frame, where its headers stand; beyond the end of a short one this does no harm.
#[inline(always)]
pub fn prefetch_head(bytes: &[u8]) {
    line(bytes.as_ptr());
    line(bytes.as_ptr().wrapping_byte_add(LINE));
}

/// Asks for the cache lines of `bytes[range]`, one for each 64 bytes from its start. What lies past the end is asked for too, which
/// does no harm and costs less than to find the end.
#[inline(always)]
pub fn prefetch_bytes(bytes: &[u8], range: Range<usize>) {
    let mut at = range.start;
    while at < range.end {
        prefetch_far(bytes.as_ptr(), at);
        // Wraps for no slice; a range that ends at the end of the address space has to end all the same.
        at = at.saturating_add(LINE);
    }
}

#[inline(always)]
fn line(place: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE, which has the instruction, is part of x86_64; a prefetch never faults, whatever the address is.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(place.cast::<i8>());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

#[cfg(test)]
mod tests {
    #[test]
    fn any_place_may_be_asked_for() {
        super::prefetch(&7_u64);
        super::prefetch::<[u8]>(&[]);
        super::prefetch_value(&[7_u64; 999]);
        super::prefetch_value(&());
        super::prefetch_far(b"abc".as_ptr(), 2);
        super::prefetch_far(b"abc".as_ptr(), usize::MAX);
        super::prefetch_bytes(b"abc", 2..200);
        super::prefetch_bytes(b"abc", usize::MAX - 1..usize::MAX);
    }
}
