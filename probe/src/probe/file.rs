//! `sonda probe -c FILE`: all options in one TOML file.
//!
//! Contract: a key is an option of the command line, in the table of its heading in the help, with `_` for `-`; a process plugin's options
//! stand in a table of its own, `[process.PLUGIN]`; each `[[rule]]` is a `--rule`. The file becomes the words of a command line, which the same code reads, so both mean
//! the same. Each fault is told with file, line and column. Nothing is opened.
mod keys;
mod plugins;
pub(crate) mod reference;

use super::Args;
use super::plan::plan;
use super::rules;
use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use control::config::place::{Place, meant};
use control::config::{BYTES_MAX, Refused, text_of};
use keys::{Key, Kind, RULE, keys, reworded};
use std::borrow::Cow;
use std::ffi::OsString;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What a file asks for.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) args: Args,
    /// The same as a command line.
    pub(crate) words: Vec<OsString>,
}

/// Reads a file, and checks all that can be checked before anything is opened.
///
/// # Errors
/// [`Refused`] has `[ERROR] FILE:LINE:COLUMN: why` for each fault.
pub(crate) fn read(path: &Path) -> Result<Read, Refused> {
    let text = text_of(path, BYTES_MAX).map_err(|why| Refused::one(format!("[ERROR] {}: {why}", path.display())))?;
    parse(Place { path, text: &text })
}

/// Whether the text has a table of a probe's file.
pub(crate) fn has_table(text: &str) -> bool {
    let (root, _) = DeTable::parse_recoverable(text);
    let keys = keys();
    root.get_ref().keys().any(|name| name.get_ref() == RULE || keys.iter().any(|key| key.table == *name.get_ref()))
}

fn parse(place: Place<'_>) -> Result<Read, Refused> {
    let root = DeTable::parse(place.text).map_err(|why| {
        let at = why.span().map_or(0, |span| span.start);
        Refused::one(place.line(at, why.message().lines().next().unwrap_or_default()))
    })?;
    let keys = keys();
    let mut reading = Reading {
        place,
        keys: &keys,
        given: Vec::new(),
        options: Vec::new(),
        rules: Vec::new(),
        wrong: Refused::default(),
    };
    for (name, value) in in_order(root.get_ref()) {
        reading.table(name, value);
    }
    reading.put_options();
    if !reading.wrong.lines.is_empty() {
        return Err(reading.wrong);
    }
    reading.together()
}

/// A key that a file has, with its values and where each stands.
struct Given<'k> {
    key: &'k Key,
    at: usize,
    values: Vec<(usize, String)>,
}

impl Given<'_> {
    fn words(&self) -> impl Iterator<Item = String> {
        self.values.iter().map(|(_, value)| self.key.word(value))
    }

    fn is_positional(&self) -> bool {
        self.key.arg.is_positional()
    }
}

/// A rule of the file: where it begins, its name, and its keys as they stand there.
struct GivenRule {
    at: usize,
    name: String,
    keys: String,
}

/// A key or the name of a table.
type Name<'i> = Spanned<Cow<'i, str>>;

struct Reading<'a> {
    place: Place<'a>,
    keys: &'a [Key],
    given: Vec<Given<'a>>,
    /// Tables of plugins.
    options: Vec<plugins::Options>,
    rules: Vec<GivenRule>,
    wrong: Refused,
}

impl<'a> Reading<'a> {
    fn fault(&mut self, at: usize, why: &str) {
        self.wrong.lines.push(self.place.line(at, why));
    }

    fn table(&mut self, name: &Name<'_>, value: &Spanned<DeValue<'_>>) {
        let (at, keys) = (name.span().start, self.keys);
        let name = name.get_ref().as_ref();
        if name == RULE {
            return self.rules(at, value);
        }
        if !keys.iter().any(|key| key.table == name) {
            if let Some(key) = keys.iter().find(|key| key.name == name) {
                return self.fault(at, &format!("{name} stands in the table [{}]", key.table));
            }
            self.fault(at, &format!("there is no table [{name}]"));
            return self.wrong.lines.extend(meant(name, keys.iter().map(|key| key.table.as_str()).chain([RULE])));
        }
        let Some(table) = value.get_ref().as_table() else {
            return self.fault(at, &format!("{name} is a table: write [{name}]"));
        };
        for (key, value) in in_order(table) {
            match (name, value.get_ref()) {
                ("process", DeValue::Table(options)) => self.plugin(key, options),
                _ => self.key(name, key.span().start, key.get_ref(), value),
            }
        }
    }

