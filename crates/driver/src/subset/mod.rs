//! Some genes and cells of a matrix, fitted without a copy of it.
//!
//! X̂ = R·X·D, with the factor 1 for rows and columns that are kept and 0 for the others. The passes
//! know factors of rows and columns anyway (`compute::factorize`), so a fit of a subset is a fit of the
//! whole matrix whose other rows of W and columns of H stay zero. It costs the passes of the whole
//! matrix.
//!
//! Genes come first: a cell is judged by the genes that are kept. Genes alone are left out without
//! reading X, unless the most variable are wanted and their scores need more than the sums of the store. Cells
//! take one read more, for the sums of the genes over the cells that are kept.

mod view;

use fixedbitset::FixedBitSet;
use partwise_storage::store::GeneMoments;
use sha2::{Digest, Sha256};

use crate::blocks::FitData;
use crate::compute::profile::{Local, Profile, Sought};
use crate::engine::{Direction, Engine, Worker};
use crate::error::{ConfigError, DriverError};
use crate::hvg::{HvgMethod, HvgSpec};
use crate::model::Model;
pub(crate) use view::SubsetData;

/// Which genes and cells to keep.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Keep {
    /// Genes; `None`: all.
    pub genes: Option<FixedBitSet>,
    /// Of these genes, those that vary most over all cells; `None`: all.
    pub hvg: Option<HvgSpec>,
    /// Cells that may be kept; `None`: all.
    pub cells: Option<FixedBitSet>,
    /// The least sum of a cell over the genes that are kept.
    pub min_counts: f64,
}

impl Keep {
    /// Whether everything is kept.
    pub fn is_all(&self) -> bool {
        !self.leaves_out_genes() && !self.leaves_out_cells()
    }

    /// Whether genes may be left out.
    pub fn leaves_out_genes(&self) -> bool {
        self.genes.is_some() || self.hvg.is_some()
    }

    fn leaves_out_cells(&self) -> bool {
        self.cells.is_some() || self.min_counts > 0.0
    }

