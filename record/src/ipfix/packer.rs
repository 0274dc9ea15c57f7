//! Packs declared records into messages as ipfixprobe 5.7.0 does (spec/ipfix.md sections 2 and 3).
//!
//! A set of extensions has a pair of templates, IPv4 first, created when it first occurs. Each template owns a buffer of mtu - 16
//! bytes in which its records wait. A flush sends the templates that the collector does not know, newest first, then the buffers,
//! newest template first, as many per message as fit.
use super::message::{Fate, Holds, Message};
use super::options::{self, Announcements, OPTIONS_FIRST_ID, Statement};
use super::outgoing::Outgoing;
use super::sink::DataSink;
use super::wire::{MESSAGE_HEADER, SET_HEADER, TEMPLATE_SET, VERSION};
use crate::schema::Schema;
use std::ops::Range;

mod messages;
mod room;
use room::Room;

/// Address family of a flow: chooses the template of the pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

/// What a [`Packer`] is told at start.
#[derive(Clone, Copy, Debug)]
pub struct PackerConfig {
    /// Largest data message in bytes. Values below [`PackerConfig::MTU_MIN`] are raised to it.
    pub mtu: u16,
    /// Observation domain id of every message (RFC 7011 section 3.1).
    pub domain: u32,
    /// Largest message in bytes for a record that does not fit into `mtu`: it goes in a message of its own, which UDP leaves to IP to cut.
    /// Not above `mtu`, as in the original: such a record is [`AddError::TooLarge`].
    pub alone_max: u16,
    /// Whether `mtu` also splits template messages. The original does not: false there.
    pub mtu_limits_templates: bool,
    /// Whether a template whose buffer is full takes all others along, as in the original: true there. Otherwise it goes alone and the others wait
    /// until they are full too, or for [`Packer::flush`]: a fifth fewer messages with five kinds of extensions.
    pub flushes_all: bool,
    /// Age in seconds at which a template is sent again (UDP, RFC 7011 section 8.4); 0 never.
    pub refresh_secs: u32,
    /// Id of the first template; the others follow. From 256 to 64,998.
    pub first_id: u16,
    /// Sets of extensions at the most; each costs two buffers of mtu - 16 bytes. At most [`PackerConfig::PAIRS_MAX`].
    pub pairs_max: u16,
    /// Whether a set of extensions that is one too many takes the ids of the one that was not asked for longest, whose templates are withdrawn
    /// before (RFC 7011 section 8.1). Only for a stream that keeps its order and is not sent again: TCP, files. Otherwise it is
    /// [`AddError::TooManyPairs`].
    pub withdraws: bool,
}

impl PackerConfig {
    /// Message and set header with one byte of data.
    pub const MTU_MIN: u16 = 2 * MESSAGE_HEADER as u16;
    /// Ids from 258 to those of options templates, two for each set of extensions.
    pub const PAIRS_MAX: u16 = (OPTIONS_FIRST_ID - FIRST_ID) / 2;
    /// The least id of a data set (RFC 7011 section 3.4.1), and the last of which a pair has room below options templates.
    pub const FIRST_ID_MIN: u16 = 256;
    pub const FIRST_ID_MAX: u16 = OPTIONS_FIRST_ID - 2;
}

impl Default for PackerConfig {
    /// The original's defaults for TCP; 2,048 sets of extensions take 6 MB.
    fn default() -> Self {
        PackerConfig {
            mtu: 1458,
            alone_max: 0,
            domain: 1,
            mtu_limits_templates: false,
            flushes_all: true,
            refresh_secs: 0,
            first_id: FIRST_ID,
            pairs_max: 2048,
            withdraws: false,
        }
    }
}

/// Why a record was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    #[error("the record is longer than a message may be: raise mtu or export fewer or shorter fields")]
    TooLarge,
    #[error("more sets of extensions than pairs_max: raise pairs_max or enable fewer extensions")]
    TooManyPairs,
    #[error("the template has more fields than one IPFIX message can hold: enable fewer extensions")]
    TemplateTooLarge,
}

/// Encoder state of one transport session: templates, waiting records, sequence number.
pub struct Packer {
    config: PackerConfig,
    /// In order of creation: pair `p` owns `templates[2 * p]` (IPv4) and `templates[2 * p + 1]` (IPv6).
    templates: Vec<Outgoing>,
    /// Key to pair, sorted by key.
    pairs: Vec<(u64, u16)>,
    /// The pair asked for last: most flows of a site look alike.
    last: Option<(u64, u16)>,
    /// When each pair was asked for last, by a clock of changes from one to another.
    asked: Vec<u64>,
    clock: u64,
    sequence: u32,
    /// The session began and its templates are not out yet: no data may go before them.
    fresh: bool,
    announcements: Announcements,
    message: Vec<u8>,
}

