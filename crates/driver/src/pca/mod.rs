//! Principal components of a matrix in row blocks, which is never centred and never dense.
//!
//! With A = (X − 1μᵀ)·D, where μ are the means of the genes and D divides genes by their standard
//! deviations or is the identity, the axes are the eigenvectors of C = AᵀA with the largest
//! eigenvalues, and the scores are A times the axes. X may be taken as logarithms.
//!
//! | file     | question                                                        |
//! |----------|-----------------------------------------------------------------|
//! | `plan`   | how many directions, threads and bytes does it take?            |
//! | `basis`  | how do products with C become axes? A block Krylov space        |
//! | `totals` | to which sum are cells scaled before the logarithm?             |
//! | `result` | how does it become an AnnData file?                             |
//!
//! | pass                         | takes                                           |
//! |------------------------------|-------------------------------------------------|
//! | moments, only of logarithms  | Σ x and Σ x² of every gene                      |
//! | axes, at most six            | C times l directions                            |
//! | scores                       | the scores, which go to their place at once, and their variances |
//!
//! If there are few genes, the directions are all of them, one pass takes C itself, and the axes are
//! exact.

mod basis;
mod plan;
#[cfg(feature = "hdf5")]
mod result;
mod totals;

use std::borrow::Cow;
use std::ops::Range;

use fixedbitset::FixedBitSet;
use partwise_kernels::stride;
use partwise_storage::store::GeneMoments;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

pub use plan::{PcaExecution, PcaPlan};
#[cfg(feature = "hdf5")]
pub use result::write;

use crate::blocks::{FitData, StoreBlocks};
use crate::comm::{agree, broadcast};
use crate::compute::centred::{self, Centred, CentredSums};
use crate::compute::logarithms::{self, Logarithms};
use crate::compute::moments::{self, Moments};
use crate::compute::row_table::{self, RowMap, RowSums, RowTable};
use crate::config::ScaleSpec;
use crate::digest::RowHashes;
use crate::engine::{Direction, Engine, Worker};
use crate::error::DriverError;
use crate::fit::{Input, Run};
use crate::model::{Named, Setting};
use crate::scale::GeneScale;
use crate::shard::shards;
use crate::spectra::{GENE_CHUNK, Spectra};
use crate::subset::{Subset, SubsetData};
use partwise_storage::Monitor;

/// Root mean squares of values whose products are normal 32-bit floats with room to spare.
const MAGNITUDES: Range<f64> = 1e-15..1e15;
/// A matrix whose variance is a smaller part of ‖X‖² is constant: the difference is rounding.
const LEAST_SPREAD: f64 = 1e-12;

/// The sum that the values of every cell are scaled to before the logarithm is taken.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum TargetSum {
    /// The median of the sums of the cells that are not empty.
    #[default]
    Median,
    /// This one.
    Sum(f64),
}

/// Settings of principal components. Start from `new` and change what differs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PcaConfig {
    /// Components c.
    pub components: usize,
    /// Whether genes are divided by their standard deviations.
    pub scale: ScaleSpec,
    /// Whether values x become ln(1 + x·target / (sum of the cell)). The sum of a cell is over all
    /// genes of the data, also those that are left out.
    pub log1p: Option<TargetSum>,
    /// Seed of the first directions.
    pub seed: u64,
}

impl PcaConfig {
    /// c components of the values as they are.
    pub fn new(components: usize) -> Self {
        PcaConfig { components, scale: ScaleSpec::None, log1p: None, seed: 0 }
    }

    /// Sets the scaling of genes.
    pub fn with_scale(self, scale: ScaleSpec) -> Self {
        PcaConfig { scale, ..self }
    }

    /// Sets whether, and how, values become logarithms.
    pub fn with_log1p(self, log1p: Option<TargetSum>) -> Self {
        PcaConfig { log1p, ..self }
    }

    /// Sets the seed.
    pub fn with_seed(self, seed: u64) -> Self {
        PcaConfig { seed, ..self }
    }
}

/// Everything that shapes the bits of the components besides the data.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PcaModel {
    /// The settings.
    pub config: PcaConfig,
    /// Directions l that a pass multiplies.
    pub directions: usize,
    /// Whether they are all genes.
    pub exact: bool,
    /// Passes at most that take products with the covariance.
    pub steps: usize,
}

