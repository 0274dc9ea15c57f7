//! Each stage of the pipeline by itself: `cargo bench -p benches [-- NAME]`, quicker with `-- --quick`. docs/benchmarks.md keeps a run.
#![forbid(unsafe_code)]

mod decode;
mod encoders;
mod lane;
mod parsers;
mod table;

use criterion::{Criterion, criterion_group, criterion_main};
use std::time::Duration;

/// Short, because a table of millions of flows is not still after a longer time either.
fn short() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(10)
        .without_plots()
}

criterion_group! {
    name = stages;
    config = short();
    targets = decode::bench, table::bench, parsers::bench, encoders::bench, lane::bench
}
criterion_main!(stages);
