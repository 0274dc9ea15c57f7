//! What the functions of a script work on: both templates, the record that came, and what was set in the one that goes.
use crate::reading::NO_FIELD;
use record::Kind;
use record::unirec::{RECORD_MAX, SpecError, Template, View};
use std::collections::HashMap;

/// Names that get a number in one run, at the most.
const NAMES_MAX: usize = 1 << 16;

/// Which function of the script is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Init,
    Template,
    Record,
}

/// Senders used more names of fields than there are numbers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {NAMES_MAX} names of fields")]
pub struct TooManyNames;

/// See the module.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) phase: Phase,
    names: Names,
    input: Template,
    /// The record that came, in `input`.
    record: Vec<u8>,
    output: Template,
    /// For each field of the output, where it is in the input, or [`NO_FIELD`].
    sources: Vec<usize>,
    /// Values set in this record, wire form, by index of the output.
    changes: Vec<Option<Vec<u8>>>,
    has_changes: bool,
    is_dropped: bool,
}

/// Names of fields and their numbers, which scripts keep: given in the order in which names are met, never taken back.
#[derive(Debug, Default)]
struct Names {
    all: Vec<(String, Kind)>,
    numbers: HashMap<String, usize>,
}

/// How a script names a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Text(String),
    /// What `ur_id` answered.
    Number(usize),
}

impl Default for Records {
    fn default() -> Self {
        Records {
            phase: Phase::Init,
            names: Names::default(),
            input: Template::default(),
            record: Vec::new(),
            output: Template::default(),
            sources: Vec::new(),
            changes: Vec::new(),
            has_changes: false,
            is_dropped: false,
        }
    }
}

impl Records {
    /// Takes the template of the records that follow; the output's is the same at first.
    pub(super) fn set_input(&mut self, template: &Template) -> Result<(), TooManyNames> {
        self.names.learn(template)?;
        self.input = template.clone();
        self.set_output(template.clone());
        Ok(())
    }

    /// Takes a record of the input's template; the output's is a copy of it, fields that it has more are zero and empty.
    pub(super) fn set_record(&mut self, view: &View<'_>) {
        self.record.clear();
        self.record.extend_from_slice(view.as_bytes());
        if self.has_changes {
            self.changes.iter_mut().for_each(|change| *change = None);
        }
        (self.has_changes, self.is_dropped) = (false, false);
    }

    /// The record that came. `None` before the first one.
    pub(super) fn view(&self) -> Option<View<'_>> {
        View::new(&self.input, &self.record).ok()
    }

    pub(super) fn input(&self) -> &Template {
        &self.input
    }

    pub(super) fn output(&self) -> &Template {
        &self.output
    }

    pub(super) fn has_changes(&self) -> bool {
        self.has_changes
    }

    pub(super) fn is_dropped(&self) -> bool {
        self.is_dropped
    }

    pub(super) fn drop_record(&mut self) {
        self.is_dropped = true;
    }

    /// Value of a field of the output in wire form, `view` being the record that came.
    pub(super) fn content<'v>(&'v self, index: usize, view: &View<'v>) -> Option<&'v [u8]> {
        match &self.changes[index] {
            Some(value) => Some(value),
            None => view.raw(self.sources[index]),
        }
    }

    /// Number of a name that was met.
    pub(super) fn number(&self, name: &str) -> Option<usize> {
        self.names.numbers.get(name).copied()
    }

    /// Type of a name that was met, also if no template has it any more.
    pub(super) fn kind(&self, name: &str) -> Option<Kind> {
        self.number(name).map(|number| self.names.all[number].1)
    }

    /// Index of a field in one of the templates.
    pub(super) fn index(&self, template: &Template, name: &Name) -> Option<usize> {
        match name {
            Name::Text(name) => template.index_of(name),
            Name::Number(number) => template.index_of(&self.names.all.get(*number)?.0),
        }
    }

    /// Sets a field of the output; false if the record would not hold it.
    pub(super) fn set(&mut self, index: usize, value: Vec<u8>) -> bool {
        if value.len() > RECORD_MAX {
            return false;
        }
        self.changes[index] = Some(value);
        self.has_changes = true;
        true
    }

    /// Adds fields, `TYPE NAME` pairs between commas or blanks, to the output; false, and no change, if they cannot be added.
    pub(super) fn add(&mut self, text: &str) -> bool {
        let words: Vec<_> = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|w| !w.is_empty()).collect();
        let pairs = words.chunks(2).map(|pair| match pair {
            [kind, name] => Some(((*name).to_owned(), Kind::from_unirec_name(kind)?)),
            _ => None,
        });
        let Some(new) = pairs.collect::<Option<Vec<_>>>() else { return false };
        if new.iter().any(|(name, kind)| self.kind(name).is_some_and(|known| known != *kind)) {
            return false;
        }
        let Ok(template) = self.with(|_| true, new) else { return false };
        if self.names.learn(&template).is_err() {
            return false;
        }
        self.set_output(template);
        true
    }

    /// Takes fields out of the output, all without `indexes`.
    pub(super) fn delete(&mut self, indexes: Option<&[usize]>) {
        let stays = |index: &usize| indexes.is_some_and(|gone| !gone.contains(index));
        // A part of a template is one.
        if let Ok(template) = self.with(stays, Vec::new()) {
            self.set_output(template);
        }
    }

    /// The output's template with some of its fields and others.
    fn with(&self, stays: impl Fn(&usize) -> bool, new: Vec<(String, Kind)>) -> Result<Template, SpecError> {
        let old = self.output.fields().iter().enumerate().filter(|(index, _)| stays(index));
        Template::new(old.map(|(_, field)| (field.name.clone(), field.kind)).chain(new))
    }

    fn set_output(&mut self, template: Template) {
        let source = |name: &str, kind| self.input.find(name, kind).unwrap_or(NO_FIELD);
        self.sources = template.fields().iter().map(|field| source(&field.name, field.kind)).collect();
        self.changes = vec![None; template.fields().len()];
        self.output = template;
        self.has_changes = false;
    }
}

