//! Reading a received record.
use super::list::{Datum, RawList};
use super::template::{Template, TemplateField};
use super::{DESCRIPTOR, wire};
use crate::{Kind, Mac, Time, Value};
use std::net::IpAddr;

/// A received record: bytes that were checked once against their template, so that no getter leaves them.
///
/// A getter answers `None` if the template has no such field or the field has another kind.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    template: &'a Template,
    bytes: &'a [u8],
}

/// Why bytes are no record of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    #[error(
        "a record of {have} bytes is shorter than the {need} bytes of its fixed part: the sender uses another template"
    )]
    Short { have: usize, need: usize },
    #[error(
        "field {index} lies at {offset}+{length}, outside of the {room} bytes behind the fixed part: the record is damaged"
    )]
    Outside { index: usize, offset: usize, length: usize, room: usize },
    #[error(
        "variable-length fields of {sum} bytes share the {room} bytes behind the fixed part: the record is damaged"
    )]
    Overlap { sum: usize, room: usize },
}

impl<'a> View<'a> {
    /// Checks the length and each variable-length field. Bytes behind the last field are ignored, as consumers of UniRec do.
    pub fn new(template: &'a Template, bytes: &'a [u8]) -> Result<View<'a>, ViewError> {
        let need = template.static_size();
        if bytes.len() < need {
            return Err(ViewError::Short { have: bytes.len(), need });
        }
        let room = bytes.len() - need;
        let first = template.first_var();
        let mut sum = 0;
        for (at, field) in template.fields()[first..].iter().enumerate() {
            let (offset, length) = descriptor(bytes, field.offset);
            if offset + length > room && length > 0 {
                return Err(ViewError::Outside { index: first + at, offset, length, room });
            }
            sum += length;
        }
        // Fields that share bytes would let a small record become a huge text.
        if sum > room {
            return Err(ViewError::Overlap { sum, room });
        }
        Ok(View { template, bytes })
    }

    pub fn template(&self) -> &'a Template {
        self.template
    }

    /// The whole message as received.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Fields with their values, in record order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a TemplateField, Datum<'a>)> + use<'a> {
        let view = *self;
        view.template.fields().iter().map(move |f| (f, view.datum(f)))
    }

    /// Any value, by field index.
    pub fn get(&self, index: usize) -> Option<Datum<'a>> {
        Some(self.datum(self.template.fields().get(index)?))
    }

    /// The wire form of a value: fixed-size bytes, or the data of a variable-length field.
    #[inline]
    pub fn raw(&self, index: usize) -> Option<&'a [u8]> {
        Some(self.content(self.template.fields().get(index)?))
    }

    /// An unsigned integer of any width.
    #[inline]
    pub fn uint(&self, index: usize) -> Option<u64> {
        match self.scalar(index)? {
            Value::Uint(v) => Some(v),
            _ => None,
        }
    }

    /// A signed integer of any width.
    #[inline]
    pub fn int(&self, index: usize) -> Option<i64> {
        match self.scalar(index)? {
            Value::Int(v) => Some(v),
            _ => None,
        }
    }

    /// A `float` or a `double`.
    #[inline]
    pub fn float(&self, index: usize) -> Option<f64> {
        match self.scalar(index)? {
            Value::F32(v) => Some(v.into()),
            Value::F64(v) => Some(v),
            _ => None,
        }
    }

    #[inline]
    pub fn char(&self, index: usize) -> Option<u8> {
        match self.scalar(index)? {
            Value::Char(v) => Some(v),
            _ => None,
        }
    }

    /// An address; a value that was never set reads as `::`.
    #[inline]
    pub fn ip(&self, index: usize) -> Option<IpAddr> {
        match self.scalar(index)? {
            Value::Ip(v) => Some(v),
            _ => None,
        }
    }

    #[inline]
    pub fn mac(&self, index: usize) -> Option<Mac> {
        match self.scalar(index)? {
            Value::Mac(v) => Some(v),
            _ => None,
        }
    }

    #[inline]
    pub fn time(&self, index: usize) -> Option<Time> {
        match self.scalar(index)? {
            Value::Time(v) => Some(v),
            _ => None,
        }
    }

    /// The content of a `string` or `bytes` field.
    #[inline]
    pub fn bytes(&self, index: usize) -> Option<&'a [u8]> {
        let field = self.template.fields().get(index)?;
        matches!(field.kind, Kind::Text | Kind::Bytes).then(|| self.content(field))
    }

    #[inline]
    pub fn list(&self, index: usize) -> Option<RawList<'a>> {
        let field = self.template.fields().get(index)?;
        match field.kind {
            Kind::List(item) => Some(RawList::new(item, self.content(field))),
            _ => None,
        }
    }

    #[inline]
    fn scalar(&self, index: usize) -> Option<Value<'a>> {
        let field = self.template.fields().get(index)?;
        Some(wire::read(field.kind, self.bytes.get(field.offset..)?))
    }

    fn datum(&self, field: &TemplateField) -> Datum<'a> {
        let content = self.content(field);
        match field.kind {
            Kind::Text => Datum::Value(Value::Text(content)),
            Kind::Bytes => Datum::Value(Value::Bytes(content)),
            Kind::List(item) => Datum::List(RawList::new(item, content)),
            kind => Datum::Value(wire::read(kind, content)),
        }
    }

    /// Data of a field of this view's template; `new` has seen that it lies inside, an empty field may point anywhere.
    #[inline]
    pub(super) fn content(&self, field: &TemplateField) -> &'a [u8] {
        match field.kind.size() {
            Some(size) => self.bytes.get(field.offset..field.offset + size).unwrap_or(&[]),
            None => self.var_at(field.offset),
        }
    }

    /// Data of the variable-length field whose descriptor lies at `offset`; nothing if that points outside.
    #[inline]
    pub(super) fn var_at(&self, offset: usize) -> &'a [u8] {
        let (offset, length) = descriptor(self.bytes, offset);
        let start = self.template.static_size() + offset;
        self.bytes.get(start..start + length).unwrap_or(&[])
    }
}

/// Replaces the contents of `out` with a damaged record in which the fields that made [`View::new`] refuse it are empty, so that the
/// others can be read. Answers how many those are; `None` if the record is shorter than its fixed part.
pub fn repair(template: &Template, bytes: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let room = bytes.len().checked_sub(template.static_size())?;
    out.clear();
    out.extend_from_slice(bytes);
    let (mut sum, mut emptied) = (0, 0);
    for field in &template.fields()[template.first_var()..] {
        let (offset, length) = descriptor(bytes, field.offset);
        if length > 0 && (offset + length > room || sum + length > room) {
            out[field.offset..field.offset + DESCRIPTOR].fill(0);
            emptied += 1;
        } else {
            sum += length;
        }
    }
    Some(emptied)
}

/// Offset (from the end of the fixed part) and length of a variable-length field.
#[inline(always)]
fn descriptor(bytes: &[u8], at: usize) -> (usize, usize) {
    let b: [u8; 4] = wire::array(bytes.get(at..).unwrap_or(&[]));
    (u16::from_le_bytes([b[0], b[1]]).into(), u16::from_le_bytes([b[2], b[3]]).into())
}
