//! The flow cache: counts packets into flows, ends flows, and hands them with their extensions to a batch.
//!
//! The order of steps for a packet is that of the original (spec/exporter.md 9.4), so that `Face::Ipfixprobe` gives its records;
//! keys are compared in full and bursts are prefetched, which is ours. Time comes from the packets.
use crate::batch::Batch;
use crate::face::Face;
use crate::flow::table::{Shape, Slot, Table};
use crate::flow::{EndReason, Flow};
use crate::packet::{Direction, Packet, PacketView, tcp};
use crate::plugin::Context;
use crate::registry::{Plugins, Wish};
use record::Time;
use std::io;

/// Packets for which the expiry sweep looks at one more tag line: 16 flows for 2 packets is the pace of the original.
const PACKETS_PER_LINE: usize = 2;

#[derive(Clone, Copy, Debug)]
pub struct CacheConfig {
    pub shape: Shape,
    /// Longest life of a record before it is cut, seconds.
    pub active_secs: u64,
    /// Quiet time after which a flow has ended, seconds.
    pub inactive_secs: u64,
    pub face: Face,
}

impl Default for CacheConfig {
    fn default() -> Self {
        CacheConfig { shape: Shape::default(), active_secs: 300, inactive_secs: 30, face: Face::Native }
    }
}

/// The books of a cache (RELIABILITY.md I6 to I8). Packets and bytes are those counted into flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    pub packets: u64,
    /// IP bytes.
    pub bytes: u64,
    /// Packets and bytes of the flows that were exported.
    pub exported_packets: u64,
    pub exported_bytes: u64,
    /// Flows that began with a packet of a key that was not live.
    pub opened: u64,
    /// Records that go on from one that was cut by a plugin.
    pub continued: u64,
    /// Exported records by flowEndReason; index 0: not said (original face only).
    pub ended: [u64; 6],
    /// Packets that ended a flow without being counted into it (original face only: a plugin's flush before the update).
    pub uncounted: u64,
}

impl CacheStats {
    pub fn ended_total(&self) -> u64 {
        self.ended.iter().sum()
    }

    /// Adds the books of another lane.
    pub fn merge(&mut self, other: &CacheStats) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.exported_packets += other.exported_packets;
        self.exported_bytes += other.exported_bytes;
        self.opened += other.opened;
        self.continued += other.continued;
        self.uncounted += other.uncounted;
        for (mine, theirs) in self.ended.iter_mut().zip(other.ended) {
            *mine += theirs;
        }
    }
}

/// The live flows of one lane.
pub struct Cache {
    table: Table,
    plugins: Plugins,
    config: CacheConfig,
    stats: CacheStats,
    idle: Vec<Slot>,
    sweep_debt: usize,
}

impl Cache {
    pub fn new(config: CacheConfig, plugins: Plugins) -> io::Result<Cache> {
        let table = Table::new(config.shape)?;
        let idle = Vec::with_capacity(table.capacity());
        Ok(Cache { table, plugins, config, stats: CacheStats::default(), idle, sweep_debt: 0 })
    }

    pub fn stats(&self) -> &CacheStats {
        &self.stats
    }
    pub fn live(&self) -> usize {
        self.table.live()
    }
    pub fn plugins(&self) -> &Plugins {
        &self.plugins
    }

    /// First pass over a burst, see [`Table::prefetch_tags`].
    #[inline(always)]
    pub fn prefetch_tags(&self, hash: u64) {
        self.table.prefetch_tags(hash);
    }

    /// Second pass over a burst, see [`Table::prefetch_flow`].
    #[inline(always)]
    pub fn prefetch_flow(&self, packet: &Packet) {
        self.table.prefetch_flow(packet.hash, &packet.key);
    }

    /// Counts one packet; flows that end by it go to `batch`.
    #[inline]
    pub fn packet(&mut self, view: PacketView<'_, '_>, batch: &mut Batch) {
        let p = view.packet;
        self.sweep_debt += 1;
        let Some(slot) = self.table.find(p.hash, &p.key) else { return self.open(view, batch) };
        let flow = self.table.flow(slot);
        let direction = if p.reversed == flow.reversed { Direction::Forward } else { Direction::Reverse };
        if let Some(reason) = self.over(flow, p, direction) {
            // The original skips the plugins' last word when a SYN restarts a flow (spec/exporter.md 9.4 step 5).
            let last_word =
                !(self.config.face.is_original() && reason == EndReason::EndOfFlow && restarts(flow, p, direction));
            self.end(slot, reason as u8, last_word, batch);
            return self.open(view, batch);
        }
        let wish = self.ask(slot, view, direction, Moment::Before);
        if wish != Wish::default() {
            return self.cut(slot, view, direction, wish, Moment::Before, batch);
        }
        self.count(slot, p, direction);
        let wish = self.ask(slot, view, direction, Moment::After);
        if wish != Wish::default() {
            self.cut(slot, view, direction, wish, Moment::After, batch);
        }
    }

