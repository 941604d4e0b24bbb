//! Principal components of a matrix in row blocks, which is never centred and never dense.
//!
//! With A = (X − 1μᵀ)·D, where μ are the means of the genes and D divides genes by their standard
//! deviations or is the identity, the axes are the eigenvectors of C = AᵀA with the largest
//! eigenvalues, and the scores are A times the axes. X may be taken as logarithms.
//!
//! | file         | question                                                        |
//! |--------------|-----------------------------------------------------------------|
//! | `config`     | what is asked for, and what of it shapes bits?                  |
//! | `plan`       | which method, how many directions, threads and bytes?           |
//! | `cost`       | which method is expected to take less time?                     |
//! | `basics`     | which means, norms and factors do the genes have?               |
//! | `totals`     | to which sum are cells scaled before the logarithm?             |
//! | `gram`       | how does the Gram matrix become axes, and is it precise enough? |
//! | `covariance` | how does a pass take products with C?                           |
//! | `basis`      | how do products with C become axes? A block Krylov space        |
//! | `course`     | what is known between two passes, and how does a checkpoint keep it? |
//! | `result`     | how does it become an AnnData file?                             |
//!
//! | pass                         | takes                                           |
//! |------------------------------|-------------------------------------------------|
//! | moments, only of logarithms  | Σ x and Σ x² of every gene                      |
//! | axes                         | the Gram matrix XᵀX in one pass; or C times l directions, at most six times |
//! | scores                       | the scores, which go to their place at once, and their variances |
//!
//! The Gram matrix is for some thousand genes. If there are few genes and products are taken, the
//! directions are all of them, one pass takes C itself, and the axes are exact.

mod basics;
mod basis;
mod config;
mod cost;
mod course;
mod covariance;
mod gram;
mod plan;
#[cfg(feature = "hdf5")]
mod result;
mod totals;

use std::borrow::Cow;

use fixedbitset::FixedBitSet;
use partwise_kernels::stride;

use basics::Basics;
use basis::{Search, Space};
pub use config::{Method, MethodSpec, PcaConfig, PcaModel, TargetSum};
use course::{Course, Found, Keeper, Moment, Stage};
use covariance::{Covariance, first_directions, shift};
pub use plan::{PcaExecution, PcaPlan};
#[cfg(feature = "hdf5")]
pub use result::{read, write};

use crate::blocks::{FitData, StoreBlocks};
use crate::comm::{agree, broadcast};
use crate::compute::logarithms::{self, Logarithms};
use crate::compute::row_table::{self, RowMap, RowSums, RowTable};
use crate::digest::RowHashes;
use crate::engine::{Direction, Engine, Worker};
use crate::error::DriverError;
use crate::fit::{Input, Run};
use crate::monitor::FitMonitor;
use crate::shard::shards;
use crate::spectra::Spectra;
use crate::subset::{Subset, SubsetData};

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
    /// How they were found.
    pub method: Method,
    basics: Basics,
    /// Reads of all of X so far, without those for a subset.
    passes: usize,
    resumed_from_pass: usize,
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
    /// How the axes were found.
    pub method: Method,
    /// Reads of all of X, that of a subset included.
    pub passes: usize,
    /// Reads of all of X completed before the checkpoint that this run resumed from; 0: none.
    pub resumed_from_pass: usize,
    /// A hash of the bits of the scores (n × c) and the axes (c × m), little-endian f32: SHA-256 of the
    /// SHA-256 of the scores' row blocks, one after the other, and then of the axes'; hexadecimal.
    pub digest: String,
    /// Rows of X that each process has worked on.
    pub rows_per_rank: Vec<usize>,
}

