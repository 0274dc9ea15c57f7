//! icmp: type and code of the first ICMP or ICMPv6 packet (spec/process_plugins.md, "flowhash, vlan, icmp, ...").
use crate::face::Face;
use crate::packet::protocol;
use crate::plugin::{Context, Layer, OptionError, Plugin, Slots, Step};
use record::element::iana;
use record::record;
use std::fmt::Write;

record! {
    /// ICMP or ICMPv6 type and code.
    pub struct IcmpRecord = "icmp" {
        /// type * 256 + code of the first packet. ICMPv6 uses the same element, as the original does.
        type_code: u16, ipfix iana::icmpTypeCodeIPv4, unirec "L4_ICMP_TYPE_CODE";
    }
}

pub struct Icmp;

impl Plugin for Icmp {
    type Record = IcmpRecord;
    type State = ();

    const LAYER: Layer = Layer::Stat;

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Icmp)
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if matches!(ctx.packet.packet.protocol, protocol::ICMP | protocol::ICMPV6)
            && let Some(&[kind, code]) = ctx.packet.payload().first_chunk()
            && let Some(slot) = slots.first_or_open()
        {
            slot.record.type_code = u16::from_be_bytes([kind, code]);
        }
        Step::Done
    }

    fn text(record: &IcmpRecord, out: &mut String) {
        let [kind, code] = record.type_code.to_be_bytes();
        let _ = write!(out, "type=\"{kind}\",code=\"{code}\"");
    }

    fn summary(record: &IcmpRecord, out: &mut String) {
        let [kind, code] = record.type_code.to_be_bytes();
        let _ = write!(out, "icmp type {kind} code {code}");
    }
}
