//! All destinations and the windows of time, which are the same for all.
use super::victim::{Victim, Windows};
use super::{Alert, Settings, WINDOW, WINDOWS};
use crate::bounded::Bounded;
use crate::sdk::{GO_ON, Step};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::ops::ControlFlow;

/// Destinations at a time, at the most; about 210 bytes each.
const VICTIMS_MAX: usize = 1 << 20;

/// A flow to an IPv4 address; times in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub destination: u32,
    pub source: u32,
    pub bytes: u64,
    pub first: u32,
    pub last: u32,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Floods {
    settings: Settings,
    victims: Bounded<u32, Victim>,
    windows: Windows,
    /// Largest end of a flow, seconds.
    now: u32,
    /// Flows that end before they begin.
    reversed: u64,
}

impl Floods {
    pub(super) fn new(settings: Settings) -> Floods {
        Floods::with_room(settings, VICTIMS_MAX)
    }

    fn with_room(settings: Settings, victims_max: usize) -> Floods {
        Floods { settings, victims: Bounded::new(victims_max), windows: Windows::default(), now: 0, reversed: 0 }
    }

    /// Takes a flow; records about floods go to `send`.
    pub(super) fn add(&mut self, flow: &Flow, send: &mut impl FnMut(&Alert) -> Step) -> Step {
        if self.follow(flow.last, send)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        if flow.last < flow.first {
            self.reversed += 1;
            if self.reversed.is_power_of_two() {
                eprintln!(
                    "WARNING: Received flow with TIME_LAST < TIME_FIRST. It will be ignored. ({} of them so far)",
                    self.reversed
                );
            }
            return GO_ON;
        }
        let destination = flow.destination & mask(self.settings.destination_mask);
        let source = flow.source & mask(self.settings.source_mask);
        let (victim, evicted) = self.victims.entry(destination, Victim::default);
        victim.add(self.windows, source, flow.bytes, flow.first, flow.last);
        if victim.flood.is_none() {
            let event = || RandomState::new().build_hasher().finish() << 32 | u64::from(destination);
            victim.look_for_flood(self.windows, &self.settings, event);
        }
        // One that makes room must not take an alert with it.
        match evicted.and_then(|(key, mut victim)| victim.finish(self.windows, &self.settings, key)) {
            Some(alert) => send(&alert),
            None => GO_ON,
        }
    }

    /// Records about the floods that go on; nothing is remembered then.
    pub(super) fn finish(&mut self, send: &mut impl FnMut(&Alert) -> Step) -> Step {
        let (mut alerts, windows) = (Vec::new(), self.windows);
        self.victims.retain(|destination, victim| {
            alerts.extend(victim.finish(windows, &self.settings, *destination).map(|alert| (*destination, alert)));
            false
        });
        send_in_order(alerts, send)
    }

    /// Says what made room.
    pub(super) fn tell(&self) {
        self.victims.tell("destinations");
    }

    /// Moves the windows on to the end of a flow.
    fn follow(&mut self, end: u32, send: &mut impl FnMut(&Alert) -> Step) -> Step {
        if end <= self.now {
            return GO_ON;
        }
        let mut step = GO_ON;
        if end - self.now > WINDOW * WINDOWS as u32 {
            if self.now != 0 {
                eprintln!(
                    "WARNING: Received flow with timestamp too far in the future compared to previous flows. Assuming the input was \
                     interrupted for some time. Re-initializing all data structures."
                );
            }
            step = self.finish(send);
            self.windows.start = end - end % WINDOW;
        }
        self.now = end;
        let moved = (end - self.windows.start) / WINDOW;
        if moved > 0 {
            step = self.move_windows(moved as usize, send);
        }
        step
    }

    fn move_windows(&mut self, moved: usize, send: &mut impl FnMut(&Alert) -> Step) -> Step {
        let (mut alerts, windows) = (Vec::new(), self.windows);
        self.victims.retain(|destination, victim| {
            let (is_kept, alert) = victim.move_windows(windows, moved, &self.settings, *destination);
            alerts.extend(alert.map(|alert| (*destination, alert)));
            is_kept
        });
        self.windows.newest = (windows.newest + moved) % WINDOWS;
        self.windows.start = windows.start.saturating_add(WINDOW * moved as u32);
        send_in_order(alerts, send)
    }
}

