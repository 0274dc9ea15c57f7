//! What is collected of one address in a session: sizes of its requests and responses, and the names that look like payload.
use super::names::Names;
use super::settings::Limits;

/// Classes of 10 bytes; the last one is for all that is larger.
pub(super) const REQUEST_CLASSES: usize = 30;
pub(super) const RESPONSE_CLASSES: usize = 150;

/// A message of DNS.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    /// The name asked for, cut; may be empty.
    pub(super) name: &'a [u8],
    /// Bytes of the flow.
    pub(super) size: u32,
    /// What a response carries, in the order of [`ANSWERS`]; empty without.
    pub(super) answers: [&'a [u8]; ANSWERS.len()],
    pub(super) is_response: bool,
}

/// Where a response has a text, in the order in which they are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Name,
    Txt,
    Mx,
    Cname,
    Ns,
}

/// Kinds by their place in [`Answers::parts`].
pub(super) const KINDS: [Kind; 5] = [Kind::Name, Kind::Txt, Kind::Mx, Kind::Cname, Kind::Ns];

/// Kinds that have records of their own.
pub(super) const ANSWERS: [Kind; 4] = [Kind::Txt, Kind::Cname, Kind::Mx, Kind::Ns];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    New,
    Suspicion,
    Attack,
}

/// One address.
#[derive(Debug, Default)]
pub(super) struct Host {
    /// Wall time of its last message, Unix seconds.
    pub(super) last: u64,
    /// The capture of its tunnel was asked for.
    pub(super) is_captured: bool,
    pub(super) requests: Option<Box<Requests>>,
    pub(super) responses: Option<Box<Sizes<RESPONSE_CLASSES>>>,
    pub(super) request_tunnel: Watch<REQUEST_CLASSES>,
    pub(super) request_other: Watch<REQUEST_CLASSES>,
    pub(super) response_other: Watch<RESPONSE_CLASSES>,
    pub(super) response_tunnel: Answers,
}

/// Sizes of messages, in numbers as the original has them.
#[derive(Clone, Debug)]
pub(super) struct Sizes<const N: usize> {
    pub(super) classes: [u32; N],
    pub(super) count: u64,
    sum: u64,
    squares: u64,
}

/// Requests of an address.
#[derive(Debug, Default)]
pub(super) struct Requests {
    pub(super) sizes: Sizes<REQUEST_CLASSES>,
    /// Requests with a name, and different characters in them, for each class of sizes.
    named: [u32; REQUEST_CLASSES],
    letters: [u64; REQUEST_CLASSES],
    pub(super) nameless: u64,
}

/// A suspicion and what is known about it; there is a part unless the state is [`State::New`].
#[derive(Debug, Default)]
pub(super) struct Watch<const N: usize> {
    pub(super) state: State,
    pub(super) part: Option<Box<Part<N>>>,
}

#[derive(Debug)]
pub(super) struct Part<const N: usize> {
    pub(super) names: Names,
    /// Wall time at which it began, Unix seconds.
    pub(super) first: u64,
    pub(super) rounds: u32,
    /// Names inserted over its whole life.
    pub(super) inserted: u32,
    pub(super) event: u32,
    /// Classes of sizes whose names are inserted.
    pub(super) classes: [bool; N],
    pub(super) nameless: u64,
    pub(super) count: u64,
}

/// The suspicion that responses carry payload, for each place where they may.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) state: State,
    pub(super) rounds: u32,
    pub(super) parts: [Answer; KINDS.len()],
}

#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) names: Option<Box<Names>>,
    pub(super) first: u64,
    pub(super) inserted: u32,
    pub(super) event: u32,
    pub(super) is_attack: bool,
}

/// What a text is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Letters {
    pub(super) length: usize,
    pub(super) different: u32,
    pub(super) digits: u32,
}

impl Host {
    /// Takes a message that came at `now`, Unix seconds.
    pub(super) fn take(&mut self, message: &Message<'_>, limits: &Limits, now: u64) {
        self.last = now;
        let mut lower = [0; TEXT_MAX];
        if message.is_response {
            self.take_response(message, limits, now, &mut lower);
        } else {
            self.take_request(message, limits, now, &mut lower);
        }
    }

