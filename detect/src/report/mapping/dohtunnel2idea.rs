//! dohtunnel2idea: alerts of doh_tunnel_detector.
use crate::report::{Converted, Refused, Reporter, idea, main as report, records, time, with};
use crate::sdk::{IpAddr, Str, Time, View, fields};
use serde_json::json;

/// One line for lists of modules.
pub const ABOUT: &str = "Reports alerts of doh_tunnel_detector as IDEA.";
const PARAMS: [trap::module::Param; 9] = with([]);
const REPORTER: Reporter = Reporter { name: "dohtunnel2idea", module: "dohtunnel", about: ABOUT, params: &PARAMS };

fields! {
    struct In {
        target: IpAddr = "DST_IP", source: IpAddr = "SRC_IP", up: u64 = "DOH_BYTES_UP", down: u64 = "DOH_BYTES_DOWN",
        first: Time = "TIME_FIRST", last: Time = "TIME_LAST", flows: u32 = "EVENT_SCALE", port: u16 = "DST_PORT", protocol: u8 = "PROTOCOL",
        kind: u8 = "DOH_KIND", reason: u8 = "DOH_REASON", name: Str = "TLS_SNI",
    }
}

/// Runs the reporter; see [`crate::modules::Module::run`].
pub fn main(args: &[String]) -> u8 {
    report(&REPORTER, args, |_| Ok(records(convert)))
}

fn convert(fields: &In, record: &View<'_>) -> Converted {
    let number = fields.protocol(record);
    let protocol = idea::protocol(number.into()).ok_or_else(|| Refused(format!("protocol {number} is not known")))?;
    let server = match fields.kind(record) {
        0 => "encrypted resolvers",
        1 => "a server that behaves like an encrypted resolver",
        kind => return Err(Refused(format!("kind {kind} is not known"))),
    };
    let what = match fields.reason(record) {
        1 => "more than DNS is",
        2 => "more up than down",
        reason => return Err(Refused(format!("reason {reason} is not known"))),
    };
    let (source, up, down) = (fields.source(record), fields.up(record), fields.down(record));
    let last = time::of_record(fields.last(record));
    let mut message = idea::begin(&["Anomaly.Connection"], "doh_tunnel_detector", &["Flow", "Statistical"]);
    idea::extend(
        &mut message,
        json!({
            "EventTime": time::of_record(fields.first(record)), "DetectTime": last, "CeaseTime": last, "FlowCount": fields.flows(record),
            "Source": [idea::side(source, json!({"Proto": [protocol], "OutByteCount": up, "InByteCount": down}))],
            "Target": [idea::side(fields.target(record), json!({"Proto": [protocol], "Port": [fields.port(record)]}))],
            "Description": format!("{source} sent {up} bytes to {server} and got {down}: {what}."),
        }),
    );
    let name = idea::text(fields.name(record));
    if !name.is_empty() {
        message["Note"] = format!("The last server: {name}").into();
    }
    Ok(Some(message))
}
