//! What is gathered of one field of one flow.
use super::config::Function;
use super::introsort;
use super::plan::Part;
use crate::fold;
use record::unirec::{RECORD_MAX, View};
use record::{Item, Kind};
use std::cmp::Ordering;
use std::collections::HashSet;
use twox_hash::XxHash3_64;

/// Distinct values that are counted, in multiples of the configured size. The Bloom filter of the original saturates there.
const UNIQUE_FACTOR: usize = 4;
/// Distinct values where no size is configured.
const UNIQUE_DEFAULT: usize = 1000;

/// The state of a function.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// A value of fixed size, how many records it is made of, and whether it was set.
    Scalar { bytes: [u8; 16], count: u32, is_set: bool },
    /// A text or an array as it grows, and whether it was set.
    Data { bytes: Vec<u8>, is_set: bool },
    /// Hashes of the values seen.
    Unique(HashSet<u64>),
    /// Elements with their sort keys, in the order of arrival.
    Sorted(Vec<Pair>),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    element: [u8; 16],
    key: [u8; 16],
}

impl Value {
    pub(super) fn new(part: &Part) -> Value {
        match part.function {
            Function::UniqueCount => Value::Unique(HashSet::new()),
            Function::SortedMerge | Function::SortedMergeDir => Value::Sorted(Vec::new()),
            _ if part.kind.size().is_none() => Value::Data { bytes: Vec::new(), is_set: false },
            _ => Value::Scalar { bytes: [0; 16], count: 0, is_set: false },
        }
    }

    /// Adds a record that was met in this direction.
    pub(super) fn add(&mut self, part: &Part, view: &View<'_>, is_reversed: bool) {
        let incoming = view.raw(if is_reversed { part.reverse_input } else { part.input }).unwrap_or(&[]);
        match self {
            Value::Scalar { bytes, count, is_set } => {
                let Some(held) = bytes.get_mut(..incoming.len()) else { return };
                add_scalar(part, held, is_set, incoming);
                *count += 1;
            }
            Value::Data { bytes, is_set } => add_data(part, bytes, is_set, incoming),
            Value::Unique(seen) => {
                let most = UNIQUE_FACTOR.saturating_mul(if part.size == 0 { UNIQUE_DEFAULT } else { part.size });
                let is_empty_text = part.kind == Kind::Text && incoming.is_empty();
                if seen.len() < most && !is_empty_text {
                    seen.insert(XxHash3_64::oneshot(incoming));
                }
            }
            Value::Sorted(pairs) => {
                let keys = view.raw(part.sort_key).unwrap_or(&[]);
                let elements =
                    incoming.chunks_exact(element_size(part.kind)).zip(keys.chunks_exact(part.sort_item.size()));
                for (element, key) in elements {
                    let mut pair = Pair { element: widen(element), key: widen(key) };
                    if part.function == Function::SortedMergeDir && is_reversed {
                        pair.element[0] = pair.element[0].wrapping_neg();
                    }
                    pairs.push(pair);
                }
                // Only the first ones are sent: a long flow keeps no more than a few times as many.
                if pairs.len() > 4 * part.size + 4096 {
                    sort(part, pairs);
                    pairs.truncate(part.size);
                }
            }
        }
    }

    /// The value that is sent. `is_reversed` is the direction of the whole flow.
    pub(super) fn finish(&mut self, part: &Part, is_reversed: bool, out: &mut Vec<u8>) {
        out.clear();
        match self {
            Value::Scalar { bytes, count, .. } => {
                let value = &mut bytes[..part.kind.size().unwrap_or(0)];
                if part.function == Function::Avg {
                    fold::divide(part.kind, value, *count);
                }
                out.extend_from_slice(value);
            }
            Value::Data { bytes, .. } => out.extend_from_slice(bytes),
            Value::Unique(seen) => out.extend_from_slice(&(seen.len() as u32).to_le_bytes()),
            Value::Sorted(pairs) => {
                sort(part, pairs);
                let size = element_size(part.kind);
                for pair in pairs.iter_mut().take(part.size.min(RECORD_MAX / size)) {
                    if part.function == Function::SortedMergeDir && is_reversed {
                        pair.element[0] = pair.element[0].wrapping_neg();
                    }
                    out.extend_from_slice(&pair.element[..size]);
                }
            }
        }
    }
}

fn add_scalar(part: &Part, held: &mut [u8], is_set: &mut bool, incoming: &[u8]) {
    let is_empty = incoming.iter().all(|b| *b == 0);
    let takes = match part.function {
        Function::Sum | Function::Avg => {
            fold::add(part.kind, held, incoming);
            false
        }
        Function::BitOr => {
            fold::or(held, incoming);
            false
        }
        Function::BitAnd if *is_set => {
            fold::and(held, incoming);
            false
        }
        // MIN begins with the greatest value there is, MAX with zero, which hides negative ones (as in the original).
        Function::Min => !*is_set || order(part.kind, incoming, held) == Ordering::Less,
        Function::Max => order(part.kind, incoming, held) == Ordering::Greater,
        Function::First | Function::BitAnd => !*is_set,
        Function::FirstNonEmpty => !*is_set && !is_empty,
        Function::LastNonEmpty => !is_empty,
        _ => true,
    };
    if takes {
        held.copy_from_slice(incoming);
        *is_set = true;
    }
}

