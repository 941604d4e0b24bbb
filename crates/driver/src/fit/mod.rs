//! The whole factorization of a matrix, by plan: one fit or several in the same passes, in one
//! process or in several.

mod outcome;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use partwise_kernels::UpdateRule;
use partwise_storage::sampling::Caps;
use partwise_storage::store::Store;
use tracing::info_span;

use crate::blocks::{FitData, Matrix, StoreBlocks};
use crate::checkpoint::{Checkpoints, Claim, Course, Expected, FitCourse, Identity, Kept, Moment, Runs};
use crate::comm::{Comm, Solo, agree, all_gather, broadcast};
use crate::config::ScaleSpec;
use crate::engine::Engine;
use crate::error::DriverError;
use crate::init::{self, StartOf, Starts};
use crate::model::{Init, Model};
use crate::monitor::{FitId, FitMonitor};
use crate::plan::{Execution, Plan};
use crate::scale::{GeneScale, scaled_sq_norm};
use crate::scores::{self, Factors};
use crate::shard::shards;
use crate::solve::{self, Solver, Standing, State, Until};
use crate::spectra::Spectra;
use crate::subset::{Subset, SubsetData};
use crate::trace::StopReason;
use crate::usages::{Usages, UsagesStart};

pub use outcome::{Fit, UsageRows};

/// Root mean squares of nonzeros whose products, in W as in WᵀX, are normal 32-bit floats with room
/// to spare.
const MAGNITUDES: Range<f64> = 1e-15..1e15;

/// The data of a fit.
#[derive(Debug, Clone, Copy)]
pub enum Input<'d> {
    /// A store on disk.
    Store(&'d Store),
    /// A matrix in memory.
    Matrix(&'d Matrix),
}

impl<'d> From<&'d Store> for Input<'d> {
    fn from(store: &'d Store) -> Self {
        Input::Store(store)
    }
}

impl<'d> From<&'d Matrix> for Input<'d> {
    fn from(matrix: &'d Matrix) -> Self {
        Input::Matrix(matrix)
    }
}

/// The surroundings of a planned fit.
#[derive(Clone, Copy)]
pub struct Run<'r> {
    /// The processes that work on it. All of them have the same data and a plan of the same
    /// settings; threads and memory may differ.
    pub comm: &'r dyn Comm,
    /// Where its state is kept, if anywhere; the same in all processes.
    pub checkpoint: Option<&'r Claim>,
    /// The genes and cells of the data that are fitted; `None`: all.
    pub subset: Option<&'r Arc<Subset>>,
}

impl Default for Run<'_> {
    /// One process, no checkpoints, all genes and cells.
    fn default() -> Self {
        Run { comm: &Solo, checkpoint: None, subset: None }
    }
}

impl std::fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Run(process {} of {})", self.comm.rank(), self.comm.size())
    }
}

/// The one fit of `plan`, in this process alone: [`fit_with`] and `Run::default()`.
///
/// # Errors
///
/// As [`fit_wave`].
pub fn fit<'d>(input: impl Into<Input<'d>>, plan: &Plan, monitor: &dyn FitMonitor) -> Result<Fit, DriverError> {
    fit_with(input, plan, &Run::default(), monitor)
}

/// The one fit of `plan`.
///
/// # Errors
///
/// As [`fit_wave`].
///
/// # Panics
///
/// When the plan has several fits, or none.
pub fn fit_with<'d>(
    input: impl Into<Input<'d>>,
    plan: &Plan,
    run: &Run<'_>,
    monitor: &dyn FitMonitor,
) -> Result<Fit, DriverError> {
    assert_eq!(plan.models.len(), 1, "the plan is of one fit");
    let mut fits = fit_wave(input, plan, 0, run, monitor)?;
    Ok(fits.swap_remove(0))
}

