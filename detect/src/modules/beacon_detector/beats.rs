//! The last contacts of a host with a service, and their rhythm.
use crate::sdk::Time;
use std::collections::VecDeque;

/// Contacts that are kept; older ones are forgotten.
pub(super) const BEATS_MAX: usize = 32;
/// Nanoseconds in which several flows are one contact: programs open connections in pairs.
const TOGETHER: u64 = 1_000_000_000;
/// Nanoseconds of silence after which datagrams between the same ports are a new contact. A flow that the probe cut goes on at once.
const SILENCE: u64 = 8_000_000_000;

/// A flow, as far as it is of interest here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) first: Time,
    pub(super) last: Time,
    pub(super) bytes: u64,
    pub(super) source_port: u16,
    pub(super) is_tcp: bool,
    /// Its connection began with it.
    pub(super) is_begin: bool,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Beats {
    /// Begin and bytes of each contact, in the order of their begins.
    beats: VecDeque<(Time, u64)>,
    /// Of the last flow.
    last: Time,
    source_port: u16,
    /// When the last alert was, by the begin of its contact.
    told: Option<Time>,
}

/// How regular contacts are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rhythm {
    pub(super) count: u32,
    /// Begins of the first and the last contact.
    pub(super) times: [Time; 2],
    /// Median seconds.
    pub(super) interval: f64,
    /// Upper quartile of the deviations from the median, by the median.
    pub(super) jitter: f64,
    pub(super) bytes: u64,
    pub(super) bytes_jitter: f64,
}

impl Beats {
    /// Takes a flow and answers whether it is a new contact. It is none if it goes on what was there: the rest of a connection that the probe cut,
    /// datagrams between the same ports without a silence, a connection beside another.
    pub(super) fn add(&mut self, arrival: &Arrival) -> bool {
        let silence = arrival.first.0.saturating_sub(self.last.0);
        let goes_on = arrival.source_port == self.source_port
            && if arrival.is_tcp { !arrival.is_begin } else { silence < SILENCE };
        let previous = self.beats.back_mut();
        self.last = self.last.max(arrival.last);
        self.source_port = arrival.source_port;
        if let Some((begin, bytes)) = previous
            && (goes_on || arrival.first.0 < begin.0 + TOGETHER)
        {
            // Flows may come in another order than they began.
            *begin = arrival.first.min(*begin).max(Time(begin.0.saturating_sub(TOGETHER)));
            *bytes = bytes.saturating_add(arrival.bytes);
            return false;
        }
        if self.beats.len() == BEATS_MAX {
            self.beats.pop_front();
        }
        self.beats.push_back((arrival.first, arrival.bytes));
        true
    }

    pub(super) fn count(&self) -> usize {
        self.beats.len()
    }

    /// How regular the contacts are that came before the last one, whose bytes may not all be known; `None` for fewer than three.
    pub(super) fn rhythm(&self) -> Option<Rhythm> {
        let count = self.beats.len();
        let (first, last) = (self.beats.front()?.0, self.beats.back()?.0);
        if count < 3 {
            return None;
        }
        let (mut intervals, mut bytes) = ([0; BEATS_MAX], [0; BEATS_MAX]);
        for (at, (one, next)) in self.beats.iter().zip(self.beats.iter().skip(1)).enumerate() {
            (intervals[at], bytes[at]) = (next.0.0.saturating_sub(one.0.0), one.1);
        }
        let (interval, jitter) = regularity(&mut intervals[..count - 1]);
        let (bytes, bytes_jitter) = regularity(&mut bytes[..count - 1]);
        let interval = interval as f64 / 1e9;
        Some(Rhythm { count: count as u32, times: [first, last], interval, jitter, bytes, bytes_jitter })
    }

    /// Seconds from the first to the last contact.
    pub(super) fn span(&self) -> u64 {
        let begin = |beat: Option<&(Time, u64)>| beat.map_or(0, |(begin, _)| begin.secs());
        begin(self.beats.back()).saturating_sub(begin(self.beats.front()))
    }

    /// Whether no alert was told in the last `repeat` seconds before the last contact.
    pub(super) fn is_due(&self, repeat: u64) -> bool {
        let now = self.beats.back().map_or(0, |(begin, _)| begin.secs());
        self.told.is_none_or(|told| now.saturating_sub(told.secs()) >= repeat)
    }

    /// An alert is told of the last contact.
    pub(super) fn tell(&mut self) {
        self.told = self.beats.back().map(|(begin, _)| *begin);
    }
}

/// Median, and upper quartile of the deviations from it by it; infinite for a median of 0. Changes the order.
fn regularity(values: &mut [u64]) -> (u64, f64) {
    let median = quantile(values, 2);
    values.iter_mut().for_each(|value| *value = value.abs_diff(median));
    let deviation = quantile(values, 3);
    (median, if median == 0 { f64::INFINITY } else { deviation as f64 / median as f64 })
}

/// What so many quarters of the values are below, at the most; 0 of nothing.
fn quantile(values: &mut [u64], quarters: usize) -> u64 {
    let at = values.len() * quarters / 4;
    if at < values.len() { *values.select_nth_unstable(at).1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(ms: u64, source_port: u16) -> Arrival {
        let first = Time(1_700_000_000_000_000_000 + ms * 1_000_000);
        Arrival { first, last: Time(first.0 + 500_000_000), bytes: 300, source_port, is_tcp: true, is_begin: true }
    }

    #[test]
    fn what_is_a_contact() {
        let mut beats = Beats::default();
        assert!(beats.add(&arrival(0, 1)));
        assert!(!beats.add(&arrival(400, 2)), "a connection beside the first");
        assert!(beats.add(&arrival(60_000, 3)));
        let rest = Arrival { is_begin: false, ..arrival(360_000, 3) };
        assert!(!beats.add(&rest), "the same connection, cut by the probe");
        assert!(beats.add(&Arrival { is_begin: false, ..arrival(400_000, 4) }), "another, whose begin was not seen");
        assert!(!beats.add(&arrival(300_000, 5)), "late");
        assert_eq!(beats.beats.iter().map(|(_, bytes)| *bytes).collect::<Vec<_>>(), [600, 600, 600]);
        let datagram = |ms| Arrival { is_tcp: false, is_begin: false, ..arrival(ms, 9) };
        let mut beats = Beats::default();
        assert!(beats.add(&datagram(0)) && !beats.add(&datagram(5_000)) && beats.add(&datagram(60_000)));
    }

    #[test]
    fn regular_and_irregular_contacts() {
        let rhythm = |times: &[u64]| {
            let mut beats = Beats::default();
            for (secs, port) in times.iter().zip(1..) {
                beats.add(&arrival(secs * 1_000, port));
            }
            beats.rhythm().unwrap()
        };
        let exact = rhythm(&[0, 60, 120, 180, 240]);
        assert_eq!(
            (exact.count, exact.interval, exact.jitter, exact.bytes, exact.bytes_jitter),
            (5, 60.0, 0.0, 300, 0.0)
        );
        let asleep = rhythm(&[0, 60, 120, 9_000, 9_060, 9_120, 9_180]);
        assert_eq!((asleep.interval, asleep.jitter), (60.0, 0.0), "a pause hides nothing");
        assert!(rhythm(&[0, 50, 60, 300, 310, 700]).jitter > 0.5);
        assert_eq!(Beats::default().rhythm(), None);
        assert_eq!(regularity(&mut [0, 0, 5]), (0, f64::INFINITY));
        let many: Vec<u64> = (0..100).map(|n| 60 * n).collect();
        assert_eq!(rhythm(&many).count as usize, BEATS_MAX);
    }
}
