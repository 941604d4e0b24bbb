//! Synthetic single-cell counts as tiles of runs.

use partwise_kernels::Runs;

use crate::factors::Numbers;

/// Most nonzeros decoded at a time.
const BATCH: usize = 4096;
/// Rows of a tile.
pub(crate) const ROWS: usize = 256;

/// A few runs, as a decoder leaves them.
#[derive(Default)]
struct Batch {
    genes: Vec<u32>,
    ends: Vec<u32>,
    rows: Vec<u8>,
    values: Vec<f32>,
}

/// One tile.
pub(crate) struct Tile {
    batches: Vec<Batch>,
    genes: usize,
}

impl Tile {
    /// The frequencies of genes are log-normal, as in real data, in random order; `per_cell` nonzeros a cell on
    /// average; seven values of ten are 1.
    pub(crate) fn synthetic(genes: usize, per_cell: f64, seed: u64) -> Tile {
        let rates = rates(genes, per_cell);
        let mut numbers = Numbers(seed);
        let mut batches = vec![Batch::default()];
        for (gene, rate) in rates.iter().enumerate() {
            let chance = 1.0 - (-rate).exp();
            let rows: Vec<u8> = (0..=u8::MAX).filter(|_| numbers.unit() < chance).collect();
            if rows.is_empty() {
                continue;
            }
            let mut batch = batches.pop().unwrap_or_default();
            if batch.rows.len() + rows.len() > BATCH {
                batches.push(std::mem::take(&mut batch));
            }
            batch.genes.push(gene as u32);
            batch.values.extend(rows.iter().map(|_| (1.0 - numbers.unit().ln() / 1.2).floor() as f32));
            batch.rows.extend(rows);
            batch.ends.push(batch.rows.len() as u32);
            batches.push(batch);
        }
        Tile { batches, genes }
    }

    /// What a decoder gives, batch by batch.
    pub(crate) fn batches(&self) -> impl Iterator<Item = Runs<'_>> {
        self.batches.iter().map(|b| Runs::new(&b.genes, &b.ends, &b.rows, &b.values, ROWS, self.genes))
    }

    /// Its nonzeros.
    pub(crate) fn nonzeros(&self) -> usize {
        self.batches.iter().map(|b| b.rows.len()).sum()
    }
}

/// Expected counts: log-normal with σ = 2, scaled until `per_cell` genes of a cell are seen. The same for every tile.
fn rates(genes: usize, per_cell: f64) -> Vec<f64> {
    let mut numbers = Numbers(1);
    let raw: Vec<f64> = (0..genes)
        .map(|_| {
            let normal = (-2.0 * (1.0 - numbers.unit()).ln()).sqrt() * (std::f64::consts::TAU * numbers.unit()).cos();
            (2.0 * normal).exp()
        })
        .collect();
    let seen = |scale: f64| raw.iter().map(|r| 1.0 - (-scale * r).exp()).sum::<f64>();
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if seen(middle) < per_cell { low = middle } else { high = middle }
    }
    raw.iter().map(|r| r * low).collect()
}
