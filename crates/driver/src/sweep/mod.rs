//! A sweep: many replicates of several k, each a factorization from a random start, side by side in the same passes.
//! Their [`consensus`](crate::consensus) tells which programs do not depend on the start, and for which k there are
//! such programs.
//!
//! | file       | question                                                       |
//! |------------|----------------------------------------------------------------|
//! | `config`   | which replicates are there, and in which groups do they run?   |
//! | `start`    | from which H does a replicate start?                           |
//! | `meeting`  | which replicates have become the same?                         |
//! | `course`   | what does a checkpoint keep of them?                           |
//! | `plan`     | how many run in the same passes?                               |
//! | `forecast` | how long will it take?                                         |
//!
//! A replicate is a fit that keeps no W: each pass finds W from zero by ten inner sweeps and drops it, and takes
//! twenty inner sweeps on H. W from zero costs no accuracy, and it would be the only part of a replicate that grows
//! with the cells. Genes are divided by their standard deviation.

mod config;
mod course;
mod forecast;
mod meeting;
mod plan;
mod start;

use std::ops::Range;

use partwise_storage::store::GeneMoments;

pub use config::{COHORT, Cohort, ReplicateStart, SweepConfig};
pub use forecast::{CopiedRows, Forecast, Rows};
pub use plan::SweepPlan;

use crate::blocks::FitData;
use crate::checkpoint::{Checkpoints, Claim, Identity, Kept, State as Stored};
use crate::config::ScaleSpec;
use crate::engine::Engine;
use crate::error::DriverError;
use crate::model::Rules;
use crate::monitor::CheckpointEvent;
use crate::scale::{GeneScale, scaled_sq_norm};
use crate::solve::{Assembly, Solver, Standing, State, Until};
use crate::spectra::Spectra;
use crate::trace::TraceRow;
use crate::usages::{Usages, UsagesPlace, UsagesStart};

/// The rules of a replicate.
const RULES: Rules = Rules::EXTRAPOLATED;

/// A finished replicate.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Replicate {
    /// Its number among those of its k.
    pub number: usize,
    /// H, k × m, of genes divided by their standard deviation.
    pub spectra: Vec<f32>,
    /// ‖X̂ − W·H‖² / ‖X̂‖².
    pub error: f64,
    /// Passes that it has made itself.
    pub passes: usize,
    /// The replicate of lower number whose spectra it has, because both had become the same.
    pub met: Option<usize>,
}

impl Replicate {
    /// A replicate with all of these.
    pub fn new(number: usize, spectra: Vec<f32>, error: f64, passes: usize, met: Option<usize>) -> Self {
        Replicate { number, spectra, error, passes, met }
    }
}

/// Where a sweep is, before a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Passes of the replicates that have made most.
    pub passes: usize,
    /// Replicates of the wave that go on.
    pub going: usize,
    /// Replicates of the wave.
    pub of: usize,
}

/// Watches a wave.
pub trait Watch: Sync {
    /// Names a pass for the monitor.
    fn stage(&self, at: Progress) -> String;

    /// So many of the replicates go on from checkpoints. Those that are furthest have so many passes behind them.
    fn resumed(&self, replicates: usize, passes: usize) {
        let _ = (replicates, passes);
    }

    /// A checkpoint cannot be used. The one before it is tried, if there is one.
    fn damaged(&self, reason: &str) {
        let _ = reason;
    }
}

/// The surroundings of a wave.
#[derive(Clone, Copy)]
pub struct Run<'r> {
    /// Passes over the data.
    pub engine: &'r Engine<'r>,
    /// Threads and memory.
    pub plan: &'r SweepPlan,
    /// Where the replicates are kept between two passes, if anywhere: the cohorts of `plan` have a folder each, of
    /// their [names](Cohort::name). They stay until the claim [removes](Claim::remove) them.
    pub checkpoint: Option<&'r Claim>,
    /// Sees how far it is.
    pub watch: &'r dyn Watch,
}

