//! Process plugins in a probe's file: which are on, and the tables of their options, whose keys the plugins declare.
use super::keys::{Key, plugins};
use super::{Given, Name, Reading, decimal, in_order};
use control::config::place::meant;
use dataplane::Face;
use dataplane::plugin::{PluginOption, Takes};
use dataplane::registry::{Layer, PluginId, Plugins};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A plugin's table.
pub(super) struct Options {
    plugin: PluginId,
    at: usize,
    words: Vec<String>,
}

/// Why a key that lists plugins does not take a name.
pub(super) fn refuses(key: &Key, name: &str) -> Option<Vec<String>> {
    let layer = key.layer()?;
    if let Some((plugin, _)) = name.split_once(';') {
        return Some(vec![format!("options of a plugin stand in its table, [process.{plugin}]")]);
    }
    let known = || plugins(layer).map(PluginId::name).chain(["all", "none"]);
    if known().any(|known| known == name) {
        return None;
    }
    Some(std::iter::once("there is no such plugin".into()).chain(meant(name, known())).collect())
}

impl Reading<'_> {
    /// A table of a plugin's options.
    pub(super) fn plugin(&mut self, name: &Name<'_>, table: &DeTable<'_>) {
        let at = name.span().start;
        let Some(plugin) = PluginId::from_name(name.get_ref()) else {
            self.fault(at, &format!("there is no plugin {}", name.get_ref()));
            let with_options = PluginId::ALL.iter().filter(|plugin| !plugin.options().is_empty());
            return self.wrong.lines.extend(meant(name.get_ref(), with_options.map(|plugin| plugin.name())));
        };
        let mut words = Vec::new();
        for (key, value) in in_order(table) {
            words.extend(self.option(plugin, key, value));
        }
        self.options.push(Options { plugin, at, words });
    }

    fn option(&mut self, plugin: PluginId, key: &Name<'_>, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let (name, known) = (key.get_ref().as_ref(), plugin.options());
        let Some(option) = known.iter().find(|option| option.long == name) else {
            self.fault(key.span().start, &format!("{} has no option {name}", plugin.name()));
            self.wrong.lines.extend(meant(name, known.iter().map(|option| option.long)));
            return None;
        };
        let at = value.span().start;
        let word = match word(option, value.get_ref()) {
            Ok(word) => word?,
            Err(why) => {
                self.fault(at, &why);
                return None;
            }
        };
        // As a lane will do, but with room for no flow.
        if let Err(why) = Plugins::default().enable(plugin, &[&word], Face::Native, 0) {
            self.fault(at, &format!("{}: {why}", plugin.name()));
        }
        Some(word)
    }

    /// Writes the options behind the plugins' names.
    pub(super) fn put_options(&mut self) {
        let keys = self.keys;
        for Options { plugin, at, words } in std::mem::take(&mut self.options) {
            let is_its = |key: &&Key| key.layer() == Some(plugin.layer());
            let Some(key) = keys.iter().find(is_its) else { continue };
            if !self.given.iter().any(|given| is_its(&given.key)) {
                let defaults = key.arg.get_default_values().iter();
                let values = defaults.map(|name| (at, name.to_string_lossy().into_owned())).collect();
                self.given.push(Given { key, at, values });
            }
            let of_layer = self.given.iter_mut().find(|given| is_its(&given.key));
            let Some(Given { values, .. }) = of_layer else { continue };
            let with_options = words.iter().fold(plugin.name().to_string(), |text, word| text + ";" + word);
            if let Some((_, name)) = values.iter_mut().find(|(_, name)| name == plugin.name()) {
                *name = with_options;
            } else if values.iter().any(|(_, name)| name == "all") {
                values.insert(0, (at, with_options));
            } else {
                let (name, key) = (plugin.name(), &key.name);
                self.fault(at, &format!("{name} is not on, so nobody reads its options: add \"{name}\" to {key}"));
            }
        }
    }
}

/// The option as a plugin reads it; none if it says what is so without it.
fn word(option: &PluginOption, value: &DeValue<'_>) -> Result<Option<String>, String> {
    let PluginOption { long, takes, .. } = option;
    match (takes, value) {
        (Takes::Switch { default }, DeValue::Boolean(on)) if on == default => Ok(None),
        (Takes::Switch { .. } | Takes::Naming(_), DeValue::Boolean(true)) => Ok(Some((*long).into())),
        (Takes::Switch { .. }, DeValue::Boolean(false)) => Ok(Some(format!("{long}=no"))),
        (Takes::Naming(_), DeValue::Boolean(false)) => Ok(None),
        (Takes::Naming(_), DeValue::String(text)) if text.contains([',', ';']) || text.is_empty() => {
            Err(format!("{long} = \"{text}\": a text without , and ; is possible"))
        }
        (Takes::Naming(_), DeValue::String(text)) => Ok(Some(format!("{long}={text}"))),
        (Takes::Number { least, most, .. }, DeValue::Integer(number)) => {
            let number = decimal(number).unwrap_or_default();
            let fits = number.parse().is_ok_and(|number: u32| (*least..=*most).contains(&number));
            let range = || format!("{long} = {number}: {least} to {most} are possible");
            if fits { Ok(Some(format!("{long}={number}"))) } else { Err(range()) }
        }
        (_, other) => {
            let expected = match takes {
                Takes::Switch { .. } => "true or false",
                Takes::Number { .. } => "an integer",
                Takes::Naming(_) => "true, false or a string",
            };
            Err(format!("{long} takes {expected}, not this {}", other.type_str()))
        }
    }
}

/// The plugins of both layers that have options.
pub(super) fn with_options() -> impl Iterator<Item = PluginId> {
    let layers = [Layer::L7, Layer::Stat].into_iter().flat_map(plugins);
    layers.filter(|plugin| !plugin.options().is_empty())
}
