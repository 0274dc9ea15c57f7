//! The records that are being gathered, one for each key.
use super::plan::{Function, Part, Plan};
use super::window::Window;
use crate::fold;
use crate::recast::put_descriptor;
use record::unirec::View;
use std::cmp::Ordering;
use std::collections::HashMap;
use trap::{Output, Sent};

/// Groups that are held, at the most: then all are sent. (The original takes memory until there is none.)
const GROUPS_MAX: usize = 1 << 20;

/// Bytes of variable-length values of one group, as in the original.
const VARS_MAX: usize = 2048;

/// All groups of one input template.
#[derive(Debug)]
pub(super) struct Groups {
    plan: Plan,
    /// Seconds of flow time that a group may span.
    active: Option<u64>,
    groups: HashMap<Box<[u8]>, Group>,
    /// The key in hand and a record on its way out.
    key: Vec<u8>,
    record: Vec<u8>,
    /// Records whose fields point outside of them.
    pub(super) damaged: u64,
    unsent: u64,
    overflows: u64,
}

/// What was gathered of one key.
#[derive(Debug, Default)]
struct Group {
    /// The fixed part of the output record.
    fixed: Box<[u8]>,
    /// Values of variable length, in template order.
    vars: Box<[Vec<u8>]>,
    /// TIME_FIRST and TIME_LAST, fixed point.
    first: u64,
    last: u64,
    count: u32,
}

impl Groups {
    pub(super) fn new(plan: Plan, window: Window) -> Groups {
        Groups {
            plan,
            active: window.active(),
            groups: HashMap::new(),
            key: Vec::new(),
            record: Vec::new(),
            damaged: 0,
            unsent: 0,
            overflows: 0,
        }
    }

    /// Adds a record to its group. A group that is too old for it is sent first.
    pub(super) fn add(&mut self, view: &View<'_>, output: &mut Output) {
        let plan = &self.plan;
        self.key.clear();
        for part in &plan.keys {
            let value = view.raw(part.input).unwrap_or(&[]);
            if part.kind.size().is_none() {
                // So that neighbours cannot be confused.
                self.key.extend_from_slice(&(value.len() as u16).to_le_bytes());
            }
            self.key.extend_from_slice(value);
        }
        let (first, last) = plan.times(view);
        if let Some(group) = self.groups.get_mut(self.key.as_slice()) {
            let is_late = self.active.is_some_and(|active| (group.first >> 32) + active < first >> 32);
            if !is_late {
                group.fold(plan, view, first, last);
                return;
            }
            group.write(plan, &mut self.record);
            self.unsent += u64::from(output.send(&self.record) != Sent::Sent);
            *group = Group::new(plan, view, first, last);
            return;
        }
        if self.groups.len() >= GROUPS_MAX {
            self.overflows += 1;
            if self.overflows.is_power_of_two() {
                eprintln!(
                    "Warning: more than {GROUPS_MAX} keys at a time, all were sent ({} times so far).",
                    self.overflows
                );
            }
            self.send_all(output);
        }
        self.groups.insert(self.key.as_slice().into(), Group::new(&self.plan, view, first, last));
    }

    pub(super) fn send_all(&mut self, output: &mut Output) {
        for (_, group) in self.groups.drain() {
            group.write(&self.plan, &mut self.record);
            self.unsent += u64::from(output.send(&self.record) != Sent::Sent);
        }
    }

    /// Sends the groups whose last record ended before this second.
    pub(super) fn send_silent(&mut self, before_secs: u64, output: &mut Output) {
        for (_, group) in self.groups.extract_if(|_, group| group.last >> 32 < before_secs) {
            group.write(&self.plan, &mut self.record);
            self.unsent += u64::from(output.send(&self.record) != Sent::Sent);
        }
    }

    /// Says what was lost.
    pub(super) fn tell(&self) {
        if self.damaged > 0 {
            eprintln!("Warning: {} damaged records were skipped.", self.damaged);
        }
        if self.unsent > 0 {
            eprintln!("Cannot send record due to error or time_out: {} times", self.unsent);
        }
    }
}

impl Group {
    /// Begins with the values of one record.
    fn new(plan: &Plan, view: &View<'_>, first: u64, last: u64) -> Group {
        let vars = plan.output.fields().len() - plan.output.first_var();
        let mut group = Group {
            fixed: vec![0; plan.output.static_size()].into(),
            vars: vec![Vec::new(); vars].into(),
            first,
            last,
            count: 1,
        };
        for part in plan.keys.iter().chain(&plan.folded) {
            group.set(part, view.raw(part.input).unwrap_or(&[]));
        }
        group
    }

    fn fold(&mut self, plan: &Plan, view: &View<'_>, first: u64, last: u64) {
        self.first = self.first.min(first);
        self.last = self.last.max(last);
        self.count = self.count.wrapping_add(1);
        for part in &plan.folded {
            let value = view.raw(part.input).unwrap_or(&[]);
            match part.function {
                Function::Key | Function::First => {}
                Function::Last => self.set(part, value),
                Function::FirstNonEmpty if self.is_empty(part) => self.set(part, value),
                Function::FirstNonEmpty => {}
                // The others are functions of values of fixed size only.
                function => {
                    let Some(held) = self.fixed.get_mut(part.output..part.output + value.len()) else { continue };
                    match function {
                        Function::Sum | Function::Avg => fold::add(part.kind, held, value),
                        Function::Or => fold::or(held, value),
                        Function::And => fold::and(held, value),
                        Function::Min if fold::compare(part.kind, value, held) == Ordering::Less => {
                            held.copy_from_slice(value);
                        }
                        Function::Max if fold::compare(part.kind, value, held) == Ordering::Greater => {
                            held.copy_from_slice(value);
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    /// Replaces a value; one of variable length is cut to the room that the others leave.
    fn set(&mut self, part: &Part, value: &[u8]) {
        if part.kind.size().is_some() {
            self.fixed[part.output..part.output + value.len()].copy_from_slice(value);
            return;
        }
        self.vars[part.output].clear();
        let room = VARS_MAX.saturating_sub(self.vars.iter().map(Vec::len).sum());
        self.vars[part.output].extend_from_slice(&value[..value.len().min(room)]);
    }

    fn is_empty(&self, part: &Part) -> bool {
        match part.kind.size() {
            Some(size) => fold::is_empty(part.kind, &self.fixed[part.output..part.output + size]),
            None => self.vars[part.output].is_empty(),
        }
    }

    /// The output record.
    fn write(&self, plan: &Plan, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.fixed);
        out[plan.first.output..][..8].copy_from_slice(&self.first.to_le_bytes());
        out[plan.last.output..][..8].copy_from_slice(&self.last.to_le_bytes());
        out[plan.count..][..4].copy_from_slice(&self.count.to_le_bytes());
        for part in plan.folded.iter().filter(|part| part.function == Function::Avg) {
            let size = part.kind.size().unwrap_or(0);
            fold::divide(part.kind, &mut out[part.output..part.output + size], self.count);
        }
        let fields = &plan.output.fields()[plan.output.first_var()..];
        for (field, data) in fields.iter().zip(&self.vars) {
            let offset = out.len() - self.fixed.len();
            put_descriptor(out, field.offset, offset, data.len());
            out.extend_from_slice(data);
        }
    }
}
