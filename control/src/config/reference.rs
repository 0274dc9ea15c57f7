//! The schema of the TOML configuration and its commented reference, from the structures that read it. What makes a reference of a schema serves
//! other files, too.
use super::native::File;
use serde_json::{Map, Value};
use std::fmt::Write;

/// The JSON Schema (draft 2020-12) of a configuration file, for editors and checkers.
#[must_use]
pub fn schema() -> String {
    let mut text = serde_json::to_string_pretty(&schemars::schema_for!(File)).unwrap_or_default();
    text.push('\n');
    text
}

/// Whether a text has a table of the supervisor's configuration.
#[must_use]
pub fn has_table(text: &str) -> bool {
    let (root, _) = toml::de::DeTable::parse_recoverable(text);
    let schema = schemars::schema_for!(File).to_value();
    root.get_ref().keys().any(|name| properties(&schema).any(|(table, _)| table == name.get_ref()))
}

/// A configuration file with every key, each with what it means; a key that may be left out stands behind `#` with its default or an
/// example. It is valid as it is.
#[must_use]
pub fn commented() -> String {
    let head = "# Every key of the supervisor's configuration. Made by `cargo xtask docs` from the code that reads it.\n\
                # `sonda check FILE` says what is wrong with a file.\n";
    commented_of(head, &schemars::schema_for!(File).to_value())
}

/// A file with every key of a schema whose properties are tables, and maybe tables in those. A table may ask for one of several keys
/// (`anyOf`): the first of them is no comment, as all that are required.
#[must_use]
pub fn commented_of(head: &str, root: &Value) -> String {
    let mut text = String::from(head);
    for (name, property) in properties(root) {
        let of = referred(root, property);
        comment(&mut text, property);
        let is_list = property.get("type").and_then(Value::as_str) == Some("array");
        let required = of.get("required").or_else(|| of.pointer("/anyOf/0/required"));
        let required: Vec<&str> =
            required.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        // A list whose tables ask for no key by itself is there for who wants it.
        let mark = if is_list && required.is_empty() { "# " } else { "" };
        let header = if is_list { format!("[[{name}]]") } else { format!("[{name}]") };
        let _never = writeln!(text, "{mark}{header}");
        let is_table = |value: &Value| value.get("properties").is_some();
        for (key, value) in properties(of).filter(|(_, value)| !is_table(value)) {
            key_line(&mut text, key, value, required.contains(&key.as_str()));
        }
        for (table, inner) in properties(of).filter(|(_, value)| is_table(value)) {
            comment(&mut text, inner);
            let _never = writeln!(text, "# [{name}.{table}]");
            properties(inner).for_each(|(key, value)| key_line(&mut text, key, value, false));
        }
    }
    text
}

fn key_line(text: &mut String, key: &str, value: &Value, is_required: bool) {
    text.push('\n');
    comment_key(text, value);
    let shown = value.get("default").filter(|default| is_shown(default)).or_else(|| value.get("examples")?.get(0));
    let mark = if is_required { "" } else { "# " };
    let _never = writeln!(text, "{mark}{key} = {}", shown.unwrap_or(&Value::Null));
}

/// An empty default says nothing; an example does.
fn is_shown(default: &Value) -> bool {
    !default.is_null() && default.as_array().is_none_or(|list| !list.is_empty())
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

/// The definition that a property, its items or one of its alternatives refers to, or the items themselves.
fn referred<'a>(root: &'a Value, property: &'a Value) -> &'a Value {
    let direct = [Some(property), property.get("items")];
    let any = property.get("anyOf").and_then(Value::as_array).into_iter().flatten();
    let mut links = direct.into_iter().flatten().chain(any).filter_map(|schema| schema.get("$ref")?.as_str());
    let found = links.next().and_then(|link| root.pointer(link.trim_start_matches('#')));
    let inline = property.get("items").filter(|items| items.get("properties").is_some());
    found.or(inline).unwrap_or(property)
}

fn comment(text: &mut String, schema: &Value) {
    let said = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let _never = writeln!(text, "\n# {}", said.replace('\n', "\n# "));
}

fn comment_key(text: &mut String, schema: &Value) {
    let said = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    let range =
        bound("minimum").zip(bound("maximum")).map_or(String::new(), |(least, most)| format!(" {least} to {most}."));
    let _never = writeln!(text, "# {}{range}", said.replace('\n', " "));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::native;

    /// With all optional keys switched on it is read, too, so that no example lies.
    #[test]
    fn the_reference_is_a_configuration() {
        let text = commented();
        native::parse(&[("reference.toml".into(), text.clone())]).expect("as it is");
        let lines = text.lines().map(|line| match line.strip_prefix("# ") {
            Some(key)
                if key
                    .split_once(" = ")
                    .is_some_and(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')) =>
            {
                key
            }
            _ => line,
        });
        let all: Vec<&str> = lines.collect();
        let all = all.join("\n").replace("[\"flow_meter\"]", "[]");
        let why = native::parse(&[("reference.toml".into(), all)]);
        let config = why.expect("with every key");
        assert!(config.modules().all(|(_, module)| module.params.as_deref() == Some("-v")));
    }
}
