//! nettisa: thirteen features of a flow as a time series of payload lengths (spec/process_plugins.md, "nettisa"; Koumar et al.,
//! "NetTiSA: Extended IP flow with time-series features").
//!
//! Both directions are one series. Sums are kept in the precision of the original, so that its digits come out.
use crate::face::Face;
use crate::flow::Flow;
use crate::plugin::{Context, Layer, OptionError, Plugin, Slot, Slots, Step};
use record::element::cesnet;
use record::record;

record! {
    /// Features of the series of payload lengths and times, both directions together.
    pub struct NettisaRecord = "nettisa" {
        /// Mean payload length, bytes.
        mean: f32, ipfix cesnet::ntsMeanPacketPayload, unirec "NTS_MEAN";
        /// Smallest payload length.
        min: u16, ipfix cesnet::ntsMinPacketPayload, unirec "NTS_MIN";
        /// Largest payload length.
        max: u16, ipfix cesnet::ntsMaxPacketPayload, unirec "NTS_MAX";
        /// Standard deviation of the payload lengths.
        stdev: f32, ipfix cesnet::ntsStdevPacketPayload, unirec "NTS_STDEV";
        /// Kurtosis of the payload lengths, 0 if all are the same.
        kurtosis: f32, ipfix cesnet::ntsKurtosisPacketPayload, unirec "NTS_KURTOSIS";
        /// Root of the mean square payload length.
        root_mean_square: f32, ipfix cesnet::ntsRootMeanSquarePacketPayload, unirec "NTS_ROOT_MEAN_SQUARE";
        /// Mean distance of a payload length from the mean before it.
        average_dispersion: f32, ipfix cesnet::ntsAverageDispersionPacketPayload, unirec "NTS_AVERAGE_DISPERSION";
        /// Mean time since the beginning of the flow, microseconds.
        mean_scaled_time: f32, ipfix cesnet::ntsMeanScaledTime, unirec "NTS_MEAN_SCALED_TIME";
        /// Mean time since the packet before, microseconds.
        mean_difftimes: f32, ipfix cesnet::ntsMeanDifftimes, unirec "NTS_MEAN_DIFFTIMES";
        /// Smallest time since the packet before; the first packet's 0 counts in the original.
        min_difftimes: f32, ipfix cesnet::ntsMinDifftimes, unirec "NTS_MIN_DIFFTIMES";
        /// Largest time since the packet before.
        max_difftimes: f32, ipfix cesnet::ntsMaxDifftimes, unirec "NTS_MAX_DIFFTIMES";
        /// Mean distance of the times from their mean, in relation to their range.
        time_distribution: f32, ipfix cesnet::ntsTimeDistribution, unirec "NTS_TIME_DISTRIBUTION";
        /// Share of packets whose length on the wire is not that of the packet before.
        switching_ratio: f32, ipfix cesnet::ntsSwitchingRatio, unirec "NTS_SWITCHING_RATIO";
    }
}

pub struct Nettisa {
    face: Face,
}

/// Beside the record, whose fields hold sums until the flow ends.
#[derive(Default)]
pub struct Series {
    /// Sum of payload lengths.
    payload: u64,
    /// Time of the last packet, microseconds since 1970.
    last_us: u64,
    /// Length of the last packet on the wire, 0 before the first.
    wire: u32,
}

record::packed!(Series { payload: u64, last_us: u64, wire: u32 });

impl Plugin for Nettisa {
    type Record = NettisaRecord;
    type State = Series;

    const LAYER: Layer = Layer::Stat;
    const AFTER: bool = true;
    const ENDS: bool = true;
    const PAYLOAD_ONLY: bool = false;
    const RESIDENT: bool = true;

    fn new(options: &[&str], face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Nettisa { face })
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if let Some(slot) = slots.first_or_open() {
            slot.record.min = u16::MAX;
            slot.record.min_difftimes = f32::MAX;
            slot.state.last_us = ctx.packet.packet.at.micros();
            self.see(ctx, slot);
        }
        Step::More
    }

    fn after(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if let Some(slot) = slots.first() {
            self.see(ctx, slot);
        }
        Step::More
    }

    fn end(&mut self, flow: &Flow, slots: &mut Slots<'_, Self>) {
        let packets = flow.packets_total();
        if packets <= 1 {
            return slots.clear();
        }
        let Some(slot) = slots.first() else { return };
        let (r, n) = (&mut slot.record, packets as f32);
        r.switching_ratio /= n;
        let mean = if self.face.is_original() {
            // QUIRK: an integer division.
            (slot.state.payload / packets) as f64
        } else {
            slot.state.payload as f64 / packets as f64
        };
        let mean_square = r.root_mean_square / n;
        // Rounding may take a variance of nothing below it.
        r.stdev = (f64::from(mean_square) - mean * mean).max(0.0).sqrt() as f32;
        r.kurtosis = match f64::from(r.stdev) {
            0.0 => 0.0,
            stdev => (f64::from(r.kurtosis) / (packets as f64 * stdev.powi(4))) as f32,
        };
        // QUIRK: from the largest time the smallest length is taken off.
        let least = if self.face.is_original() { f32::from(r.min) } else { r.min_difftimes };
        let range = r.max_difftimes - least;
        let distance = r.time_distribution / (n - 1.0);
        r.time_distribution = if range == 0.0 && !self.face.is_original() { 0.0 } else { distance / range };
        r.root_mean_square = f64::from(mean_square).sqrt() as f32;
        r.average_dispersion /= n;
    }

    /// The original has none.
    fn text(_record: &NettisaRecord, _out: &mut String) {}
}

