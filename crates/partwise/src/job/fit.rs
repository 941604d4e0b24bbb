//! Fits of one input, from a file to results.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use partwise_driver::blocks::StoreBlocks;
use partwise_driver::engine::Engine;
use partwise_driver::fit::fit_wave;
use partwise_driver::result::{self, Destination};
use partwise_driver::shard::shards;
use partwise_driver::{
    CheckpointSpec, Claim, ConfigError, DataShape, DriverError, Fit, FitId, FitSet, InitSpec, Keep, Machine, Model,
    Plan, Run, Runs, StopReason, Subset,
};
use partwise_storage::anndata::{Merge, Value, check_destination, read_factors};
use partwise_storage::{Inputs, Layout, Overwrite, Selection, StorageError, Store};
use tracing::info_span;

use super::filter::Filter;
use super::host::{Host, Note};
use super::paths::Output;
use super::places::Places;
use super::stored::{Opened, Stored};
use super::{JobError, foresee, input, kept, merge, output};
use crate::machine;

/// Fits of one input, from a file to results.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FitJob {
    /// A store, a file in a format that is read, or several files as one matrix.
    pub input: Inputs,
    /// Which matrix of a file.
    pub selection: Selection,
    /// Which genes and cells of it.
    pub filter: Filter,
    /// The fits.
    pub set: FitSet,
    /// The result of one fit, or the folder for those of several; `None`: beside the input.
    pub output: Option<PathBuf>,
    /// Where a file is converted to. `None`: the store of the input that is found beside the output or
    /// the input, or a new one beside the output, named after the input and the selection.
    pub store: Option<PathBuf>,
    /// Where the state of the fits is kept, if it is.
    pub checkpoint: Option<CheckpointSpec>,
    /// Whether results that exist may be replaced.
    pub overwrite: Overwrite,
    /// Whether results that exist are kept if they are of the same data and settings.
    pub keep_results: bool,
    /// Whether the shares of programs are columns of `obs` in the results, too.
    pub usages_in_obs: bool,
    /// An AnnData file of the same cells: the result is a copy of it with the tables of the fit.
    pub into: Option<PathBuf>,
    /// Other files that the caller writes meanwhile.
    pub other_outputs: Vec<Output>,
}

/// A fit of a job, written.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FitDone {
    /// Which fit.
    pub id: FitId,
    /// Its result.
    pub result: PathBuf,
    /// Its digest.
    pub digest: String,
    /// Reads of all of X that it took part in, that of its sample included.
    pub passes: usize,
    /// Work on its sample, in passes over X.
    pub sample_passes: f64,
    /// Reads of all of X for the scores of genes: 0 or 1.
    pub score_passes: usize,
    /// ‖X−WH‖ / ‖X‖.
    pub relative_error: f64,
    /// Fraction of ‖X‖² explained.
    pub explained: f64,
    /// Why it ended.
    pub stop: String,
    /// Reads of all of X completed before the checkpoint that it resumed from; 0: none.
    pub resumed_from_pass: usize,
    /// Whether the result was there already and was kept.
    pub kept: bool,
}

/// A finished job.
#[derive(Debug)]
#[non_exhaustive]
pub struct JobDone {
    /// Cells n that were fitted.
    pub cells: usize,
    /// Genes m that were fitted.
    pub genes: usize,
    /// The fits, by k and then by seed; those that were kept only in process 0.
    pub fits: Vec<FitDone>,
    /// Whether there were several combinations of k and seed.
    pub is_set: bool,
    /// The result, or the folder of results.
    pub output: PathBuf,
    /// The store.
    pub store: PathBuf,
    /// Reads of all of X by all fits together, those before their checkpoints included.
    pub passes: usize,
    /// Bytes of blocks that all processes have read.
    pub bytes_read: u64,
    /// How the fits were carried out; `None` where all results were there already.
    pub plan: Option<Plan>,
    /// Rows of X that each process has worked on; empty where all results were there already.
    pub rows_per_rank: Vec<usize>,
    /// How long the conversion took.
    pub converting: Duration,
}

impl FitJob {
    /// The fits `set` of `input`, all else by default.
    pub fn new(input: impl Into<Inputs>, set: FitSet) -> Self {
        FitJob {
            input: input.into(),
            selection: Selection::default(),
            filter: Filter::default(),
            set,
            output: None,
            store: None,
            checkpoint: None,
            overwrite: Overwrite::Refuse,
            keep_results: false,
            usages_in_obs: false,
            into: None,
            other_outputs: Vec::new(),
        }
    }