/// First template id of the original.
const FIRST_ID: u16 = 258;

impl Packer {
    pub fn new(config: PackerConfig) -> Packer {
        let first_id = config.first_id.clamp(PackerConfig::FIRST_ID_MIN, PackerConfig::FIRST_ID_MAX);
        let config = PackerConfig {
            mtu: config.mtu.max(PackerConfig::MTU_MIN),
            first_id,
            pairs_max: config.pairs_max.min((OPTIONS_FIRST_ID - first_id) / 2),
            ..config
        };
        let message = Vec::with_capacity(usize::from(config.mtu));
        let announcements = Announcements::default();
        let (templates, pairs, asked) = (Vec::new(), Vec::new(), Vec::new());
        let (last, clock, sequence, fresh) = (None, 0, 0, true);
        Packer { config, templates, pairs, last, asked, clock, sequence, fresh, announcements, message }
    }

    /// Takes one record. `key` names the set of record types (a bit mask of the extensions present), `schemas` the types in wire
    /// order, Basic first: one key always stands for the same schemas. `fill` visits the records with the sink in that order; it
    /// runs again when the record did not fit and everything waiting was flushed through `emit`.
    #[inline]
    pub fn add(
        &mut self,
        key: u64,
        family: Family,
        schemas: &[&'static Schema],
        export_time_secs: u32,
        fill: impl Fn(&mut DataSink<'_>),
        emit: &mut impl FnMut(Message<'_>) -> Fate,
    ) -> Result<(), AddError> {
        let pair = match self.last {
            Some((k, pair)) if k == key => pair,
            _ => self.pair(key, schemas, export_time_secs, emit)?,
        };
        let at = 2 * usize::from(pair) + usize::from(family == Family::V6);
        // One call of `append`: the records' encoders are compiled into it.
        let mut room = Room::Left;
        while !self.append(at, family, &fill) {
            room = self.make_room(at, room, export_time_secs, emit)?;
        }
        if room == Room::Alone {
            self.send_alone(at, export_time_secs, emit);
        }
        Ok(())
    }

    /// Sends all templates that the collector does not know and all waiting records. `export_time_secs` is Unix time for the
    /// message headers and for the age of templates.
    pub fn flush(&mut self, export_time_secs: u32, emit: &mut impl FnMut(Message<'_>) -> Fate) {
        self.flush_which(0..self.templates.len(), export_time_secs, emit);
    }

    /// Says something in each session from now on, behind the templates: before the next data, if it was not said yet.
    pub fn announce(&mut self, statement: Statement) {
        self.announcements.add(statement);
    }

    /// Sends numbers of this moment, with the options templates before them if the collector does not have them.
    pub fn tell(
        &mut self,
        statistics: &[Statement],
        export_time_secs: u32,
        emit: &mut impl FnMut(Message<'_>) -> Fate,
    ) {
        self.announcements.turn_on();
        self.mark_old_templates(export_time_secs);
        self.send_templates(export_time_secs, emit);
        self.send_announcements(export_time_secs, emit);
        if !self.announcements.is_told() {
            return;
        }
        let mut message = vec![0; MESSAGE_HEADER];
        statistics.iter().for_each(|statement| options::data_set(&mut message, statement));
        self.write_header(&mut message, export_time_secs);
        let options = statistics.len() as u32;
        match emit(Message { bytes: &message, holds: Holds::Statistics, records: 0, options }) {
            Fate::Sent => self.sequence = self.sequence.wrapping_add(options),
            Fate::Lost => {}
            Fate::Restarted => self.reset_session(),
        }
    }

    /// [`Packer::flush`], but of the records only those of some templates.
    fn flush_which(&mut self, which: Range<usize>, export_time_secs: u32, emit: &mut impl FnMut(Message<'_>) -> Fate) {
        self.mark_old_templates(export_time_secs);
        self.send_templates(export_time_secs, emit);
        self.send_announcements(export_time_secs, emit);
        // Buffers are moved out so that their bytes can be lent while templates change; they come back below.
        while let Some((at, is_alone)) = self.next_waiting(which.clone()) {
            if is_alone {
                let records = self.templates[at].waiting;
                let (mut message, length) = self.templates[at].lend();
                self.send_first_known(&mut message[..length], records, export_time_secs, emit);
                self.templates[at].give_back(message);
            } else {
                let mut message = std::mem::take(&mut self.message);
                let records = self.fill_message(&mut message, which.clone());
                self.send_first_known(&mut message, records, export_time_secs, emit);
                self.message = message;
            }
        }
    }

    /// All templates are sent again by the next flush.
    pub fn mark_all_templates(&mut self) {
        self.templates.iter_mut().for_each(|t| t.told = false);
        self.announcements.forget();
    }

    /// A new transport session: all templates again, sequence number 0. Waiting records stay.
    pub fn reset_session(&mut self) {
        self.mark_all_templates();
        self.sequence = 0;
        self.fresh = true;
    }

    /// Drops what waits, answers how many records that were.
    pub fn discard(&mut self) -> u64 {
        let waiting = self.waiting();
        self.templates.iter_mut().for_each(Outgoing::empty);
        waiting
    }

    /// Records that wait for a flush.
    pub fn waiting(&self) -> u64 {
        self.templates.iter().map(|t| u64::from(t.waiting)).sum()
    }

    /// Data records sent in this session, options records among them, modulo 2^32 (RFC 7011 section 3.1): the sequence number of the next message.
    pub fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Templates created so far, two for each set of extensions.
    pub fn templates(&self) -> usize {
        self.templates.len()
    }

    #[inline]
    fn append(&mut self, at: usize, family: Family, fill: &impl Fn(&mut DataSink<'_>)) -> bool {
        let template = &mut self.templates[at];
        let fields = u32::from(template.fields);
        let mut sink = DataSink::new(template.room(), family);
        fill(&mut sink);
        debug_assert_eq!(sink.fields(), fields, "fill must visit exactly the schemas of its key");
        let Some(bytes) = sink.finish() else { return false };
        template.used += bytes;
        template.waiting += 1;
        true
    }

    /// Finds or creates the pair of a key.
    fn pair(
        &mut self,
        key: u64,
        schemas: &[&'static Schema],
        now_secs: u32,
        emit: &mut impl FnMut(Message<'_>) -> Fate,
    ) -> Result<u16, AddError> {
        let pair = match self.pairs.binary_search_by_key(&key, |p| p.0) {
            Ok(at) => self.pairs[at].1,
            Err(_) => {
                let pair = self.create(schemas, now_secs, emit)?;
                // Another one may have made room.
                let at = self.pairs.partition_point(|p| p.0 < key);
                self.pairs.insert(at, (key, pair));
                pair
            }
        };
        self.clock += 1;
        self.asked[usize::from(pair)] = self.clock;
        self.last = Some((key, pair));
        Ok(pair)
    }

    fn create(
        &mut self,
        schemas: &[&'static Schema],
        now_secs: u32,
        emit: &mut impl FnMut(Message<'_>) -> Fate,
    ) -> Result<u16, AddError> {
        let full = self.pairs.len() >= usize::from(self.config.pairs_max);
        let pair = if full { self.quietest().ok_or(AddError::TooManyPairs)? } else { self.pairs.len() as u16 };
        let set_max = usize::from(self.config.mtu) - MESSAGE_HEADER;
        let id = self.config.first_id + 2 * pair;
        let v4 = Outgoing::new(id, Family::V4, schemas, set_max).ok_or(AddError::TemplateTooLarge)?;
        let v6 = Outgoing::new(id + 1, Family::V6, schemas, set_max).ok_or(AddError::TemplateTooLarge)?;
        if full {
            self.give_up(pair, now_secs, emit);
            let at = 2 * usize::from(pair);
            (self.templates[at], self.templates[at + 1]) = (v4, v6);
        } else {
            self.templates.extend([v4, v6]);
            self.asked.push(0);
        }
        Ok(pair)
    }

    /// The pair that was not asked for longest, if it may be given up.
    fn quietest(&self) -> Option<u16> {
        let pairs = (0..).zip(&self.asked).filter(|_| self.config.withdraws);
        pairs.min_by_key(|(_, asked)| **asked).map(|(pair, _)| pair)
    }

    /// Sends what waits for a pair of templates and withdraws them: their ids are free.
    fn give_up(&mut self, pair: u16, now_secs: u32, emit: &mut impl FnMut(Message<'_>) -> Fate) {
        let at = 2 * usize::from(pair);
        self.flush_which(at..at + 2, now_secs, emit);
        self.pairs.retain(|(_, other)| *other != pair);
        let told: Vec<u16> =
            (0..2).filter(|n| self.templates[at + n].told).map(|n| self.config.first_id + (at + n) as u16).collect();
        if told.is_empty() {
            return;
        }
        let mut message = vec![0; MESSAGE_HEADER];
        let length = (SET_HEADER + 4 * told.len()) as u16;
        [TEMPLATE_SET, length].iter().for_each(|n| message.extend_from_slice(&n.to_be_bytes()));
        // A template without fields.
        told.iter().for_each(|id| [*id, 0].iter().for_each(|n| message.extend_from_slice(&n.to_be_bytes())));
        self.write_header(&mut message, now_secs);
        // Where it is lost the session is over, and the next one never hears of these templates.
        if emit(Message { bytes: &message, holds: Holds::Templates, records: 0, options: 0 }) == Fate::Restarted {
            self.reset_session();
        }
    }

    /// The first id of the templates of a key, if it has some.
    pub(crate) fn id_of(&self, key: u64) -> Option<u16> {
        let at = self.pairs.binary_search_by_key(&key, |p| p.0).ok()?;
        Some(self.config.first_id + 2 * self.pairs[at].1)
    }

    fn mark_old_templates(&mut self, now_secs: u32) {
        let refresh = self.config.refresh_secs;
        if refresh != 0 {
            // A clock that was set back makes the age huge: the template goes out once more, which does no harm.
            self.templates.iter_mut().for_each(|t| t.told &= now_secs.wrapping_sub(t.told_at_secs) < refresh);
            if now_secs.wrapping_sub(self.announcements.told_at_secs) >= refresh {
                self.announcements.forget();
            }
        }
    }

    /// Sends what the collector was not told: one message, or several where 65,535 bytes or the mtu say so.
    fn send_templates(&mut self, now_secs: u32, emit: &mut impl FnMut(Message<'_>) -> Fate) {
        let mut restarts = 0;
        let mut message = Vec::new();
        let mut next = self.templates.len();
        while self.templates[..next].iter().any(|t| !t.told) {
            let from = self.fill_templates(&mut message, next, now_secs);
            match emit(Message { bytes: &message, holds: Holds::Templates, records: 0, options: 0 }) {
                Fate::Sent => self.told(from..next, now_secs),
                Fate::Lost => {}
                Fate::Restarted if restarts == 0 => {
                    restarts += 1;
                    self.reset_session();
                    next = self.templates.len();
                    continue;
                }
                Fate::Restarted => {
                    self.reset_session();
                    return;
                }
            }
            next = from;
        }
        self.fresh = false;
    }

    /// Sends what lasts of the options and was not told. Each turn of the loop tells more, or is the one restart.
    fn send_announcements(&mut self, now_secs: u32, emit: &mut impl FnMut(Message<'_>) -> Fate) {
        let mut restarts = 0;
        let mut message = Vec::new();
        while !self.announcements.is_told() {
            let filled = self.announcements.fill(&mut message, self.config.mtu.into());
            self.write_header(&mut message, now_secs);
            match emit(Message { bytes: &message, holds: Holds::Templates, records: 0, options: filled.records }) {
                Fate::Sent => {
                    self.announcements.arrived(&filled, now_secs);
                    self.sequence = self.sequence.wrapping_add(filled.records);
                }
                Fate::Lost => return,
                Fate::Restarted => {
                    self.reset_session();
                    restarts += 1;
                    if restarts > 1 {
                        return;
                    }
                    self.send_templates(now_secs, emit);
                }
            }
        }
    }

    fn told(&mut self, which: Range<usize>, now_secs: u32) {
        for t in self.templates[which].iter_mut().filter(|t| !t.told) {
            t.told = true;
            t.told_at_secs = now_secs;
        }
    }

    /// Writes a template message of what is untold below `next`, newest first; answers the oldest template considered.
    fn fill_templates(&self, message: &mut Vec<u8>, next: usize, now_secs: u32) -> usize {
        let max = usize::from(if self.config.mtu_limits_templates { self.config.mtu } else { u16::MAX });
        message.clear();
        message.resize(MESSAGE_HEADER + SET_HEADER, 0);
        let mut from = next;
        for (at, t) in self.templates[..next].iter().enumerate().rev() {
            let first = message.len() == MESSAGE_HEADER + SET_HEADER;
            if !t.told && !first && message.len() + t.record.len() > max {
                break;
            }
            if !t.told {
                message.extend_from_slice(&t.record);
            }
            from = at;
        }
        let length = (message.len() - MESSAGE_HEADER) as u16;
        message[MESSAGE_HEADER..][..2].copy_from_slice(&TEMPLATE_SET.to_be_bytes());
        message[MESSAGE_HEADER + 2..][..2].copy_from_slice(&length.to_be_bytes());
        self.write_header(message, now_secs);
        from
    }

    /// Moves waiting sets into a message, newest template first, as long as they fit; answers their records.
    /// The message header (RFC 7011 section 3.1) over the first 16 bytes.
    fn write_header(&self, message: &mut [u8], export_time_secs: u32) {
        let length = message.len() as u16;
        message[..2].copy_from_slice(&VERSION.to_be_bytes());
        message[2..4].copy_from_slice(&length.to_be_bytes());
        message[4..8].copy_from_slice(&export_time_secs.to_be_bytes());
        message[8..12].copy_from_slice(&self.sequence.to_be_bytes());
        message[12..16].copy_from_slice(&self.config.domain.to_be_bytes());
    }
}

#[cfg(test)]
#[path = "packer_tests.rs"]
mod tests;
