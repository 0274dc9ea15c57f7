//! The flow cache: counts packets into flows, ends flows, and hands them with their extensions to a batch.
//!
//! The order of steps for a packet is that of the original (spec/exporter.md 9.4), so that `Face::Ipfixprobe` gives its records;
//! keys are compared in full and bursts are prefetched, which is ours. Time comes from the packets.
use crate::batch::Batch;
use crate::capture::{BURST, Frame, Observed};
use crate::flow::offload::{Lending, OffloadStats};
use crate::flow::table::{Slot, Table, WAYS};
use crate::flow::{EndReason, Flow};
use crate::packet::{Direction, Packet, PacketView};
use crate::plugin::Context;
use crate::registry::{self, Hook, PluginSet, Plugins, Wish};
use record::Time;
use std::io;

pub use config::CacheConfig;
use ends::{quiet_reason, restarts, surely_goes_on};
pub use stats::CacheStats;

/// Packets for which the expiry sweep looks at one more tag line: 16 flows for 2 packets is the pace of the original.
const PACKETS_PER_LINE: usize = 2;

/// What part of the timeout of quiet flows goes by between two rounds of the sweep.
const SWEEP_PART: u64 = 8;

/// Length of a cache line, bytes.
const LINE: usize = 64;

/// Flows that end together, whose memory is asked for ahead.
const ENDING: usize = 8;

/// The live flows of one lane.
pub struct Cache {
    table: Table,
    plugins: Plugins,
    config: CacheConfig,
    stats: CacheStats,
    idle: Vec<Slot>,
    /// Flows whose packets are counted elsewhere, if there is somebody who does; and the books of that when it is over.
    lending: Option<Box<Lending>>,
    lent_before: OffloadStats,
    sweep_debt: usize,
    /// Of the packet at hand, if it may begin a flow.
    observed: Observed,
    /// Seconds from the beginning of one round of the sweep to that of the next, at the least.
    sweep_pause: u64,
    /// Differences of time below which the timeouts, which compare whole seconds, cannot have been reached.
    active_sure_ns: u64,
    quiet_sure_ns: u64,
    /// Timeout of quiet flows, the shortest if there are several; seconds.
    inactive_least_secs: u64,
}

impl Cache {
    pub fn new(config: CacheConfig, plugins: Plugins) -> io::Result<Cache> {
        let table = Table::new(config.shape)?;
        let idle = Vec::with_capacity(table.capacity());
        // Two times that are less than n - 1 seconds apart lie in seconds that are less than n apart.
        let sure = |secs: u64| secs.saturating_sub(1).saturating_mul(1_000_000_000);
        let (inactive_least_secs, active_least_secs) =
            config.timeouts.map_or((config.inactive_secs, config.active_secs), |all| all.shortest());
        Ok(Cache {
            table,
            plugins,
            config,
            stats: CacheStats::default(),
            idle,
            lending: None,
            lent_before: OffloadStats::default(),
            sweep_debt: 0,
            observed: Observed::default(),
            // A quiet flow lives on by so much at the most. The original's reasons of last records depend on its pace ([`Cache::flush`]).
            sweep_pause: if config.face.is_original() { 1 } else { (inactive_least_secs / SWEEP_PART).max(1) },
            active_sure_ns: sure(active_least_secs),
            quiet_sure_ns: sure(inactive_least_secs),
            inactive_least_secs,
        })
    }

    pub fn stats(&self) -> &CacheStats {
        &self.stats
    }
    /// Flows whose record is still to come.
    pub fn live(&self) -> usize {
        self.table.live() + self.held()
    }
    /// Tag lines of the table.
    pub(crate) fn lines(&self) -> usize {
        self.table.capacity() / WAYS
    }
    pub fn plugins(&self) -> &Plugins {
        &self.plugins
    }

    /// Asks for the tag line of a packet ahead of [`Cache::burst`].
    #[inline(always)]
    pub fn prefetch_tags(&self, hash: u64) {
        self.table.prefetch_tags(hash);
    }

