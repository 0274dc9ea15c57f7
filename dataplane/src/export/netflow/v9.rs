//! NetFlow 9 (RFC 3954): templates before data, FlowSets back to back, padded to four bytes.
use super::layout::Layout;
use super::uptime::{Placed, Since, Uptime};
use super::{NetflowConfig, put};
use crate::batch::{Batch, FlowRecord};
use crate::export::RecordDrop;
use crate::export::ipfix::last_of_each;
use crate::flow::Basic;
use crate::registry::PluginSet;
use record::ipfix::Family;
use record::{Record, Schema};

const HEADER: usize = 20;
const SET_HEADER: usize = 4;
const TEMPLATE_SET: u16 = 0;
const OPTIONS_TEMPLATE_SET: u16 = 1;
/// Template of the options record; data templates follow, two for each set of extensions, IPv4 first.
const OPTIONS_ID: u16 = 256;
const FIRST_ID: u16 = 258;
/// Sets of extensions at the most.
const PAIRS_MAX: usize = 2048;
/// Scope "system", SAMPLING_INTERVAL and SAMPLING_ALGORITHM (section 8).
const SCOPE_SYSTEM: u16 = 1;
const SAMPLING_INTERVAL: u16 = 34;
const SAMPLING_ALGORITHM: u16 = 35;

pub(super) struct V9 {
    pairs: Vec<Pair>,
    /// The pair asked for last.
    last: usize,
    filling: Packet,
    uptime: Uptime,
    /// Packets sent before (section 5.1).
    sequence: u32,
    mtu: usize,
    config: NetflowConfig,
    algorithm: u8,
    /// When all templates were sent last, Unix seconds.
    told_at_secs: u64,
    /// Records of the two directions of a flow.
    there: Vec<u8>,
    back: Vec<u8>,
}

/// The templates of one set of extensions.
struct Pair {
    set: PluginSet,
    layouts: [Layout; 2],
    told: bool,
}

/// A data packet that is being filled.
struct Packet {
    bytes: Vec<u8>,
    records: u16,
    /// Template and place of the FlowSet that is open.
    open: Option<(u16, usize)>,
}

impl V9 {
    pub(super) fn new(config: &NetflowConfig, algorithm: u8) -> V9 {
        V9 {
            pairs: Vec::new(),
            last: 0,
            filling: Packet { bytes: vec![0; HEADER], records: 0, open: None },
            uptime: Uptime::default(),
            sequence: 0,
            mtu: config.mtu.into(),
            config: config.clone(),
            algorithm,
            told_at_secs: 0,
            there: Vec::new(),
            back: Vec::new(),
        }
    }

    /// Takes a flow; answers how many records it became.
    pub(super) fn add(
        &mut self,
        batch: &Batch,
        flow: &FlowRecord,
        basic: &Basic,
        now_secs: u64,
        emit: &mut impl FnMut(&[u8], u64),
    ) -> Result<u64, RecordDrop> {
        let at = self.pair(batch, flow)?;
        let v6 = usize::from(flow.family() == Family::V6);
        let id = FIRST_ID + 2 * at as u16 + v6 as u16;
        let bytes = self.pairs[at].layouts[v6].bytes;
        if HEADER + SET_HEADER + bytes.next_multiple_of(4) > self.mtu {
            return Err(RecordDrop::TooLarge);
        }
        let sides = [basic.packets > 0, basic.packets_rev > 0];
        let since = self.place(basic, now_secs, emit)?;
        self.spell(at, v6, batch, flow, basic, since);
        let mut records = 0;
        for (side, _) in sides.into_iter().enumerate().filter(|(_, has_packets)| *has_packets) {
            if !self.filling.has_room(id, bytes, self.mtu) {
                self.flush(now_secs, emit);
                // Another packet may count from another start.
                let since = self.place(basic, now_secs, emit)?;
                self.spell(at, v6, batch, flow, basic, since);
            }
            self.filling.push(id, if side == 0 { &self.there } else { &self.back });
            records += 1;
        }
        Ok(records)
    }

    /// Sends templates that are due and all that waits.
    pub(super) fn flush(&mut self, now_secs: u64, emit: &mut impl FnMut(&[u8], u64)) {
        let refresh = u64::from(self.config.template_refresh_secs);
        if refresh > 0 && now_secs.abs_diff(self.told_at_secs) >= refresh {
            self.mark_all_templates();
        }
        self.send_templates(now_secs, emit);
        if self.filling.records == 0 {
            return;
        }
        self.filling.close();
        let records = self.filling.records;
        let mut bytes = std::mem::take(&mut self.filling.bytes);
        self.finish_packet(&mut bytes, records, now_secs);
        emit(&bytes, records.into());
        bytes.truncate(HEADER);
        self.filling = Packet { bytes, records: 0, open: None };
    }

    pub(super) fn mark_all_templates(&mut self) {
        self.pairs.iter_mut().for_each(|pair| pair.told = false);
    }

    /// Finds or makes the templates of a flow.
    fn pair(&mut self, batch: &Batch, flow: &FlowRecord) -> Result<usize, RecordDrop> {
        let set = flow.extensions;
        if self.pairs.get(self.last).is_some_and(|pair| pair.set == set) {
            return Ok(self.last);
        }
        self.last = match self.pairs.iter().position(|pair| pair.set == set) {
            Some(at) => at,
            None if self.pairs.len() >= PAIRS_MAX => return Err(RecordDrop::TooManyTemplates),
            None => {
                let mut schemas: Vec<&'static Schema> = vec![Basic::SCHEMA];
                schemas.extend(last_of_each(batch.links(flow)).map(|link| link.id.schema()));
                let layouts = [Family::V4, Family::V6].map(|family| Layout::new(&schemas, family));
                self.pairs.push(Pair { set, layouts, told: false });
                self.pairs.len() - 1
            }
        };
        Ok(self.last)
    }

