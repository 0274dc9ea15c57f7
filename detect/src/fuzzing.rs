//! Harnesses of this crate: one body for property tests, fuzz targets and replays of their corpora.
use record::fuzzing::Target;

/// Name and function of each. `fuzz/targets.rs` joins the tables of all crates.
pub const TARGETS: &[Target] = &[
    ("biflow_config", crate::modules::biflow_aggregator::config::fuzz_biflow_config),
    ("filter", crate::filter::fuzzing::fuzz_filter),
    ("filter_entries", crate::modules::unirecfilter::entries::fuzz_entries),
];
