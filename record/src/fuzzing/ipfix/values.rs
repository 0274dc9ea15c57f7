//! Random shapes and values out of the fuzzer's bytes.
use crate::element::{Abstract, Element, cesnet, flowmon, iana};
use crate::ipfix::{DataSink, Family};
use crate::kind::{Item, Kind};
use crate::schema::{Field, Schema, Sink};
use crate::value::{ListRef, Mac, Time, Value};
use std::net::IpAddr;

/// A value that owns what it holds.
#[derive(Clone, Debug)]
pub(super) enum Owned {
    Uint(u64),
    Int(i64),
    Float(f64),
    Ip(IpAddr),
    Mac(Mac),
    Time(Time),
    Bytes(Vec<u8>),
    List(Vec<Owned>),
}

impl Owned {
    pub(super) fn put(&self, field: &'static Field, sink: &mut DataSink<'_>) {
        self.with(field, |value| sink.put(0, field, value));
    }

    /// Lends the value in the form that a record of this field would.
    pub(super) fn with<R>(&self, field: &Field, f: impl FnOnce(Value<'_>) -> R) -> R {
        match self {
            Owned::Uint(v) if field.kind == Kind::Char => f(Value::Char(*v as u8)),
            Owned::Uint(v) => f(Value::Uint(*v)),
            Owned::Int(v) => f(Value::Int(*v)),
            Owned::Float(v) if field.kind == Kind::F32 => f(Value::F32(*v as f32)),
            Owned::Float(v) => f(Value::F64(*v)),
            Owned::Ip(v) => f(Value::Ip(*v)),
            Owned::Mac(v) => f(Value::Mac(*v)),
            Owned::Time(v) => f(Value::Time(*v)),
            Owned::Bytes(v) if field.kind == Kind::Text => f(Value::Text(v)),
            Owned::Bytes(v) => f(Value::Bytes(v)),
            Owned::List(items) => with_list(field, items, f),
        }
    }

    fn bits(&self) -> u64 {
        match self {
            Owned::Uint(v) => *v,
            Owned::Int(v) => *v as u64,
            _ => 0,
        }
    }

    fn float(&self) -> f64 {
        if let Owned::Float(v) = self { *v } else { 0.0 }
    }
}

fn with_list<R>(field: &Field, items: &[Owned], f: impl FnOnce(Value<'_>) -> R) -> R {
    macro_rules! lend {
        ($variant:ident, $item:expr) => {
            f(Value::List(ListRef::$variant(&items.iter().map($item).collect::<Vec<_>>())))
        };
    }
    match field.kind {
        Kind::List(Item::U8) => lend!(U8, |i| i.bits() as u8),
        Kind::List(Item::I8) => lend!(I8, |i| i.bits() as i8),
        Kind::List(Item::U16) => lend!(U16, |i| i.bits() as u16),
        Kind::List(Item::I16) => lend!(I16, |i| i.bits() as i16),
        Kind::List(Item::U32) => lend!(U32, |i| i.bits() as u32),
        Kind::List(Item::I32) => lend!(I32, |i| i.bits() as i32),
        Kind::List(Item::U64) => lend!(U64, |i| i.bits()),
        Kind::List(Item::I64) => lend!(I64, |i| i.bits() as i64),
        Kind::List(Item::F32) => lend!(F32, |i| i.float() as f32),
        Kind::List(Item::F64) => lend!(F64, |i| i.float()),
        Kind::List(Item::Mac) => lend!(Mac, |i| if let Owned::Mac(v) = i { *v } else { Mac::default() }),
        Kind::List(Item::Time) => lend!(Time, |i| if let Owned::Time(v) = i { *v } else { Time(0) }),
        _ => lend!(Ip, |i| if let Owned::Ip(v) = i { *v } else { IpAddr::from([0; 4]) }),
    }
}

/// The fuzzer's bytes as choices; zeros when they run out.
pub(super) struct Input<'d>(pub(super) &'d [u8]);

impl Input<'_> {
    pub(super) fn number(&mut self, bytes: usize) -> u64 {
        let (now, rest) = self.0.split_at(bytes.min(self.0.len()));
        self.0 = rest;
        now.iter().fold(0, |v, b| (v << 8) | u64::from(*b))
    }

    pub(super) fn flag(&mut self) -> bool {
        self.number(1) & 1 == 1
    }

    pub(super) fn bytes(&mut self, max: usize) -> Vec<u8> {
        let length = self.number(2) as usize % (max + 1);
        let (now, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        // The length is what counts: short input still makes long values.
        let mut value = now.to_vec();
        value.resize(length, b'.');
        value
    }

    pub(super) fn shape(&mut self) -> Vec<&'static Schema> {
        let fields = 1 + self.number(1) % 12;
        (0..fields).map(|_| POOL[self.number(1) as usize % POOL.len()]).collect()
    }

