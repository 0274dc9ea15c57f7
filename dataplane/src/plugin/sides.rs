//! What a plugin keeps of each direction of a flow.
use crate::packet::Direction;
use record::Pack;
use record::pack::{Packer, Unpacker};

/// One value for each direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sides<T> {
    pub forward: T,
    pub reverse: T,
}

impl<T> Sides<T> {
    #[inline]
    pub fn of(&mut self, direction: Direction) -> &mut T {
        match direction {
            Direction::Forward => &mut self.forward,
            Direction::Reverse => &mut self.reverse,
        }
    }
}

/// The forward value, then the reverse one.
impl<T: Pack> Pack for Sides<T> {
    const PACKED_MAX: usize = 2 * T::PACKED_MAX;
    const FIXED: usize = 2 * T::FIXED;
    #[inline(always)]
    fn pack_fixed(&self, out: &mut [u8]) {
        let (forward, reverse) = out.split_at_mut(T::FIXED);
        self.forward.pack_fixed(forward);
        self.reverse.pack_fixed(reverse);
    }
    #[inline(always)]
    fn unpack_fixed(&mut self, from: &[u8]) {
        let (forward, reverse) = from.split_at(T::FIXED);
        self.forward.unpack_fixed(forward);
        self.reverse.unpack_fixed(reverse);
    }
    fn rest_len(&self) -> usize {
        self.forward.rest_len() + self.reverse.rest_len()
    }
    fn pack_rest(&self, out: &mut Packer<'_>) {
        self.forward.pack_rest(out);
        self.reverse.pack_rest(out);
    }
    fn unpack_rest(&mut self, from: &mut Unpacker<'_>) {
        self.forward.unpack_rest(from);
        self.reverse.unpack_rest(from);
    }
}
