//! The clock that BPF programs read (`bpf_ktime_get_ns`), which the standard library hides behind `Instant`.

/// CLOCK_MONOTONIC in nanoseconds (clock_gettime(2)).
pub fn monotonic_ns() -> u64 {
    let mut at = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec, which `at` is. It can fail only for a clock that does not exist.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut at) };
    (at.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(at.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_goes_forward() {
        let before = super::monotonic_ns();
        assert!(before > 0 && super::monotonic_ns() >= before);
    }
}
