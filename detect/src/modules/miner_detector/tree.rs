//! The decision tree of the original: which traffic looks like mining (spec/detectors.md section 11).

/// What is asked of a suspect: packets in a minute (-1 if unknown), bytes of a packet, packets of a flow, and the percentages of flows with
/// ACK or ACK and PSH alone, with SYN, RST, FIN, and towards the lower port. Whole numbers, cut.
pub(super) type Features = [i64; 8];

/// First and last value.
type Range = (i64, i64);

const ANY: Range = (i64::MIN, i64::MAX);

const fn to(last: i64) -> Range {
    (i64::MIN, last)
}

const fn from(first: i64) -> Range {
    (first, i64::MAX)
}

const fn is(value: i64) -> Range {
    (value, value)
}

/// The leaves of the tree that say "miner", in the order of [`Features`].
#[rustfmt::skip]
const MINERS: [[Range; 8]; 26] = [
    [to(1), to(54), to(1), from(96), to(1), to(1), to(7), ANY],
    [is(5), to(54), to(1), (98, 99), to(1), to(1), to(0), ANY],
    [(2, 5), to(54), to(1), from(100), to(1), to(1), to(0), ANY],
    [to(5), to(54), to(1), from(87), from(2), to(1), is(7), ANY],
    [(6, 12), to(55), is(2), (87, 93), to(6), to(0), to(3), ANY],
    [to(6), to(43), is(2), (94, 99), to(6), to(0), (1, 3), ANY],
    [to(6), (44, 52), is(2), (94, 99), to(0), to(0), (1, 3), ANY],
    [to(6), to(52), is(2), from(100), to(6), to(0), to(3), ANY],
    [to(3), (53, 55), is(2), from(98), to(6), to(0), to(3), ANY],
    [(4, 12), (53, 54), is(2), (94, 98), to(6), to(0), to(3), ANY],
    [(4, 12), is(55), is(2), is(94), to(6), to(0), to(3), ANY],
    [(5, 8), is(56), is(2), (87, 94), to(6), to(0), to(7), ANY],
    [(5, 8), (57, 59), is(2), (87, 89), to(6), to(0), to(7), ANY],
    [(2, 8), (56, 59), is(2), from(100), to(6), to(0), to(7), ANY],
    [to(12), to(40), is(2), (87, 96), to(6), is(1), to(7), ANY],
    [(7, 12), (41, 56), is(2), (87, 96), to(6), is(1), to(7), ANY],
    [(4, 5), to(59), is(3), from(100), ANY, to(1), to(7), ANY],
    [(3, 4), (60, 70), (2, 3), from(100), to(91), to(1), to(1), ANY],
    [(3, 4), (60, 70), (2, 3), ANY, from(92), to(1), to(1), ANY],
    [(7, 10), is(58), (4, 8), from(100), ANY, to(1), to(7), ANY],
    [(7, 10), (58, 67), (9, 10), from(100), ANY, to(1), to(7), ANY],
    [to(12), to(70), from(6), ANY, to(2), from(2), to(97), ANY],
    [to(12), to(70), from(7), ANY, ANY, from(2), from(98), ANY],
    [to(70), from(71), ANY, ANY, ANY, ANY, ANY, to(75)],
    [(71, 135), from(106), ANY, from(100), ANY, ANY, ANY, ANY],
    [from(136), (104, 108), to(230), ANY, ANY, ANY, ANY, ANY],
];

/// Whether the tree says "miner".
pub(super) fn is_miner(features: &Features) -> bool {
    MINERS
        .iter()
        .any(|region| region.iter().zip(features).all(|((first, last), value)| (first..=last).contains(&value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_and_their_edges() {
        for (features, expected) in [
            ([-1, 54, 1, 96, 1, 1, 7, 100], true),
            ([2, 54, 1, 96, 1, 1, 7, 100], false),
            ([5, 54, 1, 98, 0, 0, 0, 0], true),
            ([5, 54, 1, 97, 0, 0, 0, 0], false),
            ([12, 55, 2, 87, 6, 0, 3, 0], true),
            ([13, 55, 2, 87, 6, 0, 3, 0], false),
            ([4, 60, 3, 0, 92, 1, 1, 0], true),
            ([4, 71, 3, 0, 92, 1, 1, 75], true),
            ([4, 71, 3, 0, 92, 1, 1, 76], false),
            ([71, 106, 9, 100, 0, 0, 0, 100], true),
            ([71, 105, 9, 100, 0, 0, 0, 100], false),
            ([136, 108, 230, 0, 0, 0, 0, 100], true),
            ([136, 109, 230, 0, 0, 0, 0, 100], false),
            ([136, 108, 231, 0, 0, 0, 0, 100], false),
        ] {
            assert_eq!(is_miner(&features), expected, "{features:?}");
        }
    }
}
