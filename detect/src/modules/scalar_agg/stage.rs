//! From records through the rules to one record for each output and window.
use super::rule::{Filter, Function, Rule};
use super::windows::{Added, Keys, Ring, Room, Sample, Span};
use super::{ScalarError, Settings};
use crate::filter::Program;
use crate::stream::{Reader, Step};
use record::Kind;
use record::unirec::{Template, View};
use std::fmt::Write as _;
use std::io::Write as _;
use trap::{DropReason, Format, Input, Output, Sent, log};

/// Lines of values below one heading of `-v`.
const LINES: u32 = 21;

/// What is told at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    pub room: Room,
    /// Records that end too far in the future.
    pub beyond: u64,
    /// Records that an output did not take.
    pub dropped: u64,
}

impl Notes {
    pub(super) fn tell(&self) {
        if self.room.refused > 0 {
            eprintln!(
                "Warning: COUNT_UNIQ left out {} values: {} are held, more are not. Use longer filters or a shorter -d.",
                self.room.refused,
                super::windows::UNIQUE_MAX
            );
        }
        if self.beyond > 0 {
            eprintln!(
                "Warning: {} times a flow ended more than {} windows behind the others and was not counted.",
                self.beyond,
                super::windows::ROLLS_MAX
            );
        }
        if self.dropped > 0 {
            eprintln!("Warning: {} records were not sent.", self.dropped);
        }
    }
}

/// Aggregates until the stream ends or the stop flag is set. What is in the windows then is not sent, nor an end of the stream, as in the
/// original.
///
/// # Errors
/// See [`ScalarError`].
pub fn run(
    input: &mut Input,
    outputs: &mut [Output],
    settings: Settings,
    notes: &mut Notes,
) -> Result<(), ScalarError> {
    let mut groups = Vec::new();
    for (rules, output) in settings.outputs.into_iter().zip(outputs) {
        groups.push(Group::new(rules, output)?);
    }
    let mut stage = Stage { groups, keys: Keys::default(), lines: LINES };
    let mut reader = Reader::new(input, "time TIME_FIRST,time TIME_LAST").map_err(ScalarError::Input)?;
    let mut times = [usize::MAX; 2];
    loop {
        match reader.step()? {
            Step::Record { view, is_new } => {
                if is_new {
                    let index = |name| view.template().find(name, Kind::Time).unwrap_or(usize::MAX);
                    times = ["TIME_FIRST", "TIME_LAST"].map(index);
                    stage.bind(view.template())?;
                }
                let [first, last] = times.map(|index| view.time(index).unwrap_or_default());
                if !stage.add(&view, Span { first, last }, notes)? {
                    return Ok(());
                }
            }
            Step::Nothing => {}
            Step::End(_) => return Ok(()),
        }
    }
}

/// All rules, by output.
struct Stage<'o> {
    groups: Vec<Group<'o>>,
    keys: Keys,
    /// Lines printed since the last heading.
    lines: u32,
}

/// The rules of one output.
struct Group<'o> {
    slots: Vec<Slot>,
    output: &'o mut Output,
    /// The record on its way out: its template has fields of fixed size only.
    record: Vec<u8>,
    /// Where TIME lies in it.
    time_at: usize,
}

/// A rule at work.
struct Slot {
    rule: Rule,
    /// Where its value lies in the output's record.
    at: usize,
    /// `None` before the first record.
    ring: Option<Ring>,
    /// `None` accepts every record.
    program: Option<Program>,
    /// The field in the input's template.
    field: Option<(usize, Kind)>,
}

impl<'o> Group<'o> {
    fn new(rules: Vec<Rule>, output: &'o mut Output) -> Result<Group<'o>, ScalarError> {
        let kind = |rule: &Rule| if rule.function.is_count() { Kind::U64 } else { Kind::F64 };
        let fields = rules.iter().map(|rule| (rule.name.as_str(), kind(rule)));
        let template = Template::new([("TIME", Kind::Time)].into_iter().chain(fields)).map_err(|why| {
            let mut spec = "time TIME".to_owned();
            rules.iter().for_each(|rule| spec.extend([",", kind(rule).unirec_name(), " ", &rule.name]));
            ScalarError::Output { spec, why }
        })?;
        output.set_format(Format::UniRec(template.spec())).map_err(ScalarError::Send)?;
        let place = |name: &str| template.fields().iter().find(|f| f.name == name).map_or(0, |f| f.offset);
        let slot = |rule: Rule| Slot { at: place(&rule.name), rule, ring: None, program: None, field: None };
        let slots = rules.into_iter().map(slot).collect();
        Ok(Group { slots, output, record: vec![0; template.static_size()], time_at: place("TIME") })
    }

    /// Takes the oldest window of all rules into the record, and into `line` for `-v`.
    fn roll(&mut self, number: usize, room: &mut Room, line: Option<&mut String>) {
        let mut shown = String::new();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let Some(ring) = &mut slot.ring else { continue };
            let total = ring.roll(room);
            let value = match (slot.rule.function, total.count) {
                (Function::Sum, _) => total.sum,
                (Function::Avg, 1..) => total.sum / total.count as f64,
                (Function::Rate, 1..) => total.sum / ring.step() as f64,
                _ => 0.0,
            };
            // A String takes every write.
            if index == 0 {
                put(&mut self.record, self.time_at, (total.time as u64) << 32);
                if line.is_some() {
                    let _ = write!(shown, "[OUT-{number:02}] {}", date(total.time));
                }
            }
            let is_count = slot.rule.function.is_count();
            put(&mut self.record, slot.at, if is_count { total.count } else { value.to_bits() });
            if line.is_some() {
                let _ = if is_count { write!(shown, ",{}", total.count) } else { write!(shown, ",{value:.2}") };
            }
        }
        if let Some(line) = line {
            line.push_str(&shown);
            line.push('\n');
        }
    }
}

