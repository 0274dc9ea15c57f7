//! The counter of an interface: takes the flows that lanes offer ([`crate::flow::offload`]) into the table of its XDP program, and gives
//! their counts back. A thread of its own, since to take a flow back means to wait for programs that run.
//!
//! A flow comes back when its lane asks, when its time is over, when it has been quiet, or when offloading is switched off. A flow that
//! two lanes offer, because its directions come on different queues, is counted for the first of them.
use crate::flow::offload::{Ask, CounterEnd, Credit, Wanted};
use crossbeam_channel::RecvTimeoutError;
use ebpf::{Offload, OffloadError, Tally, Tuple};
use record::Time;
use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Questions that are answered with one wait.
const ASKS_AT_A_TIME: usize = 256;
/// Between two looks at how the flows go on.
const LOOK_MAX: Duration = Duration::from_secs(1);
const LOOK_MIN: Duration = Duration::from_millis(50);
/// A flow comes back with so many packets: its record counts up to four times as many.
const PACKETS_MAX: u64 = 1 << 30;

/// Counts for the lanes of one interface.
pub struct Counter {
    offload: Offload,
    end: CounterEnd,
    /// A flow that had no packet for so long comes back.
    quiet: Duration,
    look_every: Duration,
    /// By lane and ticket.
    flows: HashMap<(u32, u32), Out>,
    owners: HashMap<Tuple, (u32, u32)>,
    /// To be taken back, with one wait for all.
    leaving: Vec<(u32, u32)>,
    /// No flow's time is over before.
    nearest: Instant,
}

/// A flow in the table.
struct Out {
    tuple: Tuple,
    until: Instant,
    packets: u64,
    /// When they were last seen to grow.
    grew: Instant,
    is_leaving: bool,
}

impl Counter {
    /// Flows that are quiet for half of `inactive` come back, so that they end as if they had never been away.
    pub fn new(offload: Offload, end: CounterEnd, inactive: Duration) -> Result<Counter, OffloadError> {
        // Better known now than when the first flow shall come back.
        sys::wait_for_programs().map_err(OffloadError::Wait)?;
        Ok(Counter {
            offload,
            end,
            quiet: (inactive / 2).max(LOOK_MIN),
            look_every: (inactive / 8).clamp(LOOK_MIN, LOOK_MAX),
            flows: HashMap::new(),
            owners: HashMap::new(),
            leaving: Vec::with_capacity(ASKS_AT_A_TIME),
            nearest: Instant::now(),
        })
    }

    /// Works until the last lane has ended.
    pub fn run(mut self) -> Result<(), OffloadError> {
        let mut look_at = Instant::now() + self.look_every;
        let mut asks = Vec::with_capacity(ASKS_AT_A_TIME);
        loop {
            match self.end.asked().recv_deadline(look_at.min(self.nearest)) {
                Ok(ask) => asks.push(ask),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            asks.extend(self.end.asked().try_iter().take(ASKS_AT_A_TIME - asks.len()));
            for ask in asks.drain(..) {
                self.answer(ask)?;
            }
            let now = Instant::now();
            if now >= look_at {
                look_at = now + self.look_every;
                self.look(now)?;
            }
            if now >= self.nearest {
                self.end_times(now, look_at);
            }
            self.take()?;
        }
    }

    fn answer(&mut self, ask: Ask) -> Result<(), OffloadError> {
        let id = (ask.lane, ask.ticket);
        match ask.what {
            Wanted::Back => self.want_back(id),
            Wanted::Count { key, within } => {
                let (a, b) = key.endpoints();
                let (tuple, _) = Tuple::new((a.ip, a.port), (b.ip, b.port), key.vlan(), key.protocol());
                // The flow that had the key before is on its way back.
                if self.owners.get(&tuple).is_some_and(|id| self.flows.get(id).is_some_and(|flow| flow.is_leaving)) {
                    self.take()?;
                }
                let taken = self.end.threshold() > 0 && !self.owners.contains_key(&tuple);
                // A table without room refuses as well.
                if taken && self.offload.add(&tuple).is_ok() {
                    let grew = Instant::now();
                    let until = grew + within;
                    self.nearest = self.nearest.min(until);
                    self.owners.insert(tuple, id);
                    self.flows.insert(id, Out { tuple, until, packets: 0, grew, is_leaving: false });
                } else {
                    self.end.credit(ask.lane, Credit { ticket: ask.ticket, ..Credit::default() });
                }
            }
        }
        Ok(())
    }

    fn want_back(&mut self, id: (u32, u32)) {
        if let Some(flow) = self.flows.get_mut(&id)
            && !flow.is_leaving
        {
            flow.is_leaving = true;
            self.leaving.push(id);
        }
    }

    /// How the flows go on.
    fn look(&mut self, now: Instant) -> Result<(), OffloadError> {
        let (clock, off) = (Clock::now(), self.end.threshold() == 0);
        for (id, flow) in self.flows.iter_mut().filter(|(_, flow)| !flow.is_leaving) {
            let tally = self.offload.look(&flow.tuple)?.unwrap_or_default();
            let packets = tally.packets[0] + tally.packets[1];
            if packets != flow.packets {
                (flow.packets, flow.grew) = (packets, now);
                self.end.progress(id.0, id.1, clock.last(&tally));
            }
            if off || now - flow.grew >= self.quiet || packets >= PACKETS_MAX {
                flow.is_leaving = true;
                self.leaving.push(*id);
            }
        }
        Ok(())
    }

    /// Flows whose time is over.
    fn end_times(&mut self, now: Instant, later: Instant) {
        // Without flows there is nothing to be in time for.
        self.nearest = later;
        for (id, flow) in self.flows.iter_mut().filter(|(_, flow)| !flow.is_leaving) {
            if flow.until <= now {
                flow.is_leaving = true;
                self.leaving.push(*id);
            } else {
                self.nearest = self.nearest.min(flow.until);
            }
        }
    }

    /// Takes back what is leaving.
    fn take(&mut self) -> Result<(), OffloadError> {
        if self.leaving.is_empty() {
            return Ok(());
        }
        let tuples: Vec<Tuple> = self.leaving.iter().filter_map(|id| Some(self.flows.get(id)?.tuple)).collect();
        let tallies = self.offload.take(&tuples)?;
        let clock = Clock::now();
        for ((id, tuple), tally) in self.leaving.drain(..).zip(tuples).zip(tallies) {
            self.flows.remove(&id);
            self.owners.remove(&tuple);
            let Tally { packets, bytes, tcp_flags, .. } = tally;
            self.end.credit(id.0, Credit { ticket: id.1, packets, bytes, tcp_flags, last: clock.last(&tally) });
        }
        Ok(())
    }
}

/// The time that packets have (`SystemTime`) and the program's, at one moment.
struct Clock {
    packets_ns: u64,
    program_ns: u64,
}

impl Clock {
    fn now() -> Clock {
        let packets_ns = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64);
        Clock { packets_ns, program_ns: sys::monotonic_ns() }
    }

    /// When a tally's last packet came, 0 if none did.
    fn last(&self, tally: &Tally) -> Time {
        match tally.last[0].max(tally.last[1]) {
            0 => Time(0),
            last => Time(self.packets_ns.saturating_sub(self.program_ns.saturating_sub(last))),
        }
    }
}
