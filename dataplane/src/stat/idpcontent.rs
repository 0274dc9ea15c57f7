//! idpcontent: the first bytes of payload of each direction (spec/process_plugins.md, "flowhash, vlan, ...").
use crate::face::Face;
use crate::packet::Direction;
use crate::plugin::{Context, Layer, OptionError, Plugin, Slot, Slots, Step, put_hex};
use record::element::cesnet;
use record::{Blob, record};

record! {
    /// The first payload of each direction.
    pub struct IdpContentRecord = "idpcontent" {
        /// Beginning of the first payload.
        content: Blob<CONTENT_MAX>, ipfix cesnet::IDPContent, unirec "IDP_CONTENT";
        /// Beginning of the first payload, reverse.
        content_rev: Blob<CONTENT_MAX>, ipfix cesnet::IDPContentRev, unirec "IDP_CONTENT_REV";
    }
}

/// Bytes that are kept.
const CONTENT_MAX: usize = 100;

pub struct IdpContent {
    face: Face,
}

impl Plugin for IdpContent {
    type Record = IdpContentRecord;
    type State = ();

    const LAYER: Layer = Layer::Stat;
    const BEFORE: bool = true;
    const RESIDENT: bool = true;

    fn new(options: &[&str], face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(IdpContent { face })
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        // The original has a record of each flow, with payload or without.
        if self.face.is_original() {
            slots.first_or_open();
        }
        self.before(ctx, slots)
    }

    fn before(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        let payload = ctx.packet.payload();
        if payload.is_empty() {
            return Step::More;
        }
        let Some(Slot { record: r, .. }) = slots.first_or_open() else { return Step::More };
        let side = match ctx.direction {
            Direction::Forward => &mut r.content,
            Direction::Reverse => &mut r.content_rev,
        };
        if side.is_empty() {
            side.set(payload);
        }
        if r.content.is_empty() || r.content_rev.is_empty() { Step::More } else { Step::Done }
    }

    fn text(r: &IdpContentRecord, out: &mut String) {
        for (key, content) in [("idpsrc=", &r.content), (",idpdst=", &r.content_rev)] {
            out.push_str(key);
            put_hex(out, content.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Direction::{Forward, Reverse};
    use crate::packet::protocol::TCP;
    use crate::plugin::testing::Harness;

    #[test]
    fn the_first_payload_of_each_direction() {
        for face in [Face::Native, Face::Ipfixprobe] {
            let mut h = Harness::<IdpContent>::new(face);
            let steps = [
                (Forward, &b""[..]),
                (Forward, &[7; 200]),
                (Forward, b"later"),
                (Reverse, b"an answer"),
                (Reverse, b"x"),
            ];
            for (direction, payload) in steps {
                h.packet(direction, 1, 2, TCP, payload);
            }
            let r = &h.records()[0];
            assert_eq!((r.content.as_bytes(), r.content_rev.as_bytes()), (&[7; 100][..], &b"an answer"[..]));
        }
    }

    #[test]
    fn a_flow_without_payload() {
        for (face, records) in [(Face::Native, 0), (Face::Ipfixprobe, 1)] {
            let mut h = Harness::<IdpContent>::new(face);
            h.packet(Forward, 1, 2, TCP, b"");
            assert_eq!(h.records().len(), records);
        }
    }

    #[test]
    fn text_is_hexadecimal() {
        let mut h = Harness::<IdpContent>::new(Face::Native);
        h.packet(Reverse, 1, 2, TCP, b"\x01\xfe");
        let mut text = String::new();
        IdpContent::text(&h.records()[0], &mut text);
        assert_eq!(text, "idpsrc=,idpdst=01fe");
    }
}
