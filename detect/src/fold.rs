//! Values in wire form folded into one: sums, extremes, bits. Numbers are those of the field's own type and wrap at its width.
use record::Kind;
use std::cmp::Ordering;

/// Whether values of a kind can be summed.
pub fn is_number(kind: Kind) -> bool {
    is_integer(kind) || matches!(kind, Kind::F32 | Kind::F64)
}

/// Integers of any width; not `char`.
pub fn is_integer(kind: Kind) -> bool {
    matches!(kind, Kind::U8 | Kind::I8 | Kind::U16 | Kind::I16 | Kind::U32 | Kind::I32 | Kind::U64 | Kind::I64)
}

/// Adds `value` to `sum`.
pub fn add(kind: Kind, sum: &mut [u8], value: &[u8]) {
    match kind {
        Kind::F32 => put(sum, &(f32_of(sum) + f32_of(value)).to_le_bytes()),
        Kind::F64 => put(sum, &(f64_of(sum) + f64_of(value)).to_le_bytes()),
        _ => put(sum, &unsigned(sum).wrapping_add(unsigned(value)).to_le_bytes()),
    }
}

/// Divides by a count above 0; integers are truncated.
pub fn divide(kind: Kind, sum: &mut [u8], count: u32) {
    match kind {
        _ if count == 0 => {}
        Kind::F32 => put(sum, &(f32_of(sum) / count as f32).to_le_bytes()),
        Kind::F64 => put(sum, &(f64_of(sum) / f64::from(count)).to_le_bytes()),
        Kind::I8 | Kind::I16 | Kind::I32 | Kind::I64 | Kind::Char => {
            put(sum, &(signed(sum) / i64::from(count)).to_le_bytes());
        }
        _ => put(sum, &(unsigned(sum) / u64::from(count)).to_le_bytes()),
    }
}

/// Order of two values; of addresses that of their bytes. Not a number equals everything.
pub fn compare(kind: Kind, a: &[u8], b: &[u8]) -> Ordering {
    match kind {
        Kind::F32 => f32_of(a).partial_cmp(&f32_of(b)).unwrap_or(Ordering::Equal),
        Kind::F64 => f64_of(a).partial_cmp(&f64_of(b)).unwrap_or(Ordering::Equal),
        // A char of C is signed on the machines of the originals.
        Kind::I8 | Kind::I16 | Kind::I32 | Kind::I64 | Kind::Char => signed(a).cmp(&signed(b)),
        Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 | Kind::Time => unsigned(a).cmp(&unsigned(b)),
        _ => a.cmp(b),
    }
}

/// Bits that both have.
pub fn and(bits: &mut [u8], value: &[u8]) {
    bits.iter_mut().zip(value).for_each(|(bits, value)| *bits &= value);
}

/// Bits that one of them has.
pub fn or(bits: &mut [u8], value: &[u8]) {
    bits.iter_mut().zip(value).for_each(|(bits, value)| *bits |= value);
}

/// All bytes zero; for addresses 0.0.0.0, too.
pub fn is_empty(kind: Kind, value: &[u8]) -> bool {
    match (kind, value) {
        (Kind::Ip, [head @ .., 0xff, 0xff, 0xff, 0xff]) => head.iter().all(|b| *b == 0),
        _ => value.iter().all(|b| *b == 0),
    }
}

/// Little endian, at most 8 bytes.
pub fn unsigned(bytes: &[u8]) -> u64 {
    let mut wide = [0; 8];
    let size = bytes.len().min(8);
    wide[..size].copy_from_slice(&bytes[..size]);
    u64::from_le_bytes(wide)
}

fn signed(bytes: &[u8]) -> i64 {
    let unused = 64 - 8 * bytes.len().clamp(1, 8) as u32;
    (unsigned(bytes) << unused) as i64 >> unused
}

fn f32_of(bytes: &[u8]) -> f32 {
    f32::from_bits(unsigned(bytes) as u32)
}

fn f64_of(bytes: &[u8]) -> f64 {
    f64::from_bits(unsigned(bytes))
}

/// The low bytes of `wide`, as many as `value` has.
fn put(value: &mut [u8], wide: &[u8]) {
    let size = value.len().min(wide.len());
    value[..size].copy_from_slice(&wide[..size]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_wrap_at_their_width() {
        let mut sum = [250];
        add(Kind::U8, &mut sum, &[10]);
        assert_eq!(sum, [4]);
        let mut sum = (-5i16).to_le_bytes();
        add(Kind::I16, &mut sum, &(-6i16).to_le_bytes());
        divide(Kind::I16, &mut sum, 2);
        assert_eq!(i16::from_le_bytes(sum), -5);
        let mut sum = 1.5f32.to_le_bytes();
        add(Kind::F32, &mut sum, &2.5f32.to_le_bytes());
        divide(Kind::F32, &mut sum, 2);
        assert_eq!(f32::from_le_bytes(sum), 2.0);
    }

    #[test]
    fn orders() {
        assert_eq!(compare(Kind::I32, &(-1i32).to_le_bytes(), &1i32.to_le_bytes()), Ordering::Less);
        assert_eq!(compare(Kind::U32, &(-1i32).to_le_bytes(), &1i32.to_le_bytes()), Ordering::Greater);
        assert_eq!(compare(Kind::F64, &(-1f64).to_le_bytes(), &0f64.to_le_bytes()), Ordering::Less);
        assert_eq!(compare(Kind::Mac, &[1, 0, 0, 0, 0, 0], &[0, 9, 9, 9, 9, 9]), Ordering::Greater);
        assert!(is_empty(Kind::Ip, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]));
        assert!(!is_empty(Kind::U32, &[0, 0, 0, 0xff]) && is_empty(Kind::Text, &[]));
    }
}
