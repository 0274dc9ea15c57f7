//! Numbers as text on their way into a hash: spelled on the stack, handed over in blocks.

const BLOCK: usize = 256;
/// Longest piece: five digits.
const PIECE_MAX: usize = 5;
pub(super) const HEX: &[u8; 16] = b"0123456789abcdef";

pub(super) struct Pieces<F: FnMut(&[u8])> {
    block: [u8; BLOCK],
    len: usize,
    out: F,
}

impl<F: FnMut(&[u8])> Pieces<F> {
    pub(super) fn new(out: F) -> Self {
        Pieces { block: [0; BLOCK], len: 0, out }
    }

    /// Hands over what waits.
    pub(super) fn flush(&mut self) {
        (self.out)(&self.block[..self.len]);
        self.len = 0;
    }

    #[inline]
    pub(super) fn byte(&mut self, byte: u8) {
        self.piece([byte, 0, 0, 0, 0], 1);
    }

    #[inline]
    pub(super) fn decimal(&mut self, value: u16) {
        let digit = |unit: u16| b'0' + (value / unit % 10) as u8;
        let mut digits = [10_000, 1_000, 100, 10, 1].map(digit);
        let len = match value {
            0..=9 => 1,
            10..=99 => 2,
            100..=999 => 3,
            1_000..=9_999 => 4,
            _ => 5,
        };
        digits.rotate_left(PIECE_MAX - len);
        self.piece(digits, len);
    }

    /// Four hexadecimal digits.
    #[inline]
    pub(super) fn hex(&mut self, value: u16) {
        let digit = |shift: u32| HEX[(value >> shift & 15) as usize];
        self.piece([digit(12), digit(8), digit(4), digit(0), 0], 4);
    }

    /// The first `len` bytes; the others are written too, and then overwritten.
    #[inline(always)]
    fn piece(&mut self, bytes: [u8; PIECE_MAX], len: usize) {
        if self.len > BLOCK - PIECE_MAX {
            self.flush();
        }
        if let Some(room) = self.block.get_mut(self.len..self.len + PIECE_MAX) {
            room.copy_from_slice(&bytes);
            self.len += len;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spelled_as_the_library_spells_them() {
        let (mut got, mut want) = (Vec::new(), String::new());
        let mut pieces = Pieces::new(|block: &[u8]| got.extend_from_slice(block));
        for value in 0..=u16::MAX {
            pieces.decimal(value);
            pieces.byte(b',');
            pieces.hex(value);
            pieces.byte(b'-');
            want.push_str(&format!("{value},{value:04x}-"));
        }
        pieces.flush();
        assert!(got == want.as_bytes());
    }
}
