//! Records that are longer than a message of the usual size.
use super::super::message::{Fate, Message};
use super::super::wire::{MESSAGE_HEADER, SET_HEADER};
use super::{DataSink, Family, Packer};

impl Packer {
    /// Sends a record that is longer than the buffer of its template, if a message may be so long. Nothing of its template waits.
    #[cold]
    pub(super) fn send_alone(
        &mut self,
        at: usize,
        family: Family,
        fill: &impl Fn(&mut DataSink<'_>),
        now_secs: u32,
        emit: &mut impl FnMut(Message<'_>) -> Fate,
    ) -> bool {
        if self.config.alone_max <= self.config.mtu {
            return false;
        }
        const HEADERS: usize = MESSAGE_HEADER + SET_HEADER;
        let mut message = vec![0; self.config.alone_max.into()];
        let mut sink = DataSink::new(&mut message[HEADERS..], family);
        fill(&mut sink);
        let Some(bytes) = sink.finish() else { return false };
        message.truncate(HEADERS + bytes);
        message[MESSAGE_HEADER..][..2].copy_from_slice(&self.templates[at].id());
        message[MESSAGE_HEADER + 2..][..2].copy_from_slice(&((SET_HEADER + bytes) as u16).to_be_bytes());
        if self.fresh {
            self.send_templates(now_secs, emit);
        }
        self.write_header(&mut message, now_secs);
        self.send_data(&mut message, 1, now_secs, emit);
        true
    }
}
