//! After start nothing is allocated for a packet (PERFORMANCE.md P9): counted, not believed.
//!
//! Start ends with the first record of each kind: the batch takes the memory for its kind then, and the encoder its template.
use benches::Profile;
use dataplane::batch::Batch;
use rig::encode::Ipfix;
use rig::{FIVE, Rig, all_plugins, frames};
use sys::{CountingAllocator, allocations};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const PACKETS: u64 = 60_000;
const PASSES: usize = 4;

/// Bytes of a message that has room for any record of the mix.
const JUMBO: u16 = 8_000;

/// Allocations in each pass after the first two, and how many flows ended meanwhile.
fn later_passes(plugins: &[&str], mut encode: Option<Ipfix>) -> (Vec<u64>, u64) {
    let mut rig = Rig::new(frames::profile(Profile::Realistic, PACKETS, 0), PACKETS / 12, plugins);
    assert!(allocations() > PACKETS.ilog2().into(), "the allocator does not count");
    let mut ended = 0;
    let mut take = |batch: &Batch| {
        ended += batch.flows().len() as u64;
        if let Some(ipfix) = &mut encode {
            ipfix.batch(batch);
        }
    };
    rig.pass(&mut take);
    rig.lane.finish(|batch| {
        take(batch);
        batch.clear();
    });
    // The encoder has a template for each set of plugins; some sets are those of flows that go on from pass to pass.
    rig.pass(&mut take);
    let later = (0..PASSES).map(|_| {
        let before = allocations();
        rig.pass(&mut take);
        allocations() - before
    });
    let later = later.collect();
    rig.check();
    (later, ended)
}

#[test]
fn a_lane_allocates_nothing_after_its_first_pass() {
    for plugins in [&[][..], &FIVE, &all_plugins()] {
        let (later, ended) = later_passes(plugins, None);
        assert!(ended > PACKETS / 12, "{ended} flows ended: too few to prove anything");
        assert_eq!(later, [0; PASSES], "plugins {plugins:?}");
    }
}

#[test]
fn nor_does_the_ipfix_encoder() {
    for (plugins, encoder) in [(&[][..], Ipfix::default()), (&all_plugins(), Ipfix::with_messages_of(JUMBO))] {
        let (later, _) = later_passes(plugins, Some(encoder));
        assert_eq!(later, [0; PASSES], "plugins {plugins:?}");
    }
}
