//! `stix: {path: FILE or FOLDER}`: the message as a STIX 2.1 bundle, one a line or one a file (ours).
//!
//! A bundle has who says it (identity), what was seen (observed-data with addresses, names and URLs of both sides), the sources as a
//! pattern (indicator) and that it was met (sighting); the whole message stands in `x_idea` of the observed data.
use super::file::{Folder, append};
use super::{Act, Flow, Scene, Setup};
use crate::report::config::Section;
use crate::report::{idea, jpath, time};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

/// Objects of a message's sides, at the most.
const OBJECTS_MAX: usize = 1_000;

struct Stix {
    path: PathBuf,
    is_folder: bool,
}

pub(super) fn read(section: &Section, _setup: &mut Setup<'_>) -> Result<Box<dyn Act>, String> {
    let path = PathBuf::from(section.need("path")?);
    let is_folder = fs::metadata(&path).is_ok_and(|found| found.is_dir());
    Ok(Box::new(Stix { path, is_folder }))
}

impl Act for Stix {
    fn run(&mut self, message: &mut Value, _scene: &mut Scene<'_>) -> Result<Flow, String> {
        let mut text = bundle(message).to_string();
        let written = if self.is_folder {
            Folder { path: self.path.clone(), temporary: None }.put_as(message, "json", &text)
        } else {
            text.push('\n');
            append(&self.path, &text)
        };
        written.map(|()| Flow::GoOn).map_err(|why| format!("cannot write to {}: {why}", self.path.display()))
    }
}

/// The bundle of a message.
pub(crate) fn bundle(message: &Value) -> Value {
    let made = |kind: &str| format!("{kind}--{}", idea::id());
    let text = |path: &str| values(message, path).into_iter().next();
    let moment = |names: [&str; 3]| {
        let micros = names.into_iter().find_map(|name| message.get(name)?.as_str().and_then(time::parse));
        let secs = micros.map(|micros| micros.div_euclid(1_000_000));
        secs.map_or_else(time::now, |secs| time::of_float(secs as f64))
    };
    let created = moment(["CreateTime", "DetectTime", "EventTime"]);
    let first = moment(["EventTime", "DetectTime", "CreateTime"]);
    // Times of a range may be equal, not reversed.
    let last = moment(["CeaseTime", "DetectTime", "CreateTime"]).max(first.clone());
    let common = |kind: &str, who: Option<&str>| {
        let mut object =
            json!({"type": kind, "spec_version": "2.1", "id": made(kind), "created": created, "modified": created});
        if let Some(who) = who {
            object["created_by_ref"] = who.into();
        }
        object
    };
    let mut identity = common("identity", None);
    idea::extend(
        &mut identity,
        json!({"name": text("Node[1].Name").unwrap_or_else(|| "sonda".into()), "identity_class": "system"}),
    );
    let who = identity["id"].as_str().unwrap_or_default().to_owned();
    let (seen, patterns) = observables(message);
    let mut objects = vec![identity];
    if !seen.is_empty() {
        let refs: Vec<_> = seen.iter().map(|object| object["id"].clone()).collect();
        let mut observed = common("observed-data", Some(&who));
        let count = message.get("ConnCount").or(message.get("FlowCount")).and_then(Value::as_u64).unwrap_or(1);
        idea::extend(
            &mut observed,
            json!({
                "first_observed": first, "last_observed": last, "number_observed": count.clamp(1, 999_999_999), "object_refs": refs,
                "x_idea": message,
            }),
        );
        let observed_id = observed["id"].clone();
        objects.extend(seen);
        objects.push(observed);
        if !patterns.is_empty() {
            let mut indicator = common("indicator", Some(&who));
            let name = text("Description").unwrap_or_else(|| values(message, "Category").join(", "));
            idea::extend(
                &mut indicator,
                json!({
                    "name": name, "labels": values(message, "Category"), "indicator_types": ["malicious-activity"],
                    "pattern": format!("[{}]", patterns.join(" OR ")), "pattern_type": "stix", "valid_from": first,
                }),
            );
            if let Some(note) = text("Note") {
                indicator["description"] = note.into();
            }
            let mut sighting = common("sighting", Some(&who));
            idea::extend(
                &mut sighting,
                json!({
                    "first_seen": first, "last_seen": last, "sighting_of_ref": indicator["id"], "observed_data_refs": [observed_id],
                    "where_sighted_refs": [who],
                }),
            );
            objects.extend([indicator, sighting]);
        }
    }
    json!({"type": "bundle", "id": made("bundle"), "objects": objects})
}

/// Addresses, names and URLs of both sides as objects, and those of the sources as comparisons of a pattern.
fn observables(message: &Value) -> (Vec<Value>, Vec<String>) {
    const KINDS: [(&str, &str); 4] =
        [("IP4", "ipv4-addr"), ("IP6", "ipv6-addr"), ("Hostname", "domain-name"), ("URL", "url")];
    let (mut objects, mut patterns) = (Vec::new(), Vec::new());
    for side in ["Source", "Target"] {
        for (member, kind) in KINDS {
            for value in values(message, &format!("{side}.{member}")) {
                if objects.len() == OBJECTS_MAX {
                    return (objects, patterns);
                }
                if side == "Source" {
                    let quoted = value.replace('\\', "\\\\").replace('\'', "\\'");
                    patterns.push(format!("{kind}:value = '{quoted}'"));
                }
                let id = format!("{kind}--{}", idea::id());
                objects.push(json!({"type": kind, "spec_version": "2.1", "id": id, "value": value}));
            }
        }
    }
    (objects, patterns)
}

/// Texts at a path.
fn values(message: &Value, path: &str) -> Vec<String> {
    let found = jpath::Path::parse(path).map(|path| path.values(message)).unwrap_or_default();
    found.into_iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_a_bundle_whose_references_hold() {
        let message = json!({
            "ID": "x", "CreateTime": "2023-01-02T10:20:00Z", "DetectTime": "2023-01-02T10:15:30Z", "EventTime": "2023-01-02T10:15:00.5Z",
            "Category": ["Recon.Scanning"], "Description": "Scan", "FlowCount": 3, "Node": [{"Name": "a.b"}],
            "Source": [{"IP4": ["192.0.2.1"], "URL": ["http://x/'y"]}], "Target": [{"IP6": ["::1"]}],
        });
        let bundle = bundle(&message);
        let objects = bundle["objects"].as_array().unwrap();
        let kinds: Vec<_> = objects.iter().map(|object| object["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["identity", "ipv4-addr", "url", "ipv6-addr", "observed-data", "indicator", "sighting"]);
        assert_eq!(objects[5]["pattern"], r"[ipv4-addr:value = '192.0.2.1' OR url:value = 'http://x/\'y']");
        assert_eq!(
            (&objects[4]["first_observed"], &objects[4]["last_observed"]),
            (&json!("2023-01-02T10:15:00Z"), &json!("2023-01-02T10:15:30Z"))
        );
        let ids: Vec<_> = objects.iter().map(|object| &object["id"]).collect();
        assert!(objects[4]["object_refs"].as_array().unwrap().iter().all(|id| ids.contains(&id)));
        assert!(
            ids.contains(&&objects[6]["sighting_of_ref"]) && objects[6]["observed_data_refs"][0] == objects[4]["id"]
        );
        assert!(
            objects
                .iter()
                .all(|o| o["id"].as_str().unwrap().starts_with(&format!("{}--", o["type"].as_str().unwrap())))
        );
        assert_eq!(super::bundle(&json!({}))["objects"].as_array().unwrap().len(), 1);
    }
}