/// The fits of one wave of `plan`, side by side in the same passes, in the order of the plan.
///
/// Each result depends on the data, the settings and the seed of its fit; not on threads,
/// processes, memory, the order of blocks, or the other fits. Each process keeps the rows of W that
/// it has worked on.
///
/// With checkpoints, a stop in between does not show either: a resumed fit has the bits of an
/// undisturbed one. `max_passes` and `tol` may change then; from there on they apply to all passes
/// made. Cancelled fits write the state of their last pass. Finished fits leave the checkpoints
/// that they have written.
///
/// A cancelled wave returns its fits with [`StopReason::Cancelled`], if each of them has made a
/// pass.
///
/// # Errors
///
/// - [`DriverError::Storage`]: a block is damaged or cannot be read (path, block and rows in the
///   message).
/// - [`DriverError::Scratch`]: W does not fit in memory and the scratch disk is full.
/// - [`DriverError::Start`]: the earlier result to start from has another shape.
/// - [`DriverError::Magnitude`], [`DriverError::Range`]: values beyond the range of 32-bit
///   products.
/// - [`DriverError::Threads`]: the system starts no threads.
/// - [`DriverError::Checkpoint`]: the folder is not for checkpoints, or its checkpoints are of
///   another fit.
/// - [`DriverError::Settings`]: processes were given different settings.
/// - [`DriverError::Elsewhere`]: another process cannot read or write its part of a checkpoint, or
///   has other settings.
/// - [`DriverError::Comm`]: a process is lost.
/// - [`DriverError::Cancelled`]: the monitor of this or another process cancelled before every fit
///   had made a pass.
///
/// # Panics
///
/// When the plan has no such wave.
pub fn fit_wave<'d>(
    input: impl Into<Input<'d>>,
    plan: &Plan,
    wave: usize,
    run: &Run<'_>,
    monitor: &dyn FitMonitor,
) -> Result<Vec<Fit>, DriverError> {
    let (input, execution) = (input.into(), &plan.execution);
    // Loops over genes run on this pool, with the threads of the plan and never those of the
    // machine.
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(execution.pool_threads)
        .thread_name(|i| format!("genes-{i}"))
        .build()
        .map_err(|error| DriverError::Threads { message: error.to_string() })?;
    let models = &plan.models[execution.waves[wave].clone()];
    let wave_of = |(data, sampled): (&dyn FitData, &dyn FitData), models, shards| {
        let (is_set, subset) = (plan.is_set, run.subset);
        match subset {
            None => Wave { data, sampled, models, is_set, execution, run, monitor, shards }.run(),
            Some(subset) => {
                let (data, sampled) = (&SubsetData::new(data, subset), &SubsetData::new(sampled, subset));
                Wave { data, sampled, models, is_set, execution, run, monitor, shards }.run()
            }
        }
    };
    pool.install(|| match input {
        Input::Store(store) => {
            let shards = shards(&StoreBlocks::new(store), run.comm.size());
            let own = shards[run.comm.rank()].clone();
            let data = StoreBlocks::new(store).keeping(own, execution.pinned_bytes, execution.cached_bytes);
            // Blocks stay in memory from the first full pass on: the start needs memory of its own.
            let unpinned = StoreBlocks::new(store);
            wave_of((&data, &unpinned), models, shards)
        }
        Input::Matrix(matrix) => wave_of((matrix, matrix), models, shards(matrix.blocks(), run.comm.size())),
    })
}

/// Fits that share their passes.
struct Wave<'w> {
    data: &'w dyn FitData,
    /// The same, to take samples from.
    sampled: &'w dyn FitData,
    models: &'w [Model],
    is_set: bool,
    execution: &'w Execution,
    run: &'w Run<'w>,
    monitor: &'w dyn FitMonitor,
    shards: Vec<Range<usize>>,
}

/// One of them before its first pass of this run.
struct Begun<'w> {
    checkpoints: Option<Checkpoints<'w>>,
    resumed_from_pass: usize,
    course: Option<FitCourse>,
}

impl<'w> Wave<'w> {
    fn run(&self) -> Result<Vec<Fit>, DriverError> {
        let (data, blocks, monitor) = (self.data, self.data.blocks(), self.monitor);
        let (spec, cells) = (self.models[0].scale, blocks.kept().0);
        let scale = GeneScale::new(spec, data.gene_moments(), cells).keeping(data.kept_genes());
        let engine = Engine::new(self.execution.segment_bytes as usize, monitor).among(self.run.comm);
        let size = (scaled_sq_norm(blocks, &scale) / data.nonzeros() as f64).sqrt();
        if !MAGNITUDES.contains(&size) {
            return Err(DriverError::Magnitude { size });
        }

        let given = self.given_digest()?;
        self.shake_hands(given.as_deref())?;
        self.check_folders()?;
        let mut begun =
            self.models.iter().map(|model| self.resume(model, given.as_deref())).collect::<Result<Vec<_>, _>>()?;
        self.start(&mut begun, &scale, &engine)?;
        monitor.freed();

        let mut kept = Vec::with_capacity(begun.len());
        let mut solvers = Vec::with_capacity(begun.len());
        for (model, Begun { checkpoints, resumed_from_pass, course }) in self.models.iter().zip(begun) {
            let FitCourse { sample_passes, state } = course.expect("every fit has been started");
            let passes = model.limits.max_passes.saturating_sub(state.before).max(1);
            let until = Until { passes, tol: model.limits.tol, residual: true };
            solvers.push(Solver::new(blocks, &scale, model.rules, until, state));
            kept.push((checkpoints, resumed_from_pass, sample_passes));
        }
        for ((checkpoints, _, sample_passes), solver) in kept.iter_mut().zip(&solvers) {
            if let Some(checkpoints) = checkpoints {
                checkpoints.consider(&Moment::of(solver, *sample_passes))?;
            }
        }
        let threads = self.execution.threads;
        let ended = solve::run(&engine, blocks, &mut solvers, threads, &mut |i, solver| {
            solver.trace().last().into_iter().for_each(|row| monitor.pass(self.models[i].id(), row));
            match &mut kept[i] {
                (Some(checkpoints), _, sample_passes) => checkpoints.consider(&Moment::of(solver, *sample_passes)),
                _ => Ok(()),
            }
        });
        match ended {
            Err(DriverError::Cancelled) => self.leave(&mut kept, &solvers)?,
            Err(error) if solvers[0].trace().is_empty() => return Err(self.cause_of(error)),
            ended => ended?,
        }
        self.finish(solvers, kept, &scale, given, &engine)
    }

