//! The card's time of a packet, which the XDP program wrote before its first byte (`struct stamp` of ebpf/program/stamp.h). The kernel
//! keeps what stands there also where it copies the packet (`xsk_copy_xdp_start`, net/xdp/xsk.c).
pub(super) const STAMP_BYTES: usize = 16;
const MARK: u64 = 0x736f_6e64_6170_6b74;

/// Nanoseconds, 0 if the card has none; `None` if no stamp was written.
#[inline]
pub(super) fn stamp(bytes: &[u8]) -> Option<u64> {
    let (time, mark) = (bytes.first_chunk()?, bytes.last_chunk()?);
    let (time, mark) = (u64::from_ne_bytes(*time), u64::from_ne_bytes(*mark));
    (time ^ mark == MARK).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_has_its_mark() {
        let written = |time: u64, mark: u64| stamp(&[time.to_ne_bytes(), mark.to_ne_bytes()].concat());
        assert_eq!(written(0, MARK), Some(0));
        assert_eq!(written(7, 7 ^ MARK), Some(7));
        assert_eq!((written(7, MARK), written(0, 0), stamp(&[])), (None, None, None));
    }
}
