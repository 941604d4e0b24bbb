//! `partwise fit`: the whole job.

mod keep;
mod places;
mod report;
mod stored;
mod trace;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use partwise::driver::data::StoreBlocks;
use partwise::driver::fit::{Run, fit_with};
use partwise::driver::shard::shards;
use partwise::driver::{ConfigError, DataShape, DriverError, Machine, NmfConfig, Plan, result};
use partwise::storage::anndata::Value;
use partwise::storage::{Layout, Store};

use crate::failure::{Code, Failure};
use crate::input::{self, Input, Select};
use crate::launch::{self, World};
use crate::options::Common;
use crate::progress::Progress;
use crate::settings::{Settings, word};
use crate::{allocator, foresee, machine, mapping, output, print, watchdog};
use keep::Keep;
use places::Places;
use report::Report;
use stored::Stored;
use trace::Watch;

/// Factorize X ≈ W·H: the whole job, from a file to a result
///
/// A file is converted into a block store first, which later fits of the same file use again. The result is an AnnData
/// file: obsm["X_nmf"] is W, varm["spectra"] is H transposed, uns["nmf"] says how they came to be.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    partwise fit pbmc3k.h5ad -k 10                         the result is pbmc3k.nmf.h5ad\n  \
    partwise fit processed.h5ad --raw -k 20 --scale std    counts under raw, genes of equal weight\n  \
    partwise fit atlas.pw -k 50 -o atlas.k50.h5ad --memory 4G --trace atlas.csv\n  \
    partwise fit atlas.pw -k 50 --checkpoint atlas.ck --resume     goes on where it was stopped")]
pub(crate) struct Options {
    /// A store (NAME.pw) or a file (.h5ad, .npy), cells x genes
    #[arg(value_name = "INPUT")]
    input: PathBuf,
    #[command(flatten)]
    settings: Settings,
    /// The result [default: INPUT with the ending .nmf.h5ad]
    #[arg(short, long, value_name = "RESULT.h5ad", help_heading = "Files")]
    output: Option<PathBuf>,
    /// Where a file is converted to [default: beside the result, with the ending .pw]
    #[arg(long, value_name = "PATH.pw", help_heading = "Files")]
    store: Option<PathBuf>,
    /// Write every pass to this table as it ends
    #[arg(long, value_name = "FILE.csv", help_heading = "Files")]
    trace: Option<PathBuf>,
    #[command(flatten)]
    keep: Keep,
    /// End the run, with exit code 76, when nothing has moved for so long: a process that is lost, or a disk that does not answer
    /// in a pass, a checkpoint or a conversion (not while files are opened or the result is written); 0: never [default: 300 where several processes work, 0 for one alone]
    #[arg(long, value_name = "SECONDS", help_heading = "Stopping and going on")]
    pub(crate) watchdog: Option<u64>,
    #[command(flatten, next_help_heading = "Input")]
    select: Select,
    #[command(flatten)]
    pub(crate) common: Common,
}

pub(crate) fn run(options: &Options, job: &World, progress: &Progress) -> Result<(), Failure> {
    if let Some(patience) = watchdog::patience(options.watchdog, job.is_alone()) {
        let watching = progress.signs().watch(patience, move || launch::idle(patience));
        watching.map_err(|error| Failure::new(Code::Io, format!("cannot start a thread: {error}")))?;
    }
    job.remark().into_iter().for_each(|remark| progress.note(remark));
    factorize(options, job, progress).map_err(|failure| match failure.is_interruption() {
        true => options.keep.answer(failure, progress.interrupt()),
        false => failure,
    })
}

