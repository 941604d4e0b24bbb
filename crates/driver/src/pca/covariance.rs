//! Products of the covariance with directions, each of which takes a pass.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::basics::Basics;
use super::{PcaModel, basis, workers};
use crate::blocks::FitData;
use crate::compute::centred::{self, Centred, CentredSums};
use crate::compute::logarithms::{self, Logarithms};
use crate::engine::{Direction, Engine, Worker};
use crate::error::DriverError;
use crate::spectra::{GENE_CHUNK, Spectra};

/// Orthonormal directions that are zero for the genes that are left out: random ones, or the genes.
pub(super) fn first_directions(data: &dyn FitData, model: &PcaModel) -> Spectra {
    let (genes, kept) = (data.blocks().genes(), data.kept_genes());
    let mut first = Spectra::zeros(genes, model.directions);
    let ks = first.ks();
    let is_kept = |gene: usize| kept.is_none_or(|kept| kept.contains(gene));
    let rows = first.ht_mut().chunks_exact_mut(ks).enumerate().filter(|(gene, _)| is_kept(*gene));
    if model.exact {
        rows.enumerate().for_each(|(at, (_, row))| row[at] = 1.0);
        return first;
    }
    fill(rows.map(|(_, row)| row), model);
    let gram = first.gram();
    basis::orthonormal(&mut first, &gram, 0.0);
    first
}

/// Random orthonormal directions over so many genes.
pub(super) fn random_directions(genes: usize, model: &PcaModel) -> Spectra {
    let mut first = Spectra::zeros(genes, model.directions);
    let ks = first.ks();
    fill(first.ht_mut().chunks_exact_mut(ks), model);
    let gram = first.gram();
    basis::orthonormal(&mut first, &gram, 0.0);
    first
}

/// Puts random numbers into the rows of genes.
fn fill<'r>(rows: impl Iterator<Item = &'r mut [f32]>, model: &PcaModel) {
    let mut rng = ChaCha8Rng::seed_from_u64(model.config.seed);
    for row in rows {
        row[..model.directions].iter_mut().for_each(|value| *value = 2.0 * rng.random::<f32>() - 1.0);
    }
}

/// Multiplies directions by C/‖A‖², with a pass each.
pub(super) struct Covariance<'c> {
    data: &'c dyn FitData,
    basics: &'c Basics,
    engine: &'c Engine<'c>,
    sums: CentredSums,
    workers: Vec<Worker<logarithms::Local<centred::Local>>>,
    /// D·Q, if genes are scaled or left out.
    scaled: Option<Spectra>,
}

impl<'c> Covariance<'c> {
    pub(super) fn new(
        data: &'c dyn FitData,
        basics: &'c Basics,
        engine: &'c Engine<'c>,
        threads: usize,
        l: usize,
    ) -> Self {
        let blocks = data.blocks();
        Covariance {
            data,
            basics,
            engine,
            sums: CentredSums::new(blocks.genes(), l),
            workers: workers(threads, blocks.blocks(), || logarithms::Local::new(centred::Local::new(blocks, l))),
            scaled: basics.scale.factors().map(|_| Spectra::zeros(blocks.genes(), l)),
        }
    }

    pub(super) fn times(&mut self, q: &Spectra) -> Result<Spectra, DriverError> {
        let (basics, blocks) = (self.basics, self.data.blocks());
        let directions = match (&mut self.scaled, basics.scale.factors()) {
            (Some(scaled), Some(factors)) => {
                scaled.ht_mut().copy_from_slice(q.ht());
                scaled.multiply_genes(factors);
                &*scaled
            }
            _ => q,
        };
        let shift = shift(directions, &basics.means);
        self.sums.reset(&basics.moments, basics.cells, basics.sq_norm.sqrt());
        let fold = Centred { data: blocks, directions: directions.view(), shift: &shift, sums: &self.sums };
        let fold = Logarithms { data: self.data, target: basics.target, fold };
        self.engine.announce("axes", blocks);
        self.engine.pass(blocks, &fold, &mut self.workers, Direction::Forward)?;
        self.engine.monitor().finish();

        let (l, ks) = (q.k(), q.ks());
        let mut of_rows = vec![0.0; l];
        self.sums.y.read(0..1, 0..l, &mut of_rows);
        let mut product = Spectra::zeros(q.genes(), l);
        product.ht_mut().par_chunks_mut(GENE_CHUNK * ks).enumerate().for_each(|(chunk, rows)| {
            let first = chunk * GENE_CHUNK;
            let mut sums = vec![0.0; ks];
            for (gene, row) in (first..).zip(rows.chunks_exact_mut(ks)) {
                self.sums.xty.read(gene..gene + 1, 0..ks, &mut sums);
                let factor = f64::from(basics.scale.factor(gene)) / basics.spread;
                for ((value, sum), y) in row.iter_mut().zip(&sums).zip(&of_rows) {
                    *value = ((sum - basics.means[gene] * y) * factor) as f32;
                }
            }
        });
        Ok(product)
    }
}

/// c = Fᵀμ for the columns of F (m × c).
pub(super) fn shift(factor: &Spectra, means: &[f64]) -> Vec<f32> {
    let mut sums = vec![0.0; factor.k()];
    for (gene, mean) in factor.ht().chunks_exact(factor.ks()).zip(means) {
        sums.iter_mut().zip(gene).for_each(|(sum, &value)| *sum += mean * f64::from(value));
    }
    sums.into_iter().map(|sum| sum as f32).collect()
}
