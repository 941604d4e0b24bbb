//! Usages of cells under known spectra: X·D ≈ W·Ĥ with Ĥ fixed, W the exact non-negative least squares,
//! in one pass.
//!
//! Genes that the spectra do not know have the factor zero in D, so they count nowhere. With scaled genes
//! D also has 1/σ of the fit that found the spectra, and the genes weigh as they did there.

use partwise_kernels::{Dead, PreparedRule, UpdateRule};
use partwise_storage::anndata::{AnnDataWriter, RowsInPlace, UsageTables, Value};
use partwise_storage::store::Store;

use crate::blocks::{Blocks, FitData, StoreBlocks};
use crate::comm::Comm;
use crate::compute::row_table::{Local, RowMap, RowSums, RowTable, Sink};
use crate::digest::RowHashes;
use crate::engine::{Direction, Engine, Worker};
use crate::error::DriverError;
use crate::monitor::FitMonitor;
use crate::plan::RowsPlan;
use crate::result::{Destination, RowsOf, write_rows};
use crate::spectra::{Spectra, unit_norm_powers};

/// Known spectra, in the order of the genes of the data.
#[derive(Debug, Clone)]
pub struct KnownSpectra {
    /// Hᵀ in the units of the input; zero for genes that the spectra do not know.
    pub spectra: Spectra,
    /// d_j: the weight of every gene, zero where the spectra do not know it.
    pub factors: Vec<f32>,
    /// The scale of the cells whose usages are found.
    pub cells: CellScale,
}

/// What a cell is multiplied by, and its usages with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellScale {
    /// Nothing.
    None,
    /// 10⁶ / (sum of the cell): spectra are in values per million.
    PerMillion,
}

impl KnownSpectra {
    /// The tables of usages under them. Spectra in values per million all have about the same sum, so a usage is a
    /// part of a cell as it is: cNMF normalizes usages alike.
    pub(crate) fn tables(&self, in_obs: bool) -> UsageTables {
        let sums = match self.cells {
            CellScale::None => self.spectra.sums(),
            CellScale::PerMillion => vec![1.0; self.spectra.k()],
        };
        UsageTables::new(sums, in_obs)
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Transformed {
    /// ‖X̂ − W·Ĥ‖ / ‖X̂‖ over the genes that the spectra know; zero if X̂ is.
    pub relative_error: f64,
    /// A hash of the bits of W and H, as that of a fit.
    pub digest: String,
}

/// Writes the usages of `store` under `known` to `dest`: an AnnData file with `obs` and `var` of the store,
/// usages as a fit has them, `varm["spectra"]` (NaN for genes that the spectra do not know), and the
/// notes with the error and the digest in `uns["nmf"]`. All processes of `comm` call it.
///
/// # Errors
///
/// As [`result::write_among`](crate::result::write_among), and as a pass of a fit.
pub fn transform(
    store: &Store,
    known: &KnownSpectra,
    plan: &RowsPlan,
    dest: Destination<'_>,
    (comm, monitor): (&dyn Comm, &dyn FitMonitor),
) -> Result<Transformed, DriverError> {
    let data = StoreBlocks::new(store);
    let k = known.spectra.k();
    let engine = Engine::new(plan.segment_bytes as usize, monitor).among(comm);
    let Destination { path, overwrite, usages_in_obs, notes, .. } = dest;
    let tables = known.tables(usages_in_obs);
    let begin = |file: &mut AnnDataWriter| Ok(tables.begin(file, store.cells())?);
    let rows = |file: &RowsInPlace| {
        let sink =
            |first: usize, rows: &[f32]| Ok(tables.put(rows, |table, at, part| file.write(table, first + at, part))?);
        let wanted = Wanted { known, sink: &sink };
        usages(&data, &[wanted], &engine, plan.threads).map(|mut found| found.swap_remove(0))
    };
    let finish = |file: &mut AnnDataWriter, found: &Transformed| {
        let mut spectra = known.spectra.to_rows();
        for (gene, &factor) in spectra.chunks_exact_mut(k).zip(&known.factors) {
            if factor == 0.0 {
                gene.fill(f32::NAN);
            }
        }
        file.array2("varm", "spectra", known.spectra.genes(), k)?.write_rows(0, &spectra)?;
        let mut about = notes;
        about.push(("relative_error".into(), found.relative_error.into()));
        about.push(("explained".into(), (1.0 - found.relative_error.powi(2)).into()));
        about.push(("digest".into(), found.digest.as_str().into()));
        about.push(("data_fingerprint".into(), store.fingerprint().into()));
        Ok(file.uns("nmf", &Value::Map(about))?)
    };
    write_rows(RowsOf { store, kept: (None, None), dest: path, overwrite }, comm, begin, rows, finish)
}

/// Usages that are wanted of all cells, and who takes them.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'w> {
    pub(crate) known: &'w KnownSpectra,
    pub(crate) sink: &'w Sink<'w>,
}

/// Known spectra, ready for a pass.
struct Prepared {
    /// D·Ĥᵀ, its components scaled by powers of two.
    scaled: Spectra,
    powers: Vec<f32>,
    /// Ĥ·Ĥᵀ, so scaled.
    hht: Vec<f64>,
    rule: PreparedRule,
    /// ‖X̂‖².
    sq_norm: f64,
    sums: RowSums,
    hashes: RowHashes,
}

impl Prepared {
    fn new(known: &KnownSpectra, blocks: &dyn Blocks) -> Self {
        let k = known.spectra.k();
        // Ĥ = H·D, its components scaled by powers of two so that their norms are in [1, 2).
        let mut scaled = known.spectra.clone();
        scaled.multiply_genes(&known.factors);
        let mut hht = scaled.gram();
        let powers = unit_norm_powers(&mut hht, k);
        scaled.scale_components(&powers);
        let gram: Vec<f32> = hht.iter().map(|&value| value as f32).collect();
        let rule = UpdateRule::Bpp.prepare(&gram, k, Dead::Zero);
        // X̂·Ĥᵀ = X·(D·Ĥᵀ).
        scaled.multiply_genes(&known.factors);
        let squares = blocks.gene_sq_norms().iter().zip(&known.factors);
        let sq_norm: f64 = squares.map(|(norm, &factor)| norm * f64::from(factor).powi(2)).sum();
        let (sums, hashes) = (RowSums::new(k, sq_norm), RowHashes::new(blocks.blocks()));
        Prepared { scaled, powers, hht, rule, sq_norm, sums, hashes }
    }

