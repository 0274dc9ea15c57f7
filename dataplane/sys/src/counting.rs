//! An allocator that counts, for tests that promise to allocate nothing.
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Each thread counts for itself: a test harness has threads of its own.
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator with a counter: `#[global_allocator] static ALLOCATOR: CountingAllocator = CountingAllocator;`
pub struct CountingAllocator;

/// Allocations, the growing ones included, that this thread has asked for so far; 0 where the allocator is not in use.
pub fn allocations() -> u64 {
    TAKEN.with(Cell::get)
}

fn count() {
    // While a thread ends its locals are gone; nobody asks then.
    let _ = TAKEN.try_with(|taken| taken.set(taken.get() + 1));
}

// SAFETY: each call goes to the system's allocator as it came; the counter is a plain cell without a destructor, which allocates nothing.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller promises what `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above; all memory given out here is from `System`.
        unsafe { System.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }
}