    /// The fits were cancelled: their last states go into checkpoints. Fails unless each has made a
    /// pass.
    fn leave(
        &self,
        kept: &mut [(Option<Checkpoints<'w>>, usize, f64)],
        solvers: &[Solver<'_>],
    ) -> Result<(), DriverError> {
        for ((checkpoints, _, sample_passes), solver) in kept.iter_mut().zip(solvers) {
            if let Some(checkpoints) = checkpoints {
                checkpoints.leave(&Moment::of(solver, *sample_passes))?;
            }
        }
        match solvers.iter().all(|solver| solver.standing().loss.is_some()) {
            true => Ok(()),
            false => Err(DriverError::Cancelled),
        }
    }

    /// The cause of an error in the first pass: if its products overflow after a start from an earlier
    /// result, that start is out of range rather than the data.
    fn cause_of(&self, error: DriverError) -> DriverError {
        match (&error, &self.models[0].init) {
            #[cfg(feature = "hdf5")]
            (DriverError::Range { .. }, Init::Given(path)) => init::out_of_range(path),
            _ => error,
        }
    }

    fn finish(
        &self,
        solvers: Vec<Solver<'_>>,
        kept: Vec<(Option<Checkpoints<'w>>, usize, f64)>,
        scale: &GeneScale,
        given: Option<String>,
        engine: &Engine<'_>,
    ) -> Result<Vec<Fit>, DriverError> {
        let comm = self.run.comm;
        let read = self.data.bytes_read() + self.sampled.bytes_read();
        let bytes_read = all_gather(comm, read as i64)?.into_iter().sum::<i64>() as u64;
        let blocks = self.data.blocks();
        let kept_cells = self.run.subset.and_then(|subset| subset.cells());
        let rows = |shard: &Range<usize>| {
            let rows = shard.clone().map(|block| blocks.block(block)).map(|info| match kept_cells {
                None => info.rows,
                Some(kept) => kept.count_ones(info.first_row..info.first_row + info.rows),
            });
            rows.sum()
        };
        let rows_per_rank: Vec<usize> = self.shards.iter().map(rows).collect();
        let mut fits = Vec::with_capacity(solvers.len());
        for ((model, solver), (_, resumed_from_pass, sample_passes)) in self.models.iter().zip(solvers).zip(kept) {
            let (stop, passes) = (solver.stop().unwrap_or(StopReason::Cancelled), solver.passes());
            let (mut usages, mut spectra, trace) = solver.into_parts();
            usages.settle();
            to_input_units(&mut spectra, scale);
            if let Some(genes) = self.data.kept_genes() {
                spectra = spectra.of_genes(genes);
            }
            let subset = self.run.subset.cloned();
            let is_scaled = model.scale == ScaleSpec::Std;
            let is_kept = |gene: usize| self.data.kept_genes().is_none_or(|kept| kept.contains(gene));
            let deviations = scale.factors().filter(|_| is_scaled).map(|factors| {
                let kept = factors.iter().enumerate().filter(|&(gene, _)| is_kept(gene));
                kept.map(|(_, &factor)| 1.0 / f64::from(factor)).collect()
            });
            let accepted = trace.iter().rfind(|row| row.accepted);
            let relative_error = accepted.map(|row| row.relative_error).expect("the first pass is always accepted");
            fits.push(Fit {
                model: model.clone(),
                trace,
                stop,
                passes: passes + subset.as_ref().map_or(0, |subset| subset.reads()),
                sample_passes,
                resumed_from_pass,
                bytes_read,
                relative_error,
                digest: String::new(),
                rows_per_rank: rows_per_rank.clone(),
                start: given.clone(),
                usages,
                spectra,
                deviations,
                scores: None,
                subset,
                own: self.own(),
            });
        }
        self.monitor.freed();
        if self.execution.scores && fits.iter().all(|fit| fit.stop != StopReason::Cancelled) {
            let factors: Vec<Factors<'_>> =
                fits.iter().map(|fit| Factors { usages: &fit.usages, spectra: &fit.spectra }).collect();
            let scores = scores::score(self.data, &factors, engine, self.execution.threads)?;
            fits.iter_mut().zip(scores).for_each(|(fit, scores)| fit.scores = Some(scores));
            self.monitor.freed();
        }
        let _span = info_span!("digest").entered();
        for fit in &mut fits {
            fit.digest = fit.compute_digest(comm)?;
        }
        Ok(fits)
    }

    /// The row blocks of this process.
    fn own(&self) -> Range<usize> {
        self.shards[self.run.comm.rank()].clone()
    }

    fn usages(&self, k: usize, start: UsagesStart) -> Result<Usages, DriverError> {
        let blocks = self.data.blocks();
        Usages::new(blocks.cells(), k, blocks.block_rows(), &self.execution.usages, start)
    }

    /// Refuses processes that were given other settings than process 0.
    fn shake_hands(&self, given: Option<&str>) -> Result<(), DriverError> {
        let comm = self.run.comm;
        if comm.size() == 1 {
            return Ok(());
        }
        let settings = |model: &Model| {
            let all = model.settings().into_iter().chain(model.limits());
            all.map(|(name, value)| format!("{name} = {value}")).collect::<Vec<_>>().join(", ")
        };
        let start = given.map(|digest| format!("start = {digest}"));
        let subset = self.run.subset.map(|subset| format!("subset = {}", subset.key()));
        let mine = self.models.iter().map(settings).chain(start).chain(subset).collect::<Vec<_>>().join("; ");
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

    /// Refuses folders that are not for checkpoints before any of them is written to.
    fn check_folders(&self) -> Result<(), DriverError> {
        let ids: Vec<FitId> = self.models.iter().map(Model::id).collect();
        let (comm, runs) = (self.run.comm, Runs::of_fits(&ids, self.is_set));
        match self.run.checkpoint {
            None => Ok(()),
            Some(claim) => agree(comm, if comm.rank() == 0 { claim.spec().check(&runs) } else { Ok(()) }),
        }
    }

    /// The digest of the earlier result to start from, if there is one.
    fn given_digest(&self) -> Result<Option<String>, DriverError> {
        match &self.models[0].init {
            #[cfg(feature = "hdf5")]
            Init::Given(path) => init::digest(path).map(Some),
            _ => Ok(None),
        }
    }

    /// H of the earlier result at `path`; fills the usages of this process.
    #[cfg(feature = "hdf5")]
    fn given(&self, path: &Path, scale: &GeneScale, usages: &mut Usages) -> Result<Spectra, DriverError> {
        // Only one fit starts from a file.
        init::given(path, self.data, scale, self.models[0].seed, self.own(), usages)
    }

    /// Results are AnnData files, which this build cannot read.
    #[cfg(not(feature = "hdf5"))]
    fn given(&self, path: &Path, _scale: &GeneScale, _usages: &mut Usages) -> Result<Spectra, DriverError> {
        Err(DriverError::Start {
            path: path.into(),
            expected: "a start that is no file".into(),
            found: "this build of the library has no HDF5 to read it with".into(),
        })
    }

    /// Opens the checkpoints of a fit, and reads the newest if the fit resumes.
    fn resume(&self, model: &Model, given: Option<&str>) -> Result<Begun<'w>, DriverError> {
        let Some(claim) = self.run.checkpoint else {
            return Ok(Begun { checkpoints: None, resumed_from_pass: 0, course: None });
        };
        let identity = Identity::of_fit(self.data, model, given, &claim.spec().cpu);
        let (id, monitor) = (model.id(), self.monitor);
        let kept = Kept {
            name: self.is_set.then(|| id.to_string()),
            together: self.models.len(),
            identity,
            own: self.own(),
            hear: Box::new(move |event| monitor.checkpoint(id, event)),
        };
        let mut checkpoints = Checkpoints::open(claim, kept, self.run.comm, monitor)?;
        let course = checkpoints.resume(&self.expected(model))?;
        let resumed_from_pass = course.as_ref().map_or(0, FitCourse::passes);
        Ok(Begun { checkpoints: Some(checkpoints), resumed_from_pass, course })
    }

    /// What a checkpoint of this fit holds.
    fn expected<'e>(&'e self, model: &'e Model) -> Expected<'e> {
        Expected {
            genes: self.data.blocks().genes(),
            k: model.k,
            extrapolate: model.rules.extrapolate,
            usages: Box::new(|start| self.usages(model.k, start)),
        }
    }

    /// Starts the fits that have not resumed, those that start from a sample together.
    fn start(&self, begun: &mut [Begun<'w>], scale: &GeneScale, engine: &Engine<'_>) -> Result<(), DriverError> {
        let _span = info_span!("start").entered();
        let (genes, mean) = (self.data.blocks().genes(), self.mean(scale));
        let resumed: Vec<bool> = begun.iter().map(|begun| begun.course.is_some()).collect();
        let (sampled, starts): (Vec<usize>, Vec<StartOf>) = (self.models.iter().enumerate())
            .filter(|&(i, _)| !resumed[i])
            .filter_map(|(i, model)| match model.init {
                Init::Sample { entries, rows } => {
                    Some((i, StartOf { k: model.k, seed: model.seed, caps: Caps { entries, rows } }))
                }
                Init::Random | Init::Given(_) => None,
            })
            .unzip();
        let mut from_samples = BTreeMap::new();
        if !sampled.is_empty() {
            // The plan gives the memory of W to the samples until the start has ended. So fits that
            // have resumed let go of theirs, and read it again below.
            begun.iter_mut().for_each(|begun| begun.course = None);
            let starts = Starts { data: self.sampled, scale, fits: starts, threads: self.execution.threads.max(1) };
            from_samples.extend(sampled.into_iter().zip(init::sample(&starts, engine)?));
        }
        for (i, (model, begun)) in self.models.iter().zip(begun).enumerate() {
            if begun.course.is_some() {
                continue;
            }
            if resumed[i] {
                let checkpoints = begun.checkpoints.as_ref().expect("a fit that has resumed");
                begun.course = Some(checkpoints.read_again(&self.expected(model))?);
                continue;
            }
            let uniform = init::uniform_scale(mean, model.k);
            begun.course = Some(match &model.init {
                Init::Random => {
                    let spectra = init::random(genes, model.k, uniform, model.seed, 0);
                    course(model, (spectra, self.usages(model.k, usages_start(model, uniform))?), 0, 0.0)
                }
                Init::Given(path) => {
                    let mut usages = self.usages(model.k, UsagesStart::Zero)?;
                    course(model, (self.given(path, scale, &mut usages)?, usages), 0, 0.0)
                }
                Init::Sample { .. } => {
                    let start = from_samples.remove(&i).expect("all of them have been started");
                    let init::Start { mut spectra, work, reads } = start;
                    if model.rules.usages == UpdateRule::Mu {
                        spectra.lift_zeros();
                    }
                    course(model, (spectra, self.usages(model.k, usages_start(model, uniform))?), reads, work)
                }
            });
        }
        Ok(())
    }

    /// The mean of all entries, genes scaled.
    fn mean(&self, scale: &GeneScale) -> f64 {
        let moments = self.data.gene_moments().iter().enumerate();
        let sum: f64 = moments.map(|(j, gene)| gene.sum * f64::from(scale.factor(j))).sum();
        let (cells, genes) = self.data.blocks().kept();
        sum / (cells as f64 * genes as f64)
    }
}

/// Multiplicative updates cannot leave zero; the other rules solve for W wherever it starts.
fn usages_start(model: &Model, uniform: f32) -> UsagesStart {
    match model.rules.usages {
        UpdateRule::Mu => UsagesStart::Uniform { scale: uniform, seed: model.seed },
        UpdateRule::Hals { .. } | UpdateRule::Bpp => UsagesStart::Zero,
    }
}

/// A fit before its first pass.
fn course(model: &Model, (spectra, usages): (Spectra, Usages), before: usize, sample_passes: f64) -> FitCourse {
    let standing = Standing::start(spectra, model.rules.extrapolate);
    FitCourse { sample_passes, state: State { standing, usages, before, trace: Vec::new() } }
}

/// X̂ = X·D ≈ W·Ĥ, so X ≈ W·(Ĥ·D⁻¹) in genes that are not left out.
fn to_input_units(spectra: &mut Spectra, scale: &GeneScale) {
    let ks = spectra.ks();
    if let Some(factors) = scale.factors() {
        for (gene, &factor) in spectra.ht_mut().chunks_exact_mut(ks).zip(factors).filter(|(_, factor)| **factor != 0.0)
        {
            gene.iter_mut().for_each(|value| *value /= factor);
        }
    }
}
