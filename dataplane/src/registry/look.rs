//! Which plugins want a packet at all, asked before anything is fetched for them.
use super::{PROBES, PluginId, PluginSet, Plugins, by_ports, probe};
use crate::capture::Frame;
use crate::flow::Flow;
use crate::packet::{Direction, Packet, PacketView};

impl Plugins {
    /// The enabled plugins in the order in which they were asked for.
    pub fn order(&self) -> &[PluginId] {
        &self.order
    }

    /// All plugins that run.
    #[inline(always)]
    pub(crate) fn enabled(&self) -> PluginSet {
        self.enabled
    }

    /// What the `interest` of a new flow begins with.
    #[inline(always)]
    pub(crate) fn interest_at_first(&self, packet: &Packet) -> PluginSet {
        by_ports(self.enabled, packet.src_port, packet.dst_port)
    }

    /// Notes in each packet which plugins' look at its payload lets it pass, whatever flow it is of.
    #[inline(always)]
    pub(crate) fn look(&self, packets: &mut [Packet], frames: &[Frame<'_>]) {
        if self.enabled != 0 {
            look(self.enabled, packets, frames);
        }
    }

    /// Whether the flow's budget of inspection ends with the packets it has.
    #[inline(always)]
    pub(crate) fn is_spent(&self, flow: &Flow) -> bool {
        flow.packets_total() == self.inspected_max
    }
}

/// Whether what a packet carries may be a message that a plugin goes by: one of them will probably be asked.
#[inline(always)]
pub(crate) fn has_content(packet: &Packet) -> bool {
    packet.content & PROBES != 0
}

/// A loop of its own: the one that counts packets has no registers left for it.
#[inline(never)]
fn look(enabled: PluginSet, packets: &mut [Packet], frames: &[Frame<'_>]) {
    // Which probe answers yes is guessed wrong often, and a wrong guess costs as long as its payload takes to come.
    let begins = packets.iter().zip(frames).map(|(packet, frame)| (frame.bytes.as_ptr(), packet.payload_at));
    begins.for_each(|(frame, at)| sys::prefetch_far(frame, at.into()));
    let without_payload = probe(enabled, &[]);
    for (packet, frame) in packets.iter_mut().zip(frames) {
        let payload = PacketView { packet, bytes: frame.bytes }.payload();
        packet.content = if payload.is_empty() { without_payload } else { probe(enabled, payload) };
    }
}

/// The index of a direction's counters.
impl From<Direction> for usize {
    fn from(d: Direction) -> usize {
        d as usize
    }
}