    /// Whether there are several combinations of k and seed, with results in a folder.
    pub fn is_set(&self) -> bool {
        self.set.is_several()
    }

    /// Whether a result is there already, of these or other settings.
    ///
    /// # Errors
    ///
    /// When the places of the job contradict one another.
    pub fn has_results(&self) -> Result<bool, JobError> {
        let places = Places::resolve(self)?;
        Ok(fits(&self.set).into_iter().any(|fit| places.result(fit).exists()))
    }

    /// Where the result will be, or the folder of the results of several fits.
    ///
    /// # Errors
    ///
    /// When the places of the job contradict one another.
    pub fn place_of_result(&self) -> Result<PathBuf, JobError> {
        Ok(Places::resolve(self)?.output)
    }

    fn may_overwrite(&self) -> bool {
        self.overwrite == Overwrite::Replace
    }

    /// Runs the job on `machine`: all processes of `host` call it.
    ///
    /// If a job is cancelled once every fit of the wave has made a pass, it writes the results of the fits
    /// that had ended, and leaves the others to their checkpoints; before that it leaves all of them.
    ///
    /// # Errors
    ///
    /// [`JobError`]s, as errors of the host: outputs that cannot be written, before any work; an input
    /// or settings that do not suit; failures of the fits; [`DriverError::Cancelled`].
    pub fn run<H: Host>(&self, machine: &Machine, host: &H) -> Result<JobDone, H::Error> {
        let _span = info_span!("job").entered();
        let places = host.agree(Places::resolve(self).map_err(H::Error::from))?;
        let set = self.set.clone().with_scratch(places.folder().into());
        let input = host.agree(self.open(&set, &places, machine).map_err(H::Error::from))?;
        let claim = self.claim(&set, host)?;
        let made = info_span!("store").in_scope(|| Stored::of(input, &places.store, machine, self.overwrite, host));
        let Stored { mut store, converting } = made?;
        host.check_data(&store)?;
        host.freed();

        let claim = claim.as_ref();
        let note = |note: &Note<'_>| {
            if host.comm().rank() == 0 {
                host.note(note)
            }
        };
        let keep = self.filter.of(&store, &machine.with_resident(machine::resident()), &note);
        let keep = host.agree(keep.map_err(H::Error::from))?;
        host.freed();
        let mut work = Work {
            job: self,
            places: &places,
            host,
            claim,
            machine: *machine,
            keep,
            kept: Vec::new(),
            made_folder: false,
        };
        let done = work.carry_out(&set, &mut store, machine, converting);
        if done.is_err() && work.made_folder {
            // Succeeds only if no result is in it.
            let _ = std::fs::remove_dir(&places.output);
        }
        done
    }

    /// Claims the folder of the checkpoints, so that no other run writes to it meanwhile.
    fn claim<H: Host>(&self, set: &FitSet, host: &H) -> Result<Option<Claim>, H::Error> {
        let Some(checkpoint) = &self.checkpoint else { return Ok(None) };
        let claim = checkpoint.claim(&Runs::of_fits(&fits(set), self.is_set()), host.comm(), host);
        Ok(Some(claim.map_err(JobError::from)?))
    }

    /// Opens the input once every output is known to be possible, and refuses settings that no
    /// conversion would make possible.
    fn open(&self, set: &FitSet, places: &Places, machine: &Machine) -> Result<Opened, JobError> {
        input::check(&self.input)?;
        self.filter.check()?;
        places.check(self, &fits(set))?;
        if let InitSpec::Given(start) = &set.config.init {
            drop(read_factors(start)?);
        }
        let opened = Opened::of(&self.input, &self.selection, &places.store)?;
        if let Opened::Source(source) = &opened {
            let foreseen = foresee::shape(source.as_ref());
            match set.plan(&foreseen, machine) {
                // How much memory a dense file takes is known only once it is converted: it may become
                // a sparse store. And results that are kept take none.
                Err(ConfigError::Memory { .. }) if foreseen.layout == Layout::Dense || self.keep_results => (),
                planned => drop(planned?),
            }
        }
        Ok(opened)
    }
}

