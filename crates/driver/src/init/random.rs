//! Random spectra.

use rand::seq::index;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tracing::info_span;

use super::ground::Ground;
use crate::error::DriverError;
use crate::spectra::Spectra;

/// Rows whose mean is the start of one component.
const ROWS_OF_A_MEAN: usize = 4;

/// Upper end of the interval of uniform starts, so that W·H has about the mean of X: 2·√(mean / k),
/// with uniform numbers of mean ½ in both.
pub(crate) fn uniform_scale(mean: f64, k: usize) -> f32 {
    (2.0 * (mean / k as f64).sqrt()) as f32
}

/// H uniform in (0, `scale`], from this stream of the seed.
pub(crate) fn random(genes: usize, k: usize, scale: f32, seed: u64, stream: u64) -> Spectra {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    let mut spectra = Spectra::zeros(genes, k);
    let ks = spectra.ks();
    for gene in spectra.ht_mut().chunks_exact_mut(ks) {
        gene[..k].iter_mut().for_each(|value| *value = (1.0 - rng.random::<f32>()) * scale);
    }
    spectra
}

/// Every row of H the mean of a few rows of the sample, drawn at random ("random Acol" of Langville
/// et al. 2014, for rows): close to the data from the start, and as different as the rows are.
pub(super) fn means_of_rows(ground: &dyn Ground, k: usize, seed: u64, stream: u64) -> Result<Spectra, DriverError> {
    let _span = info_span!("means of rows").entered();
    let (rows, genes) = (ground.cells(), ground.genes());
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // Not the stream that the sample was drawn from.
    rng.set_stream(1 + stream);
    let mut components_of_row = vec![Vec::new(); rows];
    for c in 0..k {
        for row in index::sample(&mut rng, rows, ROWS_OF_A_MEAN.min(rows)) {
            components_of_row[row].push(c);
        }
    }
    let mut spectra = Spectra::zeros(genes, k);
    let ks = spectra.ks();
    let ht = spectra.ht_mut();
    ground.entries_of(&|row| !components_of_row[row].is_empty(), &mut |row, gene, value| {
        for &c in &components_of_row[row] {
            ht[gene * ks + c] += value / ROWS_OF_A_MEAN.min(rows) as f32;
        }
    })?;
    Ok(spectra)
}
