//! phists: histograms of payload lengths and of times between packets (spec/process_plugins.md, "phists").
//!
//! Option: `includezeroes` counts packets without payload too.
use super::pstats::is_lone_syn;
use crate::face::Face;
use crate::flow::Flow;
use crate::packet::Direction;
use crate::plugin::{
    Context, Layer, OptionError, Plugin, PluginOption, Sides, Slot, Slots, Step, Takes, join, options,
};
use record::element::cesnet;
use record::{List, record};
use std::fmt::Write;

record! {
    /// Histograms with the classes 0 to 15, 16 to 31, 32 to 63, 64 to 127, 128 to 255, 256 to 511, 512 to 1023, 1024 and above.
    pub struct PhistsRecord = "phists" {
        /// Packets by payload bytes.
        sizes: List<u32, CLASSES>, ipfix cesnet::phistSrcSizes, unirec "S_PHISTS_SIZES";
        /// Packets by payload bytes, reverse.
        sizes_rev: List<u32, CLASSES>, ipfix cesnet::phistDstSizes, unirec "D_PHISTS_SIZES";
        /// Packets by milliseconds since the one before.
        times: List<u32, CLASSES>, ipfix cesnet::phistSrcInterPacketTime, unirec "S_PHISTS_IPT";
        /// Packets by milliseconds since the one before, reverse.
        times_rev: List<u32, CLASSES>, ipfix cesnet::phistDstInterPacketTime, unirec "D_PHISTS_IPT";
    }
}

const CLASSES: usize = 8;

pub struct Phists {
    empty_too: bool,
}

impl Plugin for Phists {
    type Record = PhistsRecord;
    /// The last counted packet of each direction, milliseconds since 1970; 0: none yet.
    type State = Sides<u64>;

    const LAYER: Layer = Layer::Stat;
    const AFTER: bool = true;
    const ENDS: bool = true;
    const PAYLOAD_ONLY: bool = false;
    const RESIDENT: bool = true;
    const OPTIONS: &'static [PluginOption] = &[PluginOption {
        short: "i",
        long: "includezeroes",
        takes: Takes::Switch { default: false },
        about: "count packets without payload too",
    }];

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        let mut plugin = Phists { empty_too: false };
        for option in options {
            match options::split(option) {
                (name @ ("i" | "includezeroes"), value) => plugin.empty_too = options::switch(name, value)?,
                (name, _) => return Err(OptionError::Unknown(name.into())),
            }
        }
        Ok(plugin)
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if let Some(slot) = slots.first_or_open() {
            let r = &mut slot.record;
            for list in [&mut r.sizes, &mut r.sizes_rev, &mut r.times, &mut r.times_rev] {
                list.extend(&[0; CLASSES]);
            }
            self.see(ctx, slot);
        }
        Step::More
    }

    fn after(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if (ctx.packet.packet.payload_wire > 0 || self.empty_too)
            && let Some(slot) = slots.first()
        {
            self.see(ctx, slot);
        }
        Step::More
    }

    fn end(&mut self, flow: &Flow, slots: &mut Slots<'_, Self>) {
        if is_lone_syn(flow) {
            slots.clear();
        }
    }

    fn text(r: &PhistsRecord, out: &mut String) {
        let lists = [
            ("sphistsize", &r.sizes),
            (",sphistipt", &r.times),
            (",dphistsize", &r.sizes_rev),
            (",dphistipt", &r.times_rev),
        ];
        for (key, list) in lists {
            let _ = write!(out, "{key}=(");
            join(out, list.as_slice());
            out.push(')');
        }
    }
}

impl Phists {
    fn see(&self, ctx: &Context<'_, '_>, slot: &mut Slot<Self>) {
        let (p, r) = (ctx.packet.packet, &mut slot.record);
        if p.payload_wire == 0 && !self.empty_too {
            return;
        }
        let (sizes, times) = match ctx.direction {
            Direction::Forward => (&mut r.sizes, &mut r.times),
            Direction::Reverse => (&mut r.sizes_rev, &mut r.times_rev),
        };
        count(sizes, p.payload_wire.into());
        let last = std::mem::replace(slot.state.of(ctx.direction), p.at.millis());
        if last != 0 {
            count(times, p.at.millis().saturating_sub(last));
        }
    }
}

fn count(classes: &mut List<u32, CLASSES>, value: u64) {
    // The first class has all below 16, each other one a power of two, the last all above.
    let class = value.checked_ilog2().map_or(0, |log| (log as usize).saturating_sub(3));
    if let Some(class) = classes.as_mut_slice().get_mut(class.min(CLASSES - 1)) {
        *class = class.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Direction::{Forward, Reverse};
    use crate::packet::protocol::{TCP, UDP};
    use crate::packet::tcp;
    use crate::plugin::testing::{Harness, frame};

    #[test]
    fn classes() {
        for (value, class) in
            [(0, 0), (15, 0), (16, 1), (31, 1), (32, 2), (512, 6), (1023, 6), (1024, 7), (u64::MAX, 7)]
        {
            let mut list = List::default();
            list.extend(&[0; CLASSES]);
            count(&mut list, value);
            assert_eq!(list.as_slice().iter().position(|n| *n == 1), Some(class), "{value}");
            list.as_mut_slice().fill(u32::MAX);
            count(&mut list, value);
            assert_eq!(list.as_slice()[class], u32::MAX);
        }
    }

    #[test]
    fn directions_apart() {
        let play = |options: &[&str]| {
            let mut h = Harness::<Phists>::with_options(options, Face::Native);
            h.pause(1_000);
            for (direction, pause, len) in [(Forward, 0, 10), (Reverse, 40, 600), (Forward, 20, 0), (Forward, 100, 100)]
            {
                h.pause(pause);
                let (packet, bytes) = frame(direction, 1, 2, UDP, &[], &vec![0; len]);
                h.frame(direction, packet, &bytes);
            }
            let mut text = String::new();
            Phists::text(&h.records()[0], &mut text);
            text
        };
        let reverse = "dphistsize=(0,0,0,0,0,0,1,0),dphistipt=(0,0,0,0,0,0,0,0)";
        assert_eq!(play(&[]), format!("sphistsize=(1,0,0,1,0,0,0,0),sphistipt=(0,0,0,0,1,0,0,0),{reverse}"));
        assert_eq!(play(&["i"]), format!("sphistsize=(2,0,0,1,0,0,0,0),sphistipt=(0,0,1,1,0,0,0,0),{reverse}"));
    }

    #[test]
    fn a_lone_syn_is_left_out() {
        let mut h = Harness::<Phists>::new(Face::Native);
        let (mut packet, bytes) = frame(Forward, 1, 2, TCP, &[], &[]);
        packet.tcp_flags = tcp::SYN;
        h.frame(Forward, packet, &bytes);
        assert!(h.records().is_empty());
    }
}
