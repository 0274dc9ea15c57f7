//! Times of NetFlow 5 and 9: milliseconds since a start that each packet's header tells (RFC 3954 section 5.1, SysUpTime and UNIX Secs).
//!
//! A collector takes the uptime from the header's time to know the start, and adds a record's milliseconds. So that this is exact, the
//! start and the header's time are whole seconds, and what a packet's records say is never before the start nor beyond 32 bits of
//! milliseconds: where it would be, another start is told by the next packet, as after a restart of a router.
use record::Time;

/// Seconds by which the newest flow may be older than the clock for the header to have the clock's time. Flows of an old capture get
/// headers of their own time, so that 49 days of milliseconds reach them.
const LIVE_SECS: u64 = 86_400;
/// Seconds between the start and the flow that made it: flows that end later may have begun before it.
const MARGIN_SECS: u64 = 3_600;
/// Milliseconds that records may be away from the start, so that the header's time, at most [`LIVE_SECS`] later, has room too.
const REACH_MS: u64 = u32::MAX as u64 - (LIVE_SECS + 1) * 1000;

/// The start, and the newest time in the packet that is being filled.
#[derive(Debug, Default)]
pub(super) struct Uptime {
    /// Unix seconds, once there was a flow.
    start_secs: Option<u64>,
    newest_ms: u64,
}

/// What became of a flow's times.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Placed {
    At(Since),
    /// The packet has to go first.
    NextPacket,
    /// No packet can tell them.
    TooLong,
}

/// A flow's times, milliseconds since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Since {
    pub(super) first: u32,
    pub(super) last: u32,
}

impl Uptime {
    /// Places a flow in the packet that is being filled; an empty one may get another start.
    pub(super) fn place(&mut self, first: Time, last: Time, is_empty: bool) -> Placed {
        let (first, last) = (first.millis(), last.millis().max(first.millis()));
        if is_empty {
            self.newest_ms = 0;
        }
        let newest = self.newest_ms.max(last);
        let start = match self.start_secs {
            Some(start) if first >= start * 1000 && newest - start * 1000 <= REACH_MS => start,
            _ if !is_empty => return Placed::NextPacket,
            _ => (first / 1000).saturating_sub(MARGIN_SECS),
        };
        if last - start * 1000 > REACH_MS {
            return Placed::TooLong;
        }
        self.start_secs = Some(start);
        self.newest_ms = newest;
        // Both are below REACH_MS, which has 32 bits.
        Placed::At(Since { first: (first - start * 1000) as u32, last: (last - start * 1000) as u32 })
    }

    /// (SysUpTime in milliseconds, UNIX Secs) for the header of a packet that leaves at this time of the clock.
    pub(super) fn header(&self, now_secs: u64) -> (u32, u32) {
        let Some(start) = self.start_secs else { return (0, now_secs as u32) };
        let newest = self.newest_ms.div_ceil(1000).max(start);
        let secs = if (newest..newest + LIVE_SECS).contains(&now_secs) { now_secs } else { newest };
        (((secs - start) * 1000) as u32, secs as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a collector makes of it.
    fn told(uptime: &Uptime, since: Since, now_secs: u64) -> (u64, u64) {
        let (up, secs) = uptime.header(now_secs);
        let start = u64::from(secs) * 1000 - u64::from(up);
        assert!(up >= since.last, "a flow does not end after the packet that tells it");
        (start + u64::from(since.first), start + u64::from(since.last))
    }

    proptest! {
        /// Whatever the flows and the clock, a collector sees the milliseconds of the flows.
        #[test]
        fn times_are_exact(flows in prop::collection::vec((0u64..4_000_000_000, 0u64..6_000_000), 1..40), now in 0u64..4_000_000_000) {
            let mut uptime = Uptime::default();
            let mut packet: Vec<(Since, u64, u64)> = Vec::new();
            let check = |uptime: &Uptime, packet: &mut Vec<(Since, u64, u64)>| {
                for (since, first, last) in packet.drain(..) {
                    assert_eq!(told(uptime, since, now), (first, last));
                }
            };
            for (secs, lasting) in flows {
                let (first, last) = (secs * 1000 + 7, secs * 1000 + 7 + lasting * 1000);
                let time = |ms: u64| Time(ms * 1_000_000 + 999_999);
                loop {
                    match uptime.place(time(first), time(last), packet.is_empty()) {
                        Placed::At(since) => {
                            packet.push((since, first, last));
                            break;
                        }
                        Placed::NextPacket => check(&uptime, &mut packet),
                        Placed::TooLong => {
                            assert!(lasting * 1000 > REACH_MS - (MARGIN_SECS + 1) * 1000);
                            break;
                        }
                    }
                }
            }
            check(&uptime, &mut packet);
        }
    }

    #[test]
    fn a_live_packet_has_the_time_of_the_clock_and_an_old_one_that_of_its_flows() {
        let mut uptime = Uptime::default();
        uptime.place(Time(5_000_000_000_000), Time(5_000_500_000_000), true);
        assert_eq!(uptime.header(5_030), (3_630_000, 5_030));
        assert_eq!(uptime.header(1_700_000_000), (3_601_000, 5_001));
        assert_eq!(uptime.header(12), (3_601_000, 5_001), "flows of tomorrow");
    }
}
