//! Sums of the data that everything else needs: means, norms, and the factors of the genes.

use std::ops::Range;

use partwise_storage::store::GeneMoments;

use super::{PcaConfig, TargetSum, totals, workers};
use crate::blocks::FitData;
use crate::compute::logarithms::{self, Logarithms};
use crate::compute::moments::{self, Moments};
use crate::engine::{Direction, Engine};
use crate::error::DriverError;
use crate::scale::GeneScale;

/// Root mean squares of values whose products are normal 32-bit floats with room to spare.
const MAGNITUDES: Range<f64> = 1e-15..1e15;
/// A matrix whose variance is a smaller part of ‖X‖² is constant: the difference is rounding.
const LEAST_SPREAD: f64 = 1e-12;

/// Sums of the data before the first product.
pub(super) struct Basics {
    /// Cells that are kept.
    pub(super) cells: usize,
    /// The sum that cells are scaled to, if values are taken as logarithms.
    pub(super) target: Option<f64>,
    /// What no value exceeds, if moments were summed up here.
    pub(super) largest: Option<f64>,
    pub(super) moments: Vec<GeneMoments>,
    pub(super) means: Vec<f64>,
    pub(super) scale: GeneScale,
    /// ‖X·D‖².
    pub(super) sq_norm: f64,
    /// ‖A‖².
    pub(super) spread: f64,
}

impl Basics {
    /// Of logarithms, `known` are the moments if a pass has taken them already.
    pub(super) fn of(
        data: &dyn FitData,
        config: &PcaConfig,
        known: Option<Vec<GeneMoments>>,
        engine: &Engine<'_>,
        threads: usize,
    ) -> Result<Self, DriverError> {
        let (blocks, cells) = (data.blocks(), data.blocks().kept().0);
        let target = match config.log1p {
            None => None,
            Some(TargetSum::Sum(sum)) => Some(sum),
            Some(TargetSum::Median) => Some(totals::median(data)?),
        };
        // A logarithm is at most that of the sum of its cell; a hundredth covers the rounding.
        let largest = target.map(|target| 1.01 * libm::log1p(target));
        let moments = match (known, target, largest) {
            (Some(known), ..) => known,
            (None, Some(target), Some(largest)) => {
                let moments = Moments::new(data.gene_moments(), largest);
                let fold = Logarithms { data, target: Some(target), fold: &moments };
                let mut workers =
                    workers(threads, blocks.blocks(), || logarithms::Local::new(moments::Local::new(blocks.genes())));
                engine.announce("logarithms", blocks);
                engine.pass(blocks, &fold, &mut workers, Direction::Forward)?;
                engine.monitor().finish();
                moments.found(data.gene_moments())
            }
            _ => data.gene_moments().to_vec(),
        };
        let scale = GeneScale::new(config.scale, &moments, cells).keeping(data.kept_genes());
        let means: Vec<f64> = moments.iter().map(|gene| gene.sum / cells as f64).collect();
        let (mut sq_norm, mut spread) = (0.0, 0.0);
        for (at, (gene, mean)) in moments.iter().zip(&means).enumerate() {
            let square = f64::from(scale.factor(at)).powi(2);
            sq_norm += square * gene.sum_sq;
            spread += square * (gene.sum_sq - cells as f64 * mean * mean).max(0.0);
        }
        let size = (sq_norm / data.nonzeros().max(1) as f64).sqrt();
        if !MAGNITUDES.contains(&size) {
            return Err(DriverError::Magnitude { size });
        }
        if spread <= LEAST_SPREAD * sq_norm {
            return Err(DriverError::Constant { cells, genes: blocks.kept().1 });
        }
        Ok(Basics { cells, target, largest, moments, means, scale, sq_norm, spread })
    }
}
