//! Values as packed bytes: what is kept of a record while nobody reads it.
//!
//! A text with room for 511 bytes mostly holds 20, and a probe keeps a million of them. Packed, numbers take their own size, texts and
//! lists a length and what is used. All that has a fixed size stands first and is copied at places that the compiler knows; behind it come the
//! used bytes of one text or list after the other. The form is for one run of one program: it has no version and never leaves memory. Packing and
//! unpacking give the same value back; bytes that were not packed from the same type give some value, never a panic.
use crate::value::{Mac, Time};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A type with a packed form.
pub trait Pack {
    /// Bytes that any value takes at the most.
    const PACKED_MAX: usize;
    /// Bytes of those that each value takes: numbers, the lengths of texts and lists.
    const FIXED: usize;

    /// Writes [`FIXED`](Pack::FIXED) bytes.
    fn pack_fixed(&self, out: &mut [u8]);
    /// Takes over what [`pack_fixed`](Pack::pack_fixed) wrote; lengths are cut at their bound.
    fn unpack_fixed(&mut self, from: &[u8]);

    /// Bytes that this value takes beyond the fixed ones.
    #[inline(always)]
    fn rest_len(&self) -> usize {
        0
    }
    /// Writes exactly [`rest_len`](Pack::rest_len) bytes.
    #[inline(always)]
    fn pack_rest(&self, _out: &mut Packer<'_>) {}
    /// Takes over the rest of a value whose fixed part was unpacked before.
    #[inline(always)]
    fn unpack_rest(&mut self, _from: &mut Unpacker<'_>) {}

    /// Bytes that this value takes.
    #[inline]
    fn packed_len(&self) -> usize {
        Self::FIXED + self.rest_len()
    }
    /// Writes exactly [`packed_len`](Pack::packed_len) bytes.
    #[inline]
    fn pack(&self, out: &mut Packer<'_>) {
        if let Some(room) = out.fixed(Self::FIXED) {
            self.pack_fixed(room);
        }
        self.pack_rest(out);
    }
    /// Takes over what was packed; the bytes of texts and lists that are not used stay as they are.
    #[inline]
    fn unpack(&mut self, from: &mut Unpacker<'_>) {
        self.unpack_fixed(from.fixed(Self::FIXED));
        self.unpack_rest(from);
    }

    /// Packs values one after the other, each in `PACKED_MAX` bytes.
    #[inline]
    fn pack_all(values: &[Self], out: &mut [u8])
    where
        Self: Sized,
    {
        for (value, room) in values.iter().zip(out.chunks_exact_mut(Self::PACKED_MAX)) {
            value.pack(&mut Packer::new(room));
        }
    }

    /// Takes over what [`pack_all`](Pack::pack_all) packed, as far as there is any.
    #[inline]
    fn unpack_all(values: &mut [Self], from: &[u8])
    where
        Self: Sized,
    {
        for (value, bytes) in values.iter_mut().zip(from.chunks_exact(Self::PACKED_MAX)) {
            value.unpack(&mut Unpacker::new(bytes));
        }
    }
}

/// Where packed bytes go.
pub struct Packer<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

/// Where packed bytes come from.
pub struct Unpacker<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Short texts are copied in one, two or four blocks of this size, which costs less than a call that has to find out how many bytes there
/// are. What a block holds beyond the text is not used, or overwritten by the next value.
const BLOCK: usize = 16;

/// Copies `len` bytes, and as many behind them as make whole blocks where both sides have them.
#[inline(always)]
pub(crate) fn copy(to: &mut [u8], from: &[u8], len: usize) {
    let done = (len <= BLOCK && blocks::<1>(to, from))
        || (len <= 2 * BLOCK && blocks::<2>(to, from))
        || (len <= 4 * BLOCK && blocks::<4>(to, from));
    if !done && let (Some(to), Some(from)) = (to.get_mut(..len), from.get(..len)) {
        copy_short(to, from);
    }
}

/// Copies `N` blocks; false if there are fewer.
#[inline(always)]
fn blocks<const N: usize>(to: &mut [u8], from: &[u8]) -> bool {
    let (Some(to), Some(from)) = (to.as_chunks_mut().0.first_chunk_mut::<N>(), from.as_chunks().0.first_chunk::<N>())
    else {
        return false;
    };
    to.iter_mut().zip(from).for_each(|(to, from)| *to = through_number(*from));
    true
}

/// The same block. As a number it goes through a register: copies of arrays from several branches become one call of `memcpy` with a
/// length that varies.
#[inline(always)]
fn through_number(block: [u8; BLOCK]) -> [u8; BLOCK] {
    u128::from_ne_bytes(block).to_ne_bytes()
}

/// Copies `from` to the beginning of `to`, which is long enough: a short one by two pieces that may overlap, without a call.
#[inline(always)]
pub(crate) fn copy_short(to: &mut [u8], from: &[u8]) {
    let Some(to) = to.get_mut(..from.len()) else { return };
    if from.len() > 4 * BLOCK {
        to.copy_from_slice(from);
        return;
    }
    if from.len() > 2 * BLOCK {
        let last = from.len() - 2 * BLOCK;
        blocks::<2>(to, from);
        blocks::<2>(&mut to[last..], &from[last..]);
        return;
    }
    macro_rules! halves {
        ($($number:ty),+) => {$(
            if let (Some(first), Some(last)) = (from.first_chunk(), from.last_chunk()) {
                let (first, last) = (<$number>::from_ne_bytes(*first), <$number>::from_ne_bytes(*last));
                to.first_chunk_mut().into_iter().for_each(|to| *to = first.to_ne_bytes());
                to.last_chunk_mut().into_iter().for_each(|to| *to = last.to_ne_bytes());
                return;
            }
        )+};
    }
    halves!(u128, u64, u32, u16);
    if let ([to], [from]) = (to, from) {
        *to = *from;
    }
}

impl<'a> Packer<'a> {
    /// Writes from the beginning of `bytes`; what does not fit is left out.
    #[inline(always)]
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Packer { bytes, at: 0 }
    }

    /// Room for what each value takes, if there is so much.
    #[inline(always)]
    fn fixed(&mut self, len: usize) -> Option<&mut [u8]> {
        let from = self.at;
        self.at += len;
        self.bytes.get_mut(from..from + len)
    }

    /// The first `len` of `bytes`.
    #[inline(always)]
    pub(crate) fn text(&mut self, bytes: &[u8], len: usize) {
        if let Some(room) = self.bytes.get_mut(self.at..) {
            copy(room, bytes, len);
        }
        self.at += len;
    }

    #[inline(always)]
    fn room(&mut self, len: usize) -> &mut [u8] {
        let from = self.at;
        self.at += len;
        self.bytes.get_mut(from..self.at).unwrap_or_default()
    }
}

impl<'a> Unpacker<'a> {
    /// Reads from the beginning of `bytes`, which may be longer than what was packed; what is missing reads as zero.
    #[inline(always)]
    pub fn new(bytes: &'a [u8]) -> Self {
        Unpacker { bytes, at: 0 }
    }