/// Sends in the order of the destinations, which is that of the original's tree.
fn send_in_order(mut alerts: Vec<(u32, Alert)>, send: &mut impl FnMut(&Alert) -> Step) -> Step {
    alerts.sort_by_key(|(destination, _)| *destination);
    for (_, alert) in &alerts {
        if send(alert)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    GO_ON
}

/// The upper `length` bits, 0 to 32.
fn mask(length: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A minute in the middle of a day.
    const T0: u32 = 1_672_654_500;

    fn flow(at: u32, destination: u32, source: u32, bytes: u64) -> Flow {
        Flow { destination, source, bytes, first: T0 + at, last: T0 + at }
    }

    /// Records about flows, as text without the random number.
    fn alerts(settings: &str, victims_max: usize, flows: &[Flow]) -> Vec<String> {
        let args: Vec<_> = settings.split_whitespace().map(String::from).collect();
        let mut out = Vec::new();
        let mut send = |a: &Alert| {
            let secs = |time: crate::sdk::Time| time.secs() as i64 - i64::from(T0);
            out.push(format!(
                "{} now {} before {} excess {} from {} to {} sources {} {} number {}",
                a.event as u32,
                a.bytes_now,
                a.bytes_before,
                a.excess,
                secs(a.first),
                secs(a.last),
                a.sources_now,
                a.sources_before,
                a.number
            ));
            GO_ON
        };
        let mut floods = Floods::with_room(Settings::parse(&args).unwrap(), victims_max);
        for flow in flows {
            assert!(floods.add(flow, &mut send).unwrap().is_continue());
        }
        assert!(floods.finish(&mut send).unwrap().is_continue() && floods.victims.is_empty());
        out
    }

    /// Minutes of 600 kB from one source, then minutes of 10 MB from ten networks.
    fn attack(normal: u32, minutes: u32) -> Vec<Flow> {
        let quiet = (0..normal).map(|minute| flow(minute * 60, 7, 1, 600_000));
        let loud = (normal..normal + minutes)
            .flat_map(|minute| (0..10).map(move |n| flow(minute * 60 + n, 7, n << 8, 1_000_000)));
        quiet.chain(loud).collect()
    }

    #[test]
    fn a_flood_at_the_end_is_told_when_its_second_window_is_over() {
        let mut flows = attack(1, 2);
        assert!(alerts("", 10, &flows).is_empty(), "not yet certain");
        flows.push(flow(180, 8, 1, 100));
        let expected = "7 now 49047 before 10000 excess 18800000 from 60 to 240 sources 3 1 number 0";
        assert_eq!(alerts("", 10, &flows), [expected]);
        assert!(alerts("-b 81", 10, &flows).is_empty(), "too little before");
        assert!(alerts("-c 10", 10, &flows).is_empty() && alerts("-t 17", 10, &flows).is_empty());
        assert!(alerts("-m 2000", 10, &flows).is_empty() && alerts("-s 16", 10, &flows).is_empty());
        // The other destination takes its place and the alert is sent at once.
        assert_eq!(alerts("", 1, &flows), [expected]);
    }

    #[test]
    fn an_ongoing_flood_is_told_every_five_minutes_and_at_its_end() {
        let mut flows = attack(3, 12);
        flows.extend((15..30).map(|minute| flow(minute * 60, 7, 1, 600_000)));
        let told = alerts("", 10, &flows);
        assert_eq!(
            told,
            [
                "7 now 166666 before 10000 excess 47000000 from 180 to 480 sources 10 1 number 0",
                "7 now 166666 before 10000 excess 47000000 from 480 to 780 sources 10 1 number 1",
                "7 now 166666 before 10000 excess 18800000 from 780 to 1260 sources 10 1 number 2",
            ]
        );
    }

    #[test]
    fn a_gap_ends_everything() {
        let mut flows = attack(1, 3);
        flows.push(flow(3_000, 8, 1, 1));
        let told = alerts("", 10, &flows);
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("from 60 to 240"), "{told:?}");
        let mut reversed = flow(0, 7, 1, 5);
        reversed.first += 1;
        assert!(alerts("", 10, &[reversed]).is_empty());
    }

    proptest! {
        /// Bytes of a flow are divided among windows and none is lost, as long as its begin is in one of them.
        #[test]
        fn bytes_are_divided(offset in 0_u32..60, length in 0_u32..500, bytes in 0_u64..1_000_000_000_000) {
            let windows = Windows { start: T0, newest: 3 };
            let last = T0 + offset;
            let mut victim = Victim::default();
            victim.add(windows, 1, bytes, last - length, last);
            let is_inside = length <= offset + 360;
            prop_assert_eq!(victim.total() == bytes, is_inside || bytes == 0);
            prop_assert!(victim.total() <= bytes);
        }

        #[test]
        fn any_flows(flows in proptest::collection::vec((0_u32..3, 0_u32..600, 0_u32..2_000, 0_u32..100, 0_u64..90_000_000), 0..300)) {
            let flows: Vec<_> = flows.into_iter().map(|(destination, length, at, source, bytes)| {
                Flow { destination, source: source << 8, bytes, first: T0 + at, last: T0 + at + length }
            }).collect();
            alerts("-p 0 -t 1 -c 0 -m 0 -b 0", 2, &flows);
        }
    }
}
