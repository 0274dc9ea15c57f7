//! reflection2idea: alerts of reflection_detector. As with amplification2idea the source is the server that is misused.
use crate::report::{Converted, Reporter, idea, main as report, records, time, with};
use crate::sdk::{IpAddr, Str, Time, View, fields};
use serde_json::json;

/// One line for lists of modules.
pub const ABOUT: &str = "Reports alerts of reflection_detector as IDEA.";
const PARAMS: [trap::module::Param; 9] = with([]);
const REPORTER: Reporter =
    Reporter { name: "reflection2idea", module: "reflection_detector", about: ABOUT, params: &PARAMS };

fields! {
    struct In {
        dst: IpAddr = "DST_IP", src: IpAddr = "SRC_IP", req_bytes: u64 = "REQ_BYTES", rsp_bytes: u64 = "RSP_BYTES",
        first: Time = "TIME_FIRST", last: Time = "TIME_LAST", servers: u32 = "EVENT_SCALE", req_packets: u32 = "REQ_PACKETS",
        rsp_packets: u32 = "RSP_PACKETS", port: u16 = "SRC_PORT", kind: u8 = "EVENT_TYPE", name: Str = "REFLECTION_PROTOCOL",
    }
}

/// Runs the reporter; see [`crate::modules::Module::run`].
pub fn main(args: &[String]) -> u8 {
    report(&REPORTER, args, |_| Ok(records(convert)))
}

fn convert(fields: &In, record: &View<'_>) -> Converted {
    let (req_bytes, rsp_bytes) = (fields.req_bytes(record), fields.rsp_bytes(record));
    let (req_packets, rsp_packets) = (fields.req_packets(record), fields.rsp_packets(record));
    let (port, name, servers) = (fields.port(record), idea::text(fields.name(record)), fields.servers(record));
    let mut source = json!({"Type": ["Backscatter"], "Proto": ["udp"], "Port": [port]});
    let (description, note) = match fields.kind(record) {
        1 => {
            // The address is that of one server, there are more.
            idea::extend(&mut source, json!({"Imprecise": true, "Count": servers}));
            (format!("{name} reflection"), format!("Answers of {servers} or more servers, and hardly a request"))
        }
        2 => {
            let requests = json!({
                "InPacketCount": req_packets, "InByteCount": req_bytes, "OutPacketCount": rsp_packets, "OutByteCount": rsp_bytes,
            });
            idea::extend(&mut source, requests);
            let factor = rsp_bytes as f64 / req_bytes.max(1) as f64;
            (
                format!("{name} amplification"),
                format!("The server answers with {factor:.1} times the bytes of the requests"),
            )
        }
        _ => return Ok(None),
    };
    let last = time::of_record(fields.last(record));
    let answers = json!({"Proto": ["udp"], "InPacketCount": rsp_packets, "InByteCount": rsp_bytes});
    let mut message = idea::begin(&["Availability.DDoS"], "reflection_detector", &["Flow", "Statistical"]);
    idea::extend(
        &mut message,
        json!({
            "EventTime": time::of_record(fields.first(record)), "DetectTime": last,
            "PacketCount": rsp_packets, "ByteCount": rsp_bytes,
            "Source": [idea::side(fields.src(record), source)], "Target": [idea::side(fields.dst(record), answers)],
            "Description": description, "Note": note,
        }),
    );
    Ok(Some(message))
}
