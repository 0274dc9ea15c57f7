//! Several messages at once, as they lie in a container: [`Batch`] for modules that pass on what came, [`Gathered`] for those that choose
//! or change messages. Either goes to an output in one go, without a lock for each message.

use crate::container::LEN_PREFIX;

/// Whole messages, each behind its length. Borrowed from the input that they came by, or from who gathered them.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    bytes: &'a [u8],
    count: u16,
}

impl<'a> Batch<'a> {
    /// The longest beginning of `bytes` that is whole messages, none of which ends a stream.
    pub(crate) fn beginning_of(bytes: &'a [u8]) -> Self {
        beginning(bytes, usize::MAX, u16::MAX, 2)
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
        let head = beginning(self.bytes, room, count_max, 0);
        let tail = self.bytes.get(head.bytes.len()..).unwrap_or_default();
        (head, Self { bytes: tail, count: self.count - head.count })
    }
}

/// Messages on their way to an output that a module chose or made. Filled again and again in the same memory.
#[derive(Debug, Clone, Default)]
pub struct Gathered {
    bytes: Vec<u8>,
    count: u16,
}

impl Gathered {
    /// Adds a message; false, and nothing changed, if it is longer than 65535 bytes or 65535 messages are there.
    #[inline]
    pub fn push(&mut self, message: &[u8]) -> bool {
        let Ok(len) = u16::try_from(message.len()) else { return false };
        if self.count == u16::MAX {
            return false;
        }
        self.bytes.extend_from_slice(&len.to_be_bytes());
        self.bytes.extend_from_slice(message);
        self.count += 1;
        true
    }

    /// Adds the message that `write` appends to what it is given; false as for [`Gathered::push`].
    ///
    /// # Errors
    /// That of `write`; nothing changed then.
    #[inline]
    pub fn push_with<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<bool, E> {
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(&[0; LEN_PREFIX]);
        let written = write(&mut self.bytes);
        let len = self.bytes.len().checked_sub(begin + LEN_PREFIX).and_then(|len| u16::try_from(len).ok());
        match (len, written) {
            (Some(len), Ok(())) if self.count < u16::MAX => {
                self.bytes[begin..begin + LEN_PREFIX].copy_from_slice(&len.to_be_bytes());
                self.count += 1;
                Ok(true)
            }
            (_, written) => {
                self.bytes.truncate(begin);
                written.map(|()| false)
            }
        }
    }

    /// What was gathered, for [`crate::Output::send_batch`].
    #[must_use]
    pub fn batch(&self) -> Batch<'_> {
        Batch { bytes: &self.bytes, count: self.count }
    }

    /// Bytes gathered, two more for each message.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// True when there is no message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Forgets the messages and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }
}

/// The messages at the beginning of `bytes` that fit so many bytes (lengths included), at most `count_max`, up to a shorter one.
fn beginning(bytes: &[u8], room: usize, count_max: u16, shortest: usize) -> Batch<'_> {
    let (mut end, mut count) = (0, 0);
    let mut rest = bytes;
    while let Some((message, behind)) = split_first(rest).filter(|(message, _)| message.len() >= shortest) {
        let next = end + LEN_PREFIX + message.len();
        if next > room || count == count_max {
            break;
        }
        (end, count, rest) = (next, count + 1, behind);
    }
    Batch { bytes: bytes.get(..end).unwrap_or_default(), count }
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

    #[test]
    fn what_is_not_taken_changes_nothing() {
        let mut gathered = Gathered::default();
        assert!(gathered.push(&[1, 2]) && !gathered.push(&vec![0; 65536]));
        let written: Result<bool, ()> = gathered.push_with(|out| {
            out.extend_from_slice(&[3; 65536]);
            Ok(())
        });
        assert_eq!(written, Ok(false));
        let failed = gathered.push_with(|out| {
            out.push(4);
            Err("no")
        });
        assert_eq!(failed, Err("no"));
        // Even one that takes away what is not its own.
        let _: Result<bool, ()> = gathered.push_with(|out| {
            out.pop();
            Ok(())
        });
        assert_eq!(
            gathered.push_with(|out| {
                out.push(5);
                Ok::<(), ()>(())
            }),
            Ok(true)
        );
        assert_eq!(gathered.batch().iter().collect::<Vec<_>>(), [&[1, 2][..], &[5]]);
        assert_eq!(gathered.size(), 7);
        gathered.clear();
        assert!(gathered.is_empty() && gathered.batch().is_empty());
        assert!((0..65535).all(|_| gathered.push(&[])) && !gathered.push(&[]));
        assert_eq!(gathered.push_with(|_| Ok::<(), ()>(())), Ok(false));
    }

    proptest! {
        #[test]
        fn both_parts_are_the_whole(sizes in prop::collection::vec(0usize..40, 0..50), room in 0usize..1000, most in 0u16..60) {
            let messages: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(n, size)| vec![n as u8; *size]).collect();
            let mut gathered = Gathered::default();
            prop_assert!(messages.iter().all(|message| gathered.push(message)));
            prop_assert_eq!(gathered.batch().as_bytes(), framed(&messages));
            let batch = gathered.batch();
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
