//! A template of the exporter: its record on the wire, and the buffer in which its data records wait for a flush.
use super::packer::Family;
use super::sink::{element_for, width};
use super::wire::{ENTERPRISE, MESSAGE_HEADER, SET_HEADER, VARIABLE};
use crate::element::{Element, iana};
use crate::kind::Kind;
use crate::schema::{Field, Schema};

/// Where a message has its first set.
const SET_AT: usize = MESSAGE_HEADER;

/// One template with its waiting records.
pub(super) struct Outgoing {
    /// The template record: id, field count, field specifiers (RFC 7011 section 3.4.1).
    pub(super) record: Vec<u8>,
    /// A message with one data set: room for its header, the set's header with the length still open, then whole records. Fixed size.
    message: Box<[u8]>,
    /// Bytes of the set in use, header included.
    pub(super) used: usize,
    /// Data records in `set`.
    pub(super) waiting: u32,
    /// Data fields of one record.
    pub(super) fields: u16,
    /// The collector was told of this template.
    pub(super) told: bool,
    /// Export time of the message that told it, Unix seconds.
    pub(super) told_at_secs: u32,
}

impl Outgoing {
    /// `None` when the fields do not fit a template record of 65,515 bytes (one message).
    pub(super) fn new(id: u16, family: Family, schemas: &[&'static Schema], set_max: usize) -> Option<Outgoing> {
        let mut record = vec![0; 4];
        let mut fields = 0u16;
        for field in schemas.iter().flat_map(|s| s.fields) {
            if let Some(element) = element_for(field, family) {
                specify(&mut record, field, element);
                fields = fields.checked_add(1)?;
            }
        }
        if record.len() > usize::from(u16::MAX) - 20 {
            return None;
        }
        record[..2].copy_from_slice(&id.to_be_bytes());
        record[2..4].copy_from_slice(&fields.to_be_bytes());
        let message = message_for(id.to_be_bytes(), set_max);
        Some(Outgoing { record, message, used: SET_HEADER, waiting: 0, fields, told: false, told_at_secs: 0 })
    }

    /// Changes the size of the set, in bytes. Nothing may wait in it.
    pub(super) fn resize(&mut self, set_max: usize) {
        self.message = message_for([self.message[SET_AT], self.message[SET_AT + 1]], set_max);
        self.empty();
    }

    /// Where the next record goes.
    #[inline(always)]
    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.message[SET_AT + self.used..]
    }

    /// The finished data set.
    pub(super) fn data_set(&mut self) -> &[u8] {
        let length = (self.used as u16).to_be_bytes();
        let set = &mut self.message[SET_AT..SET_AT + self.used];
        set[2..4].copy_from_slice(&length);
        set
    }

    /// The message that has only this data set, its header still open, and how long it is. The records count as sent; the room comes back by
    /// [`Outgoing::give_back`], before anything is written.
    pub(super) fn lend(&mut self) -> (Box<[u8]>, usize) {
        let length = SET_AT + self.data_set().len();
        self.empty();
        (std::mem::take(&mut self.message), length)
    }

    pub(super) fn give_back(&mut self, message: Box<[u8]>) {
        self.message = message;
    }

    /// Forgets the waiting records.
    pub(super) fn empty(&mut self) {
        self.used = SET_HEADER;
        self.waiting = 0;
    }
}

/// Room for a message with a set of this size and id.
fn message_for(id: [u8; 2], set_max: usize) -> Box<[u8]> {
    let mut message = vec![0; SET_AT + set_max].into_boxed_slice();
    message[SET_AT..SET_AT + 2].copy_from_slice(&id);
    message
}

/// Appends one field specifier (RFC 7011 section 3.2); a list travels as element 291.
fn specify(record: &mut Vec<u8>, field: &Field, element: Element) {
    let element = if matches!(field.kind, Kind::List(_)) { iana::basicList } else { element };
    let length = width(element, field.ipfix_kind()).unwrap_or(VARIABLE);
    let id = element.id | if element.pen == 0 { 0 } else { ENTERPRISE };
    record.extend_from_slice(&id.to_be_bytes());
    record.extend_from_slice(&length.to_be_bytes());
    if element.pen != 0 {
        record.extend_from_slice(&element.pen.to_be_bytes());
    }
}
