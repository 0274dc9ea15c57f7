//! The flows in progress: found by key, ordered by deadline, limited in number.
use super::plan::{Place, Plan};
use super::table::{Inserted, Table};
use super::value::Value;
use crate::recast::put_descriptor;
use record::unirec::{RECORD_MAX, View};
use std::collections::BTreeMap;
use trap::{Output, Sent};
use twox_hash::XxHash3_64;

/// One flow.
#[derive(Debug, Default)]
struct Flow {
    hash: u64,
    /// Values of the key; texts as their hashes.
    key: Vec<u8>,
    /// Texts of the key, in its order.
    texts: Vec<Vec<u8>>,
    values: Vec<Value>,
    count: u32,
    /// TIME_FIRST and TIME_LAST, fixed point.
    first: u64,
    last: u64,
    /// The record that began it was of the mirrored direction.
    is_reversed: bool,
    /// Seconds of flow time.
    passive: u64,
    active: u64,
    /// Distinguishes flows with the same deadline.
    turn: u64,
}

/// All flows of one input template.
#[derive(Debug)]
pub(super) struct Cache {
    plan: Plan,
    /// Seconds.
    active: u64,
    passive: u64,
    table: Table,
    /// By number; numbers of free places are in `free`.
    flows: Vec<Flow>,
    free: Vec<u32>,
    /// Passive deadline and turn to the number of the flow.
    deadlines: BTreeMap<(u64, u64), u32>,
    turns: u64,
    /// The key in hand.
    key: Vec<u8>,
    texts: Vec<Vec<u8>>,
    record: Vec<u8>,
    value: Vec<u8>,
    vars: Vec<Vec<u8>>,
    pub(super) unsent: u64,
}

