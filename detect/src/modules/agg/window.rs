//! How long records are gathered.
use std::time::{Duration, Instant};

/// Seconds where the user says nothing, or nothing above 0.
const DEFAULT_SECS: u32 = 10;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// By the times of the records of one group.
    #[default]
    Active,
    /// Groups that are silent.
    Passive,
    /// All groups together, by the wall clock.
    Global,
    /// Active and passive.
    Mixed,
}

/// The value of `-t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub kind: Kind,
    /// Seconds.
    pub active: u32,
    pub passive: u32,
    pub global: u32,
}

impl Default for Window {
    fn default() -> Self {
        Window { kind: Kind::Active, active: DEFAULT_SECS, passive: DEFAULT_SECS, global: DEFAULT_SECS }
    }
}

impl Window {
    /// Reads `[G|A|P]:SEC`, `M:ACTIVE,PASSIVE` or `SEC`, with the tolerance of the original, which tells what it does not know and
    /// goes on.
    pub fn set(&mut self, text: &str) {
        if text.len() > 21 {
            eprintln!("Definition string is too long, using default settings.");
            return;
        }
        let mut parts = text.split(':').filter(|part| !part.is_empty());
        let (first, second) = (parts.next().unwrap_or(""), parts.next());
        let Some(secs) = second else { return self.set_secs(first) };
        match first.chars().next().map(|c| c.to_ascii_lowercase()) {
            Some('a') => self.kind = Kind::Active,
            Some('p') => self.kind = Kind::Passive,
            Some('g') => self.kind = Kind::Global,
            Some('m') => self.kind = Kind::Mixed,
            other => eprintln!("Unknown timeout type '{}', keeping default.", other.unwrap_or(' ')),
        }
        match (self.kind, secs.split_once(',')) {
            (Kind::Mixed, Some((active, passive))) => (self.active, self.passive) = (number(active), number(passive)),
            (Kind::Mixed, None) => {
                eprintln!("Wrong timeout type definition \"-t m:Active,Passive\"\nKeeping default timeout type.");
                self.kind = Kind::Active;
            }
            _ => self.set_secs(secs),
        }
    }

    fn set_secs(&mut self, text: &str) {
        match self.kind {
            Kind::Active | Kind::Mixed => self.active = number(text),
            Kind::Passive => self.passive = number(text),
            Kind::Global => self.global = number(text),
        }
    }

    /// Seconds of the active timeout, if there is one.
    pub(super) fn active(&self) -> Option<u64> {
        matches!(self.kind, Kind::Active | Kind::Mixed).then_some(self.active.into())
    }
}

/// C's `atoi`; what is not above 0 is the default.
fn number(text: &str) -> u32 {
    let text = text.trim_start();
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    text[..end].parse().ok().filter(|n| *n > 0).unwrap_or(DEFAULT_SECS)
}

/// The wall clock of passive and global timeouts.
#[derive(Debug)]
pub(super) struct Clock {
    window: Window,
    next: Instant,
    /// Flow time of the next round of the passive timeout, seconds.
    reference: u64,
}

/// What a round sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    All,
    /// Groups whose last record ended before this second of flow time.
    LastBefore(u64),
}

impl Clock {
    /// The first round is at once.
    pub(super) fn new(window: Window, now: Instant) -> Clock {
        Clock { window, next: now, reference: window.passive.into() }
    }

    /// Flow time begins anew with the end of the first record.
    pub(super) fn format_changed(&mut self, last_secs: u64) {
        self.reference = last_secs + u64::from(self.window.passive);
    }

    /// What is to be sent now, if anything.
    pub(super) fn due(&mut self, now: Instant) -> Option<Due> {
        let secs = match self.window.kind {
            Kind::Active => return None,
            Kind::Global => self.window.global,
            Kind::Passive | Kind::Mixed => self.window.passive,
        };
        if now < self.next {
            return None;
        }
        self.next = now + Duration::from_secs(secs.into());
        if self.window.kind == Kind::Global {
            return Some(Due::All);
        }
        let before = self.reference.saturating_sub(secs.into());
        self.reference += u64::from(secs);
        Some(Due::LastBefore(before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> Window {
        let mut window = Window::default();
        window.set(text);
        window
    }

    #[test]
    fn spellings() {
        let default = Window::default();
        assert_eq!(set("5"), Window { active: 5, ..default });
        assert_eq!(set("g:7"), Window { kind: Kind::Global, global: 7, ..default });
        assert_eq!(set("Passive:0"), Window { kind: Kind::Passive, ..default });
        assert_eq!(set("m:3,4x"), Window { kind: Kind::Mixed, active: 3, passive: 4, ..default });
        for ignored in ["M:3", "x:", "", ":", "A:-5", "A:99999999999", "A:1000000000000000000000000"] {
            assert_eq!(set(ignored), default, "{ignored}");
        }
        assert_eq!(set("x:8"), Window { active: 8, ..default });
    }

    #[test]
    fn rounds() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut clock = Clock::new(set("P:10"), start);
        clock.format_changed(1000);
        assert_eq!(clock.due(at(0)), Some(Due::LastBefore(1000)));
        assert_eq!((clock.due(at(9)), clock.due(at(10))), (None, Some(Due::LastBefore(1010))));
        let mut clock = Clock::new(set("G:1"), start);
        assert_eq!((clock.due(at(0)), clock.due(at(0)), clock.due(at(1))), (Some(Due::All), None, Some(Due::All)));
        assert_eq!(Clock::new(set("A:1"), start).due(at(100)), None);
    }
}
