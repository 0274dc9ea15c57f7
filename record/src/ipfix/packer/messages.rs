//! Messages with data records: one template's from where they wait, or several templates' together.
use super::super::message::{Fate, Holds, Message};
use super::super::wire::MESSAGE_HEADER;
use super::Packer;
use std::ops::Range;

impl Packer {
    /// The newest template that has records, and whether no other one's fit into a message with them: then it goes from where it is.
    pub(super) fn next_waiting(&self, which: Range<usize>) -> Option<(usize, bool)> {
        let mut waiting = which.rev().filter(|at| self.templates[*at].waiting > 0);
        let at = waiting.next()?;
        let left = usize::from(self.config.mtu).saturating_sub(MESSAGE_HEADER + self.templates[at].used);
        Some((at, waiting.all(|other| self.templates[other].used > left)))
    }

    /// Sends a message whose header is still open, behind the templates if the session is new.
    pub(super) fn send_first_known(
        &mut self,
        message: &mut [u8],
        records: u32,
        now_secs: u32,
        emit: &mut impl FnMut(Message<'_>) -> Fate,
    ) {
        if self.fresh {
            self.send_templates(now_secs, emit);
        }
        self.write_header(message, now_secs);
        self.send_data(message, records, now_secs, emit);
    }

    /// As many data sets as fit, newest template first; how many records those are.
    pub(super) fn fill_message(&mut self, message: &mut Vec<u8>, which: Range<usize>) -> u32 {
        message.clear();
        message.resize(MESSAGE_HEADER, 0);
        let mut records = 0;
        for t in self.templates[which].iter_mut().rev() {
            if t.waiting > 0 && message.len() + t.used <= usize::from(self.config.mtu) {
                message.extend_from_slice(t.data_set());
                records += t.waiting;
                t.empty();
            }
        }
        records
    }

    pub(super) fn send_data(
        &mut self,
        message: &mut [u8],
        records: u32,
        now_secs: u32,
        emit: &mut impl FnMut(Message<'_>) -> Fate,
    ) {
        let holds = Holds::Flows;
        let mut fate = emit(Message { bytes: message, holds, records, options: 0 });
        if fate == Fate::Restarted {
            self.reset_session();
            self.send_templates(now_secs, emit);
            self.write_header(message, now_secs);
            fate = emit(Message { bytes: message, holds, records, options: 0 });
            if fate == Fate::Restarted {
                self.reset_session();
            }
        }
        if fate == Fate::Sent {
            self.sequence = self.sequence.wrapping_add(records);
        }
    }
}