impl PcaModel {
    /// The settings by name.
    pub fn settings(&self) -> Vec<Named> {
        // Without `..`: a field that is new has to be named here.
        let PcaModel { config, directions, exact, steps } = self;
        let PcaConfig { components, scale, log1p, seed } = config;
        let mut settings = vec![
            ("components", Setting::Int(*components as i64)),
            ("seed", Setting::Text(seed.to_string())),
            ("scale", Setting::Text(scale.word().into())),
            ("log1p", Setting::Flag(log1p.is_some())),
            ("directions", Setting::Int(*directions as i64)),
            ("exact", Setting::Flag(*exact)),
            ("steps_at_most", Setting::Int(*steps as i64)),
        ];
        if let Some(target) = log1p {
            let word = if *target == TargetSum::Median { "median" } else { "given" };
            settings.push(("target", Setting::Text(word.into())));
        }
        settings
    }
}

/// Takes scores of consecutive cells, row-major: the place of the first one among the cells that are
/// kept, and the values.
pub type ScoreSink<'s> = dyn Fn(usize, &[f32]) -> Result<(), DriverError> + Sync + 's;

/// The axes, found, and everything that the pass of the scores needs.
pub struct Axes<'a> {
    data: &'a dyn FitData,
    subset: Option<&'a Subset>,
    /// The settings.
    pub model: &'a PcaModel,
    execution: &'a PcaExecution,
    engine: Engine<'a>,
    /// m × c of all genes of the data; those that are left out are zero.
    axes: Spectra,
    basics: Basics,
    /// Reads of all of X so far.
    passes: usize,
}

impl std::fmt::Debug for Axes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Axes({} x {}, {:?})", self.genes(), self.axes.k(), self.model)
    }
}

/// The scores, written, and their variances.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Scores {
    /// The variance of the scores on each axis, with n − 1.
    pub variance: Vec<f64>,
    /// Its part of the variance of the data.
    pub variance_ratio: Vec<f64>,
    /// The variance of the data: the sum over the genes, scaled.
    pub total_variance: f64,
    /// Reads of all of X, that of a subset included.
    pub passes: usize,
    /// A hash of the bits of the scores (n × c) and the axes (c × m), little-endian f32: SHA-256 of the
    /// SHA-256 of the scores' row blocks, one after the other, and then of the axes'; hexadecimal.
    pub digest: String,
    /// Rows of X that each process has worked on.
    pub rows_per_rank: Vec<usize>,
}

/// Sums of the data before the first product.
struct Basics {
    /// Cells that are kept.
    cells: usize,
    /// The sum that cells are scaled to, if values are taken as logarithms.
    target: Option<f64>,
    moments: Vec<GeneMoments>,
    means: Vec<f64>,
    scale: GeneScale,
    /// ‖X·D‖².
    sq_norm: f64,
    /// ‖A‖².
    spread: f64,
}

/// Finds the axes of `input`, and hands them to `then`, which takes the scores.
///
/// The bits depend on the data, the settings and the seed, and not on threads, processes or memory.
///
/// # Errors
///
/// - [`DriverError::Storage`]: a block is damaged or cannot be read.
/// - [`DriverError::Constant`]: the data do not vary.
/// - [`DriverError::Magnitude`], [`DriverError::Range`]: values beyond the range of 32-bit products.
/// - [`DriverError::Threads`]: the system starts no threads.
/// - [`DriverError::Settings`]: processes were given different settings.
/// - [`DriverError::Comm`]: a process is lost.
/// - [`DriverError::Cancelled`]: the monitor of this or another process has cancelled.
/// - An error of `then`.
pub fn find_axes<'d, T>(
    input: impl Into<Input<'d>>,
    plan: &PcaPlan,
    run: &Run<'_>,
    monitor: &dyn Monitor,
    then: impl FnOnce(&Axes<'_>) -> Result<T, DriverError>,
) -> Result<T, DriverError> {
    let subset = run.subset.map(|subset| &**subset);
    let find = |data: &dyn FitData| match subset {
        None => then(&Axes::find(data, None, plan, run, monitor)?),
        Some(subset) => then(&Axes::find(&SubsetData::new(data, subset), Some(subset), plan, run, monitor)?),
    };
    match input.into() {
        Input::Store(store) => {
            let own = shards(&StoreBlocks::new(store), run.comm.size()).swap_remove(run.comm.rank());
            let execution = &plan.execution;
            find(&StoreBlocks::new(store).keeping(own, execution.pinned_bytes, execution.cached_bytes))
        }
        Input::Matrix(matrix) => find(matrix),
    }
}

