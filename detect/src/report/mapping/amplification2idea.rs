//! amplification2idea: alerts of amplification_detection. The source is the server that was misused.
use crate::report::{Converted, Reporter, idea, main as report, records, time, with};
use crate::sdk::{IpAddr, Time, View, fields};
use serde_json::{Value, json};

/// One line for lists of modules.
pub const ABOUT: &str = "Reports alerts of amplification_detection as IDEA.";
const PARAMS: [trap::module::Param; 9] = with([]);
const REPORTER: Reporter =
    Reporter { name: "amplification2idea", module: "amplificationdetector", about: ABOUT, params: &PARAMS };

fields! {
    struct In {
        dst: IpAddr = "DST_IP", src: IpAddr = "SRC_IP", req_bytes: u64 = "REQ_BYTES", rsp_bytes: u64 = "RSP_BYTES",
        first: Time = "TIME_FIRST", last: Time = "TIME_LAST", _event: u32 = "EVENT_ID", req_flows: u32 = "REQ_FLOWS",
        req_packets: u32 = "REQ_PACKETS", rsp_flows: u32 = "RSP_FLOWS", rsp_packets: u32 = "RSP_PACKETS", port: u16 = "SRC_PORT",
    }
}

/// Runs the reporter; see [`crate::modules::Module::run`].
pub fn main(args: &[String]) -> u8 {
    report(&REPORTER, args, |_| Ok(records(convert)))
}

fn convert(fields: &In, record: &View<'_>) -> Converted {
    let (flows, packets, bytes) = (fields.rsp_flows(record), fields.rsp_packets(record), fields.rsp_bytes(record));
    let requests = json!({
        "Type": ["Backscatter"],
        "InFlowCount": fields.req_flows(record), "InPacketCount": fields.req_packets(record), "InByteCount": fields.req_bytes(record),
        "OutFlowCount": flows, "OutPacketCount": packets, "OutByteCount": bytes,
    });
    let responses = json!({"InFlowCount": flows, "InPacketCount": packets, "InByteCount": bytes});
    let mut sides = [idea::side(fields.src(record), requests), idea::side(fields.dst(record), responses)];
    let service = match fields.port(record) {
        53 => Some(("DNS amplification", "domain")),
        123 => Some(("NTP amplification", "ntp")),
        _ => None,
    };
    let mut message = idea::begin(&["Availability.DDoS"], "amplification_detection", &["Flow", "Statistical"]);
    if let Some((description, name)) = service {
        message["Description"] = description.into();
        sides.iter_mut().for_each(|side| side["Proto"] = json!(["udp", name]));
    }
    let [source, target]: [Value; 2] = sides;
    let last = time::of_record(fields.last(record));
    idea::extend(
        &mut message,
        json!({
            "EventTime": time::of_record(fields.first(record)), "CeaseTime": last, "DetectTime": last,
            "FlowCount": flows, "PacketCount": packets, "ByteCount": bytes, "Source": [source], "Target": [target],
        }),
    );
    Ok(Some(message))
}
