//! exfiltration2idea: alerts of exfiltration_detector.
use crate::report::{Converted, Reporter, idea, main as report, records, time, with};
use crate::sdk::{IpAddr, Time, View, fields};
use serde_json::json;

/// One line for lists of modules.
pub const ABOUT: &str = "Reports alerts of exfiltration_detector as IDEA.";
const PARAMS: [trap::module::Param; 9] = with([]);
const REPORTER: Reporter =
    Reporter { name: "exfiltration2idea", module: "exfiltration_detector", about: ABOUT, params: &PARAMS };

fields! {
    struct In {
        dst: IpAddr = "DST_IP", src: IpAddr = "SRC_IP", sent: u64 = "BYTES", received: u64 = "BYTES_REV",
        usual: u64 = "EXFIL_USUAL_BYTES", first: Time = "TIME_FIRST", last: Time = "TIME_LAST", port: u16 = "DST_PORT",
        protocol: u8 = "PROTOCOL",
    }
}

/// Runs the reporter; see [`crate::modules::Module::run`].
pub fn main(args: &[String]) -> u8 {
    report(&REPORTER, args, |_| Ok(records(convert)))
}

fn convert(fields: &In, record: &View<'_>) -> Converted {
    let (sent, received) = (fields.sent(record), fields.received(record));
    let last = time::of_record(fields.last(record));
    let proto: Vec<_> = idea::protocol(fields.protocol(record).into()).into_iter().collect();
    let mut message = idea::begin(&["Anomaly.Traffic"], "exfiltration_detector", &["Flow", "Statistical"]);
    idea::extend(
        &mut message,
        json!({
            "EventTime": time::of_record(fields.first(record)), "DetectTime": last, "ByteCount": sent,
            "Source": [idea::side(
                fields.src(record),
                json!({"Proto": proto, "OutByteCount": sent, "InByteCount": received}),
            )],
            "Target": [idea::side(fields.dst(record), json!({"Proto": proto, "Port": [fields.port(record)]}))],
            "Description": "A host sends out much more than it used to",
            "Note": format!(
                "{sent} bytes sent and {received} received, where {} sent are usual; the target got most of it",
                fields.usual(record)
            ),
        }),
    );
    Ok(Some(message))
}