impl Names {
    /// Gives numbers to new names; a known one has the type of this template from now on.
    fn learn(&mut self, template: &Template) -> Result<(), TooManyNames> {
        for field in template.fields() {
            match self.numbers.get(&field.name) {
                Some(number) => self.all[*number].1 = field.kind,
                None if self.all.len() == NAMES_MAX => return Err(TooManyNames),
                None => {
                    self.numbers.insert(field.name.clone(), self.all.len());
                    self.all.push((field.name.clone(), field.kind));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_come_and_go() {
        let mut records = Records::default();
        records.set_input(&Template::parse("uint16 PORT,string NAME").unwrap()).unwrap();
        assert!(records.add("uint32 PPS, uint32 BPS ,, ipaddr* LIST"));
        assert_eq!(records.output().spec(), "uint32 BPS,uint32 PPS,uint16 PORT,string NAME,ipaddr* LIST");
        for wrong in ["uint32 A,B", "tmp tmp", "int INT", "uint8 PPS", "uint8 1A"] {
            assert!(!records.add(wrong), "{wrong}");
        }
        // The same again, and nothing, are no fault.
        assert!(records.add("uint32 PPS") && records.add(""));
        let number = records.number("PPS").unwrap();
        let index = records.index(records.output(), &Name::Number(number)).unwrap();
        records.delete(Some(&[index]));
        assert_eq!(records.output().spec(), "uint32 BPS,uint16 PORT,string NAME,ipaddr* LIST");
        assert_eq!((records.kind("PPS"), records.number("PPS")), (Some(Kind::U32), Some(number)));
        assert_eq!(records.index(records.output(), &Name::Text("PPS".into())), None);
        records.delete(None);
        assert_eq!(records.output(), &Template::default());
    }

    proptest! {
        /// What is added makes a template; what is refused changes nothing.
        #[test]
        fn any_text_is_added_or_not(text in "(u?int(8|16)\\*?|string|[A-Za-z1]{1,2}|[ ,\t]|.){0,16}") {
            let mut records = Records::default();
            records.set_input(&Template::parse("uint16 A,string B").unwrap()).unwrap();
            let before = records.output().clone();
            if records.add(&text) {
                prop_assert_eq!(&Template::parse(&records.output().spec()).unwrap(), records.output());
                prop_assert!(before.fields().iter().all(|field| records.output().find(&field.name, field.kind).is_some()));
            } else {
                prop_assert_eq!(&before, records.output());
            }
        }
    }
}
