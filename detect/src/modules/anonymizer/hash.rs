//! The original's own 32-bit hash, in the manner of MurmurHash (spec/modules.md section 6, option -M).

/// Hash of 16 bytes, read as two little-endian lanes of 64 bits.
pub fn of_block(block: [u8; 16]) -> u32 {
    let block = u128::from_le_bytes(block);
    let mut h: u64 = 42;
    for lane in [block as u64, (block >> 64) as u64] {
        h ^= lane.wrapping_mul(5_333).rotate_left(19).wrapping_mul(7_177);
        h = h.rotate_left(19).wrapping_mul(11_117).wrapping_add(14_011);
    }
    h ^= h >> 33;
    h = h.wrapping_mul(0xff51_afd7_ed55_8ccd);
    h ^= h >> 33;
    h = h.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    h ^= h >> 33;
    h as u32
}
