//! minerdetector2idea: alerts of miner_detector.
use crate::report::{Converted, Reporter, idea, main as report, records, time, with};
use crate::sdk::{IpAddr, Time, View, fields};
use serde_json::json;

/// One line for lists of modules.
pub const ABOUT: &str = "Reports alerts of miner_detector as IDEA.";
const PARAMS: [trap::module::Param; 9] = with([]);
const REPORTER: Reporter =
    Reporter { name: "minerdetector2idea", module: "minerdetector", about: ABOUT, params: &PARAMS };

fields! {
    struct In {
        dst: IpAddr = "DST_IP", src: IpAddr = "SRC_IP", first: Time = "TIME_FIRST", last: Time = "TIME_LAST", scale: u32 = "EVENT_SCALE",
        port: u16 = "DST_PORT",
    }
}

/// Runs the reporter; see [`crate::modules::Module::run`].
pub fn main(args: &[String]) -> u8 {
    report(&REPORTER, args, |_| Ok(records(convert)))
}

fn convert(fields: &In, record: &View<'_>) -> Converted {
    let (source, target, port, scale) =
        (fields.src(record), fields.dst(record), fields.port(record), fields.scale(record));
    let last = time::of_record(fields.last(record));
    let mut message = idea::begin(&["Suspicious.Miner"], "minerdetector", &["Flow", "Blacklist"]);
    idea::extend(
        &mut message,
        json!({
            "EventTime": time::of_record(fields.first(record)), "DetectTime": last, "CeaseTime": last,
            "FlowCount": scale, "ConnCount": scale,
            "Source": [idea::side(source, json!({"Proto": ["tcp"]}))], "Target": [idea::side(target, json!({"Proto": ["tcp"]}))],
            "Note": format!("Source IP {source} might be a miner."),
            "Description": format!(
                "{source} might be a miner, because it connected to {target}:{port} which is flagged as a mining pool server."
            ),
        }),
    );
    Ok(Some(message))
}
