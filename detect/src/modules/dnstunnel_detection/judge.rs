//! The look at an address at the end of a session: what becomes suspect, what is proved, what is over.
use super::host::{Host, KINDS, Part, State, Watch};
use super::names::Names;
use super::settings::{Limits, Usual};

/// A domain with a larger share of the labels is a tunnel's.
const DOMAIN_SHARE: f64 = 0.8_f32 as f64;
/// Shares of different names, as for names that came once.
const DIFFERENT_MAX: f64 = 0.9_f32 as f64;
const DIFFERENT_MIN: f64 = 0.005_f32 as f64;
/// A class of sizes with a larger share of all messages is watched.
const CLASS_SHARE: f64 = 0.3;
/// Stricter limits for few names: how many there must be, both shares, length of the newest one.
const CLOSER_NAMES: u64 = 30;
const CLOSER_SHARE: f64 = 0.98_f32 as f64;
const CLOSER_LENGTH: usize = 60;

/// What is new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) request_tunnel: bool,
    pub(super) request_other: bool,
    pub(super) response_tunnel: bool,
    pub(super) response_other: bool,
}

/// Gives numbers to events.
#[derive(Clone, Copy, Debug)]
pub(super) struct EventIds(pub(super) u32);

impl EventIds {
    fn next(&mut self) -> u32 {
        let id = self.0;
        self.0 = self.0.wrapping_add(1);
        id
    }
}

/// Looks at an address.
pub(super) fn judge(host: &mut Host, limits: &Limits, ids: &mut EventIds, now: u64) -> Found {
    let mut found = Found::default();
    match host.request_other.state {
        State::New => suspect_request_other(host, limits, now),
        _ => found.request_other = judge_request_other(host, limits, ids),
    }
    match host.request_tunnel.state {
        State::New => suspect_request_tunnel(host, limits, now),
        _ => found.request_tunnel = judge_request_tunnel(host, limits, ids),
    }
    if host.response_tunnel.state != State::New {
        found.response_tunnel = judge_response_tunnel(host, limits, ids);
    }
    match host.response_other.state {
        State::New => suspect_response_other(host, limits, now),
        _ => found.response_other = judge_response_other(host, limits, ids),
    }
    found
}

impl Host {
    /// Nothing is suspect.
    pub(super) fn is_clean(&self) -> bool {
        let states = [self.request_other.state, self.request_tunnel.state, self.response_other.state];
        states.iter().all(|state| *state == State::New) && self.response_tunnel.state == State::New
    }

    /// A tunnel in both directions.
    pub(super) fn is_tunnelled(&mut self) -> bool {
        self.request_tunnel.proved().is_some()
            && self.response_tunnel.state == State::Attack
            && self.response_tunnel.rounds == 0
    }
}

/// Sizes are unusual: names of the frequent ones are watched from now on.
fn suspect_request_other(host: &mut Host, limits: &Limits, now: u64) {
    let Some(requests) = host.requests.as_deref() else { return };
    let (mean, variance) = requests.sizes.mean_and_variance();
    if requests.sizes.count <= limits.request_other.into() || limits.requests.has(mean, variance) {
        return;
    }
    host.request_other.state = State::Suspicion;
    let part = host.request_other.part(now);
    for class in 0..part.classes.len() {
        part.classes[class] |=
            requests.sizes.share(class) > CLASS_SHARE && requests.letters(class) < limits.request_letters.into();
    }
    part.classes[requests.sizes.highest()] = true;
}

fn suspect_request_tunnel(host: &mut Host, limits: &Limits, now: u64) {
    let Some(requests) = host.requests.as_deref() else { return };
    let (mean, variance) = requests.sizes.mean_and_variance();
    // Small ones are no tunnel.
    let usual = Usual { mean_min: 0, ..limits.requests };
    if requests.sizes.count <= limits.request_other.into() || usual.has(mean, variance) {
        return;
    }
    host.request_tunnel.state = State::Suspicion;
    let part = host.request_tunnel.part(now);
    for class in 0..part.classes.len() {
        part.classes[class] |=
            requests.sizes.share(class) > CLASS_SHARE && requests.letters(class) < limits.request_letters.into();
    }
}

fn suspect_response_other(host: &mut Host, limits: &Limits, now: u64) {
    // Begun anew in the next session unless it is watched.
    let Some(responses) = host.responses.take() else { return };
    let (mean, variance) = responses.mean_and_variance();
    if responses.count <= limits.response_other.into() || limits.responses.has(mean, variance) {
        return;
    }
    host.response_other.state = State::Suspicion;
    let part = host.response_other.part(now);
    for class in 0..part.classes.len() {
        part.classes[class] |= responses.share(class) > CLASS_SHARE;
    }
    part.classes[responses.highest()] = true;
    host.responses = Some(responses);
}