    /// Notes in each packet of a burst which plugins its payload is worth a look to: [`Cache::burst`] goes by it.
    #[inline(always)]
    pub fn look(&self, packets: &mut [Packet], frames: &[Frame<'_>]) {
        self.plugins.look(packets, frames);
    }

    /// Counts the packets of a burst; flows that end by it go to `batch`. `frames` are those that the packets were decoded from, in the
    /// same order; a packet without a key is passed over. All flows are asked for before the first is looked at; and, where `ahead` is not 0, all
    /// but the first line of what stands so far ahead of each frame ([`CaptureSource::ahead`](crate::capture::CaptureSource::ahead)).
    #[inline]
    pub fn burst(&mut self, packets: &[Packet], frames: &[Frame<'_>], ahead: usize, batch: &mut Batch) {
        let mut places = [Slot::default(); BURST];
        // Those of new flows are found behind the loop, which is short and without a call.
        let mut new = 0u64;
        let are_resident = self.plugins.are_resident();
        for (at, (packet, place)) in packets.iter().zip(&mut places).enumerate() {
            let both = (packet.ip_version != 4) | registry::has_content(packet) | are_resident;
            match self.table.prefetch_known(packet.hash, both) {
                Some(known) => *place = known,
                None => new |= 1 << at,
            }
        }
        while new != 0 {
            let at = new.trailing_zeros() as usize;
            places[at] = self.table.prefetch_room(packets[at].hash, packets[at].at.secs());
            new &= new - 1;
        }
        if are_resident {
            self.prefetch_kept(&places[..packets.len().min(BURST)]);
        }
        let (mut others, mut bytes) = (0, 0);
        let bytes_of = |at: usize| frames.get(at).map_or(&[][..], |frame| frame.bytes);
        for (at, (packet, place)) in packets.iter().zip(&places).enumerate() {
            if ahead != 0 {
                let frame = bytes_of(at);
                sys::prefetch_bytes(frame, ahead + LINE..ahead + frame.len() + LINE);
            }
            match self.turn(*place, packet) {
                Turn::Counted => bytes += u64::from(packet.ip_len),
                Turn::Watched => {
                    others += 1;
                    self.sweep_debt += 1;
                    self.show(*place, PacketView { packet, bytes: bytes_of(at) }, batch);
                }
                Turn::Unclear => {
                    others += 1;
                    // No flow has no key: without one a packet comes here.
                    if !packet.key.is_none() {
                        self.observed = frames.get(at).map_or_else(Observed::default, |frame| frame.observed);
                        self.packet(PacketView { packet, bytes: bytes_of(at) }, batch);
                    }
                }
            }
        }
        let counted = packets.len().min(BURST) - others;
        self.sweep_debt += counted;
        self.stats.packets += counted as u64;
        self.stats.bytes += bytes;
    }

    /// Counts a packet into a flow that is where it was expected, far from its end, and which no plugin wants to see: most packets
    /// of most flows. The books are the caller's.
    #[inline(always)]
    fn turn(&mut self, place: Slot, p: &Packet) -> Turn {
        let Some((flow, seen)) = self.table.at(place, p.hash, &p.key) else { return Turn::Unclear };
        if !surely_goes_on(flow, p, self.quiet_sure_ns, self.active_sure_ns) {
            return Turn::Unclear;
        }
        if flow.has_interest() && (flow.may_interest(shown(flow, p)) || self.plugins.is_spent(flow)) {
            return Turn::Watched;
        }
        flow.count(p, flow.direction_of(p));
        *seen = p.at.secs() as u16;
        Turn::Counted
    }

    /// Counts a packet that was [looked at](Cache::look), whatever it means for its flow.
    #[inline(never)]
    pub fn packet(&mut self, view: PacketView<'_, '_>, batch: &mut Batch) {
        self.sweep_debt += 1;
        let p = view.packet;
        let Some(slot) = self.table.find(p.hash, &p.key) else { return self.open(view, batch) };
        let flow = self.table.flow(slot);
        match self.over(flow, p) {
            Some(reason) => self.start_again(slot, reason, view, batch),
            None => self.show(slot, view, batch),
        }
    }

    /// Counts a packet into its flow, which goes on, and shows it to the plugins that want to see it.
    #[inline(never)]
    fn show(&mut self, slot: Slot, view: PacketView<'_, '_>, batch: &mut Batch) {
        let p = view.packet;
        let direction = self.table.flow(slot).direction_of(p);
        let wanted = self.wanted(slot, p);
        if wanted & Hook::Before.set() != 0 {
            let wish = self.ask(slot, view, direction, wanted, Hook::Before);
            if wish.is_cut() {
                return self.cut(slot, view, wish, Hook::Before, batch);
            }
        }
        self.count(slot, p, direction);
        if wanted & Hook::After.set() != 0 {
            let wish = self.ask(slot, view, direction, wanted, Hook::After);
            if wish.is_cut() {
                self.cut(slot, view, wish, Hook::After, batch);
            }
        }
    }

    /// The packet found its flow over: ends it and begins another.
    #[cold]
    fn start_again(&mut self, slot: Slot, reason: EndReason, view: PacketView<'_, '_>, batch: &mut Batch) {
        // The original skips the plugins' last word when a SYN restarts a flow (spec/exporter.md 9.4 step 5).
        let restarted = reason == EndReason::EndOfFlow && restarts(self.table.flow(slot), view.packet);
        self.end(slot, reason as u8, !(self.config.face.is_original() && restarted), batch);
        self.open(view, batch);
    }

    /// The plugins that have to see a packet of a live flow; for most packets none, which is found out from the flow's first line.
    #[inline(always)]
    fn wanted(&mut self, slot: Slot, p: &Packet) -> PluginSet {
        let flow = self.table.flow(slot);
        if !flow.has_interest() {
            return 0;
        }
        if self.plugins.is_spent(flow) {
            let left = self.plugins.spend(flow.row, flow.interest());
            self.table.flow_mut(slot).set_interest(left);
        }
        let flow = self.table.flow(slot);
        flow.interest() & shown(flow, p)
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

    pub(crate) fn sweep_lines(&mut self, lines: usize, now: Time, batch: &mut Batch) {
        // Times in tag lines wrap after 65536 s; longer timeouts are found by the exact comparison below.
        let coarse = self.inactive_least_secs.min(0x8000) as u16;
        let mut idle = std::mem::take(&mut self.idle);
        self.table.sweep(lines, now.secs(), coarse, self.sweep_pause, &mut idle);
        for group in idle.chunks(ENDING) {
            self.warm(group);
            for slot in group {
                let flow = self.table.flow(*slot);
                if self.is_quiet(flow, now) {
                    if flow.standing.is_lent() {
                        self.ask_back(*slot);
                        continue;
                    }
                    let reason = quiet_reason(flow);
                    self.end(*slot, reason as u8, true, batch);
                }
            }
        }
        idle.clear();
        self.idle = idle;
    }

    /// Ends every flow (end of input, shutdown); hands batches over through `full` whenever one has filled. `now` is the time of the
    /// newest packet: a flow that is quiet too long by then has ended by itself, whether or not the sweep came by. The original
    /// calls all of them forced.
    pub fn flush(&mut self, now: Time, batch: &mut Batch, mut full: impl FnMut(&mut Batch)) {
        let live: Vec<Slot> = self.table.slots().collect();
        for group in live.chunks(ENDING) {
            self.warm(group);
            for slot in group {
                let flow = self.table.flow(*slot);
                let quiet = self.is_quiet(flow, now);
                let reason =
                    if quiet && !self.config.face.is_original() { quiet_reason(flow) } else { EndReason::Forced };
                self.end(*slot, reason as u8, true, batch);
                if batch.is_full() {
                    full(batch);
                }
            }
        }
    }

    /// Whether the packet finds its flow already over, and why.
    #[inline(always)]
    fn over(&self, flow: &Flow, p: &Packet) -> Option<EndReason> {
        if surely_goes_on(flow, p, self.quiet_sure_ns, self.active_sure_ns) {
            return None;
        }
        if restarts(flow, p) {
            return Some(EndReason::EndOfFlow);
        }
        // One that is lent only looks quiet.
        if self.is_quiet(flow, p.at) && !flow.standing.is_lent() {
            return Some(quiet_reason(flow));
        }
        let active_secs = self.config.timeouts.as_ref().map_or(self.config.active_secs, |all| all.active_secs(flow));
        (p.at.secs().saturating_sub(flow.first.secs()) >= active_secs).then_some(EndReason::Active)
    }

    /// Whether a flow has been quiet for its timeout.
    #[inline(always)]
    fn is_quiet(&self, flow: &Flow, now: Time) -> bool {
        let timeout = match &self.config.timeouts {
            None => self.config.inactive_secs,
            Some(all) => all.inactive_secs(flow),
        };
        now.secs().saturating_sub(flow.last.secs()) >= timeout
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
        let flow = Flow {
            first: p.at,
            src_mac,
            dst_mac,
            reversed: p.reversed,
            interface: self.config.interface.wrapping_add(self.observed.interface().into()),
            heading: self.observed.direction(),
            ..Flow::of(p.key)
        };
        self.table.insert(slot, p.hash, flow);
        self.stats.opened += 1;
        self.count(slot, p, Direction::Forward);
        self.begin(slot, view, Direction::Forward, batch);
    }

    /// Shows a flow's first packet to the plugins; any of them may export it at once.
    fn begin(&mut self, slot: Slot, view: PacketView<'_, '_>, direction: Direction, batch: &mut Batch) {
        let interest = self.plugins.interest_at_first(view.packet);
        let wanted = interest & view.packet.content;
        let flow = self.table.flow_mut(slot);
        flow.set_interest(interest);
        flow.eager = false;
        if wanted == 0 {
            return;
        }
        let wish = self.ask(slot, view, direction, wanted, Hook::Create);
        if wish.is_cut() {
            // The original forgets to say why (spec/exporter.md 14 #3), and skips the plugins' last word (#4).
            let (reason, last_word) =
                if self.config.face.is_original() { (0, false) } else { (EndReason::Forced as u8, true) };
            self.end(slot, reason, last_word, batch);
        }
    }

    /// A plugin asked for the record to be exported now (spec/exporter.md 9.5).
    fn cut(&mut self, slot: Slot, view: PacketView<'_, '_>, wish: Wish, when: Hook, batch: &mut Batch) {
        let direction = self.table.flow(slot).direction_of(view.packet);
        let original = self.config.face.is_original();
        if !wish.is_reinsert() {
            if matches!(when, Hook::Before) {
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
        let standing = Default::default();
        *next = Flow {
            first: flow.last,
            bytes: [0; 2],
            packets: [0; 2],
            tcp_flags: [0; 2],
            row: next.row,
            standing,
            ..flow
        };
        self.stats.continued += 1;
        self.count(slot, view.packet, direction);
        self.begin(slot, view, direction, batch);
    }

    #[inline(always)]
    fn count(&mut self, slot: Slot, p: &Packet, direction: Direction) {
        self.table.flow_mut(slot).count(p, direction);
        self.table.touch(slot, p.at.secs());
        self.stats.packets += 1;
        self.stats.bytes += p.ip_len as u64;
    }

    /// Shows a packet to those of the `wanted` plugins that have the hook and are still interested.
    #[inline(never)]
    fn ask(
        &mut self,
        slot: Slot,
        view: PacketView<'_, '_>,
        direction: Direction,
        wanted: PluginSet,
        hook: Hook,
    ) -> Wish {
        let flow = self.table.flow(slot);
        let (mut row, mut interest) = (flow.row, flow.interest());
        let ctx = Context { packet: view, direction, flow };
        let wish = self.plugins.call(hook, wanted & interest & hook.set(), &ctx, &mut row, &mut interest);
        let flow = self.table.flow_mut(slot);
        flow.row = row;
        flow.set_interest(interest);
        flow.eager |= wish.is_eager();
        wish
    }

    fn end(&mut self, slot: Slot, reason: u8, last_word: bool, batch: &mut Batch) {
        self.export(slot, reason, last_word, batch);
        self.table.remove(slot);
    }

    /// Hands the flow's record to the batch and takes back what the plugins keep of it.
    fn export(&mut self, slot: Slot, reason: u8, last_word: bool, batch: &mut Batch) {
        if self.table.flow(slot).standing.is_lent() && self.hold(slot, reason, last_word) {
            return;
        }
        hand_over(self.table.flow_mut(slot), reason, last_word, &mut self.plugins, &mut self.stats, batch);
    }
}

#[inline(always)]
fn hand_over(
    flow: &mut Flow,
    reason: u8,
    last_word: bool,
    plugins: &mut Plugins,
    stats: &mut CacheStats,
    batch: &mut Batch,
) {
    batch.push(flow, reason, last_word, plugins);
    stats.ended[reason as usize] += 1;
    stats.exported_packets += flow.packets_total();
    stats.exported_bytes += flow.bytes[0] + flow.bytes[1];
    plugins.close(&mut flow.row);
}

/// What is to be done about a packet whose flow was asked for ahead.
enum Turn {
    /// Nothing more.
    Counted,
    /// The flow goes on and is where it was expected, but plugins may want to see the packet.
    Watched,
    /// All there is to it.
    Unclear,
}

/// The plugins that have to see a later packet of a flow if they are not done with it: those whose look at the content lets it pass. A
/// plugin in the midst of something ([`Step::Each`](crate::plugin::Step::Each)) sees the packets whatever they begin with, and the others with it.
#[inline(always)]
fn shown(flow: &Flow, p: &Packet) -> PluginSet {
    let present = if p.payload_len == 0 { !registry::PAYLOAD_ONLY } else { !0 };
    present & if flow.eager { !0 } else { p.content }
}

mod ahead;
mod config;
mod ends;
mod offload;
mod stats;
#[cfg(test)]
mod tests;
