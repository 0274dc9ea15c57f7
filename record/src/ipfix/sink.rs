//! One record's fields go straight into the buffer of its template: one pass, no heap, no look-ups.
use super::packer::Family;
use super::wire::{ENTERPRISE, LONG_FORM, SEMANTIC_ALL_OF, ntp_micros, ntp_nanos};
use crate::element::{Abstract, Element};
use crate::kind::Kind;
use crate::pack::copy_short;
use crate::schema::{Field, Record, Schema, Sink};
use crate::value::{ListRef, Time, Value};
use std::net::IpAddr;

/// Bytes of a length in its long form.
const LONG_LENGTH: usize = 3;
/// Bytes of a basicList before its items: semantic, element, size of an item; and of the element's enterprise.
const LIST_HEADER: usize = 5;
const PEN: usize = 4;

/// Where a record's fields are written. Visit Basic first, then each extension, in the order of the schemas given to
/// [`Packer::add`](super::Packer::add). Fields without an IPFIX element are passed over.
pub struct DataSink<'b> {
    /// What is not written yet.
    rest: &'b mut [u8],
    room: usize,
    family: Family,
    overflow: bool,
    fields: u32,
}

impl<'b> DataSink<'b> {
    pub(super) fn new(buffer: &'b mut [u8], family: Family) -> Self {
        DataSink { room: buffer.len(), rest: buffer, family, overflow: false, fields: 0 }
    }

    /// Bytes written, or `None` if the record did not fit.
    pub(super) fn finish(self) -> Option<usize> {
        (!self.overflow).then_some(self.room - self.rest.len())
    }

    /// Fields written so far, for the check that a record is what its schemas say.
    pub(super) fn fields(&self) -> u32 {
        self.fields
    }

    /// Writes a record none of whose fields is of variable length (others do not compile): the room is checked once, and each field
    /// has a place that is known when the program is built. `make` gives the record as it is in one family, which is a constant there.
    #[inline(always)]
    pub fn fixed<R: Record>(&mut self, make: impl Fn(Family) -> R) {
        match self.family {
            Family::V4 => self.extent(const { extent(R::SCHEMA, Family::V4) }, Family::V4, || make(Family::V4)),
            Family::V6 => self.extent(const { extent(R::SCHEMA, Family::V6) }, Family::V6, || make(Family::V6)),
        }
    }

    #[inline(always)]
    fn extent<R: Record>(&mut self, extent: Extent, family: Family, make: impl FnOnce() -> R) {
        self.fields += extent.fields;
        match std::mem::take(&mut self.rest).split_at_mut_checked(extent.bytes) {
            Some((room, rest)) => {
                make().visit_here(&mut FixedSink { room, at: 0, family });
                self.rest = rest;
            }
            None => self.overflow = true,
        }
    }

    #[inline(always)]
    fn store_slice(&mut self, bytes: &[u8]) {
        match std::mem::take(&mut self.rest).split_at_mut_checked(bytes.len()) {
            Some((room, rest)) => {
                copy_short(room, bytes);
                self.rest = rest;
            }
            None => self.overflow = true,
        }
    }

    /// Variable length: one byte of length below 255, else 255 and two bytes (RFC 7011 section 7).
    #[inline(always)]
    fn store_variable(&mut self, bytes: &[u8]) {
        if bytes.len() >= usize::from(LONG_FORM) {
            let length = (bytes.len() as u16).to_be_bytes();
            self.store([LONG_FORM, length[0], length[1]]);
            self.overflow |= bytes.len() > usize::from(u16::MAX);
            self.store_slice(bytes);
            return;
        }
        let room = std::mem::take(&mut self.rest).split_at_mut_checked(1 + bytes.len());
        if let Some(([length, text @ ..], rest)) = room {
            *length = bytes.len() as u8;
            copy_short(text, bytes);
            self.rest = rest;
        } else {
            self.overflow = true;
        }
    }

    /// A basicList (RFC 6313 section 4.5.1), always with the three-byte length (spec/ipfix.md section 5). Into each visitor anew: there the
    /// element and what the items are is known, and all but the length is a constant.
    #[inline(always)]
    fn store_list(&mut self, element: Element, list: ListRef<'_>) {
        let size = item_size(element, list);
        let header = if element.pen == 0 { LIST_HEADER } else { LIST_HEADER + PEN };
        let length = header + list_len(list) * size;
        self.overflow |= length > usize::from(u16::MAX);
        match std::mem::take(&mut self.rest).split_at_mut_checked(LONG_LENGTH + length) {
            Some((room, rest)) => {
                let (head, items) = room.split_at_mut(LONG_LENGTH + header);
                let mut head = FixedSink { room: head, at: 0, family: self.family };
                let [high, low] = (length as u16).to_be_bytes();
                head.store([LONG_FORM, high, low, SEMANTIC_ALL_OF]);
                head.store((element.id | if element.pen == 0 { 0 } else { ENTERPRISE }).to_be_bytes());
                head.store((size as u16).to_be_bytes());
                if element.pen != 0 {
                    head.store(element.pen.to_be_bytes());
                }
                // Most lists of most flows are empty.
                if !items.is_empty() {
                    write_items(items, element, list);
                }
                self.rest = rest;
            }
            None => self.overflow = true,
        }
    }
}

