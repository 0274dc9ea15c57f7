//! sshbruteforceml2idea: alerts of the detector that learned what guessing of SSH passwords looks like.
use crate::report::{Converted, Reporter, idea, main as report, records, time, with};
use crate::sdk::{IpAddr, Time, View, fields};
use serde_json::json;

/// One line for lists of modules.
pub const ABOUT: &str = "Reports alerts of the machine-learning detector of SSH brute force as IDEA.";
const PARAMS: [trap::module::Param; 9] = with([]);
const REPORTER: Reporter =
    Reporter { name: "sshbruteforceml2idea", module: "sshbruteforceml", about: ABOUT, params: &PARAMS };

fields! {
    struct In {
        src: IpAddr = "SRC_IP", dst: IpAddr = "DST_IP", dst_port: u16 = "DST_PORT", _src_port: u16 = "SRC_PORT", attempts: u16 = "ATTEMPTS",
        time: Time = "EVENT_TIME",
    }
}

/// Runs the reporter; see [`crate::modules::Module::run`].
pub fn main(args: &[String]) -> u8 {
    report(&REPORTER, args, |_| Ok(records(convert)))
}

fn convert(fields: &In, record: &View<'_>) -> Converted {
    let (source, target, attempts) = (fields.src(record), fields.dst(record), fields.attempts(record));
    let mut message = idea::begin(&["Attempt.Login"], "sshbfdetectorml", &["Flow", "Statistical", "MachineLearning"]);
    idea::extend(
        &mut message,
        json!({
            "DetectTime": time::of_record(fields.time(record)), "Description": "Multiple unsuccessful SSH login attempts",
            "Note": format!(
                "Machine Learning model recognized approx. {attempts} unsuccessful login attempts from {source} against SSH server {target}"
            ),
            "Source": [idea::side(source, json!({"Proto": ["tcp", "ssh"]}))],
            "Target": [idea::side(target, json!({"Port": [fields.dst_port(record)], "Proto": ["tcp", "ssh"]}))],
        }),
    );
    Ok(Some(message))
}