impl Stage<'_> {
    /// Resolves all rules for a template of the input.
    fn bind(&mut self, template: &Template) -> Result<(), ScalarError> {
        self.groups.iter_mut().flat_map(|group| &mut group.slots).try_for_each(|slot| slot.bind(template))
    }

    /// Gives a record to all rules; false when the module is to stop.
    fn add(&mut self, view: &View<'_>, span: Span, notes: &mut Notes) -> Result<bool, ScalarError> {
        for group in 0..self.groups.len() {
            for index in 0..self.groups[group].slots.len() {
                let slot = &mut self.groups[group].slots[index];
                let timing = slot.rule.timing;
                slot.ring.get_or_insert_with(|| Ring::new(timing, span.first));
                if slot.program.as_ref().is_some_and(|program| !program.accepts(view)) {
                    continue;
                }
                let sample = slot.sample(view, &self.keys)?;
                loop {
                    let ring = self.groups[group].slots[index].ring.as_mut();
                    match ring.map_or(Added::Done, |ring| ring.add(span, sample, &mut notes.room)) {
                        Added::Done => break,
                        Added::Beyond => {
                            notes.beyond += 1;
                            break;
                        }
                        // Ends: each round moves the ring on, at most ROLLS_MAX times.
                        Added::Roll => {
                            if !self.flush(notes) {
                                return Ok(false);
                            }
                        }
                    }
                }
            }
        }
        Ok(true)
    }

    /// Sends the oldest window of all rules, one record for each output; false when the module is to stop.
    fn flush(&mut self, notes: &mut Notes) -> bool {
        let mut text = (log::level() >= 0).then(String::new);
        if let Some(text) = &mut text {
            if self.lines >= LINES {
                self.lines = 0;
                self.heading(text);
            }
            self.lines += 1;
        }
        let mut goes_on = true;
        for (number, group) in self.groups.iter_mut().enumerate() {
            group.roll(number, &mut notes.room, text.as_mut());
            if let Sent::Dropped(reason) = group.output.send(&group.record) {
                notes.dropped += 1;
                goes_on &= !matches!(reason, DropReason::Terminated | DropReason::Finished);
            }
        }
        if let Some(text) = text {
            // Where nobody reads standard output, aggregation goes on.
            let _ = std::io::stdout().write_all(text.as_bytes());
        }
        goes_on
    }

    fn heading(&self, text: &mut String) {
        let rule = format!("{}\n", "-".repeat(80));
        text.push_str(&rule);
        for (number, group) in self.groups.iter().enumerate() {
            let _ = write!(text, "[OUT-{number:02}] TIME");
            group.slots.iter().for_each(|slot| text.extend([",", &slot.rule.name]));
            text.push('\n');
        }
        text.push_str(&rule);
    }
}

impl Slot {
    fn bind(&mut self, template: &Template) -> Result<(), ScalarError> {
        self.field = template.index_of(&self.rule.field).map(|index| (index, template.fields()[index].kind));
        let Some(Filter { text, expr: Some(expr) }) = &self.rule.filter else { return Ok(()) };
        let program = Program::new(expr, template).map_err(|why| {
            eprintln!("Parsing error: {why}");
            println!("[0] Filter: SYNTAX ERROR\n\n[URFilter] Syntax error in filter: {text}.");
            ScalarError::Filter
        })?;
        // Told once, not for each sender.
        if self.program.replace(program).is_none()
            && let Some(program) = &self.program
        {
            let _ = std::io::stdout().write_all(&program.announcement(expr, "0"));
        }
        Ok(())
    }

    /// What the record has for this rule.
    fn sample(&self, view: &View<'_>, keys: &Keys) -> Result<Sample, ScalarError> {
        let (index, kind) = self.field.ok_or_else(|| ScalarError::NoField(self.rule.field.clone()))?;
        let is_unique = self.rule.function == Function::CountUniq;
        let raw = || view.raw(index).unwrap_or(&[]);
        Ok(match kind {
            Kind::List(_) => {
                return Err(ScalarError::Kind { rule: self.rule.name.clone(), field: self.rule.field.clone() });
            }
            Kind::Text | Kind::Bytes if is_unique => Sample::Key(keys.text(raw())),
            // Both zeros are one value.
            Kind::F32 | Kind::F64 if is_unique => {
                let number = view.float(index).unwrap_or(0.0) + 0.0;
                Sample::Key(number.to_bits().into())
            }
            _ if is_unique => Sample::Key(keys.fixed(raw())),
            Kind::Text | Kind::Bytes | Kind::Ip | Kind::Mac | Kind::Time => {
                return Err(ScalarError::OnlyUniq(self.rule.name.clone()));
            }
            Kind::F32 | Kind::F64 => Sample::Number(view.float(index).unwrap_or(0.0)),
            Kind::I8 | Kind::I16 | Kind::I32 | Kind::I64 => Sample::Number(view.int(index).unwrap_or(0) as f64),
            Kind::Char => Sample::Number(view.char(index).unwrap_or(0).into()),
            Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 => Sample::Number(view.uint(index).unwrap_or(0) as f64),
        })
    }
}

fn put(record: &mut [u8], at: usize, value: u64) {
    record[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

/// `YYYY-mm-dd HH:MM:SS` of seconds since 1970, UTC.
fn date(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}
