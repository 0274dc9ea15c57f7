//! The options at the end of a pcapng block: code, length, value, padded to four bytes. Format: draft-ietf-opsawg-pcapng, section 3.5.

const END_OF_OPTIONS: u16 = 0;

/// Options one after the other, up to the end mark or the first that is cut off.
pub(super) struct Options<'o, const BIG: bool>(&'o [u8]);

impl<'o, const BIG: bool> Options<'o, BIG> {
    pub(super) fn of(bytes: &'o [u8]) -> Self {
        Options(bytes)
    }
}

/// Each turn takes at least 4 bytes of a bounded block.
impl<'o, const BIG: bool> Iterator for Options<'o, BIG> {
    /// Code and value.
    type Item = (u16, &'o [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.0.split_first_chunk::<4>()?;
        let number = |low: [u8; 2]| if BIG { u16::from_be_bytes(low) } else { u16::from_le_bytes(low) };
        let (code, len) = (number([head[0], head[1]]), usize::from(number([head[2], head[3]])));
        let value = rest.get(..len).filter(|_| code != END_OF_OPTIONS)?;
        self.0 = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((code, value))
    }
}