    fn rules(&mut self, at: usize, value: &Spanned<DeValue<'_>>) {
        let tables = value.get_ref().as_array().into_iter().flatten();
        let tables: Vec<_> = tables.filter_map(|rule| Some((rule.span().start, rule.get_ref().as_table()?))).collect();
        if tables.is_empty() {
            return self.fault(at, "a rule is a table in a list: write [[rule]]");
        }
        for (at, table) in tables {
            match rules::read(table, at) {
                Ok(_) => {
                    let text = |value: &Spanned<DeValue<'_>>| self.place.text.get(value.span()).unwrap_or_default();
                    let keys: Vec<String> = in_order(table)
                        .iter()
                        .map(|(key, value)| format!("{} = {}", key.get_ref(), text(value)))
                        .collect();
                    let name = table.get("name").and_then(|name| name.get_ref().as_str()).unwrap_or_default().into();
                    self.rules.push(GivenRule { at, name, keys: keys.join(", ") });
                }
                Err(faults) => {
                    for fault in faults {
                        self.fault(fault.at, &fault.why);
                        self.wrong.lines.extend(fault.meant);
                    }
                }
            }
        }
    }

    fn key(&mut self, table: &str, at: usize, name: &str, value: &Spanned<DeValue<'_>>) {
        let keys = self.keys;
        let Some(key) = keys.iter().find(|key| key.table == table && key.name == name) else {
            if let Some(key) = keys.iter().find(|key| key.name == name) {
                return self.fault(at, &format!("{name} stands in the table [{}]", key.table));
            }
            self.fault(at, &format!("there is no key {name} in [{table}]"));
            let known = keys.iter().filter(|key| key.table == table).map(|key| key.name.as_str());
            return self.wrong.lines.extend(meant(name, known));
        };
        let start = value.span().start;
        let Some(values) = values(key.kind, value) else {
            let found = value.get_ref().type_str();
            return self.fault(start, &format!("{name} takes {}, not this {found}", key.kind.name()));
        };
        for (at, value) in values.iter().filter(|_| key.kind != Kind::Switch) {
            let why = plugins::refuses(key, value).or_else(|| key.refuses(value)).unwrap_or_default();
            let mut lines = why.into_iter();
            if let Some(why) = lines.next() {
                let shown = if key.kind == Kind::Number { value.clone() } else { format!("\"{value}\"") };
                self.fault(*at, &format!("{name} = {shown}: {why}"));
                self.wrong.lines.extend(lines);
            }
        }
        self.given.push(Given { key, at, values });
    }

