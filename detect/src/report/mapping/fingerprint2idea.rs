//! fingerprint2idea: alerts of fingerprint_detector.
use crate::report::{Converted, Reporter, idea, main as report, records, time, with};
use crate::sdk::{IpAddr, Str, Time, View, fields};
use serde_json::json;

/// One line for lists of modules.
pub const ABOUT: &str = "Reports alerts of fingerprint_detector as IDEA.";
const PARAMS: [trap::module::Param; 9] = with([]);
const REPORTER: Reporter = Reporter { name: "fingerprint2idea", module: "fingerprint", about: ABOUT, params: &PARAMS };

fields! {
    struct In {
        target: IpAddr = "DST_IP", source: IpAddr = "SRC_IP", first: Time = "TIME_FIRST", last: Time = "TIME_LAST", flows: u32 = "EVENT_SCALE",
        target_port: u16 = "DST_PORT", source_port: u16 = "SRC_PORT", protocol: u8 = "PROTOCOL", kind: Str = "FP_KIND", value: Str = "FP_VALUE",
        reason: Str = "FP_REASON",
    }
}

/// Runs the reporter; see [`crate::modules::Module::run`].
pub fn main(args: &[String]) -> u8 {
    report(&REPORTER, args, |_| Ok(records(convert)))
}

fn convert(fields: &In, record: &View<'_>) -> Converted {
    let protocol = idea::protocol(fields.protocol(record).into()).unwrap_or("tcp");
    let side = |address, port| idea::side(address, json!({"Proto": [protocol], "Port": [port]}));
    let [kind, value, reason] = [fields.kind(record), fields.value(record), fields.reason(record)].map(idea::text);
    let last = time::of_record(fields.last(record));
    let because = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    let mut message = idea::begin(&["Intrusion.Botnet"], "fingerprint_detector", &["Flow", "Blacklist"]);
    idea::extend(
        &mut message,
        json!({
            "EventTime": time::of_record(fields.first(record)), "DetectTime": last, "CeaseTime": last, "FlowCount": fields.flows(record),
            "Source": [side(fields.source(record), fields.source_port(record))],
            "Target": [side(fields.target(record), fields.target_port(record))],
            "Description": format!("{} uses the listed {kind} {value}{because}.", fields.source(record)),
            "Note": format!("{kind}={value}"),
        }),
    );
    Ok(Some(message))
}
