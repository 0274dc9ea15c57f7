//! Little-endian numbers at a place; what is missing reads as 0, so callers check lengths where those matter.

pub(super) fn u16(from: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array(from, at))
}

pub(super) fn u32(from: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(from, at))
}

pub(super) fn u64(from: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(from, at))
}

fn array<const N: usize>(from: &[u8], at: usize) -> [u8; N] {
    from.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
}
