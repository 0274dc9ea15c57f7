//! The one list of fuzz targets: the tables of all crates, and the canary that must fail.
//!
//! This file is a module of each engine that runs them: `fuzz_targets/any.rs` (libFuzzer), `probe/tests/fuzz_replay.rs` (replay of
//! the corpora and random smoke, in `cargo test`), and of `cargo xtask`, which starts the one and writes seeds.
use record::fuzzing::Target;

/// Every target of every crate.
pub(crate) fn targets() -> Vec<Target> {
    [
        record::fuzzing::TARGETS,
        trap::fuzzing::TARGETS,
        dataplane::fuzzing::TARGETS,
        detect::fuzzing::TARGETS,
        control::fuzzing::TARGETS,
    ]
    .concat()
}

/// The name that [`canary`] goes by; it is not in [`targets`].
pub(crate) const CANARY: &str = "canary";

/// Fails for one input in 256: an engine that does not find it finds nothing.
pub(crate) fn canary(data: &[u8]) {
    assert_ne!(data.first(), Some(&b'S'), "the canary sings");
}