/// The items of a list, in a room of just their size.
#[inline(always)]
fn write_items(room: &mut [u8], element: Element, list: ListRef<'_>) {
    match list {
        ListRef::U8(l) => copy_short(room, l),
        ListRef::I8(l) => write_all(room, l, |i| i.to_be_bytes()),
        ListRef::U16(l) => write_all(room, l, |i| i.to_be_bytes()),
        ListRef::I16(l) => write_all(room, l, |i| i.to_be_bytes()),
        ListRef::U32(l) => write_all(room, l, |i| i.to_be_bytes()),
        ListRef::I32(l) => write_all(room, l, |i| i.to_be_bytes()),
        ListRef::U64(l) => write_all(room, l, |i| i.to_be_bytes()),
        ListRef::I64(l) => write_all(room, l, |i| i.to_be_bytes()),
        ListRef::F32(l) => write_all(room, l, |i| i.to_be_bytes()),
        ListRef::F64(l) => write_all(room, l, |i| i.to_be_bytes()),
        ListRef::Mac(l) => write_all(room, l, |i| *i),
        ListRef::Ip(l) if element.kind == Abstract::Ipv6Address => write_all(room, l, |i| ipv6_octets(*i)),
        ListRef::Ip(l) => write_all(room, l, |i| ipv4_octets(*i)),
        // What the element wants is asked once, not for each of thirty times.
        ListRef::Time(l) => match element.kind {
            Abstract::DateTimeSeconds => write_all(room, l, |t| (t.secs() as u32).to_be_bytes()),
            Abstract::DateTimeMicroseconds => write_all(room, l, |t| ntp_micros(*t).to_be_bytes()),
            Abstract::DateTimeNanoseconds => write_all(room, l, |t| ntp_nanos(*t).to_be_bytes()),
            _ => write_all(room, l, |t| t.millis().to_be_bytes()),
        },
    }
}

#[inline(always)]
fn write_all<T, const N: usize>(room: &mut [u8], items: &[T], bytes: impl Fn(&T) -> [u8; N]) {
    room.as_chunks_mut().0.iter_mut().zip(items).for_each(|(to, item)| *to = bytes(item));
}

/// An address as IPv6: IPv4 is ::ffff:a.b.c.d.
#[inline(always)]
fn ipv6_octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V6(a) => a.octets(),
        IpAddr::V4(a) => a.to_ipv6_mapped().octets(),
    }
}

/// An address as IPv4: IPv6 that is not a mapped one is 0.0.0.0.
#[inline(always)]
fn ipv4_octets(ip: IpAddr) -> [u8; 4] {
    match ip {
        IpAddr::V4(a) => a.octets(),
        IpAddr::V6(a) => a.to_ipv4_mapped().map_or([0; 4], |a| a.octets()),
    }
}

/// Somewhere to store bytes one after the other.
trait Room {
    fn store<const N: usize>(&mut self, bytes: [u8; N]);

    /// A value of fixed size; others are not its matter.
    #[inline(always)]
    fn store_fixed(&mut self, element: Element, field: &Field, value: Value<'_>) {
        match value {
            Value::Uint(v) => self.store_int(field.ipfix_kind(), v),
            Value::Int(v) => self.store_int(field.ipfix_kind(), v as u64),
            Value::F32(v) => self.store(v.to_be_bytes()),
            Value::F64(v) => self.store(v.to_be_bytes()),
            Value::Char(v) => self.store([v]),
            Value::Ip(v) => self.store_ip(element, v),
            Value::Mac(v) => self.store(v),
            Value::Time(v) => self.store_time(element, v),
            Value::Text(_) | Value::Bytes(_) | Value::List(_) => {}
        }
    }

    /// An integer in the width of its Rust type.
    #[inline(always)]
    fn store_int(&mut self, kind: Kind, bits: u64) {
        match kind {
            Kind::U8 | Kind::I8 | Kind::Char => self.store([bits as u8]),
            Kind::U16 | Kind::I16 => self.store((bits as u16).to_be_bytes()),
            Kind::U32 | Kind::I32 => self.store((bits as u32).to_be_bytes()),
            _ => self.store(bits.to_be_bytes()),
        }
    }

    #[inline(always)]
    fn store_time(&mut self, element: Element, t: Time) {
        match element.kind {
            Abstract::DateTimeSeconds => self.store((t.secs() as u32).to_be_bytes()),
            Abstract::DateTimeMicroseconds => self.store(ntp_micros(t).to_be_bytes()),
            Abstract::DateTimeNanoseconds => self.store(ntp_nanos(t).to_be_bytes()),
            _ => self.store(t.millis().to_be_bytes()),
        }
    }

