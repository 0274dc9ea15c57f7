//! Single values in wire form: little endian numbers, addresses in network order (spec/unirec.md sections 2, 4, 5).
use super::time;
use crate::{Kind, ListRef, Time, Value};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of the largest fixed-size value.
pub(super) const SCALAR_MAX: usize = 16;

/// Reads a value of fixed size; bytes that are missing count as zero, so the answer is always a value.
#[inline]
pub(super) fn read<'a>(kind: Kind, bytes: &[u8]) -> Value<'a> {
    match kind {
        Kind::Char => Value::Char(array::<1>(bytes)[0]),
        Kind::U8 => Value::Uint(array::<1>(bytes)[0].into()),
        Kind::I8 => Value::Int(i8::from_le_bytes(array(bytes)).into()),
        Kind::U16 => Value::Uint(u16::from_le_bytes(array(bytes)).into()),
        Kind::I16 => Value::Int(i16::from_le_bytes(array(bytes)).into()),
        Kind::U32 => Value::Uint(u32::from_le_bytes(array(bytes)).into()),
        Kind::I32 => Value::Int(i32::from_le_bytes(array(bytes)).into()),
        Kind::U64 => Value::Uint(u64::from_le_bytes(array(bytes))),
        Kind::I64 => Value::Int(i64::from_le_bytes(array(bytes))),
        Kind::F32 => Value::F32(f32::from_le_bytes(array(bytes))),
        Kind::F64 => Value::F64(f64::from_le_bytes(array(bytes))),
        Kind::Ip => Value::Ip(ip_from(array(bytes))),
        Kind::Mac => Value::Mac(array(bytes)),
        Kind::Time => Value::Time(time::from_fixed(u64::from_le_bytes(array(bytes)))),
        // Not of fixed size: callers hand over their content elsewhere.
        Kind::Text | Kind::Bytes | Kind::List(_) => Value::Bytes(&[]),
    }
}

/// Why a value has no wire form in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    Kind,
    Range,
}

/// Wire form of a value in a field of fixed size: the bytes and how many of them count.
pub(super) fn write(kind: Kind, value: Value<'_>) -> Result<([u8; SCALAR_MAX], usize), Unfit> {
    let size = kind.size().ok_or(Unfit::Kind)?;
    let mut out = [0; SCALAR_MAX];
    let mut put = |bytes: &[u8]| out[..bytes.len()].copy_from_slice(bytes);
    match (kind, value) {
        (Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64, Value::Uint(v)) => put(&unsigned(v, size)?),
        (Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64, Value::Int(v)) => {
            put(&unsigned(u64::try_from(v).map_err(|_| Unfit::Range)?, size)?)
        }
        (Kind::I8 | Kind::I16 | Kind::I32 | Kind::I64, Value::Int(v)) => put(&signed(v, size)?),
        (Kind::I8 | Kind::I16 | Kind::I32 | Kind::I64, Value::Uint(v)) => {
            put(&signed(i64::try_from(v).map_err(|_| Unfit::Range)?, size)?)
        }
        (Kind::Char, Value::Char(c)) => put(&[c]),
        (Kind::F32, Value::F32(v)) => put(&v.to_le_bytes()),
        (Kind::F32, Value::F64(v)) => put(&(v as f32).to_le_bytes()),
        (Kind::F64, Value::F32(v)) => put(&f64::from(v).to_le_bytes()),
        (Kind::F64, Value::F64(v)) => put(&v.to_le_bytes()),
        (Kind::Ip, Value::Ip(v)) => put(&ip_to(v)),
        (Kind::Mac, Value::Mac(v)) => put(&v),
        (Kind::Time, Value::Time(v)) => put(&time::to_fixed(v).to_le_bytes()),
        _ => return Err(Unfit::Kind),
    }
    Ok((out, size))
}

