//! A sweep: many replicates of several k, each a factorization from a random start, side by side in the same passes.
//! Their [`consensus`](crate::consensus) tells which programs do not depend on the start, and for which k there are
//! such programs.
//!
//! | file       | question                                                       |
//! |------------|----------------------------------------------------------------|
//! | `config`   | which replicates are there, and in which groups do they run?   |
//! | `start`    | from which H does a replicate start?                           |
//! | `meeting`  | which replicates have become the same?                         |
//! | `plan`     | how many run in the same passes?                               |
//! | `forecast` | how long will it take?                                         |
//!
//! A replicate is a fit that keeps no W: each pass finds W from zero by ten inner sweeps and drops it, and takes
//! twenty inner sweeps on H. W from zero costs no accuracy, and it would be the only part of a replicate that grows
//! with the cells. Genes are divided by their standard deviation.

mod config;
mod forecast;
mod meeting;
mod plan;
mod start;

use partwise_storage::store::GeneMoments;

pub use config::{COHORT, Cohort, SweepConfig};
pub use forecast::{CopiedRows, Forecast, Rows};
pub use plan::SweepPlan;

use crate::blocks::FitData;
use crate::config::ScaleSpec;
use crate::engine::Engine;
use crate::error::DriverError;
use crate::model::Rules;
use crate::scale::{GeneScale, scaled_sq_norm};
use crate::solve::{Assembly, Solver, Standing, State, Until};
use crate::spectra::Spectra;
use crate::usages::{Usages, UsagesPlace, UsagesStart};

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
    /// Passes of the wave.
    pub passes: usize,
    /// Replicates of the wave that go on.
    pub going: usize,
    /// Replicates of the wave.
    pub of: usize,
}

/// Names a pass for the monitor.
pub type Stage<'s> = dyn Fn(Progress) -> String + Sync + 's;

/// The replicates of `wave`, side by side in the same passes over `data`, in their order. All processes of the engine
/// call it, with the same settings.
///
/// The bits of a replicate depend on the data, the settings, its k and its number; with
/// [`meet`](SweepConfig::meet) also on the replicates of lower number in its cohort, which are the same in every sweep.
///
/// `stage` names a pass for the monitor.
///
/// # Errors
///
/// As [`fit_wave`](crate::fit_wave).
pub fn run_wave(
    data: &dyn FitData,
    wave: &[Cohort],
    config: &SweepConfig,
    (engine, plan): (&Engine<'_>, &SweepPlan),
    stage: &Stage<'_>,
) -> Result<Vec<Vec<Replicate>>, DriverError> {
    // Loops over genes run on this pool, with the threads of the plan and never those of the machine.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(plan.threads).thread_name(|i| format!("genes-{i}")).build();
    let pool = pool.map_err(|error| DriverError::Threads { message: error.to_string() })?;
    pool.install(|| Wave { data, cohorts: wave, config, engine, threads: plan.threads, stage }.run())
}

struct Wave<'w> {
    data: &'w dyn FitData,
    cohorts: &'w [Cohort],
    config: &'w SweepConfig,
    engine: &'w Engine<'w>,
    threads: usize,
    stage: &'w Stage<'w>,
}

impl Wave<'_> {
    fn run(&self) -> Result<Vec<Vec<Replicate>>, DriverError> {
        let blocks = self.data.blocks();
        let scale = GeneScale::new(ScaleSpec::Std, self.data.gene_moments(), blocks.cells());
        let mut solvers = self.solvers(&scale)?;
        let met = self.passes(&mut solvers)?;

        let sq_norm = scaled_sq_norm(blocks, &scale);
        let mut solvers = solvers.into_iter();
        let mut finished = Vec::with_capacity(self.cohorts.len());
        for (cohort, met) in self.cohorts.iter().zip(met) {
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

    /// Every replicate at its start.
    fn solvers<'d>(&self, scale: &'d GeneScale) -> Result<Vec<Solver<'d>>, DriverError> {
        let (cells, genes) = (self.data.blocks().cells(), self.data.blocks().genes());
        let mean = scaled_mean(self.data.gene_moments(), scale, cells);
        let mut solvers = Vec::new();
        for cohort in self.cohorts {
            for number in cohort.first..cohort.first + cohort.len {
                let spectra = start::start(genes, cohort.k, number, self.config.seed, mean);
                solvers.push(self.solver(spectra, scale)?);
            }
        }
        Ok(solvers)
    }

    fn solver<'d>(&self, spectra: Spectra, scale: &'d GeneScale) -> Result<Solver<'d>, DriverError> {
        let (blocks, rules) = (self.data.blocks(), Rules::EXTRAPOLATED);
        let (place, zero) = (UsagesPlace::Nowhere, UsagesStart::Zero);
        let usages = Usages::new(blocks.cells(), spectra.k(), blocks.block_rows(), &place, zero)?;
        let standing = Standing::start(spectra, rules.extrapolate);
        let until = Until { passes: self.config.max_passes, tol: self.config.tol, residual: false };
        Ok(Solver::new(blocks, scale, rules, until, State { standing, usages, before: 0, trace: Vec::new() }))
    }

    /// Passes until every replicate has ended or met another one. Returns for every replicate of each cohort the place
    /// of the one that it has met.
    fn passes(&self, solvers: &mut [Solver<'_>]) -> Result<Vec<Vec<Option<usize>>>, DriverError> {
        let mut met: Vec<Vec<Option<usize>>> = self.cohorts.iter().map(|cohort| vec![None; cohort.len]).collect();
        let mut assembly: Option<Assembly> = None;
        for passes in 1.. {
            let has_met: Vec<bool> = met.iter().flatten().map(Option::is_some).collect();
            let active: Vec<usize> =
                (0..solvers.len()).filter(|&at| !has_met[at] && solvers[at].stop().is_none()).collect();
            if active.is_empty() {
                break;
            }
            if assembly.as_ref().is_none_or(|assembly| assembly.solvers() != active) {
                // The old buffers are freed before new ones are made.
                drop(assembly.take());
            }
            let blocks = self.data.blocks();
            let assembly = assembly.get_or_insert_with(|| Assembly::new(blocks, solvers, &active, self.threads));
            let stage = (self.stage)(Progress { passes, going: active.len(), of: solvers.len() });
            assembly.pass(&stage, self.engine, blocks, solvers)?;
            if self.config.meet && meeting::is_due(passes) {
                self.meet(solvers, &mut met);
            }
        }
        Ok(met)
    }

    fn meet(&self, solvers: &[Solver<'_>], met: &mut [Vec<Option<usize>>]) {
        let mut rest = solvers;
        for met in met {
            let (cohort, others) = rest.split_at(met.len());
            rest = others;
            let spectra: Vec<&Spectra> = cohort.iter().map(|solver| &solver.standing().spectra).collect();
            let goes_on: Vec<bool> = cohort.iter().map(|solver| solver.stop().is_none()).collect();
            meeting::meet(&spectra, &goes_on, met);
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
