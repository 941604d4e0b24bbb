//! Many replicates of several k from one input, and how stable each k is.
//!
//! | file         | question                                                        |
//! |--------------|-----------------------------------------------------------------|
//! | `folder`     | which files does a sweep leave, and what do they hold?          |
//! | `manifest`   | what do all replicates of a folder have in common?              |
//! | `replicates` | how do finished replicates become a file?                       |
//! | `choice`     | how stable is each k, and how well does it fit?                 |

mod choice;
mod folder;
mod manifest;
mod replicates;

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use fixedbitset::FixedBitSet;
use partwise_driver::blocks::StoreBlocks;
use partwise_driver::comm::agree;
use partwise_driver::consensus;
use partwise_driver::engine::Engine;
use partwise_driver::plan::RowsPlan;
use partwise_driver::shard::shards;
use partwise_driver::sweep::{Cohort, Progress, Run, SweepPlan, Watch, run_wave};
use partwise_driver::{
    BatchJob, CheckpointSpec, Claim, ConfigError, DataShape, HvgMethod, HvgSpec, Machine, Runs, SweepConfig,
};
use partwise_storage::anndata::visit_names;
use partwise_storage::store::{Layout, select_bytes, select_genes};
use partwise_storage::{Axis, Inputs, Overwrite, Selection, StorageError, Store};

pub use choice::OfK;
pub(super) use folder::Folder;
use manifest::{Chosen, Manifest};
pub(super) use replicates::Told;

use super::filter::Filter;
use super::host::{Host, Note};
use super::paths::{Output, OutputKind, Paths, Role};
use super::places::store_of;
use super::stored::{Opened, Stored};
use super::{JobError, input};
use crate::machine;

/// Replicates of several k from one input.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SweepJob {
    /// A store, a file in a format that is read, or several files as one matrix.
    pub input: Inputs,
    /// Which matrix of a file.
    pub selection: Selection,
    /// The genes to choose from: those of a list, or that enough cells have. Cells are all of the input.
    pub filter: Filter,
    /// Those that vary most are selected; `None`: all to choose from.
    pub hvg: Option<HvgSpec>,
    /// The replicates.
    pub config: SweepConfig,
    /// The folder of the sweep; `None`: beside the input.
    pub output: Option<PathBuf>,
    /// Where a file is converted to; `None`: as for a fit.
    pub store: Option<PathBuf>,
    /// Whether a sweep of other data or settings in the folder may be replaced.
    pub overwrite: Overwrite,
    /// The state of the replicates is kept after this many passes; `None`: as often as costs next to nothing.
    pub checkpoint_every: Option<usize>,
    /// The batch job that this run is a start of.
    pub batch_job: Option<BatchJob>,
    /// What the program around the job writes when it has ended. Refused with the other paths, before any work.
    pub other_outputs: Vec<Output>,
}

/// A finished sweep.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SweepDone {
    /// Cells n.
    pub cells: usize,
    /// Genes m.
    pub genes: usize,
    /// Genes that were selected.
    pub selected: usize,
    /// Every k of the folder.
    pub ks: Vec<OfK>,
    /// Replicates that this run has made.
    pub made: usize,
    /// Reads of all of X.
    pub passes: usize,
    /// Groups of replicates, one after the other.
    pub waves: usize,
    /// The folder.
    pub sweep: PathBuf,
    /// The store of all genes.
    pub store: PathBuf,
    /// A hash of all replicates.
    pub digest: String,
    /// The forecast of the peak resident size.
    pub planned_peak_bytes: u64,
    /// Workers.
    pub threads: usize,
}

impl SweepJob {
    /// The sweep `config` of the 2,000 genes of `input` that vary most, as cNMF selects them, all else by default.
    pub fn new(input: impl Into<Inputs>, config: SweepConfig) -> Self {
        SweepJob {
            input: input.into(),
            selection: Selection::default(),
            filter: Filter::default(),
            hvg: NonZeroUsize::new(2000).map(|count| HvgSpec { count, method: HvgMethod::Cnmf }),
            config,
            output: None,
            store: None,
            overwrite: Overwrite::Refuse,
            checkpoint_every: None,
            batch_job: None,
            other_outputs: Vec::new(),
        }
    }

