//! The state of one walk through a frame's headers, layer by layer, with a budget instead of recursion.
//!
//! A layer takes its header with [`Walk::take`] and answers what comes [`Next`]. `at` never passes the end of the capture, so every
//! offset a layer writes into the packet lies inside the frame.
use super::outer::{TunnelKind, TunnelMark};
use crate::packet::{Packet, PacketDrop, Tunnels};

/// Headers that one frame may stack: tags, labels, extension headers, tunnels and IP headers together. Real stacks reach about 15
/// (QinQ, MPLS, a pseudowire, QinQ again, GRE, IPv6 with extensions). QUIRK, both faces: the original has no bound.
pub(super) const LAYERS_MAX: u8 = 32;

/// What stands at the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Ethernet,
    /// What this EtherType names.
    Type(u16),
    Ipv4,
    Ipv6,
    /// What the packet's `protocol` names: the last layer that is decoded.
    Transport,
}

/// Where the header at the cursor was announced. The original follows different types in different places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A link without Ethernet header: cooked, raw, null.
    Cooked,
    Ethernet,
    /// The Ethernet frame inside TRILL, whose addresses and tag count.
    Trill,
    /// An Ethernet frame inside MPLS or a tunnel, whose addresses and tags do not.
    Pseudowire,
    Gre,
}

pub(super) struct Walk<'f, 'p> {
    pub(super) packet: &'p mut Packet,
    /// At most 65,535 bytes: offsets are 16 bits.
    pub(super) bytes: &'f [u8],
    pub(super) at: usize,
    pub(super) wire_len: usize,
    /// Face::Native: follow everything that is understood.
    pub(super) native: bool,
    pub(super) place: Place,
    /// Whether the frame's outermost tag was seen.
    pub(super) tagged: bool,
    /// Which tunnels are entered (Face::Native).
    pub(super) tunnels: Tunnels,
    /// The IP packet around a tunnel: what the packet is taken for if nothing known is inside (Face::Native).
    outer: Option<Outer>,
    /// The same for the first tunnel that was told by its content alone: nothing that is read behind may lose the packet.
    guessed_at: Option<Outer>,
    /// The cursor is inside such a tunnel.
    guessed: bool,
    /// Where the innermost one of them ends; `usize::MAX` outside.
    end: usize,
    layers_left: u8,
}

/// A packet that can be come back to, with what was true where it stands.
#[derive(Clone, Copy)]
struct Outer {
    packet: Packet,
    guessed: bool,
    end: usize,
}

impl<'f, 'p> Walk<'f, 'p> {
    pub(super) fn new(
        packet: &'p mut Packet,
        bytes: &'f [u8],
        wire_len: usize,
        native: bool,
        tunnels: Tunnels,
    ) -> Walk<'f, 'p> {
        Walk {
            packet,
            bytes: bytes.get(..u16::MAX as usize).unwrap_or(bytes),
            at: 0,
            wire_len: wire_len.max(bytes.len()),
            native,
            place: Place::Cooked,
            tagged: false,
            tunnels,
            outer: None,
            guessed_at: None,
            guessed: false,
            end: usize::MAX,
            layers_left: LAYERS_MAX,
        }
    }

    /// Counts one more header.
    pub(super) fn descend(&mut self) -> Result<(), PacketDrop> {
        self.layers_left = self.layers_left.checked_sub(1).ok_or(PacketDrop::TooDeep)?;
        Ok(())
    }

    /// Before a tunnel's header whose number says what it is: the packet so far is what counts if no IP is inside.
    pub(super) fn save(&mut self) {
        self.outer = Some(Outer { packet: *self.packet, guessed: self.guessed, end: self.end });
    }

    /// The same before one that ports and content tell; it ends at `end`.
    pub(super) fn guess(&mut self, end: usize) {
        self.save();
        self.guessed_at = self.guessed_at.or(self.outer);
        (self.guessed, self.end) = (true, end);
    }

    /// Notes the tunnel whose header stands at `header_at`; the packet is still the outer one.
    pub(super) fn enter(&mut self, kind: TunnelKind, header_at: usize) {
        let outer_l3 = self.packet.l3;
        self.packet.tunnel = TunnelMark::within(self.packet.tunnel, kind, outer_l3, header_at as u16);
    }

    /// Whether the IP packet at hand ends with the tunnel that was guessed, or before: what does not is something else.
    pub(super) fn fits(&self) -> Result<(), PacketDrop> {
        let end = usize::from(self.packet.l3).saturating_add(self.packet.ip_len as usize);
        if end > self.end { Err(PacketDrop::NotIp) } else { Ok(()) }
    }

    /// Comes back from what cannot be read inside a tunnel to the packet around it, if there is one.
    ///
    /// # Errors
    /// `why`: there is none, or what the tunnel's number promised is broken, or it was cut by the capture (so that a packet is never counted
    /// for two things, as the snap length has it).
    pub(super) fn back(&mut self, why: PacketDrop) -> Result<Next, PacketDrop> {
        let is_cut = why == PacketDrop::Truncated && self.wire_len > self.bytes.len();
        if why != PacketDrop::NotIp && (!self.guessed || is_cut) {
            return Err(why);
        }
        let outer = self.outer.take().or_else(|| self.guessed_at.take().filter(|_| self.guessed)).ok_or(why)?;
        *self.packet = outer.packet;
        self.at = outer.packet.l4.into();
        (self.guessed, self.end) = (outer.guessed, outer.end);
        Ok(Next::Transport)
    }

    /// The next `N` bytes, left where they are.
    pub(super) fn peek<const N: usize>(&self) -> Result<&'f [u8; N], PacketDrop> {
        self.rest().first_chunk().ok_or(PacketDrop::Truncated)
    }

    /// The next `N` bytes; the cursor moves behind them.
    pub(super) fn take<const N: usize>(&mut self) -> Result<&'f [u8; N], PacketDrop> {
        let header = self.peek()?;
        self.at += N;
        Ok(header)
    }

    pub(super) fn skip(&mut self, n: usize) -> Result<(), PacketDrop> {
        if n > self.bytes.len() - self.at {
            return Err(PacketDrop::Truncated);
        }
        self.at += n;
        Ok(())
    }

    /// What was captured from the cursor on.
    pub(super) fn rest(&self) -> &'f [u8] {
        self.bytes.get(self.at..).unwrap_or(&[])
    }

    /// Length of an IP packet whose header leaves it out: the rest of the frame on the wire.
    pub(super) fn offloaded_len(&self, l3: usize) -> u32 {
        // Fits: `wire_len` came from 32 bits.
        (self.wire_len - l3) as u32
    }
}

/// Big-endian 16 bits at a constant place of a header.
#[inline(always)]
pub(super) fn be16<const N: usize>(header: &[u8; N], at: usize) -> u16 {
    u16::from_be_bytes([header[at], header[at + 1]])
}
