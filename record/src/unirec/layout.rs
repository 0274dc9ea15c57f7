//! Declared records to UniRec on the hot path: every place is known before the first record.
use super::builder::put_descriptor;
use super::template::Template;
use super::{RECORD_MAX, TooLarge, time, wire};
use crate::{Field, Kind, Schema, Sink, Value};

/// Variable-length fields up to which a record is gathered in a small array on the stack.
const VARS_FEW: usize = 16;
/// Variable-length fields up to which it is gathered on the stack at all; beyond, each record takes memory.
const VARS_MAX: usize = 256;

/// Where each field of a set of declared records goes.
///
/// ```
/// use record::{Record, Text, record, unirec::Layout};
/// record! {
///     /// Example.
///     pub struct Example = "example" {
///         /// A number.
///         port: u16, unirec "PORT";
///         /// A text.
///         host: Text<9>, unirec "HOST";
///     }
/// }
/// let layout = Layout::new(&[Example::SCHEMA], &[]);
/// let mut example = Example { port: 443, ..Default::default() };
/// example.host.set(b"a");
/// let mut out = Vec::new();
/// layout.encode(&mut out, |sink| { sink.part(0); example.visit(sink) }).unwrap();
/// assert_eq!((layout.template().spec().as_str(), &out[..]), ("uint16 PORT,string HOST", &[0xbb, 1, 0, 0, 1, 0, b'a'][..]));
/// ```
#[derive(Clone, Debug)]
pub struct Layout {
    template: Template,
    /// For each part, for each field of its schema.
    parts: Vec<Vec<Place>>,
}

/// Where one declared field goes.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// Not in UniRec, or left out.
    Nowhere,
    /// Offset in the record.
    Fixed(usize),
    /// Number among the variable-length fields.
    Var(usize),
}

/// Takes the fields of a record to their places; made by [`Layout::encode`].
pub struct LayoutSink<'l, 'a> {
    parts: &'l [Vec<Place>],
    part: &'l [Place],
    fixed: &'l mut [u8],
    vars: &'l mut [Value<'a>],
}

impl Layout {
    /// Parts are numbered as in `schemas`; fields named in `omit` are left out. Schemas may share a name if it has one type
    /// there: the part visited last gives its value.
    ///
    /// # Panics
    /// Like [`Template::from_schemas`].
    pub fn new(schemas: &[&'static Schema], omit: &[&str]) -> Layout {
        let template = Template::from_schemas(schemas, omit);
        let place = |field: &Field| match field.unirec.and_then(|name| template.index_of(name)) {
            None => Place::Nowhere,
            Some(at) if at < template.first_var() => Place::Fixed(template.fields()[at].offset),
            Some(at) => Place::Var(at - template.first_var()),
        };
        let parts = schemas.iter().map(|s| s.fields.iter().map(place).collect()).collect();
        Layout { template, parts }
    }

    pub fn template(&self) -> &Template {
        &self.template
    }

    /// Replaces the contents of `out` with one record. `fill` visits the parts it has: `sink.part(p)` selects a schema, then
    /// `record.visit(sink)`. Parts that are not visited stay zero and empty. Takes no memory once `out` has capacity (and the
    /// template at most 256 variable-length fields).
    #[inline]
    pub fn encode<'a>(&self, out: &mut Vec<u8>, fill: impl FnOnce(&mut LayoutSink<'_, 'a>)) -> Result<(), TooLarge> {
        const NONE: Value<'static> = Value::Bytes(&[]);
        let fields = &self.template.fields()[self.template.first_var()..];
        let (mut few, mut many, mut heap);
        let vars: &mut [Value<'a>] = if fields.len() <= VARS_FEW {
            few = [NONE; VARS_FEW];
            &mut few[..fields.len()]
        } else if fields.len() <= VARS_MAX {
            many = [NONE; VARS_MAX];
            &mut many[..fields.len()]
        } else {
            heap = vec![NONE; fields.len()];
            &mut heap
        };
        out.clear();
        out.resize(self.template.static_size(), 0);
        fill(&mut LayoutSink { parts: &self.parts, part: &[], fixed: out, vars });
        self.append(out, vars)
    }

