//! The one floor that may say `unsafe`: memory maps, prefetch, pinning. Everything above forbids it.
#![allow(unsafe_code)]

/// Asks the CPU to bring the line of `what` near; never faults, changes nothing.
#[inline(always)]
pub fn prefetch<T>(what: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint and cannot fault; the address comes from a live reference. SSE is part of x86_64.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(what).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = what;
}
