//! The whole factorization of a store, by plan, in one process or in several.

use std::ops::Range;

use partwise_kernels::UpdateRule;
use partwise_storage::Monitor;
use partwise_storage::store::Store;
use sha2::{Digest, Sha256};

use crate::checkpoint::{CheckpointEvent, CheckpointSpec, Checkpoints, Course, Expected, Identity, Moment};
use crate::comm::{Comm, Solo, gather};
use crate::data::StoreBlocks;
use crate::engine::Engine;
use crate::error::DriverError;
use crate::init::{self, SampleStart};
use crate::plan::{Init, Plan};
use crate::sample::Caps;
use crate::scale::{GeneScale, scaled_sq_norm};
use crate::shard::shards;
use crate::solve::{Factorization, Limits, Standing};
use crate::spectra::Spectra;
use crate::trace::{StopReason, TraceRow};
use crate::usages::{Usages, UsagesStart};

/// Root mean squares of nonzeros whose products, in W as in WᵀX, are normal 32-bit floats with room to spare.
const MAGNITUDES: std::ops::Range<f64> = 1e-15..1e15;

/// 64-bit words of a SHA-256.
const DIGEST_WORDS: usize = 4;

/// Whoever watches a fit: progress and interruption as for any long work, and each pass as it ends.
pub trait FitMonitor: Monitor {
    /// A full pass has ended.
    fn pass(&self, _row: &TraceRow) {}

    /// Something has happened with a checkpoint.
    fn checkpoint(&self, _event: &CheckpointEvent<'_>) {}
}

impl FitMonitor for partwise_storage::Quiet {}

/// A finished factorization X ≈ W·H, in the units of the input.
#[derive(Debug)]
pub struct Fit {
    usages: Usages,
    spectra: Spectra,
    /// Every full pass.
    pub trace: Vec<TraceRow>,
    /// Why it ended.
    pub stop: StopReason,
    /// Reads of all of X, that of the sample included.
    pub passes: usize,
    /// Work on the sample, in passes over X.
    pub sample_passes: f64,
    /// Reads of all of X that the checkpoint had behind it that the fit went on from; 0 where it started at the beginning.
    pub resumed_from_pass: usize,
    /// Bytes of blocks that the full passes of all processes read; those that stayed in memory are read once, those mapped not at all.
    pub bytes_read: u64,
    /// ‖X−WH‖ / ‖X‖ of the matrix factorized (after scaling of genes).
    pub relative_error: f64,
    /// A hash of the bits of W (n × k) and H (k × m), row-major, little-endian f32, as in the result: SHA-256 of the SHA-256
    /// of W's row blocks, one after the other, and then of H's; hexadecimal.
    pub digest: String,
    /// Rows of X that each process has worked on.
    pub rows_per_rank: Vec<usize>,
    /// The row blocks of W that this process has.
    own: Range<usize>,
}

impl Fit {
    /// Cells n.
    pub fn cells(&self) -> usize {
        self.usages.cells()
    }

    /// Genes m.
    pub fn genes(&self) -> usize {
        self.spectra.genes()
    }

    /// Components k.
    pub fn k(&self) -> usize {
        self.spectra.k()
    }

    /// Fraction of ‖X‖² that W·H explains: 1 − relative_error².
    pub fn explained(&self) -> f64 {
        1.0 - self.relative_error * self.relative_error
    }

    /// Hᵀ in the units of the input, m × k row-major.
    pub fn spectra(&self) -> Vec<f32> {
        let (k, ks) = (self.spectra.k(), self.spectra.ks());
        self.spectra.ht().chunks_exact(ks).flat_map(|gene| &gene[..k]).copied().collect()
    }

    /// Shows the blocks of W that this process has as (first row, rows × k row-major), in order.
    ///
    /// # Errors
    ///
    /// When the scratch file of W cannot be read, or `show` fails.
    pub fn for_each_usages<E: From<DriverError>>(
        &self,
        mut show: impl FnMut(usize, &[f32]) -> Result<(), E>,
    ) -> Result<(), E> {
        let k = self.k();
        for block in self.own.clone() {
            let (first, count) = (self.usages.first_row_of(block), self.usages.rows_of(block));
            let mut rows = vec![0.0; count * k];
            self.usages.load(block, &mut rows, k)?;
            show(first, &rows)?;
        }
        Ok(())
    }

