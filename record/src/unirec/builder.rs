//! Writing a record field by field, from values or from text.
use super::list::Datum;
use super::template::Template;
use super::text::{self, Unreadable};
use super::{DESCRIPTOR, RECORD_MAX, TooLarge, wire};
use crate::{Kind, Value};

/// A record under construction. Fields that are not set stay zero or empty. Made for reuse: [`Builder::clear`] keeps all memory.
///
/// ```
/// use record::{Value, unirec::{Builder, Template}};
/// let template = Template::parse("string NAME,uint16 PORT").unwrap();
/// let mut record = Builder::new(&template);
/// record.set(template.index_of("PORT").unwrap(), Value::Uint(443)).unwrap();
/// record.set_text(template.index_of("NAME").unwrap(), b"a").unwrap();
/// let mut bytes = Vec::new();
/// record.finish(&mut bytes).unwrap();
/// assert_eq!(bytes, [0xbb, 1, 0, 0, 1, 0, b'a']);
/// ```
#[derive(Clone, Debug)]
pub struct Builder<'t> {
    template: &'t Template,
    /// The fixed part; descriptors are written at the end.
    fixed: Vec<u8>,
    /// Data of the variable-length fields, in template order.
    vars: Vec<Vec<u8>>,
}

/// Why a field was not set. It keeps the value that it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    #[error("the template has no field {0}: look the index up in this template")]
    NoField(usize),
    #[error("a field of type {0} takes no such value: convert it first")]
    Kind(&'static str),
    #[error("the number does not fit a field of type {0}: limit it or choose a wider type")]
    Range(&'static str),
    #[error("a value of {0} bytes does not fit a record: shorten it")]
    TooLong(usize),
    #[error("the text is no value of type {0}")]
    Text(&'static str),
}

/// What was understood of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    Whole,
    /// A time could not be read and became 0 (1970), as in the original, where this is no error.
    TimeUnreadable,
}

impl<'t> Builder<'t> {
    pub fn new(template: &'t Template) -> Builder<'t> {
        let vars = template.fields().len() - template.first_var();
        Builder { template, fixed: vec![0; template.static_size()], vars: vec![Vec::new(); vars] }
    }

    pub fn template(&self) -> &'t Template {
        self.template
    }

    /// Back to the record in which nothing is set.
    pub fn clear(&mut self) {
        self.fixed.fill(0);
        self.vars.iter_mut().for_each(Vec::clear);
    }

    /// Sets a field. Integers fit any integer field that holds the number, floats either float type, texts and bytes both
    /// `string` and `bytes`; lists need their own item type.
    pub fn set<'v>(&mut self, index: usize, value: impl Into<Datum<'v>>) -> Result<(), SetError> {
        let kind = self.kind(index)?;
        let wrong = SetError::Kind(kind.unirec_name());
        match (kind, value.into()) {
            (Kind::Text | Kind::Bytes, Datum::Value(Value::Text(bytes) | Value::Bytes(bytes))) => {
                self.set_data(index, bytes)
            }
            (Kind::List(item), Datum::List(list)) if list.item() == item => self.set_data(index, list.as_bytes()),
            (Kind::List(item), Datum::Value(Value::List(list))) if wire::item_of(list) == item => {
                let size = wire::list_size(list);
                if size > RECORD_MAX {
                    return Err(SetError::TooLong(size));
                }
                let data = &mut self.vars[index - self.template.first_var()];
                data.clear();
                wire::extend_list(data, list);
                Ok(())
            }
            (Kind::Text | Kind::Bytes | Kind::List(_), _) | (_, Datum::List(_)) => Err(wrong),
            (_, Datum::Value(value)) => {
                let (bytes, size) = wire::write(kind, value).map_err(|why| match why {
                    wire::Unfit::Kind => wrong,
                    wire::Unfit::Range => SetError::Range(kind.unirec_name()),
                })?;
                self.set_fixed(index, &bytes[..size]);
                Ok(())
            }
        }
    }

    /// Sets a field to what the text means (spec/unirec.md section 6.2): integers wrap at their width and may have a tail, array
    /// elements stand between spaces, `bytes` are pairs of hexadecimal digits.
    pub fn set_text(&mut self, index: usize, value: &[u8]) -> Result<Taken, SetError> {
        let kind = self.kind(index)?;
        let unreadable = |Unreadable| SetError::Text(kind.unirec_name());
        match kind {
            Kind::Text => self.set_data(index, value).map(|()| Taken::Whole),
            Kind::Bytes => {
                let size = value.len() / 2;
                if size > RECORD_MAX {
                    return Err(SetError::TooLong(size));
                }
                let data = &mut self.vars[index - self.template.first_var()];
                data.clear();
                data.extend(text::hex_pairs(value));
                Ok(Taken::Whole)
            }
            Kind::List(item) => {
                let mut taken = Taken::Whole;
                let data = &mut self.vars[index - self.template.first_var()];
                data.clear();
                for element in value.split(u8::is_ascii_whitespace).filter(|e| !e.is_empty()) {
                    let parsed = text::scalar(item.scalar(), element);
                    let ((bytes, size), note) = parsed.map_err(unreadable).inspect_err(|_| data.clear())?;
                    if note == Taken::TimeUnreadable {
                        taken = note;
                    }
                    if data.len() + size > RECORD_MAX {
                        data.clear();
                        return Err(SetError::TooLong(RECORD_MAX + 1));
                    }
                    data.extend_from_slice(&bytes[..size]);
                }
                Ok(taken)
            }
            kind => {
                let ((bytes, size), taken) = text::scalar(kind, value).map_err(unreadable)?;
                self.set_fixed(index, &bytes[..size]);
                Ok(taken)
            }
        }
    }

    /// Replaces the contents of `out` with the record: data in template order without gaps. Memory is taken only if `out` is small.
    pub fn finish(&self, out: &mut Vec<u8>) -> Result<(), TooLarge> {
        out.clear();
        let needed = self.fixed.len() + self.vars.iter().map(Vec::len).sum::<usize>();
        if needed > RECORD_MAX {
            return Err(TooLarge { needed });
        }
        out.reserve(needed);
        out.extend_from_slice(&self.fixed);
        let mut offset = 0;
        for (field, data) in self.template.fields()[self.template.first_var()..].iter().zip(&self.vars) {
            put_descriptor(out, field.offset, offset, data.len());
            offset += data.len();
            out.extend_from_slice(data);
        }
        Ok(())
    }

    fn kind(&self, index: usize) -> Result<Kind, SetError> {
        self.template.fields().get(index).map(|f| f.kind).ok_or(SetError::NoField(index))
    }

    fn set_data(&mut self, index: usize, bytes: &[u8]) -> Result<(), SetError> {
        if bytes.len() > RECORD_MAX {
            return Err(SetError::TooLong(bytes.len()));
        }
        let data = &mut self.vars[index - self.template.first_var()];
        data.clear();
        data.extend_from_slice(bytes);
        Ok(())
    }

    fn set_fixed(&mut self, index: usize, bytes: &[u8]) {
        let at = self.template.fields()[index].offset;
        self.fixed[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

/// Writes the descriptor at `at`; `offset` and `length` are below 65536 because the whole record is.
#[inline]
pub(super) fn put_descriptor(out: &mut [u8], at: usize, offset: usize, length: usize) {
    let ([o0, o1], [l0, l1]) = ((offset as u16).to_le_bytes(), (length as u16).to_le_bytes());
    out[at..at + DESCRIPTOR].copy_from_slice(&[o0, o1, l0, l1]);
}
