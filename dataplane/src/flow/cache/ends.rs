//! What a packet and the time say about the end of its flow.
use crate::flow::{EndReason, Flow};
use crate::packet::{Packet, tcp};

/// A SYN in a direction that was already closed begins a new connection.
#[inline(always)]
pub(super) fn restarts(flow: &Flow, p: &Packet) -> bool {
    p.tcp_flags & tcp::SYN != 0 && flow.tcp_flags[flow.direction_of(p) as usize] & (tcp::FIN | tcp::RST) != 0
}

/// Whether a flow is far from its timeouts and from a restart, told without a division.
#[inline(always)]
pub(super) fn surely_goes_on(flow: &Flow, p: &Packet, quiet_ns: u64, active_ns: u64) -> bool {
    // A packet from before the flow's last seems to come after a very long time, and is looked at closely.
    let (quiet, life) = (p.at.0.wrapping_sub(flow.last.0), p.at.0.wrapping_sub(flow.first.0));
    (quiet < quiet_ns) & (life < active_ns) & !restarts(flow, p)
}

/// Why a quiet flow ended: a closed connection ended by itself.
pub(super) fn quiet_reason(flow: &Flow) -> EndReason {
    if (flow.tcp_flags[0] | flow.tcp_flags[1]) & (tcp::FIN | tcp::RST) != 0 {
        EndReason::EndOfFlow
    } else {
        EndReason::Idle
    }
}