    /// Names that found no room since the last call.
    pub(super) fn take_unstored(&mut self) -> u64 {
        let mut count = 0;
        let mut take = |names: &mut Names| count += std::mem::take(&mut names.unstored);
        for part in [&mut self.request_tunnel, &mut self.request_other] {
            part.part.iter_mut().for_each(|part| take(&mut part.names));
        }
        self.response_other.part.iter_mut().for_each(|part| take(&mut part.names));
        self.response_tunnel.parts.iter_mut().filter_map(|part| part.names.as_deref_mut()).for_each(take);
        count
    }

    fn take_request(&mut self, message: &Message<'_>, limits: &Limits, now: u64, lower: &mut [u8; TEXT_MAX]) {
        let requests = self.requests.get_or_insert_default();
        let class = requests.sizes.add(message.size);
        if message.name.is_empty() {
            requests.nameless += 1;
            return;
        }
        let (name, letters) = lower_case(message.name, lower);
        requests.named[class] += 1;
        requests.letters[class] += u64::from(letters.different);
        let tunnel = &mut self.request_tunnel;
        if letters.is_suspect(limits) {
            tunnel.part(now).insert(name);
            if tunnel.state == State::New {
                tunnel.state = State::Suspicion;
            }
        } else {
            tunnel.insert_if_watched(class, name);
        }
        self.request_other.insert_if_watched(class, name);
    }

    fn take_response(&mut self, message: &Message<'_>, limits: &Limits, now: u64, lower: &mut [u8; TEXT_MAX]) {
        let class = self.responses.get_or_insert_default().add(message.size);
        let mut named = (!message.name.is_empty()).then(|| lower_case(message.name, lower));
        if let Watch { state: State::Suspicion | State::Attack, part: Some(part) } = &mut self.response_other
            && part.classes[class]
        {
            part.count += 1;
            match &named {
                Some((name, _)) => part.insert(name),
                None => part.nameless += 1,
            }
        }
        if let Some((name, letters)) = named.take() {
            self.response_tunnel.insert(Kind::Name, name, &letters, limits, now);
        }
        let answers = ANSWERS.into_iter().zip(message.answers);
        for (kind, text) in answers.filter(|(_, text)| !text.is_empty()) {
            let (text, letters) = lower_case(text, lower);
            self.response_tunnel.insert(kind, text, &letters, limits, now);
        }
    }
}

/// Bytes of a text that are looked at.
pub(super) const TEXT_MAX: usize = 1_023;

/// Counts what a text is made of, and then makes it lower case. Byte 255 counts as none, as in the original.
pub(super) fn lower_case<'b>(text: &[u8], buffer: &'b mut [u8; TEXT_MAX]) -> (&'b [u8], Letters) {
    let text = &text[..text.len().min(TEXT_MAX)];
    let lower = &mut buffer[..text.len()];
    lower.copy_from_slice(text);
    lower.make_ascii_lowercase();
    let (mut used, mut digits) = ([0_u64; 4], 0);
    for byte in text {
        used[usize::from(byte >> 6)] |= 1 << (byte & 63);
        digits += u32::from(byte.is_ascii_digit());
    }
    used[3] &= !(1 << 63);
    let different = used.iter().map(|bits| bits.count_ones()).sum();
    (lower, Letters { length: text.len(), different, digits })
}

impl Letters {
    /// Whether a request with this name may be part of a tunnel.
    fn is_suspect(&self, limits: &Limits) -> bool {
        let digits_share = f64::from(self.digits) / self.length as f64;
        self.length >= limits.length_min as usize
            && (self.different > limits.request_letters
                || digits_share > f64::from(limits.digits_share) && self.digits > limits.digits)
    }
}

impl<const N: usize> Watch<N> {
    /// What is known, begun at `now` if there was nothing.
    pub(super) fn part(&mut self, now: u64) -> &mut Part<N> {
        self.part.get_or_insert_with(|| Box::new(Part::new(now)))
    }

