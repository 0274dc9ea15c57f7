//! smashedblacklist2idea: messages of blacklist_aggregator about a list of mining pools, told as mining.
use super::blacklist2idea::{add_all, begin};
use crate::argparse::long_value;
use crate::report::condition::AddressRange;
use crate::report::{Converted, Given, Refused, Reporter, idea, main as report, messages, with};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read;

/// One line for lists of modules.
pub const ABOUT: &str = "Reports messages of blacklist_aggregator about mining pools as IDEA.";
const PARAMS: [trap::module::Param; 11] = with([
    long_value("blacklist-config", "string", "Catalog of blacklists; not used, the list is known."),
    long_value(
        "prefixes",
        "string",
        "JSON file of prefixes of our own: [{\"ip_prefix\": \"192.0.2.0/24\"}]; a pool in them is a source.",
    ),
]);
const REPORTER: Reporter =
    Reporter { name: "smashedblacklist2idea", module: "smashedblacklist", about: ABOUT, params: &PARAMS };
const REF: &str = "http://smashed.fit.vutbr.cz:8080/miningProp/json";
/// Bytes of the file of prefixes, at the most.
const FILE_MAX: u64 = 16 * 1024 * 1024;

/// Runs the reporter; see [`crate::modules::Module::run`].
pub fn main(args: &[String]) -> u8 {
    report(&REPORTER, args, |given| {
        let prefixes = prefixes(given)?;
        Ok(messages("aggregated_blacklist", move |alert| convert(alert, &prefixes)))
    })
}

fn prefixes(given: &Given) -> Result<Vec<AddressRange>, String> {
    let Some(path) = given.own("prefixes") else { return Ok(Vec::new()) };
    let mut text = String::new();
    let file = File::open(path).map_err(|why| format!("cannot read {path}: {why}"))?;
    file.take(FILE_MAX).read_to_string(&mut text).map_err(|why| format!("cannot read {path}: {why}"))?;
    parse(&text).ok_or_else(|| format!("{path} is no list of {{\"ip_prefix\": PREFIX}}"))
}

fn parse(text: &str) -> Option<Vec<AddressRange>> {
    let list: Value = serde_json::from_str(text).ok()?;
    list.as_array()?.iter().map(|item| item["ip_prefix"].as_str()?.parse().ok()).collect()
}

fn convert(alert: &Value, prefixes: &[AddressRange]) -> Converted {
    let (mut message, side) = begin(alert, "Suspicious.Miner")?;
    // The original ends with a traceback there.
    let protocol = alert["protocol"].as_u64().filter(|protocol| matches!(protocol, 6 | 17));
    protocol.ok_or_else(|| Refused("its protocol is neither TCP nor UDP".into()))?;
    let source = alert["source"].as_str().ok_or_else(|| Refused::member("source"))?;
    let (mut miners, mut pool) = (side.clone(), side);
    // QUIRK: a text, where IDEA wants a list.
    miners["Type"] = "Miner".into();
    pool["Type"] = "MiningPool".into();
    add_all(&mut miners, &alert["targets"]);
    idea::add_address_text(&mut pool, source);
    if let Some(ports) = alert["source_ports"].as_array().filter(|ports| !ports.is_empty()) {
        pool["Port"] = json!(ports);
    }
    let words = |value: &Value| {
        let items = value.as_array().into_iter().flatten();
        let items = items.map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned));
        items.collect::<Vec<_>>().join(", ")
    };
    idea::extend(
        &mut message,
        json!({
            "Description": "Possible CryptoCurrency mining identified by connection with a mining pool.",
            "Ref": [REF],
            "Note": format!(
                "Miners: {}; mining pool: {source}, ports: {}", words(&alert["targets"]), words(&alert["source_ports"])
            ),
        }),
    );
    let is_ours = source.parse().is_ok_and(|address| prefixes.iter().any(|prefix| prefix.contains(&address)));
    if is_ours {
        message["Source"] = json!([miners, pool]);
    } else {
        message["Source"] = json!([miners]);
        message["Target"] = json!([pool]);
    }
    Ok(Some(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_among_our_own_is_a_source() {
        let alert = json!({"source": "192.0.2.7", "targets": ["10.0.0.1"], "source_ports": [3333], "protocol": 6,
            "ts_first": 1_672_654_500.0, "ts_last": 1_672_654_530.25, "agg_win_minutes": 5.0});
        let message = convert(&alert, &[]).unwrap().unwrap();
        assert_eq!(
            message["Target"],
            json!([{"Proto": ["tcp"], "Type": "MiningPool", "IP4": ["192.0.2.7"], "Port": [3333]}])
        );
        let ours = parse(r#"[{"ip_prefix": "192.0.2.0/24"}]"#).unwrap();
        let message = convert(&alert, &ours).unwrap().unwrap();
        assert_eq!((message["Source"].as_array().unwrap().len(), message.get("Target")), (2, None));
        assert!(parse("{}").is_none() && parse(r#"[{"ip_prefix": "x"}]"#).is_none());
        assert!(convert(&json!({"protocol": 1}), &[]).is_err());
    }
}