    /// Notes packets that another lane counts. The reason of the original's last records depends on how far the sweep has come
    /// ([`Cache::flush`]), so there the sweep goes with all packets; otherwise with this lane's, or N lanes would sweep N times.
    #[inline(always)]
    pub(crate) fn pass(&mut self, packets: usize) {
        if self.config.face.is_original() {
            self.sweep_debt += packets;
        }
    }

    /// Ends the flows that have been quiet too long; called after each burst, in proportion to the packets since.
    #[inline]
    pub fn sweep(&mut self, now: Time, batch: &mut Batch) {
        let lines = self.sweep_debt / PACKETS_PER_LINE;
        self.sweep_debt %= PACKETS_PER_LINE;
        self.sweep_lines(lines, now, batch);
    }

    /// Ends all flows that have been quiet too long, for a source that has paused.
    pub fn sweep_all(&mut self, now: Time, batch: &mut Batch) {
        self.sweep_lines(usize::MAX, now, batch);
    }

    fn sweep_lines(&mut self, lines: usize, now: Time, batch: &mut Batch) {
        // Times in tag lines wrap after 65536 s; longer timeouts are found by the exact comparison below.
        let coarse = self.config.inactive_secs.min(0x8000) as u16;
        let mut idle = std::mem::take(&mut self.idle);
        self.table.sweep(lines, now.secs(), coarse, &mut idle);
        for slot in idle.drain(..) {
            let flow = self.table.flow(slot);
            if now.secs().saturating_sub(flow.last.secs()) >= self.config.inactive_secs {
                let reason = quiet_reason(flow);
                self.end(slot, reason as u8, true, batch);
            }
        }
        self.idle = idle;
    }

    /// Ends every flow (end of input, shutdown); hands batches over through `full` whenever one has filled. `now` is the time of the
    /// newest packet: a flow that is quiet too long by then has ended by itself, whether or not the sweep came by. The original
    /// calls all of them forced.
    pub fn flush(&mut self, now: Time, batch: &mut Batch, mut full: impl FnMut(&mut Batch)) {
        let live: Vec<Slot> = self.table.slots().collect();
        for slot in live {
            let flow = self.table.flow(slot);
            let quiet = now.secs().saturating_sub(flow.last.secs()) >= self.config.inactive_secs;
            let reason = if quiet && !self.config.face.is_original() { quiet_reason(flow) } else { EndReason::Forced };
            self.end(slot, reason as u8, true, batch);
            if batch.is_full() {
                full(batch);
            }
        }
    }

    /// Whether the packet finds its flow already over, and why.
    #[inline(always)]
    fn over(&self, flow: &Flow, p: &Packet, direction: Direction) -> Option<EndReason> {
        if restarts(flow, p, direction) {
            return Some(EndReason::EndOfFlow);
        }
        let now = p.at.secs();
        if now.saturating_sub(flow.last.secs()) >= self.config.inactive_secs {
            return Some(quiet_reason(flow));
        }
        (now.saturating_sub(flow.first.secs()) >= self.config.active_secs).then_some(EndReason::Active)
    }

    fn open(&mut self, view: PacketView<'_, '_>, batch: &mut Batch) {
        let p = view.packet;
        let slot = match self.table.room(p.hash, p.at.secs()) {
            Ok(free) => free,
            Err(victim) => {
                self.end(victim, EndReason::LackOfResources as u8, true, batch);
                victim
            }
        };
        let (src_mac, dst_mac) = view.macs();
        let flow = Flow { first: p.at, src_mac, dst_mac, reversed: p.reversed, ..Flow::of(p.key) };
        self.table.insert(slot, p.hash, flow);
        self.stats.opened += 1;
        self.count(slot, p, Direction::Forward);
        self.begin(slot, view, Direction::Forward, batch);
    }

