//! Rules as people write them: `[[rule]]` in the file of `sonda probe -c`, `--rule 'name = "nets", ...'` on the command line, one reader for both.
//!
//! What may stand in a rule is declared in [`keys`]; the filter is that of unirecfilter. Nothing is opened here but by [`open`].
mod filter;
pub(super) mod keys;

use super::options::Args;
use super::outputs::{base, options};
use crate::outputs::collector;
use crate::run::{Source, unix_secs};
use control::config::place::meant;
use dataplane::export::ipfix::{IpfixConfig, IpfixExporter, Target};
use dataplane::export::rule::{
    Does, Rule, RuleConfig, RuleExporter, TEMPLATE_IDS, Term, TermError, To, VALUES, known_names,
};
use dataplane::export::{Exporter, OpenError};
use dataplane::registry::PluginId;
use filter::{Wrong, compiled};
use keys::KEYS;
use std::path::PathBuf;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Template of the first rule that is not given one; each has two ids. Those of flows begin at 258 and end far below.
const TEMPLATE_FIRST: u16 = 10_000;
/// Rules at the most: each is a thread.
const RULES_MAX: usize = 64;

/// A rule as it was written.
#[derive(Clone, Debug)]
pub(super) struct Written {
    config: RuleConfig,
    template: Option<u16>,
    filter: Option<String>,
    ipfix: Vec<Target>,
    ipfix_file: Option<PathBuf>,
    json: Option<PathBuf>,
}

/// What is wrong with a rule, the byte where it stands, and what was probably meant.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) why: String,
    pub(super) meant: Option<String>,
}

impl Fault {
    fn new(at: usize, why: impl Into<String>) -> Fault {
        Fault { at, why: why.into(), meant: None }
    }

    fn near(at: usize, why: String, name: &str, known: impl Iterator<Item = String>) -> Fault {
        let known: Vec<String> = known.collect();
        Fault { at, why, meant: meant(name, known.iter().map(String::as_str)) }
    }
}

/// The value of `--rule`: the keys of a rule with commas between, with or without braces around.
pub(super) fn parse(text: &str) -> Result<Written, String> {
    let bare = text.trim();
    let bare = bare.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(bare);
    let document = format!("rule = {{{bare}}}");
    let root = DeTable::parse(&document).map_err(|why| why.message().lines().next().unwrap_or_default().to_string())?;
    let table = root.get_ref().values().next().and_then(|value| value.get_ref().as_table());
    let table = table.ok_or("write key = value, key = value")?;
    read(table, 0).map_err(|faults| {
        let said = faults.into_iter().map(|fault| match fault.meant {
            Some(meant) => format!("{} ({})", fault.why, meant.trim_start_matches("[INFO] ")),
            None => fault.why,
        });
        said.collect::<Vec<_>>().join("; ")
    })
}

/// Reads a rule; `at` is where it begins.
pub(super) fn read(table: &DeTable<'_>, at: usize) -> Result<Written, Vec<Fault>> {
    let mut faults = Vec::new();
    for (name, value) in table {
        let (start, name) = (name.span().start, name.get_ref().as_ref());
        match KEYS.iter().find(|key| key.name == name) {
            None => {
                let known = KEYS.iter().map(|key| key.name.to_string());
                faults.push(Fault::near(start, format!("there is no key {name} in a rule"), name, known));
            }
            Some(key) => faults.extend(key.takes.refuses(name, value)),
        }
    }
    if !faults.is_empty() {
        faults.sort_by_key(|fault| fault.at);
        return Err(faults);
    }
    let reading = Reading { table, at };
    let written = reading.written(&mut faults);
    match written {
        Some(written) if faults.is_empty() => Ok(written),
        _ => Err(faults),
    }
}

