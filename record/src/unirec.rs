//! UniRec: the record format of NEMEA, in bytes and as CSV text.
//!
//! A [`Template`] says where each field lies; a [`View`] reads a received record, a [`Builder`] writes one field by field, a
//! [`Layout`] writes declared records on the hot path. The wire form has no header and no padding: fixed-size values, then one
//! 4-byte descriptor for each variable-length field, then their data (spec/unirec.md section 2, with the bytes of section 7).
mod builder;
mod column;
pub mod csv;
pub mod fuzzing;
mod layout;
mod list;
mod print;
mod template;
mod text;
pub mod time;
mod view;
mod wire;

pub use builder::{Builder, SetError, Taken};
pub use column::{Array, ArrayItem, Char, Column, Fields, MissingField, Octets, Readable, Str};
pub use layout::{Layout, LayoutSink};
pub use list::{Datum, RawList};
pub use template::{SpecError, Template, TemplateField};
pub use view::{View, ViewError, repair};

/// Bytes of one record, at the most: TRAP counts a message in 16 bits (spec/unirec.md section 2).
pub const RECORD_MAX: usize = 65_535;

/// Fields of one template, at the most (spec/unirec.md section 1).
pub const FIELDS_MAX: usize = 32_767;

/// Bytes of the descriptor of a variable-length field: u16 offset, u16 length.
const DESCRIPTOR: usize = 4;

/// The values of a record do not fit [`RECORD_MAX`] bytes. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a record of {needed} bytes exceeds the {RECORD_MAX} bytes of a UniRec message: shorten its variable-length fields"
)]
pub struct TooLarge {
    /// Bytes that the record would have.
    pub needed: usize,
}
