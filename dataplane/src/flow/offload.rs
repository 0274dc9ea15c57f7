//! Flows whose packets are counted before they reach the lane (`ebpf::Offload`), as their lane sees it.
//!
//! A lane that needs no more of a flow than its counts asks, with a ticket, for the packets to be counted elsewhere; whoever does so
//! (the [counter](crate::capture::offload)) answers one [`Credit`] for each ticket, whatever happens: what was counted until the flow
//! came back, or that it was not taken. Until then no record of the flow is exported. One that has to end before waits with its
//! ticket, so there is room for it, and gets the counts when they come: no packet is counted twice or lost in any order of events.
//!
//! Queues are bounded. That of questions may be full: then a flow is not offered now, and one to be taken back is asked for again. That
//! of answers has a place for the credit of each ticket.
use crate::flow::{Flow, FlowKey};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use record::Time;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Tickets of a lane: flows of it that are counted elsewhere at a time, some 256 bytes each.
pub const TICKETS_MAX: usize = 8192;
/// Questions of all lanes of an interface that wait.
const ASKS_MAX: usize = 4096;
/// No ticket.
const NONE: u32 = 0;

/// What stands in a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Number of the ticket, from 1; 0: all packets come here.
    ticket: u32,
    /// With fewer packets it is not offered again.
    offer_at: u32,
}

impl Standing {
    /// Whether packets of the flow are counted elsewhere.
    #[inline(always)]
    pub(crate) fn is_lent(self) -> bool {
        self.ticket != NONE
    }

    pub(super) fn ticket(self) -> u32 {
        self.ticket
    }

    pub(super) fn is_due(self, packets: u64) -> bool {
        packets >= u64::from(self.offer_at)
    }
}

/// How many packets of a flow its lane sees before it offers it; 0: none is offered. Can be changed at any time, from any thread.
#[derive(Clone, Debug, Default)]
pub struct Threshold(Arc<AtomicU32>);

impl Threshold {
    pub fn new(packets: u32) -> Threshold {
        Threshold(Arc::new(AtomicU32::new(packets)))
    }

    pub fn set(&self, packets: u32) {
        self.0.store(packets, Ordering::Relaxed);
    }
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a lane asks of the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    pub lane: u32,
    pub ticket: u32,
    pub what: Wanted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Count the packets of this flow; it comes back by itself after this time at the latest.
    Count { key: FlowKey, within: Duration },
    /// The flow back; one that is back already is not meant.
    Back,
}

/// What the counter says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The flow goes on.
    Progress {
        ticket: u32,
        last: Time,
    },
    Credit(Credit),
}

/// What was counted for a ticket, which is over with it. Index 0 is the direction from the lower endpoint of the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credit {
    pub ticket: u32,
    pub packets: [u64; 2],
    /// IP bytes.
    pub bytes: [u64; 2],
    pub tcp_flags: [u8; 2],
    /// When the last packet came; 0 if none did.
    pub last: Time,
}

impl Credit {
    pub fn packets_total(&self) -> u64 {
        self.packets[0] + self.packets[1]
    }
}

/// The books of a lane's offloading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OffloadStats {
    /// Flows that were lent, each time.
    pub lent: u64,
    /// Of those, now.
    pub out: u64,
    /// Flows that stayed because the queue of questions or the tickets were used up.
    pub refused: u64,
    /// Packets and IP bytes that came back as credits.
    pub packets: u64,
    pub bytes: u64,
}

impl OffloadStats {
    pub fn merge(&mut self, other: &OffloadStats) {
        self.lent += other.lent;
        self.out += other.out;
        self.refused += other.refused;
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
}

/// Makes the ends of so many lanes and that of their counter.
pub fn offload(lanes: u32, threshold: &Threshold) -> (Vec<Lending>, CounterEnd) {
    let (asks, asked) = bounded(ASKS_MAX);
    let tickets = (ebpf::FLOWS_MAX as usize / lanes.max(1) as usize).clamp(1, TICKETS_MAX);
    let (mut ends, mut answers) = (Vec::new(), Vec::new());
    for lane in 0..lanes {
        let (answer, answered) = bounded(2 * tickets);
        answers.push(answer);
        ends.push(Lending::new(lane, tickets, threshold.clone(), asks.clone(), answered));
    }
    (ends, CounterEnd { threshold: threshold.clone(), asked, answers, tickets })
}

/// The counter's end of the queues.
pub struct CounterEnd {
    threshold: Threshold,
    asked: Receiver<Ask>,
    answers: Vec<Sender<Answer>>,
    tickets: usize,
}

impl CounterEnd {
    pub fn threshold(&self) -> u32 {
        self.threshold.get()
    }

    /// Questions, in the order in which each lane asked; it is disconnected when all lanes have ended.
    pub fn asked(&self) -> &Receiver<Ask> {
        &self.asked
    }

    /// Gives a ticket back. There is room for it as long as each ticket has one credit; a lane that has ended needs none.
    pub fn credit(&self, lane: u32, credit: Credit) {
        if let Some(answers) = self.answers.get(lane as usize) {
            let _ = answers.try_send(Answer::Credit(credit));
        }
    }