    /// The folder of the sweep.
    pub fn folder(&self) -> PathBuf {
        self.output.clone().unwrap_or_else(|| self.input.named_after().with_extension("sweep"))
    }

    /// Runs the job on `machine`: all processes of `host` call it. Replicates that the folder has are not made again,
    /// and those that were stopped half-way go on from there.
    ///
    /// # Errors
    ///
    /// As for a fit, and if the folder has a sweep of other data, genes or settings, or another run works in it.
    pub fn run<H: Host>(&self, machine: &Machine, host: &H) -> Result<SweepDone, H::Error> {
        let folder = Folder::at(&self.folder());
        let (place, opened) = host.agree(self.open(&folder).map_err(H::Error::from))?;
        let Stored { store, .. } = Stored::of(opened, &place, machine, self.overwrite, host)?;
        host.check_data(&store)?;
        host.freed();
        let machine = machine.with_resident(machine::resident()).with_maps(host.may_map());
        let (selected, mut reads) = self.select(&store, &machine, host)?;
        let chosen = host.agree(self.chosen(&store, &selected).map_err(H::Error::from))?;
        let claim = self.claim(&folder, host)?;
        reads += self.prepare((&folder, &claim), &store, (&selected, &chosen), &machine, host)?;
        let names = chosen.names;
        host.freed();
        let mut copy = host.agree(folder.open_copy().map_err(H::Error::from))?;

        let missing = self.config.cohorts().map(|cohort| Ok((cohort, folder.has(&cohort)?)));
        let missing: Result<Vec<(Cohort, bool)>, StorageError> = missing.collect();
        let missing = host.agree(missing.map_err(|error| JobError::from(error).into()))?;
        let todo: Vec<Cohort> = missing.into_iter().filter(|(_, has)| !has).map(|(cohort, _)| cohort).collect();
        let plans = host.agree(self.plans(&folder, &copy, &todo, &machine, host).map_err(H::Error::from))?;
        let (plan, rows) = (plans.0.agreed(host.comm()).map_err(JobError::from)?, plans.1);
        host.agree(if plan.map_store && !todo.is_empty() { host.map(&mut copy) } else { Ok(()) })?;
        self.waves((&folder, &claim), &copy, (&todo, &names), &plan, host)?;
        host.freed();

        let ks = choice::choice(&folder, &copy, &rows, host);
        let ks = host.agree(ks.map_err(H::Error::from))?;
        let written = if host.comm().rank() == 0 { choice::write(&folder.table(), &ks) } else { Ok(()) };
        host.agree(written.map_err(|error| JobError::from(error).into()))?;
        let digest = host.agree(folder.digest().map_err(|error| JobError::from(error).into()))?;
        // A run that was killed may have written replicates and left their checkpoints.
        let all: Vec<Cohort> = self.config.cohorts().collect();
        let removed = if host.comm().rank() == 0 { claim.remove(&runs(&all)) } else { Ok(()) };
        host.agree(removed.map_err(|error| JobError::from(error).into()))?;
        claim.end();
        Ok(SweepDone {
            cells: store.cells(),
            genes: store.genes(),
            selected: names.len(),
            ks,
            made: todo.iter().map(|cohort| cohort.len).sum(),
            passes: reads,
            waves: plan.waves.len(),
            sweep: folder.path().into(),
            store: store.path().into(),
            digest,
            planned_peak_bytes: plan.peak_bytes.max(rows.peak_bytes),
            threads: plan.threads,
        })
    }

