//! Arrays as they lie in a record: little endian, unaligned, read element by element.
use super::wire;
use crate::{Item, Value};

/// An array inside a record. Bytes behind the last whole element are ignored (spec/unirec.md section 2).
#[derive(Clone, Copy, PartialEq)]
pub struct RawList<'a> {
    item: Item,
    bytes: &'a [u8],
}

/// A value met in a record: like [`Value`], but arrays stay as they lie in the record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Datum<'a> {
    /// Anything but an array when it comes from a record; a [`crate::ListRef`] is welcome on the way into one.
    Value(Value<'a>),
    List(RawList<'a>),
}

impl<'a> RawList<'a> {
    /// The elements of `bytes`, wire form.
    pub fn new(item: Item, bytes: &'a [u8]) -> RawList<'a> {
        RawList { item, bytes: &bytes[..bytes.len() - bytes.len() % item.size()] }
    }

    pub fn item(&self) -> Item {
        self.item
    }

    /// Whole elements.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.item.size()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The elements in wire form.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub fn get(&self, at: usize) -> Option<Value<'a>> {
        let size = self.item.size();
        Some(wire::read(self.item.scalar(), self.bytes.get(at * size..)?.get(..size)?))
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = Value<'a>> + use<'a> {
        let kind = self.item.scalar();
        self.bytes.chunks_exact(self.item.size()).map(move |b| wire::read(kind, b))
    }
}

impl std::fmt::Debug for RawList<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> From<Value<'a>> for Datum<'a> {
    fn from(value: Value<'a>) -> Self {
        Datum::Value(value)
    }
}

impl<'a> From<RawList<'a>> for Datum<'a> {
    fn from(list: RawList<'a>) -> Self {
        Datum::List(list)
    }
}