    pub(super) fn value(&mut self, field: &Field, family: Family) -> Owned {
        match field.kind {
            Kind::Text | Kind::Bytes => Owned::Bytes(self.bytes(400)),
            Kind::List(item) => {
                let element = field.ipfix.unwrap_or(iana::basicList);
                let items = self.number(1) % 40;
                Owned::List((0..items).map(|_| self.scalar(item.scalar(), element, false)).collect())
            }
            kind => self.scalar(kind, field.ipfix.unwrap_or(iana::octetDeltaCount), family == Family::V6),
        }
    }

    fn scalar(&mut self, kind: Kind, element: Element, v6: bool) -> Owned {
        match kind {
            Kind::I8 => Owned::Int(self.number(1) as i8 as i64),
            Kind::I16 => Owned::Int(self.number(2) as i16 as i64),
            Kind::I32 => Owned::Int(self.number(4) as i32 as i64),
            Kind::I64 => Owned::Int(self.number(8) as i64),
            // Through f32 and back: a signalling NaN becomes a quiet one before it is compared.
            Kind::F32 => Owned::Float(f64::from(f64::from(f32::from_bits(self.number(4) as u32)) as f32)),
            Kind::F64 => Owned::Float(f64::from_bits(self.number(8))),
            Kind::Ip if v6 => Owned::Ip(IpAddr::from((u128::from(self.number(8)) << 64 | 1).to_be_bytes())),
            Kind::Ip => Owned::Ip(IpAddr::from((self.number(4) as u32).to_be_bytes())),
            Kind::Mac => {
                let bytes = self.number(6).to_be_bytes();
                Owned::Mac([bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]])
            }
            Kind::Time => Owned::Time(self.time(element)),
            kind => Owned::Uint(self.number(kind.size().unwrap_or(1))),
        }
    }

    /// A time that the element can tell exactly.
    fn time(&mut self, element: Element) -> Time {
        let (secs, nanos) = (self.number(4), self.number(4) % 1_000_000_000);
        let unit = match element.kind {
            Abstract::DateTimeSeconds => 1_000_000_000,
            Abstract::DateTimeMicroseconds => 1_000,
            Abstract::DateTimeNanoseconds => 1,
            _ => 1_000_000,
        };
        Time(secs * 1_000_000_000 + nanos / unit * unit)
    }
}

const fn of(kind: Kind, ipfix: Element) -> Field {
    Field {
        name: "field",
        kind,
        bound: 0,
        ipfix: Some(ipfix),
        ipfix_v6: None,
        ipfix_width: None,
        shown: crate::schema::Shown::Plain,
        unirec: None,
        doc: "",
    }
}

macro_rules! pool {
    ($($field:expr),+ $(,)?) => { &[$(&Schema { name: "one", doc: "", fields: &[$field] }),+] };
}

/// One record type for each kind of field; shapes are put together from them.
pub(super) const POOL: &[&Schema] = pool![
    of(Kind::U8, iana::protocolIdentifier),
    of(Kind::U8, iana::tcpControlBits),
    of(Kind::U16, iana::sourceTransportPort),
    of(Kind::U32, iana::ingressInterface),
    of(Kind::U64, iana::octetDeltaCount),
    of(Kind::I8, cesnet::packetDirection),
    of(Kind::I16, cesnet::packetLength),
    of(Kind::I32, flowmon::tlsClientKeyLength),
    of(Kind::I64, flowmon::tlsValidityNotBefore),
    of(Kind::F32, cesnet::ntsMeanPacketPayload),
    of(Kind::F64, Element { pen: 1, id: 1, name: "x", kind: Abstract::Float64 }),
    of(Kind::Char, iana::ipTTL),
    Field { ipfix_v6: Some(iana::sourceIPv6Address), ..of(Kind::Ip, iana::sourceIPv4Address) },
    of(Kind::Mac, iana::sourceMacAddress),
    of(Kind::Time, iana::flowStartSeconds),
    of(Kind::Time, iana::flowStartMilliseconds),
    of(Kind::Time, iana::flowStartMicroseconds),
    of(Kind::Time, iana::flowStartNanoseconds),
    of(Kind::Text, cesnet::TLSSNI),
    of(Kind::Bytes, cesnet::IDPContent),
    of(Kind::List(Item::U8), cesnet::packetFlag),
    of(Kind::List(Item::I8), cesnet::packetDirection),
    of(Kind::List(Item::U16), iana::sourceTransportPort),
    of(Kind::List(Item::I16), cesnet::packetLength),
    of(Kind::List(Item::U32), cesnet::burstSrcBytes),
    of(Kind::List(Item::I32), flowmon::tlsClientKeyLength),
    of(Kind::List(Item::U64), iana::octetDeltaCount),
    of(Kind::List(Item::I64), flowmon::tlsValidityNotAfter),
    of(Kind::List(Item::F32), cesnet::ntsMeanPacketPayload),
    of(Kind::List(Item::F64), Element { pen: 1, id: 1, name: "x", kind: Abstract::Float64 }),
    of(Kind::List(Item::Ip), iana::sourceIPv4Address),
    of(Kind::List(Item::Mac), iana::sourceMacAddress),
    of(Kind::List(Item::Time), cesnet::packetTime),
    of(Kind::List(Item::Time), iana::flowEndMicroseconds),
];
