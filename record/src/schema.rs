//! Record types: declared once with [`record!`], everything else is derived.
use crate::element::Element;
use crate::kind::Kind;
use crate::pack::Pack;
use crate::value::Value;

/// One declared field.
#[derive(Debug)]
pub struct Field {
    /// Name in Rust and JSON key.
    pub name: &'static str,
    pub kind: Kind,
    /// Bytes of a text, items of a list; 0 for fixed-size values.
    pub bound: usize,
    /// Element on the IPFIX wire, if exported there. For an address: the IPv4 one.
    pub ipfix: Option<Element>,
    /// The IPv6 twin of an address element.
    pub ipfix_v6: Option<Element>,
    /// Octets of an unsigned field on the IPFIX wire where they differ from the kind's own size (`as N`).
    pub ipfix_width: Option<u16>,
    /// Name in UniRec, if exported there.
    pub unirec: Option<&'static str>,
    /// How people see it, in JSON.
    pub shown: Shown,
    pub doc: &'static str,
}

/// How a field appears in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// By its kind.
    Plain,
    /// Bytes that hold a text.
    AsText,
    /// Not at all: the field is set by an exporter, or spells another field for one wire form.
    Never,
}

impl Field {
    /// The kind in which the value travels in IPFIX.
    pub const fn ipfix_kind(&self) -> Kind {
        match self.ipfix_width {
            Some(1) => Kind::U8,
            Some(2) => Kind::U16,
            Some(4) => Kind::U32,
            Some(8) => Kind::U64,
            _ => self.kind,
        }
    }
}

/// One declared record type.
#[derive(Debug)]
pub struct Schema {
    /// The word that names it everywhere: file, option, JSON key, metric label, doc anchor.
    pub name: &'static str,
    pub doc: &'static str,
    pub fields: &'static [Field],
}

/// Where the fields of a record go; one implementation for each wire form, always called with a concrete type.
pub trait Sink<'a> {
    /// Called once for each field, in schema order; `at` is the field's index in its schema.
    fn put(&mut self, at: usize, field: &'static Field, value: Value<'a>);
}

/// A record type: its schema is a constant, its fields are visited in schema order.
pub trait Record: Default + Pack {
    const SCHEMA: &'static Schema;
    #[inline]
    fn visit<'a>(&'a self, sink: &mut impl Sink<'a>) {
        self.visit_here(sink);
    }
    /// [`Record::visit`] made part of its caller, for sinks whose work vanishes once they know the record: one copy for each call.
    fn visit_here<'a>(&'a self, sink: &mut impl Sink<'a>);
    /// Back to the empty record without touching unused bytes.
    fn clear(&mut self);
    /// Takes over `other`, copying used bytes only.
    fn assign(&mut self, other: &Self);
}