    /// Writes descriptors and data behind the fixed part, in template order without gaps.
    fn append(&self, out: &mut Vec<u8>, vars: &[Value<'_>]) -> Result<(), TooLarge> {
        let needed = out.len() + vars.iter().map(|v| data_size(*v)).sum::<usize>();
        if needed > RECORD_MAX {
            out.clear();
            return Err(TooLarge { needed });
        }
        out.reserve(needed - out.len());
        let fields = &self.template.fields()[self.template.first_var()..];
        for (field, value) in fields.iter().zip(vars) {
            let (start, offset) = (out.len(), out.len() - self.template.static_size());
            match *value {
                Value::Text(bytes) | Value::Bytes(bytes) => out.extend_from_slice(bytes),
                Value::List(list) => wire::extend_list(out, list),
                _ => {}
            }
            let length = out.len() - start;
            put_descriptor(out, field.offset, offset, length);
        }
        Ok(())
    }
}

impl LayoutSink<'_, '_> {
    /// Selects the schema whose record is visited next. A part that the layout does not have takes nothing.
    #[inline]
    pub fn part(&mut self, part: usize) {
        self.part = self.parts.get(part).map_or(&[], Vec::as_slice);
    }
}

impl<'a> Sink<'a> for LayoutSink<'_, 'a> {
    #[inline(always)]
    fn put(&mut self, at: usize, field: &'static Field, value: Value<'a>) {
        match self.part.get(at) {
            None | Some(Place::Nowhere) => {}
            Some(Place::Var(var)) => {
                if let Some(slot) = self.vars.get_mut(*var) {
                    *slot = value;
                }
            }
            Some(Place::Fixed(offset)) => self.put_fixed(*offset, field.kind, value),
        }
    }
}

impl LayoutSink<'_, '_> {
    #[inline(always)]
    fn put_fixed(&mut self, offset: usize, kind: Kind, value: Value<'_>) {
        match value {
            Value::Uint(v) => self.put_int(offset, kind, v),
            Value::Int(v) => self.put_int(offset, kind, v as u64),
            Value::F32(v) => self.copy(offset, v.to_le_bytes()),
            Value::F64(v) => self.copy(offset, v.to_le_bytes()),
            Value::Char(v) => self.copy(offset, [v]),
            Value::Ip(v) => self.copy(offset, wire::ip_to(v)),
            Value::Mac(v) => self.copy(offset, v),
            Value::Time(v) => self.copy(offset, time::to_fixed(v).to_le_bytes()),
            // Of variable length, so never at a fixed place.
            Value::Text(_) | Value::Bytes(_) | Value::List(_) => {}
        }
    }

    #[inline(always)]
    fn put_int(&mut self, offset: usize, kind: Kind, v: u64) {
        match kind {
            Kind::U8 | Kind::I8 | Kind::Char => self.copy(offset, (v as u8).to_le_bytes()),
            Kind::U16 | Kind::I16 => self.copy(offset, (v as u16).to_le_bytes()),
            Kind::U32 | Kind::I32 => self.copy(offset, (v as u32).to_le_bytes()),
            _ => self.copy(offset, v.to_le_bytes()),
        }
    }

    /// A record of another schema than the selected part could miss the fixed part; then it writes nothing.
    #[inline(always)]
    fn copy<const N: usize>(&mut self, offset: usize, bytes: [u8; N]) {
        if let Some(to) = self.fixed.get_mut(offset..offset + N) {
            to.copy_from_slice(&bytes);
        }
    }
}

fn data_size(value: Value<'_>) -> usize {
    match value {
        Value::Text(bytes) | Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => wire::list_size(list),
        _ => 0,
    }
}
