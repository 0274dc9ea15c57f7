//! The encoders over one batch of ended flows, elements are flows.
use criterion::{Criterion, Throughput};
use rig::encode::{Ipfix, Json, UniRec};
use rig::{Rig, dialogs};
use std::hint::black_box;

/// More than a batch holds.
const DIALOGS: u64 = 1_000;

pub(crate) fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("encoders");
    for (content, dialogs_of, plugins) in
        [("basic", "tls", &[][..]), ("basic+http", "http", &["http"]), ("basic+tls", "tls", &["tls"])]
    {
        let mut rig = Rig::new(dialogs::of(dialogs_of, DIALOGS), DIALOGS, plugins);
        rig.fill_batch();
        let batch = rig.lane.batch();
        group.throughput(Throughput::Elements(batch.flows().len() as u64));
        let mut ipfix = Ipfix::default();
        group.bench_function(format!("ipfix/{content}"), |b| b.iter(|| ipfix.batch(batch)));
        let mut unirec = UniRec::new(plugins);
        group.bench_function(format!("unirec/{content}"), |b| b.iter(|| black_box(unirec.batch(batch))));
        let mut json = Json::default();
        group.bench_function(format!("json/{content}"), |b| b.iter(|| black_box(json.batch(batch))));
    }
}
