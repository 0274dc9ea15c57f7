//! How the bytes of a block are packed.
use super::{BLOCK_MAX, NfError, lz4, lzo};
use std::io::Read;

/// The compressions of nfdump 1.7.1, with their numbers in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Compression {
    #[default]
    None = 0,
    Lzo = 1,
    Bzip2 = 2,
    /// Read only: no option of nfwriter asks for it.
    Lz4 = 3,
}

impl Compression {
    pub(super) fn from_number(number: u8) -> Option<Compression> {
        [Compression::None, Compression::Lzo, Compression::Bzip2, Compression::Lz4].get(usize::from(number)).copied()
    }

    /// Replaces the contents of `out` with the packed bytes of a block.
    pub(super) fn pack(self, block: &[u8], out: &mut Vec<u8>) -> Result<(), NfError> {
        out.clear();
        match self {
            Compression::None => out.extend_from_slice(block),
            Compression::Lzo => lzo::pack(block, out),
            Compression::Bzip2 => {
                // nfdump's level.
                bzip2::read::BzEncoder::new(block, bzip2::Compression::best()).read_to_end(out)?;
            }
            Compression::Lz4 => lz4::pack(block, out),
        }
        Ok(())
    }

    /// Replaces the contents of `out` with the bytes of a packed block, at most [`BLOCK_MAX`].
    pub(super) fn unpack(self, packed: &[u8], out: &mut Vec<u8>) -> Result<(), NfError> {
        out.clear();
        let unpacked = match self {
            Compression::None => {
                out.extend_from_slice(packed);
                true
            }
            Compression::Lzo => lzo::unpack(packed, out, BLOCK_MAX).is_some(),
            Compression::Lz4 => lz4::unpack(packed, out, BLOCK_MAX).is_some(),
            Compression::Bzip2 => {
                let limit = BLOCK_MAX as u64 + 1;
                let read = bzip2::read::BzDecoder::new(packed).take(limit).read_to_end(out);
                read.is_ok_and(|size| size <= BLOCK_MAX)
            }
        };
        if unpacked { Ok(()) } else { Err(NfError::Damaged("a block cannot be unpacked")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Compression; 4] = [Compression::None, Compression::Lzo, Compression::Bzip2, Compression::Lz4];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn blocks_come_back(words in prop::collection::vec(prop::collection::vec(0u8..4, 1..40), 0..60), noise in prop::collection::vec(any::<u8>(), 0..600)) {
            let block = [words.concat(), noise.clone(), words.concat(), noise].concat();
            let (mut packed, mut again) = (Vec::new(), Vec::new());
            for compression in ALL {
                compression.pack(&block, &mut packed).unwrap();
                compression.unpack(&packed, &mut again).unwrap();
                prop_assert_eq!(&again, &block, "{:?}", compression);
            }
        }

        #[test]
        fn any_bytes(packed in prop::collection::vec(any::<u8>(), 0..300)) {
            for compression in ALL {
                let mut out = Vec::new();
                let _ = compression.unpack(&packed, &mut out);
                prop_assert!(out.len() <= BLOCK_MAX + 1);
            }
        }
    }

    #[test]
    fn what_repeats_shrinks() {
        let block: Vec<u8> = (0..100_000u32).flat_map(|n| [7, 0, (n % 5) as u8, 1]).collect();
        let mut packed = Vec::new();
        for compression in [Compression::Lzo, Compression::Bzip2] {
            compression.pack(&block, &mut packed).unwrap();
            assert!(packed.len() < block.len() / 10, "{compression:?}: {}", packed.len());
        }
    }
}