fn add_data(part: &Part, held: &mut Vec<u8>, is_set: &mut bool, incoming: &[u8]) {
    let replaces = match part.function {
        Function::Append if part.kind == Kind::Text => {
            // A text fits with its delimiter or not at all.
            if held.len() + incoming.len() < part.size.min(RECORD_MAX + 1) {
                held.extend_from_slice(incoming);
                held.push(part.delimiter);
            }
            false
        }
        Function::Append => {
            let room = part.size.saturating_mul(element_size(part.kind)).min(RECORD_MAX).saturating_sub(held.len());
            held.extend_from_slice(&incoming[..incoming.len().min(room)]);
            false
        }
        Function::First => !*is_set,
        Function::FirstNonEmpty => !*is_set && !incoming.is_empty(),
        Function::LastNonEmpty => !incoming.is_empty(),
        _ => true,
    };
    if replaces {
        held.clear();
        held.extend_from_slice(incoming);
        *is_set = true;
    }
}

/// Equal keys stand as the sort of the original leaves them.
fn sort(part: &Part, pairs: &mut [Pair]) {
    let (kind, size) = (part.sort_item.scalar(), part.sort_item.size());
    let compare = |a: &Pair, b: &Pair| order(kind, &a.key[..size], &b.key[..size]);
    if part.is_descending { introsort::sort(pairs, |a, b| compare(b, a)) } else { introsort::sort(pairs, compare) }
}

/// Order of values; the original takes an address for a little-endian number.
fn order(kind: Kind, a: &[u8], b: &[u8]) -> Ordering {
    if kind == Kind::Ip { a.iter().rev().cmp(b.iter().rev()) } else { fold::compare(kind, a, b) }
}

/// Bytes of an element of an array or of a text.
pub(super) fn element_size(kind: Kind) -> usize {
    match kind {
        Kind::List(item) => item.size(),
        _ => 1,
    }
}

fn widen(bytes: &[u8]) -> [u8; 16] {
    let mut wide = [0; 16];
    let size = bytes.len().min(16);
    wide[..size].copy_from_slice(&bytes[..size]);
    wide
}

/// Whether a function works on a kind of field, and the words of the original if it does not.
pub(super) fn check(function: Function, kind: Kind, sort_item: Option<Item>) -> Result<(), &'static str> {
    let is_list = matches!(kind, Kind::List(_));
    let is_plain = fold::is_number(kind) || kind == Kind::Char;
    let is_address = matches!(kind, Kind::Ip | Kind::Mac);
    let (works, why) = match function {
        Function::Key => (true, ""),
        Function::Sum => (is_plain, "Only char, int, uint, float and double can be used to SUM function."),
        Function::Avg => (is_plain, "Only char, int, uint, float and double can be used to AVG function."),
        Function::Min => (
            is_plain || is_address || kind == Kind::Time,
            "Only char, int, uint, float, double, time, mac and ip can be used to MIN function.",
        ),
        Function::Max => (
            is_plain || is_address || kind == Kind::Time,
            "Only char, int, uint, float, double, time, mac and ip can be used to MAX function.",
        ),
        Function::First | Function::FirstNonEmpty | Function::Last | Function::LastNonEmpty => (
            is_plain || is_address || matches!(kind, Kind::Time | Kind::Text),
            "Only char, int, uint, float, double, time, mac, ip and string can be used to FIRST and LAST functions.",
        ),
        Function::BitAnd | Function::BitOr => (
            fold::is_integer(kind) || kind == Kind::Char,
            "Only char, int and uint can be used to BIT AND and BIT OR functions.",
        ),
        Function::Append => (
            is_list || kind == Kind::Text,
            "Only string and int, uint, float, double, mac, time, and IP array can be used to APPEND function.",
        ),
        Function::UniqueCount => (
            fold::is_integer(kind) || is_address || kind == Kind::Text,
            "Only string, int, uint, mac and ip can be used to UNIQUE_COUNT function.",
        ),
        Function::SortedMerge => (
            (is_list || kind == Kind::Text) && sort_item.is_some(),
            "Only array of int, uint, float, double, ip, mac and time can be used as SORTED_MERGE key.",
        ),
        Function::SortedMergeDir => (
            kind == Kind::List(Item::I8) && sort_item == Some(Item::Time),
            "Only array of int8 can be used as SORTED_MERGE_DIR data, and array of time as its key.",
        ),
    };
    if works { Ok(()) } else { Err(why) }
}
