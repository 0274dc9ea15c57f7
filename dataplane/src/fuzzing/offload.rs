//! The flow cache while packets of some of its flows are counted elsewhere: in whatever order flows are lent and come back, end and begin
//! again, each packet is in one record of its flow.
use super::flows::{Sums, add, packet, take};
use crate::batch::Batch;
use crate::flow::FlowKey;
use crate::flow::cache::{Cache, CacheConfig};
use crate::flow::offload::{CounterEnd, Credit, Threshold, Wanted, offload};
use crate::flow::table::Shape;
use crate::packet::fuzzing::FACES;
use crate::packet::{Packet, PacketView, tcp};
use crate::registry::Plugins;
use record::Time;
use std::collections::BTreeMap;

/// Waits that a step chooses from, in milliseconds; the timeouts are 30 s and 300 s.
const WAITS_MS: [u64; 8] = [0, 1, 1_000, 5_000, 29_000, 30_000, 100_000, 300_000];

/// Steps of three bytes: which flow and direction, TCP flags, wait and what the counter does meanwhile. What was exported is what was put
/// in, flow by flow, wherever it was counted.
pub(super) fn fuzz_offload(data: &[u8]) {
    for face in FACES {
        let shape = Shape { size_exp: 4, line_exp: 2 };
        let mut cache = Cache::new(CacheConfig { shape, face, ..CacheConfig::default() }, Plugins::default())
            .expect("16 flows fit");
        let threshold = Threshold::new(2);
        let (mut lendings, end) = offload(1, &threshold);
        lendings.pop().into_iter().for_each(|lending| cache.lend(lending));
        let mut counter = Counter { end, flows: BTreeMap::new(), counted: 0 };
        let (mut batch, mut put, mut got) = (Batch::default(), Sums::new(), Sums::new());
        let mut at_ms = 1_600_000_000_000u64;
        for step in data.chunks_exact(3) {
            let &[which, flags, wait] = step else { break };
            at_ms += WAITS_MS[usize::from(wait & 7)];
            let at = Time(at_ms * 1_000_000);
            // Few flows of many packets.
            let packet = packet(which & 0x3f, flags, at);
            add(&mut put, u16::from(which & 0x3f) >> 1, (1, u64::from(packet.ip_len)));
            if !counter.counts(&packet) {
                cache.packet(PacketView { packet: &packet, bytes: &[] }, &mut batch);
                cache.offer(&[packet]);
            }
            match wait >> 3 {
                0..4 => counter.answer(usize::from(wait >> 3)),
                4 => counter.give_back(which.into()),
                5 => counter.progress(),
                6 => cache.hear(&mut batch),
                7 => cache.sweep_all(at, &mut batch),
                8 => threshold.set(flags.into()),
                _ => {
                    counter.answer(1);
                    cache.hear(&mut batch);
                }
            }
            take(&mut batch, &mut got);
            let stats = cache.stats();
            assert_eq!(stats.opened + stats.continued, stats.ended_total() + cache.live() as u64);
        }
        counter.answer(usize::MAX);
        (0..counter.flows.len()).for_each(|_| counter.give_back(0));
        cache.recall(&mut batch, &mut |batch| take(batch, &mut got));
        let offloaded = cache.offload_stats();
        assert_eq!((offloaded.packets, offloaded.out), (counter.counted, 0));
        cache.flush(Time(at_ms * 1_000_000), &mut batch, |batch| take(batch, &mut got));
        take(&mut batch, &mut got);
        assert_eq!(put, got);
        assert_eq!(cache.live(), 0);
        let stats = cache.stats();
        assert_eq!((stats.packets, stats.bytes), (stats.exported_packets, stats.exported_bytes));
    }
}

/// What the XDP program and its counter are together.
struct Counter {
    end: CounterEnd,
    flows: BTreeMap<[u64; 2], Flow>,
    counted: u64,
}

#[derive(Default)]
struct Flow {
    credit: Credit,
    is_closed: bool,
}

fn of(key: &FlowKey) -> [u64; 2] {
    key.parts().0
}

impl Counter {
    /// Whether it counts the packet.
    fn counts(&mut self, packet: &Packet) -> bool {
        let Some(flow) = self.flows.get_mut(&of(&packet.key)) else { return false };
        flow.is_closed |= packet.tcp_flags & (tcp::FIN | tcp::SYN | tcp::RST) != 0;
        if flow.is_closed {
            return false;
        }
        let direction = usize::from(packet.reversed);
        flow.credit.packets[direction] += 1;
        flow.credit.bytes[direction] += u64::from(packet.ip_len);
        flow.credit.tcp_flags[direction] |= packet.tcp_flags;
        flow.credit.last = packet.at;
        self.counted += 1;
        true
    }

    /// Answers so many questions.
    fn answer(&mut self, count: usize) {
        for _ in 0..count {
            let Ok(ask) = self.end.asked().try_recv() else { return };
            match ask.what {
                Wanted::Count { key, .. } => {
                    let credit = Credit { ticket: ask.ticket, ..Credit::default() };
                    match self.flows.contains_key(&of(&key)) {
                        true => self.end.credit(0, credit),
                        false => _ = self.flows.insert(of(&key), Flow { credit, is_closed: false }),
                    }
                }
                Wanted::Back => {
                    let at = self.flows.values().position(|flow| flow.credit.ticket == ask.ticket);
                    at.into_iter().for_each(|at| self.give_back(at));
                }
            }
        }
    }

    /// Gives one flow back, asked or not.
    fn give_back(&mut self, at: usize) {
        let key = self.flows.keys().nth(at % self.flows.len().max(1)).copied();
        if let Some(flow) = key.and_then(|key| self.flows.remove(&key)) {
            self.end.credit(0, flow.credit);
        }
    }

    fn progress(&self) {
        for flow in self.flows.values() {
            self.end.progress(0, flow.credit.ticket, flow.credit.last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_flow_that_ends_while_it_is_lent_waits_for_its_counts() {
        let mut steps = Vec::new();
        // Two packets, lent; two counted; a FIN, and a SYN that restarts it before the counts have come.
        for (flags, wait) in
            [(0, 0), (0, 1 << 3), (0, 0), (0, 0), (tcp::FIN, 0), (tcp::SYN, 0), (0, 6 << 3), (0, 9 << 3)]
        {
            steps.extend([2, flags, wait]);
        }
        fuzz_offload(&steps);
    }

    proptest! {
        #[test]
        fn any_order_keeps_the_sums(data in prop::collection::vec(any::<u8>(), 0..3_000)) {
            fuzz_offload(&data);
        }
    }
}
