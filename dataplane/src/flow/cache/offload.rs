//! The cache's part in offloading: which flows are offered, and what a credit changes (see [`crate::flow::offload`]).
use super::{Cache, Slot, hand_over};
use crate::batch::Batch;
use crate::flow::Flow;
use crate::flow::offload::{Answer, Credit, Held, Lending, OffloadStats};
use crate::packet::{Fragment, Packet, protocol, tcp};
use crossbeam_channel::{RecvTimeoutError, TryRecvError};
use record::Time;
use std::time::{Duration, Instant};

/// Answers heard between two bursts: as many records may end by it, for which a batch has room.
const HEARD_MAX: usize = 64;
/// A flow that is cut before is not worth offering.
const LIFE_LEAST_NS: u64 = 500_000_000;
/// How long before its cut a flow comes back, so that the packet which cuts it is seen.
const BACK_BEFORE_NS: u64 = 50_000_000;
/// Half of what the counter of packets holds: more come with the credit, and a flow comes back before it is the other half.
const PACKETS_MAX: u64 = 1 << 31;
/// Ethernet header and four tags: what the program follows to the IP header.
const LINK_MAX: u16 = 14 + 4 * 4;
/// At the end, how long to wait for another credit.
const PATIENCE: Duration = Duration::from_secs(10);

impl Cache {
    /// Flows are offered from now on.
    pub fn lend(&mut self, lending: Lending) {
        self.lending = Some(Box::new(lending));
    }

    /// Offers the flows of a burst that has been counted, where nothing but counts is wanted of them any more.
    #[inline(never)]
    pub(crate) fn offer(&mut self, packets: &[Packet]) {
        let Some(lending) = &mut self.lending else { return };
        let threshold = u64::from(lending.threshold());
        for p in packets {
            let counts_alike = matches!(p.protocol, protocol::TCP | protocol::UDP) && p.l3 <= LINK_MAX;
            if p.key.is_none() || !counts_alike || p.fragment != Fragment::No {
                continue;
            }
            let Some(slot) = self.table.find(p.hash, &p.key) else { continue };
            let flow = self.table.flow_mut(slot);
            let ends = p.tcp_flags & (tcp::FIN | tcp::SYN | tcp::RST) != 0;
            if flow.standing.is_lent() {
                // All its packets come here after such a one.
                if ends {
                    lending.ask_back(flow.standing.ticket());
                }
                continue;
            }
            let count = flow.packets_total();
            let due = threshold != 0 && count >= threshold && flow.standing.is_due(count) && count < PACKETS_MAX;
            if !due || ends || flow.has_interest() {
                continue;
            }
            let cut = flow.first.secs().saturating_add(self.config.active_secs).saturating_mul(1_000_000_000);
            let left = cut.saturating_sub(p.at.0);
            if left >= LIFE_LEAST_NS {
                let within = Duration::from_nanos(left - BACK_BEFORE_NS);
                flow.standing = lending.offer(p.key, p.hash, count, within);
            }
        }
    }

    /// Hears what was counted elsewhere.
    #[inline(never)]
    pub(crate) fn hear(&mut self, batch: &mut Batch) {
        let Some(mut lending) = self.lending.take() else { return };
        lending.ask_again();
        for _ in 0..HEARD_MAX {
            let answer = match lending.answers.try_recv() {
                Ok(answer) => answer,
                Err(TryRecvError::Empty) => break,
                // Nobody counts any more. The flows go on here, and the books will show what was lost.
                Err(TryRecvError::Disconnected) => match lending.any() {
                    Some(ticket) => Answer::Credit(Credit { ticket, ..Credit::default() }),
                    None => break,
                },
            };
            self.apply(&mut lending, answer, batch);
        }
        self.lending = Some(lending);
    }

