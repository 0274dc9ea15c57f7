//! The order in which waiting messages leave, where it is free: one that makes few runs of them.
//!
//! A run has messages of one length and may end with one that is shorter. Messages of several kinds fill up in turns, each kind's to lengths of its
//! own, so that as they come a run is rarely longer than two. The kernel takes a run of any length through its layers at once, so half the
//! runs are nearly half the time.
use std::mem::swap;
use std::ops::Range;

/// Puts messages of IPFIX in order, and numbers them anew. Those without flows (templates, options) stay where they are, and so does what was before
/// and behind them.
#[derive(Default)]
pub(super) struct Arranger {
    /// Of the messages that are put in order: length and place, longest first.
    sorted: Vec<(usize, usize)>,
    /// The same in the order of sending.
    order: Vec<(usize, usize)>,
    bytes: Vec<u8>,
    ends: Vec<(usize, u64)>,
}

impl Arranger {
    /// `bytes` are messages back to back, `ends` where each ends and how many flow records it has.
    pub(super) fn arrange(&mut self, bytes: &mut Vec<u8>, ends: &mut Vec<(usize, u64)>) {
        self.bytes.clear();
        self.ends.clear();
        let mut at = 0;
        for group in ends.chunk_by(|a, b| (a.1 > 0) == (b.1 > 0)) {
            self.take(bytes, ends, at..at + group.len());
            at += group.len();
        }
        swap(bytes, &mut self.bytes);
        swap(ends, &mut self.ends);
    }

    /// Takes messages that are either all with flows or all without.
    fn take(&mut self, bytes: &[u8], ends: &[(usize, u64)], group: Range<usize>) {
        let range = |at: usize| at.checked_sub(1).map_or(0, |before| ends[before].0)..ends[at].0;
        self.sorted.clear();
        self.sorted.extend(group.clone().map(|at| (range(at).len(), at)));
        let has_flows = ends[group.start].1 > 0;
        if has_flows {
            self.order();
        } else {
            swap(&mut self.sorted, &mut self.order);
        }
        let mut number = bytes.get(range(group.start)).and_then(number_of);
        for &(_, at) in &self.order {
            let from = self.bytes.len();
            self.bytes.extend_from_slice(&bytes[range(at)]);
            self.ends.push((self.bytes.len(), ends[at].1));
            if has_flows && let Some(number) = &mut number {
                set_number(&mut self.bytes[from..], *number);
                *number = number.wrapping_add(ends[at].1 as u32);
            }
        }
    }

    /// Longest first, equal ones as they came, and behind all of a length the longest one of those shorter that have no equal.
    fn order(&mut self) {
        self.sorted.sort_unstable_by_key(|&(length, at)| (usize::MAX - length, at));
        self.order.clear();
        let sorted = &self.sorted;
        let is_alone = |n: usize| {
            let equals = |other: Option<&(usize, usize)>| other.is_some_and(|other| other.0 == sorted[n].0);
            !equals(sorted.get(n + 1)) && !equals(n.checked_sub(1).and_then(|n| sorted.get(n)))
        };
        // Those up to `tails` that are alone have left as the end of a run.
        let (mut at, mut tails) = (0, 0);
        while at < sorted.len() {
            if at < tails && is_alone(at) {
                at += 1;
                continue;
            }
            let equal = sorted[at..].iter().take_while(|(length, _)| *length == sorted[at].0).count();
            self.order.extend_from_slice(&sorted[at..at + equal]);
            at += equal;
            tails = tails.max(at);
            if let Some(tail) = (tails..sorted.len()).find(|n| is_alone(*n)) {
                self.order.push(sorted[tail]);
                tails = tail + 1;
            } else {
                tails = sorted.len();
            }
        }
    }
}

/// Where an IPFIX message has its sequence number: how many records went before it (RFC 7011 section 3.1).
const NUMBER_AT: usize = 8;

fn number_of(message: &[u8]) -> Option<u32> {
    message.get(NUMBER_AT..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

fn set_number(message: &mut [u8], number: u32) {
    if let Some(place) = message.get_mut(NUMBER_AT..).and_then(|rest| rest.first_chunk_mut()) {
        *place = number.to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Messages of these lengths, which none is shorter than 16, with so many flows, numbered as they come.
    fn messages(sizes: &[(usize, u64)]) -> (Vec<u8>, Vec<(usize, u64)>) {
        let (mut bytes, mut ends, mut number) = (Vec::new(), Vec::new(), 0u32.wrapping_sub(7));
        for (n, &(length, flows)) in sizes.iter().enumerate() {
            let from = bytes.len();
            bytes.resize(from + length, n as u8);
            set_number(&mut bytes[from..], number);
            // Those without flows may count too: options records do.
            number = number.wrapping_add(if flows == 0 { n as u32 % 3 } else { flows as u32 });
            ends.push((bytes.len(), flows));
        }
        (bytes, ends)
    }

    /// Length, flows, number and the first byte of each.
    fn read(bytes: &[u8], ends: &[(usize, u64)]) -> Vec<(usize, u64, u32, u8)> {
        let starts = std::iter::once(0).chain(ends.iter().map(|end| end.0));
        let one = |(from, &(to, flows)): (usize, &(usize, u64))| {
            let message = &bytes[from..to];
            (message.len(), flows, number_of(message).expect("long enough"), message[0])
        };
        starts.zip(ends).map(one).collect()
    }

    fn arranged(sizes: &[(usize, u64)]) -> Vec<(usize, u64, u32, u8)> {
        let (mut bytes, mut ends) = messages(sizes);
        Arranger::default().arrange(&mut bytes, &mut ends);
        read(&bytes, &ends)
    }

    #[test]
    fn equal_ones_stand_together_and_the_odd_ones_end_their_runs() {
        let sizes = [90, 80, 70, 90, 75, 80, 60, 50, 90].map(|length| (length, 1));
        let lengths: Vec<_> = arranged(&sizes).iter().map(|message| message.0).collect();
        assert_eq!(lengths, [90, 90, 90, 75, 80, 80, 70, 60, 50]);
    }

    #[test]
    fn messages_without_flows_keep_their_places() {
        let lengths: Vec<_> = arranged(&[(20, 1), (30, 1), (25, 0), (40, 0), (20, 2), (30, 2), (20, 2)]);
        let lengths: Vec<_> = lengths.iter().map(|message| message.0).collect();
        assert_eq!(lengths, [30, 20, 25, 40, 30, 20, 20]);
        assert_eq!(arranged(&[]), []);
    }

    proptest! {
        /// All messages are there as they were but for their numbers, and those count the records before them.
        #[test]
        fn nothing_is_lost_and_numbers_go_on(sizes in prop::collection::vec((16..40usize, 0..4u64), 0..100)) {
            let (bytes, ends) = messages(&sizes);
            let (before, after) = (read(&bytes, &ends), arranged(&sizes));
            let sorted = |all: &[(usize, u64, u32, u8)]| {
                let mut all: Vec<_> = all.iter().map(|(length, flows, _, first)| (*first, *length, *flows)).collect();
                all.sort_unstable();
                all
            };
            prop_assert_eq!(sorted(&before), sorted(&after));
            for (at, (old, new)) in before.iter().zip(&after).enumerate() {
                prop_assert_eq!((old.1 == 0).then_some(old), (new.1 == 0).then_some(new), "at {}", at);
            }
            for pair in after.windows(2).filter(|pair| pair[0].1 > 0) {
                prop_assert_eq!(pair[1].2, pair[0].2.wrapping_add(pair[0].1 as u32));
            }
        }
    }
}
