//! flowhash: a number of the flow's key that other probes compute too (spec/process_plugins.md, "flowhash, vlan, ..."; exporter.md 9.1).
use crate::face::Face;
use crate::flow::Flow;
use crate::plugin::{Context, Layer, OptionError, Plugin, Slots, Step};
use record::element::iana;
use record::record;
use std::fmt::Write;
use std::net::IpAddr;
use twox_hash::XxHash64;

record! {
    /// Identity of the flow.
    pub struct FlowHashRecord = "flowhash" {
        /// XXH64 of ports, protocol, IP version, addresses and VLAN id as ipfixprobe lays them out, from source to destination. The same for
        /// all records of a conversation that begins from the same side.
        flow_id: u64, ipfix iana::flowId, unirec "FLOW_ID";
    }
}

pub struct FlowHash;

impl Plugin for FlowHash {
    type Record = FlowHashRecord;
    type State = ();

    const LAYER: Layer = Layer::Stat;
    const RESIDENT: bool = true;

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(FlowHash)
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if let Some(slot) = slots.first_or_open() {
            slot.record.flow_id = flow_id(ctx.flow);
        }
        Step::Done
    }

    fn text(record: &FlowHashRecord, out: &mut String) {
        let _ = write!(out, "flow_id=\"{:x}\"", record.flow_id);
    }
}

/// Ports, protocol, version, addresses, VLAN id.
const KEY_LEN_MAX: usize = 2 + 2 + 1 + 1 + 16 + 16 + 2;

fn flow_id(flow: &Flow) -> u64 {
    let (key, (src, dst)) = (flow.key(), flow.endpoints());
    let (mut bytes, mut len) = ([0; KEY_LEN_MAX], 0);
    let mut put = |part: &[u8]| {
        bytes[len..len + part.len()].copy_from_slice(part);
        len += part.len();
    };
    // Numbers as a little-endian machine holds them, addresses as they are sent.
    put(&src.port.to_le_bytes());
    put(&dst.port.to_le_bytes());
    put(&[key.protocol(), key.ip_version()]);
    for ip in [src.ip, dst.ip] {
        match ip {
            IpAddr::V4(ip) => put(&ip.octets()),
            IpAddr::V6(ip) => put(&ip.octets()),
        }
    }
    put(&key.vlan().to_le_bytes());
    XxHash64::oneshot(0, &bytes[..len])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::FlowKey;
    use crate::packet::Direction::Forward;
    use crate::packet::protocol::{ICMP, UDP};
    use crate::plugin::testing::{Harness, frame};

    /// What ipfixprobe 5.7.0 says of two flows of its own test capture.
    #[test]
    fn known_flows() {
        let of = |(key, reversed): (FlowKey, bool)| flow_id(&Flow { reversed, ..Flow::of(key) });
        let v4 = FlowKey::v4([10, 5, 5, 26], [10, 5, 5, 1], 0, 0, ICMP, 0, false);
        assert_eq!(of(v4), 10_715_246_204_759_730_779);
        let ip = |text: &str| text.parse::<std::net::Ipv6Addr>().expect("an address").octets();
        let v6 = FlowKey::v6(ip("fe80::a2f3:c1ff:fe16:5aca"), ip("ff02::1:2"), 546, 547, UDP, 0, false);
        assert_eq!(of(v6), 2_179_844_242_105_421_719);
    }

    #[test]
    fn text_is_hexadecimal() {
        let mut h = Harness::<FlowHash>::new(Face::Native);
        let (packet, bytes) = frame(Forward, 1, 2, UDP, &[], b"");
        assert_eq!(h.frame(Forward, packet, &bytes), Step::Done);
        let r = &h.records()[0];
        let mut text = String::new();
        FlowHash::text(r, &mut text);
        assert_eq!(text, format!("flow_id=\"{:x}\"", r.flow_id));
    }
}
