//! Harness functions: one body for property tests, fuzz targets and replays of their corpora (STYLE.md 16).
pub mod ipfix;