    /// Says that a flow goes on, unless the lane has too much to read already.
    pub fn progress(&self, lane: u32, ticket: u32, last: Time) {
        if let Some(answers) = self.answers.get(lane as usize)
            && answers.len() < self.tickets
        {
            let _ = answers.try_send(Answer::Progress { ticket, last });
        }
    }
}

/// A lane's end: its tickets.
pub struct Lending {
    lane: u32,
    threshold: Threshold,
    asks: Sender<Ask>,
    pub(super) answers: Receiver<Answer>,
    tickets: Vec<Ticket>,
    free: Vec<u32>,
    /// Tickets whose flow is wanted back, when there is room for the question.
    unasked: Vec<u32>,
    /// Flows that have ended and wait.
    pub(super) held: usize,
    pub(super) stats: OffloadStats,
}

struct Ticket {
    key: FlowKey,
    hash: u64,
    in_use: bool,
    wanted_back: bool,
    /// The flow, if it has left the table.
    held: Option<Held>,
}

/// A flow that has ended but for its counts.
pub(super) struct Held {
    pub(super) flow: Flow,
    pub(super) reason: u8,
    pub(super) last_word: bool,
}

/// What a ticket was for.
pub(super) struct Returned {
    pub(super) key: FlowKey,
    pub(super) hash: u64,
    pub(super) held: Option<Held>,
}

impl Lending {
    fn new(lane: u32, tickets: usize, threshold: Threshold, asks: Sender<Ask>, answers: Receiver<Answer>) -> Lending {
        let ticket = || Ticket { key: FlowKey::default(), hash: 0, in_use: false, wanted_back: false, held: None };
        Lending {
            lane,
            threshold,
            asks,
            answers,
            tickets: (0..tickets).map(|_| ticket()).collect(),
            free: (1..=tickets as u32).rev().collect(),
            unasked: Vec::with_capacity(tickets),
            held: 0,
            stats: OffloadStats::default(),
        }
    }

    /// Packets that a flow needs to be offered; 0: none is.
    pub(super) fn threshold(&self) -> u32 {
        self.threshold.get()
    }

    pub(super) fn stats(&self) -> OffloadStats {
        OffloadStats { out: self.in_use() as u64, ..self.stats }
    }

    pub(super) fn in_use(&self) -> usize {
        self.tickets.len() - self.free.len()
    }

    /// Offers a flow; answers what is to stand in it.
    pub(super) fn offer(&mut self, key: FlowKey, hash: u64, packets: u64, within: Duration) -> Standing {
        // Questions that wait come first: they may be about the flow that had this key before.
        let ticket = if self.unasked.is_empty() { self.free.pop() } else { None };
        let Some(ticket) = ticket else { return self.refuse(packets) };
        match self.asks.try_send(Ask { lane: self.lane, ticket, what: Wanted::Count { key, within } }) {
            Ok(()) => {
                self.tickets[at(ticket)] = Ticket { key, hash, in_use: true, wanted_back: false, held: None };
                self.stats.lent += 1;
                Standing { ticket, offer_at: 0 }
            }
            Err(_) => {
                self.free.push(ticket);
                self.refuse(packets)
            }
        }
    }

    fn refuse(&mut self, packets: u64) -> Standing {
        self.stats.refused += 1;
        self.after(packets)
    }

    /// What stands in a flow that is to be offered again when it has had as many packets more as a new one needs.
    pub(super) fn after(&self, packets: u64) -> Standing {
        let offer_at = packets.saturating_add(u64::from(self.threshold().max(1)));
        Standing { ticket: NONE, offer_at: u32::try_from(offer_at).unwrap_or(u32::MAX) }
    }

    /// Asks for a flow; once for each ticket.
    pub(super) fn ask_back(&mut self, ticket: u32) {
        let entry = &mut self.tickets[at(ticket)];
        if entry.in_use && !entry.wanted_back {
            entry.wanted_back = true;
            self.unasked.push(ticket);
            self.ask_again();
        }
    }

    /// Asks for all flows.
    pub(super) fn ask_all_back(&mut self) {
        (1..=self.tickets.len() as u32).for_each(|ticket| self.ask_back(ticket));
    }

    /// Sends the questions that found no room, the last one first.
    pub(super) fn ask_again(&mut self) {
        while let Some(&ticket) = self.unasked.last() {
            match self.asks.try_send(Ask { lane: self.lane, ticket, what: Wanted::Back }) {
                Err(TrySendError::Full(_)) => return,
                // Nobody is there to ask, which whoever waits for answers will see.
                Ok(()) | Err(TrySendError::Disconnected(_)) => _ = self.unasked.pop(),
            }
        }
    }

    /// Keeps a flow that has ended.
    pub(super) fn hold(&mut self, held: Held) {
        let ticket = held.flow.standing.ticket;
        self.tickets[at(ticket)].held = Some(held);
        self.held += 1;
        self.ask_back(ticket);
    }

    /// Key and hash of the flow that a ticket is for, if it is still in the table.
    pub(super) fn live(&self, ticket: u32) -> Option<(FlowKey, u64)> {
        let entry = self.tickets.get(at(ticket)).filter(|entry| entry.in_use && entry.held.is_none())?;
        Some((entry.key, entry.hash))
    }

    /// Ends a ticket.
    pub(super) fn give_back(&mut self, ticket: u32) -> Option<Returned> {
        let entry = self.tickets.get_mut(at(ticket)).filter(|entry| entry.in_use)?;
        entry.in_use = false;
        let returned = Returned { key: entry.key, hash: entry.hash, held: entry.held.take() };
        self.held -= usize::from(returned.held.is_some());
        self.free.push(ticket);
        Some(returned)
    }

    /// A ticket that is out.
    pub(super) fn any(&self) -> Option<u32> {
        self.tickets.iter().position(|entry| entry.in_use).map(|at| at as u32 + 1)
    }
}

fn at(ticket: u32) -> usize {
    ticket.wrapping_sub(1) as usize
}
