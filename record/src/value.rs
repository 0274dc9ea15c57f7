//! Values: what a field holds, and the borrowed form in which it travels to an encoder.
//!
//! Texts and lists are inline and bounded, so a record owns no heap; a value over its bound is cut at the bound.
use crate::kind::{Item, Kind};
use crate::pack::{Pack, Packer, Unpacker, copy, copy_short, pack_items, put, take, unpack_items};
use std::net::{IpAddr, Ipv4Addr};

/// Unix time in nanoseconds (no leap seconds), 1970 to 2554.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    pub const fn from_micros(us: u64) -> Time {
        Time(us.saturating_mul(1_000))
    }
    /// Whole seconds since 1970.
    pub const fn secs(self) -> u64 {
        self.0 / 1_000_000_000
    }
    /// Nanoseconds within the second.
    pub const fn subsec_nanos(self) -> u32 {
        (self.0 % 1_000_000_000) as u32
    }
    /// Cut to whole microseconds.
    pub const fn whole_micros(self) -> Time {
        Time(self.0 - self.0 % 1_000)
    }
    pub const fn micros(self) -> u64 {
        self.0 / 1_000
    }
    pub const fn millis(self) -> u64 {
        self.0 / 1_000_000
    }
}

/// A 48-bit MAC address as on the wire.
pub type Mac = [u8; 6];

