//! Values as bytes that lie in a key or a cell of the table, and joined there: nothing here takes memory of its own.
use super::term::Fold;
use record::value::Time;
use record::{Kind, Value};
use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of a value at the most; `None` for a list, which has no such form.
pub(super) fn size_max(kind: Kind, bound: usize) -> Option<usize> {
    match kind {
        Kind::Ip => Some(1 + 16),
        Kind::Text | Kind::Bytes => Some(2 + bound),
        Kind::List(_) => None,
        other => other.size(),
    }
}

/// Appends a value in the form of its kind.
pub(super) fn push(out: &mut Vec<u8>, kind: Kind, value: Value<'_>) {
    let size = kind.size().unwrap_or_default().min(8);
    match value {
        Value::Uint(v) => out.extend_from_slice(&v.to_le_bytes()[..size]),
        Value::Int(v) => out.extend_from_slice(&v.to_le_bytes()[..size]),
        Value::F32(v) => out.extend_from_slice(&v.to_le_bytes()),
        Value::F64(v) => out.extend_from_slice(&v.to_le_bytes()),
        Value::Char(v) => out.push(v),
        Value::Mac(v) => out.extend_from_slice(&v),
        Value::Time(v) => out.extend_from_slice(&v.0.to_le_bytes()),
        Value::Ip(IpAddr::V4(v)) => {
            out.push(4);
            out.extend_from_slice(&v.octets());
            out.extend_from_slice(&[0; 12]);
        }
        Value::Ip(IpAddr::V6(v)) => {
            out.push(6);
            out.extend_from_slice(&v.octets());
        }
        Value::Text(v) | Value::Bytes(v) => {
            let v = &v[..v.len().min(u16::MAX.into())];
            out.extend_from_slice(&(v.len() as u16).to_le_bytes());
            out.extend_from_slice(v);
        }
        Value::List(_) => {}
    }
}

/// Takes a value of a kind off the front. What is missing counts as zero.
pub(super) fn pull<'a>(kind: Kind, from: &mut &'a [u8]) -> Value<'a> {
    let mut take = |n: usize| {
        let (taken, rest) = from.split_at(n.min(from.len()));
        *from = rest;
        taken
    };
    let number = |bytes: &[u8]| {
        let mut wide = [0; 8];
        let size = bytes.len().min(8);
        wide[..size].copy_from_slice(&bytes[..size]);
        u64::from_le_bytes(wide)
    };
    match kind {
        Kind::Text | Kind::Bytes => {
            let length = number(take(2)) as usize;
            let text = take(length);
            if kind == Kind::Text { Value::Text(text) } else { Value::Bytes(text) }
        }
        Kind::Ip => {
            let (version, octets) = (take(1), take(16));
            let octets: [u8; 16] = octets.first_chunk().copied().unwrap_or_default();
            let [a, b, c, d, ..] = octets;
            let v4 = version != [6];
            Value::Ip(if v4 { Ipv4Addr::new(a, b, c, d).into() } else { Ipv6Addr::from(octets).into() })
        }
        Kind::Mac => Value::Mac(take(6).first_chunk().copied().unwrap_or_default()),
        Kind::Time => Value::Time(Time(number(take(8)))),
        Kind::Char => Value::Char(number(take(1)) as u8),
        Kind::F32 => Value::F32(f32::from_bits(number(take(4)) as u32)),
        Kind::F64 => Value::F64(f64::from_bits(number(take(8)))),
        Kind::I8 | Kind::I16 | Kind::I32 | Kind::I64 => {
            let size = kind.size().unwrap_or(8);
            let unused = 64 - 8 * size as u32;
            Value::Int((number(take(size)) << unused) as i64 >> unused)
        }
        Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 => Value::Uint(number(take(kind.size().unwrap_or(8)))),
        Kind::List(_) => Value::Uint(0),
    }
}

/// In front of each cell: whether it has a value, and the time by which the first and the last one are told.
pub(super) const HEAD: usize = 1 + 8;

/// Joins a value with what the cell has. `time` is that by which first and last are told.
pub(super) fn join(fold: Fold, kind: Kind, cell: &mut [u8], value: Value<'_>, time: Time, scratch: &mut Vec<u8>) {
    let Some((head, body)) = cell.split_at_mut_checked(HEAD) else { return };
    // Most values are sums, which begin with the zero that is there.
    if let (Fold::Sum, Value::Uint(more), Some(sum)) = (fold, value, body.first_chunk_mut()) {
        *sum = u64::from_le_bytes(*sum).saturating_add(more).to_le_bytes();
        head[0] = 1;
        return;
    }
    let is_set = head[0] != 0;
    let there = Time(u64::from_le_bytes(head[1..].first_chunk().copied().unwrap_or_default()));
    let old = || pull(kind, &mut &*body);
    let new = match (fold, is_set) {
        (_, false) => value,
        (Fold::Sum, _) => Value::Uint(uint(old()).saturating_add(uint(value))),
        (Fold::Or, _) => Value::Uint(uint(old()) | uint(value)),
        (Fold::Min, _) if order(value, old()) == Ordering::Less => value,
        (Fold::Max, _) if order(value, old()) == Ordering::Greater => value,
        (Fold::First, _) if time < there => value,
        (Fold::Last, _) if time >= there => value,
        (Fold::Min | Fold::Max | Fold::First | Fold::Last, _) => return,
    };
    scratch.clear();
    push(scratch, kind, new);
    let size = scratch.len().min(body.len());
    body[..size].copy_from_slice(&scratch[..size]);
    head[0] = 1;
    head[1..].copy_from_slice(&time.0.to_le_bytes());
}