    /// Every process hashes the blocks that it has; the hashes go to all.
    fn compute_digest(&self, comm: &dyn Comm) -> Result<String, DriverError> {
        let mut hashes = vec![[0i64; DIGEST_WORDS]; self.usages.blocks()];
        let mut own = hashes[self.own.clone()].iter_mut();
        self.for_each_usages::<DriverError>(|_, rows| {
            let hash = own.next().expect("a place for every block");
            bytemuck::cast_slice_mut::<i64, u8>(hash).copy_from_slice(&Sha256::digest(bytemuck::cast_slice(rows)));
            Ok(())
        })?;
        comm.all_reduce_sum(&mut [hashes.as_flattened_mut()])?;

        let mut spectra = Sha256::new();
        let ks = self.spectra.ks();
        for c in 0..self.k() {
            let row: Vec<f32> = self.spectra.ht().iter().skip(c).step_by(ks).copied().collect();
            spectra.update(bytemuck::cast_slice::<f32, u8>(&row));
        }
        let mut hash = Sha256::new();
        hash.update(bytemuck::cast_slice::<i64, u8>(hashes.as_flattened()));
        hash.update(spectra.finalize());
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// How a planned fit is carried out.
#[derive(Clone, Copy)]
pub struct Run<'r> {
    /// The processes that work on it. All of them have the same store and a plan of the same settings; threads and memory may
    /// differ.
    pub comm: &'r dyn Comm,
    /// Where its state is kept, if it is; the same in all processes.
    pub checkpoint: Option<&'r CheckpointSpec>,
}

impl Default for Run<'_> {
    /// One process, no checkpoints.
    fn default() -> Self {
        Run { comm: &Solo, checkpoint: None }
    }
}

impl std::fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Run(process {} of {})", self.comm.rank(), self.comm.size())
    }
}

/// Factorizes `store` as planned, in this process alone: [`fit_with`] and `Run::default()`.
///
/// # Errors
///
/// As [`fit_with`].
pub fn fit(store: &Store, plan: &Plan, monitor: &dyn FitMonitor) -> Result<Fit, DriverError> {
    fit_with(store, plan, &Run::default(), monitor)
}

/// Factorizes `store` as planned.
///
/// The result depends on the data, the settings and the seed; not on threads, processes, memory or the order of blocks. Each
/// process keeps the rows of W that it has worked on.
///
/// With checkpoints, what a fit was when it was stopped does not show either: going on gives the bits of a fit that was left
/// alone. `max_passes` and `tol` of the plan may be others then, and decide from there on, by all passes made. A fit that is
/// cancelled leaves the state of its last pass's end; one that ends leaves what checkpoints it has written.
///
/// # Errors
///
/// - [`DriverError::Storage`]: a block is damaged or cannot be read (path, block and rows in the message).
/// - [`DriverError::Scratch`]: W does not fit in memory and the scratch disk is full.
/// - [`DriverError::Start`]: the earlier result to start from has another shape.
/// - [`DriverError::Magnitude`], [`DriverError::Range`]: values beyond the range of 32-bit products.
/// - [`DriverError::Threads`]: the system gives no threads.
/// - [`DriverError::Checkpoint`]: the checkpoint folder is not one, or its checkpoints are of another fit.
/// - [`DriverError::Elsewhere`]: another process cannot read or write its part of a checkpoint.
/// - [`DriverError::Comm`]: a process is lost.
/// - [`DriverError::Cancelled`]: the monitor of this process, or of another, said so.
pub fn fit_with(store: &Store, plan: &Plan, run: &Run<'_>, monitor: &dyn FitMonitor) -> Result<Fit, DriverError> {
    // Loops over genes run on this pool: as many threads as the plan says, never the machine's.
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(plan.pool_threads)
        .thread_name(|i| format!("genes-{i}"))
        .build()
        .map_err(|error| DriverError::Threads { message: error.to_string() })?;
    pool.install(|| fit_on_pool(store, plan, run, monitor))
}

