//! dnstunnel2idea: alerts of dnstunnel_detection.
use crate::report::{Converted, Reporter, idea, main as report, records, time, with};
use crate::sdk::{IpAddr, Str, Time, View, fields};
use serde_json::json;

/// One line for lists of modules.
pub const ABOUT: &str = "Reports alerts of dnstunnel_detection as IDEA.";
const PARAMS: [trap::module::Param; 9] = with([]);
const REPORTER: Reporter = Reporter { name: "dnstunnel2idea", module: "dnstunnel", about: ABOUT, params: &PARAMS };

fields! {
    struct In {
        src: IpAddr = "SRC_IP", first: Time = "TIME_FIRST", last: Time = "TIME_LAST", _event: u32 = "EVENT_ID",
        packets: u32 = "TUNNEL_CNT_PACKET", _new: f32 = "TUNNEL_PER_NEW_DOMAIN", _sub: f32 = "TUNNEL_PER_SUBDOMAIN",
        kind: u8 = "TUNNEL_TYPE", domain: Str = "TUNNEL_DOMAIN",
    }
}

/// Runs the reporter; see [`crate::modules::Module::run`].
pub fn main(args: &[String]) -> u8 {
    report(&REPORTER, args, |_| Ok(records(convert)))
}

fn convert(fields: &In, record: &View<'_>) -> Converted {
    // 2 and 3 are no tunnels yet.
    let place = match fields.kind(record) {
        1 => "requests",
        4..=8 => "responses",
        _ => return Ok(None),
    };
    let domain = idea::text(fields.domain(record)).replace(|c: char| !c.is_ascii(), "?");
    let last = time::of_record(fields.last(record));
    let mut message = idea::begin(&["Anomaly.Connection"], "dnstunnel_detection", &["Flow", "Statistical", "Content"]);
    idea::extend(
        &mut message,
        json!({
            "EventTime": time::of_record(fields.first(record)), "CeaseTime": last, "DetectTime": last,
            "FlowCount": fields.packets(record),
            "Source": [idea::side(fields.src(record), json!({"Proto": ["udp", "domain"]}))],
            "Description": format!("Communication tunnel over DNS observed in {place}"),
            "Note": format!("Example of used domain name: {domain}"),
        }),
    );
    Ok(Some(message))
}
