//! The speed of decoding a tile, in nonzeros a second on one core, beside a copy of its packed
//! bytes.
//!
//! | case       | rows × genes | nonzeros a run | values                                    |
//! |------------|--------------|----------------|-------------------------------------------|
//! | counts     | 256 × 20,000 | about 16       | mostly 1, gene frequencies over a 1/x law |
//! | shallow    | 256 × 20,000 | about 6        | the same, a quarter of the depth          |
//! | rare       | 256 × 20,000 | about 4        | the same, an eighth of the depth          |
//! | frequent   | 256 × 2,000  | about 100      | the same, the upper end of the law        |
//! | dictionary | 256 × 20,000 | about 16       | the counts, each row scaled               |
//! | raw        | 256 × 20,000 | about 16       | floats that are all distinct              |
//!
//! The tiles *shallow* and *rare* pack the rows of their runs.
//!
//! Each case is checked against its rows before it is timed.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use partwise_storage::tile::{CsrRows, RunBatch, SparseTile, TILE_ROWS, TileEncoder};

/// Rows in compressed form.
struct Rows {
    indptr: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f32>,
    genes: usize,
}

/// A small generator with a fixed sequence, uniform in [0, 1).
struct Uniform(u64);

impl Uniform {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A gene's mean is `depth / (place + 5)` for a random place among `genes`; counts are geometric.
fn counts(genes: usize, depth: f64) -> Rows {
    let mut uniform = Uniform(7);
    let mut means: Vec<f64> = (0..genes).map(|place| depth / (place + 5) as f64).collect();
    for last in (1..genes).rev() {
        means.swap(last, (uniform.next() * (last + 1) as f64) as usize);
    }
    let mut rows = Rows { indptr: vec![0], indices: vec![], values: vec![], genes };
    for _ in 0..TILE_ROWS {
        for (gene, mean) in means.iter().enumerate() {
            let count = (uniform.next().ln() / (mean / (1.0 + mean)).ln()).floor();
            if count >= 1.0 {
                rows.indices.push(gene as u32);
                rows.values.push(count.min(60_000.0) as f32);
            }
        }
        rows.indptr.push(rows.indices.len());
    }
    rows
}

impl Rows {
    /// The same with row i divided by i + 1.
    fn scaled(mut self) -> Self {
        for row in 0..TILE_ROWS {
            self.values[self.indptr[row]..self.indptr[row + 1]]
                .iter_mut()
                .for_each(|value| *value *= 0.1 / (row + 1) as f32);
        }
        self
    }

    /// The same with values that are all distinct.
    fn distinct(mut self) -> Self {
        self.values.iter_mut().enumerate().for_each(|(place, value)| *value = 0.5 + place as f32 * 0.01);
        self
    }
}

fn decode(criterion: &mut Criterion) {
    let cases = [
        ("counts", counts(20_000, 300.0)),
        ("shallow", counts(20_000, 80.0)),
        ("rare", counts(20_000, 40.0)),
        ("frequent", counts(2_000, 1000.0)),
        ("dictionary", counts(20_000, 300.0).scaled()),
        ("raw", counts(20_000, 300.0).distinct()),
    ];
    let mut group = criterion.benchmark_group("decode");
    for (name, rows) in cases {
        let mut bytes = Vec::new();
        let csr = CsrRows { indptr: &rows.indptr, indices: &rows.indices, values: &rows.values };
        let moments = TileEncoder::new().encode(csr, rows.genes, &mut bytes);
        let nonzeros = rows.values.len();
        println!(
            "{name}: {:.1} nonzeros a run, {:.3} bytes a nonzero",
            nonzeros as f64 / moments.genes.len() as f64,
            bytes.len() as f64 / nonzeros as f64
        );
        let tile = SparseTile::parse(&bytes, TILE_ROWS, rows.genes, nonzeros as u64).expect("just packed");
        let mut batch = RunBatch::new();
        let mut all = |sink: &mut dyn FnMut(&RunBatch)| {
            let mut runs = tile.runs();
            while runs.next_batch(&mut batch).expect("whole") {
                sink(&batch);
            }
        };
        let (mut seen, mut sum) = (0, 0.0);
        all(&mut |batch| {
            seen += batch.rows.len();
            sum += batch.values.iter().map(|&value| f64::from(value)).sum::<f64>();
        });
        let expected: f64 = rows.values.iter().map(|&value| f64::from(value)).sum();
        assert!(seen == nonzeros && (sum - expected).abs() <= 1e-9 * expected, "{name} comes back");

        group.throughput(Throughput::Elements(nonzeros as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| all(&mut |batch| _ = black_box(batch)));
        });
        let mut copy = bytes.clone();
        group.bench_function(format!("{name}: copy of the packed bytes"), |bencher| {
            bencher.iter(|| copy.copy_from_slice(black_box(&bytes)));
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
