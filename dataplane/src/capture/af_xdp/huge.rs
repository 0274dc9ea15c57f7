//! Huge pages that are reserved and free, for the message when they do not suffice (RELIABILITY.md, 28).
use std::path::Path;

/// Bytes of the pages that are asked for (`MAP_HUGE_2MB`).
const PAGE: u64 = 2 << 20;
/// Documentation/admin-guide/mm/hugetlbpage.rst
const POOL: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB";

/// The kernel's pool of huge pages of this size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HugePool {
    pub(super) pages: u64,
    /// Neither used nor promised to a mapping.
    pub(super) free: u64,
}

impl HugePool {
    /// As it is now; empty where the kernel has none.
    pub(super) fn look() -> HugePool {
        let number = |name: &str| -> u64 {
            let text = std::fs::read_to_string(Path::new(POOL).join(name));
            text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
        };
        let free = number("free_hugepages").saturating_sub(number("resv_hugepages"));
        HugePool { pages: number("nr_hugepages"), free }
    }

    /// What to do when the memory of a queue, of `need` bytes, could not be had; the queues before it have theirs.
    pub(super) fn advice(self, need: u64, queue: u32, layout: &[Vec<u32>]) -> String {
        // Queues may have one socket more or less than this one.
        let each = need / layout.get(queue as usize).map_or(1, |sockets| sockets.len().max(1)) as u64;
        let pages = |queues: &[Vec<u32>]| -> u64 {
            queues.iter().map(|sockets| (each * sockets.len() as u64).div_ceil(PAGE)).sum()
        };
        let had = pages(layout.get(..queue as usize).unwrap_or_default());
        let (needed, free) = (pages(layout), self.free + had);
        let missing = needed.saturating_sub(free);
        let more = self.pages + missing;
        format!(
            "of huge pages of 2048 KiB {needed} are needed and {free} free, {missing} are missing: reserve them (`sysctl \
             vm.nr_hugepages={more}`), allow small ones (huge=try), or make the ring smaller"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_that_is_missing_is_exact() {
        // The first of two queues has its four pages; the second one, with one socket, needs two where one is free.
        let pool = HugePool { pages: 9, free: 1 };
        let advice = pool.advice(2 * PAGE, 1, &[vec![0, 1], vec![2]]);
        assert!(advice.contains("6 are needed and 5 free, 1 are missing"), "{advice}");
        assert!(advice.contains("vm.nr_hugepages=10"), "{advice}");
    }
}
