//! An interface of a pcapng section: link type and clock. Format: draft-ietf-opsawg-pcapng, section 4.2.
use super::LinkType;
use super::options::Options;
use record::Time;

const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;

#[derive(Clone, Copy, Debug)]
pub(super) struct Interface {
    /// None: a link type that is not supported.
    pub(super) link: Option<LinkType>,
    /// Longest captured frame, bytes; 0 is no limit.
    pub(super) snaplen: u32,
    tick: Tick,
    /// Added to each time, seconds.
    offset_s: i64,
}

/// What one unit of a timestamp is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Tick {
    /// So many nanoseconds.
    Multiply(u64),
    /// One nanosecond divided by this.
    Divide(u64),
    /// 2 to the minus so many seconds, at most 127.
    Binary(u8),
}

impl Interface {
    /// From the fields and the options of an Interface Description Block. Options that are cut off or have a wrong length are as if
    /// absent: the frames can be read without them.
    pub(super) fn new<const BIG: bool>(link: u16, snaplen: u32, options: &[u8]) -> Interface {
        let mut interface =
            Interface { link: LinkType::from_number(link.into()), snaplen, tick: Tick::Multiply(1_000), offset_s: 0 };
        for (code, value) in Options::<BIG>::of(options) {
            match (code, value) {
                (IF_TSRESOL, &[resolution]) => interface.tick = Tick::new(resolution),
                (IF_TSOFFSET, value) => {
                    if let Ok(bytes) = <[u8; 8]>::try_from(value) {
                        interface.offset_s = if BIG { i64::from_be_bytes(bytes) } else { i64::from_le_bytes(bytes) };
                    }
                }
                _ => {}
            }
        }
        interface
    }

    /// The time of a frame with this timestamp; stays at 1970 and at 2554 when it would pass them.
    #[inline]
    pub(super) fn time(&self, ticks: u64) -> Time {
        let since = match self.tick {
            Tick::Multiply(by) => ticks.saturating_mul(by),
            Tick::Divide(by) => ticks / by,
            Tick::Binary(by) => u64::try_from((u128::from(ticks) * 1_000_000_000) >> by).unwrap_or(u64::MAX),
        };
        if self.offset_s == 0 {
            return Time(since);
        }
        let at = i128::from(since) + i128::from(self.offset_s) * 1_000_000_000;
        Time(u64::try_from(at.max(0)).unwrap_or(u64::MAX))
    }
}

impl Tick {
    /// From if_tsresol: the upper bit chooses between powers of 2 and of 10, the others are the negative exponent.
    fn new(resolution: u8) -> Tick {
        let exponent = resolution & 0x7f;
        match resolution >> 7 {
            1 => Tick::Binary(exponent),
            _ if exponent <= 9 => Tick::Multiply(10_u64.pow(9 - u32::from(exponent))),
            _ => Tick::Divide(10_u64.checked_pow(u32::from(exponent) - 9).unwrap_or(u64::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(options: &[u8], ticks: u64) -> u64 {
        Interface::new::<false>(1, 0, options).time(ticks).0
    }

    #[test]
    fn resolutions() {
        assert_eq!(time(&[], 1_500_000), 1_500_000_000);
        assert_eq!(time(&[9, 0, 1, 0, 9, 0, 0, 0], 7), 7);
        assert_eq!(time(&[9, 0, 1, 0, 0, 0, 0, 0], 7), 7_000_000_000);
        assert_eq!(time(&[9, 0, 1, 0, 12, 0, 0, 0], 7_999), 7);
        assert_eq!(time(&[9, 0, 1, 0, 0x7f, 0, 0, 0], u64::MAX), 1);
        assert_eq!(time(&[9, 0, 1, 0, 0x8a, 0, 0, 0], 1_536), 1_500_000_000);
        assert_eq!(time(&[9, 0, 1, 0, 0xff, 0, 0, 0], u64::MAX), 0);
        assert_eq!(time(&[9, 0, 1, 0, 0x80, 0, 0, 0], u64::MAX), u64::MAX);
    }

    #[test]
    fn offsets_and_what_cannot_be_read() {
        let offset = |s: i64| [&[14, 0, 8, 0][..], &s.to_le_bytes()].concat();
        assert_eq!(time(&offset(10), 5), 10_000_005_000);
        assert_eq!(time(&offset(-10), 5), 0);
        assert_eq!(time(&offset(i64::MAX), 5), u64::MAX);
        // Another option before it, one of the wrong length, the end before it, a cut one.
        assert_eq!(time(&[&[2, 0, 3, 0, b'e', b'0', 0, 0][..], &offset(1)].concat(), 0), 1_000_000_000);
        assert_eq!(time(&[14, 0, 2, 0, 1, 1, 0, 0], 1), 1_000);
        assert_eq!(time(&[&[0; 4][..], &offset(1)].concat(), 1), 1_000);
        assert_eq!(time(&offset(1)[..10], 1), 1_000);
    }
}
