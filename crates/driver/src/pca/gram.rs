//! Axes from the Gram matrix of the genes that are kept, which one pass sums up.
//!
//! ```text
//! C = D·(XᵀX − n·μμᵀ)·D
//! ```
//!
//! is made once, in f64. Of up to [`ALL`] genes, or where directions are all genes, all eigenvectors are
//! taken. Of more, C is kept in f32, and the best come from Krylov spaces, each of which begins with the
//! best directions of the one before it.

use partwise_kernels::eigen::large_symmetric_eigen;
use partwise_kernels::{FactorBuf, FactorRef, cross, stride};
use rayon::prelude::*;

use super::basics::Basics;
use super::{PcaModel, basis, workers};
use crate::blocks::{Blocks, FitData};
use crate::compute::gram::{self, Gram, GramSum};
use crate::compute::logarithms::{self, Logarithms};
use crate::engine::{Direction, Engine};
use crate::error::DriverError;
use crate::spectra::Spectra;

/// Genes up to which all eigenvectors are taken.
pub(super) const ALL: usize = 512;
/// Rows of C that a thread multiplies at a time.
const ROWS: usize = 128;
/// The part of the variance that an error of C may have: the precision of directions.
const PRECISION: f64 = 1.0 / (1 << 24) as f64;
/// Rounding of one operation in f64.
const ROUNDING: f64 = 0.5 * f64::EPSILON;
/// Rounding of the share of a block to integers, beside the norms of the two genes, or the bound of a sum.
const STEP: f64 = ROUNDING * 64.0;

/// Whether C, which is a difference of numbers that may be large beside it, has the [`PRECISION`] of
/// directions. `docs/numerics.md` derives the bound.
pub(super) fn is_precise(basics: &Basics, blocks: &dyn Blocks) -> bool {
    let (rows, count) = (blocks.block_rows().min(blocks.cells()) as f64, blocks.blocks() as f64);
    let of_products = rows * ROUNDING + count * STEP;
    // Errors of Σ x, and the means, scaled.
    let (mut errors, mut means) = (0.0, 0.0);
    for (at, (gene, mean)) in basics.moments.iter().zip(&basics.means).enumerate() {
        let factor = f64::from(basics.scale.factor(at));
        let bound = basics.largest.map_or(gene.sum, |largest| gene.nonzeros as f64 * largest);
        errors += (factor * (rows * ROUNDING * gene.sum + count * STEP * bound)).powi(2);
        means += (factor * mean).powi(2);
    }
    let error = of_products * basics.sq_norm + 2.0 * (errors * means).sqrt();
    error <= PRECISION * basics.spread
}

/// The c best axes, of all genes of the data: those that are left out are zero.
pub(super) fn axes(
    data: &dyn FitData,
    basics: &Basics,
    engine: &Engine<'_>,
    threads: usize,
    model: &PcaModel,
) -> Result<Spectra, DriverError> {
    let blocks = data.blocks();
    let is_kept = |gene: usize| data.kept_genes().is_none_or(|kept| kept.contains(gene));
    let kept: Vec<usize> = (0..blocks.genes()).filter(|&gene| is_kept(gene)).collect();
    let sum = GramSum::new(&basics.moments, is_kept);
    let mut workers = workers(threads, blocks.blocks(), || logarithms::Local::new(gram::Local::new(&sum)));
    let fold = Logarithms { data, target: basics.target, fold: Gram { data: blocks, sum: &sum } };
    engine.announce("axes", blocks);
    engine.pass(blocks, &fold, &mut workers, Direction::Forward)?;
    engine.monitor().finish();
    drop(workers);
    engine.monitor().freed();

    let c = model.config.components;
    let mut found = if takes_all(kept.len(), model) {
        let matrix = matrix(&sum, basics, &kept);
        all(&matrix, kept.len(), c)
    } else {
        let matrix = small_matrix(&sum, basics, &kept);
        drop(sum);
        let first = super::covariance::random_directions(kept.len(), model);
        let search = basis::Search::in_memory(model);
        basis::axes(&mut |q| Ok(times(&matrix, q)), first, &search)?
    };
    basis::settle(&mut found);
    let (mut axes, ks) = (Spectra::zeros(blocks.genes(), c), found.ks());
    for (from, gene) in found.ht().chunks_exact(ks).zip(kept) {
        axes.ht_mut()[gene * ks..(gene + 1) * ks].copy_from_slice(from);
    }
    Ok(axes)
}