    /// Inserts a name of a class of sizes that is watched.
    fn insert_if_watched(&mut self, class: usize, name: &[u8]) {
        if let Watch { state: State::Suspicion | State::Attack, part: Some(part) } = self
            && part.classes[class]
        {
            part.insert(name);
        }
    }

    /// The evidence of an attack that was there at the last look.
    pub(super) fn proved(&mut self) -> Option<&mut Part<N>> {
        let is_attack = self.state == State::Attack;
        self.part.as_deref_mut().filter(|part| is_attack && part.rounds == 0)
    }
}

impl<const N: usize> Part<N> {
    fn new(first: u64) -> Part<N> {
        let (names, classes) = (Names::new(), [false; N]);
        Part { names, first, rounds: 0, inserted: 0, event: 0, classes, nameless: 0, count: 0 }
    }

    fn insert(&mut self, name: &[u8]) {
        self.inserted = self.inserted.saturating_add(1);
        self.names.insert(name);
    }
}

impl Answers {
    fn insert(&mut self, kind: Kind, text: &[u8], letters: &Letters, limits: &Limits, now: u64) {
        if letters.different <= limits.response_letters {
            return;
        }
        let part = &mut self.parts[kind as usize];
        let names = part.names.get_or_insert_with(|| {
            part.first = now;
            Box::new(Names::new())
        });
        names.insert(text);
        part.inserted = part.inserted.saturating_add(1);
        if self.state == State::New {
            self.state = State::Suspicion;
        }
    }
}

impl<const N: usize> Default for Sizes<N> {
    fn default() -> Self {
        Sizes { classes: [0; N], count: 0, sum: 0, squares: 0 }
    }
}

impl<const N: usize> Sizes<N> {
    /// Adds a size and answers its class.
    fn add(&mut self, size: u32) -> usize {
        let class = (size as usize / 10).min(N - 1);
        self.classes[class] += 1;
        self.count += 1;
        self.sum += u64::from(size);
        // Single-precision, so that limits are met where the original meets them.
        self.squares = (self.squares as f32 + size.wrapping_mul(size) as f32) as u64;
        class
    }

    /// Mean and variance; not numbers without messages.
    pub(super) fn mean_and_variance(&self) -> (f32, f32) {
        let count = self.count as f32;
        let mean = self.sum as f32 / count;
        let variance = (self.squares as f32 - mean * mean * count) / self.count.wrapping_sub(1) as f32;
        (mean, variance)
    }

    /// The class with most messages.
    pub(super) fn highest(&self) -> usize {
        (0..N).rev().max_by_key(|class| self.classes[*class]).unwrap_or(0)
    }

    /// Share of a class.
    pub(super) fn share(&self, class: usize) -> f64 {
        f64::from(self.classes[class] as f32 / self.count as f32)
    }
}

impl Requests {
    /// Requests with a name.
    pub(super) fn named(&self) -> u64 {
        self.named.iter().map(|count| u64::from(*count)).sum()
    }

    /// Mean of the different characters of the names of a class, whole.
    pub(super) fn letters(&self, class: usize) -> u64 {
        if self.named[class] == 0 { 0 } else { (self.letters[class] as f32 / self.named[class] as f32) as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_counted_before_they_are_made_small() {
        let mut buffer = [0; TEXT_MAX];
        let (lower, letters) = lower_case(b"aA1.\xff1", &mut buffer);
        assert_eq!((lower, letters), (&b"aa1.\xff1"[..], Letters { length: 6, different: 4, digits: 2 }));
        assert_eq!(lower_case(&[b'x'; 2_000], &mut buffer).0.len(), TEXT_MAX);
    }

    #[test]
    fn sizes_have_classes_mean_and_variance() {
        let mut sizes = Sizes::<30>::default();
        assert!(sizes.mean_and_variance().0.is_nan());
        assert_eq!([80, 90, 89, 5_000].map(|size| sizes.add(size)), [8, 9, 8, 29]);
        assert_eq!(sizes.highest(), 8);
        let mut sizes = Sizes::<30>::default();
        assert_eq!([80, 90, 100].map(|size| sizes.add(size)), [8, 9, 10]);
        assert_eq!(sizes.mean_and_variance(), (90.0, 100.0));
    }
}