/// Declares a record type once.
///
/// ```
/// use record::{record, element::{flowmon, cesnet}, Text};
/// record! {
///     /// What the field group means.
///     pub struct Example = "example" {
///         /// User-Agent of the request.
///         agent: Text<127>, ipfix flowmon::httpUserAgent, unirec "HTTP_REQUEST_AGENT";
///         /// Only in IPFIX.
///         rcode: u8, ipfix cesnet::DNSRCode;
///     }
/// }
/// ```
/// `ipfix A | B` names the IPv4 and the IPv6 element of an address, `ipfix A as 8` sends the number in 8 octets. `shown AsText` or
/// `shown Never` ([`Shown`](crate::schema::Shown)) come last. A list field names the element of its items and travels
/// as a basicList. Declaring the same element twice in one record does not compile.
#[macro_export]
macro_rules! record {
    (
        $(#[doc = $rdoc:literal])+
        $(#[derive($($derive:ident),+)])?
        $vis:vis struct $name:ident = $id:literal {
            $(
                $(#[doc = $fdoc:literal])+
                $field:ident : $ty:ty $(, ipfix $el:path $(as $width:literal)? $(| $el6:path)?)? $(, unirec $ur:literal)? $(, shown $shown:ident)?;
            )+
        }
    ) => {
        $(#[doc = $rdoc])+
        #[derive(Clone, Debug)]
        $(#[derive($($derive),+)])?
        $vis struct $name { $( $(#[doc = $fdoc])+ pub $field: $ty, )+ }

        impl Default for $name {
            fn default() -> Self {
                $name { $( $field: $crate::schema::empty::<$ty>(), )+ }
            }
        }

        impl $crate::Record for $name {
            const SCHEMA: &'static $crate::Schema = &$crate::Schema {
                name: $id,
                doc: concat!($($rdoc, "\n"),+),
                fields: &[$( $crate::Field {
                    name: stringify!($field),
                    kind: <$ty as $crate::Typed>::KIND,
                    bound: <$ty as $crate::Typed>::BOUND,
                    ipfix: $crate::__optional!($($el)?),
                    ipfix_v6: $crate::__optional!($($($el6)?)?),
                    ipfix_width: $crate::__optional!($($($width)?)?),
                    unirec: $crate::__optional!($($ur)?),
                    shown: $crate::__shown!($($shown)?),
                    doc: concat!($($fdoc, "\n"),+),
                } ),+],
            };
            #[inline(always)]
            #[allow(unused_assignments)]
            fn visit_here<'a>(&'a self, sink: &mut impl $crate::Sink<'a>) {
                let fields = <Self as $crate::Record>::SCHEMA.fields;
                let mut at = 0;
                $(
                    sink.put(at, &fields[at], $crate::Typed::value(&self.$field));
                    at += 1;
                )+
            }
            #[inline]
            fn clear(&mut self) { $( $crate::Typed::clear(&mut self.$field); )+ }
            #[inline]
            fn assign(&mut self, other: &Self) { $( $crate::Typed::assign(&mut self.$field, &other.$field); )+ }
        }

        $crate::packed!($name { $($field: $ty),+ });

        const _: () = $crate::assert_distinct(&[<$name as $crate::Record>::SCHEMA], &[]);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __shown {
    () => {
        $crate::schema::Shown::Plain
    };
    ($how:ident) => {
        $crate::schema::Shown::$how
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __optional {
    () => {
        None
    };
    ($e:expr) => {
        Some($e)
    };
}

/// The empty value of a field type; addresses have no `Default`, so the types' own `clear` decides.
#[doc(hidden)]
pub fn empty<T: crate::value::Empty>() -> T {
    T::empty()
}

/// Compile-time check of a set of record types: no two fields claim one IPFIX element or one UniRec name, save those in `shared`,
/// which mean the same in each record that has them.
pub const fn assert_distinct(schemas: &[&Schema], shared: &[Element]) {
    let mut a = 0;
    while a < schemas.len() {
        let mut i = 0;
        while i < schemas[a].fields.len() {
            let f = &schemas[a].fields[i];
            let mut b = a;
            while b < schemas.len() {
                let mut j = if a == b { i + 1 } else { 0 };
                while j < schemas[b].fields.len() {
                    let g = &schemas[b].fields[j];
                    assert_fields_distinct(f, g, shared);
                    j += 1;
                }
                b += 1;
            }
            i += 1;
        }
        a += 1;
    }
}

const fn assert_fields_distinct(f: &Field, g: &Field, shared: &[Element]) {
    if let (Some(x), Some(y)) = (&f.ipfix, &g.ipfix)
        && x.pen == y.pen
        && x.id == y.id
    {
        let mut known = false;
        let mut s = 0;
        while s < shared.len() {
            known |= shared[s].pen == x.pen && shared[s].id == x.id;
            s += 1;
        }
        assert!(known, "two fields claim one IPFIX element");
        return;
    }
    if let (Some(x), Some(y)) = (f.unirec, g.unirec) {
        assert!(!same(x.as_bytes(), y.as_bytes()), "two fields claim one UniRec name");
    }
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}