    /// Checks settings and paths, and opens the input. Returns the place of its store as well.
    fn open(&self, folder: &Folder) -> Result<(PathBuf, Opened), JobError> {
        // What is wrong whatever the data are.
        self.config.check(usize::MAX, self.hvg.map_or(usize::MAX, |hvg| hvg.count.get()))?;
        input::check(&self.input)?;
        self.filter.check()?;
        let store = store_of(&self.input, &self.selection, self.store.as_deref(), folder.path())?;
        let paths = self.input.paths().fold(Paths::default(), |paths, path| paths.reading(Role::Input, path));
        let mut paths = self.filter.lists().fold(paths, |paths, list| paths.reading(Role::Names, list));
        if !input::is_store(&self.input) {
            let (kind, overwrite) = (OutputKind::Store, Overwrite::Replace);
            paths = paths.writing(Output { role: Role::Store, path: store.clone(), kind, overwrite });
        }
        let (kind, overwrite) = (OutputKind::Folder, Overwrite::Replace);
        paths = paths.writing(Output { role: Role::Output, path: folder.path().into(), kind, overwrite });
        self.other_outputs.iter().cloned().fold(paths, Paths::writing).check()?;
        Ok((store.clone(), Opened::of(&self.input, &self.selection, &store)?))
    }

