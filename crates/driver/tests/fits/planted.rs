//! Small matrices with planted components, and stores of them.

use std::ops::Range;
use std::path::Path;

use partwise_driver::{DataShape, DriverError, Fit, Machine, NmfConfig, Plan, StopReason, fit};
use partwise_storage::sampling::Caps;
use partwise_storage::store::{EncodedTile, Layout, Overwrite, SourceStamp, Store, StoreHeader, StoreWriter};
use partwise_storage::tile::{CsrRows, TileEncoder, encode_dense};
use partwise_storage::{Quiet, anndata::AnnDataWriter};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A matrix in memory, row-major.
#[derive(Debug, Clone)]
pub(crate) struct Matrix {
    pub(crate) cells: usize,
    pub(crate) genes: usize,
    pub(crate) values: Vec<f32>,
}

impl Matrix {
    pub(crate) fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.genes..(i + 1) * self.genes]
    }

    pub(crate) fn sq_norm(&self) -> f64 {
        self.values.iter().map(|&v| f64::from(v).powi(2)).sum()
    }
}

/// Counts around a planted W·H with `k` components; every 13th row and every 11th gene is empty,
/// and one row and one gene hold a single entry.
pub(crate) fn counts(cells: usize, genes: usize, k: usize, seed: u64) -> Matrix {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let h: Vec<f32> = (0..k * genes).map(|_| rng.random::<f32>().powi(6) * 6.0).collect();
    let mut values = vec![0.0; cells * genes];
    for (i, row) in values.chunks_exact_mut(genes).enumerate() {
        let w: Vec<f32> = (0..k).map(|_| rng.random::<f32>().powi(3)).collect();
        for (j, value) in row.iter_mut().enumerate() {
            let mean: f32 = (0..k).map(|c| w[c] * h[c * genes + j]).sum();
            let noise = rng.random::<f32>() + rng.random::<f32>();
            *value = if i % 13 == 5 || j % 11 == 7 { 0.0 } else { (mean * noise).round() };
        }
    }
    if cells > 30 && genes > 20 {
        values[5 * genes + 3] = 2.0;
        values[2 * genes + 7] = 3.0;
    }
    Matrix { cells, genes, values }
}

/// Values without zeros around a planted W·H.
pub(crate) fn dense(cells: usize, genes: usize, k: usize, seed: u64) -> Matrix {
    let mut matrix = counts(cells, genes, k, seed);
    let mut rng = ChaCha8Rng::seed_from_u64(!seed);
    matrix.values.iter_mut().for_each(|value| *value += rng.random::<f32>());
    matrix
}

/// A store of `matrix` in `folder`.
pub(crate) fn store(folder: &Path, matrix: &Matrix, layout: Layout, block_rows: usize) -> Store {
    let tile_rows = match layout {
        Layout::Sparse => 256,
        Layout::Dense => 64,
    };
    let shape = (matrix.cells, matrix.genes);
    store_of_tiles(folder, shape, layout, (block_rows, tile_rows), None, &mut |rows| matrix.tile(rows, layout))
}

/// A store of `matrix`, sparse, that keeps a sample of its rows, however small it is.
pub(crate) fn store_with_sample(folder: &Path, matrix: &Matrix, block_rows: usize, kept: Caps) -> Store {
    let shape = (matrix.cells, matrix.genes);
    let tile = &mut |rows| matrix.tile(rows, Layout::Sparse);
    store_of_tiles(folder, shape, Layout::Sparse, (block_rows, 256), Some(kept), tile)
}

impl Matrix {
    fn tile(&self, rows: Range<usize>, layout: Layout) -> EncodedTile {
        let values = &self.values[rows.start * self.genes..rows.end * self.genes];
        encode(values, rows.len(), self.genes, layout)
    }
}

