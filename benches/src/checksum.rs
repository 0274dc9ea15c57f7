//! The sums that headers carry: the Internet checksum (RFC 1071) and CRC-32C (RFC 9260, appendix A).

/// Internet checksum of `parts` taken as one message; only the last part may have an odd length.
pub(crate) fn internet(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u64;
    for part in parts {
        let mut words = part.chunks_exact(4);
        for word in &mut words {
            sum += u64::from(u32::from_be_bytes([word[0], word[1], word[2], word[3]]));
        }
        sum += match *words.remainder() {
            [a] => u64::from(a) << 24,
            [a, b] => u64::from(a) << 24 | u64::from(b) << 16,
            [a, b, c] => u64::from(a) << 24 | u64::from(b) << 16 | u64::from(c) << 8,
            _ => 0,
        };
    }
    // 2^16 is 1 modulo 2^16 - 1, so halves of any width may be added together.
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

/// CRC-32C, bit by bit: SCTP packets are rare here.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internet_checksum_of_the_rfc_example() {
        // RFC 1071 section 3: the sum of these words is ddf2.
        assert_eq!(internet(&[&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
        assert_eq!(internet(&[&[0x00, 0x01, 0xf2, 0x03], &[0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
    }

    #[test]
    fn odd_tails_count_as_if_padded() {
        for length in 0..9 {
            let bytes: Vec<u8> = (1..=length).collect();
            let mut padded = bytes.clone();
            padded.resize(12, 0);
            assert_eq!(internet(&[&bytes]), internet(&[&padded]));
        }
    }

    #[test]
    fn crc32c_check_value() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