    /// The selected genes, and how many reads of all of X finding them took.
    fn select<H: Host>(&self, store: &Store, machine: &Machine, host: &H) -> Result<(FixedBitSet, usize), H::Error> {
        let note = |note: &Note<'_>| {
            if host.comm().rank() == 0 {
                host.note(note);
            }
        };
        let prepare = || {
            let mut filter = self.filter.clone();
            filter.hvg = self.hvg;
            let among = filter.of(store, machine, &note)?.genes;
            let own = shards(&StoreBlocks::new(store), host.comm().size()).swap_remove(host.comm().rank());
            let shape = DataShape::of_store(store)?.with_shard(store, own);
            let plan = |hvg: HvgSpec| Ok::<_, ConfigError>((hvg, RowsPlan::new(&shape, machine, 1, hvg.tables())?));
            Ok::<_, JobError>((among, self.hvg.map(plan).transpose()?))
        };
        let (among, plan) = host.agree(prepare().map_err(H::Error::from))?;
        let Some((hvg, plan)) = plan else {
            let all = || {
                let mut all = FixedBitSet::with_capacity(store.genes());
                all.insert_range(..);
                all
            };
            let mut among = among.unwrap_or_else(all);
            let moments = store.gene_moments().iter().enumerate();
            moments.filter(|(_, of)| of.nonzeros == 0).for_each(|(gene, _)| among.remove(gene));
            return Ok((among, 0));
        };
        let engine = Engine::new(plan.segment_bytes as usize, host).among(host.comm());
        let data = StoreBlocks::new(store);
        let found = hvg.select(&data, among.as_ref(), &engine, plan.threads).map_err(JobError::from)?;
        Ok((found.genes, found.reads))
    }

    /// The selected genes, if they can be factorized.
    fn chosen(&self, store: &Store, selected: &FixedBitSet) -> Result<Chosen, JobError> {
        let chosen = chosen(store, selected)?;
        if chosen.names.is_empty() {
            return Err(ConfigError::NothingKept { cells: store.cells(), genes: 0 }.into());
        }
        self.config.check(store.cells(), chosen.names.len())?;
        Ok(chosen)
    }

    /// Claims the folder, so that no other run works in it, as the place of checkpoints.
    fn claim<H: Host>(&self, folder: &Folder, host: &H) -> Result<Claim, H::Error> {
        let made = if host.comm().rank() == 0 { folder.make() } else { Ok(()) };
        host.agree(made.map_err(|error| JobError::from(error).into()))?;
        let spec = CheckpointSpec::new(folder.unfinished(), machine::cpu_in_full())
            .with_resume(true)
            .with_job(self.batch_job.clone());
        let spec = self.checkpoint_every.into_iter().fold(spec, CheckpointSpec::with_every);
        let all: Vec<Cohort> = self.config.cohorts().collect();
        Ok(spec.claim(&runs(&all), host.comm(), host).map_err(JobError::from)?)
    }

    /// Makes the folder and the copy of the selected genes, unless a sweep of them is there already. Returns the
    /// reads of all of X that it took.
    fn prepare<H: Host>(
        &self,
        (folder, claim): (&Folder, &Claim),
        store: &Store,
        (selected, chosen): (&FixedBitSet, &Chosen),
        machine: &Machine,
        host: &H,
    ) -> Result<usize, H::Error> {
        let make = || {
            let path =
                std::path::absolute(store.path()).map_err(|error| StorageError::io("read", store.path(), error))?;
            let describe =
                |copy: String| Manifest::new(path.clone(), [store.fingerprint(), copy], chosen, self.hvg, &self.config);
            let had = match folder.manifest() {
                Err(_) if self.overwrite == Overwrite::Replace => None,
                had => had?,
            };
            if let Some(had) = &had {
                let differences = had.differences(&describe(String::new()));
                let is_whole = Store::open(&folder.copy()).is_ok_and(|copy| copy.fingerprint() == had.copy_fingerprint);
                if differences.is_empty() && is_whole && self.overwrite == Overwrite::Refuse {
                    return Ok(0);
                }
                if !differences.is_empty() && self.overwrite == Overwrite::Refuse {
                    return Err(JobError::OtherSweep { path: folder.path().into(), differences });
                }
            }
            if had.is_none() && self.overwrite == Overwrite::Refuse && folder.has_replicates()? {
                // Nothing says of which data and settings they are.
                let differences = vec!["unknown data and settings, because its sweep.json is missing".into()];
                return Err(JobError::OtherSweep { path: folder.path().into(), differences });
            }
            if self.overwrite == Overwrite::Replace {
                folder.clear()?;
                claim.clear_all()?;
            }
            let threads = threads_to_select(store, chosen.names.len(), machine)?;
            let dest = (&*folder.copy(), Overwrite::Replace);
            let copy = select_genes(store, selected, dest, threads, host)?;
            folder.describe(&describe(copy.fingerprint()), &chosen.names)?;
            Ok(1)
        };
        let made = if host.comm().rank() == 0 { make() } else { Ok(0) };
        let made = host.agree(made.map_err(H::Error::from))?;
        let all = partwise_driver::comm::all_gather(host.comm(), made).map_err(JobError::from)?;
        Ok(all.into_iter().sum::<i64>() as usize)
    }

    /// How the replicates `todo` run, and then the pass for the table.
    fn plans<H: Host>(
        &self,
        folder: &Folder,
        copy: &Store,
        todo: &[Cohort],
        machine: &Machine,
        host: &H,
    ) -> Result<(SweepPlan, RowsPlan), JobError> {
        let own = shards(&StoreBlocks::new(copy), host.comm().size()).swap_remove(host.comm().rank());
        let shape = DataShape::of_store(copy)?.with_shard(copy, own);
        let machine = machine.with_resident(machine::resident());
        // The table is of all replicates, those of earlier sweeps included.
        let told = folder.told()?;
        let mut replicates: BTreeMap<usize, usize> =
            told.iter().map(|(&k, told)| (k, told.iter().map(|told| told.len).sum())).collect();
        for &k in &self.config.ks {
            let of_k = replicates.entry(k).or_default();
            *of_k = (*of_k).max(self.config.replicates);
        }
        let ks: Vec<usize> = replicates.keys().copied().collect();
        let most = replicates.iter().map(|(k, replicates)| k * replicates).max().unwrap_or(0);
        let rows = consensus::plan(&shape, &machine, &ks, most * copy.genes())?;
        Ok((SweepPlan::new(todo, self.config.start, &shape, &machine)?, rows))
    }

    /// Makes the replicates `todo`, and writes those of a wave as soon as it has ended.
    fn waves<H: Host>(
        &self,
        (folder, claim): (&Folder, &Claim),
        copy: &Store,
        (todo, names): (&[Cohort], &[String]),
        plan: &SweepPlan,
        host: &H,
    ) -> Result<(), JobError> {
        let comm = host.comm();
        let own = shards(&StoreBlocks::new(copy), comm.size()).swap_remove(comm.rank());
        let data = StoreBlocks::new(copy).keeping(own, plan.pinned_bytes, plan.cached_bytes);
        let engine = Engine::new(plan.segment_bytes as usize, host).among(comm);
        let (all, waves) = (todo.iter().map(|cohort| cohort.len).sum::<usize>(), plan.waves.len());
        let mut done = 0;
        for (number, wave) in plan.waves.iter().enumerate() {
            let wave = &todo[wave.clone()];
            let watch = Watched { host, wave: (number + 1, waves), replicates: (done, all) };
            let run = Run { engine: &engine, plan, checkpoint: Some(claim), watch: &watch };
            let found = run_wave(&data, wave, &self.config, &run)?;
            host.freed();
            let write = || {
                wave.iter().zip(&found).try_for_each(|(cohort, found)| folder.write(cohort, found, names))?;
                Ok::<_, JobError>(claim.remove(&runs(wave))?)
            };
            agree(comm, if comm.rank() == 0 { write() } else { Ok(()) })?;
            done += wave.iter().map(|cohort| cohort.len).sum::<usize>();
        }
        Ok(())
    }
}

