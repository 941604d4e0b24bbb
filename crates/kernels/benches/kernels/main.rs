//! How fast the kernels are, each in its own unit: nonzeros, flops or rows a second, one core.
//!
//! `cargo bench -p partwise-kernels` takes about a minute; a part of a name picks cases (`-- sparse/both`). What is not
//! like for like: the inputs are decoded already and partly in cache, so a pass over a store can only be slower.

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
