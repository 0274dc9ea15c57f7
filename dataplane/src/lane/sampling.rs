//! Packets that a lane leaves out on purpose: one in so many is kept (RFC 5475 section 5, RFC 7014 for flows).
//!
//! Contract: of a capture that several lanes read all decide the same of each frame, because its place in the capture decides (systematic, random), or
//! the flow (by flow), never the lane. What is left out is counted as [`PacketDrop::Sampled`](crate::packet::PacketDrop::Sampled).
use crate::capture::Frame;
use crate::flow::FlowKey;
use crate::flow::key::HashSeed;
use crate::packet::Packet;
use std::fmt;
use std::str::FromStr;

/// How those that are kept are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selector {
    /// The first, and each Nth after it.
    Systematic,
    /// Each with the same probability, whatever became of the others.
    Random,
    /// All packets of a flow or none, by a hash of its key that has a secret.
    Flow,
}

const NAMES: [(&str, Selector); 3] =
    [("systematic", Selector::Systematic), ("random", Selector::Random), ("flow", Selector::Flow)];

/// The most that are left out for one that is kept.
const ONE_IN_MAX: u32 = 1_000_000;

/// `N[:systematic|random|flow]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// One in so many is kept, 2 to 1,000,000.
    pub one_in: u32,
    pub selector: Selector,
}

impl FromStr for Sampling {
    type Err = String;

    fn from_str(text: &str) -> Result<Sampling, String> {
        let (number, name) = text.split_once(':').unwrap_or((text, "systematic"));
        let one_in = match number.parse() {
            Ok(n @ 2..=ONE_IN_MAX) => n,
            _ => return Err(format!("'{number}': one packet in N, 2 to {ONE_IN_MAX}")),
        };
        match NAMES.iter().find(|(known, _)| *known == name) {
            Some((_, selector)) => Ok(Sampling { one_in, selector: *selector }),
            None => Err(format!("there is no '{name}'; known: systematic, random, flow")),
        }
    }
}

impl fmt::Display for Sampling {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, selector)| *selector == self.selector).map_or("", |(name, _)| name);
        write!(out, "{}:{name}", self.one_in)
    }
}

/// The sampling of one lane.
pub(super) struct Sampler {
    config: Sampling,
    /// Frames seen, those of other lanes included.
    place: u64,
    secret: u64,
    seed: HashSeed,
}

impl Sampler {
    pub(super) fn new(config: Sampling, seed: HashSeed) -> Sampler {
        // Not the table's hash: of that only one value in so many would be left, hence one line in so many.
        let word = |n: u8| seed.hash_bytes(&[b"sampling", &[n]]);
        let seed = HashSeed::fixed([0, 1, 2, 3].map(|n| word(n) | 1));
        Sampler { config, place: 0, secret: word(4), seed }
    }

    pub(super) fn is_by_flow(&self) -> bool {
        self.config.selector == Selector::Flow
    }

    /// Copies the frames of a burst that are kept to the front of `kept`; answers how many. Not for sampling by flow.
    pub(super) fn select<'b>(&mut self, frames: &[Frame<'b>], kept: &mut [Frame<'b>]) -> usize {
        let mut count = 0;
        for (at, frame) in (self.place..).zip(frames) {
            let taken = match self.config.selector {
                Selector::Systematic => at.is_multiple_of(self.config.one_in.into()),
                _ => self.keeps(mix(at ^ self.secret)),
            };
            if let (true, Some(to)) = (taken, kept.get_mut(count)) {
                *to = *frame;
                count += 1;
            }
        }
        self.place += frames.len() as u64;
        count
    }

    /// Takes the key from each packet of a burst whose flow is left out. Answers how many are, and their bytes on the wire.
    #[inline(never)]
    pub(super) fn drop_from(&self, packets: &mut [Packet], frames: &[Frame<'_>]) -> (u64, u64) {
        let (mut count, mut bytes) = (0, 0);
        for (packet, frame) in packets.iter_mut().zip(frames).filter(|(packet, _)| !packet.key.is_none()) {
            if !self.keeps(packet.key.hash(self.seed)) {
                packet.key = FlowKey::default();
                count += 1;
                bytes += u64::from(frame.wire_len);
            }
        }
        (count, bytes)
    }

    /// Of numbers without a pattern, one in so many.
    fn keeps(&self, number: u64) -> bool {
        (u128::from(number) * u128::from(self.config.one_in)) >> 64 == 0
    }
}

/// A number without a pattern for each number (the finalizer of SplitMix64).
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let n = (n ^ n >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ n >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ n >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::BURST;

    /// Which of so many frames are kept, in bursts of so many.
    fn kept(text: &str, frames: u32, burst: usize) -> Vec<u32> {
        let mut sampler = Sampler::new(text.parse().expect("fine"), HashSeed::FILES);
        let all: Vec<Frame<'_>> = (0..frames).map(|n| Frame { wire_len: n, ..Frame::default() }).collect();
        let mut numbers = Vec::new();
        for frames in all.chunks(burst) {
            let mut own = [Frame::default(); BURST];
            let count = sampler.select(frames, &mut own);
            numbers.extend(own[..count].iter().map(|frame| frame.wire_len));
        }
        numbers
    }

    #[test]
    fn one_in_so_many_is_kept_whatever_the_bursts() {
        assert_eq!(kept("3", 10, 4), [0, 3, 6, 9]);
        let random = kept("10:random", 100_000, 64);
        // A binomial with a deviation of 95.
        assert!(random.len().abs_diff(10_000) < 500, "{}", random.len());
        assert_eq!(random, kept("10:random", 100_000, 7));
        let gaps: std::collections::BTreeSet<u32> = random.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.len() > 30 && gaps.contains(&1), "no pattern: {gaps:?}");
    }

    #[test]
    fn a_flow_is_kept_with_both_directions_or_not_at_all() {
        let sampler = Sampler::new("8:flow".parse().expect("fine"), HashSeed::FILES);
        let mut flows = 0;
        for port in 0..40_000u16 {
            let (a, b) = ([10, 0, 0, 1], [10, 0, 0, 2]);
            let ends = [(a, b, port, 443), (b, a, 443, port)];
            let mut packets = ends.map(|(src, dst, sport, dport)| Packet {
                key: FlowKey::v4(src, dst, sport, dport, 6, 0, false).0,
                ..Packet::default()
            });
            let frame = Frame { wire_len: 60, ..Frame::default() };
            let (dropped, bytes) = sampler.drop_from(&mut packets, &[frame; 2]);
            assert!(dropped == 0 || dropped == 2, "port {port}");
            assert_eq!(bytes, 60 * dropped);
            flows += 2 - dropped;
        }
        assert!((flows / 2).abs_diff(5_000) < 350, "{flows}");
    }

    #[test]
    fn options_are_read() {
        assert_eq!("7".parse(), Ok(Sampling { one_in: 7, selector: Selector::Systematic }));
        for text in ["2:systematic", "1000000:random", "9:flow"] {
            assert_eq!(text.parse::<Sampling>().expect("fine").to_string(), text);
        }
        for (bad, why) in [
            ("", "2 to"),
            ("1", "2 to"),
            ("1000001", "2 to"),
            ("5:each", "there is no 'each'"),
            ("5:", "there is no ''"),
        ] {
            assert!(bad.parse::<Sampling>().is_err_and(|said| said.contains(why)), "{bad}");
        }
    }
}
