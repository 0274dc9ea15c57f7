//! loginbf2idea: alerts of login_bf_detector.
use crate::report::{Converted, Refused, Reporter, idea, main as report, records, time, with};
use crate::sdk::{IpAddr, Str, Time, View, fields};
use serde_json::json;

/// One line for lists of modules.
pub const ABOUT: &str = "Reports alerts of login_bf_detector as IDEA.";
const PARAMS: [trap::module::Param; 9] = with([]);
const REPORTER: Reporter = Reporter { name: "loginbf2idea", module: "loginbf", about: ABOUT, params: &PARAMS };

fields! {
    struct In {
        target: IpAddr = "DST_IP", source: IpAddr = "SRC_IP", refusals: u64 = "LBF_REFUSALS", first: Time = "TIME_FIRST",
        last: Time = "TIME_LAST", parties: u32 = "LBF_PARTIES", port: u16 = "DST_PORT", kind: u8 = "LBF_TYPE", severity: u8 = "LBF_SEVERITY",
        service: Str = "LBF_SERVICE", user: Str = "LBF_USER",
    }
}

/// Runs the reporter; see [`crate::modules::Module::run`].
pub fn main(args: &[String]) -> u8 {
    report(&REPORTER, args, |_| Ok(records(convert)))
}

fn convert(fields: &In, record: &View<'_>) -> Converted {
    let (kind, severity) = (fields.kind(record), fields.severity(record));
    let service = idea::text(fields.service(record));
    let (refusals, parties) = (fields.refusals(record), fields.parties(record));
    let (source, target) = (fields.source(record), fields.target(record));
    let description = match (kind, severity) {
        (0, 1) => format!("{source} guesses passwords of {service}: {refusals} logins were refused."),
        (0, 2) => format!("{source} was admitted by {service} after {refusals} refused logins."),
        (1, 1) => {
            format!("{parties} sources guess passwords of {service} at {target}: {refusals} logins were refused.")
        }
        _ => return Err(Refused(format!("type {kind} of severity {severity} is not known"))),
    };
    let category: &[&str] =
        if severity == 2 { &["Attempt.Login", "Intrusion.UserCompromise"] } else { &["Attempt.Login"] };
    // Kerberos goes over UDP as well.
    let protocols = if service == "kerberos" { json!([service]) } else { json!(["tcp", service]) };
    let last = time::of_record(fields.last(record));
    let mut message = idea::begin(category, "login_bf_detector", &["Flow", "Protocol"]);
    idea::extend(
        &mut message,
        json!({
            "EventTime": time::of_record(fields.first(record)), "DetectTime": last, "CeaseTime": last, "ConnCount": refusals,
            "Description": description,
            "Target": [idea::side(target, json!({"Proto": protocols, "Port": [fields.port(record)]}))],
        }),
    );
    message["Source"] = match kind {
        0 => json!([idea::side(source, json!({"Proto": protocols}))]),
        // Who they are is in the flows.
        _ => json!([{"Proto": protocols}]),
    };
    let user = idea::text(fields.user(record));
    if !user.is_empty() {
        message["Note"] = format!("The last user that was tried: {user}").into();
    }
    Ok(Some(message))
}
