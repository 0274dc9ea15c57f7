//! Room for a record that does not fit behind those that wait: first they are sent; what is longer than a message of the usual size goes alone.
use super::super::message::{Fate, Message};
use super::super::wire::MESSAGE_HEADER;
use super::{AddError, Packer};

/// What was done for a record so far.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// Nothing: it may fit behind the others.
    Left,
    /// The others were sent.
    Flushed,
    /// The set is as long as a message may be.
    Alone,
}

impl Packer {
    /// The next thing to do for a record that did not fit, or why there is none.
    #[cold]
    pub(super) fn make_room(
        &mut self,
        at: usize,
        room: Room,
        now_secs: u32,
        emit: &mut impl FnMut(Message<'_>) -> Fate,
    ) -> Result<Room, AddError> {
        match room {
            Room::Left => {
                let which = if self.config.flushes_all { 0..self.templates.len() } else { at..at + 1 };
                self.flush_which(which, now_secs, emit);
                Ok(Room::Flushed)
            }
            Room::Flushed if self.config.alone_max > self.config.mtu => {
                self.templates[at].resize(usize::from(self.config.alone_max) - MESSAGE_HEADER);
                Ok(Room::Alone)
            }
            Room::Flushed => Err(AddError::TooLarge),
            Room::Alone => {
                self.shrink(at);
                Err(AddError::TooLarge)
            }
        }
    }

    /// Sends the one record that waits in a set that was made as long as a message may be.
    #[cold]
    pub(super) fn send_alone(&mut self, at: usize, now_secs: u32, emit: &mut impl FnMut(Message<'_>) -> Fate) {
        if self.fresh {
            self.send_templates(now_secs, emit);
        }
        let mut message = vec![0; MESSAGE_HEADER];
        message.extend_from_slice(self.templates[at].data_set());
        self.shrink(at);
        self.write_header(&mut message, now_secs);
        self.send_data(&mut message, 1, now_secs, emit);
    }

    fn shrink(&mut self, at: usize) {
        self.templates[at].resize(usize::from(self.config.mtu) - MESSAGE_HEADER);
    }
}