    /// All keys as the words of a command line, and what that says.
    fn together(self) -> Result<Read, Refused> {
        let (behind, front): (Vec<&Given<'_>>, _) = self.given.iter().partition(|given| given.is_positional());
        let rules = self.rules.iter().map(|rule| OsString::from(format!("--rule={}", rule.keys)));
        let words: Vec<OsString> = rules.chain(words(front.into_iter(), &behind)).collect();
        let args = Args::try_parse_from(line(&words)).map_err(|why| self.clashes(&why, &behind))?;
        match plan(&args) {
            Ok(_) => Ok(Read { args, words }),
            Err(why) => Err(self.placed(&why.to_string())),
        }
    }

    /// What the command line says of keys that do not go together.
    fn clashes(&self, why: &clap::Error, files: &[&Given<'_>]) -> Refused {
        let named = |why: &clap::Error, kind| match why.get(kind) {
            Some(ContextValue::String(usage)) => vec![self.name_of(usage)],
            Some(ContextValue::Strings(usages)) => usages.iter().map(|usage| self.name_of(usage)).collect(),
            _ => Vec::new(),
        };
        let at = |name: &str| self.given.iter().find(|given| given.key.name == name).map_or(0, |given| given.at);
        let (these, others) = (named(why, ContextKind::InvalidArg), named(why, ContextKind::PriorArg));
        match (why.kind(), these.first()) {
            (ErrorKind::ArgumentConflict, Some(this)) => {
                let line = format!("{this} cannot stand beside {}", others.join(", "));
                Refused::one(self.place.line(at(this), &line))
            }
            (ErrorKind::MissingRequiredArgument, _) => {
                // Which key asks for what is missing is found by trying each with nothing but an input.
                let inputs = |given: &&Given<'_>| given.key.name == "interface";
                let mut lines = Vec::new();
                for given in self.given.iter().filter(|given| !given.is_positional()) {
                    let tried = words(self.given.iter().filter(inputs).chain([given]), files);
                    if let Err(why) = Args::try_parse_from(line(&tried))
                        && why.kind() == ErrorKind::MissingRequiredArgument
                    {
                        let missing: Vec<String> =
                            named(&why, ContextKind::InvalidArg).into_iter().filter(|name| name != "files").collect();
                        if !missing.is_empty() {
                            let why = format!("{} needs {}", given.key.name, missing.join(", "));
                            lines.push(self.place.line(given.at, &why));
                        }
                    }
                }
                if lines.is_empty() {
                    lines.push(self.place.line(0, "there is no input: give files or interface in [input]"));
                }
                Refused { lines }
            }
            _ => Refused::one(self.place.line(0, why.to_string().lines().next().unwrap_or_default())),
        }
    }

    /// The key of an option as the command line's messages show it, `--user <NAME>` or `<FILE>...`.
    fn name_of(&self, usage: &str) -> String {
        let long = usage.strip_prefix("--").map(|rest| rest.split([' ', '=']).next().unwrap_or_default());
        let found = self.keys.iter().find(|key| key.arg.get_long() == long);
        found.map_or_else(|| usage.into(), |key| key.name.clone())
    }

    /// A message that names an option, with the place of its key; of a list's values that one which the message names.
    fn placed(&self, why: &str) -> Refused {
        // The last of those with one name: it is the one that is too many.
        let of_rule = |rule: &&GivenRule| {
            why.strip_prefix("--rule ").is_some_and(|rest| rest.starts_with(&format!("{}:", rule.name)))
        };
        if let Some(rule) = self.rules.iter().rev().find(of_rule) {
            return Refused::one(self.place.line(rule.at, why.trim_start_matches("--")));
        }
        let names = |given: &&Given<'_>| {
            let long = given.key.arg.get_long().map(|long| format!("--{long}"));
            long.and_then(|long| {
                let at = why.find(&long)?;
                // `--lanes` is not `--lanes-of`.
                let goes_on = why[at + long.len()..].starts_with(|next: char| next == '-' || next.is_alphanumeric());
                (!goes_on).then_some(at)
            })
        };
        let first = self.given.iter().filter_map(|given| Some((names(&given)?, given))).min_by_key(|(at, _)| *at);
        let at = first.map_or(0, |(_, given)| {
            let mut values =
                given.values.iter().filter(|(_, value)| given.values.len() > 1 && why.contains(value.as_str()));
            values.next().map_or(given.at, |(at, _)| *at)
        });
        Refused::one(self.place.line(at, &reworded(self.keys, why)))
    }
}

/// The entries of a table as they stand in the file.
fn in_order<'t, 'i>(table: &'t DeTable<'i>) -> Vec<(&'t Name<'i>, &'t Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

/// The words for these keys, files last.
fn words<'g>(options: impl Iterator<Item = &'g Given<'g>>, files: &[&Given<'_>]) -> Vec<OsString> {
    let mut words: Vec<String> = options.flat_map(Given::words).collect();
    if !files.is_empty() {
        words.push("--".into());
        words.extend(files.iter().flat_map(|given| given.words()));
    }
    words.into_iter().map(OsString::from).collect()
}

fn line(words: &[OsString]) -> impl Iterator<Item = OsString> {
    std::iter::once(OsString::from("sonda probe")).chain(words.iter().cloned())
}

/// A value as texts, each with its place; none if it is of another type. A switch that is off has no text.
fn values(kind: Kind, value: &Spanned<DeValue<'_>>) -> Option<Vec<(usize, String)>> {
    let one = |value: &Spanned<DeValue<'_>>| Some((value.span().start, value.get_ref().as_str()?.to_string()));
    match (kind, value.get_ref()) {
        (Kind::Switch, DeValue::Boolean(on)) => {
            Some(on.then(|| (value.span().start, String::new())).into_iter().collect())
        }
        (Kind::Number, DeValue::Integer(number)) => Some(vec![(value.span().start, decimal(number)?)]),
        (Kind::Text, DeValue::String(_)) => Some(vec![one(value)?]),
        (Kind::List, DeValue::Array(list)) => list.iter().map(one).collect(),
        _ => None,
    }
}

fn decimal(number: &toml::de::DeInteger<'_>) -> Option<String> {
    i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
}

#[cfg(test)]
mod tests;