    /// Takes all flows back and waits for their counts; none is offered after this. If they do not come, the books will show it.
    pub(crate) fn recall(&mut self, batch: &mut Batch, full: &mut impl FnMut(&mut Batch)) {
        let Some(mut lending) = self.lending.take() else { return };
        lending.ask_all_back();
        let mut patience = Instant::now() + PATIENCE;
        while lending.in_use() > 0 && Instant::now() < patience {
            lending.ask_again();
            match lending.answers.recv_timeout(Duration::from_millis(10)) {
                Ok(answer) => {
                    if matches!(answer, Answer::Credit(_)) {
                        patience = Instant::now() + PATIENCE;
                    }
                    self.apply(&mut lending, answer, batch);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if batch.is_full() {
                full(batch);
            }
        }
        while let Some(ticket) = lending.any() {
            self.apply(&mut lending, Answer::Credit(Credit { ticket, ..Credit::default() }), batch);
            if batch.is_full() {
                full(batch);
            }
        }
        self.lent_before = lending.stats();
    }

    pub(crate) fn offload_stats(&self) -> OffloadStats {
        self.lending.as_ref().map_or(self.lent_before, |lending| lending.stats())
    }

    /// Flows that have left the table and wait for their counts.
    pub(super) fn held(&self) -> usize {
        self.lending.as_ref().map_or(0, |lending| lending.held)
    }

    /// Keeps a flow that ends before its counts have come; false if it need not be kept.
    #[cold]
    pub(super) fn hold(&mut self, slot: Slot, reason: u8, last_word: bool) -> bool {
        let Some(lending) = &mut self.lending else { return false };
        let flow = self.table.flow_mut(slot);
        lending.hold(Held { flow: *flow, reason, last_word });
        // What plugins keep goes with it.
        flow.row = crate::plugin::NONE;
        flow.standing = Default::default();
        true
    }

    /// A flow looks quiet: whether it is, its counts will tell.
    #[cold]
    pub(super) fn ask_back(&mut self, slot: Slot) {
        if let Some(lending) = &mut self.lending {
            lending.ask_back(self.table.flow(slot).standing.ticket());
        }
    }

    fn apply(&mut self, lending: &mut Lending, answer: Answer, batch: &mut Batch) {
        match answer {
            Answer::Progress { ticket, last } => {
                if let Some((key, hash)) = lending.live(ticket)
                    && let Some(slot) = self.table.find(hash, &key)
                {
                    self.saw(slot, last);
                }
            }
            Answer::Credit(credit) => self.credit(lending, &credit, batch),
        }
    }

    fn credit(&mut self, lending: &mut Lending, credit: &Credit, batch: &mut Batch) {
        let Some(returned) = lending.give_back(credit.ticket) else { return };
        let (packets, bytes) = (credit.packets_total(), credit.bytes[0] + credit.bytes[1]);
        lending.stats.packets += packets;
        lending.stats.bytes += bytes;
        self.stats.packets += packets;
        self.stats.bytes += bytes;
        if let Some(Held { mut flow, reason, last_word }) = returned.held {
            add(&mut flow, credit);
            flow.last = flow.last.max(self.config.face.time(credit.last));
            hand_over(&mut flow, reason, last_word, &mut self.plugins, &mut self.stats, batch);
        } else if let Some(slot) = self.table.find(returned.hash, &returned.key) {
            // A flow that is lent leaves the table by `hold` only, so this is the one that the ticket is for.
            let flow = self.table.flow_mut(slot);
            debug_assert_eq!(flow.standing.ticket(), credit.ticket);
            add(flow, credit);
            // One of which nothing was counted is not worth the trouble for a while.
            let count = flow.packets_total();
            flow.standing = lending.after(if packets == 0 { count.saturating_mul(2) } else { count });
            self.saw(slot, credit.last);
        }
    }

    /// Notes when a flow had a packet last.
    fn saw(&mut self, slot: Slot, last: Time) {
        let last = self.config.face.time(last);
        let flow = self.table.flow_mut(slot);
        if last > flow.last {
            flow.last = last;
            self.table.touch(slot, last.secs());
        }
    }
}

fn add(flow: &mut Flow, credit: &Credit) {
    for (from_second, (packets, bytes)) in credit.packets.iter().zip(credit.bytes).enumerate() {
        let direction = from_second ^ usize::from(flow.reversed);
        // PACKETS_MAX sees to it that they fit.
        flow.packets[direction] = flow.packets[direction].saturating_add(u32::try_from(*packets).unwrap_or(u32::MAX));
        flow.bytes[direction] += bytes;
        flow.tcp_flags[direction] |= credit.tcp_flags[from_second];
    }
}
