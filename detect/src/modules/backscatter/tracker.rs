//! The events of now, and when they are reported.
use super::BackscatterError;
use super::Settings;
use super::event::{Event, FEATURES, FIELDS, Flow};
use super::history::History;
use record::Value;
use record::unirec::{Builder, Template};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{IpAddr, Ipv4Addr};
use trap::{Format, Output, Sent, TrapError};

/// Events at a time, at the most; about 400 bytes each.
const EVENTS_MAX: usize = 1 << 20;

/// Why an event is reported: values of the field EXPORT.
const PASSIVE: u8 = 2;
const ACTIVE: u8 = 4;
const FORCED: u8 = 8;
/// Added when the event was reported actively before.
const AGAIN: u8 = 1;

/// Source and protocol.
type Key = (u32, u8);

/// What was done; pairs are TCP and ICMP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub begun: [u64; 2],
    pub exported: [u64; 2],
    pub freed_passively: u64,
    pub freed_actively: u64,
    pub in_memory: u64,
    /// Reports that the output did not take.
    pub not_sent: u64,
    /// Flows of events that there was no room for.
    pub no_room: u64,
}

/// Events by source and protocol.
#[derive(Debug)]
pub(super) struct Tracker<'s> {
    settings: &'s Settings,
    output: &'s mut Output,
    template: Template,
    /// Places of SRC_IP, PROTOCOL and EXPORT.
    own: [usize; 3],
    at: [usize; FIELDS.len()],
    message: Vec<u8>,
    /// What was seen of the features.
    seen: History,
    events: BTreeMap<Key, Tracked>,
    /// When each event is looked at: the end of a flow of it.
    calendar: BinaryHeap<Reverse<(u64, Key)>>,
    now: Option<u64>,
    totals: Totals,
}

#[derive(Debug)]
struct Tracked {
    event: Event,
    was_reported: bool,
}

impl<'s> Tracker<'s> {
    pub(super) fn new(settings: &'s Settings, output: &'s mut Output) -> Result<Tracker<'s>, BackscatterError> {
        let mut spec = String::from("ipaddr SRC_IP,uint8 PROTOCOL,uint8 EXPORT");
        for (kind, name) in FIELDS {
            spec.push_str(&format!(",{kind} {name}"));
        }
        let template = Template::parse(&spec).map_err(|why| TrapError::BadFormat(why.to_string()))?;
        output.set_format(Format::UniRec(template.spec()))?;
        let place = |name: &str| template.index_of(name).unwrap_or(usize::MAX);
        Ok(Tracker {
            settings,
            output,
            own: ["SRC_IP", "PROTOCOL", "EXPORT"].map(place),
            at: FIELDS.map(|(_, name)| place(name)),
            template,
            message: Vec::new(),
            seen: History::new(
                settings.feature_history,
                u64::from(settings.answer_rate) * FEATURES,
                settings.feature_error,
            )?,
            events: BTreeMap::new(),
            calendar: BinaryHeap::new(),
            now: None,
            totals: Totals::default(),
        })
    }

    /// Counts an answer that nobody asked for.
    pub(super) fn add(&mut self, flow: &Flow) {
        if self.now.is_none_or(|now| now < flow.last) {
            let is_first = self.now.is_none();
            self.now = Some(flow.last);
            if !is_first {
                self.end_silent(flow.last);
            }
        }
        let now = self.now.unwrap_or(flow.last);
        let key = (flow.src, flow.protocol);
        if let Some(tracked) = self.events.get(&key)
            && tracked.event.first() + u64::from(self.settings.active) < now
        {
            self.report(key, ACTIVE);
            self.totals.freed_actively += 1;
            let event = Event::new(flow, &mut self.seen);
            self.events.insert(key, Tracked { event, was_reported: true });
        } else if let Some(tracked) = self.events.get_mut(&key) {
            tracked.event.add(flow, &mut self.seen);
        } else if self.events.len() >= EVENTS_MAX {
            self.totals.no_room += 1;
            if self.totals.no_room.is_power_of_two() {
                eprintln!("Warning: {} flows not counted: {EVENTS_MAX} events are in memory.", self.totals.no_room);
            }
        } else {
            self.totals.begun[flow.kind()] += 1;
            let event = Event::new(flow, &mut self.seen);
            self.events.insert(key, Tracked { event, was_reported: false });
            self.calendar.push(Reverse((flow.last, key)));
        }
    }

    /// Reports all events and, if asked to, the end of the stream.
    pub(super) fn finish(mut self, is_eof: bool) -> Result<Totals, TrapError> {
        let keys: Vec<_> = self.events.keys().copied().collect();
        for key in keys {
            self.report(key, FORCED);
        }
        self.totals.in_memory = self.events.len() as u64;
        if is_eof && self.output.send_eof() != Sent::Sent {
            self.totals.not_sent += 1;
        }
        self.output.flush()?;
        Ok(self.totals)
    }

    /// Reports events without a flow for the passive timeout.
    fn end_silent(&mut self, now: u64) {
        let passive = u64::from(self.settings.passive);
        while self.calendar.peek().is_some_and(|Reverse((at, _))| at + passive < now) {
            let Some(Reverse((_, key))) = self.calendar.pop() else { return };
            let Some(last) = self.events.get(&key).map(|tracked| tracked.event.last()) else { continue };
            if last + passive < now {
                self.report(key, PASSIVE);
                self.totals.freed_passively += 1;
                self.events.remove(&key);
            } else {
                self.calendar.push(Reverse((last, key)));
            }
        }
    }

    /// Sends an event, if it has enough flows.
    fn report(&mut self, key: Key, why: u8) {
        let Some(tracked) = self.events.get(&key) else { return };
        if tracked.event.flows() < self.settings.threshold.into() {
            return;
        }
        let (src, protocol) = key;
        self.totals.exported[usize::from(protocol == 1)] += 1;
        let mut record = Builder::new(&self.template);
        let export = why | if tracked.was_reported { AGAIN } else { 0 };
        let own =
            [Value::Ip(IpAddr::V4(Ipv4Addr::from_bits(src))), Value::Uint(protocol.into()), Value::Uint(export.into())];
        // The template was made for these values.
        let written = self.own.iter().zip(own).try_for_each(|(at, value)| record.set(*at, value));
        let written = written.and_then(|()| tracked.event.write(&mut record, &self.at));
        let is_sent = written.is_ok()
            && record.finish(&mut self.message).is_ok()
            && self.output.send(&self.message) == Sent::Sent;
        self.totals.not_sent += u64::from(!is_sent);
    }
}
