//! The closed set of field types. UniRec's type system (spec/unirec.md section 1) is the vocabulary; every wire form maps from it.

/// Type of one element of a [`Kind::List`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Item {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
    Ip,
    Mac,
    Time,
}

/// Type of a field. Adding a variant is the only change that touches every encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Bytes that are expected to be printable; not validated as UTF-8.
    Text,
    /// Opaque bytes.
    Bytes,
    Char,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
    /// IPv4 or IPv6 address.
    Ip,
    Mac,
    /// A point in time, Unix nanoseconds inside, the wire form's own unit outside.
    Time,
    List(Item),
}

impl Item {
    /// Size of one element in UniRec, bytes.
    pub const fn size(self) -> usize {
        self.scalar().size().unwrap()
    }

    /// The kind of a single element.
    pub const fn scalar(self) -> Kind {
        match self {
            Item::U8 => Kind::U8,
            Item::I8 => Kind::I8,
            Item::U16 => Kind::U16,
            Item::I16 => Kind::I16,
            Item::U32 => Kind::U32,
            Item::I32 => Kind::I32,
            Item::U64 => Kind::U64,
            Item::I64 => Kind::I64,
            Item::F32 => Kind::F32,
            Item::F64 => Kind::F64,
            Item::Ip => Kind::Ip,
            Item::Mac => Kind::Mac,
            Item::Time => Kind::Time,
        }
    }
}

/// Every kind with its UniRec name, in the order of the UniRec enumeration.
const UNIREC_NAMES: [(Kind, &str); 29] = [
    (Kind::Text, "string"),
    (Kind::Bytes, "bytes"),
    (Kind::Char, "char"),
    (Kind::U8, "uint8"),
    (Kind::I8, "int8"),
    (Kind::U16, "uint16"),
    (Kind::I16, "int16"),
    (Kind::U32, "uint32"),
    (Kind::I32, "int32"),
    (Kind::U64, "uint64"),
    (Kind::I64, "int64"),
    (Kind::F32, "float"),
    (Kind::F64, "double"),
    (Kind::Ip, "ipaddr"),
    (Kind::Mac, "macaddr"),
    (Kind::Time, "time"),
    (Kind::List(Item::U8), "uint8*"),
    (Kind::List(Item::I8), "int8*"),
    (Kind::List(Item::U16), "uint16*"),
    (Kind::List(Item::I16), "int16*"),
    (Kind::List(Item::U32), "uint32*"),
    (Kind::List(Item::I32), "int32*"),
    (Kind::List(Item::U64), "uint64*"),
    (Kind::List(Item::I64), "int64*"),
    (Kind::List(Item::F32), "float*"),
    (Kind::List(Item::F64), "double*"),
    (Kind::List(Item::Ip), "ipaddr*"),
    (Kind::List(Item::Mac), "macaddr*"),
    (Kind::List(Item::Time), "time*"),
];

impl Kind {
    /// Every kind, for tests and generators.
    pub fn all() -> impl Iterator<Item = Kind> {
        UNIREC_NAMES.iter().map(|(k, _)| *k)
    }

    /// Size in a UniRec record, bytes; `None` for variable length.
    pub const fn size(self) -> Option<usize> {
        match self {
            Kind::Char | Kind::U8 | Kind::I8 => Some(1),
            Kind::U16 | Kind::I16 => Some(2),
            Kind::U32 | Kind::I32 | Kind::F32 => Some(4),
            Kind::U64 | Kind::I64 | Kind::F64 | Kind::Time => Some(8),
            Kind::Mac => Some(6),
            Kind::Ip => Some(16),
            Kind::Text | Kind::Bytes | Kind::List(_) => None,
        }
    }

    /// The name on a UniRec template specification, such as `uint16*`.
    pub fn unirec_name(self) -> &'static str {
        UNIREC_NAMES.iter().find(|(k, _)| *k == self).map_or("", |(_, n)| n)
    }

    /// The kind of a UniRec type name; names are case sensitive.
    pub fn from_unirec_name(name: &str) -> Option<Kind> {
        UNIREC_NAMES.iter().find(|(_, n)| *n == name).map(|(k, _)| *k)
    }
}
