//! vlan: the outermost VLAN id of the first packet (spec/process_plugins.md, "flowhash, vlan, ...").
use crate::face::Face;
use crate::plugin::{Context, Layer, OptionError, Plugin, Slots, Step};
use record::element::iana;
use record::record;
use std::fmt::Write;

record! {
    /// VLAN of the flow.
    pub struct VlanRecord = "vlan" {
        /// Outermost VLAN id of the first packet, 0 if untagged.
        vlan_id: u16, ipfix iana::vlanId, unirec "VLAN_ID";
    }
}

pub struct Vlan;

impl Plugin for Vlan {
    type Record = VlanRecord;
    type State = ();

    const LAYER: Layer = Layer::Stat;
    const RESIDENT: bool = true;

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Vlan)
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if let Some(slot) = slots.first_or_open() {
            slot.record.vlan_id = ctx.packet.packet.vlan;
        }
        Step::Done
    }

    fn text(record: &VlanRecord, out: &mut String) {
        let _ = write!(out, "vlan_id=\"{}\"", record.vlan_id);
    }

    fn summary(record: &VlanRecord, out: &mut String) {
        if record.vlan_id != 0 {
            let _ = write!(out, "vlan {}", record.vlan_id);
        }
    }
}