    /// What each value takes.
    #[inline(always)]
    fn fixed(&mut self, len: usize) -> &'a [u8] {
        let from = self.at;
        self.at += len;
        self.bytes.get(from..from + len).unwrap_or_else(|| ZEROS.get(..len).unwrap_or_default())
    }

    /// What follows, to be read as `len` bytes.
    #[inline(always)]
    pub(crate) fn text(&mut self, len: usize) -> &'a [u8] {
        let from = self.at;
        self.at += len;
        self.bytes.get(from..).unwrap_or_default()
    }
}

/// What is missing at the end of packed bytes.
const ZEROS: &[u8] = &[0; FIXED_MAX];
/// Fixed bytes of a type at the most.
#[doc(hidden)]
pub const FIXED_MAX: usize = 512;

/// Writes a value to the beginning of `out`.
#[inline(always)]
pub(crate) fn put<const N: usize>(out: &mut [u8], value: [u8; N]) {
    if let Some(room) = out.first_chunk_mut() {
        *room = value;
    }
}

/// The value at the beginning of `from`.
#[inline(always)]
pub(crate) fn take<const N: usize>(from: &[u8]) -> [u8; N] {
    from.first_chunk().copied().unwrap_or([0; N])
}

macro_rules! numbers {
    ($($t:ty),+) => {$(impl Pack for $t {
        const PACKED_MAX: usize = size_of::<$t>();
        const FIXED: usize = size_of::<$t>();
        #[inline(always)]
        fn pack_fixed(&self, out: &mut [u8]) { put(out, self.to_le_bytes()) }
        #[inline(always)]
        fn unpack_fixed(&mut self, from: &[u8]) { *self = <$t>::from_le_bytes(take(from)) }
        // Arrays of known size, so that it becomes vector code.
        #[inline(always)]
        fn pack_all(values: &[Self], out: &mut [u8]) {
            out.as_chunks_mut().0.iter_mut().zip(values).for_each(|(room, value)| *room = value.to_le_bytes());
        }
        #[inline(always)]
        fn unpack_all(values: &mut [Self], from: &[u8]) {
            from.as_chunks().0.iter().zip(values).for_each(|(bytes, value)| *value = <$t>::from_le_bytes(*bytes));
        }
    })+};
}
numbers!(u8, i8, u16, i16, u32, i32, u64, i64, f32, f64);