/// Appends the elements of a list in wire form.
#[inline]
pub(super) fn extend_list(out: &mut Vec<u8>, list: ListRef<'_>) {
    macro_rules! little_endian {
        ($items:expr) => {
            for v in $items {
                out.extend_from_slice(&v.to_le_bytes());
            }
        };
    }
    match list {
        ListRef::U8(items) => out.extend_from_slice(items),
        ListRef::I8(items) => out.extend(items.iter().map(|v| *v as u8)),
        ListRef::U16(items) => little_endian!(items),
        ListRef::I16(items) => little_endian!(items),
        ListRef::U32(items) => little_endian!(items),
        ListRef::I32(items) => little_endian!(items),
        ListRef::U64(items) => little_endian!(items),
        ListRef::I64(items) => little_endian!(items),
        ListRef::F32(items) => little_endian!(items),
        ListRef::F64(items) => little_endian!(items),
        ListRef::Ip(items) => items.iter().for_each(|v| out.extend_from_slice(&ip_to(*v))),
        ListRef::Mac(items) => items.iter().for_each(|v| out.extend_from_slice(v)),
        ListRef::Time(items) => items.iter().map(|v: &Time| time::to_fixed(*v)).for_each(|v| {
            out.extend_from_slice(&v.to_le_bytes());
        }),
    }
}

/// Bytes that [`extend_list`] appends.
#[inline]
pub(super) fn list_size(list: ListRef<'_>) -> usize {
    match list {
        ListRef::U8(items) => items.len(),
        ListRef::I8(items) => items.len(),
        ListRef::U16(items) => items.len() * 2,
        ListRef::I16(items) => items.len() * 2,
        ListRef::U32(items) => items.len() * 4,
        ListRef::I32(items) => items.len() * 4,
        ListRef::F32(items) => items.len() * 4,
        ListRef::U64(items) => items.len() * 8,
        ListRef::I64(items) => items.len() * 8,
        ListRef::F64(items) => items.len() * 8,
        ListRef::Time(items) => items.len() * 8,
        ListRef::Mac(items) => items.len() * 6,
        ListRef::Ip(items) => items.len() * 16,
    }
}

/// Which item a list is made of.
pub(super) fn item_of(list: ListRef<'_>) -> crate::Item {
    use crate::Item;
    match list {
        ListRef::U8(_) => Item::U8,
        ListRef::I8(_) => Item::I8,
        ListRef::U16(_) => Item::U16,
        ListRef::I16(_) => Item::I16,
        ListRef::U32(_) => Item::U32,
        ListRef::I32(_) => Item::I32,
        ListRef::U64(_) => Item::U64,
        ListRef::I64(_) => Item::I64,
        ListRef::F32(_) => Item::F32,
        ListRef::F64(_) => Item::F64,
        ListRef::Ip(_) => Item::Ip,
        ListRef::Mac(_) => Item::Mac,
        ListRef::Time(_) => Item::Time,
    }
}

/// IPv4 lies in bytes 8 to 11, behind eight zero bytes and before four of 0xff; `::ffff:a.b.c.d` stays an IPv6 address.
#[inline]
pub(super) fn ip_to(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => {
            let mut out = [0; 16];
            out[8..12].copy_from_slice(&v4.octets());
            out[12..].copy_from_slice(&[0xff; 4]);
            out
        }
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// The reverse of [`ip_to`]; sixteen zero bytes, the value of a fresh record, are `::`.
#[inline]
pub(super) fn ip_from(b: [u8; 16]) -> IpAddr {
    if b[..8] == [0; 8] && b[12..] == [0xff; 4] {
        IpAddr::V4(Ipv4Addr::new(b[8], b[9], b[10], b[11]))
    } else {
        IpAddr::V6(Ipv6Addr::from(b))
    }
}

/// The first `N` bytes, zero where there are none.
#[inline(always)]
pub(super) fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    match bytes.first_chunk() {
        Some(chunk) => *chunk,
        None => [0; N],
    }
}

fn unsigned(v: u64, size: usize) -> Result<[u8; 8], Unfit> {
    if size < 8 && v >> (8 * size) != 0 { Err(Unfit::Range) } else { Ok(v.to_le_bytes()) }
}

fn signed(v: i64, size: usize) -> Result<[u8; 8], Unfit> {
    let unused = 64 - 8 * size as u32;
    if (v << unused) >> unused != v { Err(Unfit::Range) } else { Ok(v.to_le_bytes()) }
}
