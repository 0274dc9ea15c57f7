//! netbios: names that are asked for or registered with the NetBIOS name service (spec/process_plugins.md, "netbios"; RFC 1002 section 4.2).
//!
//! Told by the port. One record for each packet whose first question has an encoded name.
use crate::face::Face;
use crate::l7::dns::message::Message;
use crate::plugin::{Context, OptionError, Plugin, Slots, Step, put_short, put_text};
use record::element::cesnet;
use record::{Text, record};
use std::fmt::Write;

record! {
    /// A NetBIOS name.
    pub struct NetbiosRecord = "netbios" {
        /// What has the name: 0 a workstation, 32 a file server, 27 to 30 domains and browsers.
        suffix: u8, ipfix cesnet::NBSuffix, unirec "NB_SUFFIX";
        /// The name, 15 characters, filled up with blanks.
        name: Text<NAME_LEN>, ipfix cesnet::NBName, unirec "NB_NAME";
    }
}

const NAME_LEN: usize = 15;
/// Half-bytes of name and suffix, a letter each (RFC 1001 section 14.1).
const ENCODED_LEN: u8 = 32;
/// Where the first question begins.
const QUESTION_AT: usize = 12;
const PORT: u16 = 137;
/// Packets of a flow that are looked at: each may give a record.
const PACKETS_MAX: u64 = 256;

pub struct Netbios {
    face: Face,
}

impl Plugin for Netbios {
    type Record = NetbiosRecord;
    type State = ();
    const AFTER: bool = true;
    const BY_PORT: bool = true;

    #[inline(always)]
    fn may_use(src_port: u16, dst_port: u16) -> bool {
        src_port == PORT || dst_port == PORT
    }

    fn new(options: &[&str], face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Netbios { face })
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        self.after(ctx, slots)
    }

    fn after(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if let Some((name, suffix)) = self.first_name(ctx.packet.payload())
            && let Some(slot) = slots.push()
        {
            slot.record.name.set(&name);
            slot.record.suffix = suffix;
        }
        if ctx.flow.packets_total() < PACKETS_MAX { Step::More } else { Step::Done }
    }

    fn text(r: &NetbiosRecord, out: &mut String) {
        // The original prints the number as a character.
        let _ = write!(out, "netbiossuffix={},name=\"", char::from(r.suffix));
        put_text(out, r.name.as_bytes());
        out.push('"');
    }

    fn summary(r: &NetbiosRecord, out: &mut String) {
        out.push_str("netbios ");
        put_short(out, r.name.as_bytes().trim_ascii_end());
        let _ = write!(out, " <{:02x}>", r.suffix);
    }
}

impl Netbios {
    fn first_name(&self, payload: &[u8]) -> Option<([u8; NAME_LEN], u8)> {
        if Message::of_payload(payload, false)?.questions() == 0 {
            return None;
        }
        let (&len, label) = payload.get(QUESTION_AT..)?.split_first()?;
        let (letters, _) = label.split_at_checked(ENCODED_LEN.into())?;
        // QUIRK: the original decodes whatever stands there.
        let plausible = self.face.is_original() || letters.iter().all(|letter| (b'A'..=b'P').contains(letter));
        if len != ENCODED_LEN || !plausible {
            return None;
        }
        let half = |letter: u8| letter.wrapping_sub(b'A');
        let mut bytes = letters.chunks_exact(2).map(|pair| half(pair[0]) << 4 | half(pair[1]));
        let name = std::array::from_fn(|_| bytes.next().unwrap_or_default());
        Some((name, bytes.next()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Direction::{Forward, Reverse};
    use crate::packet::protocol::UDP;
    use crate::plugin::testing::Harness;
    use proptest::prelude::*;

    fn query(name: &[u8; 16]) -> Vec<u8> {
        let mut bytes = vec![0x12, 0x34, 1, 0x10, 0, 1, 0, 0, 0, 0, 0, 0, ENCODED_LEN];
        bytes.extend(name.iter().flat_map(|b| [b'A' + (b >> 4), b'A' + (b & 15)]));
        bytes.extend([0, 0, 0x20, 0, 1]);
        bytes
    }

    #[test]
    fn a_record_for_each_packet() {
        for face in [Face::Native, Face::Ipfixprobe] {
            let mut h = Harness::<Netbios>::new(face);
            h.packet(Forward, 40000, PORT, UDP, &query(b"FILESERVER     \x20"));
            h.packet(Reverse, PORT, 40000, UDP, b"too short");
            h.packet(Forward, 40000, PORT, UDP, &query(b"\x01\x02__MSBROWSE__\x02\x01"));
            let records = h.records();
            let seen: Vec<_> = records.iter().map(|r| (r.name.as_bytes(), r.suffix)).collect();
            assert_eq!(seen, [(&b"FILESERVER     "[..], 0x20), (b"\x01\x02__MSBROWSE__\x02", 1)]);
            let mut text = String::new();
            Netbios::text(&records[0], &mut text);
            assert_eq!(text, "netbiossuffix= ,name=\"FILESERVER     \"");
        }
    }

    #[test]
    fn letters_that_no_name_has() {
        let mut bad = query(b"FILESERVER     \x20");
        bad[20] = b'z';
        for (face, records) in [(Face::Native, 0), (Face::Ipfixprobe, 1)] {
            let mut h = Harness::<Netbios>::new(face);
            h.packet(Forward, 40000, PORT, UDP, &bad);
            assert_eq!(h.records().len(), records);
        }
    }

    #[test]
    fn a_flood_of_names_is_bounded() {
        let mut h = Harness::<Netbios>::new(Face::Native);
        let steps: Vec<Step> = (0..40).map(|_| h.packet(Forward, 1, PORT, UDP, &query(&[b'A'; 16]))).collect();
        assert!(steps.iter().all(|step| *step == Step::More));
        assert_eq!(h.records().len(), 40);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(payload in prop::collection::vec(any::<u8>(), 0..80), cut in 0usize..50) {
            let mut whole = query(b"FILESERVER     \x20");
            whole.truncate(cut);
            for bytes in [&payload, &whole] {
                let mut h = Harness::<Netbios>::new(Face::Ipfixprobe);
                h.packet(Forward, PORT, PORT, UDP, bytes);
                prop_assert!(h.records().len() <= 1);
            }
        }
    }
}
