//! The keys of a probe's file: the options of the command line, under the headings of its help.
use crate::probe::Args;
use clap::builder::ValueParser;
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Command, CommandFactory};
use control::config::place::meant;
use dataplane::registry::{Layer, PluginId};
use std::any::TypeId;
use std::error::Error;

/// What a key is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Switch,
    Number,
    Text,
    /// An array of texts.
    List,
}

impl Kind {
    /// For messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Switch => "true or false",
            Kind::Number => "an integer",
            Kind::Text => "a string",
            Kind::List => "an array of strings",
        }
    }
}

/// A key, and the option that it stands for.
pub(super) struct Key {
    pub(super) table: String,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) arg: Arg,
}

/// The option whose values are tables of their own, `[[rule]]`.
pub(super) const RULE: &str = "rule";

/// All keys in the order of help: each option that has a heading, which is its table.
pub(super) fn keys() -> Vec<Key> {
    let command = Args::command();
    let key = |arg: &Arg| {
        // A rule is a table.
        if arg.get_id() == RULE {
            return None;
        }
        let table = arg.get_help_heading()?.to_lowercase();
        let name = arg.get_long().unwrap_or(arg.get_id().as_str()).replace('-', "_");
        let kind = match arg.get_action() {
            ArgAction::SetTrue => Kind::Switch,
            ArgAction::Append => Kind::List,
            _ if is_number(arg.get_value_parser()) => Kind::Number,
            _ => Kind::Text,
        };
        Some(Key { table, name, kind, arg: arg.clone() })
    };
    command.get_arguments().filter_map(key).collect()
}

fn is_number(parser: &ValueParser) -> bool {
    [TypeId::of::<u16>(), TypeId::of::<u32>(), TypeId::of::<u64>()].iter().any(|id| parser.type_id() == *id)
}

impl Key {
    /// The plugins that the key chooses from, if it does.
    pub(super) fn layer(&self) -> Option<Layer> {
        match self.name.as_str() {
            "l7" => Some(Layer::L7),
            "stats" => Some(Layer::Stat),
            _ => None,
        }
    }

    /// The words of the command line for a value; those of files stand behind all others.
    pub(super) fn word(&self, value: &str) -> String {
        match (self.arg.get_long(), self.kind) {
            (Some(long), Kind::Switch) => format!("--{long}"),
            (Some(long), _) => format!("--{long}={value}"),
            (None, _) => value.into(),
        }
    }

    /// Why the option does not take a value, in one or two lines.
    pub(super) fn refuses(&self, value: &str) -> Option<Vec<String>> {
        if self.kind == Kind::Number && value.starts_with('-') {
            return Some(vec!["no number below 0 is possible".into()]);
        }
        // By itself: what other options it needs is another question.
        let parser = self.arg.get_value_parser().clone();
        let alone = Arg::new("it").long("it").value_parser(parser).action(ArgAction::Set);
        let tried = Command::new("").arg(alone).try_get_matches_from(["", &format!("--it={value}")]);
        let why = tried.err()?;
        if let Some(ContextValue::Strings(known)) = why.get(ContextKind::ValidValue)
            && !known.is_empty()
        {
            let one = format!("one of {} is possible", known.join(", "));
            return Some(std::iter::once(one).chain(meant(value, known.iter().map(String::as_str))).collect());
        }
        Some(vec![why.source().map_or_else(|| "a value is missing".into(), ToString::to_string)])
    }
}

/// Plugins of a layer that have a name.
pub(super) fn plugins(layer: Layer) -> impl Iterator<Item = PluginId> {
    PluginId::ALL.iter().copied().filter(move |plugin| plugin.layer() == layer)
}

/// A message that names options, for somebody who reads keys.
pub(super) fn reworded(keys: &[Key], message: &str) -> String {
    let mut longs: Vec<(String, &str)> =
        keys.iter().filter_map(|key| Some((format!("--{}", key.arg.get_long()?), key.name.as_str()))).collect();
    longs.sort_by_key(|(long, _)| std::cmp::Reverse(long.len()));
    longs.iter().fold(message.to_string(), |text, (long, name)| text.replace(long, name))
}