/// The fits of a set, in its order.
fn fits(set: &FitSet) -> Vec<FitId> {
    set.configs().map(|config| FitId { k: config.k, seed: config.seed }).collect()
}

/// A job whose store is there.
struct Work<'w, H> {
    job: &'w FitJob,
    places: &'w Places,
    host: &'w H,
    claim: Option<&'w Claim>,
    machine: Machine,
    keep: Keep,
    kept: Vec<FitDone>,
    /// Whether this process has made the folder of the results.
    made_folder: bool,
}

impl<H: Host> Work<'_, H> {
    /// Runs the fits whose results are not there already.
    fn carry_out(
        &mut self,
        set: &FitSet,
        store: &mut Store,
        machine: &Machine,
        converting: Duration,
    ) -> Result<JobDone, H::Error> {
        let span = info_span!("plan").entered();
        let prepared = self.prepare(set, store, machine);
        let (models, shape, machine) = self.host.agree(prepared)?;
        let plan = self.plan(set, models, &shape, &machine)?;
        let ready = self.get_ready(&plan, store);
        self.host.agree(ready)?;
        drop(span);
        self.say_what_was_given_up(&plan, &shape);
        let subset = if plan.models.is_empty() { None } else { self.find_subset(&plan, store)? };
        if !plan.models.is_empty() {
            self.host.agree(self.check_into(store, subset.as_deref()).map_err(H::Error::from))?;
        }
        let mut done = JobDone {
            cells: subset.as_ref().map_or(store.cells(), |subset| subset.cell_count()),
            genes: subset.as_ref().map_or(store.genes(), |subset| subset.gene_count()),
            fits: std::mem::take(&mut self.kept),
            is_set: self.job.is_set(),
            output: self.places.output.clone(),
            store: store.path().to_path_buf(),
            passes: subset.as_ref().map_or(0, |subset| subset.reads()),
            bytes_read: 0,
            rows_per_rank: Vec::new(),
            converting,
            plan: None,
        };
        for wave in 0..plan.execution.waves.len() {
            self.wave(&plan, wave, subset.as_ref(), store, &mut done)?;
        }
        let order = fits(set);
        done.fits.sort_by_key(|fit| order.iter().position(|id| *id == fit.id));
        done.plan = (!plan.models.is_empty()).then_some(plan);
        Ok(done)
    }

    /// Looks for results that are there already, and refuses those that are in the way. The models of
    /// the other fits, and what their plan is made for.
    fn prepare(
        &mut self,
        set: &FitSet,
        store: &Store,
        machine: &Machine,
    ) -> Result<(Vec<Model>, DataShape, Machine), H::Error> {
        let comm = self.host.comm();
        let own = shards(&StoreBlocks::new(store), comm.size()).swap_remove(comm.rank());
        let shape = DataShape::of_store(store).map_err(JobError::from)?.with_shard(store, own);
        let shape = if self.keep.leaves_out_genes() { shape.leaving_out_genes() } else { shape };
        let models = set.models_without(&[], &shape, machine).map_err(JobError::from)?;
        if comm.rank() == 0 {
            if self.job.keep_results {
                self.kept = kept::results(&models, store, &self.keep, self.places, self.job.usages_in_obs)
                    .map_err(JobError::from)?;
            }
            for fit in &self.kept {
                self.host.note(&Note::KeptResult { path: &fit.result });
            }
            // Any other result in the way is one of other data or settings. In a folder to be made there
            // is none.
            if !self.job.may_overwrite() && (!self.job.is_set() || self.places.output.is_dir()) {
                let is_kept = |id: FitId| self.kept.iter().any(|fit| fit.id == id);
                for model in models.iter().filter(|model| !is_kept(model.id())) {
                    let result = self.places.result(model.id());
                    if self.job.keep_results && result.exists() {
                        return Err(kept::in_the_way(model, store, &self.keep, &result, self.job.usages_in_obs)
                            .map_err(JobError::from)?
                            .into());
                    }
                    check_destination(&result, Overwrite::Refuse).map_err(JobError::from)?;
                }
            }
        }
        let machine = machine.with_resident(machine::resident()).with_maps(self.host.may_map());
        Ok((models, shape, machine))
    }

    /// The plan of the fits that process 0 does not keep, in waves that all processes can hold.
    fn plan(
        &self,
        set: &FitSet,
        mut models: Vec<Model>,
        shape: &DataShape,
        machine: &Machine,
    ) -> Result<Plan, H::Error> {
        let comm = self.host.comm();
        let is_kept = |model: &Model| self.kept.iter().any(|fit| fit.id == model.id());
        let mut kept: Vec<i64> = models.iter().map(|model| i64::from(is_kept(model))).collect();
        comm.all_reduce_sum(&mut [&mut kept]).map_err(JobError::from)?;
        let mut kept = kept.into_iter();
        models.retain(|_| kept.next() == Some(0));

        let ends = set.wave_ends(&models, shape, machine).map_err(JobError::from);
        let ends = self.host.agree(ends.map_err(H::Error::from))?;
        let mut of_all = vec![0i64; comm.size() * models.len()];
        for (place, &end) in of_all.iter_mut().skip(comm.rank() * models.len()).zip(&ends) {
            *place = end as i64;
        }
        comm.all_reduce_sum(&mut [&mut of_all]).map_err(JobError::from)?;
        let least = |i: usize| of_all.iter().skip(i).step_by(models.len()).min().map_or(ends[i], |&end| end as usize);
        let ends: Vec<usize> = (0..models.len()).map(least).collect();
        let plan = set.plan_in_waves(models, &ends, shape, machine).map_err(JobError::from);
        self.host.agree(plan.map_err(H::Error::from))
    }

    /// Finds the genes and cells that are fitted, if a part of them is.
    fn find_subset(&self, plan: &Plan, store: &Store) -> Result<Option<Arc<Subset>>, H::Error> {
        if self.keep.is_all() {
            return Ok(None);
        }
        let (host, execution) = (self.host, &plan.execution);
        let data = StoreBlocks::new(store);
        let engine = Engine::new(execution.segment_bytes as usize, host).among(host.comm());
        let subset = Subset::find(&data, self.keep.clone(), &engine, execution.threads).map_err(JobError::from)?;
        host.freed();
        host.agree(subset.check(&plan.models).map_err(JobError::from).map_err(H::Error::from))?;
        if host.comm().rank() == 0 {
            let (genes, cells) = ((subset.gene_count(), store.genes()), (subset.cell_count(), store.cells()));
            host.note(&Note::Kept { genes, cells });
        }
        Ok(Some(Arc::new(subset)))
    }

    /// Refuses a file to add the result to if it has cells that are not fitted.
    fn check_into(&self, store: &Store, subset: Option<&Subset>) -> Result<(), JobError> {
        let Some(into) = self.job.into.as_deref().filter(|_| self.host.comm().rank() == 0) else { return Ok(()) };
        let fitted = store.annotations()?;
        let matching =
            Merge::new(&fitted, into).with_kept(subset.and_then(Subset::cells), subset.and_then(Subset::genes));
        matching.with_memory(merge::memory(&self.machine)).check(self.host)?;
        self.host.freed();
        Ok(())
    }

    /// Writes the result of a fit: all processes call it.
    fn write(&self, fit: &Fit, store: &Store, result: &Path, threads: usize) -> Result<(), H::Error> {
        let (comm, usages_in_obs) = (self.host.comm(), self.job.usages_in_obs);
        let destination = |path| Destination::new(path).with_notes(notes(store)).with_threads(threads);
        let Some(into) = self.job.into.as_deref() else {
            // A result in the way that may not be replaced was refused before the work.
            let dest = destination(result).with_overwrite(self.job.overwrite).with_usages_in_obs(usages_in_obs);
            return Ok(result::write_among(fit, store, dest, comm).map_err(JobError::from)?);
        };
        let alone = output::beside(result, ".alone");
        let written = result::write_among(fit, store, destination(&alone).with_overwrite(Overwrite::Replace), comm);
        written.map_err(JobError::from)?;
        let merge = || {
            if comm.rank() > 0 {
                return Ok(());
            }
            let merge = Merge::new(&alone, into).with_memory(merge::memory(&self.machine));
            let merged = merge.with_usages_in_obs(usages_in_obs).write(result, self.job.overwrite, self.host);
            let removed = std::fs::remove_file(&alone).map_err(|error| StorageError::io("remove", &alone, error));
            Ok::<_, JobError>(
                merged.and_then(|merged| removed.map(|()| self.host.note(&Note::Merged { into, merged })))?,
            )
        };
        self.host.agree(merge().map_err(H::Error::from))
    }

    /// Makes the folder of a set, clears checkpoints that are to be replaced, and maps the store.
    fn get_ready(&mut self, plan: &Plan, store: &mut Store) -> Result<(), H::Error> {
        if plan.is_set {
            // Every process makes it: on a network file system, looking is not enough.
            let path = &self.places.output;
            match std::fs::create_dir(path) {
                Ok(()) => self.made_folder = true,
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => (),
                Err(error) => return Err(JobError::from(StorageError::io("create", path, error)).into()),
            }
        }
        if let Some(checkpoint) = &self.job.checkpoint
            && self.host.comm().rank() == 0
            && plan.execution.waves.len() > 1
        {
            let fits: Vec<FitId> = plan.models.iter().map(Model::id).collect();
            checkpoint.clear(&Runs::of_fits(&fits, plan.is_set)).map_err(JobError::from)?;
        }
        if plan.execution.map_store && !plan.models.is_empty() {
            self.host.map(store)?;
        }
        self.host.begin(plan)
    }

    fn say_what_was_given_up(&self, plan: &Plan, shape: &DataShape) {
        let execution = &plan.execution;
        let blocks = shape.own_cells.div_ceil(shape.block_rows);
        let useful = execution.threads_wanted.min(blocks);
        if execution.threads < useful {
            self.host.note(&Note::FewerThreads { threads: execution.threads, useful });
        }
        if execution.waves.len() > 1 {
            self.host.note(&Note::Waves { fits: plan.models.len(), waves: execution.waves.len() });
        }
    }

    /// The fits of one wave, and their results.
    fn wave(
        &self,
        plan: &Plan,
        wave: usize,
        subset: Option<&Arc<Subset>>,
        store: &mut Store,
        done: &mut JobDone,
    ) -> Result<(), H::Error> {
        let (host, waves) = (self.host, plan.execution.waves.len());
        if waves > 1 {
            host.wave(wave + 1, waves);
        }
        if wave > 0 {
            // Whether a store is mapped is each process's own matter; that one cannot is not.
            host.agree(if plan.execution.map_store { host.map(store) } else { Ok(()) })?;
        }
        let run = Run { comm: host.comm(), checkpoint: self.claim, subset };
        let fits = match fit_wave(&*store, plan, wave, &run, host) {
            // The driver does not know whose values they are.
            Err(error @ (DriverError::Range { .. } | DriverError::Magnitude { .. })) => {
                return Err(JobError::Values { store: store.path().into(), error }.into());
            }
            fits => fits.map_err(JobError::from)?,
        };
        // Names and columns are copied in the memory that the blocks had.
        store.unmap();
        host.freed();
        // Each fit counts the read for the subset, which all share.
        let reads = subset.map_or(0, |subset| subset.reads());
        done.passes += fits.iter().map(|fit| fit.passes - reads).max().unwrap_or(0);
        done.bytes_read += fits.iter().map(|fit| fit.bytes_read).max().unwrap_or(0);
        let mut cancelled = false;
        for fit in fits {
            if fit.stop == StopReason::Cancelled {
                cancelled = true;
                continue;
            }
            done.rows_per_rank.clone_from(&fit.rows_per_rank);
            let result = self.places.result(fit.model.id());
            self.write(&fit, store, &result, plan.execution.threads)?;
            host.note(&Note::Written { path: &result });
            done.fits.push(FitDone::new(&fit, result));
        }
        if cancelled { Err(JobError::Driver(DriverError::Cancelled).into()) } else { Ok(()) }
    }
}

impl FitDone {
    fn new(fit: &Fit, result: PathBuf) -> Self {
        FitDone {
            id: fit.model.id(),
            result,
            digest: fit.digest.clone(),
            passes: fit.passes,
            sample_passes: fit.sample_passes,
            score_passes: usize::from(fit.scores.is_some()),
            relative_error: fit.relative_error,
            explained: fit.explained(),
            stop: fit.stop.to_string(),
            resumed_from_pass: fit.resumed_from_pass,
            kept: false,
        }
    }
}

/// The kind of CPU, which shapes the bits of dense products and of nothing else.
pub(super) fn notes(store: &Store) -> Vec<(String, Value)> {
    match store.layout() {
        Layout::Sparse => Vec::new(),
        Layout::Dense => vec![("cpu".into(), machine::cpu_in_full().into())],
    }
}