/// Types that are packed as another one.
macro_rules! spelled {
    ($($t:ty as $other:ty: $to:expr, $of:expr;)+) => {$(impl Pack for $t {
        const PACKED_MAX: usize = <$other>::PACKED_MAX;
        const FIXED: usize = <$other>::FIXED;
        #[inline(always)]
        fn pack_fixed(&self, out: &mut [u8]) { $to(self).pack_fixed(out) }
        #[inline(always)]
        fn unpack_fixed(&mut self, from: &[u8]) {
            let mut other = <$other>::default();
            other.unpack_fixed(from);
            *self = $of(other);
        }
    })+};
}
spelled! {
    bool as u8: |v: &bool| u8::from(*v), |v| v != 0;
    Time as u64: |v: &Time| v.0, Time;
}

impl Pack for () {
    const PACKED_MAX: usize = 0;
    const FIXED: usize = 0;
    fn pack_fixed(&self, _: &mut [u8]) {}
    fn unpack_fixed(&mut self, _: &[u8]) {}
}

impl Pack for Mac {
    const PACKED_MAX: usize = 6;
    const FIXED: usize = 6;
    #[inline(always)]
    fn pack_fixed(&self, out: &mut [u8]) {
        put(out, *self);
    }
    #[inline(always)]
    fn unpack_fixed(&mut self, from: &[u8]) {
        *self = take(from);
    }
}

/// The version, then the address.
impl Pack for IpAddr {
    const PACKED_MAX: usize = 17;
    const FIXED: usize = 1;
    #[inline(always)]
    fn pack_fixed(&self, out: &mut [u8]) {
        put(out, [if self.is_ipv4() { 4 } else { 6 }]);
    }
    #[inline(always)]
    fn unpack_fixed(&mut self, from: &[u8]) {
        *self = match from {
            [6, ..] => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
    }
    #[inline(always)]
    fn rest_len(&self) -> usize {
        if self.is_ipv4() { 4 } else { 16 }
    }
    #[inline(always)]
    fn pack_rest(&self, out: &mut Packer<'_>) {
        match self {
            IpAddr::V4(ip) => put(out.room(4), ip.octets()),
            IpAddr::V6(ip) => put(out.room(16), ip.octets()),
        }
    }
    #[inline(always)]
    fn unpack_rest(&mut self, from: &mut Unpacker<'_>) {
        match self {
            IpAddr::V4(ip) => *ip = Ipv4Addr::from(take::<4>(from.text(4))),
            IpAddr::V6(ip) => *ip = Ipv6Addr::from(take::<16>(from.text(16))),
        }
    }
}

/// The items of a list, without their number.
#[inline(always)]
pub(crate) fn pack_items<T: Pack>(items: &[T], out: &mut Packer<'_>) {
    T::pack_all(items, out.room(items.len() * T::PACKED_MAX));
}

#[inline(always)]
pub(crate) fn unpack_items<T: Pack>(items: &mut [T], from: &mut Unpacker<'_>) {
    T::unpack_all(items, from.text(items.len() * T::PACKED_MAX));
}

/// Gives a struct a packed form: what is fixed of its fields, then the rest of one after the other.
#[macro_export]
macro_rules! packed {
    ($name:ident { $($field:tt : $ty:ty),* $(,)? }) => {
        impl $crate::Pack for $name {
            const PACKED_MAX: usize = 0 $(+ <$ty as $crate::Pack>::PACKED_MAX)*;
            const FIXED: usize = {
                let fixed = 0 $(+ <$ty as $crate::Pack>::FIXED)*;
                assert!(fixed <= $crate::pack::FIXED_MAX);
                fixed
            };
            #[inline(always)]
            fn pack_fixed(&self, out: &mut [u8]) {
                $(let (room, out) = out.split_at_mut(<$ty as $crate::Pack>::FIXED);
                $crate::Pack::pack_fixed(&self.$field, room);)*
                let _ = out;
            }
            #[inline(always)]
            fn unpack_fixed(&mut self, from: &[u8]) {
                $(let (bytes, from) = from.split_at(<$ty as $crate::Pack>::FIXED);
                $crate::Pack::unpack_fixed(&mut self.$field, bytes);)*
                let _ = from;
            }
            #[inline(always)]
            fn rest_len(&self) -> usize { 0 $(+ $crate::Pack::rest_len(&self.$field))* }
            #[inline(always)]
            fn pack_rest(&self, out: &mut $crate::pack::Packer<'_>) {
                $($crate::Pack::pack_rest(&self.$field, out);)*
            }
            #[inline(always)]
            fn unpack_rest(&mut self, from: &mut $crate::pack::Unpacker<'_>) {
                $($crate::Pack::unpack_rest(&mut self.$field, from);)*
            }
        }
    };
}

#[cfg(test)]
mod tests;