impl<'a> Axes<'a> {
    fn find(
        data: &'a dyn FitData,
        subset: Option<&'a Subset>,
        plan: &'a PcaPlan,
        run: &Run<'a>,
        monitor: &'a dyn Monitor,
    ) -> Result<Self, DriverError> {
        let PcaPlan { model, execution } = plan;
        shake_hands(model, run)?;
        let engine = Engine::new(execution.segment_bytes as usize, monitor).among(run.comm);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(execution.threads)
            .thread_name(|i| format!("genes-{i}"))
            .build()
            .map_err(|error| DriverError::Threads { message: error.to_string() })?;
        let mut passes = subset.map_or(0, Subset::reads);
        let basics = Basics::of(data, &model.config, &engine, execution.threads)?;
        passes += usize::from(basics.target.is_some());
        monitor.freed();
        let (axes, steps) = pool.install(|| {
            let mut covariance = Covariance::new(data, &basics, &engine, execution.threads, model.directions);
            let first = first_directions(data, model);
            basis::axes(&mut |q| covariance.times(q), first, model)
        })?;
        monitor.freed();
        Ok(Axes { data, subset, model, execution, engine, axes, basics, passes: passes + steps })
    }

    /// Cells n.
    pub fn cells(&self) -> usize {
        self.basics.cells
    }

    /// Genes m that are kept.
    pub fn genes(&self) -> usize {
        self.data.blocks().kept().1
    }

    /// The genes and cells that are kept; `None`: all.
    pub fn subset(&self) -> Option<&Subset> {
        self.subset
    }

    /// The sum that cells were scaled to, if values were taken as logarithms.
    pub fn target_sum(&self) -> Option<f64> {
        self.basics.target
    }

    /// The processes that work on it.
    #[cfg(feature = "hdf5")]
    pub(crate) fn comm(&self) -> &'a dyn crate::comm::Comm {
        self.engine.comm()
    }

    /// The axes (m × c) of the genes that are kept: orthonormal, the entry of each with the largest
    /// magnitude positive. An axis beyond the rank of the data is zero.
    pub fn axes(&self) -> Cow<'_, Spectra> {
        match self.data.kept_genes() {
            None => Cow::Borrowed(&self.axes),
            Some(kept) => Cow::Owned(self.axes.of_genes(kept)),
        }
    }

    /// The last pass: gives the scores of this process's cells to `sink`.
    ///
    /// # Errors
    ///
    /// As [`find_axes`], or an error of `sink`.
    pub fn scores(&self, sink: &ScoreSink<'_>) -> Result<Scores, DriverError> {
        let (blocks, basics, comm) = (self.data.blocks(), &self.basics, self.engine.comm());
        let c = self.axes.k();
        let mut factor = self.axes.clone();
        basics.scale.factors().into_iter().for_each(|factors| factor.multiply_genes(factors));
        let shift = shift(&factor, &basics.means);
        let sums = RowSums::new(c, basics.sq_norm);
        let hashes = RowHashes::new(blocks.blocks());
        let kept = self.subset.and_then(Subset::cells);
        let block_rows = blocks.block_rows();
        let place = |first_row: usize, rows: &[f32]| {
            let first = kept.map_or(first_row, |kept| kept.count_ones(..first_row));
            let rows = kept_rows(rows, first_row, c, kept);
            hashes.add(first_row / block_rows, &rows);
            sink(first, &rows)
        };
        let table = RowTable {
            data: blocks,
            factor: factor.view(),
            ld: stride(c),
            map: RowMap::Minus(&shift),
            sums: Some(&sums),
            sink: &place,
        };
        let fold = Logarithms { data: self.data, target: basics.target, fold: table };
        let mut workers = workers(self.execution.threads, blocks.blocks(), || {
            logarithms::Local::new(row_table::Local::new(blocks, c))
        });
        self.engine.announce("scores", blocks);
        self.engine.pass(blocks, &fold, &mut workers, Direction::Forward)?;
        self.engine.monitor().finish();
        drop(workers);

        let mut squares = vec![0.0; c * c];
        sums.yty.read(0..c, 0..c, &mut squares);
        let degrees = (basics.cells.max(2) - 1) as f64;
        let variance: Vec<f64> = (0..c).map(|at| squares[at * c + at] / degrees).collect();
        let total_variance = basics.spread / degrees;
        Ok(Scores {
            variance_ratio: variance.iter().map(|variance| variance / total_variance).collect(),
            variance,
            total_variance,
            passes: self.passes + 1,
            digest: hashes.finish(comm, &self.axes())?,
            rows_per_rank: shards(blocks, comm.size())
                .into_iter()
                .map(|own| own.map(|block| blocks.block(block).rows).sum())
                .collect(),
        })
    }
}

