//! voipfraud2idea: alerts of voip_fraud_detection about guessing of dial plans.
use crate::report::{Converted, Reporter, idea, main as report, records, time, with};
use crate::sdk::{IpAddr, Str, Time, View, fields};
use serde_json::json;

/// One line for lists of modules.
pub const ABOUT: &str = "Reports alerts of voip_fraud_detection as IDEA.";
const PARAMS: [trap::module::Param; 9] = with([]);
const REPORTER: Reporter = Reporter { name: "voipfraud2idea", module: "voipfraud", about: ABOUT, params: &PARAMS };
/// The only kind of alert that is told.
const PREFIX_EXAMINATION: u8 = 40;

fields! {
    struct In {
        _dst: IpAddr = "DST_IP", src: IpAddr = "SRC_IP", detected: Time = "DETECTION_TIME", first: Time = "TIME_FIRST", _event: u32 = "EVENT_ID",
        invites: u32 = "VOIP_FRAUD_INVITE_COUNT", prefixes: u32 = "VOIP_FRAUD_PREFIX_EXAMINATION_COUNT",
        calls: u32 = "VOIP_FRAUD_SUCCESSFUL_CALL_COUNT", length: u16 = "VOIP_FRAUD_PREFIX_LENGTH", kind: u8 = "EVENT_TYPE",
        _country: Str = "VOIP_FRAUD_COUNTRY_CODE", from: Str = "VOIP_FRAUD_SIP_FROM", to: Str = "VOIP_FRAUD_SIP_TO",
        agent: Str = "VOIP_FRAUD_USER_AGENT",
    }
}

/// Runs the reporter; see [`crate::modules::Module::run`].
pub fn main(args: &[String]) -> u8 {
    report(&REPORTER, args, |_| Ok(records(convert)))
}

fn convert(fields: &In, record: &View<'_>) -> Converted {
    if fields.kind(record) != PREFIX_EXAMINATION {
        return Ok(None);
    }
    let text = |bytes| json!([idea::text(bytes)]);
    let mut message = idea::begin(&["Attempt.Login"], "voip_fraud_detection", &["Flow", "Statistical", "Content"]);
    let caller =
        json!({"Proto": ["sip"], "UserAgent": text(fields.agent(record)), "SIPFrom": text(fields.from(record))});
    idea::extend(
        &mut message,
        json!({
            "DetectTime": time::of_record(fields.detected(record)), "EventTime": time::of_record(fields.first(record)),
            "Description": "SIP Dial-plan guessing", "ConnCount": fields.invites(record),
            "MaxPrefixLength": fields.length(record), "TriedPrefixCount": fields.prefixes(record), "SuccessfulCalls": fields.calls(record),
            "Source": [idea::side(fields.src(record), caller)],
            "Target": [{"Proto": ["sip"], "SIPTo": text(fields.to(record))}],
        }),
    );
    Ok(Some(message))
}