/// A store of cells × genes in `folder` whose tiles `tile` makes, asked in order.
pub(crate) fn store_of_tiles(
    folder: &Path,
    (cells, genes): (usize, usize),
    layout: Layout,
    (block_rows, tile_rows): (usize, usize),
    kept: Option<Caps>,
    tile: &mut dyn FnMut(Range<usize>) -> EncodedTile,
) -> Store {
    let header = StoreHeader { cells, genes, layout, block_rows, tile_rows, source: SourceStamp::default() };
    let path = folder.join(format!("{layout:?}-{block_rows}.pw"));
    let mut writer = StoreWriter::create(&path, header, Overwrite::Refuse).unwrap();
    // Blocks start where a tile starts, so tiles are cut anew in each.
    for block in 0..cells.div_ceil(block_rows) {
        let end = ((block + 1) * block_rows).min(cells);
        for first in (block * block_rows..end).step_by(tile_rows) {
            writer.push_tile(&tile(first..(first + tile_rows).min(end))).unwrap();
        }
    }
    if let Some(caps) = kept {
        writer.write_sample(caps, 2, &Quiet).unwrap();
    }
    let mut annotations = AnnDataWriter::create(&writer.annotations_path(), Overwrite::Refuse).unwrap();
    for (axis, n) in [(partwise_storage::Axis::Cells, cells), (partwise_storage::Axis::Genes, genes)] {
        let mut frame = annotations.dataframe(axis, n).unwrap();
        frame.names((0..n).map(|i| i.to_string())).unwrap();
        frame.finish().unwrap();
    }
    annotations.finish().unwrap();
    writer.finish().unwrap()
}

fn encode(values: &[f32], rows: usize, genes: usize, layout: Layout) -> EncodedTile {
    let mut bytes = Vec::new();
    let (moments, nonzeros) = match layout {
        Layout::Dense => {
            let moments = encode_dense(values, genes, &mut bytes);
            (moments, values.iter().filter(|&&value| value != 0.0).count())
        }
        Layout::Sparse => {
            let (mut indptr, mut indices, mut kept) = (vec![0], Vec::new(), Vec::new());
            for row in values.chunks_exact(genes) {
                for (j, &value) in row.iter().enumerate().filter(|(_, value)| **value != 0.0) {
                    indices.push(j as u32);
                    kept.push(value);
                }
                indptr.push(kept.len());
            }
            return encode_sparse(CsrRows { indptr: &indptr, indices: &indices, values: &kept }, genes);
        }
    };
    EncodedTile { bytes, rows, nonzeros: nonzeros as u64, moments }
}

/// Sparse rows as a tile.
pub(crate) fn encode_sparse(rows: CsrRows<'_>, genes: usize) -> EncodedTile {
    let mut bytes = Vec::new();
    let moments = TileEncoder::new().encode(rows, genes, &mut bytes);
    EncodedTile { bytes, rows: rows.indptr.len() - 1, nonzeros: rows.values.len() as u64, moments }
}

pub(crate) fn plan(store: &Store, config: &NmfConfig, threads: usize) -> Plan {
    config.plan(&DataShape::of_store(store).unwrap(), &Machine::new(threads, 1 << 30)).unwrap()
}

pub(crate) fn run(store: &Store, config: &NmfConfig) -> Fit {
    fit(store, &plan(store, config, 2), &Quiet).unwrap_or_else(|error| panic!("{config:?}: {error}"))
}

/// W of a fit, n × k.
pub(crate) fn usages(fit: &Fit) -> Vec<f32> {
    let mut w = Vec::new();
    for rows in fit.usage_blocks() {
        let rows = rows.unwrap();
        assert_eq!((rows.first * fit.k(), rows.k), (w.len(), fit.k()));
        w.extend_from_slice(&rows.values);
    }
    assert!(w == fit.usages().unwrap());
    w
}

/// A fit that was cancelled counts as a failure.
pub(crate) fn uncancelled(fit: Result<Fit, DriverError>) -> Result<Fit, DriverError> {
    match fit {
        Ok(fit) if fit.stop == StopReason::Cancelled => Err(DriverError::Cancelled),
        fit => fit,
    }
}

/// The kind of CPU that checkpoints of tests are written on.
pub(crate) const CPU: &str = "the CPU of this test";

/// ‖X − WH‖² entry by entry, each gene multiplied by `factors` first.
pub(crate) fn sq_residual(x: &Matrix, w: &[f32], ht: &[f32], k: usize, factors: impl Fn(usize) -> f64) -> f64 {
    let mut sum = 0.0;
    for (i, w) in w.chunks_exact(k).enumerate() {
        for (j, (&value, h)) in x.row(i).iter().zip(ht.chunks_exact(k)).enumerate() {
            let model: f64 = w.iter().zip(h).map(|(&w, &h)| f64::from(w) * f64::from(h)).sum();
            sum += ((f64::from(value) - model) * factors(j)).powi(2);
        }
    }
    sum
}
