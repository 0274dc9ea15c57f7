//! bstats: bursts of packets with payload (spec/process_plugins.md, "bstats").
//!
//! A burst is three packets or more of one direction, each less than a second after the one before. The first fifteen of each
//! direction are listed.
use crate::face::Face;
use crate::flow::Flow;
use crate::plugin::{Context, Layer, OptionError, Plugin, Sides, Slots, Step, join};
use record::element::cesnet;
use record::{List, Time, record};
use std::fmt::Write;

record! {
    /// Bursts of packets with payload, of each direction in the order of time.
    pub struct BstatsRecord = "bstats" {
        /// Packets of each burst.
        packets: List<u32, BURSTS_MAX>, ipfix cesnet::burstSrcPackets, unirec "SBI_BRST_PACKETS";
        /// Payload bytes of each burst, by the length fields of the headers.
        bytes: List<u32, BURSTS_MAX>, ipfix cesnet::burstSrcBytes, unirec "SBI_BRST_BYTES";
        /// Time of each burst's first packet.
        start: List<Time, BURSTS_MAX>, ipfix cesnet::burstSrcTimeStart, unirec "SBI_BRST_TIME_START";
        /// Time of each burst's last packet.
        stop: List<Time, BURSTS_MAX>, ipfix cesnet::burstSrcTimeStop, unirec "SBI_BRST_TIME_STOP";
        /// Packets of each burst, reverse.
        packets_rev: List<u32, BURSTS_MAX>, ipfix cesnet::burstDstPackets, unirec "DBI_BRST_PACKETS";
        /// Payload bytes of each burst, reverse.
        bytes_rev: List<u32, BURSTS_MAX>, ipfix cesnet::burstDstBytes, unirec "DBI_BRST_BYTES";
        /// Time of each burst's first packet, reverse.
        start_rev: List<Time, BURSTS_MAX>, ipfix cesnet::burstDstTimeStart, unirec "DBI_BRST_TIME_START";
        /// Time of each burst's last packet, reverse.
        stop_rev: List<Time, BURSTS_MAX>, ipfix cesnet::burstDstTimeStop, unirec "DBI_BRST_TIME_STOP";
    }
}

/// Bursts of a direction that are listed.
const BURSTS_MAX: usize = 15;
/// Packets without which a burst is none.
const PACKETS_MIN: u32 = 3;
/// A pause of this length ends a burst, nanoseconds.
const PAUSE_NS: u64 = 1_000_000_000;

pub struct Bstats;

/// The burst that may still grow; no packets: none has begun.
#[derive(Clone, Copy, Debug, Default)]
pub struct Burst {
    packets: u32,
    bytes: u32,
    start: Time,
    stop: Time,
}

record::packed!(Burst { packets: u32, bytes: u32, start: Time, stop: Time });

/// The bursts of one direction.
#[derive(Default)]
pub struct Bursts {
    open: Burst,
    over: List<Burst, BURSTS_MAX>,
}

record::packed!(Bursts { open: Burst, over: List<Burst, BURSTS_MAX> });

impl Plugin for Bstats {
    type Record = BstatsRecord;
    type State = Sides<Bursts>;

    const LAYER: Layer = Layer::Stat;
    const BEFORE: bool = true;
    const ENDS: bool = true;
    const PAYLOAD_ONLY: bool = false;
    const RESIDENT: bool = true;
    const LATE: bool = true;

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Bstats)
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if let Some(sides) = slots.state_or_open() {
            sides.of(ctx.direction).see(ctx);
        }
        Step::More
    }

    fn before(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if ctx.packet.packet.payload_wire > 0
            && let Some(sides) = slots.state()
        {
            sides.of(ctx.direction).see(ctx);
        }
        Step::More
    }

    fn end(&mut self, flow: &Flow, slots: &mut Slots<'_, Self>) {
        if flow.packets_total() <= u64::from(PACKETS_MIN) {
            return slots.clear();
        }
        if let Some(sides) = slots.state() {
            sides.forward.close();
            sides.reverse.close();
        }
    }

    fn renew(sides: &mut Sides<Bursts>) {
        sides.forward.renew();
        sides.reverse.renew();
    }

    fn complete(Sides { forward, reverse }: &Sides<Bursts>, r: &mut BstatsRecord) {
        for burst in forward.over.as_slice() {
            r.packets.push(burst.packets);
            r.bytes.push(burst.bytes);
            r.start.push(burst.start);
            r.stop.push(burst.stop);
        }
        for burst in reverse.over.as_slice() {
            r.packets_rev.push(burst.packets);
            r.bytes_rev.push(burst.bytes);
            r.start_rev.push(burst.start);
            r.stop_rev.push(burst.stop);
        }
    }

    fn text(r: &BstatsRecord, out: &mut String) {
        for (side, packets, bytes, start, stop) in [
            ('s', &r.packets, &r.bytes, &r.start, &r.stop),
            ('d', &r.packets_rev, &r.bytes_rev, &r.start_rev, &r.stop_rev),
        ] {
            out.push_str(if side == 's' { "" } else { "," });
            let _ = write!(out, "{side}burstpkts=(");
            join(out, packets.as_slice());
            let _ = write!(out, "),{side}burstbytes=(");
            join(out, bytes.as_slice());
            let _ = write!(out, "),{side}bursttime=(");
            let times = start.as_slice().iter().zip(stop.as_slice());
            join(out, times.map(|(start, stop)| format!("{}-{}", Seconds(*start), Seconds(*stop))));
            out.push(')');
        }
    }
}

