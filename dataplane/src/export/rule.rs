//! Rules: flows joined by any declared fields, or sent with chosen ones, each rule to outputs of its own.
//!
//! A rule is an exporter: it has a thread, books and a place in the summary like any other. What it reads of a flow is settled when it is made
//! ([`plan`]); a flow then costs a visit of its records, a key and a look into the [`table`], and takes no memory.
//!
//! Contract: every flow offered is joined or counted as passed over; every aggregate that was opened is offered to each output once, whole.
//! Time is that of flows; where none come, a live run's ticks stand in, so a quiet aggregate ends on time.
use crate::batch::{Batch, FlowRecord};
use crate::export::ipfix::IpfixExporter;
use crate::export::lines::Lines;
use crate::export::{Books, Exporter, OpenError};
use crate::flow::Basic;
pub use books::RuleBooks;
pub use config::{Does, ENTRIES_MAX, Rule, RuleConfig, RuleError, TEMPLATE_IDS, VALUES};
use outlet::{Filled, Outlet};
use plan::Plan;
use record::Value;
use record::ipfix::Family;
use std::path::PathBuf;
use table::Table;
pub use term::{Term, TermError, known_names};

mod books;
mod cell;
mod config;
pub mod fuzzing;
mod outlet;
mod plan;
mod table;
mod term;

#[cfg(test)]
mod tests;

/// More than this between two ticks is a step of the clock.
const STEP_MAX_SECS: u64 = 60;

/// Which flows a rule takes.
pub trait FlowFilter: Send {
    fn accepts(&mut self, batch: &Batch, flow: &FlowRecord) -> bool;
}

/// Where the records of a rule go.
pub enum To {
    Ipfix(Box<IpfixExporter>),
    /// JSON lines; `-` is standard output.
    Json(PathBuf),
}

/// A rule at work.
pub struct RuleExporter {
    config: RuleConfig,
    plan: Plan,
    filter: Option<Box<dyn FlowFilter>>,
    outlets: Vec<Outlet>,
    table: Option<Table>,
    /// Nanoseconds of both timeouts.
    active: u64,
    inactive: u64,
    /// The latest time that flows told, or ticks; and that of the last tick, Unix seconds.
    clock: u64,
    ticked_secs: u64,
    key: Vec<u8>,
    scratch: Vec<u8>,
    rule: RuleBooks,
    books: Books,
}

impl RuleExporter {
    /// Takes the memory of the table and opens files.
    ///
    /// # Errors
    /// A file that cannot be made.
    pub fn open(rule: Rule, filter: Option<Box<dyn FlowFilter>>, to: Vec<To>) -> Result<RuleExporter, OpenError> {
        let Rule { config, plan } = rule;
        let outlets = to.into_iter().map(|to| match to {
            To::Ipfix(exporter) => Ok(Outlet::ipfix(exporter, plan.schema)),
            To::Json(path) => Lines::open(Some(path)).map(Outlet::json),
        });
        let outlets = outlets.collect::<Result<Vec<_>, OpenError>>()?;
        let (table, active, inactive) = match config.does {
            Does::Send { .. } => (None, 0, 0),
            Does::Aggregate { active_secs, inactive_secs, entries, .. } => {
                (Some(Table::new(entries as usize, plan.key_max, plan.cells)), nanos(active_secs), nanos(inactive_secs))
            }
        };
        let books = Books { rule: Some(RuleBooks::default()), ..Books::default() };
        let rule = RuleBooks { outputs: outlets.len() as u64, ..RuleBooks::default() };
        let (key, scratch) = (Vec::with_capacity(plan.key_max), Vec::new());
        Ok(RuleExporter {
            config,
            plan,
            filter,
            outlets,
            table,
            active,
            inactive,
            clock: 0,
            ticked_secs: 0,
            key,
            scratch,
            rule,
            books,
        })
    }

    fn flow<'b>(&mut self, batch: &'b Batch, flow: &FlowRecord, row: &mut [Value<'b>]) {
        let basic = flow.basic();
        self.clock = self.clock.max(basic.time_last.0);
        self.expire();
        if self.plan.family.is_some_and(|family| family != flow.family()) {
            return self.rule.other_family += 1;
        }
        if self.filter.as_mut().is_some_and(|filter| !filter.accepts(batch, flow)) {
            return self.rule.filtered += 1;
        }
        self.rule.matched += 1;
        self.rule.packets += flow.packets_total();
        self.rule.bytes += flow.bytes_total();
        if !self.config.each_direction {
            return self.take(batch, flow, &basic, false, row, [flow.packets_total(), flow.bytes_total()]);
        }
        for (back, packets, bytes) in [(false, basic.packets, basic.bytes), (true, basic.packets_rev, basic.bytes_rev)]
        {
            if packets > 0 || bytes > 0 {
                self.take(batch, flow, &basic, back, row, [packets.into(), bytes]);
            }
        }
    }