/// Where the words of each list stand.
type Places = Vec<(&'static str, Vec<usize>)>;

/// A table whose keys are known, and of the right types.
struct Reading<'t, 'i> {
    table: &'t DeTable<'i>,
    at: usize,
}

impl<'t, 'i> Reading<'t, 'i> {
    fn get(&self, name: &str) -> Option<&'t Spanned<DeValue<'i>>> {
        self.table.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value)
    }

    fn text(&self, name: &str) -> Option<(usize, &'t str)> {
        self.get(name).and_then(|value| Some((value.span().start, value.get_ref().as_str()?)))
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(|(_, text)| PathBuf::from(text))
    }

    fn number(&self, name: &str, default: u64) -> u64 {
        self.get(name).and_then(|value| keys::number(value.get_ref())).unwrap_or(default)
    }

    fn list(&self, name: &str) -> Option<Vec<(usize, &'t str)>> {
        let list = self.get(name)?.get_ref().as_array()?;
        Some(list.iter().filter_map(|item| Some((item.span().start, item.get_ref().as_str()?))).collect())
    }

    /// The words of a list, each read; what is wrong with one is a fault.
    fn terms(
        &self,
        name: &str,
        read: impl Fn(&str) -> Result<Term, TermError>,
        faults: &mut Vec<Fault>,
    ) -> Option<(Vec<Term>, Vec<usize>)> {
        let (mut terms, mut places) = (Vec::new(), Vec::new());
        for (at, word) in self.list(name)? {
            match read(word) {
                Ok(term) => {
                    terms.push(term);
                    places.push(at);
                }
                Err(TermError::Unknown(field)) => {
                    let why = TermError::Unknown(field.clone()).to_string();
                    faults.push(Fault::near(at, why, &field, known_names().into_iter()));
                }
                Err(why) => faults.push(Fault::new(at, why.to_string())),
            }
        }
        Some((terms, places))
    }

    fn written(&self, faults: &mut Vec<Fault>) -> Option<Written> {
        let Some((name_at, name)) = self.text("name") else {
            faults.push(Fault::new(self.at, "a rule needs a name"));
            return None;
        };
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
            faults.push(Fault::new(name_at, format!("name = \"{name}\": use letters, digits, '.', '_' and '-'")));
        }
        let each_direction = self.text("direction").is_some_and(|(_, word)| word == keys::EACH);
        let aggregates = self.get("aggregate").is_none_or(|value| value.get_ref().as_bool() != Some(false));
        let (does, places) = self.does(aggregates, each_direction, faults)?;
        let template = self.get("template").and_then(|value| keys::number(value.get_ref())).map(|id| id as u16);
        let config = RuleConfig { name: name.into(), does, each_direction, template: TEMPLATE_FIRST, is_live: false };
        if let Some((at, text)) = self.text("filter")
            && let Err(why) = compiled(text)
        {
            faults.push(match why {
                Wrong::Syntax(why) => Fault::new(at, format!("filter: {why}")),
                Wrong::Field(field) => {
                    let known = filter::names().map(String::from);
                    Fault::near(at, format!("filter: there is no UniRec field {field}"), &field, known)
                }
            });
        }
        let mut ipfix = Vec::new();
        for (at, target) in self.list("ipfix").unwrap_or_default() {
            match collector(target) {
                Ok(target) => ipfix.push(target),
                Err(why) => faults.push(Fault::new(at, format!("ipfix = \"{target}\": {why}"))),
            }
        }
        if faults.is_empty()
            && let Err(why) = config.check()
        {
            let at = why.word.and_then(|(list, n)| places.iter().find(|(name, _)| *name == list)?.1.get(n).copied());
            faults.push(Fault::new(at.unwrap_or(self.at), why.why));
        }
        let (ipfix_file, json) = (self.path("ipfix_file"), self.path("json"));
        if ipfix.is_empty() && ipfix_file.is_none() && json.is_none() {
            faults.push(Fault::new(self.at, format!("rule {name} has no output: give ipfix, ipfix_file or json")));
        }
        let filter = self.text("filter").map(|(_, text)| text.to_string());
        Some(Written { config, template, filter, ipfix, ipfix_file, json })
    }

    /// What is done with flows, and where the words of each list stand.
    fn does(&self, aggregates: bool, each_direction: bool, faults: &mut Vec<Fault>) -> Option<(Does, Places)> {
        let unused: &[&str] =
            if aggregates { &["fields"] } else { &["key", "values", "active", "inactive", "entries"] };
        for name in unused {
            if let Some(value) = self.get(name) {
                let why =
                    if aggregates { "is for a rule with aggregate = false" } else { "is for a rule that aggregates" };
                faults.push(Fault::new(value.span().start, format!("{name} {why}")));
            }
        }
        if !aggregates {
            let Some((fields, places)) = self.terms("fields", Term::key, faults) else {
                faults.push(Fault::new(self.at, "a rule with aggregate = false needs fields"));
                return None;
            };
            return Some((Does::Send { fields }, vec![("fields", places)]));
        }
        let Some((key, key_places)) = self.terms("key", Term::key, faults) else {
            faults.push(Fault::new(self.at, "a rule needs a key, or aggregate = false and fields"));
            return None;
        };
        let usual = || {
            let values = VALUES.iter().filter(|value| !each_direction || !value.ends_with("_rev"));
            (values.filter_map(|value| Term::value(value).ok()).collect(), Vec::new())
        };
        let (values, value_places) = self.terms("values", Term::value, faults).unwrap_or_else(usual);
        let (active_secs, inactive_secs) =
            (self.number("active", keys::ACTIVE), self.number("inactive", keys::INACTIVE));
        let entries = self.number("entries", keys::ENTRIES) as u32;
        let does = Does::Aggregate { key, values, active_secs, inactive_secs, entries };
        Some((does, vec![("key", key_places), ("values", value_places)]))
    }
}

