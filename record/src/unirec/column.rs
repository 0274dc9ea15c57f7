//! Typed access to the fields of a template: names are looked up once, when a template arrives; a record then costs a load for each value.
use super::list::RawList;
use super::template::Template;
use super::view::View;
use super::{time, wire};
use crate::{Item, Kind, Mac, Time};
use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;

/// A type that a field can be read as: a number, [`IpAddr`], [`Mac`], [`Time`], or one of [`Char`], [`Str`], [`Octets`] and [`Array`].
/// `Option` of one is a field that a sender may lack.
pub trait Readable {
    /// The field's type on the wire. It must be exactly this one, as everywhere in UniRec.
    const KIND: Kind;
    /// False for `Option`.
    const REQUIRED: bool = true;
    /// What a record answers; texts and arrays are borrowed from it.
    type Value<'a>;
    /// Reads the field at this offset. Bytes that are missing count as zero, so there is always a value.
    fn read<'a>(record: &View<'a>, offset: usize) -> Self::Value<'a>;
}

/// A `char` field, read as its byte.
#[derive(Clone, Copy, Debug)]
pub enum Char {}
/// A `string` field, read as bytes: nobody promises UTF-8.
#[derive(Clone, Copy, Debug)]
pub enum Str {}
/// A `bytes` field.
#[derive(Clone, Copy, Debug)]
pub enum Octets {}
/// An array field such as `uint16*`, as `Array<u16>`.
#[derive(Clone, Copy, Debug)]
pub struct Array<T>(PhantomData<T>);

/// An element of an [`Array`].
pub trait ArrayItem {
    const ITEM: Item;
}

/// Offset of an optional field that the template lacks; no record is that long.
const ABSENT: usize = usize::MAX;

/// One field of one template.
pub struct Column<T> {
    offset: usize,
    read_as: PhantomData<fn() -> T>,
}

/// A template that has not what is needed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sender's records have no field \"{kind} {name}\"")]
pub struct MissingField {
    pub name: &'static str,
    /// UniRec name of the type.
    pub kind: &'static str,
}

/// A set of fields declared with [`fields!`](crate::fields).
pub trait Fields: Sized {
    /// Name, type and whether a sender must have it.
    const FIELDS: &'static [(&'static str, Kind, bool)];

    /// Looks all fields up in a template.
    ///
    /// # Errors
    /// The first required field that the template lacks or has with another type.
    fn bind(template: &Template) -> Result<Self, MissingField>;

    /// Specification of the required fields, for the negotiation with the sender; empty (any template) when all are optional.
    fn requirement() -> String {
        let required = Self::FIELDS.iter().filter(|(_, _, required)| *required);
        required.map(|(name, kind, _)| format!("{} {name}", kind.unirec_name())).collect::<Vec<_>>().join(",")
    }
}

impl<T: Readable> Column<T> {
    /// Looks a field up; a linear search, once for each template.
    ///
    /// # Errors
    /// The template has no field of this name and type, and the type is no `Option`.
    pub fn find(template: &Template, name: &'static str) -> Result<Column<T>, MissingField> {
        let offset = match template.find(name, T::KIND) {
            Some(index) => template.fields()[index].offset,
            None if T::REQUIRED => return Err(MissingField { name, kind: T::KIND.unirec_name() }),
            None => ABSENT,
        };
        Ok(Column { offset, read_as: PhantomData })
    }

    /// The value in a record of the template in which the field was found. A record of another one gives some value, never a panic.
    #[inline(always)]
    pub fn of<'a>(&self, record: &View<'a>) -> T::Value<'a> {
        T::read(record, self.offset)
    }
}

impl<T> Clone for Column<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Column<T> {}

impl<T> fmt::Debug for Column<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Column").field(&self.offset).finish()
    }
}

/// The bytes from an offset on.
#[inline(always)]
fn from<'a>(record: &View<'a>, offset: usize) -> &'a [u8] {
    record.as_bytes().get(offset..).unwrap_or(&[])
}