impl std::fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("plan", self.plan).finish_non_exhaustive()
    }
}

/// The replicates of `wave`, side by side in the same passes over `data`, in their order. All processes of the engine
/// call it, with the same settings.
///
/// The bits of a replicate depend on the data, the settings, its k and its number; with
/// [`meet`](SweepConfig::meet) also on the replicates of lower number in its cohort, which are the same in every sweep.
///
/// With checkpoints, a stop in between does not show either. A cohort resumes by itself: waves may be others then.
/// Checkpoints of other data, settings or versions are as good as none. A wave that is cancelled leaves the state of
/// its last pass.
///
/// # Errors
///
/// As [`fit_wave`](crate::fit_wave).
pub fn run_wave(
    data: &dyn FitData,
    wave: &[Cohort],
    config: &SweepConfig,
    run: &Run<'_>,
) -> Result<Vec<Vec<Replicate>>, DriverError> {
    let threads = run.plan.threads;
    // Loops over genes run on this pool, with the threads of the plan and never those of the machine.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("genes-{i}")).build();
    let pool = pool.map_err(|error| DriverError::Threads { message: error.to_string() })?;
    pool.install(|| Wave { data, cohorts: wave, config, run: *run }.run())
}

struct Wave<'w> {
    data: &'w dyn FitData,
    cohorts: &'w [Cohort],
    config: &'w SweepConfig,
    run: Run<'w>,
}

/// A cohort between two passes.
struct Begun<'w> {
    cohort: Cohort,
    /// Its solvers in the list of all.
    solvers: Range<usize>,
    /// Passes of those that go on.
    passes: usize,
    /// The place in the cohort of the one that each has met.
    met: Vec<Option<usize>>,
    checkpoints: Option<Checkpoints<'w>>,
}

impl<'w> Wave<'w> {
    fn run(&self) -> Result<Vec<Vec<Replicate>>, DriverError> {
        let blocks = self.data.blocks();
        let scale = GeneScale::new(ScaleSpec::Std, self.data.gene_moments(), blocks.cells());
        let (mut begun, mut solvers) = self.begin(&scale)?;
        self.passes(&mut begun, &mut solvers)?;

        let sq_norm = scaled_sq_norm(blocks, &scale);
        let mut solvers = solvers.into_iter();
        let mut finished = Vec::with_capacity(begun.len());
        for Begun { cohort, met, .. } in begun {
            let mut replicates: Vec<Replicate> = Vec::with_capacity(cohort.len);
            for (place, (met, solver)) in met.into_iter().zip(solvers.by_ref()).enumerate() {
                let passes = solver.passes();
                let (spectra, _, loss) = solver.into_spectra();
                let (spectra, error) = match met {
                    None => (by_component(&spectra), 2.0 * loss / sq_norm),
                    Some(earlier) => (replicates[earlier].spectra.clone(), replicates[earlier].error),
                };
                let met = met.map(|earlier| cohort.first + earlier);
                replicates.push(Replicate { number: cohort.first + place, spectra, error, passes, met });
            }
            finished.push(replicates);
        }
        Ok(finished)
    }

