//! Structured data (RFC 6313): lists of values and of records. Each is checked once when it is opened, so reading it cannot fail.
use super::header::{Cause, Error, Header, be16};
use super::record::{DataRecord, FieldRef};
use super::templates::{FieldSpec, Template, Templates, known};

/// How the items of a list belong together (RFC 6313 section 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Semantic {
    NoneOf,
    ExactlyOneOf,
    OneOrMoreOf,
    AllOf,
    Ordered,
    Undefined,
}

impl Semantic {
    fn from_wire(byte: u8) -> Semantic {
        match byte {
            0 => Semantic::NoneOf,
            1 => Semantic::ExactlyOneOf,
            2 => Semantic::OneOrMoreOf,
            3 => Semantic::AllOf,
            4 => Semantic::Ordered,
            _ => Semantic::Undefined,
        }
    }

    /// The name in the RFC, which ipfixcol2 prints too.
    pub fn name(self) -> &'static str {
        match self {
            Semantic::NoneOf => "noneOf",
            Semantic::ExactlyOneOf => "exactlyOneOf",
            Semantic::OneOrMoreOf => "oneOrMoreOf",
            Semantic::AllOf => "allOf",
            Semantic::Ordered => "ordered",
            Semantic::Undefined => "undefined",
        }
    }
}

/// Values of one element.
#[derive(Clone, Copy)]
pub struct BasicList<'a> {
    pub semantic: Semantic,
    /// Element and length of the items.
    pub spec: FieldSpec,
    bytes: &'a [u8],
    header: &'a Header,
    templates: &'a Templates,
}

impl<'a> BasicList<'a> {
    pub(super) fn parse(bytes: &'a [u8], header: &'a Header, templates: &'a Templates) -> Result<Self, Error> {
        let (&semantic, rest) = bytes.split_first().ok_or(Error::at(0, Cause::ListCut))?;
        let (spec, size) = FieldSpec::parse(rest).ok_or(Error::at(bytes.len(), Cause::ListCut))?;
        let items = &rest[size..];
        if spec.is_variable() {
            let mut rest = items;
            while !rest.is_empty() {
                rest = spec.split(rest).ok_or(Error::at(bytes.len() - rest.len(), Cause::ItemCut))?.1;
            }
        } else if !items.is_empty() && (spec.length == 0 || items.len() % usize::from(spec.length) != 0) {
            return Err(Error::at(1 + size, Cause::ListItems { size: spec.length, have: items.len() }));
        }
        Ok(BasicList { semantic: Semantic::from_wire(semantic), spec, bytes: items, header, templates })
    }

    /// The items in order.
    pub fn items(&self) -> impl Iterator<Item = FieldRef<'_>> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let (bytes, after) = self.spec.split(rest)?;
            rest = after;
            Some(FieldRef { spec: &self.spec, bytes, header: self.header, templates: self.templates })
        })
    }
}

/// Records of one template.
#[derive(Clone, Copy)]
pub struct SubTemplateList<'a> {
    pub semantic: Semantic,
    pub template: &'a Template,
    bytes: &'a [u8],
    header: &'a Header,
    templates: &'a Templates,
}

impl<'a> SubTemplateList<'a> {
    pub(super) fn parse(bytes: &'a [u8], header: &'a Header, templates: &'a Templates) -> Result<Self, Error> {
        if bytes.len() < 3 {
            return Err(Error::at(bytes.len(), Cause::ListCut));
        }
        let template = known(templates, be16(bytes, 1), 1)?;
        check_records(template, &bytes[3..], 3)?;
        Ok(SubTemplateList { semantic: Semantic::from_wire(bytes[0]), template, bytes: &bytes[3..], header, templates })
    }

    /// The records in order.
    pub fn records(&self) -> impl Iterator<Item = DataRecord<'a>> + use<'a> {
        records(self.template, self.bytes, self.header, self.templates)
    }
}

/// Blocks of records, each of its own template.
#[derive(Clone, Copy)]
pub struct SubTemplateMultiList<'a> {
    pub semantic: Semantic,
    bytes: &'a [u8],
    header: &'a Header,
    templates: &'a Templates,
}

impl<'a> SubTemplateMultiList<'a> {
    pub(super) fn parse(bytes: &'a [u8], header: &'a Header, templates: &'a Templates) -> Result<Self, Error> {
        let (&semantic, blocks) = bytes.split_first().ok_or(Error::at(0, Cause::ListCut))?;
        let mut rest = blocks;
        while !rest.is_empty() {
            let at = bytes.len() - rest.len();
            let (id, records, after) = split_block(rest).ok_or(Error::at(at, Cause::ListCut))?;
            check_records(known(templates, id, at)?, records, at + 4)?;
            rest = after;
        }
        Ok(SubTemplateMultiList { semantic: Semantic::from_wire(semantic), bytes: blocks, header, templates })
    }

    /// The blocks in order, each with its template and its records.
    pub fn blocks(
        &self,
    ) -> impl Iterator<Item = (&'a Template, impl Iterator<Item = DataRecord<'a>> + use<'a>)> + use<'a> {
        let SubTemplateMultiList { bytes: mut rest, header, templates, .. } = *self;
        std::iter::from_fn(move || {
            let (id, bytes, after) = split_block(rest)?;
            let template = templates.get(id)?;
            rest = after;
            Some((template, records(template, bytes, header, templates)))
        })
    }
}

/// A block: template id, length with these four bytes, records.
fn split_block(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let start: &[u8; 4] = bytes.first_chunk()?;
    let (block, after) = bytes.split_at_checked(usize::from(be16(start, 2)))?;
    Some((be16(start, 0), block.get(4..)?, after))
}

fn check_records(template: &Template, bytes: &[u8], at: usize) -> Result<(), Error> {
    let mut rest = bytes;
    while rest.len() >= template.record_min() {
        let cut = Error::at(at + bytes.len() - rest.len(), Cause::RecordCut(template.id()));
        rest = template.split(rest).ok_or(cut)?.1;
    }
    Ok(())
}

fn records<'a>(
    template: &'a Template,
    bytes: &'a [u8],
    header: &'a Header,
    templates: &'a Templates,
) -> impl Iterator<Item = DataRecord<'a>> + use<'a> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.len() < template.record_min() {
            return None;
        }
        let (record, after) = template.split(rest)?;
        rest = after;
        Some(DataRecord { header, template, templates, bytes: record })
    })
}
