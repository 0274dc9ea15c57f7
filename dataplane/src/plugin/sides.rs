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
    fn packed_len(&self) -> usize {
        self.forward.packed_len() + self.reverse.packed_len()
    }
    fn pack(&self, out: &mut Packer<'_>) {
        self.forward.pack(out);
        self.reverse.pack(out);
    }
    fn unpack(&mut self, from: &mut Unpacker<'_>) {
        self.forward.unpack(from);
        self.reverse.unpack(from);
    }
}