    /// Shows a flow's first packet to the plugins; any of them may export it at once.
    fn begin(&mut self, slot: Slot, view: PacketView<'_, '_>, direction: Direction, batch: &mut Batch) {
        let wish = self.ask(slot, view, direction, Moment::First);
        if wish.flush || wish.reinsert {
            // The original forgets to say why (spec/exporter.md 14 #3), and skips the plugins' last word (#4).
            let (reason, last_word) =
                if self.config.face.is_original() { (0, false) } else { (EndReason::Forced as u8, true) };
            self.end(slot, reason, last_word, batch);
        }
    }

    /// A plugin asked for the record to be exported now (spec/exporter.md 9.5).
    fn cut(
        &mut self,
        slot: Slot,
        view: PacketView<'_, '_>,
        direction: Direction,
        wish: Wish,
        when: Moment,
        batch: &mut Batch,
    ) {
        let original = self.config.face.is_original();
        if !wish.reinsert {
            if when == Moment::Before {
                if original {
                    self.stats.uncounted += 1;
                } else {
                    self.count(slot, view.packet, direction);
                }
            }
            return self.end(slot, EndReason::Forced as u8, !original, batch);
        }
        let flow = *self.table.flow(slot);
        self.export(slot, EndReason::Forced as u8, !original, batch);
        let next = self.table.flow_mut(slot);
        *next = Flow { first: flow.last, bytes: [0; 2], packets: [0; 2], tcp_flags: [0; 2], row: next.row, ..flow };
        self.stats.continued += 1;
        self.count(slot, view.packet, direction);
        self.begin(slot, view, direction, batch);
    }

    #[inline(always)]
    fn count(&mut self, slot: Slot, p: &Packet, direction: Direction) {
        let d = direction as usize;
        let flow = self.table.flow_mut(slot);
        flow.bytes[d] += p.ip_len as u64;
        flow.packets[d] += 1;
        flow.tcp_flags[d] |= p.tcp_flags;
        flow.last = p.at;
        self.table.touch(slot, p.at.secs());
        self.stats.packets += 1;
        self.stats.bytes += p.ip_len as u64;
    }

    #[inline(always)]
    fn ask(&mut self, slot: Slot, view: PacketView<'_, '_>, direction: Direction, when: Moment) -> Wish {
        let flow = self.table.flow(slot);
        if flow.interest == 0 && when != Moment::First {
            return Wish::default();
        }
        let (mut row, mut interest) = (flow.row, flow.interest);
        let ctx = Context { packet: view, direction, flow };
        let wish = match when {
            Moment::First => self.plugins.create(&ctx, &mut row, &mut interest),
            Moment::Before => self.plugins.before(&ctx, &mut row, &mut interest),
            Moment::After => self.plugins.after(&ctx, &mut row, &mut interest),
        };
        let flow = self.table.flow_mut(slot);
        flow.row = row;
        flow.interest = interest;
        wish
    }

    fn end(&mut self, slot: Slot, reason: u8, last_word: bool, batch: &mut Batch) {
        self.export(slot, reason, last_word, batch);
        self.table.remove(slot);
    }

    /// Hands the flow's record to the batch and takes back what the plugins keep of it.
    fn export(&mut self, slot: Slot, reason: u8, last_word: bool, batch: &mut Batch) {
        let flow = self.table.flow(slot);
        if last_word {
            self.plugins.end(flow, flow.row);
        }
        batch.push(flow, reason, &mut self.plugins);
        self.stats.ended[reason as usize] += 1;
        self.stats.exported_packets += flow.packets[0] as u64 + flow.packets[1] as u64;
        self.stats.exported_bytes += flow.bytes[0] + flow.bytes[1];
        let flow = self.table.flow_mut(slot);
        self.plugins.release(&mut flow.row);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    First,
    Before,
    After,
}

/// A SYN in a direction that was already closed begins a new connection.
#[inline(always)]
fn restarts(flow: &Flow, p: &Packet, direction: Direction) -> bool {
    p.tcp_flags & tcp::SYN != 0 && flow.tcp_flags[direction as usize] & (tcp::FIN | tcp::RST) != 0
}

/// Why a quiet flow ended: a closed connection ended by itself.
fn quiet_reason(flow: &Flow) -> EndReason {
    if (flow.tcp_flags[0] | flow.tcp_flags[1]) & (tcp::FIN | tcp::RST) != 0 {
        EndReason::EndOfFlow
    } else {
        EndReason::Idle
    }
}
