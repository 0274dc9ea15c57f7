//! haddrscan2idea: alerts of haddrscan_detector, gathered by haddrscan_aggregator.
use crate::argparse::long_value;
use crate::report::{Converted, Reporter, idea, main as report, records, time, with};
use crate::sdk::{IpAddr, Time, View, fields};
use serde_json::json;

/// One line for lists of modules.
pub const ABOUT: &str = "Reports alerts of haddrscan_aggregator as IDEA.";
const PARAMS: [trap::module::Param; 10] =
    with([long_value("aggrwin", "string", "Window of the aggregator, HH:MM:SS (default 00:05:00).")]);
const REPORTER: Reporter = Reporter { name: "haddrscan2idea", module: "haddrscan", about: ABOUT, params: &PARAMS };

fields! {
    struct In {
        src: IpAddr = "SRC_IP", count: u32 = "ADDR_CNT", first: Time = "TIME_FIRST", last: Time = "TIME_LAST", port: u16 = "DST_PORT",
        _event: u8 = "EVENT_TYPE", _protocol: u8 = "PROTOCOL",
        d0: IpAddr = "DST_IP0", d1: IpAddr = "DST_IP1", d2: IpAddr = "DST_IP2", d3: IpAddr = "DST_IP3", d4: IpAddr = "DST_IP4",
        d5: IpAddr = "DST_IP5", d6: IpAddr = "DST_IP6", d7: IpAddr = "DST_IP7", d8: IpAddr = "DST_IP8", d9: IpAddr = "DST_IP9",
        d10: IpAddr = "DST_IP10", d11: IpAddr = "DST_IP11", d12: IpAddr = "DST_IP12", d13: IpAddr = "DST_IP13",
        d14: IpAddr = "DST_IP14", d15: IpAddr = "DST_IP15",
    }
}

impl In {
    fn destinations(&self, r: &View<'_>) -> [IpAddr; 16] {
        [
            self.d0(r),
            self.d1(r),
            self.d2(r),
            self.d3(r),
            self.d4(r),
            self.d5(r),
            self.d6(r),
            self.d7(r),
            self.d8(r),
            self.d9(r),
            self.d10(r),
            self.d11(r),
            self.d12(r),
            self.d13(r),
            self.d14(r),
            self.d15(r),
        ]
    }
}

/// Runs the reporter; see [`crate::modules::Module::run`].
pub fn main(args: &[String]) -> u8 {
    report(&REPORTER, args, |given| {
        let window = given.own("aggrwin").unwrap_or("00:05:00").to_owned();
        Ok(records(move |fields, record| convert(fields, record, &window)))
    })
}

fn convert(fields: &In, record: &View<'_>, window: &str) -> Converted {
    let last = time::of_record(fields.last(record));
    let mut target = json!({"Proto": ["tcp"], "Port": [fields.port(record)], "Imprecise": true});
    let known = fields.destinations(record).into_iter().filter(|address| !address.is_unspecified());
    known.for_each(|address| idea::add_address(&mut target, address));
    let mut message = idea::begin(&["Recon.Scanning"], "haddrscan_detector", &["Flow", "Statistical"]);
    message["Node"][0]["AggrWin"] = window.into();
    idea::extend(
        &mut message,
        json!({
            "EventTime": time::of_record(fields.first(record)), "CeaseTime": last, "DetectTime": last, "FlowCount": fields.count(record),
            "Description": "Horizontal scan using TCP SYN",
            "Source": [idea::side(fields.src(record), json!({"Proto": ["tcp"]}))], "Target": [target],
        }),
    );
    Ok(Some(message))
}