fn fit_on_pool(store: &Store, plan: &Plan, run: &Run<'_>, monitor: &dyn FitMonitor) -> Result<Fit, DriverError> {
    let shards = shards(&StoreBlocks::new(store), run.comm.size());
    let own = shards[run.comm.rank()].clone();
    let data = StoreBlocks::new(store).keeping(own.clone(), plan.pinned_bytes, plan.cached_bytes);
    let scale = GeneScale::new(plan.scale, store.gene_moments(), store.cells());
    let engine = Engine::new(plan.segment_bytes as usize, monitor).among(run.comm);
    let usages = |start| Usages::new(store.cells(), plan.k, store.block_rows(), &plan.usages, start);

    let size = (scaled_sq_norm(&data, &scale) / store.nonzeros() as f64).sqrt();
    if !MAGNITUDES.contains(&size) {
        return Err(DriverError::Magnitude { size });
    }

    let mut checkpoints = run
        .checkpoint
        .map(|spec| {
            let identity = Identity::new(store, plan, &spec.cpu);
            Checkpoints::open(spec, run.comm, monitor, identity, own.clone())
        })
        .transpose()?;
    let expected = Expected { genes: store.genes(), k: plan.k, extrapolate: plan.rules.extrapolate, usages: &usages };
    let resumed = checkpoints.as_mut().map_or(Ok(None), |checkpoints| checkpoints.resume(&expected))?;
    let resumed_from_pass = resumed.as_ref().map_or(0, |resumed| resumed.passes);
    let Course { passes, sample_passes, mut trace, standing, usages } = match resumed {
        Some(resumed) => resumed,
        None => begin(store, plan, &scale, &engine, own.clone(), &usages)?,
    };

    monitor.freed();
    // Reads of X before the first full pass.
    let before = passes - trace.len();
    let mut factorization = Factorization::new(&data, &scale, plan.rules, standing, usages, plan.threads);
    if let Some(checkpoints) = &mut checkpoints {
        checkpoints.consider(&Moment::of(&factorization, before, sample_passes, &trace))?;
    }
    let limits = Limits { passes: plan.max_passes.saturating_sub(before).max(1), tol: plan.tol, residual: true };
    let stopped = factorization.run(&engine, limits, before + 1, &mut trace, &mut |fit, trace| {
        trace.last().into_iter().for_each(|row| monitor.pass(row));
        match &mut checkpoints {
            Some(checkpoints) => checkpoints.consider(&Moment::of(fit, before, sample_passes, trace)),
            None => Ok(()),
        }
    });
    if let (Err(DriverError::Cancelled), Some(checkpoints)) = (&stopped, &mut checkpoints) {
        checkpoints.leave(&Moment::of(&factorization, before, sample_passes, &trace))?;
    }
    let stop = stopped?;
    let passes = before + trace.len();
    let relative_error = trace
        .iter()
        .rfind(|row| row.accepted)
        .map(|row| row.relative_error)
        .expect("the first pass is always accepted");

    let (mut usages, mut spectra) = factorization.into_factors();
    usages.settle();
    monitor.freed();
    to_input_units(&mut spectra, &scale);
    let mut fit = Fit {
        usages,
        spectra,
        trace,
        stop,
        passes,
        sample_passes,
        resumed_from_pass,
        bytes_read: gather(run.comm, data.bytes_read() as i64)?.into_iter().sum::<i64>() as u64,
        relative_error,
        digest: String::new(),
        rows_per_rank: shards.iter().map(|shard| shard.clone().map(|block| store.block(block).rows).sum()).collect(),
        own,
    };
    fit.digest = fit.compute_digest(run.comm)?;
    Ok(fit)
}

/// The start that `plan` says, before any full pass.
fn begin(
    store: &Store,
    plan: &Plan,
    scale: &GeneScale,
    engine: &Engine<'_>,
    own: Range<usize>,
    usages: &dyn Fn(UsagesStart) -> Result<Usages, DriverError>,
) -> Result<Course, DriverError> {
    let (genes, k) = (store.genes(), plan.k);
    let mean: f64 =
        store.gene_moments().iter().enumerate().map(|(j, gene)| gene.sum * f64::from(scale.factor(j))).sum::<f64>()
            / (store.cells() as f64 * genes as f64);
    let uniform = init::uniform_scale(mean, k);
    // Multiplicative updates cannot leave zero, the others do not care where they come from.
    let usages_start = match plan.rules.usages {
        UpdateRule::Mu => UsagesStart::Uniform { scale: uniform, seed: plan.seed },
        UpdateRule::Hals { .. } | UpdateRule::Bpp => UsagesStart::Zero,
    };

    let (mut passes, mut sample_passes) = (0, 0.0);
    let (spectra, usages) = match &plan.init {
        Init::Random => (init::random(genes, k, uniform, plan.seed), usages(usages_start)?),
        Init::Given(path) => {
            let mut usages = usages(UsagesStart::Zero)?;
            (init::given(path, store, scale, own, &mut usages)?, usages)
        }
        &Init::Sample { entries, rows } => {
            let start = SampleStart {
                store,
                scale,
                k,
                seed: plan.seed,
                caps: Caps { entries, rows },
                threads: plan.threads.max(1),
            };
            let (mut spectra, work) = init::sample(&start, engine)?;
            if plan.rules.usages == UpdateRule::Mu {
                spectra.lift_zeros();
            }
            (passes, sample_passes) = (1, work);
            (spectra, usages(usages_start)?)
        }
    };
    let standing = Standing::start(spectra, plan.rules.extrapolate);
    Ok(Course { passes, sample_passes, trace: Vec::new(), standing, usages })
}

/// X̂ = X·D ≈ W·Ĥ, so X ≈ W·(Ĥ·D⁻¹).
fn to_input_units(spectra: &mut Spectra, scale: &GeneScale) {
    let ks = spectra.ks();
    if let Some(factors) = scale.factors() {
        for (gene, &factor) in spectra.ht_mut().chunks_exact_mut(ks).zip(factors) {
            gene.iter_mut().for_each(|value| *value /= factor);
        }
    }
}