/// Finds the axes of `input`, and hands them to `then`, which takes the scores.
///
/// The bits depend on the data, the settings and the seed, and not on threads, processes or memory.
///
/// With checkpoints, a stop in between does not show either: a resumed run has the bits of an
/// undisturbed one. A cancelled run writes its state after the last full pass.
///
/// # Errors
///
/// - [`DriverError::Storage`]: a block is damaged or cannot be read.
/// - [`DriverError::Constant`]: the data do not vary.
/// - [`DriverError::Magnitude`], [`DriverError::Range`]: values beyond the range of 32-bit products.
/// - [`DriverError::Threads`]: the system starts no threads.
/// - [`DriverError::Settings`]: processes were given different settings.
/// - [`DriverError::Checkpoint`]: the folder is not for checkpoints, or its checkpoints are of
///   another run.
/// - [`DriverError::Elsewhere`]: another process cannot read or write a checkpoint.
/// - [`DriverError::Comm`]: a process is lost.
/// - [`DriverError::Cancelled`]: the monitor of this or another process has cancelled.
/// - An error of `then`, which fails in all processes with [`DriverError::Cancelled`] or in none.
pub fn find_axes<'d, T>(
    input: impl Into<Input<'d>>,
    plan: &PcaPlan,
    run: &Run<'_>,
    monitor: &dyn FitMonitor,
    then: impl FnOnce(&Axes<'_>) -> Result<T, DriverError>,
) -> Result<T, DriverError> {
    let subset = run.subset.map(|subset| &**subset);
    let find = |data: &dyn FitData| match subset {
        None => Axes::hand_over(data, None, plan, run, monitor, then),
        Some(subset) => Axes::hand_over(&SubsetData::new(data, subset), Some(subset), plan, run, monitor, then),
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
    /// Finds the axes and hands them to `then`. If that is cancelled, a checkpoint keeps the axes.
    fn hand_over<T>(
        data: &'a dyn FitData,
        subset: Option<&'a Subset>,
        plan: &'a PcaPlan,
        run: &Run<'a>,
        monitor: &'a dyn FitMonitor,
        then: impl FnOnce(&Axes<'a>) -> Result<T, DriverError>,
    ) -> Result<T, DriverError> {
        shake_hands(&plan.model, run)?;
        let (mut keeper, course) = Keeper::open(data, &plan.model, run, monitor)?;
        let axes = Axes::find(data, subset, plan, (run, monitor), (&mut keeper, course))?;
        let done = then(&axes);
        keeper.outcome(done, &Moment::of(axes.passes, &axes.basics, Stage::Axes(&axes.axes)))
    }

    fn find(
        data: &'a dyn FitData,
        subset: Option<&'a Subset>,
        plan: &'a PcaPlan,
        (run, monitor): (&Run<'a>, &'a dyn FitMonitor),
        (keeper, course): (&mut Keeper<'a>, Course),
    ) -> Result<Self, DriverError> {
        let PcaPlan { model, execution } = plan;
        let engine = Engine::new(execution.segment_bytes as usize, monitor).among(run.comm);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(execution.threads)
            .thread_name(|i| format!("genes-{i}"))
            .build()
            .map_err(|error| DriverError::Threads { message: error.to_string() })?;
        let Course { mut passes, moments, found } = course;
        let resumed_from_pass = passes;
        passes += usize::from(model.config.log1p.is_some() && moments.is_none());
        let basics = Basics::of(data, &model.config, moments, &engine, execution.threads)?;
        if passes > resumed_from_pass {
            keeper.consider(&Moment::of(passes, &basics, Stage::Begun))?;
        }
        monitor.freed();
        let method = match () {
            () if model.gram && gram::is_precise(&basics, data.blocks()) => Method::Gram,
            () if model.exact => Method::Genes,
            () => Method::Krylov,
        };
        let axes = pool.install(|| match (found, method) {
            (Found::Axes(axes), _) => Ok(axes),
            (_, Method::Gram) => {
                let axes = gram::axes(data, &basics, &engine, execution.threads, model);
                let axes = keeper.outcome(axes, &Moment::of(passes, &basics, Stage::Begun))?;
                passes += 1;
                Ok(axes)
            }
            (found, _) => {
                let mut covariance = Covariance::new(data, &basics, &engine, execution.threads, model.directions);
                let mut space = match found {
                    Found::Space(space) => space,
                    _ => Space::new(first_directions(data, model)),
                };
                let search = Search::of_passes(model);
                while !space.is_complete() {
                    let grown = space.grow(&mut |q| covariance.times(q), &search);
                    keeper.outcome(grown, &Moment::of(passes, &basics, Stage::of(&space)))?;
                    passes += 1;
                    if !space.is_complete() {
                        keeper.consider(&Moment::of(passes, &basics, Stage::of(&space)))?;
                    }
                }
                Ok::<_, DriverError>(space.axes(model.config.components))
            }
        })?;
        keeper.consider(&Moment::of(passes, &basics, Stage::Axes(&axes)))?;
        monitor.freed();
        Ok(Axes { data, subset, model, execution, engine, axes, method, basics, passes, resumed_from_pass })
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
            method: self.method,
            passes: self.passes + 1 + self.subset.map_or(0, Subset::reads),
            resumed_from_pass: self.resumed_from_pass,
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
