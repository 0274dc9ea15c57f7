//! Blacklists: the catalog that says where they come from, their files, and who is on them (spec/detectors.md section 8).
//!
//! A list has a number from 1 to 64, unique among those of its kind. Files and alerts name lists by a bit field in which list n is the bit
//! n - 1.
pub mod catalog;

/// Lists of one kind, at the most: bits of a field.
pub const LISTS_MAX: u8 = 64;