    /// A hash of it. Equal ones keep the same of equal data.
    pub fn key(&self) -> String {
        let mut hash = Sha256::new();
        for set in [&self.genes, &self.cells] {
            match set {
                None => hash.update([0]),
                Some(set) => {
                    hash.update([1]);
                    hash.update((set.len() as u64).to_le_bytes());
                    set.as_slice().iter().for_each(|word| hash.update((*word as u64).to_le_bytes()));
                }
            }
        }
        hash.update(self.min_counts.to_le_bytes());
        if let Some(HvgSpec { count, method }) = self.hvg {
            hash.update((count.get() as u64).to_le_bytes());
            // The keys of results from before there were two methods stay what they are.
            if method != HvgMethod::Cnmf {
                hash.update(method.word());
            }
        }
        hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The genes and cells that are kept of one matrix, and their sums.
#[derive(Debug)]
pub struct Subset {
    genes: Option<FixedBitSet>,
    cells: Option<FixedBitSet>,
    /// Genes and cells of the matrix.
    of: (usize, usize),
    /// Of all genes, over the cells that are kept.
    moments: Vec<GeneMoments>,
    hvg: Option<HvgSpec>,
    key: String,
    reads: usize,
}

impl Subset {
    /// Finds the subset of `data`, all of which is read once if cells are left out, on `threads` workers.
    /// The most variable genes may take another read ([`HvgSpec`]).
    ///
    /// # Errors
    ///
    /// As a pass of a fit, and as [`HvgSpec::select`].
    pub fn find(data: &dyn FitData, keep: Keep, engine: &Engine<'_>, threads: usize) -> Result<Self, DriverError> {
        let (key, blocks, leaves_out_cells) = (keep.key(), data.blocks(), keep.leaves_out_cells());
        let of = (blocks.genes(), blocks.cells());
        let Keep { mut genes, hvg, cells, min_counts } = keep;
        let mut reads = 0;
        if let Some(hvg) = hvg {
            let found = hvg.select(data, genes.as_ref(), engine, threads)?;
            genes = Some(found.genes);
            reads += found.reads;
        }
        if !leaves_out_cells {
            let moments = data.gene_moments().to_vec();
            return Ok(Subset { genes, cells: None, of, moments, hvg, key, reads });
        }
        let sought = Sought { cells: cells.as_ref(), genes: genes.as_ref(), least: min_counts };
        let profile = Profile::new(sought, blocks.cells(), data.gene_moments());
        let threads = threads.min(blocks.blocks()).max(1);
        let mut workers: Vec<_> = (0..threads).map(|_| Worker::new(Local::new(blocks.genes()))).collect();
        engine.announce("cells", blocks);
        engine.pass(blocks, &profile, &mut workers, Direction::Forward)?;
        engine.monitor().finish();
        let (cells, moments) = profile.into_found();
        Ok(Subset { genes, cells: Some(cells), of, moments, hvg, key, reads: reads + 1 })
    }

    /// The genes that are kept; `None`: all.
    pub fn genes(&self) -> Option<&FixedBitSet> {
        self.genes.as_ref()
    }

    /// The cells that are kept; `None`: all.
    pub fn cells(&self) -> Option<&FixedBitSet> {
        self.cells.as_ref()
    }

    /// How many genes are kept.
    pub fn gene_count(&self) -> usize {
        self.genes.as_ref().map_or(self.of.0, |genes| genes.count_ones(..))
    }

    /// How many cells are kept.
    pub fn cell_count(&self) -> usize {
        self.cells.as_ref().map_or(self.of.1, |cells| cells.count_ones(..))
    }

    /// Nonzeros in what is kept.
    pub fn nonzeros(&self) -> u64 {
        let is_kept = |gene: usize| self.genes.as_ref().is_none_or(|genes| genes.contains(gene));
        self.moments.iter().enumerate().filter(|&(gene, _)| is_kept(gene)).map(|(_, moments)| moments.nonzeros).sum()
    }

    /// A hash of what was asked for: [`Keep::key`].
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How genes were selected, if the most variable were wanted.
    pub fn hvg(&self) -> Option<HvgSpec> {
        self.hvg
    }

    /// Reads of all of X that finding it took.
    pub fn reads(&self) -> usize {
        self.reads
    }

    /// Checks that enough is kept for `models`.
    ///
    /// # Errors
    ///
    /// - [`ConfigError::NothingKept`]: no value above zero is kept
    /// - [`ConfigError::Components`]: fewer cells or genes than k
    pub fn check(&self, models: &[Model]) -> Result<(), ConfigError> {
        let (cells, genes) = (self.cell_count(), self.gene_count());
        if self.nonzeros() == 0 {
            return Err(ConfigError::NothingKept { cells, genes });
        }
        let most = cells.min(genes);
        match models.iter().find(|model| model.k > most) {
            Some(model) => Err(ConfigError::Components { k: model.k, cells, genes, most }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use partwise_storage::Quiet;
    use proptest::prelude::*;

    use super::*;
    use crate::Matrix;
    use crate::blocks::{Blocks, conformance};

    /// Small counts (rows × genes, by row), and what to keep of them.
    fn cases() -> impl Strategy<Value = (usize, Vec<u8>, Keep)> {
        let shape = (1usize..12, 1usize..600);
        shape.prop_flat_map(|(genes, cells)| {
            let some = |len: usize| {
                let set = prop::collection::vec(any::<bool>(), len);
                prop::option::of(set.prop_map(|kept| {
                    let mut set = FixedBitSet::with_capacity(kept.len());
                    kept.iter().enumerate().filter(|(_, kept)| **kept).for_each(|(at, _)| set.insert(at));
                    set
                }))
            };
            let values = prop::collection::vec(prop_oneof![2 => Just(0u8), 1 => 1..9u8], genes * cells);
            let keep = (some(genes), some(cells), prop_oneof![Just(0.0), 0.0..20.0])
                .prop_map(|(genes, cells, min_counts)| Keep { genes, hvg: None, cells, min_counts });
            (Just(genes), values, keep)
        })
    }

    fn find(genes: usize, values: &[u8], keep: &Keep) -> Option<(Matrix, Subset)> {
        let dense: Vec<f32> = values.iter().map(|&value| f32::from(value)).collect();
        let data = Matrix::from_dense(genes, &dense).ok().filter(|data| data.nonzeros() > 0)?;
        let engine = Engine::new(1 << 20, &Quiet);
        let subset = Subset::find(&data, keep.clone(), &engine, 2).unwrap();
        Some((data, subset))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn what_is_kept_and_its_sums_are_those_of_the_definition((genes, values, keep) in cases()) {
            let Some((data, subset)) = find(genes, &values, &keep) else { return Ok(()) };
            let has = |set: &Option<FixedBitSet>, at: usize| set.as_ref().is_none_or(|set| set.contains(at));
            let mut moments = vec![(0u64, 0.0, 0.0); genes];
            let mut count = 0;
            for (cell, row) in values.chunks_exact(genes).enumerate() {
                let total: f64 = (0..genes).filter(|&j| has(&keep.genes, j)).map(|j| f64::from(row[j])).sum();
                let kept = has(&keep.cells, cell) && total >= keep.min_counts;
                prop_assert_eq!(subset.cells().is_none_or(|cells| cells.contains(cell)), kept);
                count += usize::from(kept);
                for (sums, &x) in moments.iter_mut().zip(row).filter(|(_, x)| kept && **x > 0) {
                    *sums = (sums.0 + 1, sums.1 + f64::from(x), sums.2 + f64::from(x) * f64::from(x));
                }
            }
            prop_assert_eq!((subset.cell_count(), subset.reads()), (count, usize::from(keep.leaves_out_cells())));
            for (found, want) in subset.moments.iter().zip(&moments) {
                prop_assert_eq!((found.nonzeros, found.sum, found.sum_sq), *want);
            }
            let view = SubsetData::new(&data, &subset);
            conformance::hold(&view);
            prop_assert_eq!(view.kept(), (count, keep.genes.as_ref().map_or(genes, |set| set.count_ones(..))));
        }
    }

    #[test]
    fn what_was_asked_for_has_a_key_of_its_own() {
        let set = |places: &[usize]| {
            let mut set = FixedBitSet::with_capacity(70);
            places.iter().for_each(|&place| set.insert(place));
            Some(set)
        };
        let hvg = |count, method| Some(HvgSpec { count: NonZeroUsize::new(count)?, method });
        let keeps = [
            Keep::default(),
            Keep { genes: set(&[1]), ..Keep::default() },
            Keep { genes: set(&[1, 69]), ..Keep::default() },
            Keep { cells: set(&[1]), ..Keep::default() },
            Keep { min_counts: 1.0, ..Keep::default() },
            Keep { hvg: hvg(5, HvgMethod::Cnmf), ..Keep::default() },
            Keep { hvg: hvg(6, HvgMethod::Cnmf), ..Keep::default() },
            Keep { hvg: hvg(5, HvgMethod::SeuratV3), ..Keep::default() },
        ];
        let keys: std::collections::BTreeSet<String> = keeps.iter().map(Keep::key).collect();
        assert_eq!(keys.len(), keeps.len());
        assert_eq!(keeps[1].key(), keeps[1].clone().key());
    }
}
