//! Sixteen lanes at once: the comparisons of a tag line, one bit of the answer for each lane, and the search for a byte that is near.

/// Lanes that equal `value`.
#[inline(always)]
pub fn equal(lanes: &[u16; 16], value: u16) -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::*;
        // SAFETY: SSE2 is part of x86_64; each load reads 16 of the 32 bytes that the reference covers, unaligned loads are asked for.
        unsafe {
            let want = _mm_set1_epi16(value as i16);
            let (low, high) = halves(lanes);
            bits(_mm_cmpeq_epi16(low, want), _mm_cmpeq_epi16(high, want))
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    lanes.iter().enumerate().fold(0, |bits, (at, lane)| bits | ((*lane == value) as u32) << at)
}

/// Lanes from which `now` is at least `limit` away, counted upwards modulo 65536.
#[inline(always)]
pub fn behind(lanes: &[u16; 16], now: u16, limit: u16) -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::*;
        // SAFETY: as above.
        unsafe {
            let (now, limit, zero) = (_mm_set1_epi16(now as i16), _mm_set1_epi16(limit as i16), _mm_setzero_si128());
            // limit - age, held at zero, is zero where the age reaches the limit.
            let reached = |lanes| _mm_cmpeq_epi16(_mm_subs_epu16(limit, _mm_sub_epi16(now, lanes)), zero);
            let (low, high) = halves(lanes);
            bits(reached(low), reached(high))
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    lanes.iter().enumerate().fold(0, |bits, (at, lane)| bits | ((now.wrapping_sub(*lane) >= limit) as u32) << at)
}

/// Where `wanted` first stands: for bytes that are expected within a few dozen, where a search that is prepared for
/// megabytes has hardly begun.
#[inline]
pub fn find(bytes: &[u8], wanted: u8) -> Option<usize> {
    let (blocks, rest) = bytes.as_chunks::<BYTES>();
    for (n, block) in blocks.iter().enumerate() {
        let found = equal_bytes(block, wanted);
        if found != 0 {
            return Some(n * BYTES + found.trailing_zeros() as usize);
        }
    }
    match bytes.last_chunk::<BYTES>() {
        // The bytes of the block before are known not to match.
        Some(last) if !rest.is_empty() => {
            let found = equal_bytes(last, wanted);
            (found != 0).then(|| bytes.len() - BYTES + found.trailing_zeros() as usize)
        }
        Some(_) => None,
        None => bytes.iter().position(|byte| *byte == wanted),
    }
}

/// Bytes of a vector of SSE2.
const BYTES: usize = 16;

#[inline(always)]
fn equal_bytes(bytes: &[u8; BYTES], wanted: u8) -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::*;
        // SAFETY: SSE2 is part of x86_64; the load reads the 16 bytes that the reference covers and needs no alignment.
        unsafe {
            let block = _mm_loadu_si128(bytes.as_ptr().cast());
            _mm_movemask_epi8(_mm_cmpeq_epi8(block, _mm_set1_epi8(wanted as i8))) as u32
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    bytes.iter().enumerate().fold(0, |bits, (at, byte)| bits | ((*byte == wanted) as u32) << at)
}

/// # Safety
/// None beyond SSE2, which x86_64 has.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn halves(lanes: &[u16; 16]) -> (std::arch::x86_64::__m128i, std::arch::x86_64::__m128i) {
    use std::arch::x86_64::_mm_loadu_si128;
    let (low, high) = lanes.split_at(8);
    // SAFETY: both halves are 16 bytes long, and the loads need no alignment.
    unsafe { (_mm_loadu_si128(low.as_ptr().cast()), _mm_loadu_si128(high.as_ptr().cast())) }
}

/// One bit for each lane of two comparison results.
///
/// # Safety
/// None beyond SSE2, which x86_64 has.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn bits(low: std::arch::x86_64::__m128i, high: std::arch::x86_64::__m128i) -> u32 {
    use std::arch::x86_64::{_mm_movemask_epi8, _mm_packs_epi16};
    // SAFETY: arithmetic on registers.
    unsafe { _mm_movemask_epi8(_mm_packs_epi16(low, high)) as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_comparisons_agree_with_the_plain_ones() {
        let mut seed = 1u64;
        for _ in 0..10_000 {
            let lanes: [u16; 16] = std::array::from_fn(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                if seed >> 40 & 3 == 0 { 7 } else { (seed >> 48) as u16 }
            });
            let (now, limit) = ((seed >> 20) as u16, (seed >> 8) as u16);
            for (at, lane) in lanes.iter().enumerate() {
                assert_eq!(equal(&lanes, 7) >> at & 1 == 1, *lane == 7);
                assert_eq!(behind(&lanes, now, limit) >> at & 1 == 1, now.wrapping_sub(*lane) >= limit);
            }
            assert_eq!((equal(&lanes, 7) | behind(&lanes, now, limit)) >> 16, 0);
        }
        assert_eq!(behind(&[0; 16], 5, 0), 0xffff);
    }
}