/// A time as the original's text output has it: seconds, a dot, microseconds without leading zeros.
pub(super) struct Seconds(pub(super) Time);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0.secs(), self.0.subsec_nanos() / 1_000)
    }
}

impl Bursts {
    fn see(&mut self, ctx: &Context<'_, '_>) {
        let (at, bytes) = (ctx.packet.packet.at, ctx.packet.packet.payload_wire.into());
        if bytes == 0 {
            return;
        }
        let burst = &mut self.open;
        // A packet from before the last one goes on, too.
        if burst.packets > 0 && at.0 < burst.stop.0.saturating_add(PAUSE_NS) {
            burst.packets = burst.packets.saturating_add(1);
            burst.bytes = burst.bytes.saturating_add(bytes);
            burst.stop = at;
            return;
        }
        self.close();
        self.open = Burst { packets: 1, bytes, start: at, stop: at };
    }

    /// Lists what was a burst, while there is room.
    fn close(&mut self) {
        let burst = std::mem::take(&mut self.open);
        if burst.packets >= PACKETS_MIN {
            self.over.push(burst);
        }
    }

    fn renew(&mut self) {
        self.open = Burst::default();
        self.over.empty();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Direction::{self, Forward, Reverse};
    use crate::packet::protocol::UDP;
    use crate::plugin::testing::{Harness, frame};

    /// Packets of (direction, pause before it in ms, payload).
    fn play(packets: &[(Direction, u64, usize)]) -> Vec<BstatsRecord> {
        let mut h = Harness::<Bstats>::new(Face::Native);
        for (direction, pause_ms, len) in packets {
            h.pause(*pause_ms);
            let (packet, bytes) = frame(*direction, 1, 2, UDP, &[], &vec![0; *len]);
            h.frame(*direction, packet, &bytes);
        }
        h.records()
    }

    #[test]
    fn bursts_of_three_or_more() {
        let one = [(Forward, 0, 10), (Forward, 998, 20), (Reverse, 0, 7), (Forward, 0, 30)];
        let two =
            [(Forward, 999, 1), (Forward, 0, 1), (Forward, 2000, 1), (Forward, 0, 0), (Forward, 0, 2), (Forward, 0, 3)];
        let [r] = &play(&[&one[..], &two].concat())[..] else { panic!("one record") };
        let ms = |n: u64| Time(n * 1_000_000);
        assert_eq!((r.packets.as_slice(), r.bytes.as_slice()), (&[3, 3][..], &[60, 6][..]));
        assert_eq!((r.start.as_slice(), r.stop.as_slice()), (&[ms(1), ms(4004)][..], &[ms(1002), ms(4007)][..]));
        assert!(r.packets_rev.is_empty() && r.start_rev.is_empty());
        let mut text = String::new();
        Bstats::text(r, &mut text);
        let want = "sburstpkts=(3,3),sburstbytes=(60,6),sbursttime=(0.1000-1.2000,4.4000-4.7000),dburstpkts=(),dburstbytes=(),dbursttime=()";
        assert_eq!(text, want);
    }

    #[test]
    fn few_packets_say_nothing() {
        assert!(play(&[(Forward, 0, 9); 3]).is_empty());
        assert_eq!(play(&[(Forward, 0, 9); 4]).len(), 1);
    }

    #[test]
    fn fifteen_bursts_are_listed() {
        let burst = [(Reverse, 1000, 5), (Reverse, 0, 5), (Reverse, 0, 5)];
        let [r] = &play(&burst.repeat(20))[..] else { panic!("one record") };
        assert_eq!((r.packets_rev.as_slice(), r.stop_rev.len()), (&[3; 15][..], 15));
    }
}
