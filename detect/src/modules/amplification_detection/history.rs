//! What was asked of a server in the name of a victim, and what was answered.
use super::Settings;
use super::histogram::Histogram;
use crate::bounded::Bounded;
use crate::sdk::{IpAddr, Time};

/// Pairs of a server and a victim at a time, at the most; about 350 bytes each without their flows.
const PAIRS_MAX: usize = 1 << 18;
/// Flows of all pairs together, at the most; 24 bytes each.
const FLOWS_MAX: usize = 1 << 23;

/// Packets of a query or bytes of a response that nobody needs for an honest question.
const QUERY_PACKETS_MAX: u32 = 1_000;
const RESPONSE_BYTES_MAX: u64 = 100_000;
/// From so many query packets on, with so many packets of responses for each, only large flows are looked for.
const BIG_QUERIES: u32 = 30;
const BIG_RATIO: u32 = 5;
/// Share of the flows whose sizes must be among the most frequent ones.
const SHARE_MIN: f32 = 0.9;

/// A flow to or from the port that is watched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub server: IpAddr,
    pub victim: IpAddr,
    pub is_response: bool,
    pub first: Time,
    pub last: Time,
    pub packets: u32,
    pub bytes: u64,
}

/// What is kept of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub first: Time,
    pub bytes: u64,
    pub packets: u32,
}

/// What was found, and the flows that show it.
#[derive(Debug)]
pub(super) struct Finding<'h> {
    /// Large flows: logged, but no alert.
    pub is_big: bool,
    pub event: u32,
    pub first: Time,
    pub requests: Sums,
    pub responses: Sums,
    pub queries_seen: &'h [Item],
    pub responses_seen: &'h [Item],
}

/// Flows of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub flows: u32,
    pub packets: u32,
    pub bytes: u64,
}

/// All pairs.
#[derive(Debug)]
pub(super) struct History {
    settings: Settings,
    pairs: Bounded<(IpAddr, IpAddr), Pair>,
    /// Items of all pairs.
    flows: usize,
    flows_max: usize,
    /// Largest TIME_LAST, seconds.
    now: u64,
    events: u32,
    /// Pairs that were forgotten for lack of room for flows.
    crowded_out: u64,
}

#[derive(Debug)]
struct Pair {
    queries: Direction,
    responses: Direction,
    first: Time,
    last: Time,
    /// 0 before the first finding.
    event: u32,
}

#[derive(Debug, Default)]
struct Direction {
    items: Vec<Item>,
    /// Where the next item goes when there is no room for more.
    oldest: usize,
    /// Of all flows, also of items that were overwritten.
    total: Sums,
    /// Part of `total` that was there in the round before.
    reported: Sums,
}

impl History {
    pub(super) fn new(settings: Settings) -> History {
        History::with_room(settings, PAIRS_MAX, FLOWS_MAX)
    }

    fn with_room(settings: Settings, pairs_max: usize, flows_max: usize) -> History {
        // Neither direction of one pair may fill all the room.
        let settings = Settings { items_max: settings.items_max.min(flows_max / 4).max(1), ..settings };
        History { settings, pairs: Bounded::new(pairs_max), flows: 0, flows_max, now: 0, events: 0, crowded_out: 0 }
    }

