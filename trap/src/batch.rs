//! Several messages at once, as they lie in a container: for modules that pass on what they do not look at.

use crate::container::LEN_PREFIX;

/// Whole messages of at least 2 bytes, each behind its length. Borrowed from the input that they came by.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    bytes: &'a [u8],
    count: u16,
}

impl<'a> Batch<'a> {
    /// The longest beginning of `bytes` that is whole messages, none of which ends a stream.
    pub(crate) fn beginning_of(bytes: &'a [u8]) -> Self {
        Self { bytes, count: 0 }.beginning(usize::MAX, u16::MAX)
    }

    /// Messages inside.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The messages, in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            let (message, behind) = split_first(rest)?;
            rest = behind;
            Some(message)
        })
    }

    /// The bytes as in a container: each message behind its length.
    pub(crate) fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// As many messages as fit so many bytes (lengths included), at most `count_max`, and the rest.
    pub(crate) fn split(&self, room: usize, count_max: u16) -> (Batch<'a>, Batch<'a>) {
        if self.bytes.len() <= room && self.count <= count_max {
            return (*self, Self { bytes: &[], count: 0 });
        }
        let head = self.beginning(room, count_max);
        let tail = self.bytes.get(head.bytes.len()..).unwrap_or_default();
        (head, Self { bytes: tail, count: self.count - head.count })
    }

    fn beginning(&self, room: usize, count_max: u16) -> Batch<'a> {
        let (mut end, mut count) = (0, 0);
        let mut rest = self.bytes;
        while let Some((message, behind)) = split_first(rest).filter(|(message, _)| message.len() > 1) {
            let next = end + LEN_PREFIX + message.len();
            if next > room || count == count_max {
                break;
            }
            (end, count, rest) = (next, count + 1, behind);
        }
        Self { bytes: self.bytes.get(..end).unwrap_or_default(), count }
    }
}

#[inline]
fn split_first(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<LEN_PREFIX>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(messages: &[Vec<u8>]) -> Vec<u8> {
        messages.iter().flat_map(|m| [&(m.len() as u16).to_be_bytes()[..], m].concat()).collect()
    }

    #[test]
    fn a_batch_ends_before_the_end_of_the_stream() {
        let bytes = framed(&[vec![1, 2], vec![3, 4, 5], vec![0], vec![6, 7]]);
        let batch = Batch::beginning_of(&bytes);
        assert_eq!(batch.iter().collect::<Vec<_>>(), [&[1, 2][..], &[3, 4, 5]]);
        assert!(Batch::beginning_of(&[0, 9, 1]).is_empty() && Batch::beginning_of(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn both_parts_are_the_whole(sizes in prop::collection::vec(2usize..40, 0..50), room in 0usize..1000, most in 0u16..60) {
            let messages: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(n, size)| vec![n as u8; *size]).collect();
            let bytes = framed(&messages);
            let batch = Batch::beginning_of(&bytes);
            let (head, tail) = batch.split(room, most);
            prop_assert!(head.as_bytes().len() <= room && head.len() <= usize::from(most));
            prop_assert_eq!(head.len() + tail.len(), messages.len());
            prop_assert!(head.iter().chain(tail.iter()).eq(messages.iter().map(Vec::as_slice)));
            // Nothing more would have fitted.
            if let Some(next) = tail.iter().next() {
                prop_assert!(head.len() == usize::from(most) || head.as_bytes().len() + LEN_PREFIX + next.len() > room);
            }
        }

        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let batch = Batch::beginning_of(&bytes);
            prop_assert_eq!(batch.iter().count(), batch.len());
        }
    }
}
