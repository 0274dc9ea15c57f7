//! ddos_detector2idea: alerts of ddos_detector.
use crate::report::{Converted, Reporter, idea, main as report, records, time, with};
use crate::sdk::{IpAddr, Time, View, fields};
use serde_json::json;

/// One line for lists of modules.
pub const ABOUT: &str = "Reports alerts of ddos_detector as IDEA.";
const PARAMS: [trap::module::Param; 9] = with([]);
const REPORTER: Reporter =
    Reporter { name: "ddos_detector2idea", module: "ddos_detector", about: ABOUT, params: &PARAMS };

fields! {
    struct In { dst: IpAddr = "DST_IP", bytes: u64 = "BYTES", first: Time = "TIME_FIRST", last: Time = "TIME_LAST", event: u64 = "EVENT_ID" }
}

/// Runs the reporter; see [`crate::modules::Module::run`].
pub fn main(args: &[String]) -> u8 {
    report(&REPORTER, args, |_| Ok(records(convert)))
}

fn convert(fields: &In, record: &View<'_>) -> Converted {
    let last = time::of_record(fields.last(record));
    let mut message = idea::begin(&["Availability.DoS"], "ddos_detector", &["Flow", "Statistical"]);
    idea::extend(
        &mut message,
        json!({
            "AltNames": [fields.event(record).to_string()],
            "EventTime": time::of_record(fields.first(record)), "DetectTime": last, "CeaseTime": last,
            "ByteCount": fields.bytes(record), "Target": [idea::side(fields.dst(record), json!({}))],
            "Description": "Volume of traffic and number of its sources increased.",
        }),
    );
    Ok(Some(message))
}