/// What a cell has; zero or empty if it has nothing.
pub(super) fn value(kind: Kind, cell: &[u8]) -> Value<'_> {
    match cell.split_at_checked(HEAD) {
        Some((head, body)) if head[0] != 0 => pull(kind, &mut &*body),
        _ => pull(kind, &mut &[][..]),
    }
}

fn uint(value: Value<'_>) -> u64 {
    if let Value::Uint(v) = value { v } else { 0 }
}

/// Values of one kind; what has no order is equal.
fn order(a: Value<'_>, b: Value<'_>) -> Ordering {
    match (a, b) {
        (Value::Uint(a), Value::Uint(b)) => a.cmp(&b),
        (Value::Int(a), Value::Int(b)) => a.cmp(&b),
        (Value::Time(a), Value::Time(b)) => a.cmp(&b),
        (Value::F32(a), Value::F32(b)) => a.total_cmp(&b),
        (Value::F64(a), Value::F64(b)) => a.total_cmp(&b),
        _ => Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_value() -> impl Strategy<Value = (Kind, Vec<u8>, u64, u128)> {
        let kinds: Vec<Kind> = Kind::all().filter(|kind| !matches!(kind, Kind::List(_))).collect();
        (proptest::sample::select(kinds), proptest::collection::vec(any::<u8>(), 0..40), any::<u64>(), any::<u128>())
    }

    fn of(kind: Kind, text: &[u8], n: u64, wide: u128) -> Value<'_> {
        let unused = 64 - 8 * kind.size().unwrap_or(8).min(8) as u32;
        match kind {
            Kind::Text => Value::Text(text),
            Kind::Bytes => Value::Bytes(text),
            Kind::Ip if n.is_multiple_of(2) => Value::Ip(Ipv4Addr::from_bits(wide as u32).into()),
            Kind::Ip => Value::Ip(Ipv6Addr::from_bits(wide).into()),
            Kind::Mac => Value::Mac(wide.to_le_bytes()[..6].try_into().unwrap()),
            Kind::Time => Value::Time(Time(n)),
            Kind::Char => Value::Char(n as u8),
            Kind::F32 => Value::F32((n as u32 >> 1) as f32),
            Kind::F64 => Value::F64(n as f64),
            Kind::I8 | Kind::I16 | Kind::I32 | Kind::I64 => Value::Int((n << unused) as i64 >> unused),
            _ => Value::Uint(n << unused >> unused),
        }
    }

    proptest! {
        #[test]
        fn values_come_back((kind, text, n, wide) in any_value()) {
            let value = of(kind, &text, n, wide);
            let mut bytes = Vec::new();
            push(&mut bytes, kind, value);
            prop_assert!(bytes.len() <= size_max(kind, text.len()).unwrap());
            bytes.push(7);
            let mut rest = &bytes[..];
            prop_assert_eq!(pull(kind, &mut rest), value);
            prop_assert_eq!(rest, &[7][..]);
        }

        /// As if all values were looked at together, in any order.
        #[test]
        fn values_are_joined(values in proptest::collection::vec((any::<u32>(), 0..1000u64), 1..20)) {
            let of = |fold| {
                let mut cell = [0; HEAD + 8];
                let mut scratch = Vec::new();
                for (n, time) in &values {
                    join(fold, Kind::U64, &mut cell, Value::Uint((*n).into()), Time(*time), &mut scratch);
                }
                uint(value(Kind::U64, &cell))
            };
            let all = || values.iter().map(|(n, _)| u64::from(*n));
            prop_assert_eq!(of(Fold::Sum), all().sum::<u64>());
            prop_assert_eq!(of(Fold::Or), all().fold(0, |a, b| a | b));
            prop_assert_eq!(Some(of(Fold::Min)), all().min());
            prop_assert_eq!(Some(of(Fold::Max)), all().max());
            // Of equal times the first that came is the first, the last the last.
            let first = values.iter().min_by_key(|(_, time)| *time).map(|(n, _)| u64::from(*n));
            let last = values.iter().max_by_key(|(_, time)| *time).map(|(n, _)| u64::from(*n));
            prop_assert_eq!((Some(of(Fold::First)), Some(of(Fold::Last))), (first, last));
        }
    }
}
