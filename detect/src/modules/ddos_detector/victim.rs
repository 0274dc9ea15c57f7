//! What one destination got in the last windows, and the flood that it is in.
use super::{Alert, Settings, WINDOW, WINDOWS};
use crate::sdk::Time;
use std::net::Ipv4Addr;

/// Sources are told apart by the rest of a division by this.
const SOURCES: u32 = 511;
/// Seconds between records about one flood, at the least.
const BETWEEN: u32 = 300;

/// Where the windows are now: the same for all destinations.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Windows {
    /// First second of the newest one.
    pub start: u32,
    /// Its place in arrays; the next place is that of the oldest.
    pub newest: usize,
}

/// A destination.
#[derive(Debug, Default)]
pub(super) struct Victim {
    bytes: [u64; WINDOWS],
    sources: [u16; WINDOWS],
    /// Sources of the newest window, a bit each.
    seen: [u64; SOURCES.div_ceil(64) as usize],
    total: u64,
    pub flood: Option<Box<Flood>>,
}

/// A flood. It is certain when its second window is over.
#[derive(Debug, Default)]
pub(super) struct Flood {
    /// Begin of the flood, or until when it was told.
    told: u32,
    excess: u64,
    event: u64,
    number: u8,
    bytes_before: u64,
    sources_before: u32,
    /// Sums of the windows that are counted.
    bytes_now: u64,
    sources_now: u32,
    windows: u8,
    is_certain: bool,
}

impl Windows {
    /// Place of a window; 0 is the oldest.
    fn place(self, age: usize) -> usize {
        (self.newest + 1 + age) % WINDOWS
    }

    /// The second behind the newest window.
    pub(super) fn end(self) -> u32 {
        self.start.saturating_add(WINDOW)
    }

    /// First second of the window with this number; 0 is the oldest.
    fn begin_of(self, age: usize) -> u32 {
        self.start.saturating_sub(WINDOW * (WINDOWS - 1 - age) as u32)
    }

    /// Number of the window that begins at this second; 0 if it is the oldest or gone.
    fn age_of(self, begin: u32) -> usize {
        (begin.saturating_sub(self.begin_of(0)) / WINDOW) as usize
    }
}

impl Victim {
    /// Adds a flow that ends in the newest window or before: its source there, its bytes to the windows by their seconds.
    pub(super) fn add(&mut self, windows: Windows, source: u32, bytes: u64, first: u32, last: u32) {
        let bucket = source % SOURCES;
        let (word, bit) = (&mut self.seen[(bucket / 64) as usize], 1 << (bucket % 64));
        if *word & bit == 0 {
            *word |= bit;
            self.sources[windows.newest] = self.sources[windows.newest].saturating_add(1);
        }
        let (mut bytes, mut seconds) = (bytes, u64::from(last - first) + 1);
        for age in (0..WINDOWS).rev() {
            let begin = windows.begin_of(age);
            if last < begin {
                continue;
            }
            if first >= begin {
                self.put(windows.place(age), bytes);
                return;
            }
            // The original ends here with the second window and loses what belongs to older ones (spec: a mistake).
            let inside = u64::from(last.min(begin.saturating_add(WINDOW - 1)) - begin) + 1;
            let part = (u128::from(bytes) * u128::from(inside) / u128::from(seconds)) as u64;
            self.put(windows.place(age), part);
            (bytes, seconds) = (bytes - part, seconds - inside);
        }
    }

    /// Bytes of all windows.
    #[cfg(test)]
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    fn put(&mut self, place: usize, bytes: u64) {
        // Of windows that hold what they can the rest is left out, so that the total stays their sum.
        let bytes = bytes.min(u64::MAX - self.total);
        self.bytes[place] += bytes;
        self.total += bytes;
    }

    /// Looks for two windows that are many times what was before; `event` makes the number of the flood.
    pub(super) fn look_for_flood(&mut self, windows: Windows, settings: &Settings, event: impl FnOnce() -> u64) {
        let window = |age| (self.bytes[windows.place(age)], u64::from(self.sources[windows.place(age)]));
        let Some(oldest) = (0..WINDOWS - 2).find(|age| window(*age).0 != 0) else { return };
        let (mut bytes, mut sources) = (0_u64, 0);
        for age in oldest..WINDOWS - 2 {
            bytes += window(age).0;
            sources += window(age).1;
            let count = (age - oldest + 1) as u64;
            let bytes_limit =
                (bytes / count).saturating_mul(settings.bytes_factor.into()).max(settings.attack_bytes_min);
            let sources_limit = sources / count * u64::from(settings.sources_factor);
            let is_flood = |(bytes, sources)| bytes > bytes_limit && sources > sources_limit;
            if is_flood(window(age + 1)) && is_flood(window(age + 2)) {
                let told = windows.begin_of(age + 1);
                self.flood = Some(Box::new(Flood { told, event: event(), ..Flood::default() }));
                return;
            }
        }
    }