    fn take<'b>(
        &mut self,
        batch: &'b Batch,
        flow: &FlowRecord,
        basic: &Basic,
        back: bool,
        row: &mut [Value<'b>],
        counts: [u64; 2],
    ) {
        self.plan.read(batch, flow, basic, back, row);
        let family = self.plan.family_for(flow.family());
        let [packets, bytes] = counts;
        let Some(table) = &mut self.table else {
            self.rule.sent += 1;
            self.rule.packets_out += packets;
            self.rule.bytes_out += bytes;
            let fill = OfFlow { plan: &self.plan, row, family };
            return self.outlets.iter_mut().for_each(|outlet| outlet.put(family, self.plan.schema, &fill));
        };
        self.plan.key(row, family, &mut self.key);
        let hash = table.hash(&self.key);
        let at = match table.find(hash, &self.key) {
            Some(at) => {
                table.touch(at, self.clock);
                at
            }
            None => {
                if table.is_full()
                    && let Some((at, _)) = table.quietest()
                {
                    self.rule.evicted += 1;
                    let (plan, rule) = (&self.plan, &mut self.rule);
                    end(plan, table, at, &mut self.outlets, rule);
                }
                self.rule.opened += 1;
                table.open(hash, &self.key, self.clock)
            }
        };
        let entry = table.entry_mut(at);
        entry.flows += 1;
        entry.packets += packets;
        entry.bytes += bytes;
        self.plan.join(flow, basic, row, table.cells_mut(at), &mut self.scratch);
    }

    /// Ends what is too old, or quiet for too long.
    fn expire(&mut self) {
        let Some(table) = &mut self.table else { return };
        while let Some((at, opened)) = table.oldest()
            && self.clock.saturating_sub(opened) >= self.active
        {
            self.rule.active += 1;
            end(&self.plan, table, at, &mut self.outlets, &mut self.rule);
        }
        while let Some((at, touched)) = table.quietest()
            && self.clock.saturating_sub(touched) >= self.inactive
        {
            self.rule.inactive += 1;
            end(&self.plan, table, at, &mut self.outlets, &mut self.rule);
        }
    }

    fn settle(&mut self) {
        self.rule.live = self.table.as_ref().map_or(0, Table::len) as u64;
        let (flows, packets, bytes) = (self.books.flows, self.books.packets, self.books.bytes);
        self.books = Books { flows, packets, bytes, rule: Some(self.rule), ..Books::default() };
        for outlet in &mut self.outlets {
            outlet.settle();
            self.books.merge(outlet.books());
        }
    }
}

/// One aggregate leaves.
fn end(plan: &Plan, table: &mut Table, at: u32, outlets: &mut [Outlet], rule: &mut RuleBooks) {
    let entry = table.entry(at);
    rule.packets_out += entry.packets;
    rule.bytes_out += entry.bytes;
    let fill = OfAggregate { plan, key: table.key(at), cells: table.cells(at), flows: entry.flows };
    let family = plan.family_of(fill.key);
    outlets.iter_mut().for_each(|outlet| outlet.put(family, plan.schema, &fill));
    table.close(at);
}

fn nanos(secs: u64) -> u64 {
    secs.saturating_mul(1_000_000_000)
}

struct OfFlow<'p, 'r, 'b> {
    plan: &'p Plan,
    row: &'r [Value<'b>],
    family: Family,
}

impl Filled for OfFlow<'_, '_, '_> {
    fn fill<'a>(&'a self, sink: &mut impl record::Sink<'a>) {
        self.plan.visit_flow(self.row, self.family, sink);
    }
}

struct OfAggregate<'p, 't> {
    plan: &'p Plan,
    key: &'t [u8],
    cells: &'t [u8],
    flows: u64,
}

impl Filled for OfAggregate<'_, '_> {
    fn fill<'a>(&'a self, sink: &mut impl record::Sink<'a>) {
        self.plan.visit_aggregate(self.key, self.cells, self.flows, sink);
    }
}

impl Exporter for RuleExporter {
    fn name(&self) -> String {
        let to: Vec<String> = self.outlets.iter().map(Outlet::name).collect();
        format!("rule {}: {}", self.config.name, to.join(", "))
    }

    fn export(&mut self, batch: &Batch) {
        self.books.offer(batch);
        self.rule.offered += batch.flows().len() as u64;
        let mut row = self.plan.row();
        for flow in batch.flows() {
            self.flow(batch, flow, &mut row);
        }
        self.settle();
    }

    fn tick(&mut self, now_secs: u64) {
        // Before the first flow there is no time. It never overtakes that of packets, which is the same clock's, and began later.
        if self.config.is_live && self.ticked_secs > 0 && self.clock > 0 {
            // A clock that was set forward by more than this was not waited for.
            let passed = now_secs.saturating_sub(self.ticked_secs).min(STEP_MAX_SECS);
            self.clock = self.clock.saturating_add(nanos(passed));
        }
        self.ticked_secs = now_secs;
        self.expire();
        self.outlets.iter_mut().for_each(|outlet| outlet.tick(now_secs));
        self.settle();
    }

    fn finish(&mut self, now_secs: u64) {
        while let Some(table) = &mut self.table
            && let Some((at, _)) = table.oldest()
        {
            self.rule.at_end += 1;
            end(&self.plan, table, at, &mut self.outlets, &mut self.rule);
        }
        self.outlets.iter_mut().for_each(|outlet| outlet.finish(now_secs));
        self.settle();
    }

    fn books(&self) -> &Books {
        &self.books
    }
}
