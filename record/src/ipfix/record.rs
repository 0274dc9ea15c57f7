//! A data record as it stands in a message: fields with their bytes, and what the bytes mean (RFC 7011 section 6).
use super::header::{Error, Header};
use super::list::{BasicList, SubTemplateList, SubTemplateMultiList};
use super::templates::{FieldSpec, Template, Templates};
use super::wire::{unix_from_ntp_micros, unix_from_ntp_nanos};
use crate::element::Abstract;
use crate::value::{Mac, Time};
use std::net::IpAddr;

/// One data record; its bytes are known to hold all fields of its template.
#[derive(Clone, Copy)]
pub struct DataRecord<'a> {
    pub header: &'a Header,
    pub template: &'a Template,
    /// All templates of the domain: lists of records name theirs.
    pub templates: &'a Templates,
    pub bytes: &'a [u8],
}

impl<'a> DataRecord<'a> {
    /// The fields in template order; scope fields of an options template come first.
    pub fn fields(&self) -> impl Iterator<Item = FieldRef<'a>> + use<'a> {
        let (header, templates) = (self.header, self.templates);
        let mut rest = self.bytes;
        self.template.fields().iter().map_while(move |spec| {
            let (bytes, after) = spec.split(rest)?;
            rest = after;
            Some(FieldRef { spec, bytes, header, templates })
        })
    }

    /// The first field of an element.
    pub fn get(&self, pen: u32, id: u16) -> Option<FieldRef<'a>> {
        self.fields().find(|f| f.spec.pen == pen && f.spec.id == id)
    }
}

/// One field of a record: its specifier and the bytes of its value.
#[derive(Clone, Copy)]
pub struct FieldRef<'a> {
    pub spec: &'a FieldSpec,
    pub bytes: &'a [u8],
    pub(super) header: &'a Header,
    pub(super) templates: &'a Templates,
}

/// A value by the abstract type of its element.
pub enum Decoded<'a> {
    Uint(u64),
    Int(i64),
    Float(f64),
    Bool(bool),
    Mac(Mac),
    Ip(IpAddr),
    Time(Time),
    Text(&'a [u8]),
    /// An octetArray, an unknown element, or a value whose length does not suit its type.
    Bytes(&'a [u8]),
    BasicList(BasicList<'a>),
    SubTemplateList(SubTemplateList<'a>),
    SubTemplateMultiList(SubTemplateMultiList<'a>),
}

impl<'a> FieldRef<'a> {
    /// The value by its element's type; bytes where the length does not suit the type.
    ///
    /// # Errors
    /// A list that is not well formed.
    pub fn value(&self) -> Result<Decoded<'a>, Error> {
        let fallback = Decoded::Bytes(self.bytes);
        let Some(element) = self.spec.element else { return Ok(fallback) };
        let value = match element.kind {
            Abstract::OctetArray => None,
            Abstract::Unsigned8 | Abstract::Unsigned16 | Abstract::Unsigned32 | Abstract::Unsigned64 => {
                self.uint().map(Decoded::Uint)
            }
            Abstract::Signed8 | Abstract::Signed16 | Abstract::Signed32 | Abstract::Signed64 => {
                self.int().map(Decoded::Int)
            }
            Abstract::Float32 | Abstract::Float64 => self.float().map(Decoded::Float),
            Abstract::Boolean => self.boolean().map(Decoded::Bool),
            Abstract::MacAddress => self.mac().map(Decoded::Mac),
            Abstract::String => Some(Decoded::Text(self.bytes)),
            Abstract::Ipv4Address | Abstract::Ipv6Address => self.ip().map(Decoded::Ip),
            Abstract::DateTimeSeconds
            | Abstract::DateTimeMilliseconds
            | Abstract::DateTimeMicroseconds
            | Abstract::DateTimeNanoseconds => self.time().map(Decoded::Time),
            Abstract::BasicList => Some(Decoded::BasicList(self.basic_list()?)),
            Abstract::SubTemplateList => Some(Decoded::SubTemplateList(self.sub_template_list()?)),
            Abstract::SubTemplateMultiList => Some(Decoded::SubTemplateMultiList(self.sub_template_multi_list()?)),
        };
        Ok(value.unwrap_or(fallback))
    }

    /// An unsigned number of 1 to 8 bytes: reduced-size encoding is allowed everywhere (RFC 7011 section 6.2).
    pub fn uint(&self) -> Option<u64> {
        uint(self.bytes)
    }

    /// A signed number of 1 to 8 bytes.
    pub fn int(&self) -> Option<i64> {
        uint(self.bytes).map(|v| {
            let unused = 64 - 8 * self.bytes.len() as u32;
            ((v << unused) as i64) >> unused
        })
    }

    /// A float of 4 or 8 bytes.
    pub fn float(&self) -> Option<f64> {
        match self.bytes.len() {
            4 => self.bytes.first_chunk().map(|b| f64::from(f32::from_be_bytes(*b))),
            8 => self.bytes.first_chunk().map(|b| f64::from_be_bytes(*b)),
            _ => None,
        }
    }

    /// 1 is true, 2 is false, nothing else is a boolean (RFC 7011 section 6.1.5).
    pub fn boolean(&self) -> Option<bool> {
        match self.bytes {
            [1] => Some(true),
            [2] => Some(false),
            _ => None,
        }
    }

    pub fn mac(&self) -> Option<Mac> {
        self.bytes.try_into().ok()
    }

    /// An address of 4 or 16 bytes.
    pub fn ip(&self) -> Option<IpAddr> {
        match self.bytes.len() {
            4 => self.bytes.first_chunk::<4>().map(|b| IpAddr::from(*b)),
            16 => self.bytes.first_chunk::<16>().map(|b| IpAddr::from(*b)),
            _ => None,
        }
    }

    /// A time in the unit of its element (RFC 7011 section 6.1.7 and on); milliseconds after the year 2554 do not fit.
    pub fn time(&self) -> Option<Time> {
        let raw = self.uint()?;
        match (self.spec.element?.kind, self.bytes.len()) {
            (Abstract::DateTimeSeconds, 4) => Some(Time(raw * 1_000_000_000)),
            (Abstract::DateTimeMilliseconds, 8) => raw.checked_mul(1_000_000).map(Time),
            (Abstract::DateTimeMicroseconds, 8) => Some(unix_from_ntp_micros(raw)),
            (Abstract::DateTimeNanoseconds, 8) => Some(unix_from_ntp_nanos(raw)),
            _ => None,
        }
    }

    /// The value as a basicList (RFC 6313 section 4.5.1).
    pub fn basic_list(&self) -> Result<BasicList<'a>, Error> {
        BasicList::parse(self.bytes, self.header, self.templates)
    }

    /// The value as a subTemplateList (section 4.5.2).
    pub fn sub_template_list(&self) -> Result<SubTemplateList<'a>, Error> {
        SubTemplateList::parse(self.bytes, self.header, self.templates)
    }

    /// The value as a subTemplateMultiList (section 4.5.3).
    pub fn sub_template_multi_list(&self) -> Result<SubTemplateMultiList<'a>, Error> {
        SubTemplateMultiList::parse(self.bytes, self.header, self.templates)
    }
}

fn uint(bytes: &[u8]) -> Option<u64> {
    matches!(bytes.len(), 1..=8).then(|| bytes.iter().fold(0, |v, b| (v << 8) | u64::from(*b)))
}
