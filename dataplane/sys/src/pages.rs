//! Large tables on huge pages: a random access to gigabytes then misses the cache, but not the TLB too.
use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Size of a huge page on the machines we know; smaller tables gain nothing.
const HUGE: usize = 2 << 20;

/// A fixed slice in memory of its own, advised to be on (transparent) huge pages and touched as a whole at once.
///
/// Where the kernel has no huge pages to give it uses small ones: slower, nothing else.
pub struct Pages<T: Copy> {
    first: NonNull<T>,
    len: usize,
    mapping: NonNull<libc::c_void>,
    mapped: usize,
    advised: bool,
}

/// Advises that memory which was taken but not used yet be on (transparent) huge pages: growing into it then costs one page fault
/// where there were five hundred. Answers whether the kernel took the advice; too small a memory holds no huge page.
pub fn advise_huge<T>(memory: &mut [T]) -> bool {
    let skip = memory.as_ptr().cast::<u8>().align_offset(HUGE);
    let bytes = size_of_val(memory).saturating_sub(skip) / HUGE * HUGE;
    if bytes == 0 {
        return false;
    }
    // SAFETY: the range lies inside the slice, which is borrowed alone; the advice changes neither contents nor validity.
    unsafe { libc::madvise(memory.as_mut_ptr().byte_add(skip).cast(), bytes, libc::MADV_HUGEPAGE) == 0 }
}

impl<T: Copy> Pages<T> {
    /// `len` copies of `value`.
    pub fn new(len: usize, value: T) -> io::Result<Pages<T>> {
        let too_large = || io::Error::new(io::ErrorKind::OutOfMemory, "the table is larger than the address space");
        let bytes = len.checked_mul(size_of::<T>()).ok_or_else(too_large)?.max(1);
        // One huge page more, so that the table can begin on a boundary; a type needs no more alignment than that.
        let mapped = bytes.checked_next_multiple_of(HUGE).and_then(|b| b.checked_add(HUGE)).ok_or_else(too_large)?;
        assert!(align_of::<T>() <= HUGE);
        // SAFETY: a private anonymous mapping at an address of the kernel's choice touches no memory that exists.
        let mapping = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            libc::mmap(std::ptr::null_mut(), mapped, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
        };
        if mapping == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let skip = mapping.align_offset(HUGE);
        // SAFETY: `skip` is below HUGE, and the mapping is `bytes` and at least HUGE long.
        let first = unsafe { mapping.byte_add(skip) }.cast::<T>();
        // SAFETY: the range lies inside the mapping made above; advice changes no contents.
        let advised = unsafe { libc::madvise(first.cast(), mapped - HUGE, libc::MADV_HUGEPAGE) } == 0;
        for at in 0..len {
            // SAFETY: `first` is aligned to HUGE, hence to T, and `len` values of T lie inside the mapping, which nobody else knows.
            unsafe { first.add(at).write(value) };
        }
        let (Some(first), Some(mapping)) = (NonNull::new(first), NonNull::new(mapping)) else {
            return Err(io::Error::other("the kernel mapped address zero"));
        };
        Ok(Pages { first, len, mapping, mapped, advised })
    }

    /// Asks for the cache line that value `at` begins in; there may be none.
    #[inline(always)]
    pub fn prefetch(&self, at: usize) {
        crate::prefetch_far(self.first.as_ptr(), at * size_of::<T>());
    }

    /// Whether the kernel took the advice to use huge pages (it may still be short of them).
    pub fn advised(&self) -> bool {
        self.advised
    }
}

impl<T: Copy> Deref for Pages<T> {
    type Target = [T];
    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: `new` wrote `len` values from `first` on; the borrow of self keeps the mapping alive and unchanged.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.len) }
    }
}

impl<T: Copy> DerefMut for Pages<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as for `deref`, and self is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.first.as_ptr(), self.len) }
    }
}

impl<T: Copy> Drop for Pages<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` with this length, and no borrow of it outlives self. Values are Copy: nothing to drop.
        unsafe { libc::munmap(self.mapping.as_ptr(), self.mapped) };
    }
}

// SAFETY: the memory belongs to this value alone, like that of a Box.
unsafe impl<T: Copy + Send> Send for Pages<T> {}
// SAFETY: as for a shared slice.
unsafe impl<T: Copy + Sync> Sync for Pages<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_holds_what_it_was_given() {
        #[derive(Clone, Copy, PartialEq, Debug)]
        #[repr(align(64))]
        struct Line(u32);
        let mut table = Pages::new(100_000, Line(7)).expect("memory");
        assert_eq!((table.len(), table[99_999]), (100_000, Line(7)));
        table[5] = Line(9);
        assert_eq!(table.iter().filter(|l| **l == Line(9)).count(), 1);
        assert_eq!(table.as_ptr().align_offset(64), 0);
        assert!(Pages::new(0, Line(1)).expect("memory").is_empty());
    }

    #[test]
    fn memory_that_grows_may_be_advised() {
        let mut large = Vec::<[u64; 9]>::with_capacity(1 << 20);
        super::advise_huge(large.spare_capacity_mut());
        large.resize(1 << 20, [7; 9]);
        assert!(large.iter().all(|item| *item == [7; 9]));
        assert!(!super::advise_huge(Vec::<u8>::with_capacity(100).spare_capacity_mut()));
        assert!(!super::advise_huge::<u64>(&mut []));
    }

    #[test]
    fn the_impossible_is_an_error() {
        assert!(Pages::new(usize::MAX, 1u64).is_err());
    }
}
