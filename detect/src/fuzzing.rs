//! Harnesses of this crate: one body for property tests, fuzz targets and replays of their corpora.
use record::fuzzing::Target;

/// Name and function of each. `fuzz/targets.rs` joins the tables of all crates.
pub const TARGETS: &[Target] = &[
    ("backscatter_networks", crate::modules::backscatter::fuzz_networks),
    ("bloom_config", crate::modules::bloom_history::fuzz_config),
    ("debug_edit", crate::modules::debug_sender::fuzz_edit),
    ("device_rules", crate::modules::device_classifier::fuzz_rules),
    ("device_svm", crate::modules::device_classifier::fuzz_svm),
    ("http_client", crate::http::fuzz_http),
    ("json_maps", crate::modules::unirec2json::fuzz_maps),
    ("link_config", crate::modules::link_traffic::fuzz_links),
    ("pyjson", crate::pyjson::fuzz_pyjson),
    ("sni_domains", crate::modules::sni_dataset_saver::fuzz_domains),
];
