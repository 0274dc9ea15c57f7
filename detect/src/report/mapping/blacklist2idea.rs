//! blacklist2idea: messages of blacklist_aggregator (or the adaptive filter) about traffic with hosts and names on blacklists.
use crate::argparse::long_value;
use crate::blacklist::catalog::{self, Catalog, Kind, List};
use crate::report::{Converted, Given, Refused, Reporter, idea, main as report, messages, time, with};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::Path;

/// One line for lists of modules.
pub const ABOUT: &str = "Reports messages of blacklist_aggregator as IDEA.";
const PARAMS: [trap::module::Param; 10] = with([long_value(
    "blacklist-config",
    "string",
    "Catalog of blacklists (default /etc/nemea/blacklistfilter/bl_downloader_config.xml).",
)]);
const REPORTER: Reporter = Reporter { name: "blacklist2idea", module: "blacklist", about: ABOUT, params: &PARAMS };

/// Types of the listed side and of those that it talked to, by category.
const CLASSES: &[(&str, &[&str], &[&str])] = &[
    ("Intrusion.Botnet", &["CC", "Botnet"], &["Botnet"]),
    ("Suspicious.Miner", &["PoolServer"], &["Miner"]),
    ("Suspicious.Booter", &["Booter"], &[]),
    ("Fraud.Phishing", &["Phishing"], &[]),
];

/// Runs the reporter; see [`crate::modules::Module::run`].
pub fn main(args: &[String]) -> u8 {
    report(&REPORTER, args, |given| {
        let catalog = catalog(given)?;
        Ok(messages("aggregated_blacklist", move |alert| convert(alert, &catalog)))
    })
}

/// The catalog that the command line names.
pub(super) fn catalog(given: &Given) -> Result<Catalog, String> {
    let path = given.own("blacklist-config").unwrap_or(catalog::DEFAULT_PATH);
    Catalog::load(Path::new(path)).map_err(|why| why.to_string())
}

/// The list that a message is about; none, and it is said, if the catalog lacks it.
pub(super) fn list<'c>(alert: &Value, catalog: &'c Catalog) -> Option<&'c List> {
    let kind = alert["type"].as_str().unwrap_or_default();
    let bit = alert["blacklist_id"].as_u64().unwrap_or_default();
    let found = catalog.find(if kind == "ip" { Kind::Ip } else { Kind::Name }, bit);
    if found.is_none() {
        let id = if bit.is_power_of_two() { u64::from(bit.trailing_zeros()) + 1 } else { bit };
        // A reader that is gone is of no interest.
        let _ = writeln!(io::stdout(), "Reported blacklist '{kind}/{id}' not found in configuration, skipping alert.");
    }
    found
}

/// Members that both reporters of blacklists make alike: times, the window, and the protocol of a side.
pub(super) fn begin(alert: &Value, category: &str) -> Result<(Value, Value), Refused> {
    let seconds = |name| alert[name].as_f64().ok_or_else(|| Refused::member(name));
    let mut message = idea::begin(&[category], "blacklistfilter", &["Flow", "Blacklist"]);
    message["Node"][0]["AggrWin"] = window(seconds("agg_win_minutes")?).into();
    let last = time::of_float(seconds("ts_last")?);
    idea::extend(
        &mut message,
        json!({"EventTime": time::of_float(seconds("ts_first")?), "DetectTime": last, "CeaseTime": last}),
    );
    let protocol = alert["protocol"].as_u64().and_then(idea::protocol);
    Ok((message, protocol.map_or_else(|| json!({}), |name| json!({"Proto": [name]}))))
}

/// Adds the addresses of a list of texts.
pub(super) fn add_all(side: &mut Value, addresses: &Value) {
    addresses
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .for_each(|text| idea::add_address_text(side, text));
}

fn convert(alert: &Value, catalog: &Catalog) -> Converted {
    let Some(list) = list(alert, catalog) else { return Ok(None) };
    let category = list.text("category").unwrap_or_default();
    let name = list.text("name").unwrap_or_default();
    let (mut message, side) = begin(alert, category)?;
    message["Ref"] = json!([list.text("source").unwrap_or_default()]);
    let count = |name: &str| alert[name].as_u64().unwrap_or_default();
    let is_ip = alert["type"] == "ip";
    let (mut listed, mut others) = (side.clone(), side);
    let has_ports =
        matches!(count("protocol"), 6 | 17) && alert["source_ports"].as_array().is_some_and(|ports| !ports.is_empty());
    if has_ports {
        listed["Port"] = alert["source_ports"].clone();
    }
    let address = if is_ip { "source" } else { "source_ip" };
    idea::add_address_text(&mut listed, alert[address].as_str().ok_or_else(|| Refused::member(address))?);
    add_all(&mut others, &alert["targets"]);
    let what = if is_ip {
        "IP"
    } else {
        let url = json!([alert["source_url"].as_str().ok_or_else(|| Refused::member("source_url"))?]);
        listed["Type"] = json!(["OriginBlacklist"]);
        let (member, what) = if alert["is_only_fqdn"] == true { ("Hostname", "domain name") } else { ("URL", "URL") };
        listed[member] = url;
        what
    };
    if count("src_sent_flows") > 0 {
        counts(&mut listed, "Out", alert, "src_sent");
    }
    let is_answered = count("tgt_sent_flows") > 0;
    if is_answered {
        counts(&mut listed, "In", alert, "tgt_sent");
    }
    if let Some((_, kinds, peers)) = CLASSES.iter().find(|(class, ..)| *class == category) {
        listed["Type"] = json!(kinds);
        if is_answered && !peers.is_empty() {
            others["Type"] = json!(peers);
        }
    }
    if is_ip {
        for (member, unit) in [("FlowCount", "flows"), ("PacketCount", "packets"), ("ByteCount", "bytes")] {
            message[member] =
                count(&format!("src_sent_{unit}")).saturating_add(count(&format!("tgt_sent_{unit}"))).into();
        }
    }
    if is_answered {
        message["Source"] = json!([listed, others]);
        message["Description"] = format!("Suspicious communication with {what} listed on {name} blacklist").into();
    } else {
        message["Source"] = json!([listed]);
        message["Target"] = json!([others]);
        message["Description"] = "Blacklisted IP tried to communicate with host (with no response)".into();
    }
    Ok(Some(message))
}

/// Adds `InFlowCount` and its like.
fn counts(side: &mut Value, direction: &str, alert: &Value, from: &str) {
    for (member, unit) in [("FlowCount", "flows"), ("ByteCount", "bytes"), ("PacketCount", "packets")] {
        side[format!("{direction}{member}")] = alert[format!("{from}_{unit}")].as_u64().unwrap_or_default().into();
    }
}

/// A window of so many minutes, cut to whole ones, as IDEA writes it.
fn window(minutes: f64) -> String {
    let minutes = minutes as u64;
    let (days, hours) = (minutes / 1_440, minutes / 60 % 24);
    let clock = format!("{hours:02}:{:02}:00", minutes % 60);
    if days > 0 { format!("{days}D{clock}") } else { clock }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows() {
        let got = [0.5, 5.0, 90.0, 1_439.9, 1_440.0, 3_000.0].map(window);
        assert_eq!(got, ["00:00:00", "00:05:00", "01:30:00", "23:59:00", "1D00:00:00", "2D02:00:00"]);
    }
}