/// The rows of a block that are kept, c values each.
fn kept_rows<'r>(rows: &'r [f32], first_row: usize, c: usize, kept: Option<&FixedBitSet>) -> Cow<'r, [f32]> {
    let Some(kept) = kept else { return Cow::Borrowed(rows) };
    let all = rows.chunks_exact(c).enumerate();
    let some = all.filter(|(row, _)| kept.contains(first_row + row)).flat_map(|(_, values)| values);
    Cow::Owned(some.copied().collect())
}

/// Refuses processes with different settings.
fn shake_hands(model: &PcaModel, run: &Run<'_>) -> Result<(), DriverError> {
    let comm = run.comm;
    let settings = model.settings().into_iter().map(|(name, value)| format!("{name} = {value}"));
    let target = model.config.log1p.map(|target| format!("target = {target:?}"));
    let subset = run.subset.map(|subset| format!("subset = {}", subset.key()));
    let mine = settings.chain(target).chain(subset).collect::<Vec<_>>().join(", ");
    let first = broadcast(comm, mine.as_bytes())?;
    let same = match first == mine.as_bytes() {
        true => Ok(()),
        false => Err(DriverError::Settings {
            rank: comm.rank(),
            differences: format!("{mine}, not {}", String::from_utf8_lossy(&first)),
        }),
    };
    agree(comm, same)
}

fn workers<L>(threads: usize, blocks: usize, local: impl Fn() -> L) -> Vec<Worker<L>> {
    (0..threads.min(blocks).max(1)).map(|_| Worker::new(local())).collect()
}

/// c = Fᵀμ for the columns of F (m × c).
fn shift(factor: &Spectra, means: &[f64]) -> Vec<f32> {
    let mut sums = vec![0.0; factor.k()];
    for (gene, mean) in factor.ht().chunks_exact(factor.ks()).zip(means) {
        sums.iter_mut().zip(gene).for_each(|(sum, &value)| *sum += mean * f64::from(value));
    }
    sums.into_iter().map(|sum| sum as f32).collect()
}

impl Basics {
    fn of(data: &dyn FitData, config: &PcaConfig, engine: &Engine<'_>, threads: usize) -> Result<Self, DriverError> {
        let (blocks, cells) = (data.blocks(), data.blocks().kept().0);
        let target = match config.log1p {
            None => None,
            Some(TargetSum::Sum(sum)) => Some(sum),
            Some(TargetSum::Median) => Some(totals::median(data)?),
        };
        let moments = match target {
            None => data.gene_moments().to_vec(),
            Some(target) => {
                // A value is at most the sum of its cell; a hundredth covers the rounding.
                let moments = Moments::new(data.gene_moments(), 1.01 * libm::log1p(target));
                let fold = Logarithms { data, target: Some(target), fold: &moments };
                let mut workers =
                    workers(threads, blocks.blocks(), || logarithms::Local::new(moments::Local::new(blocks.genes())));
                engine.announce("logarithms", blocks);
                engine.pass(blocks, &fold, &mut workers, Direction::Forward)?;
                engine.monitor().finish();
                moments.found(data.gene_moments())
            }
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
        Ok(Basics { cells, target, moments, means, scale, sq_norm, spread })
    }
}

/// Orthonormal directions that are zero for the genes that are left out: random ones, or the genes.
fn first_directions(data: &dyn FitData, model: &PcaModel) -> Spectra {
    let (genes, kept) = (data.blocks().genes(), data.kept_genes());
    let mut first = Spectra::zeros(genes, model.directions);
    let (l, ks) = (first.k(), first.ks());
    let is_kept = |gene: usize| kept.is_none_or(|kept| kept.contains(gene));
    let rows = first.ht_mut().chunks_exact_mut(ks).enumerate().filter(|(gene, _)| is_kept(*gene));
    if model.exact {
        rows.enumerate().for_each(|(at, (_, row))| row[at] = 1.0);
        return first;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(model.config.seed);
    for (_, row) in rows {
        row[..l].iter_mut().for_each(|value| *value = 2.0 * rng.random::<f32>() - 1.0);
    }
    let gram = first.gram();
    basis::orthonormal(&mut first, &gram, 0.0);
    first
}

/// Multiplies directions by C/‖A‖², with a pass each.
struct Covariance<'c> {
    data: &'c dyn FitData,
    basics: &'c Basics,
    engine: &'c Engine<'c>,
    sums: CentredSums,
    workers: Vec<Worker<logarithms::Local<centred::Local>>>,
    /// D·Q, if genes are scaled or left out.
    scaled: Option<Spectra>,
}

impl<'c> Covariance<'c> {
    fn new(data: &'c dyn FitData, basics: &'c Basics, engine: &'c Engine<'c>, threads: usize, l: usize) -> Self {
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

    fn times(&mut self, q: &Spectra) -> Result<Spectra, DriverError> {
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
