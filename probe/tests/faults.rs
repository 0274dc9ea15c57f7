//! The fault matrix of live capture (RELIABILITY.md, section 5), one file for each row, with the real binary in a network namespace.
//!
//! | row | where |
//! |---|---|
//! | 25, link down and up | `faults/row25_link.rs`, and both `live` suites |
//! | 26, interface removed, queues or MTU changed | `faults/row26_interface.rs` |
//! | 27, XDP program replaced or taken off | `faults/row27_program.rs`, `live_xdp.rs` |
//! | 28, out of huge pages at the start; 29, taken later | `faults/row28_29_huge_pages.rs` (AF_XDP), `dpdk.rs` |
//! | 35, the lane does not get its processor | `saturation.rs` |
//! | 42, RLIMIT_MEMLOCK too low | `live_xdp.rs`, `what_is_wrong_is_said` |

#[path = "live/netns.rs"]
#[allow(dead_code, reason = "each live suite uses its part")]
mod netns;
#[path = "faults/row25_link.rs"]
mod row25_link;
#[path = "faults/row26_interface.rs"]
mod row26_interface;
#[path = "faults/row27_program.rs"]
mod row27_program;
#[path = "faults/row28_29_huge_pages.rs"]
mod row28_29_huge_pages;
mod support;
#[path = "live/traffic.rs"]
mod traffic;
#[path = "live/xdp.rs"]
mod xdp;

use netns::{HERE, Netns, Running};

/// A capture by this backend that has begun, with its flows on standard output.
fn started(ns: &Netns, backend: &str, args: &[&str]) -> Running {
    let running = Running::start(&mut ns.sonda([&["probe", "-i", HERE, "--backend", backend], args].concat()));
    running.wait_for(&format!(": {backend}, "));
    running
}

/// Looks again and again, for as long as a loaded machine may need.
fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !is() {
        assert!(std::time::Instant::now() < end, "waited for {what} in vain");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