    /// Every replicate at its start, or where its checkpoint has left it.
    fn begin<'d>(&self, scale: &'d GeneScale) -> Result<(Vec<Begun<'w>>, Vec<Solver<'d>>), DriverError> {
        let genes = self.data.blocks().genes();
        let (mut begun, mut courses) = (Vec::with_capacity(self.cohorts.len()), Vec::new());
        let (mut first, mut resumed, mut last) = (0, 0, 0);
        for &cohort in self.cohorts {
            let mut checkpoints = self.checkpoints(cohort)?;
            let expected = course::Expected { genes, cohort, extrapolate: RULES.extrapolate };
            let course = checkpoints.as_mut().map_or(Ok(None), |checkpoints| checkpoints.resume_own(&expected))?;
            let (passes, met) = course.as_ref().map_or((0, vec![None; cohort.len]), |of| (of.passes, of.met.clone()));
            if course.is_some() {
                (resumed, last) = (resumed + cohort.len, last.max(passes));
            }
            courses.push(course);
            begun.push(Begun { cohort, solvers: first..first + cohort.len, passes, met, checkpoints });
            first += cohort.len;
        }
        if resumed > 0 {
            self.run.watch.resumed(resumed, last);
        }
        let fresh = self.cohorts.iter().zip(&courses).filter(|(_, course)| course.is_none());
        let fresh: Vec<Cohort> = fresh.map(|(cohort, _)| *cohort).collect();
        let mut starts = self.starts(&fresh, scale)?.into_iter();

        let mut solvers = Vec::with_capacity(first);
        for (cohort, course) in self.cohorts.iter().zip(courses) {
            match course {
                None => {
                    for spectra in starts.by_ref().take(cohort.len) {
                        let standing = Standing::start(spectra, RULES.extrapolate);
                        solvers.push(self.solver(standing, Vec::new(), &[], scale)?);
                    }
                }
                Some(course) => {
                    for Stored { standing, trace, pending, .. } in course.states {
                        solvers.push(self.solver(standing, trace, &pending, scale)?);
                    }
                }
            }
        }
        Ok((begun, solvers))
    }

    /// H of every replicate of `cohorts` before its first pass.
    fn starts(&self, cohorts: &[Cohort], scale: &GeneScale) -> Result<Vec<Spectra>, DriverError> {
        let (cells, genes, seed) = (self.data.blocks().cells(), self.data.blocks().genes(), self.config.seed);
        let mean = scaled_mean(self.data.gene_moments(), scale, cells);
        let random = |k: usize, number: usize| start::start(genes, k, number, seed, mean);
        let numbers = |of: &Cohort| (of.first..of.first + of.len).map(|number| (of.k, number)).collect::<Vec<_>>();
        let replicates: Vec<(usize, usize)> = cohorts.iter().flat_map(numbers).collect();
        let Run { engine, plan, .. } = self.run;
        match self.config.start {
            ReplicateStart::Random => Ok(replicates.into_iter().map(|(k, number)| random(k, number)).collect()),
            ReplicateStart::Sample => {
                let mut starts = Vec::with_capacity(replicates.len());
                for some in replicates.chunks(plan.samples.max(1)) {
                    let matrix = (self.data, scale);
                    starts.extend(start::on_samples(matrix, some, seed, &random, (engine, plan.threads))?);
                    engine.monitor().freed();
                }
                Ok(starts)
            }
        }
    }

    /// The checkpoints of a cohort, if there is a place for them.
    fn checkpoints(&self, cohort: Cohort) -> Result<Option<Checkpoints<'w>>, DriverError> {
        let Run { engine, checkpoint, watch, .. } = self.run;
        let Some(claim) = checkpoint else { return Ok(None) };
        let numbers = [("k", cohort.k), ("first", cohort.first), ("replicates", cohort.len)];
        let settings = self.config.settings().into_iter().map(|(name, value)| (name, value.to_string()));
        let settings = settings.chain(numbers.map(|(name, value)| (name, value.to_string())));
        let kept = Kept {
            name: Some(cohort.name()),
            together: self.cohorts.len(),
            identity: Identity::of_kind("replicates of a sweep", self.data, settings, &claim.spec().cpu),
            // No process has rows of its own.
            own: 0..0,
            hear: Box::new(move |event| {
                if let CheckpointEvent::Damaged { reason } = event {
                    watch.damaged(reason);
                }
            }),
        };
        Checkpoints::open(claim, kept, engine.comm(), engine.monitor()).map(Some)
    }

    fn solver<'d>(
        &self,
        standing: Standing,
        trace: Vec<TraceRow>,
        pending: &[f32],
        scale: &'d GeneScale,
    ) -> Result<Solver<'d>, DriverError> {
        let blocks = self.data.blocks();
        let (place, zero, k) = (UsagesPlace::Nowhere, UsagesStart::Zero, standing.spectra.k());
        let mut usages = Usages::new(blocks.cells(), k, blocks.block_rows(), &place, zero)?;
        if !pending.is_empty() {
            usages.rescale(pending);
        }
        let until = Until { passes: self.config.max_passes, tol: self.config.tol, residual: false };
        Ok(Solver::new(blocks, scale, RULES, until, State { standing, usages, before: 0, trace }))
    }

    /// Passes until every replicate has ended or met another one.
    fn passes(&self, begun: &mut [Begun<'_>], solvers: &mut [Solver<'_>]) -> Result<(), DriverError> {
        let (blocks, Run { engine, plan, watch, .. }) = (self.data.blocks(), self.run);
        let mut assembly: Option<Assembly> = None;
        loop {
            let has_met = begun.iter().flat_map(|begun| &begun.met).map(Option::is_some);
            let goes_on = has_met.zip(&*solvers).map(|(has_met, solver)| !has_met && solver.stop().is_none());
            let active: Vec<usize> = goes_on.enumerate().filter(|(_, goes_on)| *goes_on).map(|(at, _)| at).collect();
            if active.is_empty() {
                return Ok(());
            }
            if assembly.as_ref().is_none_or(|assembly| assembly.solvers() != active) {
                // The old buffers are freed before new ones are made.
                drop(assembly.take());
            }
            let assembly = assembly.get_or_insert_with(|| Assembly::new(blocks, solvers, &active, plan.threads));
            let passes = 1 + active.iter().map(|&at| solvers[at].passes()).max().unwrap_or(0);
            let stage = watch.stage(Progress { passes, going: active.len(), of: solvers.len() });
            match assembly.pass(&stage, engine, blocks, solvers) {
                Err(DriverError::Cancelled) => {
                    begun.iter_mut().try_for_each(|begun| begun.keep(solvers, |kept, moment| kept.leave(moment)))?;
                    return Err(DriverError::Cancelled);
                }
                passed => passed?,
            }
            for begun in &mut *begun {
                if !active.iter().any(|at| begun.solvers.contains(at)) {
                    continue;
                }
                begun.passes += 1;
                if self.config.meet && meeting::is_due(begun.passes) {
                    begun.meet(solvers);
                }
                begun.keep(solvers, |kept, moment| kept.consider(moment))?;
            }
        }
    }
}

