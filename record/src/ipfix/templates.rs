//! Templates that an exporter told us, kept within [`Limits`] (RFC 7011 sections 3.4 and 8).
use super::header::{Cause, Error, be16};
use super::wire::{DATA_SET_MIN, ENTERPRISE, LONG_FORM, VARIABLE};
use crate::element::Element;

/// How much a decoder remembers. What is over a limit is refused with an error that names the limit.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Observation domains of one transport session.
    pub domains_max: usize,
    /// Templates of one domain, options templates included.
    pub templates_max: usize,
    /// Fields of one template.
    pub fields_max: u16,
    /// Bytes of all templates of all domains.
    pub memory_max: usize,
}

impl Default for Limits {
    /// Room for the 2,048 template pairs that our own exporter may create; a session cannot take more than 16 MiB.
    fn default() -> Self {
        Limits { domains_max: 64, templates_max: 4096, fields_max: 2048, memory_max: 16 << 20 }
    }
}

/// One field of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldSpec {
    /// Private enterprise number, 0 for IANA's own.
    pub pen: u32,
    /// Element number without the enterprise bit.
    pub id: u16,
    /// Bytes of the value, 65535 for variable length.
    pub length: u16,
    /// The element, if it is one that we know.
    pub element: Option<Element>,
    pub(super) repeat: Repeat,
}

/// Whether an element occurs several times in its template. Known in advance, so that printing a record stays linear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It occurs once.
    Once,
    /// It occurs again further on.
    Again,
    /// It occurred before, and this is the last time.
    Last,
}

/// Fields of length 0 in one template. They make records of few bytes arbitrarily long to print, and nobody needs them.
const EMPTY_FIELDS_MAX: usize = 8;

impl FieldSpec {
    pub(super) fn new(pen: u32, id: u16, length: u16) -> FieldSpec {
        FieldSpec { pen, id, length, element: Element::find(pen, id), repeat: Repeat::Once }
    }

    /// Reads a specifier, answers it with its size.
    pub(super) fn parse(bytes: &[u8]) -> Option<(FieldSpec, usize)> {
        let fixed: &[u8; 4] = bytes.first_chunk()?;
        let (id, length) = (be16(fixed, 0), be16(fixed, 2));
        if id & ENTERPRISE == 0 {
            return Some((FieldSpec::new(0, id, length), 4));
        }
        let pen = u32::from_be_bytes(*bytes[4..].first_chunk()?);
        Some((FieldSpec::new(pen, id & !ENTERPRISE, length), 8))
    }

    pub fn same_element(&self, other: &FieldSpec) -> bool {
        self.pen == other.pen && self.id == other.id
    }

    pub fn is_variable(&self) -> bool {
        self.length == VARIABLE
    }

    fn length_min(&self) -> usize {
        if self.is_variable() { 1 } else { usize::from(self.length) }
    }

    /// Takes the value off the front of `bytes`: the value and what is left.
    pub(super) fn split<'a>(&self, bytes: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        if !self.is_variable() {
            return bytes.split_at_checked(usize::from(self.length));
        }
        let (&short, rest) = bytes.split_first()?;
        if short != LONG_FORM {
            return rest.split_at_checked(usize::from(short));
        }
        let (length, rest) = rest.split_at_checked(2)?;
        rest.split_at_checked(usize::from(be16(length, 0)))
    }
}

/// A template or an options template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    id: u16,
    /// Scope fields, which come first; 0 for a plain template.
    scopes: u16,
    fields: Box<[FieldSpec]>,
    record_min: usize,
    fixed: bool,
}

impl Template {
    pub fn id(&self) -> u16 {
        self.id
    }

    /// Number of scope fields, which come first; 0 unless this is an options template (RFC 7011 section 3.4.2).
    pub fn scopes(&self) -> u16 {
        self.scopes
    }

    pub fn is_options(&self) -> bool {
        self.scopes > 0
    }

    pub fn fields(&self) -> &[FieldSpec] {
        &self.fields
    }

    /// Bytes of the shortest possible record, at least 1.
    pub(super) fn record_min(&self) -> usize {
        self.record_min
    }

    /// Takes one record off the front of `bytes`.
    pub(super) fn split<'a>(&self, bytes: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        if self.fixed {
            return bytes.split_at_checked(self.record_min);
        }
        let mut rest = bytes;
        for spec in &self.fields {
            rest = spec.split(rest)?.1;
        }
        Some(bytes.split_at(bytes.len() - rest.len()))
    }

    fn memory(&self) -> usize {
        size_of::<Template>() + size_of_val(&*self.fields)
    }
}