    /// Takes a flow. If it closes the window of its pair, `found` is called with what the window shows, if anything.
    pub(super) fn add(&mut self, flow: &Flow, found: impl FnOnce(&Finding<'_>)) {
        self.now = self.now.max(flow.last.secs());
        let key = (flow.server, flow.victim);
        let fresh = || Pair {
            queries: Direction::default(),
            responses: Direction::default(),
            first: flow.first,
            last: flow.last,
            event: 0,
        };
        let (pair, evicted) = self.pairs.entry(key, fresh);
        let is_known = pair.len() > 0;
        pair.last = pair.last.max(flow.last);
        let item = Item { first: flow.first, bytes: flow.bytes, packets: flow.packets };
        let direction = if flow.is_response { &mut pair.responses } else { &mut pair.queries };
        self.flows += usize::from(direction.push(item, self.settings.items_max));
        self.flows -= evicted.map_or(0, |(_, pair)| pair.len());
        let end = flow.last.secs() as u32;
        if is_known && i64::from(end) - i64::from(pair.first.secs() as u32) > i64::from(self.settings.window_secs) {
            let kind = pair.judge(&self.settings);
            if let Some(is_big) = kind {
                if pair.event == 0 {
                    self.events = self.events.wrapping_add(1);
                    pair.event = self.events;
                }
                found(&Finding {
                    is_big,
                    event: pair.event,
                    first: pair.first,
                    requests: pair.queries.total.minus(pair.queries.reported),
                    responses: pair.responses.total.minus(pair.responses.reported),
                    queries_seen: &pair.queries.items,
                    responses_seen: &pair.responses.items,
                });
            }
            let before = pair.len();
            pair.forget(end, flow.first, &self.settings);
            self.flows -= before - pair.len();
            if pair.len() == 0 {
                self.pairs.remove(&key);
            }
        }
        self.make_room();
    }

    /// Forgets pairs without a flow for the length of the window.
    pub(super) fn forget_silent(&mut self) {
        let (now, flows) = (self.now, &mut self.flows);
        // A negative window is as long as there is time.
        let window = u64::try_from(self.settings.window_secs).unwrap_or(u64::MAX);
        self.pairs.retain(|_, pair| {
            let stays = now - pair.last.secs() <= window;
            *flows -= if stays { 0 } else { pair.len() };
            stays
        });
    }

    /// Says what was lost for lack of room.
    pub(super) fn tell(&self) {
        self.pairs.tell("pairs of a server and a victim");
        if self.crowded_out > 0 {
            let (pairs, flows) = (self.crowded_out, self.flows_max);
            eprintln!(
                "Warning: {pairs} pairs of a server and a victim made room for flows: {flows} are kept at a time."
            );
        }
    }

    fn make_room(&mut self) {
        while self.flows > self.flows_max {
            let Some((_, pair)) = self.pairs.pop_oldest() else { return };
            self.flows -= pair.len();
            self.crowded_out += 1;
        }
    }
}

impl Pair {
    fn len(&self) -> usize {
        self.queries.items.len() + self.responses.items.len()
    }

    /// Whether the window shows an attack, and if so, one of large flows.
    fn judge(&self, settings: &Settings) -> Option<bool> {
        let (queries, responses) = (&self.queries, &self.responses);
        if queries.total.flows == 0 || responses.total.flows == 0 {
            return None;
        }
        let packets = queries.total.packets;
        if packets >= BIG_QUERIES && responses.total.packets / packets >= BIG_RATIO {
            let largest = |direction: &Direction| direction.items.iter().map(|item| item.bytes).max();
            let (asked, answered) = (largest(queries)?, largest(responses)?);
            let is_large =
                queries.items.iter().any(|item| item.packets > QUERY_PACKETS_MAX) || answered > RESPONSE_BYTES_MAX;
            let is_amplified = answered.checked_div(asked).is_some_and(|ratio| ratio > settings.amplification());
            return (is_large && is_amplified).then_some(true);
        }
        let bytes = |direction: &Direction| {
            Histogram::new(direction.items.iter().map(|item| item.bytes), settings.step, settings.top)
        };
        let answered = bytes(responses);
        if answered.share() <= SHARE_MIN || answered.count() <= settings.flows_min {
            return None;
        }
        let asked = bytes(queries);
        let packets =
            Histogram::new(responses.items.iter().map(|item| item.packets.into()), settings.step, settings.top);
        let is_attack = packets.average() > i64::from(settings.response_packets_min)
            && answered.average() > i64::from(settings.response_bytes_min)
            && asked.average() < i64::from(settings.query_bytes_max)
            && answered
                .mean_label()
                .zip(asked.mean_label())
                .is_some_and(|(answered, asked)| answered / asked > settings.amplification());
        is_attack.then_some(false)
    }