impl Nettisa {
    fn see(&self, ctx: &Context<'_, '_>, slot: &mut Slot<Self>) {
        let (p, r, series) = (ctx.packet.packet, &mut slot.record, &mut slot.state);
        let (packets, len, now_us) = (ctx.flow.packets_total(), p.payload_wire, p.at.micros());
        let n = packets as f32;
        let off = f32::from(len) - r.mean;
        r.mean += off / n;
        r.min = r.min.min(len);
        r.max = r.max.max(len);
        let square = u32::from(len) * u32::from(len);
        r.root_mean_square = (f64::from(r.root_mean_square) + f64::from(square)) as f32;
        r.average_dispersion += off.abs();
        r.kurtosis = (f64::from(r.kurtosis) + f64::from(off).powi(4)) as f32;
        let life = now_us.saturating_sub(ctx.flow.first.micros()) as f32;
        r.mean_scaled_time += (life - r.mean_scaled_time) / n;
        let pause = now_us.saturating_sub(series.last_us) as f32;
        // There is no packet before the first one; the original takes that for a pause of 0.
        let pauses = if self.face.is_original() { n } else { n - 1.0 };
        if pauses > 0.0 {
            r.mean_difftimes += (pause - r.mean_difftimes) / pauses;
            r.min_difftimes = r.min_difftimes.min(pause);
            r.max_difftimes = r.max_difftimes.max(pause);
            r.time_distribution += (r.mean_difftimes - pause).abs();
        }
        let wire = ctx.packet.wire_len();
        if std::mem::replace(&mut series.wire, wire) != wire {
            r.switching_ratio += 1.0;
        }
        series.payload += u64::from(len);
        series.last_us = now_us;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Direction::{Forward, Reverse};
    use crate::packet::protocol::UDP;
    use crate::plugin::testing::{Harness, frame};

    fn play(face: Face, lens: &[usize]) -> Vec<NettisaRecord> {
        let mut h = Harness::<Nettisa>::new(face);
        for (at, len) in lens.iter().enumerate() {
            let direction = if at % 2 == 0 { Forward } else { Reverse };
            h.pause(if at == 2 { 2 } else { 0 });
            let (packet, bytes) = frame(direction, 1, 2, UDP, &[], &vec![0; *len]);
            h.frame(direction, packet, &bytes);
        }
        h.records()
    }

    /// Packets at 1, 2 and 5 ms.
    #[test]
    fn three_packets() {
        let [r] = &play(Face::Native, &[10, 20, 20])[..] else { panic!("one record") };
        let near = |a: f32, b: f64| assert!((f64::from(a) - b).abs() < 0.01, "{a} is not {b}");
        assert_eq!((r.min, r.max), (10, 20));
        near(r.mean, 50.0 / 3.0);
        near(r.stdev, (200.0f64 / 9.0).sqrt());
        near(r.root_mean_square, 300.0f64.sqrt());
        near(r.mean_scaled_time, 5_000.0 / 3.0);
        near(r.mean_difftimes, 2_000.0);
        assert_eq!((r.min_difftimes, r.max_difftimes), (1_000.0, 3_000.0));
        // |1000 - 1000| and |2000 - 3000|, over two pauses and a range of 2000.
        near(r.time_distribution, 0.25);
        near(r.switching_ratio, 2.0 / 3.0);
        // Distances from the mean before: 10, 10, 5.
        near(r.average_dispersion, 25.0 / 3.0);
        near(r.kurtosis, (10_000.0 + 10_000.0 + 625.0) / (3.0 * (200.0f64 / 9.0).powi(2)));
        let [r] = &play(Face::Ipfixprobe, &[10, 20, 20])[..] else { panic!("one record") };
        near(r.stdev, (300.0f64 - 16.0 * 16.0).sqrt());
        assert_eq!(r.min_difftimes, 0.0);
        near(r.mean_difftimes, 4_000.0 / 3.0);
        // Running means 0, 500, 1333.3; distances 0, 500, 1666.7; the smallest length is 10.
        near(r.time_distribution, (500.0 + 5_000.0 / 3.0) / 2.0 / 2_990.0);
    }

    #[test]
    fn equal_packets_have_no_kurtosis_and_one_packet_no_record() {
        let [r] = &play(Face::Native, &[10, 10])[..] else { panic!("one record") };
        assert_eq!((r.stdev, r.kurtosis, r.time_distribution), (0.0, 0.0, 0.0));
        assert!(play(Face::Native, &[10]).is_empty());
    }
}