macro_rules! readable {
    ($($t:ty, $kind:ident, $value:ty, $read:expr;)+) => {$(
        impl Readable for $t {
            const KIND: Kind = Kind::$kind;
            type Value<'a> = $value;
            #[inline(always)]
            fn read<'a>(record: &View<'a>, offset: usize) -> $value {
                $read(wire::array(from(record, offset)))
            }
        }
    )+};
}
readable! {
    u8, U8, u8, u8::from_le_bytes; i8, I8, i8, i8::from_le_bytes;
    u16, U16, u16, u16::from_le_bytes; i16, I16, i16, i16::from_le_bytes;
    u32, U32, u32, u32::from_le_bytes; i32, I32, i32, i32::from_le_bytes;
    u64, U64, u64, u64::from_le_bytes; i64, I64, i64, i64::from_le_bytes;
    f32, F32, f32, f32::from_le_bytes; f64, F64, f64, f64::from_le_bytes;
    Char, Char, u8, u8::from_le_bytes;
    IpAddr, Ip, IpAddr, wire::ip_from;
    Mac, Mac, Mac, std::convert::identity::<Mac>;
    Time, Time, Time, |bytes| time::from_fixed(u64::from_le_bytes(bytes));
}

impl Readable for Str {
    const KIND: Kind = Kind::Text;
    type Value<'a> = &'a [u8];
    #[inline(always)]
    fn read<'a>(record: &View<'a>, offset: usize) -> &'a [u8] {
        record.var_at(offset)
    }
}

impl Readable for Octets {
    const KIND: Kind = Kind::Bytes;
    type Value<'a> = &'a [u8];
    #[inline(always)]
    fn read<'a>(record: &View<'a>, offset: usize) -> &'a [u8] {
        record.var_at(offset)
    }
}

impl<T: ArrayItem> Readable for Array<T> {
    const KIND: Kind = Kind::List(T::ITEM);
    type Value<'a> = RawList<'a>;
    #[inline(always)]
    fn read<'a>(record: &View<'a>, offset: usize) -> RawList<'a> {
        RawList::new(T::ITEM, record.var_at(offset))
    }
}

macro_rules! items {
    ($($t:ty, $item:ident;)+) => {$(impl ArrayItem for $t { const ITEM: Item = Item::$item; })+};
}
items! {
    u8, U8; i8, I8; u16, U16; i16, I16; u32, U32; i32, I32; u64, U64; i64, I64; f32, F32; f64, F64; IpAddr, Ip; Mac, Mac; Time, Time;
}

impl<T: Readable> Readable for Option<T> {
    const KIND: Kind = T::KIND;
    const REQUIRED: bool = false;
    type Value<'a> = Option<T::Value<'a>>;
    #[inline(always)]
    fn read<'a>(record: &View<'a>, offset: usize) -> Option<T::Value<'a>> {
        (offset != ABSENT).then(|| T::read(record, offset))
    }
}