fn takes_all(genes: usize, model: &PcaModel) -> bool {
    genes <= ALL || model.exact
}

/// Shows each row of C/‖A‖², from the diagonal on.
fn rows(sum: &GramSum, basics: &Basics, kept: &[usize], mut see: impl FnMut(usize, &[f64])) {
    let (n, mut row) = (basics.cells as f64, Vec::new());
    for (j, &gene) in kept.iter().enumerate() {
        sum.read(j, kept, &mut row);
        let (mean, factor) = (basics.means[gene], f64::from(basics.scale.factor(gene)) / basics.spread);
        for (value, &other) in row.iter_mut().zip(&kept[j..]) {
            *value = (*value - n * (mean * basics.means[other])) * (factor * f64::from(basics.scale.factor(other)));
        }
        see(j, &row);
    }
}

/// C/‖A‖², m × m.
fn matrix(sum: &GramSum, basics: &Basics, kept: &[usize]) -> Vec<f64> {
    let m = kept.len();
    let mut matrix = vec![0.0; m * m];
    rows(sum, basics, kept, |j, row| {
        for (k, &value) in (j..).zip(row) {
            matrix[j * m + k] = value;
            matrix[k * m + j] = value;
        }
    });
    matrix
}

/// C/‖A‖², m × stride(m).
fn small_matrix(sum: &GramSum, basics: &Basics, kept: &[usize]) -> FactorBuf {
    let (m, ld) = (kept.len(), stride(kept.len()));
    let mut matrix = FactorBuf::zeros(m, m);
    rows(sum, basics, kept, |j, row| {
        for (k, &value) in (j..).zip(row) {
            matrix[j * ld + k] = value as f32;
            matrix[k * ld + j] = value as f32;
        }
    });
    matrix
}

/// The c best eigenvectors.
fn all(matrix: &[f64], m: usize, c: usize) -> Spectra {
    let eigen = large_symmetric_eigen(matrix, m);
    let mut found = Spectra::zeros(m, c);
    let ks = found.ks();
    for (row, vectors) in found.ht_mut().chunks_exact_mut(ks).zip(eigen.vectors.chunks_exact(m)) {
        row.iter_mut().zip(&vectors[..c]).for_each(|(value, &vector)| *value = vector as f32);
    }
    found
}

/// C·Q.
fn times(matrix: &FactorBuf, q: &Spectra) -> Spectra {
    let (m, l, ks, ld) = (q.genes(), q.k(), q.ks(), stride(q.genes()));
    let directions: Vec<f64> = q.to_rows().into_iter().map(f64::from).collect();
    let mut product = Spectra::zeros(m, l);
    product.ht_mut().par_chunks_mut(ROWS * ks).zip(matrix.par_chunks(ROWS * ld)).for_each(|(out, rows)| {
        cross::add_product(out, (l, ks), FactorRef::new(rows, rows.len() / ld, m, ld), &directions);
    });
    product
}

/// Bytes that the axes of so many genes that are kept, of `all`, take besides the space, where a tile of
/// some rows has up to `tile` entries: the sum, and then the shares, or C.
pub(super) fn bytes(
    (genes, all): (usize, usize),
    (block_rows, tile): (usize, usize),
    model: &PcaModel,
    threads: usize,
) -> u64 {
    let shares = threads as u64 * gram::Local::bytes(genes, block_rows, tile);
    let (l, steps) = (model.directions, model.steps);
    let matrix = match takes_all(genes, model) {
        // C, two matrices of the eigenvectors, and the axes.
        true => 32 * (genes * genes) as u64,
        false => {
            let thread = 8 * (genes * (l + 8) + 64 * genes) + 8 * 64 * (l + 8);
            FactorBuf::bytes(genes, genes)
                + basis::bytes(genes, l, steps, threads)
                + (12 * genes * l) as u64
                + threads as u64 * thread as u64
        }
    };
    GramSum::bytes(genes, all) + shares.max(matrix)
}