    fn place(&mut self, basic: &Basic, now_secs: u64, emit: &mut impl FnMut(&[u8], u64)) -> Result<Since, RecordDrop> {
        let mut placed = self.uptime.place(basic.time_first, basic.time_last, self.filling.records == 0);
        if placed == Placed::NextPacket {
            self.flush(now_secs, emit);
            placed = self.uptime.place(basic.time_first, basic.time_last, true);
        }
        match placed {
            Placed::At(since) => Ok(since),
            Placed::TooLong | Placed::NextPacket => Err(RecordDrop::TooLong),
        }
    }

    /// Writes the records of both directions.
    fn spell(&mut self, at: usize, v6: usize, batch: &Batch, flow: &FlowRecord, basic: &Basic, since: Since) {
        let layout = &self.pairs[at].layouts[v6];
        for record in [&mut self.there, &mut self.back] {
            record.clear();
            record.resize(layout.bytes, 0);
        }
        let mut sink = layout.fill(&mut self.there, &mut self.back, since);
        basic.visit(&mut sink);
        last_of_each(batch.links(flow)).for_each(|link| batch.visit(link, &mut sink));
    }

    /// Sends all templates that the collector was not told, and with them how packets were sampled.
    fn send_templates(&mut self, now_secs: u64, emit: &mut impl FnMut(&[u8], u64)) {
        if self.pairs.iter().all(|pair| pair.told) {
            return;
        }
        self.told_at_secs = now_secs;
        let mut packet = vec![0; HEADER];
        let records = sampling(&mut packet, self.config.sampling, self.algorithm);
        self.finish_packet(&mut packet, records, now_secs);
        emit(&packet, 0);
        for at in 0..self.pairs.len() {
            if self.pairs[at].told {
                continue;
            }
            self.pairs[at].told = true;
            let mut packet = vec![0; HEADER];
            let set = begin(&mut packet, TEMPLATE_SET);
            for (family, layout) in self.pairs[at].layouts.iter().enumerate() {
                put(&mut packet, [FIRST_ID + 2 * at as u16 + family as u16, layout.fields.len() as u16]);
                layout.fields.iter().for_each(|(kind, bytes)| put(&mut packet, [*kind, *bytes]));
            }
            end(&mut packet, set);
            self.finish_packet(&mut packet, 2, now_secs);
            emit(&packet, 0);
        }
    }

    /// Writes the header (section 5.1) over the first bytes, and counts the packet.
    fn finish_packet(&mut self, packet: &mut [u8], records: u16, now_secs: u64) {
        let (uptime, secs) = self.uptime.header(now_secs);
        let mut header = Vec::with_capacity(HEADER);
        put(&mut header, [9, records]);
        let words = [uptime, secs, self.sequence, self.config.domain];
        words.iter().for_each(|word| header.extend_from_slice(&word.to_be_bytes()));
        packet[..HEADER].copy_from_slice(&header);
        self.sequence = self.sequence.wrapping_add(1);
    }
}

impl Packet {
    fn has_room(&self, id: u16, bytes: usize, mtu: usize) -> bool {
        let open = self.open.is_some_and(|(open, _)| open == id);
        // What is open is padded before another FlowSet begins.
        let used = if open { self.bytes.len() } else { self.bytes.len().next_multiple_of(4) + SET_HEADER };
        (used + bytes).next_multiple_of(4) <= mtu
    }

    fn push(&mut self, id: u16, record: &[u8]) {
        if self.open.is_none_or(|(open, _)| open != id) {
            self.close();
            self.open = Some((id, begin(&mut self.bytes, id)));
        }
        self.bytes.extend_from_slice(record);
        self.records += 1;
    }

    fn close(&mut self) {
        if let Some((_, at)) = self.open.take() {
            end(&mut self.bytes, at);
        }
    }
}

/// Begins a FlowSet; answers where.
fn begin(packet: &mut Vec<u8>, id: u16) -> usize {
    put(packet, [id, 0]);
    packet.len() - SET_HEADER
}

/// Ends the FlowSet that began there, on a multiple of four bytes (section 5.3).
fn end(packet: &mut Vec<u8>, at: usize) {
    packet.resize(packet.len().next_multiple_of(4), 0);
    let length = ((packet.len() - at) as u16).to_be_bytes();
    packet[at + 2..at + 4].copy_from_slice(&length);
}

/// The options template and record that say how packets were sampled (section 6.1), also that they were not: some collectors want to
/// know. Answers how many records that is.
fn sampling(packet: &mut Vec<u8>, interval: u32, algorithm: u8) -> u16 {
    let set = begin(packet, OPTIONS_TEMPLATE_SET);
    put(packet, [OPTIONS_ID, 4, 8, SCOPE_SYSTEM, 4, SAMPLING_INTERVAL, 4, SAMPLING_ALGORITHM, 1]);
    end(packet, set);
    let set = begin(packet, OPTIONS_ID);
    packet.extend_from_slice(&[0; 4]);
    packet.extend_from_slice(&interval.to_be_bytes());
    packet.push(algorithm);
    end(packet, set);
    2
}