/// A borrowed list on its way to an encoder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ListRef<'a> {
    U8(&'a [u8]),
    I8(&'a [i8]),
    U16(&'a [u16]),
    I16(&'a [i16]),
    U32(&'a [u32]),
    I32(&'a [i32]),
    U64(&'a [u64]),
    I64(&'a [i64]),
    F32(&'a [f32]),
    F64(&'a [f64]),
    Ip(&'a [IpAddr]),
    Mac(&'a [Mac]),
    Time(&'a [Time]),
}

/// A borrowed value on its way to an encoder. Sinks match on it; after inlining the match is static.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    Uint(u64),
    Int(i64),
    F32(f32),
    F64(f64),
    Char(u8),
    Ip(IpAddr),
    Mac(Mac),
    Time(Time),
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    List(ListRef<'a>),
}

/// A Rust type that a field may have.
pub trait Typed {
    const KIND: Kind;
    /// Bound of a variable-length value: bytes of a text, items of a list; 0 for fixed-size values.
    const BOUND: usize = 0;
    fn value(&self) -> Value<'_>;
    /// Back to the empty value, without touching unused bytes.
    fn clear(&mut self);
    /// Takes over `other`, copying used bytes only.
    fn assign(&mut self, other: &Self);
}

macro_rules! scalars {
    ($($t:ty, $kind:ident, $value:ident, $as:ty;)+) => {$(
        impl Typed for $t {
            const KIND: Kind = Kind::$kind;
            #[inline(always)]
            fn value(&self) -> Value<'_> { Value::$value(*self as $as) }
            #[inline(always)]
            fn clear(&mut self) { *self = Default::default() }
            #[inline(always)]
            fn assign(&mut self, other: &Self) { *self = *other }
        }
    )+};
}
scalars! {
    u8, U8, Uint, u64; i8, I8, Int, i64; u16, U16, Uint, u64; i16, I16, Int, i64;
    u32, U32, Uint, u64; i32, I32, Int, i64; u64, U64, Uint, u64; i64, I64, Int, i64;
    f32, F32, F32, f32; f64, F64, F64, f64; Mac, Mac, Mac, Mac; Time, Time, Time, Time;
}

/// The empty value of a field type (addresses have no `Default`).
#[doc(hidden)]
pub trait Empty {
    fn empty() -> Self;
}
macro_rules! empties { ($($t:ty),+) => {$(impl Empty for $t {
    fn empty() -> Self { Default::default() }
})+}; }
empties!(u8, i8, u16, i16, u32, i32, u64, i64, f32, f64, Mac, Time);
impl Empty for IpAddr {
    fn empty() -> Self {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    }
}
impl<T: ListItem, const N: usize> Empty for List<T, N> {
    fn empty() -> Self {
        Default::default()
    }
}

/// IP addresses have no default of their own: the empty one is 0.0.0.0.
impl Typed for IpAddr {
    const KIND: Kind = Kind::Ip;
    #[inline(always)]
    fn value(&self) -> Value<'_> {
        Value::Ip(*self)
    }
    #[inline(always)]
    fn clear(&mut self) {
        *self = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    }
    #[inline(always)]
    fn assign(&mut self, other: &Self) {
        *self = *other;
    }
}

macro_rules! byte_strings {
    ($($(#[$doc:meta])* $name:ident => $kind:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $name<const N: usize> { len: u16, bytes: [u8; N] }

        impl<const N: usize> Default for $name<N> {
            fn default() -> Self { $name { len: 0, bytes: [0; N] } }
        }
        impl<const N: usize> $name<N> {
            /// Appends what fits, cuts the rest; answers how many bytes were taken.
            #[inline]
            pub fn push(&mut self, more: &[u8]) -> usize {
                let at = self.len as usize;
                let n = more.len().min(N - at);
                copy_short(&mut self.bytes[at..], &more[..n]);
                self.len += n as u16;
                n
            }
            /// Replaces the value, cut at the bound.
            #[inline]
            pub fn set(&mut self, value: &[u8]) {
                self.len = 0;
                self.push(value);
            }
            /// Keeps the first `len` bytes, if there are more.
            #[inline]
            pub fn truncate(&mut self, len: usize) {
                self.len = self.len.min(len.min(N) as u16);
            }
            #[inline(always)]
            pub fn as_bytes(&self) -> &[u8] { &self.bytes[..self.len as usize] }
            #[inline(always)]
            pub fn as_bytes_mut(&mut self) -> &mut [u8] { &mut self.bytes[..self.len as usize] }
            pub fn len(&self) -> usize { self.len as usize }
            pub fn is_empty(&self) -> bool { self.len == 0 }
            /// Bytes of the length in the packed form.
            const LEN_SIZE: usize = if N < 256 { 1 } else { 2 };
            /// Bytes that still fit.
            pub fn room(&self) -> usize { N - self.len as usize }
        }
        impl<const N: usize> std::fmt::Debug for $name<N> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "\"{}\"", self.as_bytes().escape_ascii())
            }
        }
        impl<const N: usize> PartialEq for $name<N> {
            fn eq(&self, other: &Self) -> bool { self.as_bytes() == other.as_bytes() }
        }
        impl<const N: usize> Empty for $name<N> {
            fn empty() -> Self { Default::default() }
        }
        impl<const N: usize> Typed for $name<N> {
            const KIND: Kind = Kind::$kind;
            const BOUND: usize = N;
            #[inline(always)]
            fn value(&self) -> Value<'_> { Value::$kind(self.as_bytes()) }
            #[inline(always)]
            fn clear(&mut self) { self.len = 0 }
            #[inline]
            fn assign(&mut self, other: &Self) { self.set(other.as_bytes()) }
        }
        /// The length, in one byte if that is enough, and the bytes.
        impl<const N: usize> Pack for $name<N> {
            const PACKED_MAX: usize = Self::LEN_SIZE + N;
            const FIXED: usize = Self::LEN_SIZE;
            #[inline(always)]
            fn pack_fixed(&self, out: &mut [u8]) {
                if N < 256 { put(out, [self.len as u8]) } else { put(out, self.len.to_le_bytes()) }
            }
            #[inline(always)]
            fn unpack_fixed(&mut self, from: &[u8]) {
                let len = if N < 256 { u16::from(take::<1>(from)[0]) } else { u16::from_le_bytes(take(from)) };
                self.len = len.min(N as u16);
            }
            #[inline(always)]
            fn rest_len(&self) -> usize { self.len as usize }
            #[inline(always)]
            fn pack_rest(&self, out: &mut Packer<'_>) {
                out.text(&self.bytes, self.len as usize);
            }
            #[inline(always)]
            fn unpack_rest(&mut self, from: &mut Unpacker<'_>) {
                let len = self.len as usize;
                copy(&mut self.bytes, from.text(len), len);
            }
        }
    )+};
}
byte_strings! {
    /// Inline text of at most `N` bytes (`N` < 65536), not validated as UTF-8. Never allocates.
    Text => Text;
    /// Inline opaque bytes, at most `N` (`N` < 65536). Never allocates.
    Blob => Bytes;
}

/// An element of a [`List`].
pub trait ListItem: Copy + Default + PartialEq + std::fmt::Debug + Pack {
    const ITEM: Item;
    fn list(items: &[Self]) -> ListRef<'_>;
}
macro_rules! list_items {
    ($($t:ty => $item:ident),+) => {$(impl ListItem for $t {
        const ITEM: Item = Item::$item;
        #[inline(always)]
        fn list(items: &[Self]) -> ListRef<'_> { ListRef::$item(items) }
    })+};
}
list_items!(u8 => U8, i8 => I8, u16 => U16, i16 => I16, u32 => U32, i32 => I32, u64 => U64, i64 => I64,
            f32 => F32, f64 => F64, Mac => Mac, Time => Time);

/// Inline list of at most `N` items; what is pushed beyond is not kept. A field may be a list of [`ListItem`]s.
// In this order, so that the length and the first items share a cache line: most lists are short.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct List<T, const N: usize> {
    len: u16,
    items: [T; N],
}

impl<T: Copy + Default, const N: usize> Default for List<T, N> {
    fn default() -> Self {
        List { len: 0, items: [T::default(); N] }
    }
}
impl<T: Copy, const N: usize> List<T, N> {
    /// Appends unless full; answers whether it was taken.
    pub fn push(&mut self, item: T) -> bool {
        let fits = (self.len as usize) < N;
        if fits {
            self.items[self.len as usize] = item;
            self.len += 1;
        }
        fits
    }
    /// Appends what fits.
    #[inline]
    pub fn extend(&mut self, items: &[T]) {
        let room = &mut self.items[self.len as usize..];
        let taken = items.len().min(room.len());
        room[..taken].copy_from_slice(&items[..taken]);
        self.len += taken as u16;
    }
    /// Back to the empty list, without touching items.
    #[inline(always)]
    pub fn empty(&mut self) {
        self.len = 0;
    }
    #[inline(always)]
    pub fn as_slice(&self) -> &[T] {
        &self.items[..self.len as usize]
    }
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.items[..self.len as usize]
    }
    pub fn len(&self) -> usize {
        self.len as usize
    }
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}
impl<T: Copy + std::fmt::Debug, const N: usize> std::fmt::Debug for List<T, N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_slice().fmt(f)
    }
}
impl<T: Copy + PartialEq, const N: usize> PartialEq for List<T, N> {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}
impl<T: ListItem, const N: usize> Typed for List<T, N> {
    const KIND: Kind = Kind::List(T::ITEM);
    const BOUND: usize = N;
    #[inline(always)]
    fn value(&self) -> Value<'_> {
        Value::List(T::list(self.as_slice()))
    }
    fn clear(&mut self) {
        self.len = 0;
    }
    fn assign(&mut self, other: &Self) {
        self.len = other.len;
        self.items[..other.len()].copy_from_slice(other.as_slice());
    }
}

/// The number of items, and the items.
impl<T: Copy + Pack, const N: usize> Pack for List<T, N> {
    const PACKED_MAX: usize = 2 + N * T::PACKED_MAX;
    const FIXED: usize = 2;
    #[inline(always)]
    fn pack_fixed(&self, out: &mut [u8]) {
        put(out, self.len.to_le_bytes());
    }
    #[inline(always)]
    fn unpack_fixed(&mut self, from: &[u8]) {
        self.len = u16::from_le_bytes(take(from)).min(N as u16);
    }
    #[inline(always)]
    fn rest_len(&self) -> usize {
        self.len() * T::PACKED_MAX
    }
    #[inline(always)]
    fn pack_rest(&self, out: &mut Packer<'_>) {
        pack_items(self.as_slice(), out);
    }
    #[inline(always)]
    fn unpack_rest(&mut self, from: &mut Unpacker<'_>) {
        unpack_items(&mut self.items[..self.len as usize], from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_its_bound() {
        let mut t = Text::<4>::default();
        assert_eq!(t.push(b"abcdef"), 4);
        assert_eq!(t.as_bytes(), b"abcd");
        assert_eq!(t.push(b"x"), 0);
        t.set(b"z");
        assert_eq!((t.as_bytes(), t.room()), (&b"z"[..], 3));
        t.truncate(2);
        assert_eq!(t.as_bytes(), b"z");
        t.truncate(0);
        assert!(t.is_empty());
    }

    #[test]
    fn a_full_list_refuses_more() {
        let mut l = List::<u16, 2>::default();
        assert!(l.push(1) && l.push(2) && !l.push(3));
        assert_eq!(l.as_slice(), [1, 2]);
        l.clear();
        assert!(l.is_empty());
    }

    #[test]
    fn assign_copies_the_used_part() {
        let (mut a, mut b) = (Blob::<8>::default(), Blob::<8>::default());
        a.set(b"12345678");
        b.set(b"xy");
        a.assign(&b);
        assert_eq!(a, b);
    }
}
