//! Highly variable genes: those that vary most for their level, and so tell cells apart.
//!
//! | file             | question                                                                        |
//! |------------------|---------------------------------------------------------------------------------|
//! | `overdispersion` | how much does a gene vary for its level, as cNMF scores it?                     |
//! | `standardized`   | the same as Seurat 3 scores it, and scanpy's `seurat_v3`                        |
//! | `loess`          | which curve goes through points, where each parabola sees only those near it?   |
//!
//! To add a method, write a file that scores genes from the data, and give it a place in [`HvgMethod`], [`GeneScores`]
//! and [`HvgSpec::select`]. Everything else asks these.

mod loess;
mod overdispersion;
mod standardized;

use std::fmt;
use std::num::NonZeroUsize;

use fixedbitset::FixedBitSet;

use crate::blocks::FitData;
use crate::engine::Engine;
use crate::error::{DriverError, HvgError};

pub use overdispersion::{Overdispersion, sums_per_million};
pub use standardized::StandardizedVariance;

/// How genes are scored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HvgMethod {
    /// By overdispersion in values per million, as cNMF. For programs that are compared with those of cNMF, and for
    /// data that are no counts. Reads nothing where the store keeps the sums.
    #[default]
    Cnmf,
    /// By the variance of counts, standardized and clipped, as Seurat 3 and scanpy's `flavor="seurat_v3"`. For genes
    /// that are compared with theirs. Needs counts, and one read for those above the limit of their gene.
    SeuratV3,
}

impl HvgMethod {
    /// Its word, in settings and results.
    pub fn word(self) -> &'static str {
        match self {
            HvgMethod::Cnmf => "cnmf",
            HvgMethod::SeuratV3 => "seurat_v3",
        }
    }
}

impl fmt::Display for HvgMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How many genes are selected, and by which method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HvgSpec {
    /// How many, or as many as have a score.
    pub count: NonZeroUsize,
    /// How they are scored.
    pub method: HvgMethod,
}

/// The scores of all genes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum GeneScores {
    /// Of [`HvgMethod::Cnmf`].
    Overdispersion(Overdispersion),
    /// Of [`HvgMethod::SeuratV3`].
    StandardizedVariance(StandardizedVariance),
}

/// The genes that a method selects.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Hvg {
    /// The scores of all genes, and the numbers they are made of.
    pub scores: GeneScores,
    /// The genes of highest score.
    pub genes: FixedBitSet,
    /// Reads of all of X that finding them took.
    pub reads: usize,
}

impl HvgSpec {
    /// Refuses data that the method is not made for. Reads nothing.
    ///
    /// # Errors
    ///
    /// [`HvgError`].
    pub fn check(&self, data: &dyn FitData, among: Option<&FixedBitSet>) -> Result<(), HvgError> {
        match self.method {
            HvgMethod::Cnmf => Ok(()),
            HvgMethod::SeuratV3 => StandardizedVariance::expected(data, among).map(drop),
        }
    }

    /// Tables of four f32 a gene that [`HvgSpec::select`] takes, for the plan of its pass.
    pub fn tables(&self) -> usize {
        match self.method {
            HvgMethod::Cnmf => 1,
            // Sums above the limits, a share of them, limits, and the numbers of each gene.
            HvgMethod::SeuratV3 => 12,
        }
    }

    /// Scores the genes of `data` that are `among` those to choose from, and selects the highest; equal scores in the
    /// order of the genes. All processes of the engine call it.
    ///
    /// # Errors
    ///
    /// As a pass of a fit, and those of [`HvgSpec::check`], in all processes alike.
    pub fn select(
        &self,
        data: &dyn FitData,
        among: Option<&FixedBitSet>,
        engine: &Engine<'_>,
        threads: usize,
    ) -> Result<Hvg, DriverError> {
        let (scores, reads) = match self.method {
            HvgMethod::Cnmf => {
                let (sums, reads) = sums_per_million(data, engine, threads)?;
                let (cells, _) = data.blocks().kept();
                let found = Overdispersion::of(&sums, cells, among, data.holds_counts());
                (GeneScores::Overdispersion(found), reads)
            }
            HvgMethod::SeuratV3 => {
                let (found, reads) = standardized::standardized_variance(data, among, engine, threads)?;
                (GeneScores::StandardizedVariance(found), reads)
            }
        };
        let mut genes = FixedBitSet::with_capacity(data.blocks().genes());
        highest(scores.scores(), self.count.get()).into_iter().for_each(|gene| genes.insert(gene));
        Ok(Hvg { scores, genes, reads })
    }
}

impl GeneScores {
    /// The scores; NaN of a gene that has none.
    pub fn scores(&self) -> &[f64] {
        match self {
            GeneScores::Overdispersion(found) => &found.scores,
            GeneScores::StandardizedVariance(found) => &found.scores,
        }
    }

    /// The numbers of each gene by name, the score last; NaN where a gene has none.
    pub fn columns(&self) -> [(&'static str, &[f64]); 4] {
        match self {
            GeneScores::Overdispersion(found) => [
                ("mean", &found.means),
                ("fano", &found.fanos),
                ("expected_fano", &found.expected),
                ("overdispersion", &found.scores),
            ],
            GeneScores::StandardizedVariance(found) => [
                ("mean", &found.means),
                ("variance", &found.variances),
                ("expected_variance", &found.expected),
                ("standardized_variance", &found.scores),
            ],
        }
    }
}

/// The places of the `count` largest values, largest first; equal ones in order, NaN nowhere.
pub(crate) fn highest(values: &[f64], count: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..values.len()).filter(|&place| !values[place].is_nan()).collect();
    places.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    places.truncate(count);
    places
}