/// Checks what rules are to each other and to the rest of the options.
///
/// # Errors
/// `--rule NAME: why`.
pub(super) fn check(args: &Args, plugins: &[PluginId]) -> Result<(), String> {
    let rules = numbered(args)?;
    let mut files: Vec<&PathBuf> = [&args.output.json, &args.output.ipfix_file].into_iter().flatten().collect();
    for (at, rule) in rules.iter().enumerate() {
        let name = &rule.config.name;
        let of = |why: String| format!("--rule {name}: {why}");
        if rules[..at].iter().any(|other| other.config.name == *name) {
            return Err(of("another rule has this name".into()));
        }
        let id = rule.config.template;
        if let Some(other) = rules[..at].iter().find(|other| other.config.template.abs_diff(id) < 2) {
            let (theirs, whose) = (other.config.template, &other.config.name);
            return Err(of(format!(
                "template {id}: rule {whose} has {theirs} and {}, each rule takes two",
                theirs + 1
            )));
        }
        for file in [&rule.ipfix_file, &rule.json].into_iter().flatten() {
            if files.contains(&file) {
                return Err(of(format!("{} is written by another output", file.display())));
            }
            files.push(file);
        }
        let asked = rule.filter.as_deref().map(filter::plugins).unwrap_or_default();
        if let Some(plugin) = rule.config.plugins().chain(asked).find(|plugin| !plugins.contains(plugin)) {
            return Err(of(format!("it asks for {}, which is not on", plugin.name())));
        }
        let ready = Rule::new(rule.config.clone()).map_err(|why| of(why.to_string()))?;
        let to_ipfix = !rule.ipfix.is_empty() || rule.ipfix_file.is_some();
        if let Some(field) = ready.without_element().filter(|_| to_ipfix) {
            return Err(of(format!("{field} has no IPFIX element: leave it out, or write json alone")));
        }
        if let Some((one, other)) = ready.same_element().filter(|_| to_ipfix) {
            return Err(of(format!("{one} and {other} are one IPFIX element: leave one out, or write json alone")));
        }
    }
    Ok(())
}

/// Opens the rules' outputs.
///
/// # Errors
/// What cannot be opened.
pub(super) fn open(args: &Args, inputs: &[Source]) -> Result<Vec<Box<dyn Exporter>>, OpenError> {
    let wrong = |why: String| OpenError::Config(why);
    let options = options(args, inputs)?;
    let mut exporters: Vec<Box<dyn Exporter>> = Vec::new();
    for rule in numbered(args).map_err(wrong)? {
        let Written { config, filter, ipfix, ipfix_file, json, .. } = rule;
        let (name, template) = (config.name.clone(), config.template);
        let ready = Rule::new(config).map_err(|why| wrong(format!("--rule {name}: {why}")))?;
        let targets = ipfix.into_iter().chain(ipfix_file.map(Target::File));
        let mut to = Vec::new();
        for target in targets {
            let config = IpfixConfig { first_template: Some(template), ..base(args, options.as_ref(), target) };
            to.push(To::Ipfix(Box::new(IpfixExporter::open(config, unix_secs())?)));
        }
        to.extend(json.map(To::Json));
        let filter =
            filter.map(|text| compiled(&text).map_err(|_| wrong(format!("--rule {name}: filter")))).transpose()?;
        let filter = filter.map(|filter| Box::new(filter) as Box<_>);
        exporters.push(Box::new(RuleExporter::open(ready, filter, to)?));
    }
    Ok(exporters)
}

/// The rules, each with the id of its templates.
fn numbered(args: &Args) -> Result<Vec<Written>, String> {
    if args.output.rules.len() > RULES_MAX {
        return Err(format!("--rule: more than {RULES_MAX} rules"));
    }
    let mut rules = args.output.rules.clone();
    for (rule, n) in rules.iter_mut().zip(0..) {
        rule.config.template =
            rule.template.unwrap_or(TEMPLATE_FIRST + 2 * n).clamp(*TEMPLATE_IDS.start(), *TEMPLATE_IDS.end());
        rule.config.is_live = !args.input.interfaces.is_empty();
    }
    Ok(rules)
}
