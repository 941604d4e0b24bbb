//! Start from W and H of an earlier result.

use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};
use std::path::Path;

use partwise_storage::StorageError;
use partwise_storage::anndata::{Factors, read_factors};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use crate::blocks::FitData;
use crate::error::DriverError;
use crate::scale::GeneScale;
use crate::spectra::Spectra;
use crate::usages::Usages;

/// Values that are read at once, unless one row has more.
const VALUES_AT_ONCE: usize = 1 << 16;
/// The stream of the seed that components of zeros are started from.
const STREAM: u64 = 1 << 34;

/// Pieces of a table of `rows` × `k` values: the rows of each.
fn pieces(rows: usize, k: usize) -> impl Iterator<Item = Range<usize>> {
    let step = (VALUES_AT_ONCE / k.max(1)).max(1);
    (0..rows).step_by(step).map(move |first| first..(first + step).min(rows))
}

/// Shows the values of Hᵀ and then those of W, piece by piece.
fn see_all(
    file: &Factors,
    mut spectra: impl FnMut(&[f32]),
    mut usages: impl FnMut(&[f32]),
) -> Result<(), StorageError> {
    let k = file.components();
    let mut values = Vec::new();
    for rows in pieces(file.genes(), k) {
        values.resize(rows.len() * k, 0.0);
        file.read_spectra(rows, &mut values)?;
        spectra(&values);
    }
    for rows in pieces(file.cells(), k) {
        values.resize(rows.len() * k, 0.0);
        file.read_usages(rows, &mut values)?;
        usages(&values);
    }
    Ok(())
}

/// A hash of the bits of H and W in an earlier result that a fit starts from. The content of this file is
/// a setting of the fit, its path is not.
///
/// # Errors
///
/// When the file cannot be read, or has no W and H.
pub fn digest(path: &Path) -> Result<String, DriverError> {
    let hash = RefCell::new(Sha256::new());
    let add = |values: &[f32]| hash.borrow_mut().update(bytemuck::cast_slice::<f32, u8>(values));
    see_all(&read_factors(path)?, add, add)?;
    Ok(hash.into_inner().finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The error of a fit whose first pass overflows after a start from the earlier result at `path`.
pub(crate) fn out_of_range(path: &Path) -> DriverError {
    let (mut usages, mut spectra) = (RangeOfValues::default(), RangeOfValues::default());
    let read =
        read_factors(path).and_then(|file| see_all(&file, |values| spectra.add(values), |values| usages.add(values)));
    match read {
        Ok(()) => DriverError::StartRange { path: path.into(), usages: usages.range(), spectra: spectra.range() },
        Err(error) => error.into(),
    }
}

/// The smallest and the largest of some values above zero.
#[derive(Default)]
struct RangeOfValues(Option<(f32, f32)>);

impl RangeOfValues {
    fn add(&mut self, values: &[f32]) {
        for &value in values.iter().filter(|value| **value > 0.0) {
            let (least, most) = self.0.unwrap_or((value, value));
            self.0 = Some((least.min(value), most.max(value)));
        }
    }

    /// From zero to zero if there are none.
    fn range(&self) -> RangeInclusive<f32> {
        let (least, most) = self.0.unwrap_or_default();
        least..=most
    }
}

/// Reads H (returned, in the scale that the fit works in) and fills the blocks `own` of `usages` with
/// W.
///
/// A component that is zero in every gene could never leave zero. It starts anew: in each gene at the
/// gene's mean times a random number, and at 1/k in each cell.
pub(crate) fn given(
    path: &Path,
    data: &dyn FitData,
    scale: &GeneScale,
    seed: u64,
    own: Range<usize>,
    usages: &mut Usages,
) -> Result<Spectra, DriverError> {
    let file = read_factors(path)?;
    let (blocks, k) = (data.blocks(), usages.k());
    let (cells, genes) = blocks.kept();
    if (file.cells(), file.genes(), file.components()) != (cells, genes, k) {
        return Err(DriverError::Start {
            path: path.to_path_buf(),
            expected: format!("{cells} cells x {genes} genes and k = {k}"),
            found: format!(
                "a result of {} cells x {} genes with k = {}",
                file.cells(),
                file.genes(),
                file.components()
            ),
        });
    }
    let mut spectra = Spectra::zeros(blocks.genes(), k);
    let ks = spectra.ks();
    let mut values = Vec::new();
    let mut kept = (0..blocks.genes()).filter(|&gene| data.kept_genes().is_none_or(|kept| kept.contains(gene)));
    for rows in pieces(genes, k) {
        values.resize(rows.len() * k, 0.0);
        file.read_spectra(rows.clone(), &mut values)?;
        for (given, gene) in values.chunks_exact(k).zip(kept.by_ref()) {
            for (value, given) in spectra.ht_mut()[gene * ks..(gene + 1) * ks].iter_mut().zip(given) {
                *value = given * scale.factor(gene);
            }
        }
    }
    let dead: Vec<usize> = (0..k).filter(|&c| spectra.component(c).all(|value| value == 0.0)).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(STREAM);
    for &c in &dead {
        let means = data.gene_moments().iter().map(|moments| moments.sum / cells as f64);
        for (gene, (value, mean)) in spectra.ht_mut().iter_mut().skip(c).step_by(ks).zip(means).enumerate() {
            *value = mean as f32 * scale.factor(gene) * (1.0 - rng.random::<f32>());
        }
    }
    // The rows of the file are those of the cells that are kept.
    let kept_rows = |block: usize| {
        let weights = blocks.row_weights(block);
        (0..usages.rows_of(block)).filter(move |&row| weights.of(row) != 0.0)
    };
    let mut next: usize = (0..own.start).map(|block| kept_rows(block).count()).sum();
    for block in own {
        let places: Vec<usize> = kept_rows(block).collect();
        let count = places.len();
        values.resize(count * k, 0.0);
        file.read_usages(next..next + count, &mut values)?;
        next += count;
        for row in values.chunks_exact_mut(k) {
            dead.iter().for_each(|&c| row[c] = 1.0 / k as f32);
        }
        let mut rows = vec![0.0; usages.rows_of(block) * k];
        for (row, &place) in values.chunks_exact(k).zip(&places) {
            rows[place * k..(place + 1) * k].copy_from_slice(row);
        }
        usages.store_packed(block, &rows)?;
    }
    usages.accept();
    Ok(spectra)
}