impl Begun<'_> {
    fn meet(&mut self, solvers: &[Solver<'_>]) {
        let solvers = &solvers[self.solvers.clone()];
        let spectra: Vec<&Spectra> = solvers.iter().map(|solver| &solver.standing().spectra).collect();
        let goes_on: Vec<bool> = solvers.iter().map(|solver| solver.stop().is_none()).collect();
        meeting::meet(&spectra, &goes_on, &mut self.met);
    }

    /// Gives the state of the cohort to its checkpoints, if it has any.
    fn keep(
        &mut self,
        solvers: &[Solver<'_>],
        give: impl FnOnce(&mut Checkpoints<'_>, &course::Moment<'_, '_>) -> Result<(), DriverError>,
    ) -> Result<(), DriverError> {
        let Begun { cohort, passes, met, checkpoints, .. } = self;
        let solvers = &solvers[self.solvers.clone()];
        match checkpoints {
            None => Ok(()),
            Some(checkpoints) => give(checkpoints, &course::Moment { cohort: *cohort, passes: *passes, met, solvers }),
        }
    }
}

/// The mean of all values of X̂, zeros included.
fn scaled_mean(moments: &[GeneMoments], scale: &GeneScale, cells: usize) -> f64 {
    let sum: f64 = moments.iter().enumerate().map(|(gene, of)| of.sum * f64::from(scale.factor(gene))).sum();
    sum / (cells as f64 * moments.len() as f64)
}

/// H, k × m.
fn by_component(spectra: &Spectra) -> Vec<f32> {
    (0..spectra.k()).flat_map(|component| spectra.component(component)).collect()
}