/// Declares the fields that a module reads: a struct that is bound to each template that arrives, with a getter for each field.
///
/// ```
/// use record::{fields, unirec::{Fields, Str, Template, View}};
/// fields! {
///     /// Who asks for what.
///     struct Request {
///         port: u16 = "DST_PORT",
///         host: Str = "HTTP_REQUEST_HOST",
///         vlan: Option<u16> = "VLAN_ID",
///     }
/// }
/// assert_eq!(Request::requirement(), "uint16 DST_PORT,string HTTP_REQUEST_HOST");
/// let template = Template::parse("string HTTP_REQUEST_HOST,uint16 DST_PORT").unwrap();
/// let request = Request::bind(&template).unwrap();
/// let record = View::new(&template, &[0xbb, 1, 0, 0, 1, 0, b'a']).unwrap();
/// assert_eq!((request.port(&record), request.host(&record), request.vlan(&record)), (443, &b"a"[..], None));
/// ```
#[macro_export]
macro_rules! fields {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident { $( $(#[$fmeta:meta])* $field:ident : $ty:ty = $unirec:literal ),+ $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug)]
        $vis struct $name { $( $field: $crate::unirec::Column<$ty> ),+ }

        impl $crate::unirec::Fields for $name {
            const FIELDS: &'static [(&'static str, $crate::Kind, bool)] = &[$( (
                $unirec,
                <$ty as $crate::unirec::Readable>::KIND,
                <$ty as $crate::unirec::Readable>::REQUIRED,
            ) ),+];
            fn bind(template: &$crate::unirec::Template) -> Result<Self, $crate::unirec::MissingField> {
                Ok($name { $( $field: $crate::unirec::Column::find(template, $unirec)? ),+ })
            }
        }

        impl $name { $(
            $(#[$fmeta])*
            #[inline(always)]
            $vis fn $field<'a>(
                &self,
                record: &$crate::unirec::View<'a>,
            ) -> <$ty as $crate::unirec::Readable>::Value<'a> {
                self.$field.of(record)
            }
        )+ }
    };
}

#[cfg(test)]
mod tests {
    use super::super::Builder;
    use super::*;
    use crate::Value;

    fields! {
        struct All {
            a: u8 = "A", b: i16 = "B", c: f64 = "C", ip: IpAddr = "IP", mac: Mac = "MAC", at: Time = "AT", letter: Char = "L",
            text: Str = "S", raw: Octets = "R", ports: Array<u16> = "P", more: Option<Str> = "MORE", gone: Option<u64> = "GONE",
        }
    }

    #[test]
    fn every_kind_reads_what_was_written() {
        let spec = format!("{},string MORE,uint8 OTHER", All::requirement());
        let template = Template::parse(&spec).unwrap();
        let mut record = Builder::new(&template);
        let mut set = |name, text: &[u8]| record.set_text(template.index_of(name).unwrap(), text).unwrap();
        for (name, text) in [
            ("A", &b"7"[..]),
            ("B", b"-2"),
            ("C", b"1.5"),
            ("IP", b"192.0.2.1"),
            ("MAC", b"00:01:02:03:04:05"),
            ("AT", b"2020-01-01T00:00:00.5"),
            ("L", b"x"),
            ("S", b"text"),
            ("R", b"00ff"),
            ("P", b"1 2"),
            ("MORE", b"m"),
        ] {
            set(name, text);
        }
        let mut bytes = Vec::new();
        record.finish(&mut bytes).unwrap();
        let (all, view) = (All::bind(&template).unwrap(), View::new(&template, &bytes).unwrap());
        assert_eq!((all.a(&view), all.b(&view), all.c(&view), all.letter(&view)), (7, -2, 1.5, b'x'));
        assert_eq!(all.ip(&view), IpAddr::from([192, 0, 2, 1]));
        assert_eq!((all.mac(&view), all.at(&view)), ([0, 1, 2, 3, 4, 5], Time(1_577_836_800_500_000_000)));
        assert_eq!((all.text(&view), all.raw(&view)), (&b"text"[..], &[0, 0xff][..]));
        assert_eq!(all.ports(&view).iter().collect::<Vec<_>>(), [Value::Uint(1), Value::Uint(2)]);
        assert_eq!((all.more(&view), all.gone(&view)), (Some(&b"m"[..]), None));
    }

    #[test]
    fn what_is_missing_is_named() {
        let wrong = All::bind(&Template::parse("uint16 A").unwrap()).unwrap_err();
        assert_eq!(wrong.to_string(), "the sender's records have no field \"uint8 A\"");
        // A record of another template is read without a panic.
        let column = Column::<Str>::find(&Template::parse("ipaddr I,string S").unwrap(), "S").unwrap();
        let template = Template::parse("uint8 A").unwrap();
        assert_eq!(column.of(&View::new(&template, &[1]).unwrap()), b"");
    }
}
