//! vportscan2idea: alerts of vportscan_detector, gathered by vportscan_aggregator.
use crate::argparse::long_value;
use crate::report::{Converted, Refused, Reporter, idea, main as report, messages, time, with};
use serde_json::{Value, json};

/// One line for lists of modules.
pub const ABOUT: &str = "Reports alerts of vportscan_aggregator as IDEA.";
const PARAMS: [trap::module::Param; 10] =
    with([long_value("aggrwin", "string", "Window of the aggregator, HH:MM:SS (default 00:05:00).")]);
const REPORTER: Reporter = Reporter { name: "vportscan2idea", module: "vportscan", about: ABOUT, params: &PARAMS };

/// Runs the reporter; see [`crate::modules::Module::run`].
pub fn main(args: &[String]) -> u8 {
    report(&REPORTER, args, |given| {
        let window = given.own("aggrwin").unwrap_or("00:05:00").to_owned();
        Ok(messages("aggregated_portscan", move |alert| convert(alert, &window)))
    })
}

fn convert(alert: &Value, window: &str) -> Converted {
    let seconds = |name| alert[name].as_f64().ok_or_else(|| Refused::member(name));
    let source = alert["src_ip"].as_str().ok_or_else(|| Refused::member("src_ip"))?;
    let targets = alert["dst_ips"].as_object().ok_or_else(|| Refused::member("dst_ips"))?;
    let mut source_side = json!({"Proto": ["tcp"]});
    idea::add_address_text(&mut source_side, source);
    let mut target_side = json!({"Proto": ["tcp"]});
    targets.keys().for_each(|target| idea::add_address_text(&mut target_side, target));
    let probes = targets.values().filter_map(Value::as_u64).fold(0, u64::saturating_add);
    let kind = if targets.len() > 1 { "Block portscan" } else { "Vertical scan" };
    let last = time::of_float(seconds("ts_last")?);
    let mut message = idea::begin(&["Recon.Scanning"], "vportscan_detector", &["Flow", "Statistical"]);
    message["Node"][0]["AggrWin"] = window.into();
    idea::extend(
        &mut message,
        json!({
            "EventTime": time::of_float(seconds("ts_first")?), "CeaseTime": last, "DetectTime": last, "FlowCount": probes,
            "Description": format!("{kind} using TCP SYN"), "Source": [source_side], "Target": [target_side],
        }),
    );
    Ok(Some(message))
}