/// A wave, shown by the host.
struct Watched<'w, H> {
    host: &'w H,
    /// Its number, and how many there are.
    wave: (usize, usize),
    /// Replicates of the waves before it, and of all.
    replicates: (usize, usize),
}

impl<H: Host> Watched<'_, H> {
    fn note(&self, note: &Note<'_>) {
        if self.host.comm().rank() == 0 {
            self.host.note(note);
        }
    }
}

impl<H: Host> Watch for Watched<'_, H> {
    fn stage(&self, at: Progress) -> String {
        let ((number, waves), (done, all)) = (self.wave, self.replicates);
        let of_waves = if waves > 1 { format!("wave {number} of {waves}, ") } else { String::new() };
        let ended = done + at.of - at.going;
        format!("{of_waves}pass {}, {ended} of {all} replicates done", at.passes)
    }

    fn resumed(&self, replicates: usize, passes: usize) {
        self.note(&Note::ReplicatesResumed { replicates, passes });
    }

    fn damaged(&self, reason: &str) {
        self.note(&Note::CheckpointDamaged { reason });
    }
}

/// Cohorts as runs with checkpoints.
fn runs(cohorts: &[Cohort]) -> Runs {
    Runs::Several(cohorts.iter().map(Cohort::name).collect())
}

/// The names of the selected genes, by which a consensus finds them, or their places if names repeat.
fn chosen(store: &Store, selected: &FixedBitSet) -> Result<Chosen, JobError> {
    let (mut names, mut gene) = (Vec::with_capacity(selected.count_ones(..)), 0);
    visit_names(&store.annotations()?, Axis::Genes, |name| {
        if selected.contains(gene) {
            names.push(name.to_owned());
        }
        gene += 1;
    })?;
    let mut seen: HashMap<&str, usize> = names.iter().map(|name| (name.as_str(), 0)).collect();
    visit_names(&store.annotations()?, Axis::Genes, |name| {
        if let Some(times) = seen.get_mut(name) {
            *times += 1;
        }
    })?;
    let repeat = seen.values().any(|&times| times > 1);
    Ok(Chosen { places: repeat.then(|| selected.ones().collect()), names })
}

/// Threads whose buffers fit into the memory while the selected genes are copied.
fn threads_to_select(store: &Store, selected: usize, machine: &Machine) -> Result<usize, ConfigError> {
    let entries = match store.layout() {
        Layout::Sparse => store.max_tile_nonzeros().min(store.tile_rows() * selected),
        Layout::Dense => store.tile_rows() * selected,
    };
    let tiles = |threads: usize| (4 * threads * store.max_tile_bytes()) as u64;
    let needed = |threads: usize| {
        machine.resident
            + (4 << 20)
            + 24 * store.genes() as u64
            + tiles(threads)
            + threads as u64 * select_bytes(entries)
    };
    let fits = (1..=machine.threads.max(1)).rev().find(|&threads| needed(threads) <= machine.memory);
    fits.ok_or(ConfigError::Memory { budget: machine.memory, needed: needed(1), lower_blocks: None })
}

/// Whether there is a sweep at `path`.
pub fn is_sweep(path: &Path) -> bool {
    Folder::is_sweep(path)
}
