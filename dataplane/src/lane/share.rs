//! Which packets of a capture are a lane's, when several lanes read the same one; and which flows are a collector's of several.
use crate::capture::Frame;
use crate::flow::FlowKey;
use crate::flow::key::HashSeed;
use crate::packet::decode::DecodeConfig;
use crate::packet::peek;

/// One of so many equal shares of a capture or of its flows, told by the pair of addresses alone.
///
/// Ports do not count: a fragment has none, and has to go where its first fragment went. The hash is none of the flow table's, or
/// a lane would use one line in so many. It is not secret: whoever chooses addresses can load one lane more than the others, as with
/// every hash of a network card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    index: u32,
    of: u32,
}

/// Words without a pattern: digits of pi.
const SEED: HashSeed =
    HashSeed::fixed([0x243F_6A88_85A3_08D3, 0x1319_8A2E_0370_7345, 0xA409_3822_299F_31D1, 0x082E_FA98_EC4E_6C89]);

impl Share {
    /// Every packet.
    pub const WHOLE: Share = Share { index: 0, of: 1 };

    /// Share `index` (from 0) of `of`; `None` if there is no such share.
    pub fn new(index: u32, of: u32) -> Option<Share> {
        (index < of).then_some(Share { index, of })
    }

    /// The first share keeps the books of what is nobody's: frames that are no packets.
    #[inline(always)]
    pub fn is_first(self) -> bool {
        self.index == 0
    }

    #[inline(always)]
    pub(crate) fn has(self, key: &FlowKey) -> bool {
        self.of == 1 || self.of_key(key) == self.index
    }

    /// Whether a frame is surely another lane's packet.
    #[inline]
    pub(super) fn leaves(self, frame: &Frame<'_>, config: &DecodeConfig) -> bool {
        self.of > 1 && peek::addresses(frame, config).is_some_and(|key| !self.has(&key))
    }

    #[inline(always)]
    fn of_key(self, key: &FlowKey) -> u32 {
        ((u128::from(key.hash_of_addresses(SEED)) * u128::from(self.of)) >> 64) as u32
    }
}

impl Default for Share {
    fn default() -> Share {
        Share::WHOLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_all_ports_and_protocols_go_to_one_lane() {
        let share = Share::new(0, 64).expect("one of 64");
        for host in 0..200u8 {
            let (a, b) = ([10, 1, host, 7], [192, 0, 2, 1]);
            let lane = share.of_key(&FlowKey::v4(a, b, 1, 2, 6, 0, false).0);
            for split in [false, true] {
                for (ports, protocol) in [((2, 1), 6), ((0, 0), 17), ((65_535, 0), 1)] {
                    assert_eq!(share.of_key(&FlowKey::v4(a, b, ports.0, ports.1, protocol, 9, split).0), lane);
                    assert_eq!(share.of_key(&FlowKey::v4(b, a, ports.0, ports.1, protocol, 9, split).0), lane);
                }
            }
            let (a, b) = ([host; 16], [9; 16]);
            let lane = share.of_key(&FlowKey::v6(a, b, 1, 2, 6, 0, true).0);
            assert_eq!(share.of_key(&FlowKey::v6(b, a, 7, 7, 17, 5, true).0), lane);
            assert_eq!(share.of_key(&FlowKey::v6(b, a, 7, 7, 17, 5, false).0), lane);
        }
    }

    #[test]
    fn shares_are_equal_and_none_is_left_out() {
        let of = 4;
        let shares: Vec<Share> = (0..of).filter_map(|index| Share::new(index, of)).collect();
        let mut counts = [0u32; 4];
        for host in 0..40_000u32 {
            let (key, _) = FlowKey::v4(host.to_be_bytes(), [192, 0, 2, 1], 1, 2, 6, 0, false);
            let takers: Vec<usize> = (0..4).filter(|at| shares[*at].has(&key)).collect();
            let [taker] = takers[..] else { panic!("{takers:?} take {host}") };
            counts[taker] += 1;
        }
        assert!(counts.iter().all(|n| (9_500..10_500).contains(n)), "{counts:?}");
        assert_eq!((Share::new(4, 4), Share::new(0, 0)), (None, None));
    }
}
