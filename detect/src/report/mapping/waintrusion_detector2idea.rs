//! waintrusion_detector2idea: alerts of waintrusion_detector.
use crate::report::{Converted, Reporter, idea, main as report, records, time, with};
use crate::sdk::{IpAddr, Str, Time, View, fields};
use serde_json::json;

/// One line for lists of modules.
pub const ABOUT: &str = "Reports alerts of waintrusion_detector as IDEA.";
const PARAMS: [trap::module::Param; 9] = with([]);
const REPORTER: Reporter =
    Reporter { name: "waintrusion_detector2idea", module: "waintrusion_detector2idea", about: ABOUT, params: &PARAMS };

fields! {
    struct In {
        src: IpAddr = "SRC_IP", dst: IpAddr = "DST_IP", src_port: u16 = "SRC_PORT", dst_port: u16 = "DST_PORT", _protocol: u8 = "PROTOCOL",
        time: Time = "EVENT_TIME", rule: Str = "WAI_RULE", place: Str = "WAI_MALICIOUS_FIELD", value: Str = "WAI_MALICIOUS_VALUE",
    }
}

/// Runs the reporter; see [`crate::modules::Module::run`].
pub fn main(args: &[String]) -> u8 {
    report(&REPORTER, args, |_| Ok(records(convert)))
}

fn convert(fields: &In, record: &View<'_>) -> Converted {
    let side = |address, port| idea::side(address, json!({"Port": [port], "Proto": ["tcp", "http"]}));
    let (rule, place, value) = (fields.rule(record), fields.place(record), fields.value(record));
    let at = time::of_record(fields.time(record));
    let mut message =
        idea::begin(&["Recon.Scanning", "Attempt.Exploit"], "waintrusion_detector", &["Flow", "Signature"]);
    idea::extend(
        &mut message,
        json!({
            "EventTime": at, "DetectTime": at,
            "Source": [side(fields.src(record), fields.src_port(record))],
            "Target": [side(fields.dst(record), fields.dst_port(record))],
            "Description": "HTTP traffic containing suspicious data that looks like vulnerability test.",
            "Note": format!(
                "Detection Rule: {}, HTTP request Field: {}, HTTP request field contained value: {}",
                idea::text(rule), idea::text(place), idea::text(value)
            ),
        }),
    );
    Ok(Some(message))
}
