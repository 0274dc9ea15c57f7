//! The keys of a rule, declared once: what is read, what is refused, the schema and the reference come from here.
use super::Fault;
use control::config::place::meant;
use dataplane::export::rule::{ENTRIES_MAX, TEMPLATE_IDS, VALUES};
use serde_json::{Map, Value, json};
use toml::Spanned;
use toml::de::DeValue;

/// Defaults.
pub(super) const ACTIVE: u64 = 300;
pub(super) const INACTIVE: u64 = 60;
pub(super) const ENTRIES: u64 = 65_536;
/// The words of `direction`.
const BIFLOW: &str = "biflow";
pub(super) const EACH: &str = "each";

pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) takes: Takes,
    about: &'static str,
    /// What it is without being said, or in the reference, as JSON.
    shown: Shown,
}

enum Shown {
    Default(&'static str),
    Example(&'static str),
    /// The values of a rule that names none.
    Values,
}

pub(super) enum Takes {
    Text,
    Switch,
    Words,
    Number { least: u64, most: u64 },
    OneOf(&'static [&'static str]),
}

/// Seconds of a timeout at the most: longer than any run.
const SECS_MAX: u64 = 1 << 32;

const fn key(name: &'static str, takes: Takes, about: &'static str, shown: Shown) -> Key {
    Key { name, takes, about, shown }
}

pub(super) const KEYS: &[Key] = &[
    key("name", Takes::Text, "What messages, the summary and the metrics call it", Shown::Example(r#""networks""#)),
    key(
        "key",
        Takes::Words,
        "Fields by which flows are one: names of docs/fields.md (JSON, UniRec or IPFIX), addresses with the bits that are kept \
         (sourceIPv4Address/24, SRC_IP/24/64), ports with :class (0, 1024, 49152) or, of the destination, :service (the lower of the two)",
        Shown::Example(r#"["SRC_IP/24/64", "DST_PORT:service", "PROTOCOL"]"#),
    ),
    key(
        "values",
        Takes::Words,
        "What is said of the flows together: flows, counters, times and flags by their names, of others max(FIELD), min, sum, or, first and last",
        Shown::Values,
    ),
    key(
        "aggregate",
        Takes::Switch,
        "Join flows; without it each flow is a record of the fields, under a template of its own",
        Shown::Default("true"),
    ),
    key(
        "fields",
        Takes::Words,
        "With aggregate = false, the fields of each record, named as in key",
        Shown::Example(r#"["SRC_IP", "DST_IP", "BYTES"]"#),
    ),
    key(
        "direction",
        Takes::OneOf(&[BIFLOW, EACH]),
        "biflow: a flow counts once, its source is who began, and values have both directions. each: either direction is a flow by itself",
        Shown::Default(r#""biflow""#),
    ),
    key(
        "filter",
        Takes::Text,
        "Only flows for which this is true, in the language of unirecfilter with UniRec names; it sees the biflow",
        Shown::Example(r#""PROTOCOL == TCP && BYTES > 1000""#),
    ),
    key(
        "active",
        Takes::Number { least: 1, most: SECS_MAX },
        "Seconds after which an aggregate is sent and begins anew",
        Shown::Default("300"),
    ),
    key(
        "inactive",
        Takes::Number { least: 1, most: SECS_MAX },
        "Seconds without a flow after which it is sent",
        Shown::Default("60"),
    ),
    key(
        "entries",
        Takes::Number { least: 1, most: ENTRIES_MAX as u64 },
        "Aggregates at a time; past them the one that was quiet longest is sent early, which is counted",
        Shown::Default("65536"),
    ),
    key(
        "template",
        Takes::Number { least: *TEMPLATE_IDS.start() as u64, most: *TEMPLATE_IDS.end() as u64 },
        "Id of its IPFIX template, the same in each run; the next one is that of IPv6. Without it 10000 and on in the order of the rules",
        Shown::Example("300"),
    ),
    key(
        "ipfix",
        Takes::Words,
        "Send IPFIX to these, each [udp://|tcp://|tls://|dtls://]HOST[:PORT]",
        Shown::Example(r#"["udp://127.0.0.1:4739"]"#),
    ),
    key("ipfix_file", Takes::Text, "Write IPFIX messages to a file", Shown::Example(r#""networks.ipfix""#)),
    key("json", Takes::Text, "Write JSON lines to a file, - is standard output", Shown::Example(r#""networks.json""#)),
];

/// An integer of TOML that is not below 0.
pub(super) fn number(value: &DeValue<'_>) -> Option<u64> {
    let number = value.as_integer()?;
    i64::from_str_radix(number.as_str(), number.radix()).ok()?.try_into().ok()
}

impl Takes {
    /// What is wrong with a value, if it is of another type or out of bounds.
    pub(super) fn refuses(&self, name: &str, value: &Spanned<DeValue<'_>>) -> Option<Fault> {
        let at = value.span().start;
        let of = value.get_ref();
        let fits = match self {
            Takes::Text | Takes::OneOf(_) => of.as_str().is_some(),
            Takes::Switch => of.as_bool().is_some(),
            Takes::Words => of.as_array().is_some_and(|list| list.iter().all(|item| item.get_ref().as_str().is_some())),
            Takes::Number { .. } => of.as_integer().is_some(),
        };
        if !fits {
            return Some(Fault::new(at, format!("{name} takes {}, not this {}", self.words(), of.type_str())));
        }
        match (self, of.as_str()) {
            (Takes::Number { least, most }, _) => {
                let fits = number(of).is_some_and(|number| (*least..=*most).contains(&number));
                (!fits).then(|| Fault::new(at, format!("{name}: use {least} to {most}")))
            }
            (Takes::OneOf(words), Some(word)) if !words.contains(&word) => {
                let why = format!("{name} = \"{word}\": one of {} is possible", words.join(", "));
                Some(Fault { at, why, meant: meant(word, words.iter().copied()) })
            }
            _ => None,
        }
    }

    fn words(&self) -> &'static str {
        match self {
            Takes::Text | Takes::OneOf(_) => "a string",
            Takes::Switch => "true or false",
            Takes::Words => "an array of strings",
            Takes::Number { .. } => "an integer",
        }
    }
}

/// `[[rule]]` in the JSON Schema of the file.
pub(in crate::probe) fn schema() -> Value {
    let properties: Map<String, Value> = KEYS.iter().map(|key| (key.name.to_string(), key.schema())).collect();
    json!({
        "description": "Flows joined or sent with chosen fields, to outputs of their own (docs/aggregation.md); as many rules as there are tables.",
        "type": "array",
        "items": {
            "type": "object",
            "properties": properties,
            "allOf": [{"required": ["name"]}, one_of(&["key", "fields"]), one_of(&["ipfix", "ipfix_file", "json"])],
            "additionalProperties": false,
        },
    })
}

fn one_of(names: &[&str]) -> Value {
    let required: Vec<Value> = names.iter().map(|name| json!({"required": [name]})).collect();
    json!({"anyOf": required})
}

impl Key {
    fn schema(&self) -> Value {
        let mut of = match &self.takes {
            Takes::Text => json!({"type": "string"}),
            Takes::Switch => json!({"type": "boolean"}),
            Takes::Words => json!({"type": "array", "items": {"type": "string"}}),
            Takes::Number { least, most } => json!({"type": "integer", "minimum": least, "maximum": most}),
            Takes::OneOf(words) => json!({"enum": words}),
        };
        of["description"] = format!("{}.", self.about).into();
        let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
        match self.shown {
            Shown::Default(text) => of["default"] = parsed(text),
            Shown::Example(text) => of["examples"] = json!([parsed(text)]),
            Shown::Values => of["default"] = json!(VALUES),
        }
        of
    }
}
