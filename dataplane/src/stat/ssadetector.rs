//! ssadetector: TCP handshakes inside a tunnel (spec/process_plugins.md, "ssadetector").
//!
//! A SYN and the answer to it keep their lengths when they are encrypted: soon after a short packet comes one of the other direction that
//! is as long or a little longer. The course of many connections shows in a flow as many such pairs with few different lengths.
use crate::face::Face;
use crate::flow::Flow;
use crate::plugin::{Context, Layer, OptionError, Plugin, Slots, Step};
use record::element::cesnet;
use record::{List, record};
use std::fmt::Write;

record! {
    /// Connections in a tunnel.
    pub struct SsaRecord = "ssadetector" {
        /// 1 if the flow seems to carry handshakes of TCP, else 0.
        confidence: u8, ipfix cesnet::ssaConfLevel, unirec "SSA_CONF_LEVEL";
    }
}

/// Flows of so many packets or fewer say nothing; packets count from this one on.
const PACKETS_MIN: u64 = 30;
/// Payloads that may be a SYN or its answer, bytes.
const LEN_MIN: u16 = 60;
const LEN_MAX: u16 = 150;
const LENS: usize = (LEN_MAX - LEN_MIN + 1) as usize;
/// An answer is longer by at most so many bytes, and comes within so many microseconds.
const GROWTH_MAX: usize = 12;
const WAIT_MAX_US: u64 = 3_000_000;
/// Suspects whose lengths are kept.
const KEPT_MAX: u32 = 100;
/// Without so many suspects, and one for so many packets, there is no tunnel.
const SUSPECTS_MIN: u32 = 3;
const PACKETS_PER_SUSPECT_MAX: f64 = 2500.0;

pub struct SsaDetector;

#[derive(Default)]
pub struct Suspects {
    /// When the last packet of each length came, forward then reverse, microseconds since 1970; empty: none came.
    last_us: List<u64, { 2 * LENS }>,
    count: u32,
    /// Lengths of the first suspects, a bit for each above the least.
    low_lens: u64,
    high_lens: u64,
}

record::packed!(Suspects { last_us: List<u64, { 2 * LENS }>, count: u32, low_lens: u64, high_lens: u64 });

impl Plugin for SsaDetector {
    type Record = SsaRecord;
    type State = Suspects;

    const LAYER: Layer = Layer::Stat;
    const AFTER: bool = true;
    const ENDS: bool = true;
    const RESIDENT: bool = true;

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(SsaDetector)
    }

    fn create(&mut self, _ctx: &Context<'_, '_>, _slots: &mut Slots<'_, Self>) -> Step {
        Step::More
    }

    fn after(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if ctx.flow.packets_total() >= PACKETS_MIN
            && let Some(slot) = slots.first_or_open()
        {
            slot.state.see(ctx);
        }
        Step::More
    }

    fn end(&mut self, flow: &Flow, slots: &mut Slots<'_, Self>) {
        let packets = flow.packets_total();
        if packets <= PACKETS_MIN {
            return slots.clear();
        }
        if let Some(slot) = slots.first() {
            slot.record.confidence = slot.state.is_tunnel(packets).into();
        }
    }

    fn text(r: &SsaRecord, out: &mut String) {
        let _ = write!(out, "SSA={}", r.confidence);
    }

    fn summary(r: &SsaRecord, out: &mut String) {
        if r.confidence > 0 {
            out.push_str("tcp in a tunnel");
        }
    }
}

impl Suspects {
    fn see(&mut self, ctx: &Context<'_, '_>) {
        let (p, side) = (ctx.packet.packet, ctx.direction as usize);
        if !(LEN_MIN..=LEN_MAX).contains(&p.payload_wire) {
            return;
        }
        let (len, now) = (usize::from(p.payload_wire - LEN_MIN), p.at.micros());
        if self.last_us.is_empty() {
            self.last_us.extend(&[0; 2 * LENS]);
        }
        let times = self.last_us.as_mut_slice();
        let other = (1 - side) * LENS;
        let window = &times[other + len.saturating_sub(GROWTH_MAX)..=other + len];
        if !window.iter().any(|at| *at != 0 && now.saturating_sub(*at) <= WAIT_MAX_US) {
            times[side * LENS + len] = now;
            return;
        }
        times.fill(0);
        if self.count < KEPT_MAX {
            let lens = if len < 64 { &mut self.low_lens } else { &mut self.high_lens };
            *lens |= 1 << (len % 64);
        }
        self.count = self.count.saturating_add(1);
    }

    fn is_tunnel(&self, packets: u64) -> bool {
        let different = self.low_lens.count_ones() + self.high_lens.count_ones();
        let share = f64::from(different) / f64::from(self.count.min(KEPT_MAX));
        let share_max = match self.count {
            ..SUSPECTS_MIN => return false,
            SUSPECTS_MIN..15 => 0.6,
            15..40 => 0.4,
            _ => 0.2,
        };
        packets as f64 / f64::from(self.count) <= PACKETS_PER_SUSPECT_MAX && share <= share_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Direction::{self, Forward, Reverse};
    use crate::packet::protocol::UDP;
    use crate::plugin::testing::Harness;

    /// Packets of (direction, pause before it in ms, payload bytes) behind some that say nothing.
    fn play(idle: usize, packets: &[(Direction, u64, usize)]) -> Option<u8> {
        let mut h = Harness::<SsaDetector>::new(Face::Native);
        let idle = vec![(Forward, 0, 1000); idle];
        for (direction, pause, len) in idle.iter().chain(packets) {
            h.pause(*pause);
            h.packet(*direction, 1, 2, UDP, &vec![0; *len]);
        }
        h.records().first().map(|r| r.confidence)
    }

    #[test]
    fn pairs_make_suspects() {
        let pair = |pause, len| [(Forward, 0, 80), (Reverse, pause, len)];
        assert_eq!(play(30, &pair(10, 88).repeat(5)), Some(1));
        assert_eq!(play(30, &pair(10, 93).repeat(5)), Some(0), "too much longer");
        assert_eq!(play(30, &pair(3_000, 88).repeat(5)), Some(0), "too late");
        assert_eq!(play(30, &pair(10, 88).repeat(2)), Some(0), "too few");
        assert_eq!(play(30, &[(Forward, 0, 151), (Reverse, 1, 151)].repeat(5)), Some(0), "too long");
        let different: Vec<_> = (0..5).flat_map(|n| [(Forward, 0, 70 + n), (Reverse, 0, 70 + n)]).collect();
        assert_eq!(play(30, &different), Some(0), "all different");
        assert_eq!(play(10_000, &pair(10, 88).repeat(4)), Some(0), "few among many packets");
    }

    #[test]
    fn short_flows_say_nothing() {
        assert_eq!(play(20, &[(Forward, 0, 80), (Reverse, 0, 80)].repeat(5)), None);
        assert_eq!(play(0, &[(Forward, 0, 80), (Reverse, 0, 80)].repeat(20)), Some(1));
    }
}
