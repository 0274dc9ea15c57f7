//! MPLS: a stack of 4-byte labels; what follows is told by its first four bits (RFC 3032, 2.1; RFC 4928, 3).
//!
//! 4 and 6 are IP, 0 is the control word of an Ethernet pseudowire (RFC 4448, 4.6), whose frame follows. Others are not IP.
use super::walk::{Next, Place, Walk};
use crate::packet::{MacForm, PacketDrop, PacketView};

pub(super) fn step(walk: &mut Walk<'_, '_>) -> Result<Next, PacketDrop> {
    loop {
        walk.descend()?;
        let label = walk.take::<4>()?;
        if label[2] & 1 != 0 {
            break; // bottom of the stack
        }
    }
    match walk.peek::<1>()?[0] >> 4 {
        4 => Ok(Next::Ipv4),
        6 => Ok(Next::Ipv6),
        0 => {
            // QUIRK, both faces: the original forgets the labels and the control word here and reads IP at a wrong place.
            walk.skip(4)?;
            walk.place = Place::Pseudowire;
            Ok(Next::Ethernet)
        }
        _ => Err(PacketDrop::NotIp),
    }
}

/// EtherTypes before a label stack (RFC 5332), and of the tags that may stand before it.
const LABELS: [u16; 2] = [0x8847, 0x8848];
const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
/// Tags that are looked behind.
const TAGS_MAX: usize = 4;

impl PacketView<'_, '_> {
    /// The top entry of the label stack behind the packet's Ethernet header and its tags: label, traffic class, bottom of stack, TTL.
    pub fn top_label(&self) -> Option<[u8; 4]> {
        if self.packet.mac_form != MacForm::Ethernet {
            return None;
        }
        // Behind the two addresses.
        let mut rest = self.bytes.get(self.packet.mac_at as usize + 12..)?;
        for _ in 0..=TAGS_MAX {
            let (kind, behind) = rest.split_first_chunk()?;
            match u16::from_be_bytes(*kind) {
                kind if LABELS.contains(&kind) => return behind.first_chunk().copied(),
                kind if TAGS.contains(&kind) => rest = behind.get(2..)?,
                _ => return None,
            }
        }
        None
    }
}
