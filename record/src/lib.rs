//! The vocabulary of Sonda: WHAT is said, HOW it is spelled, WHAT was lost.
//!
//! A record type is declared once with [`record!`]: field, type, bound, IPFIX element, UniRec name, one doc line. From the
//! declaration come the struct, the IPFIX and UniRec templates, JSON keys, the text form and the field reference in `docs/fields.md`.
//! This crate is pure: no I/O, no clock, no unsafe.
#![forbid(unsafe_code)]

pub mod docs;
pub mod element;
pub mod fuzzing;
pub mod ipfix;
pub mod json;
pub mod kind;
pub mod ledger;
pub mod pack;
pub mod page;
pub mod schema;
pub mod text;
pub mod unirec;
pub mod value;

pub use element::Element;
pub use kind::{Item, Kind};
pub use ledger::{Ledger, Reason};
pub use pack::Pack;
pub use schema::{Field, Record, Schema, Sink, assert_distinct};
pub use value::{Blob, List, ListRef, Mac, Text, Time, Typed, Value};