    /// Forgets flows that are too old for the next window, which ends with a flow of these times.
    fn forget(&mut self, end: u32, first: Time, settings: &Settings) {
        // As the original compares: without signs, so that a flow from after the end counts as old, and everything stays if more
        // than the window would be kept.
        let kept = (settings.window_secs.wrapping_sub(settings.period_secs)) as u32;
        let mut oldest = first;
        for direction in [&mut self.queries, &mut self.responses] {
            let before = direction.items.len();
            direction.items.retain(|item| end.wrapping_sub(item.first.secs() as u32) <= kept);
            if direction.items.len() < before {
                direction.oldest = 0;
            }
            direction.total = Sums::default();
            for item in &direction.items {
                direction.total.add(item);
                oldest = oldest.min(item.first);
            }
            direction.reported = direction.total;
        }
        self.first = oldest;
    }
}

impl Direction {
    /// Keeps an item, the newest ones if there are too many; answers whether there is one more now.
    fn push(&mut self, item: Item, items_max: usize) -> bool {
        self.total.add(&item);
        if self.items.len() < items_max {
            self.items.push(item);
            return true;
        }
        if let Some(place) = self.items.get_mut(self.oldest) {
            *place = item;
        }
        self.oldest = (self.oldest + 1) % items_max;
        false
    }
}

impl Sums {
    fn add(&mut self, item: &Item) {
        self.flows = self.flows.wrapping_add(1);
        self.packets = self.packets.wrapping_add(item.packets);
        self.bytes = self.bytes.wrapping_add(item.bytes);
    }

    fn minus(self, other: Sums) -> Sums {
        Sums {
            flows: self.flows.wrapping_sub(other.flows),
            packets: self.packets.wrapping_sub(other.packets),
            bytes: self.bytes.wrapping_sub(other.bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flows with these settings: one pair, times in seconds.
    fn settings(line: &str) -> Settings {
        let args: Vec<_> = line.split_whitespace().map(String::from).collect();
        Settings::parse(&args).unwrap()
    }

    fn flow(is_response: bool, at: u64, packets: u32, bytes: u64, victim: u8) -> Flow {
        let at = Time(at * 1_000_000_000);
        Flow {
            server: [192, 0, 2, 53].into(),
            victim: [198, 51, 100, victim].into(),
            is_response,
            first: at,
            last: at,
            packets,
            bytes,
        }
    }

    fn add(history: &mut History, flow: &Flow) -> Option<(bool, u32, Sums, Sums)> {
        let mut out = None;
        history.add(flow, |found| out = Some((found.is_big, found.event, found.requests, found.responses)));
        out
    }

    #[test]
    fn an_ongoing_attack_is_told_each_period_with_what_is_new() {
        let mut history = History::new(settings("-t 10 -w 100 -s 40"));
        let mut told = Vec::new();
        let sums = |flows, packets, bytes| Sums { flows, packets: flows * packets, bytes: u64::from(flows) * bytes };
        for second in 0..200 {
            if second != 0 {
                told.extend(add(&mut history, &flow(true, 1_000 + second, 4, 3_000, 1)).map(|found| (second, found)));
            }
            told.extend(add(&mut history, &flow(false, 1_000 + second, 1, 60, 1)).map(|found| (second, found)));
        }
        let expected = [
            (101, (false, 1, sums(101, 1, 60), sums(101, 4, 3_000))),
            (142, (false, 1, sums(41, 1, 60), sums(41, 4, 3_000))),
            (183, (false, 1, sums(41, 1, 60), sums(41, 4, 3_000))),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn large_flows_are_found_but_are_no_alert() {
        let mut history = History::new(settings("-w 10 -s 5"));
        for second in 0..40 {
            add(&mut history, &flow(false, second, 5, 60, 1));
            let found = add(&mut history, &flow(true, second, 90, 120_000, 1));
            assert!(found.is_none_or(|(is_big, event, ..)| is_big && event == 1));
        }
        assert_eq!(history.events, 1);
    }

    #[test]
    fn what_is_silent_or_too_much_is_forgotten() {
        let mut history = History::with_room(settings("-w 10"), 3, 8);
        for victim in 0..5 {
            add(&mut history, &flow(false, 1, 1, 60, victim));
        }
        assert_eq!((history.pairs.len(), history.flows, history.pairs.evicted()), (3, 3, 2));
        for _ in 0..9 {
            add(&mut history, &flow(true, 1, 1, 60, 4));
        }
        // Two responses at the most, a quarter of the room.
        assert_eq!((history.pairs.len(), history.flows), (3, 5));
        add(&mut history, &flow(false, 12, 1, 60, 3));
        history.forget_silent();
        assert_eq!(history.pairs.len(), 1);
        let mut history = History::with_room(settings("-w 10"), 100, 8);
        for victim in 0..10 {
            add(&mut history, &flow(false, 1, 1, 60, victim));
        }
        assert_eq!((history.flows, history.crowded_out), (8, 2));
    }
}
