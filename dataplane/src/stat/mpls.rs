//! mpls: the top of the label stack (spec/process_plugins.md, "flowhash, vlan, ..."; RFC 3032 section 2.1).
use crate::face::Face;
use crate::plugin::{Context, Layer, OptionError, Plugin, Slots, Step, put_hex};
use record::element::iana;
use record::{Blob, record};
use std::fmt::Write;

record! {
    /// MPLS label of the flow.
    pub struct MplsRecord = "mpls" {
        /// Label (20 bits), traffic class (3) and bottom of stack (1) of the top entry in the first packet.
        top: Blob<3>, ipfix iana::mplsTopLabelStackSection, unirec "MPLS_TOP_LABEL_STACK_SECTION";
    }
}

pub struct Mpls;

impl Plugin for Mpls {
    type Record = MplsRecord;
    type State = ();

    const LAYER: Layer = Layer::Stat;

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Mpls)
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if let Some([top @ .., _ttl]) = ctx.packet.top_label()
            && let Some(slot) = slots.first_or_open()
        {
            slot.record.top.set(&top);
        }
        Step::Done
    }

    fn text(record: &MplsRecord, out: &mut String) {
        out.push_str("mpls=");
        put_hex(out, record.top.as_bytes());
    }

    fn summary(record: &MplsRecord, out: &mut String) {
        if let [high, middle, low] = *record.top.as_bytes() {
            let _ = write!(out, "label {}", u32::from_be_bytes([0, high, middle, low]) >> 4);
        }
    }
}
