//! dgadetection2idea: a host that asks for names of a domain generation algorithm.
use crate::report::{Converted, Reporter, idea, main as report, records, time, with};
use crate::sdk::{IpAddr, Str, Time, View, fields};
use serde_json::json;

/// One line for lists of modules.
pub const ABOUT: &str = "Reports alerts of a detector of domain generation algorithms as IDEA.";
const PARAMS: [trap::module::Param; 9] = with([]);
const REPORTER: Reporter =
    Reporter { name: "dgadetection2idea", module: "dgadetection", about: ABOUT, params: &PARAMS };

fields! {
    struct In {
        src: IpAddr = "SRC_IP", _dst: IpAddr = "DST_IP", _first: Time = "TIME_FIRST", last: Time = "TIME_LAST", name: Str = "DNS_Q_NAME",
    }
}

/// Runs the reporter; see [`crate::modules::Module::run`].
pub fn main(args: &[String]) -> u8 {
    report(&REPORTER, args, |_| Ok(records(convert)))
}

fn convert(fields: &In, record: &View<'_>) -> Converted {
    let mut message = idea::begin(&["Intrusion.Botnet"], "DGA_detector", &[]);
    idea::extend(
        &mut message,
        json!({
            "DetectTime": time::of_record(fields.last(record)),
            "Description": "Botnet trying to comunicate with control server using DGA",
            "Source": [
                idea::side(fields.src(record), json!({"Type": ["Botnet"]})),
                {"Type": ["Botnet", "CC"], "Hostname": [idea::text(fields.name(record))]},
            ],
        }),
    );
    Ok(Some(message))
}
