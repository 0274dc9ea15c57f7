//! All fuzz targets in one binary: `SONDA_FUZZ` names the one to run. One binary builds once, and leaves no list that could lag
//! behind the registry. `cargo xtask fuzz` runs them all.
#![no_main]

#[path = "../targets.rs"]
mod targets;

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static CHOSEN: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("SONDA_FUZZ").unwrap_or_default();
    if name == targets::CANARY {
        return targets::canary;
    }
    let all = targets::targets();
    let known = || all.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" ");
    let found = all.iter().find(|(target, _)| *target == name);
    found.unwrap_or_else(|| panic!("set SONDA_FUZZ to one of: {}", known())).1
});

fuzz_target!(|data: &[u8]| CHOSEN(data));