    /// Usages in the scale of the spectra, and of the cells, on their way to their sink.
    fn hand_over(
        &self,
        data: &dyn FitData,
        wanted: &Wanted<'_>,
        first: usize,
        rows: &[f32],
    ) -> Result<(), DriverError> {
        let k = self.powers.len();
        let mut rows = rows.to_vec();
        for row in rows.chunks_exact_mut(k) {
            row.iter_mut().zip(&self.powers).for_each(|(value, power)| *value *= power);
        }
        if wanted.known.cells == CellScale::PerMillion {
            let moments = data.cell_moments(first..first + rows.len() / k)?;
            for (row, cell) in rows.chunks_exact_mut(k).zip(moments).filter(|(_, cell)| cell.sum > 0.0) {
                row.iter_mut().for_each(|value| *value *= (1e6 / cell.sum) as f32);
            }
        }
        self.hashes.add(first / data.blocks().block_rows(), &rows);
        (wanted.sink)(first, &rows)
    }

    fn finish(self, known: &KnownSpectra, comm: &dyn Comm) -> Result<Transformed, DriverError> {
        let k = self.powers.len();
        let (mut yty, mut cross) = (vec![0.0; k * k], [0.0]);
        self.sums.yty.read(0..k, 0..k, &mut yty);
        self.sums.cross.read(0..1, 0..1, &mut cross);
        let model: f64 = yty.iter().zip(&self.hht).map(|(y, h)| y * h).sum();
        let residual = (self.sq_norm - 2.0 * cross[0] + model).max(0.0);
        Ok(Transformed {
            relative_error: if self.sq_norm > 0.0 { (residual / self.sq_norm).sqrt() } else { 0.0 },
            digest: self.hashes.finish(comm, &known.spectra)?,
        })
    }
}

/// Gives the usages of all cells under each of several spectra to their sinks, in one read of all of X. The errors
/// are of the data as they are, whatever the scale of the cells.
pub(crate) fn usages(
    data: &dyn FitData,
    wanted: &[Wanted<'_>],
    engine: &Engine<'_>,
    threads: usize,
) -> Result<Vec<Transformed>, DriverError> {
    let blocks = data.blocks();
    let prepared: Vec<Prepared> = wanted.iter().map(|wanted| Prepared::new(wanted.known, blocks)).collect();
    let sinks: Vec<Box<Sink<'_>>> = prepared
        .iter()
        .zip(wanted)
        .map(|(prepared, wanted)| -> Box<Sink<'_>> {
            Box::new(move |first: usize, rows: &[f32]| prepared.hand_over(data, wanted, first, rows))
        })
        .collect();
    let folds = prepared.iter().zip(&sinks).map(|(prepared, sink)| RowTable {
        data: blocks,
        factor: prepared.scaled.view(),
        ld: prepared.scaled.ks(),
        map: RowMap::Nnls(&prepared.rule),
        sums: Some(&prepared.sums),
        sink,
    });
    let folds: Vec<RowTable<'_>> = folds.collect();
    let threads = threads.min(blocks.blocks()).max(1);
    let local = || wanted.iter().map(|wanted| Local::new(blocks, wanted.known.spectra.k())).collect::<Vec<_>>();
    let mut workers: Vec<_> = (0..threads).map(|_| Worker::new(local())).collect();
    engine.announce("usages", blocks);
    engine.pass(blocks, &folds, &mut workers, Direction::Forward)?;
    engine.monitor().finish();
    drop(folds);
    drop(sinks);
    prepared.into_iter().zip(wanted).map(|(prepared, wanted)| prepared.finish(wanted.known, engine.comm())).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use partwise_storage::Quiet;

    use super::*;
    use crate::Matrix;

    /// The least ‖x − w·H‖² over w ≥ 0 by trying every set of components.
    fn best(x: &[f64], h: &[Vec<f64>]) -> f64 {
        let k = h.len();
        let mut least = x.iter().map(|x| x * x).sum::<f64>();
        for set in 1..1u32 << k {
            let active: Vec<usize> = (0..k).filter(|c| set >> c & 1 == 1).collect();
            let n = active.len();
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            // Gaussian elimination of the normal equations.
            let mut rows: Vec<Vec<f64>> = active
                .iter()
                .map(|&a| active.iter().map(|&b| dot(&h[a], &h[b])).chain([dot(&h[a], x)]).collect())
                .collect();
            for i in 0..n {
                let pivot = rows[i][i];
                if pivot.abs() < 1e-9 {
                    rows.clear();
                    break;
                }
                let by = rows[i].clone();
                for (j, row) in rows.iter_mut().enumerate().filter(|(j, _)| *j != i) {
                    let part = row[i] / pivot;
                    assert!(part.is_finite(), "row {j}");
                    row.iter_mut().zip(&by).for_each(|(value, by)| *value -= part * by);
                }
            }
            let w: Vec<f64> = rows.iter().enumerate().map(|(i, row)| row[n] / row[i]).collect();
            if rows.is_empty() || w.iter().any(|w| *w < 0.0) {
                continue;
            }
            let rest = (0..x.len()).map(|j| {
                let model: f64 = active.iter().zip(&w).map(|(&c, w)| w * h[c][j]).sum();
                (x[j] - model).powi(2)
            });
            least = least.min(rest.sum());
        }
        least
    }

    #[test]
    fn usages_are_the_least_squares_and_the_error_is_theirs() {
        let (cells, genes, k) = (600, 9, 3);
        let values: Vec<f32> = (0..cells * genes).map(|i| ((i * i + 7 * i) % 13) as f32).collect();
        let data = Matrix::from_dense(genes, &values).unwrap();
        let mut spectra = Spectra::zeros(genes, k);
        let ks = spectra.ks();
        for (j, row) in spectra.ht_mut().chunks_exact_mut(ks).enumerate() {
            (0..k).for_each(|c| row[c] = ((j * 5 + c * 3 + 1) % 7) as f32 * [1.0, 1e-6, 300.0][c]);
        }
        // One gene is unknown, the others are weighted.
        let factors: Vec<f32> = (0..genes).map(|j| if j == 4 { 0.0 } else { 0.5 + (j % 3) as f32 }).collect();
        let known = KnownSpectra { spectra, factors, cells: CellScale::None };
        for threads in [1, 3] {
            let found = Mutex::new(BTreeMap::new());
            let sink = |first: usize, rows: &[f32]| {
                found.lock().unwrap().insert(first, rows.to_vec());
                Ok(())
            };
            let engine = Engine::new(1 << 20, &Quiet);
            let wanted = Wanted { known: &known, sink: &sink };
            let done = usages(&data, &[wanted], &engine, threads).unwrap().swap_remove(0);
            let w: Vec<f32> = found.into_inner().unwrap().into_values().flatten().collect();
            assert_eq!(w.len(), cells * k);
            let h: Vec<Vec<f64>> = (0..k)
                .map(|c| (0..genes).map(|j| f64::from(known.spectra.get(c, j) * known.factors[j])).collect())
                .collect();
            let (mut rest, mut all) = (0.0, 0.0);
            for (row, w) in values.chunks_exact(genes).zip(w.chunks_exact(k)) {
                let x: Vec<f64> = row.iter().zip(&known.factors).map(|(x, d)| f64::from(x * d)).collect();
                let residual: f64 =
                    (0..genes).map(|j| (x[j] - (0..k).map(|c| f64::from(w[c]) * h[c][j]).sum::<f64>()).powi(2)).sum();
                let norm: f64 = x.iter().map(|x| x * x).sum();
                assert!(residual <= best(&x, &h) + 1e-5 * norm, "{residual} against {}", best(&x, &h));
                rest += residual;
                all += norm;
            }
            assert!((done.relative_error - (rest / all).sqrt()).abs() < 1e-5, "{}", done.relative_error);
        }
    }
}
