//! Two readings of one capture, flow by flow and field by field, as multisets.
use crate::support::{flows, tools};
use crate::table::{ASKED, FIELDS, Field, Frame, Keep};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What is in one reading of a field only.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) field: &'static str,
    /// tshark has it and we have not.
    pub(crate) missing: Vec<String>,
    /// We have it and tshark has not.
    pub(crate) extra: Vec<String>,
}

/// A biflow: protocol and both ends in order, so that all records of it are one.
type Key = String;

/// The values of a field by flow, in the order in which they were said.
type Values = BTreeMap<Key, Vec<String>>;

/// How many values tshark has in a capture, and where we differ.
pub(crate) fn of(capture: &Path) -> (usize, Vec<Difference>) {
    let (ours, theirs) = (ours(capture), theirs(capture));
    let mut compared = 0;
    let mut differences = Vec::new();
    for (at, field) in FIELDS.iter().enumerate() {
        compared += theirs[at].values().map(Vec::len).sum::<usize>();
        let mut difference = Difference { field: field.name, missing: Vec::new(), extra: Vec::new() };
        let keys: BTreeSet<&Key> = ours[at].keys().chain(theirs[at].keys()).collect();
        for key in keys {
            let kept = |values: &Values| field.kept(values.get(key).cloned().unwrap_or_default());
            let (we, they) = (kept(&ours[at]), kept(&theirs[at]));
            difference.missing.extend(without(&they, &we));
            difference.extra.extend(without(&we, &they));
        }
        if !difference.missing.is_empty() || !difference.extra.is_empty() {
            differences.push(difference);
        }
    }
    (compared, differences)
}

impl Field {
    fn kept(&self, mut values: Vec<String>) -> Vec<String> {
        for value in &mut values {
            let mut end = value.len().min(self.bound);
            while !value.is_char_boundary(end) {
                end -= 1;
            }
            value.truncate(end);
        }
        match self.keep {
            Keep::First => values.truncate(1),
            Keep::All | Keep::Distinct => values.sort(),
        }
        if self.keep == Keep::Distinct {
            values.dedup();
        }
        values
    }
}

/// The elements of a multiset that are not in another.
fn without(these: &[String], those: &[String]) -> Vec<String> {
    let mut left = those.to_vec();
    let taken = these.iter().filter(|value| match left.iter().position(|other| other == *value) {
        Some(at) => {
            left.swap_remove(at);
            false
        }
        None => true,
    });
    taken.cloned().collect()
}

fn ours(capture: &Path) -> Vec<Values> {
    let mut all = vec![Values::new(); FIELDS.len()];
    let mut flows = flows(capture, &["--l7", "all"]);
    flows.sort_by_key(|flow| flow["time_first"].as_str().map(String::from));
    for flow in flows {
        let end = |side: &str| {
            let ip = flow[format!("{side}_ip")].as_str().unwrap_or_default();
            (ip.to_string(), flow[format!("{side}_port")].as_u64().unwrap_or_default().to_string())
        };
        let key = key(&flow["protocol"].to_string(), end("src"), end("dst"));
        for (field, values) in FIELDS.iter().zip(&mut all) {
            let records: &[Value] = match &flow[field.plugin] {
                Value::Null => &[],
                Value::Array(several) => several,
                one => std::slice::from_ref(one),
            };
            values.entry(key.clone()).or_default().extend(records.iter().flat_map(field.ours));
        }
    }
    all
}

/// Between values of a field, where there are several.
const BETWEEN: char = '\u{1e}';

fn theirs(capture: &Path) -> Vec<Values> {
    let aggregator = format!("aggregator={BETWEEN}");
    let args = ["-E", "occurrence=a", "-E", &aggregator, "-o", "tcp.reassemble_out_of_order:TRUE"];
    // Frames that were sent again are not read twice.
    let analysis = ["-o", "tcp.analyze_sequence_numbers:TRUE", "-o", "tcp.desegment_tcp_streams:TRUE"];
    let mut all = vec![Values::new(); FIELDS.len()];
    for line in tools::tshark_fields(capture, &[&args[..], &analysis].concat(), &ASKED).lines() {
        let values = line.split('\t').map(|v| v.split(BETWEEN).filter(|v| !v.is_empty()).collect());
        let frame = Frame(values.collect());
        let Some(key) = key_of(&frame) else { continue };
        for (field, values) in FIELDS.iter().zip(&mut all) {
            values.entry(key.clone()).or_default().extend((field.theirs)(&frame));
        }
    }
    all
}

/// By the innermost addresses and ports. An error of ICMP quotes a packet, which is counted where it was sent.
fn key_of(frame: &Frame<'_>) -> Option<Key> {
    if frame.has("icmp") || frame.has("icmpv6") {
        return None;
    }
    let (layer, number) = if frame.has("tcp") { ("tcp", "6") } else { ("udp", "17") };
    let layers: Vec<&str> = frame.all("frame.protocols").first()?.split(':').collect();
    let ip = *layers.iter().rfind(|layer| ["ip", "ipv6"].contains(*layer))?;
    let end = |side: &str| {
        let address = frame.all(&format!("{ip}.{side}")).last()?;
        let port = frame.all(&format!("{layer}.{side}port")).last()?;
        Some((address.to_string(), port.to_string()))
    };
    Some(key(number, end("src")?, end("dst")?))
}

fn key(protocol: &str, a: (String, String), b: (String, String)) -> Key {
    let (first, second) = if a <= b { (a, b) } else { (b, a) };
    format!("{protocol} {} {} {} {}", first.0, first.1, second.0, second.1)
}
