//! Harnesses of this crate: one body for property tests, fuzz targets and replays of their corpora.
use crate::modules::{anonymizer, prefix_tags};
use crate::muxed::{self, Header, Payload};
use crate::nfdump;
use record::fuzzing::Target;
use record::unirec::Template;

/// Name and function of each. `fuzz/targets.rs` joins the tables of all crates.
pub const TARGETS: &[Target] = &[
    ("alert_store", crate::store::fuzzing::fuzz_alert_store),
    ("anonymizer_text", fuzz_anonymizer_text),
    ("backscatter_model", crate::modules::backscatter_classifier::fuzz_model),
    ("backscatter_training", crate::modules::backscatter_classifier::fuzz_training),
    ("biflow_config", crate::modules::biflow_aggregator::config::fuzz_biflow_config),
    ("blacklist_addresses", crate::blacklist::addresses::fuzz_addresses),
    ("blacklist_catalog", crate::blacklist::catalog::fuzz_catalog),
    ("blacklist_fingerprints", crate::blacklist::fingerprints::fuzz_fingerprints),
    ("blacklist_names", crate::blacklist::names::fuzz_names),
    ("bl_downloader_lists", crate::modules::bl_downloader::extract::fuzz_extract),
    ("bloom_config", crate::modules::bloom_history::fuzz_config),
    ("brute_force_config", crate::modules::brute_force_detector::fuzz_config),
    ("brute_force_whitelist", crate::modules::brute_force_detector::fuzz_whitelist),
    ("configurator", crate::configurator::fuzz_settings),
    ("debug_edit", crate::modules::debug_sender::fuzz_edit),
    ("device_rules", crate::modules::device_classifier::fuzz_rules),
    ("device_svm", crate::modules::device_classifier::fuzz_svm),
    ("doh_resolvers", crate::modules::doh_tunnel_detector::fuzz_resolvers),
    ("email_config", crate::modules::email_reporter::fuzz_config),
    ("dnstunnel_packet", crate::modules::dnstunnel_detection::fuzz_packet),
    ("dnstunnel_whitelist", crate::modules::dnstunnel_detection::fuzz_whitelist),
    ("filter", crate::filter::fuzzing::fuzz_filter),
    ("filter_entries", crate::modules::unirecfilter::entries::fuzz_entries),
    ("hoststats_config", crate::modules::hoststatsnemea::fuzz_config),
    ("http_body", crate::http::get::fuzz_body),
    ("http_client", crate::http::fuzz_http),
    ("json_maps", crate::modules::unirec2json::fuzz_maps),
    ("link_config", crate::modules::link_traffic::fuzz_links),
    ("miner_answer", crate::modules::miner_detector::stratum::fuzz_answer),
    ("miner_pools", crate::modules::miner_detector::pools::fuzz_pools),
    ("mux_message", fuzz_mux_message),
    ("networks", crate::networks::fuzz_networks),
    ("new_service_state", crate::modules::new_service_detector::fuzz_state),
    ("nfdump_file", nfdump::fuzzing::fuzz_nfdump_file),
    ("nfdump_filter", nfdump::fuzzing::fuzz_nfdump_filter),
    ("prefix_config", fuzz_prefix_config),
    ("pyjson", crate::pyjson::fuzz_pyjson),
    ("report_condition", crate::report::condition::fuzz_condition),
    ("report_config", crate::report::config::fuzz_config),
    ("report_validate", crate::report::validate::fuzz_validate),
    ("resolver_dns", crate::modules::resolver::fuzz_dns),
    ("scalar_rule", crate::modules::scalar_agg::rule::fuzz_rule),
    ("sni_domains", crate::modules::sni_dataset_saver::fuzz_domains),
    ("waintrusion_signatures", crate::modules::waintrusion_detector::fuzz_signatures),
];

/// Any text: what is found in it is inside, and is what it is read as.
pub fn fuzz_anonymizer_text(data: &[u8]) {
    if let Some((place, ip)) = anonymizer::text::find(data) {
        let text = str::from_utf8(&data[place]).expect("an address is ASCII");
        assert_eq!(text.parse(), Ok(ip));
    }
}

/// Any message of mux: its header is written as it was read, and at most one byte of its payload is left out.
pub fn fuzz_mux_message(data: &[u8]) {
    let Some((header, payload)) = Header::split(data) else { return };
    assert!(data.starts_with(&header.to_bytes()));
    let _ = muxed::format_of(header.format, payload);
    for spec in ["uint16 A", "uint8 A,string S,bytes B"] {
        let template = Template::parse(spec).ok();
        if let Payload::Record(record) = muxed::payload_of(template.as_ref(), payload) {
            assert!(payload.len() - record.len() <= 1);
        }
    }
}

/// Any configuration of prefix_tags: every address has an answer.
pub fn fuzz_prefix_config(data: &[u8]) {
    if let Ok(networks) = prefix_tags::config::parse(data) {
        for address in [[10, 0, 0, 1], [255; 4]] {
            let found = networks.find(address.into());
            assert!(found.is_none() || !networks.is_empty());
        }
    }
}
