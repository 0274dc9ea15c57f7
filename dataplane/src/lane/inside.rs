//! The second packets of frames: what is inside of tunnels, where a packet counts in a flow of its outside and in one of its inside
//! ([`Tunnels::Both`](crate::packet::Tunnels)).
//!
//! Books of their own: a frame stays one packet in those of the lane, and these have the rest. Inside and outside are packets in their own right:
//! each is the lane's whose share has its addresses, each is a fragment of a datagram or none, each is a copy of another one or none.
use super::{Duplicates, Share};
use crate::capture::{BURST, Frame};
use crate::flow::frag::FragmentCache;
use crate::packet::decode::{DecodeConfig, decode_inner};
use crate::packet::{Fragment, Packet, PacketDrop};
use record::Ledger;

/// Those of the burst at hand, and the books of all.
pub(super) struct Inside {
    /// At the place of its frame; what is none has no key.
    packets: [Packet; BURST],
    /// Frames that have one, one bit each.
    set: u64,
    books: Ledger<PacketDrop>,
    /// Packets in the order in which they are counted, and the frame of each.
    merged: [Packet; BURST],
    frames: [u8; BURST],
}

const _: () = assert!(BURST <= u64::BITS as usize && BURST >= 2);

impl Default for Inside {
    fn default() -> Inside {
        Inside {
            packets: [Packet::default(); BURST],
            set: 0,
            books: Ledger::default(),
            merged: [Packet::default(); BURST],
            frames: [0; BURST],
        }
    }
}

/// A part of the packets of a burst, insides and outsides.
pub(super) struct Merged<'a> {
    pub(super) packets: &'a mut [Packet],
    /// Which frame each is of.
    pub(super) frames: &'a [u8],
}

impl Inside {
    pub(super) fn books(&self) -> &Ledger<PacketDrop> {
        &self.books
    }

    pub(super) fn has_any(&self) -> bool {
        self.set != 0
    }

    /// Before another burst.
    pub(super) fn clear(&mut self) {
        self.set = 0;
    }

    /// Looks into a frame whose outside is a packet. A tunnel without a packet in it is a drop here, and counted by the first share.
    pub(super) fn decode(
        &mut self,
        frame: &Frame<'_>,
        at: usize,
        config: &DecodeConfig,
        share: Share,
        fragments: Option<&mut FragmentCache>,
    ) {
        let packet = &mut self.packets[at];
        match decode_inner(frame, config, packet) {
            None => return,
            Some(Err(why)) => return self.books.drop(why, u64::from(share.is_first())),
            Some(Ok(())) => {}
        }
        if !share.has(&packet.key) {
            return;
        }
        if packet.fragment != Fragment::No
            && let Some(fragments) = fragments
        {
            fragments.resolve(packet, frame.bytes, config.split);
            packet.hash = packet.key.hash(config.seed);
        }
        self.set |= 1 << at;
    }

    /// Books what was found in a burst, copies as dropped.
    pub(super) fn book(&mut self, duplicates: Option<&mut Duplicates>, frames: &[Frame<'_>]) {
        if self.set == 0 {
            return;
        }
        if let Some(duplicates) = duplicates {
            for at in bits(self.set) {
                let (copies, _) = duplicates.drop_from(&mut self.packets[at..=at], &frames[at..=at]);
                if copies != 0 {
                    self.set &= !(1 << at);
                    self.books.drop(PacketDrop::Duplicate, copies);
                }
            }
        }
        self.books.keep(self.set.count_ones().into());
    }

    /// The next packets of a burst whose `outsides` these are, from the frame `*rest` on: as many frames as surely have room. A frame
    /// whose outside is none of the lane's packets has no key there.
    pub(super) fn merge(&mut self, outsides: &[Packet], rest: &mut usize) -> Merged<'_> {
        let mut len = 0;
        while let Some(outside) = outsides.get(*rest).filter(|_| len + 2 <= BURST) {
            let at = *rest;
            *rest += 1;
            let inside = (self.set >> at & 1 != 0).then_some(&self.packets[at]);
            for packet in [Some(outside), inside].into_iter().flatten() {
                if !packet.key.is_none() {
                    (self.merged[len], self.frames[len]) = (*packet, at as u8);
                    len += 1;
                }
            }
        }
        Merged { packets: &mut self.merged[..len], frames: &self.frames[..len] }
    }
}

/// The places of the bits that are set.
fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let at = (set != 0).then_some(set.trailing_zeros() as usize)?;
        set &= set - 1;
        Some(at)
    })
}
