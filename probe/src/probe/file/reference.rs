//! The JSON Schema of a probe's file and its commented reference, from the declared options.
use super::keys::{Key, Kind, RULE, keys, plugins, reworded};
use super::plugins::with_options;
use crate::probe::rules;
use control::config::reference::commented_of;
use dataplane::plugin::{PluginOption, Takes};
use dataplane::registry::PluginId;
use serde_json::{Map, Value, json};

/// What stands in each table.
const TABLES: &[(&str, &str)] = &[
    ("input", "Where packets come from: files, or interfaces until the run is ended."),
    ("storage", "The flow cache."),
    ("process", "What is read of packets. A plugin's options stand in a table of its own below; it must be on."),
    ("output", "Where flows go; without any key of an output a table is printed."),
    ("telemetry", "What the run tells about itself."),
    ("privileges", "What a live run keeps of its rights."),
];

/// What keys without a default may be set to.
const EXAMPLES: &[(&str, &str)] = &[
    ("files", r#"["capture.pcap"]"#),
    ("interface", r#"["eth0"]"#),
    ("duration", "3600"),
    ("prefilter", r#""drop net 10.0.0.0/8; pass port 22""#),
    ("af_xdp", r#""zero-copy=never,spread=flows""#),
    ("rss", r#""symmetric""#),
    ("snaplen", "256"),
    ("ring", "128"),
    ("filter", r#""tcp port 443""#),
    ("dedup", "1000"),
    ("sample", r#""10:flow""#),
    ("timeout", r#""tcp=60,tcp-closed=2,udp=10""#),
    ("cpus", r#""0,1""#),
    ("ipfix", r#"["tcp://collector.example"]"#),
    ("spool", r#""/var/spool/sonda""#),
    ("tls_ca", r#""/etc/sonda/ca.pem""#),
    ("tls_cert", r#""/etc/sonda/probe.pem""#),
    ("tls_key", r#""/etc/sonda/probe.key""#),
    ("tls_name", r#""collector.example""#),
    ("ipfix_file", r#""flows.ipfix""#),
    ("netflow", r#"["v9://collector.example:2055"]"#),
    ("unirec", r#"["u:flows", "dns=u:dns"]"#),
    ("json", r#""flows.json""#),
    ("kafka", r#"["kafka.example:9092/flows?compression.type=zstd"]"#),
    ("name", r#""uplink""#),
    ("user", r#""sonda""#),
];

/// A file with every key, each with what it means. It is valid as it is, and reads capture.pcap.
pub(crate) fn commented() -> String {
    let head = "# Every key of `sonda probe -c FILE`. Made by `cargo xtask docs` from the options of the command line; docs/probe.md has examples.\n\
                # `sonda check FILE` says what is wrong with a file.\n";
    commented_of(head, &value())
}

/// The JSON Schema (draft 2020-12) of the file, for editors and checkers.
pub(crate) fn schema() -> String {
    let mut text = serde_json::to_string_pretty(&value()).unwrap_or_default();
    text.push('\n');
    text
}

fn value() -> Value {
    let keys = keys();
    let mut tables = Map::new();
    for key in &keys {
        let about = TABLES.iter().find(|(name, _)| *name == key.table).map_or("", |(_, about)| about);
        let table = tables.entry(key.table.as_str()).or_insert_with(|| table(about, Map::new()));
        table["properties"][&key.name] = property(&keys, key);
    }
    for plugin in with_options() {
        let options = plugin.options().iter().map(|option| (option.long.to_string(), of_option(option))).collect();
        let about = format!("Options of {}.", plugin.name());
        tables["process"]["properties"][plugin.name()] = table(&about, options);
    }
    tables.insert(RULE.into(), rules::keys::schema());
    tables["input"]["anyOf"] = json!([{"required": ["files"]}, {"required": ["interface"]}]);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Probe",
        "description": "Options of a probe: `sonda probe -c FILE`.",
        "type": "object",
        "properties": tables,
        "required": ["input"],
        "additionalProperties": false,
    })
}

fn table(about: &str, properties: Map<String, Value>) -> Value {
    json!({"description": about, "type": "object", "properties": properties, "additionalProperties": false})
}

fn property(keys: &[Key], key: &Key) -> Value {
    let help = key.arg.get_help().map(ToString::to_string).unwrap_or_default().replace('\n', " ");
    let help = match key.layer() {
        Some(_) => help.split(';').next().unwrap_or_default().to_string(),
        None => reworded(keys, &help),
    };
    let words: Vec<String> = key.arg.get_possible_values().iter().map(|value| value.get_name().to_string()).collect();
    let words = if key.kind == Kind::Text { words } else { Vec::new() };
    let one_of = if words.is_empty() { String::new() } else { format!(" One of {}.", words.join(", ")) };
    let mut of = json!({"description": sentence(&help) + &one_of});
    match key.kind {
        Kind::Switch => of["type"] = "boolean".into(),
        Kind::Text if words.is_empty() => of["type"] = "string".into(),
        Kind::Text => of["enum"] = words.into(),
        Kind::List => {
            of["type"] = "array".into();
            of["items"] = json!({"type": "string"});
            if let Some(layer) = key.layer() {
                let names: Vec<&str> = plugins(layer).map(PluginId::name).chain(["all", "none"]).collect();
                of["items"]["enum"] = names.into();
            }
        }
        Kind::Number => {
            of["type"] = "integer".into();
            let (least, most) = range(key);
            of["minimum"] = least.into();
            // What ends with its type has no bound of its own.
            if ![u16::MAX.into(), u32::MAX.into(), i64::MAX as u64].contains(&most) {
                of["maximum"] = most.into();
            }
        }
    }
    let mut defaults = key.arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned());
    let default = match key.kind {
        Kind::Switch => Some(false.into()),
        Kind::Number => defaults.next().and_then(|text| text.parse::<u64>().ok()).map(Value::from),
        Kind::Text => defaults.next().map(Value::from),
        Kind::List => Some(defaults.collect::<Vec<String>>()).filter(|list| !list.is_empty()).map(Value::from),
    };
    match default {
        Some(default) => of["default"] = default,
        None => {
            let example = EXAMPLES.iter().find(|(name, _)| *name == key.name);
            of["examples"] = Value::from_iter(example.and_then(|(_, text)| serde_json::from_str::<Value>(text).ok()));
        }
    }
    of
}

fn of_option(option: &PluginOption) -> Value {
    let about = sentence(option.about);
    match option.takes {
        Takes::Switch { default } => json!({"description": about, "type": "boolean", "default": default}),
        Takes::Number { least, most, default } => {
            json!({"description": about, "type": "integer", "minimum": least, "maximum": most, "default": default})
        }
        Takes::Naming(_) => json!({"description": about, "type": ["boolean", "string"], "default": false}),
    }
}

/// Help has no full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.trim().trim_end_matches('.').chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).chain(['.']).collect())
}

/// The numbers that an option takes, which form one range: its ends are found by asking it. A number of TOML ends with 63 bits.
fn range(key: &Key) -> (u64, u64) {
    let takes = |number: u64| key.refuses(&number.to_string()).is_none();
    let Some(some) = (0..63).map(|bit| 1 << bit).find(|number| takes(*number)) else { return (0, 0) };
    let edge = |mut inside: u64, mut outside: u64| {
        while inside.abs_diff(outside) > 1 {
            let middle = inside.midpoint(outside);
            if takes(middle) { inside = middle } else { outside = middle }
        }
        inside
    };
    let least = if takes(0) { 0 } else { edge(some, 0) };
    let most = if takes(i64::MAX as u64) { i64::MAX as u64 } else { edge(some, i64::MAX as u64) };
    (least, most)
}
