//! beacon2idea: alerts of beacon_detector.
use crate::report::{Converted, Reporter, idea, main as report, records, time, with};
use crate::sdk::{IpAddr, Time, View, fields};
use serde_json::json;

/// One line for lists of modules.
pub const ABOUT: &str = "Reports alerts of beacon_detector as IDEA.";
const PARAMS: [trap::module::Param; 9] = with([]);
const REPORTER: Reporter = Reporter { name: "beacon2idea", module: "beacon_detector", about: ABOUT, params: &PARAMS };

fields! {
    struct In {
        dst: IpAddr = "DST_IP", src: IpAddr = "SRC_IP", bytes: u64 = "BYTES", first: Time = "TIME_FIRST", last: Time = "TIME_LAST",
        contacts: u32 = "EVENT_SCALE", interval: f32 = "BEACON_INTERVAL", jitter: f32 = "BEACON_JITTER", port: u16 = "DST_PORT",
        protocol: u8 = "PROTOCOL",
    }
}

/// Runs the reporter; see [`crate::modules::Module::run`].
pub fn main(args: &[String]) -> u8 {
    report(&REPORTER, args, |_| Ok(records(convert)))
}

fn convert(fields: &In, record: &View<'_>) -> Converted {
    let (contacts, port) = (fields.contacts(record), fields.port(record));
    let last = time::of_record(fields.last(record));
    let proto: Vec<_> = idea::protocol(fields.protocol(record).into()).into_iter().collect();
    let mut message = idea::begin(&["Anomaly.Connection"], "beacon_detector", &["Flow", "Statistical"]);
    idea::extend(
        &mut message,
        json!({
            "EventTime": time::of_record(fields.first(record)), "DetectTime": last, "CeaseTime": last,
            "FlowCount": contacts, "ConnCount": contacts,
            "Source": [idea::side(fields.src(record), json!({"Proto": proto}))],
            "Target": [idea::side(fields.dst(record), json!({"Proto": proto, "Port": [port]}))],
            "Description": "A host contacts a server at regular times",
            "Note": format!(
                "{contacts} contacts, every {:.1} s, three quarters of them within {:.1} % of that, {} bytes each",
                fields.interval(record),
                100.0 * fields.jitter(record),
                fields.bytes(record)
            ),
        }),
    );
    Ok(Some(message))
}