impl Cache {
    /// A cache for `capacity` flows, a power of two.
    pub(super) fn new(plan: Plan, capacity: usize, active: u64, passive: u64) -> Cache {
        let vars = plan.output.fields().len() - plan.output.first_var();
        Cache {
            plan,
            active,
            passive,
            table: Table::new(capacity),
            flows: Vec::new(),
            free: Vec::new(),
            deadlines: BTreeMap::new(),
            turns: 0,
            key: Vec::new(),
            texts: Vec::new(),
            record: Vec::new(),
            value: Vec::new(),
            vars: vec![Vec::new(); vars],
            unsent: 0,
        }
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Sends flows from the earliest deadline on while `is_over` says so of their passive and active deadlines; true if there were any.
    pub(super) fn expire(&mut self, is_over: impl Fn(u64, u64) -> bool, output: &mut Output) -> bool {
        let mut any = false;
        while let Some((_, number)) = self.deadlines.first_key_value() {
            let number = *number;
            let flow = &self.flows[number as usize];
            if !is_over(flow.passive, flow.active) {
                break;
            }
            self.table.remove(flow.hash, number);
            self.send(number, output);
            any = true;
        }
        any
    }

    /// Sends every flow, in the order of the table.
    pub(super) fn send_all(&mut self, output: &mut Output) {
        for number in self.table.drain() {
            self.send(number, output);
        }
    }

    /// Adds a record to its flow, or begins one; if there is no room, another flow is sent.
    pub(super) fn add(&mut self, view: &View<'_>, output: &mut Output) {
        let is_reversed = self.plan.is_reversed(view);
        self.take_key(view, is_reversed);
        let hash = XxHash3_64::oneshot(&self.key);
        let number = match self.free.pop() {
            Some(number) => number,
            None => {
                self.flows.push(Flow::default());
                (self.flows.len() - 1) as u32
            }
        };
        let number = match self.insert(hash, number, output) {
            Some(present) => {
                self.free.push(number);
                self.update(present, view, is_reversed);
                present
            }
            None => {
                self.begin(number, hash, view, is_reversed);
                number
            }
        };
        let flow = &mut self.flows[number as usize];
        for (part, value) in self.plan.parts.iter().zip(&mut flow.values) {
            value.add(part, view, is_reversed);
        }
    }

    /// The flow that has the key, or `None` after `number` got a place.
    fn insert(&mut self, hash: u64, number: u32, output: &mut Output) -> Option<u32> {
        // Each round sends a flow and so makes room; the original tries twice only.
        loop {
            let (flows, key) = (&self.flows, &self.key);
            let is_same = |other: u32| {
                let other = &flows[other as usize];
                other.hash == hash && other.key == *key
            };
            match self.table.insert(hash, number, is_same) {
                Inserted::Present(present) => return Some(present),
                Inserted::New => return None,
                Inserted::Swapped(victim) => {
                    self.send(victim, output);
                    return None;
                }
                Inserted::Full => {
                    let victim = self.table.victim(hash)?;
                    self.table.remove(self.flows[victim as usize].hash, victim);
                    self.send(victim, output);
                }
            }
        }
    }

    fn begin(&mut self, number: u32, hash: u64, view: &View<'_>, is_reversed: bool) {
        let (first, last) = self.plan.times(view);
        let turn = self.next_turn();
        let flow = &mut self.flows[number as usize];
        flow.hash = hash;
        flow.key.clone_from(&self.key);
        flow.texts.clone_from(&self.texts);
        flow.values.clear();
        flow.values.extend(self.plan.parts.iter().map(Value::new));
        (flow.count, flow.first, flow.last, flow.is_reversed) = (self.plan.count(view), first, last, is_reversed);
        (flow.passive, flow.active, flow.turn) = ((last >> 32) + self.passive, (first >> 32) + self.active, turn);
        self.deadlines.insert((flow.passive, turn), number);
    }

    fn update(&mut self, number: u32, view: &View<'_>, is_reversed: bool) {
        let (first, last) = self.plan.times(view);
        let turn = self.next_turn();
        let flow = &mut self.flows[number as usize];
        flow.count = flow.count.wrapping_add(self.plan.count(view));
        if first < flow.first {
            (flow.first, flow.is_reversed) = (first, is_reversed);
        }
        flow.last = flow.last.max(last);
        flow.active = flow.active.min((flow.first >> 32) + self.active);
        let passive = ((flow.last >> 32) + self.passive).min(flow.active);
        if passive != flow.passive {
            self.deadlines.remove(&(flow.passive, flow.turn));
            (flow.passive, flow.turn) = (passive, turn);
            self.deadlines.insert((passive, turn), number);
        }
    }

    fn next_turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    /// Puts the key of a record into `self.key` and `self.texts`.
    fn take_key(&mut self, view: &View<'_>, is_reversed: bool) {
        self.key.clear();
        let mut texts = 0;
        for key in &self.plan.keys {
            let value = view.raw(if is_reversed { key.reverse_input } else { key.input }).unwrap_or(&[]);
            if key.kind.size().is_some() {
                self.key.extend_from_slice(value);
                continue;
            }
            self.key.extend_from_slice(&XxHash3_64::oneshot(value).to_le_bytes());
            if self.texts.len() == texts {
                self.texts.push(Vec::new());
            }
            self.texts[texts].clear();
            self.texts[texts].extend_from_slice(value);
            texts += 1;
        }
    }

    /// Sends a flow that has left the table, and frees its number.
    fn send(&mut self, number: u32, output: &mut Output) {
        let flow = &mut self.flows[number as usize];
        self.deadlines.remove(&(flow.passive, flow.turn));
        self.record.clear();
        self.record.resize(self.plan.output.static_size(), 0);
        self.vars.iter_mut().for_each(Vec::clear);
        let mut put = |place: Place, value: &[u8]| match place {
            Place::Fixed(at) => self.record[at..at + value.len()].copy_from_slice(value),
            Place::Var(at) => self.vars[at].extend_from_slice(value),
        };
        put(self.plan.own[0], &flow.first.to_le_bytes());
        put(self.plan.own[1], &flow.last.to_le_bytes());
        put(self.plan.own[2], &flow.count.to_le_bytes());
        let (mut rest, mut texts) = (flow.key.as_slice(), flow.texts.iter());
        for key in &self.plan.keys {
            let place = if flow.is_reversed { key.reverse_output } else { key.output };
            let (value, behind) = rest.split_at(key.kind.size().unwrap_or(8));
            rest = behind;
            match key.kind.size() {
                Some(_) => put(place, value),
                None => put(place, texts.next().map_or(&[], Vec::as_slice)),
            }
        }
        for (part, value) in self.plan.parts.iter().zip(&mut flow.values) {
            value.finish(part, flow.is_reversed, &mut self.value);
            put(if flow.is_reversed { part.reverse_output } else { part.output }, &self.value);
        }
        flow.values.clear();
        self.free.push(number);

        let fields = &self.plan.output.fields()[self.plan.output.first_var()..];
        let fixed = self.record.len();
        for (field, data) in fields.iter().zip(&self.vars) {
            let offset = self.record.len() - fixed;
            if self.record.len() + data.len() > RECORD_MAX {
                self.unsent += 1;
                return;
            }
            put_descriptor(&mut self.record, field.offset, offset, data.len());
            self.record.extend_from_slice(data);
        }
        self.unsent += u64::from(output.send(&self.record) != Sent::Sent);
    }
}
