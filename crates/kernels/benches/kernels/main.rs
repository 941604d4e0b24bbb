//! The speed of the kernels on one core, each in its own unit: nonzeros, flops or rows a second.
//!
//! `cargo bench -p partwise-kernels` takes about a minute. A part of a name selects cases
//! (`-- sparse/both`). A pass over a store can only be slower, because the inputs here are already
//! decoded and partly in cache.

mod counts;
mod dense;
mod factors;
mod small;
mod sparse;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

criterion_group! {
    name = kernels;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .sample_size(10);
    targets = sparse::bench, dense::bench, small::bench
}
criterion_main!(kernels);