    /// An address in the width of the element.
    #[inline(always)]
    fn store_ip(&mut self, element: Element, ip: IpAddr) {
        match element.kind {
            Abstract::Ipv6Address => self.store(ipv6_octets(ip)),
            _ => self.store(ipv4_octets(ip)),
        }
    }
}

impl Room for DataSink<'_> {
    #[inline(always)]
    fn store<const N: usize>(&mut self, bytes: [u8; N]) {
        match std::mem::take(&mut self.rest).split_first_chunk_mut::<N>() {
            Some((room, rest)) => {
                *room = bytes;
                self.rest = rest;
            }
            // Nothing is left to store into, so all that follows overflows too.
            None => self.overflow = true,
        }
    }
}

impl<'a> Sink<'a> for DataSink<'_> {
    #[inline(always)]
    fn put(&mut self, _at: usize, field: &'static Field, value: Value<'a>) {
        let Some(element) = element_for(field, self.family) else { return };
        self.fields += 1;
        match value {
            Value::Text(v) | Value::Bytes(v) => self.store_variable(v),
            Value::List(v) => self.store_list(element, v),
            fixed => self.store_fixed(element, field, fixed),
        }
    }
}

/// The fields of one record in a room of exactly its size, so that no check is left where places are constants.
struct FixedSink<'b> {
    room: &'b mut [u8],
    at: usize,
    family: Family,
}

impl Room for FixedSink<'_> {
    #[inline(always)]
    fn store<const N: usize>(&mut self, bytes: [u8; N]) {
        if let Some(to) = self.room.get_mut(self.at..self.at + N) {
            to.copy_from_slice(&bytes);
        }
        self.at += N;
    }
}

impl<'a> Sink<'a> for FixedSink<'_> {
    #[inline(always)]
    fn put(&mut self, _at: usize, field: &'static Field, value: Value<'a>) {
        if let Some(element) = element_for(field, self.family) {
            self.store_fixed(element, field, value);
        }
    }
}

/// What a record without fields of variable length takes on the wire.
#[derive(Clone, Copy)]
struct Extent {
    bytes: usize,
    fields: u32,
}

const fn extent(schema: &Schema, family: Family) -> Extent {
    let mut extent = Extent { bytes: 0, fields: 0 };
    let mut at = 0;
    while at < schema.fields.len() {
        let field = &schema.fields[at];
        if let Some(element) = element_for(field, family) {
            match width(element, field.ipfix_kind()) {
                Some(bytes) => extent.bytes += bytes as usize,
                None => panic!("a field of variable length"),
            }
            extent.fields += 1;
        }
        at += 1;
    }
    extent
}

/// The element under which a field travels in templates of one family.
#[inline(always)]
pub(super) const fn element_for(field: &Field, family: Family) -> Option<Element> {
    match family {
        Family::V6 if field.ipfix_v6.is_some() => field.ipfix_v6,
        _ => field.ipfix,
    }
}

/// Bytes of a fixed-size value on the wire, `None` for variable length.
pub(super) const fn width(element: Element, kind: Kind) -> Option<u16> {
    match (kind, element.kind) {
        (Kind::Ip, Abstract::Ipv6Address) => Some(16),
        (Kind::Ip, _) | (Kind::Time, Abstract::DateTimeSeconds) => Some(4),
        _ => match kind.size() {
            Some(bytes) => Some(bytes as u16),
            None => None,
        },
    }
}

#[inline(always)]
fn list_len(list: ListRef<'_>) -> usize {
    match list {
        ListRef::U8(l) => l.len(),
        ListRef::I8(l) => l.len(),
        ListRef::U16(l) => l.len(),
        ListRef::I16(l) => l.len(),
        ListRef::U32(l) => l.len(),
        ListRef::I32(l) => l.len(),
        ListRef::U64(l) => l.len(),
        ListRef::I64(l) => l.len(),
        ListRef::F32(l) => l.len(),
        ListRef::F64(l) => l.len(),
        ListRef::Ip(l) => l.len(),
        ListRef::Mac(l) => l.len(),
        ListRef::Time(l) => l.len(),
    }
}

#[inline(always)]
fn item_size(element: Element, list: ListRef<'_>) -> usize {
    match list {
        ListRef::U8(_) | ListRef::I8(_) => 1,
        ListRef::U16(_) | ListRef::I16(_) => 2,
        ListRef::U32(_) | ListRef::I32(_) | ListRef::F32(_) => 4,
        ListRef::U64(_) | ListRef::I64(_) | ListRef::F64(_) => 8,
        ListRef::Mac(_) => 6,
        ListRef::Ip(_) => width(element, Kind::Ip).map_or(4, usize::from),
        ListRef::Time(_) => width(element, Kind::Time).map_or(8, usize::from),
    }
}
