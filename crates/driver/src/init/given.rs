//! Start from W and H of an earlier result.

use std::ops::{Range, RangeInclusive};
use std::path::Path;

use partwise_storage::anndata::read_factors;
use sha2::{Digest, Sha256};

use crate::blocks::FitData;
use crate::error::DriverError;
use crate::scale::GeneScale;
use crate::spectra::Spectra;
use crate::usages::Usages;

/// Values that are read at once, unless one row has more.
const VALUES_AT_ONCE: usize = 1 << 16;

/// Rows of `k` values that are read at once.
fn rows_at_once(k: usize) -> usize {
    (VALUES_AT_ONCE / k.max(1)).max(1)
}

/// A hash of the bits of H and W in an earlier result that a fit starts from. The content of this file is
/// a setting of the fit, its path is not.
///
/// # Errors
///
/// When the file cannot be read, or has no W and H.
pub fn digest(path: &Path) -> Result<String, DriverError> {
    let file = read_factors(path)?;
    let (cells, k) = (file.cells(), file.components());
    let mut hash = Sha256::new();
    let mut values = Vec::new();
    let step = rows_at_once(k);
    for first in (0..file.genes()).step_by(step) {
        let rows = first..(first + step).min(file.genes());
        values.resize(rows.len() * k, 0.0);
        file.read_spectra(rows, &mut values)?;
        hash.update(bytemuck::cast_slice::<f32, u8>(&values));
    }
    for first in (0..cells).step_by(step) {
        let rows = first..(first + step).min(cells);
        values.resize(rows.len() * k, 0.0);
        file.read_usages(rows, &mut values)?;
        hash.update(bytemuck::cast_slice::<f32, u8>(&values));
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The error of a fit whose first pass overflows after a start from the earlier result at `path`.
pub(crate) fn out_of_range(path: &Path) -> DriverError {
    let ranges = || {
        let file = read_factors(path)?;
        let mut usages = RangeOfValues::default();
        let mut values = Vec::new();
        for first in (0..file.cells()).step_by(ROWS_AT_ONCE) {
            let rows = first..(first + ROWS_AT_ONCE).min(file.cells());
            values.resize(rows.len() * file.components(), 0.0);
            file.read_usages(rows, &mut values)?;
            usages.add(&values);
        }
        let mut spectra = RangeOfValues::default();
        spectra.add(file.spectra());
        Ok::<_, DriverError>((usages.range(), spectra.range()))
    };
    match ranges() {
        Ok((usages, spectra)) => DriverError::StartRange { path: path.into(), usages, spectra },
        Err(error) => error,
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
pub(crate) fn given(
    path: &Path,
    data: &dyn FitData,
    scale: &GeneScale,
    own: Range<usize>,
    usages: &mut Usages,
) -> Result<Spectra, DriverError> {
    let file = read_factors(path)?;
    let (cells, genes, k) = (usages.cells(), data.blocks().genes(), usages.k());
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
    let mut spectra = Spectra::zeros(genes, k);
    let ks = spectra.ks();
    let mut values = Vec::new();
    let step = rows_at_once(k);
    for (part, rows) in spectra.ht_mut().chunks_mut(step * ks).enumerate() {
        let first = part * step;
        values.resize(rows.len() / ks * k, 0.0);
        file.read_spectra(first..first + rows.len() / ks, &mut values)?;
        for (gene, (row, given)) in rows.chunks_exact_mut(ks).zip(values.chunks_exact(k)).enumerate() {
            for (value, given) in row.iter_mut().zip(given) {
                *value = given * scale.factor(first + gene);
            }
        }
    }
    for block in own {
        let (first, count) = (usages.first_row_of(block), usages.rows_of(block));
        values.resize(count * k, 0.0);
        file.read_usages(first..first + count, &mut values)?;
        usages.store_packed(block, &values)?;
    }
    usages.accept();
    Ok(spectra)
}
