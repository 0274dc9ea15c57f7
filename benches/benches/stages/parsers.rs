//! Each parser of the registry over dialogs of its protocol, and the same dialogs without it: the difference is the parser.
use criterion::{Criterion, Throughput};
use rig::{Rig, dialogs, parsers};
use std::hint::black_box;

const DIALOGS: u64 = 1_000;

pub(crate) fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("parsers");
    for parser in parsers() {
        for (name, plugins) in [(format!("{parser}/on"), vec![parser]), (format!("{parser}/off"), vec![])] {
            let mut rig = Rig::new(dialogs::of(parser, DIALOGS), DIALOGS, &plugins);
            group.throughput(Throughput::Elements(rig.packets()));
            group.bench_function(name, |b| {
                b.iter(|| {
                    rig.pass(|batch| {
                        black_box(batch);
                    })
                })
            });
            rig.check();
        }
    }
}
