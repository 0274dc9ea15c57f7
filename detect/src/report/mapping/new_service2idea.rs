//! new_service2idea: alerts of new_service_detector. The source is the server, the target a client that it answered.
use crate::report::{Converted, Reporter, idea, main as report, records, time, with};
use crate::sdk::{IpAddr, Time, View, fields};
use serde_json::json;

/// One line for lists of modules.
pub const ABOUT: &str = "Reports alerts of new_service_detector as IDEA.";
const PARAMS: [trap::module::Param; 9] = with([]);
const REPORTER: Reporter =
    Reporter { name: "new_service2idea", module: "new_service_detector", about: ABOUT, params: &PARAMS };

fields! {
    struct In {
        dst: IpAddr = "DST_IP", src: IpAddr = "SRC_IP", first: Time = "TIME_FIRST", last: Time = "TIME_LAST",
        known: u32 = "KNOWN_SERVICES", port: u16 = "SRC_PORT", kind: u8 = "EVENT_TYPE", protocol: u8 = "PROTOCOL",
    }
}

/// Runs the reporter; see [`crate::modules::Module::run`].
pub fn main(args: &[String]) -> u8 {
    report(&REPORTER, args, |_| Ok(records(convert)))
}

fn convert(fields: &In, record: &View<'_>) -> Converted {
    let (server, port) = (fields.src(record), fields.port(record));
    let (description, known) = match fields.kind(record) {
        1 => ("A server that was not known", "none of its services was known".to_owned()),
        2 => ("A port of a server that was not known", format!("{} of its services were known", fields.known(record))),
        _ => return Ok(None),
    };
    let last = time::of_record(fields.last(record));
    let name = idea::protocol(fields.protocol(record).into());
    let proto: Vec<_> = name.into_iter().collect();
    let mut message = idea::begin(&["Anomaly.Connection"], "new_service_detector", &["Flow", "Statistical"]);
    idea::extend(
        &mut message,
        json!({
            "EventTime": time::of_record(fields.first(record)), "DetectTime": last,
            "Source": [idea::side(server, json!({"Proto": proto, "Port": [port]}))],
            "Target": [idea::side(fields.dst(record), json!({"Proto": proto}))],
            "Description": format!("{description} answers clients"),
            "Note": format!("{server} answers on port {port}/{} for the first time; {known}", name.unwrap_or("unknown")),
        }),
    );
    Ok(Some(message))
}
