//! Alerts, and the numbers of events.
use crate::sdk::{IpAddr, Text, Time, record};
use jiff::Timestamp;

/// What an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Plain = 0,
    Distributed = 1,
    Scan = 2,
}

record! {
    /// An event.
    pub(super) struct Alert = "sip_bf" {
        /// Who guessed.
        source: IpAddr, unirec "SBFD_SOURCE";
        /// The server.
        target: IpAddr, unirec "SBFD_TARGET";
        /// The first login after the threshold; 0 if there was none.
        breach: Time, unirec "SBFD_BREACH_TIME";
        /// The last message.
        cease: Time, unirec "SBFD_CEASE_TIME";
        /// See [`EventIds`].
        id: u64, unirec "SBFD_EVENT_ID";
        /// The first message.
        first: Time, unirec "SBFD_EVENT_TIME";
        /// Link of the first message.
        link: u64, unirec "SBFD_LINK_BIT_FIELD";
        /// All attempts.
        attempts: u32, unirec "SBFD_ATTEMPTS";
        /// Attempts for each client or user.
        average: u32, unirec "SBFD_AVG_ATTEMPTS";
        /// Port of the server.
        server_port: u16, unirec "DST_PORT";
        /// Port of the client; 0 for a distributed attack.
        client_port: u16, unirec "SRC_PORT";
        /// See [`Kind`].
        kind: u8, unirec "SBFD_EVENT_TYPE";
        /// Protocol of the first message.
        protocol: u8, unirec "SBFD_PROTOCOL";
        /// `user@domain`; empty for a scan.
        user: Text<160>, unirec "SBFD_USER";
    }
}

/// Gives numbers to events: YYYYMMDDhhmmss of the first message, in UTC, and four digits that count alerts in a row whose minutes and
/// seconds are equal.
#[derive(Debug, Default)]
pub(super) struct EventIds {
    /// Minute and second of the last alert.
    last: (u64, u64),
    row: u64,
}

impl EventIds {
    /// The number of an event that began at `secs`.
    pub(super) fn next(&mut self, secs: u64) -> u64 {
        let at = i64::try_from(secs).ok().and_then(|secs| Timestamp::from_second(secs).ok()).unwrap_or_default();
        let at = at.strftime("%Y%m%d%H%M%S").to_string().parse::<u64>().unwrap_or(0);
        let minute = (at / 100 % 100, at % 100);
        if minute == self.last {
            self.row += 1;
        } else {
            (self.last, self.row) = (minute, 0);
        }
        at * 10_000 + self.row
    }
}

/// Whole seconds as a time.
pub(super) fn time(secs: u64) -> Time {
    Time(secs.saturating_mul(1_000_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_events() {
        let mut ids = EventIds::default();
        let got: Vec<_> =
            [1_672_654_500, 1_672_654_500, 1_672_658_100, 1_672_654_501, 0].map(|secs| ids.next(secs)).into();
        assert_eq!(
            got,
            [
                202_301_021_015_000_000,
                202_301_021_015_000_001,
                202_301_021_115_000_002,
                202_301_021_015_010_000,
                197_001_010_000_000_000
            ]
        );
        // 00:00 is what a fresh one saw last.
        assert_eq!(EventIds::default().next(0) % 10, 1);
    }
}