/// Answers whether an attack began; the same for the others.
fn judge_request_other(host: &mut Host, limits: &Limits, ids: &mut EventIds) -> bool {
    let watch = &mut host.request_other;
    let Some(part) = watch.part.as_deref_mut() else { return false };
    let is_proved = is_repeated(&part.names, limits.request_other, limits);
    let rounds = if watch.state == State::Attack { limits.rounds.1 } else { limits.rounds.0 };
    let began = watch.decide(is_proved, rounds, ids);
    if watch.state == State::New {
        host.requests = None;
    }
    began
}

fn judge_response_other(host: &mut Host, limits: &Limits, ids: &mut EventIds) -> bool {
    let watch = &mut host.response_other;
    let Some(part) = watch.part.as_deref_mut() else { return false };
    let is_malformed = part.nameless as f64 / part.count as f64 > f64::from(limits.malformed_share);
    let is_attack = watch.state == State::Attack;
    let is_proved = is_repeated(&part.names, limits.response_other, limits) || is_attack && is_malformed;
    let rounds = if is_attack { limits.rounds.1 } else { limits.rounds.0 };
    let began = watch.decide(is_proved, rounds, ids);
    if watch.state == State::New {
        host.responses = None;
    }
    began
}

fn judge_request_tunnel(host: &mut Host, limits: &Limits, ids: &mut EventIds) -> bool {
    let watch = &mut host.request_tunnel;
    let Some(part) = watch.part.as_deref_mut() else { return false };
    let names = &part.names;
    let (rare, different) = (names.rare_share(), names.different_share());
    let is_new = rare > limits.once_max.into() && different > DIFFERENT_MAX;
    if watch.state == State::Attack {
        return watch.decide(is_new, limits.rounds.0, ids);
    }
    if names.inserting > limits.request_tunnel.into() && is_new && names.domain_share() > DOMAIN_SHARE {
        return watch.decide(true, 0, ids);
    }
    if names.inserting > CLOSER_NAMES && rare > CLOSER_SHARE && different > CLOSER_SHARE {
        let is_long = names.newest_one().is_some_and(|name| name.len() > CLOSER_LENGTH);
        // Short ones are no evidence against it either.
        return is_long && watch.decide(true, 0, ids);
    }
    watch.decide(false, limits.rounds.1, ids)
}

fn judge_response_tunnel(host: &mut Host, limits: &Limits, ids: &mut EventIds) -> bool {
    let answers = &mut host.response_tunnel;
    let mut began = false;
    for kind in KINDS {
        let part = &mut answers.parts[kind as usize];
        let Some(names) = &part.names else { continue };
        let (rare, different) = names.plain_shares();
        let is_proved = names.inserting > limits.response_tunnel.into()
            && rare > limits.once_max.into()
            && different > DIFFERENT_MAX;
        if is_proved && !part.is_attack {
            (part.is_attack, part.event) = (true, ids.next());
            (answers.state, answers.rounds) = (State::Attack, 0);
            began = true;
        } else if !is_proved && part.is_attack {
            (part.is_attack, part.names) = (false, None);
        }
    }
    if answers.state == State::Suspicion {
        answers.rounds += 1;
        if answers.rounds > limits.rounds.0 {
            *answers = Default::default();
        }
    } else if answers.parts.iter().all(|part| !part.is_attack) {
        *answers = Default::default();
    }
    began
}

/// Whether few names come again and again.
fn is_repeated(names: &Names, min: u32, limits: &Limits) -> bool {
    names.inserting > min.into()
        && names.rare_share() < limits.once_min.into()
        && names.different_share() < DIFFERENT_MIN
}

impl<const N: usize> Watch<N> {
    /// What evidence, or its lack for more than `rounds` sessions, makes of the state. Answers whether an attack began.
    fn decide(&mut self, is_proved: bool, rounds: u32, ids: &mut EventIds) -> bool {
        let Some(part) = self.part.as_deref_mut() else { return false };
        if is_proved {
            part.rounds = 0;
            let began = self.state != State::Attack;
            if began {
                (self.state, part.event) = (State::Attack, ids.next());
            }
            return began;
        }
        part.rounds += 1;
        if part.rounds > rounds {
            *self = Watch::default();
        }
        false
    }
}

impl<const N: usize> Part<N> {
    /// After an alert names are counted anew.
    pub(super) fn take_names(&mut self) -> Names {
        std::mem::replace(&mut self.names, Names::new())
    }
}

impl Usual {
    /// Whether mean and variance are as usual; also when they are no numbers.
    fn has(&self, mean: f32, variance: f32) -> bool {
        let is_outside = mean < self.mean_min as f32
            || variance < self.variance_min as f32
            || variance > self.variance_max as f32
            || mean > self.mean_max as f32;
        !is_outside
    }
}