/// One template record as it stands in a set.
pub(super) enum Told {
    New(Template),
    /// Field count 0 (RFC 7011 section 8.1); the ids 2 and 3 withdraw all of a kind.
    Withdrawal(u16),
    Refused(Cause),
}

/// Reads the template record at the start of `bytes`: what it says and its size, or `None` if it is cut.
pub(super) fn parse(bytes: &[u8], options: bool, limits: &Limits) -> Option<(Told, usize)> {
    let start: &[u8; 4] = bytes.first_chunk()?;
    let (id, count) = (be16(start, 0), be16(start, 2));
    if count == 0 {
        return Some((Told::Withdrawal(id), 4));
    }
    let (mut at, scopes) = match options {
        true => (6, be16(bytes.get(4..6)?, 0)),
        false => (4, 0),
    };
    let kept = count <= limits.fields_max;
    let mut fields = Vec::new();
    for _ in 0..count {
        let (spec, size) = FieldSpec::parse(bytes.get(at..)?)?;
        at += size;
        if kept {
            fields.push(spec);
        }
    }
    let record_min = fields.iter().map(FieldSpec::length_min).sum();
    let empty = fields.iter().filter(|f| f.length == 0).count();
    let told = if id < DATA_SET_MIN {
        Told::Refused(Cause::TemplateId(id))
    } else if !kept {
        Told::Refused(Cause::FieldsMax { id, fields: count })
    } else if options && (scopes == 0 || scopes > count) {
        Told::Refused(Cause::Scope(id))
    } else if record_min == 0 || empty > EMPTY_FIELDS_MAX {
        Told::Refused(Cause::TemplateEmpty(id))
    } else {
        mark_repeats(&mut fields);
        let fixed = !fields.iter().any(FieldSpec::is_variable);
        Told::New(Template { id, scopes, fields: fields.into_boxed_slice(), record_min, fixed })
    };
    Some((told, at))
}

fn mark_repeats(fields: &mut [FieldSpec]) {
    for at in 0..fields.len() {
        let (before, rest) = fields.split_at_mut(at);
        let Some((field, after)) = rest.split_first_mut() else { return };
        if after.iter().any(|f| f.same_element(field)) {
            field.repeat = Repeat::Again;
        } else if before.iter().any(|f| f.same_element(field)) {
            field.repeat = Repeat::Last;
        }
    }
}

/// The templates of one observation domain.
#[derive(Default)]
pub struct Templates {
    /// Sorted by id.
    known: Vec<Template>,
}

impl Templates {
    pub fn get(&self, id: u16) -> Option<&Template> {
        Some(&self.known[self.position(id).ok()?])
    }

    pub fn iter(&self) -> impl Iterator<Item = &Template> {
        self.known.iter()
    }

    /// Learns a template; a known id is replaced, as after an exporter's restart over UDP. `memory` is the account of all domains.
    pub(super) fn learn(&mut self, new: Template, limits: &Limits, memory: &mut usize) -> Result<&Template, Cause> {
        let at = self.position(new.id);
        let old = at.map_or(0, |at| self.known[at].memory());
        if at.is_err() && self.known.len() >= limits.templates_max {
            return Err(Cause::TemplatesMax(new.id));
        }
        if *memory - old + new.memory() > limits.memory_max {
            return Err(Cause::MemoryMax(new.id));
        }
        *memory = *memory - old + new.memory();
        let at = match at {
            Ok(at) => {
                self.known[at] = new;
                at
            }
            Err(at) => {
                self.known.insert(at, new);
                at
            }
        };
        Ok(&self.known[at])
    }

    /// Forgets one template, or all of a kind for the ids 2 and 3. Withdrawing what is not known is no error (section 8.1).
    pub(super) fn withdraw(&mut self, id: u16, options: bool, memory: &mut usize) {
        let all = id < DATA_SET_MIN;
        self.known.retain(|t| {
            let gone = if all { t.is_options() == options } else { t.id == id };
            *memory -= if gone { t.memory() } else { 0 };
            !gone
        });
    }

    fn position(&self, id: u16) -> Result<usize, usize> {
        self.known.binary_search_by_key(&id, |t| t.id)
    }
}

/// A list or a record says what it is of; an unknown one is the error of its caller.
pub(super) fn known(templates: &Templates, id: u16, offset: usize) -> Result<&Template, Error> {
    templates.get(id).ok_or(Error::at(offset, Cause::UnknownTemplate(id)))
}
