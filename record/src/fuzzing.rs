//! Harness functions: one body for property tests, fuzz targets and replays of their corpora (STYLE.md 16).
use crate::unirec::fuzzing as unirec;

pub mod ipfix;
mod lz4;

/// Name and function of a harness. It takes any bytes and panics when a promise is broken.
pub type Target = (&'static str, fn(&[u8]));

/// The targets of this crate. `fuzz/targets.rs` joins the tables of all crates.
pub const TARGETS: &[Target] = &[
    ("ipfix_decode", ipfix::fuzz_ipfix_decode),
    ("ipfix_encode", ipfix::fuzz_ipfix_encode),
    ("ipfix_lz4", lz4::fuzz_ipfix_lz4),
    ("record_json", ipfix::fuzz_record_json),
    ("page", crate::page::fuzzing::fuzz_page),
    ("unirec_spec", unirec::fuzz_spec),
    ("unirec_record", unirec::fuzz_record),
    ("unirec_csv", unirec::fuzz_csv),
    ("unirec_time", unirec::fuzz_time),
];

/// For the harnesses of crates that have no JSON parser themselves.
pub fn assert_json(bytes: &[u8]) {
    let parsed = serde_json::from_slice::<serde_json::Value>(bytes);
    assert!(parsed.is_ok(), "not JSON: {}", bytes.escape_ascii());
}
