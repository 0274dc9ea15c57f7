//! Sources of failed attempts and of connections: each has so many. Sources are addresses; of IPv6 the network of 64 bits that one peer has.
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Failed attempts of a source in a window, after which it is refused until the window ends.
pub(super) const FAILURES_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Sources that are remembered; the one that began first makes room.
const SOURCES_MAX: usize = 1_024;
/// Connections of a source at a time; further ones are closed, so that one source cannot have all.
const VISITS_MAX: usize = 16;

/// What is counted together.
fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
        address => address,
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Failed attempts to say who one is.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    failures: Mutex<HashMap<IpAddr, (Instant, u32)>>,
}

/// What comes of a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    Counted,
    /// It was the last of the window.
    Last,
}

impl Attempts {
    /// Whether a source has failed too often; it is not listened to then, right or wrong.
    pub(super) fn is_refused(&self, address: IpAddr, now: Instant) -> bool {
        let failures = locked(&self.failures);
        failures
            .get(&source_of(address))
            .is_some_and(|(began, count)| *count >= FAILURES_MAX && now.saturating_duration_since(*began) < WINDOW)
    }

    /// Counts a failed attempt.
    pub(super) fn failed(&self, address: IpAddr, now: Instant) -> Failed {
        let mut failures = locked(&self.failures);
        let source = source_of(address);
        if !failures.contains_key(&source) && failures.len() >= SOURCES_MAX {
            let first = failures.iter().min_by_key(|(_, (began, _))| *began).map(|(source, _)| *source);
            first.map(|first| failures.remove(&first));
        }
        let (began, count) = failures.entry(source).or_insert((now, 0));
        if now.saturating_duration_since(*began) >= WINDOW {
            (*began, *count) = (now, 0);
        }
        *count += 1;
        if *count == FAILURES_MAX { Failed::Last } else { Failed::Counted }
    }
}

/// Connections of each source; sources without one are forgotten.
#[derive(Debug, Clone, Default)]
pub(super) struct Visits(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A connection, as long as it lives.
#[derive(Debug)]
pub(super) struct Visit {
    all: Visits,
    source: IpAddr,
}

impl Visits {
    /// `None`: the source has enough.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Visit> {
        let source = source_of(address);
        let mut visits = locked(&self.0);
        let count = visits.entry(source).or_default();
        if *count >= VISITS_MAX {
            return None;
        }
        *count += 1;
        Some(Visit { all: self.clone(), source })
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut visits = locked(&self.all.0);
        if let Some(count) = visits.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                visits.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_source_that_fails_is_refused_for_the_window() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        for _ in 1..FAILURES_MAX {
            assert_eq!(attempts.failed(one, now), Failed::Counted);
            assert!(!attempts.is_refused(one, now));
        }
        assert_eq!(attempts.failed(one, now), Failed::Last);
        assert!(attempts.is_refused(one, now) && attempts.is_refused(address("::ffff:192.0.2.1"), now));
        assert!(!attempts.is_refused(other, now) && !attempts.is_refused(one, now + WINDOW));
        assert_eq!(attempts.failed(one, now + WINDOW), Failed::Counted);
    }

    #[test]
    fn sources_are_bounded_and_one_network_is_one() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for n in 0..2 * SOURCES_MAX as u128 {
            attempts.failed(IpAddr::V6((n << 64).into()), now);
        }
        assert_eq!(locked(&attempts.failures).len(), SOURCES_MAX);
        for n in 0..u128::from(FAILURES_MAX) {
            attempts.failed(IpAddr::V6((0x2001 << 112 | n).into()), now);
        }
        assert!(attempts.is_refused(address("2001::1234"), now));
    }

    #[test]
    fn visits_end() {
        let visits = Visits::default();
        let all: Vec<Visit> = (0..VISITS_MAX).filter_map(|_| visits.enter(address("192.0.2.1"))).collect();
        assert!(all.len() == VISITS_MAX && visits.enter(address("192.0.2.1")).is_none());
        assert!(visits.enter(address("192.0.2.2")).is_some());
        drop(all);
        assert!(visits.enter(address("192.0.2.1")).is_some() && locked(&visits.0).is_empty());
    }
}
