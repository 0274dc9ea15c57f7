//! Whole lanes from memory: no file, no export.
use benches::Profile;
use criterion::{Criterion, Throughput};
use rig::{FIVE, Rig, all_plugins, frames};
use std::hint::black_box;

pub(crate) fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("lane");
    let all = all_plugins();
    for (name, profile, packets, flows, plugins) in [
        ("small64/100k", Profile::Small64, 1_000_000, 100_000, &[][..]),
        ("small64/1M", Profile::Small64, 2_000_000, 1_000_000, &[]),
        ("realistic/basic", Profile::Realistic, 500_000, 0, &[]),
        ("realistic/five", Profile::Realistic, 500_000, 0, &FIVE),
        ("realistic/all", Profile::Realistic, 500_000, 0, &all),
    ] {
        let room = if flows == 0 { packets / 12 } else { flows };
        let mut rig = None;
        group.throughput(Throughput::Elements(packets));
        group.bench_function(name, |b| {
            let rig = rig.get_or_insert_with(|| {
                let mut rig = Rig::new(frames::profile(profile, packets, flows), room, plugins);
                rig.pass(|_| ());
                rig
            });
            b.iter(|| {
                rig.pass(|batch| {
                    black_box(batch);
                })
            });
        });
    }
}