fn factorize(options: &Options, job: &World, progress: &Progress) -> Result<(), Failure> {
    let began = Instant::now();
    let (common, settings) = (&options.common, &options.settings);
    let checkpoint = options.keep.checkpoint(common.force);
    let places = Places::resolve(&options.input, options.output.as_deref(), options.store.as_deref());
    let places = job.agree(places)?;
    // Process 0 alone writes it.
    let trace = options.trace.as_deref().filter(|_| job.leads());
    let resources = common.machine_among(job.quota());
    let open = || {
        input::check(&options.input)?;
        places.check(&options.input, trace, checkpoint.as_ref(), common.force)?;
        let input = Input::open(&options.input, &options.select)?;
        let config = settings.config(common.seed)?.with_scratch(output::folder(&places.result).into());
        if let Input::Source(source) = &input {
            check(&config, &foresee::shape(source.as_ref()), &resources)?;
        }
        Ok((input, config))
    };
    let (input, config) = job.agree(open())?;
    let Stored { mut store, converting } = stored(input, &places, &resources, common.force, job, progress)?;
    job.check_store(&store)?;
    allocator::release();

    let own = shards(&StoreBlocks::new(&store), job.comm().size()).swap_remove(job.comm().rank());
    let own_blocks = own.len();
    let shape = DataShape::from(&store).with_shard(&store, own);
    let prepare = |store: &mut Store| {
        let plan = config.plan(&shape, &resources.with_resident(machine::resident()))?;
        if plan.map_store {
            mapping::map(store)?;
        }
        Ok((plan, Watch::new(progress, trace, options.keep.resume)?))
    };
    let (plan, watch) = job.agree(prepare(&mut store))?;
    say_what_was_given_up(&plan, own_blocks, progress);
    let comm = progress.signs().over(job.comm());
    let run = Run { comm: &comm, checkpoint: checkpoint.as_ref() };
    let fit = match fit_with(&store, &plan, &run, &watch) {
        Err(DriverError::Cancelled) => {
            let kept = watch.kept();
            return job.agree(Err(watch.failure().unwrap_or_else(|| match &checkpoint {
                Some(checkpoint) => options.keep.stopped(checkpoint, kept, progress.interrupt()),
                None => interrupted(&store, trace),
            })));
        }
        // These are about the values; the driver does not say whose.
        Err(error @ (DriverError::Range { .. } | DriverError::Magnitude { .. })) => {
            return Err(Failure::new(Code::BadData, format!("{}: {error}", store.path().display())));
        }
        fit => fit?,
    };
    job.agree(watch.failure().map_or(Ok(()), Err))?;
    // Names and columns are copied in the memory that the blocks had.
    store.unmap();
    allocator::release();
    let solver = word(settings.solver);
    let (notes, overwrite) = (notes(&solver, &store), output::overwrite(common.force));
    result::write_among(&fit, &store, &plan, notes, &places.result, overwrite, &comm)?;

    let peak = job.largest(machine::peak_rss())?;
    if !job.leads() {
        return Ok(());
    }
    let took = (began.elapsed(), converting);
    let report = Report::new((&fit, &plan, &store), &places.result, solver, &resources, took, peak);
    if common.json { print::json(&report) } else { print::text(&report.to_string()) }
}

/// The store of `input`. Where it has to be made, process 0 makes it while the others wait.
fn stored(
    input: Input,
    places: &Places,
    resources: &Machine,
    force: bool,
    job: &World,
    progress: &Progress,
) -> Result<Stored, Failure> {
    match input {
        Input::Store(store) => Ok(Stored { store: *store, converting: Duration::ZERO }),
        Input::Source(mut source) if job.leads() => {
            job.agree(Stored::of(source.as_mut(), &places.store, resources, force, progress))
        }
        Input::Source(source) => {
            drop(source);
            job.agree(Ok(()))?;
            let store = Store::open(&places.store).map_err(Failure::from);
            Ok(Stored { store: store?, converting: Duration::ZERO })
        }
    }
}

/// Refuses before a conversion what could not be fitted after it. How much memory a dense file takes is known only then,
/// since it may become a sparse store.
fn check(config: &NmfConfig, foreseen: &DataShape, resources: &Machine) -> Result<(), Failure> {
    match config.plan(foreseen, resources) {
        Err(ConfigError::Memory { .. }) if foreseen.layout == Layout::Dense => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(()),
    }
}

/// The store is whole and serves the next fit; the trace tells how far this one came.
fn interrupted(store: &Store, trace: Option<&Path>) -> Failure {
    let store = format!("the store {} is kept", store.path().display());
    Failure::interrupted_keeping(&match trace {
        Some(trace) => format!("{store} and so is the trace of the passes so far, {}", trace.display()),
        None => store,
    })
}

/// What `uns["nmf"]` says beside what the library knows: the words typed, where the data came from, the kind of CPU.
fn notes(solver: &str, store: &Store) -> Vec<(String, Value)> {
    let source = store.source();
    vec![
        ("solver".into(), solver.into()),
        ("source".into(), source.path.to_string_lossy().into_owned().into()),
        ("layer".into(), source.selection.layer.clone().unwrap_or_default().into()),
        ("raw".into(), source.selection.raw.into()),
        ("transpose".into(), source.selection.transpose.into()),
        ("cpu".into(), machine::cpu().into()),
    ]
}

/// A plan takes fewer threads rather than break the budget, and that is said.
fn say_what_was_given_up(plan: &Plan, blocks: usize, progress: &Progress) {
    let useful = plan.threads_wanted.min(blocks);
    if plan.threads < useful {
        progress.note(&format!("{} of {useful} threads fit into the memory; more --memory is faster", plan.threads));
    }
}
