//! Start from W and H of an earlier result.

use std::ops::Range;
use std::path::Path;

use partwise_storage::anndata::read_factors;
use partwise_storage::store::Store;

use crate::error::DriverError;
use crate::scale::GeneScale;
use crate::spectra::Spectra;
use crate::usages::Usages;

/// Reads H (returned, in the scale that the fit works in) and fills the blocks `own` of `usages` with W.
pub(crate) fn given(
    path: &Path,
    store: &Store,
    scale: &GeneScale,
    own: Range<usize>,
    usages: &mut Usages,
) -> Result<Spectra, DriverError> {
    let file = read_factors(path)?;
    let (cells, genes, k) = (store.cells(), store.genes(), usages.k());
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
    for (gene, (row, given)) in spectra.ht_mut().chunks_exact_mut(ks).zip(file.spectra().chunks_exact(k)).enumerate() {
        for (value, given) in row.iter_mut().zip(given) {
            *value = given * scale.factor(gene);
        }
    }
    let mut values = Vec::new();
    for block in own {
        let (first, count) = (block * store.block_rows(), usages.rows_of(block));
        values.resize(count * k, 0.0);
        file.read_usages(first..first + count, &mut values)?;
        let mut rows = vec![0.0; count * ks];
        for (row, given) in rows.chunks_exact_mut(ks).zip(values.chunks_exact(k)) {
            row[..k].copy_from_slice(given);
        }
        usages.store(block, &rows, ks)?;
    }
    usages.accept();
    Ok(spectra)
}
