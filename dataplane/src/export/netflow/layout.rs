//! Where the declared fields of a flow stand in its two NetFlow 9 records; made once for each set of extensions.
use super::uptime::Since;
use record::element::{Element, IANA, REVERSE, iana};
use record::ipfix::Family;
use record::{Field, Kind, Schema, Sink, Value};
use std::net::IpAddr;

/// FIRST_SWITCHED and LAST_SWITCHED (RFC 3954 section 8): milliseconds of SysUpTime, in place of IPFIX's absolute times.
const FIRST_SWITCHED: u16 = 22;
const LAST_SWITCHED: u16 = 21;
const SWITCHED_BYTES: u16 = 4;

/// Elements that say the same of both directions.
const SAME: [Element; 6] = [
    iana::flowEndReason,
    iana::ipVersion,
    iana::protocolIdentifier,
    iana::ingressInterface,
    iana::vlanId,
    iana::flowId,
];

/// Elements that change places with the direction.
const PAIRS: [(Element, Element); 4] = [
    (iana::sourceTransportPort, iana::destinationTransportPort),
    (iana::sourceIPv4Address, iana::destinationIPv4Address),
    (iana::sourceIPv6Address, iana::destinationIPv6Address),
    (iana::sourceMacAddress, iana::destinationMacAddress),
];

/// Fields of a record: (type, length), and where each declared field goes.
pub(super) struct Layout {
    pub(super) fields: Vec<(u16, u16)>,
    places: Vec<Place>,
    pub(super) bytes: usize,
}

/// Where one declared field goes in the record of each direction.
#[derive(Clone, Copy, Default)]
struct Place {
    there: Option<Spot>,
    back: Option<Spot>,
}

#[derive(Clone, Copy)]
struct Spot {
    at: u16,
    bytes: u16,
}

impl Layout {
    pub(super) fn new(schemas: &[&'static Schema], family: Family) -> Layout {
        let declared: Vec<(Option<Element>, &Field)> =
            schemas.iter().flat_map(|s| s.fields).map(|field| (element_for(field, family), field)).collect();
        let mut layout = Layout { fields: Vec::new(), places: Vec::new(), bytes: 0 };
        let mut spots: Vec<(Element, Spot)> = Vec::new();
        for (element, field) in &declared {
            if let Some(element) = element.filter(|e| e.pen == IANA)
                && let Some((kind, bytes)) = form(element, field, family)
            {
                spots.push((element, Spot { at: layout.bytes as u16, bytes }));
                layout.fields.push((kind, bytes));
                layout.bytes += usize::from(bytes);
            }
        }
        let spot = |wanted: Element| spots.iter().find(|(e, _)| *e == wanted).map(|(_, spot)| *spot);
        let is_declared = |wanted: Element| declared.iter().any(|(e, _)| *e == Some(wanted));
        for (element, _) in &declared {
            let place = match element {
                Some(e) if e.pen == REVERSE => Place { there: None, back: spot(Element { pen: IANA, ..*e }) },
                Some(e) if e.pen == IANA => {
                    let back = if is_declared(e.reverse()) { None } else { back_of(*e).and_then(spot) };
                    Place { there: spot(*e), back }
                }
                _ => Place::default(),
            };
            layout.places.push(place);
        }
        layout
    }

    /// A sink for one flow, to be shown the record types in their order. What a direction does not say stays as it is: zero.
    pub(super) fn fill<'l>(&'l self, there: &'l mut [u8], back: &'l mut [u8], since: Since) -> Filling<'l> {
        Filling { places: self.places.iter(), there, back, since }
    }
}

/// The element whose place a value has in the other direction's record.
fn back_of(element: Element) -> Option<Element> {
    let is_time = element == iana::flowStartMicroseconds || element == iana::flowEndMicroseconds;
    if is_time || SAME.contains(&element) {
        return Some(element);
    }
    PAIRS.iter().find_map(|(a, b)| match element {
        e if e == *a => Some(*b),
        e if e == *b => Some(*a),
        _ => None,
    })
}

/// Type and length on the wire; `None` for what version 9 cannot carry.
fn form(element: Element, field: &Field, family: Family) -> Option<(u16, u16)> {
    match field.ipfix_kind() {
        Kind::Time if element == iana::flowStartMicroseconds => Some((FIRST_SWITCHED, SWITCHED_BYTES)),
        Kind::Time if element == iana::flowEndMicroseconds => Some((LAST_SWITCHED, SWITCHED_BYTES)),
        Kind::Time => None,
        Kind::Ip => Some((element.id, if family == Family::V4 { 4 } else { 16 })),
        kind => Some((element.id, kind.size()? as u16)),
    }
}

fn element_for(field: &Field, family: Family) -> Option<Element> {
    if family == Family::V6 { field.ipfix_v6.or(field.ipfix) } else { field.ipfix }
}

/// One flow on its way into its two records.
pub(super) struct Filling<'l> {
    places: std::slice::Iter<'l, Place>,
    there: &'l mut [u8],
    back: &'l mut [u8],
    since: Since,
}

impl<'a> Sink<'a> for Filling<'_> {
    fn put(&mut self, _at: usize, field: &'static Field, value: Value<'a>) {
        let Some(place) = self.places.next() else { return };
        if place.there.is_none() && place.back.is_none() {
            return;
        }
        let octets = number(field, value, self.since).to_be_bytes();
        let store = |record: &mut [u8], spot: Spot| {
            if let Some(to) = record.get_mut(usize::from(spot.at)..usize::from(spot.at + spot.bytes)) {
                to.copy_from_slice(&octets[octets.len() - to.len()..]);
            }
        };
        place.there.into_iter().for_each(|spot| store(self.there, spot));
        place.back.into_iter().for_each(|spot| store(self.back, spot));
    }
}

/// A value of fixed length as the number whose last bytes stand on the wire.
fn number(field: &Field, value: Value<'_>, since: Since) -> u128 {
    match value {
        Value::Uint(v) => v.into(),
        // The last bytes of a negative number are those of its shorter forms.
        Value::Int(v) => v as u128,
        Value::F32(v) => v.to_bits().into(),
        Value::F64(v) => v.to_bits().into(),
        Value::Char(v) => v.into(),
        Value::Ip(IpAddr::V4(v)) => v.to_bits().into(),
        Value::Ip(IpAddr::V6(v)) => v.to_bits(),
        Value::Mac(v) => v.iter().fold(0, |n, byte| n << 8 | u128::from(*byte)),
        Value::Time(_) if field.ipfix == Some(iana::flowStartMicroseconds) => since.first.into(),
        Value::Time(_) => since.last.into(),
        Value::Text(_) | Value::Bytes(_) | Value::List(_) => 0,
    }
}
