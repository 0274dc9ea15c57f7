//! sipbf2idea: alerts of sip_bf_detector.
use crate::report::{Converted, Refused, Reporter, idea, main as report, records, time, with};
use crate::sdk::{IpAddr, Str, Time, View, fields};
use serde_json::json;

/// One line for lists of modules.
pub const ABOUT: &str = "Reports alerts of sip_bf_detector as IDEA.";
const PARAMS: [trap::module::Param; 9] = with([]);
const REPORTER: Reporter = Reporter { name: "sipbf2idea", module: "sipbruteforce", about: ABOUT, params: &PARAMS };

fields! {
    struct In {
        _event: u64 = "SBFD_EVENT_ID", kind: u8 = "SBFD_EVENT_TYPE", target: IpAddr = "SBFD_TARGET", source: IpAddr = "SBFD_SOURCE",
        user: Str = "SBFD_USER", _link: u64 = "SBFD_LINK_BIT_FIELD", protocol: u8 = "SBFD_PROTOCOL", began: Time = "SBFD_EVENT_TIME",
        ceased: Time = "SBFD_CEASE_TIME", breach: Time = "SBFD_BREACH_TIME", attempts: u32 = "SBFD_ATTEMPTS",
        _average: u32 = "SBFD_AVG_ATTEMPTS", src_port: u16 = "SRC_PORT", dst_port: u16 = "DST_PORT",
    }
}

/// Runs the reporter; see [`crate::modules::Module::run`].
pub fn main(args: &[String]) -> u8 {
    report(&REPORTER, args, |_| Ok(records(convert)))
}

fn convert(fields: &In, record: &View<'_>) -> Converted {
    let kind = fields.kind(record);
    let is_breach = fields.breach(record) != Time::default();
    let (category, description) = match (kind, is_breach) {
        (0, false) => ("Attempt.Login", "SIP BruteForce login attempt."),
        (0, true) => ("Attempt.Login", "Successful SIP BruteForce login attempt."),
        (1, false) => ("Attempt.Login", "Distributed SIP BruteForce login attempt."),
        (1, true) => ("Attempt.Login", "Successful distributed SIP BruteForce login attempt."),
        (2, _) => ("Recon.Scanning", "Scan of SIP user accounts."),
        _ => return Err(Refused(format!("event type {kind} is not known"))),
    };
    let number = fields.protocol(record);
    let protocol = idea::protocol(number.into()).ok_or_else(|| Refused(format!("protocol {number} is not known")))?;
    let side = |address, port| idea::side(address, json!({"Proto": [protocol, "sip"], "Port": [port]}));
    let mut message = idea::begin(&[category], "brute_force_detector", &["Flow", "Statistical"]);
    let now = message["CreateTime"].clone();
    idea::extend(
        &mut message,
        json!({
            "DetectTime": now, "EventTime": time::of_record(fields.began(record)), "CeaseTime": time::of_record(fields.ceased(record)),
            "ConnCount": fields.attempts(record), "Description": description,
            "Source": [side(fields.source(record), fields.src_port(record))],
            "Target": [side(fields.target(record), fields.dst_port(record))],
        }),
    );
    if kind < 2 {
        message["Note"] = format!("Event is related to user account: {}", idea::text(fields.user(record))).into();
        if is_breach {
            message["BreachTime"] = time::of_record(fields.breach(record)).into();
        }
    }
    Ok(Some(message))
}
