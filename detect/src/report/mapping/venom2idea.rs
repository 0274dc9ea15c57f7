//! venom2idea: packets that try to wake the VENOM rootkit.
use crate::report::{Converted, Reporter, idea, main as report, records, time, with};
use crate::sdk::{IpAddr, Time, View, fields};
use serde_json::{Value, json};

/// One line for lists of modules.
pub const ABOUT: &str = "Reports attempts to activate the VENOM rootkit as IDEA.";
const PARAMS: [trap::module::Param; 9] = with([]);
const REPORTER: Reporter = Reporter { name: "venom2idea", module: "venom", about: ABOUT, params: &PARAMS };
/// `VENOM` of a packet with the magic string; else it is a number of packets.
const MAGIC: u8 = 255;
/// Source port and sequence number of the other way have this sum.
const SUM: u16 = 1221;

fields! {
    struct In {
        dst: IpAddr = "DST_IP", src: IpAddr = "SRC_IP", bytes: u64 = "BYTES", _link: u64 = "LINK_BIT_FIELD", first: Time = "TIME_FIRST",
        last: Time = "TIME_LAST", packets: u32 = "PACKETS", dst_port: u16 = "DST_PORT", src_port: u16 = "SRC_PORT",
        _direction: u8 = "DIR_BIT_FIELD", protocol: u8 = "PROTOCOL", _flags: u8 = "TCP_FLAGS", _tos: u8 = "TOS", _ttl: u8 = "TTL",
        venom: u8 = "VENOM",
    }
}

/// Runs the reporter; see [`crate::modules::Module::run`].
pub fn main(args: &[String]) -> u8 {
    report(&REPORTER, args, |_| Ok(records(convert)))
}

fn convert(fields: &In, record: &View<'_>) -> Converted {
    let (protocol, venom, target) = (fields.protocol(record), fields.venom(record), fields.dst(record));
    let side = |address, port: u16, kinds: &[&str]| {
        let mut more = json!({"Type": kinds});
        if let Some(name) = idea::protocol(protocol.into()) {
            more["Proto"] = json!([name]);
        }
        if matches!(protocol, 6 | 17) {
            more["Port"] = json!([port]);
        }
        idea::side(address, more)
    };
    let how = match venom {
        MAGIC => "a packet with magic string in payload".to_owned(),
        _ => format!("{venom} packets with src_port + tcp_seq = {SUM}"),
    };
    let confidence = match (fields.src_port(record), venom) {
        (SUM, _) => 0.05,
        (_, MAGIC) => 0.9,
        _ => 0.3,
    };
    let last = time::of_record(fields.last(record));
    let mut message: Value =
        idea::begin(&["Intrusion.Botnet", "Malware.Rootkit"], "venom_detector", &["Packet", "DPI"]);
    idea::extend(
        &mut message,
        json!({
            "EventTime": time::of_record(fields.first(record)), "DetectTime": last, "CeaseTime": last,
            "PacketCount": fields.packets(record), "ByteCount": fields.bytes(record),
            "Source": [
                side(fields.src(record), fields.src_port(record), &["Botnet", "CC"]),
                side(target, fields.dst_port(record), &["Botnet"]),
            ],
            "Note": format!("Activation was attempted by {how}. It is unknown if the rootkit is present on the target machine."),
            "Confidence": confidence, "Description": format!("Attempt to activate VENOM rootkit on {target}."),
            "Ref": ["https://wiki.egi.eu/wiki/Venom_Rootkit"],
        }),
    );
    Ok(Some(message))
}