    /// Ends the `moved` oldest windows (1 to 7). Answers whether the destination is kept, and a record about its flood.
    pub(super) fn move_windows(
        &mut self,
        windows: Windows,
        moved: usize,
        settings: &Settings,
        destination: u32,
    ) -> (bool, Option<Alert>) {
        let mut alert = self.end_flood(windows, moved, settings, destination);
        self.make_certain(windows);
        self.count_ended(windows, moved);
        for age in 0..moved.min(WINDOWS) {
            let place = windows.place(age);
            self.total -= self.bytes[place];
            (self.bytes[place], self.sources[place]) = (0, 0);
        }
        self.seen.fill(0);
        let is_kept = self.total > settings.kept_bytes_min;
        if let Some(flood) = &mut self.flood {
            let until = windows.begin_of(0).wrapping_add(WINDOW * moved as u32);
            let is_told = flood.bytes_before >= settings.before_bytes_min;
            if !is_kept {
                alert = is_told.then(|| flood.alert(destination, windows.end()));
            } else if flood.told.wrapping_add(BETWEEN) <= until {
                if is_told {
                    alert = Some(flood.alert(destination, until));
                } else {
                    self.flood = None;
                }
            }
        }
        (is_kept, alert)
    }

    /// The record about a flood that goes on when nothing more comes; all windows count.
    pub(super) fn finish(&mut self, windows: Windows, settings: &Settings, destination: u32) -> Option<Alert> {
        let mut flood = self.flood.take().filter(|flood| flood.is_certain)?;
        for place in 0..WINDOWS {
            flood.excess = flood.excess.wrapping_add(self.bytes[place].saturating_sub(flood.bytes_before));
            flood.count(self.bytes[place], self.sources[place]);
        }
        (flood.bytes_before >= settings.before_bytes_min).then(|| flood.alert(destination, windows.end()))
    }

    /// Ends a flood whose last intensive window is among those that go, or is gone.
    fn end_flood(&mut self, windows: Windows, moved: usize, settings: &Settings, destination: u32) -> Option<Alert> {
        let flood = self.flood.as_mut().filter(|flood| flood.is_certain)?;
        let bytes_limit = flood.bytes_before.saturating_mul(settings.bytes_factor.into());
        let sources_limit = u64::from(flood.sources_before) * u64::from(settings.sources_factor);
        let is_intensive = |age: &usize| {
            let place = windows.place(*age);
            self.bytes[place] >= bytes_limit && u64::from(self.sources[place]) >= sources_limit
        };
        let last = (0..WINDOWS).rev().find(is_intensive);
        if last.is_some_and(|last| last >= moved) {
            return None;
        }
        // Windows below the average count against it.
        for age in 0..last.map_or(0, |last| last + 1) {
            let bytes = self.bytes[windows.place(age)].wrapping_sub(flood.bytes_before);
            flood.excess = flood.excess.wrapping_add(bytes);
        }
        let mut flood = self.flood.take()?;
        (flood.bytes_before >= settings.before_bytes_min).then(|| flood.alert(destination, windows.end()))
    }

    /// Learns what was normal before a new flood: the averages of its windows, without empty ones at the begin.
    fn make_certain(&mut self, windows: Windows) {
        let Some(flood) = self.flood.as_mut().filter(|flood| !flood.is_certain) else { return };
        let before = windows.age_of(flood.told);
        let first = (0..before).find(|age| self.bytes[windows.place(*age)] != 0).unwrap_or(before);
        let sum = |value: &dyn Fn(usize) -> u64| (first..before).map(|age| value(windows.place(age))).sum::<u64>();
        let count = (before - first) as u64;
        flood.bytes_before = sum(&|place| self.bytes[place]).checked_div(count).unwrap_or(0);
        flood.sources_before = sum(&|place| self.sources[place].into()).checked_div(count).unwrap_or(0) as u32;
        flood.is_certain = true;
    }

    /// Counts windows that go and are part of the flood.
    fn count_ended(&mut self, windows: Windows, moved: usize) {
        let Some(flood) = &mut self.flood else { return };
        for age in windows.age_of(flood.told)..moved.min(WINDOWS) {
            let place = windows.place(age);
            if self.bytes[place] > flood.bytes_before {
                flood.excess = flood.excess.wrapping_add(self.bytes[place] - flood.bytes_before);
                flood.count(self.bytes[place], self.sources[place]);
            }
        }
    }
}

impl Flood {
    fn count(&mut self, bytes: u64, sources: u16) {
        self.bytes_now = self.bytes_now.saturating_add(bytes);
        self.sources_now = self.sources_now.saturating_add(sources.into());
        self.windows = self.windows.saturating_add(1);
    }

    /// The record about what was counted, which is forgotten.
    fn alert(&mut self, destination: u32, until: u32) -> Alert {
        let windows = self.windows;
        let time = |secs: u32| Time(u64::from(secs) * 1_000_000_000);
        let alert = Alert {
            destination: Ipv4Addr::from_bits(destination).into(),
            bytes_now: self.bytes_now.checked_div(u64::from(windows) * u64::from(WINDOW)).unwrap_or(0),
            bytes_before: self.bytes_before / u64::from(WINDOW),
            excess: self.excess,
            event: self.event,
            first: time(self.told),
            last: time(until),
            sources_now: self.sources_now.checked_div(windows.into()).unwrap_or(0),
            sources_before: self.sources_before,
            number: self.number.into(),
        };
        // The original counts records in 8 bits.
        self.number = self.number.wrapping_add(1);
        (self.told, self.excess, self.bytes_now, self.sources_now, self.windows) = (until, 0, 0, 0, 0);
        alert
    }
}
