//! Principal components of one input, from a file to a result.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use partwise_driver::blocks::StoreBlocks;
use partwise_driver::engine::Engine;
use partwise_driver::fit::Run;
use partwise_driver::pca::{PcaPlan, Scores, find_axes, read, write};
use partwise_driver::shard::shards;
use partwise_driver::{
    CheckpointSpec, Claim, ConfigError, DataShape, DriverError, Machine, MethodSpec, PcaConfig, Runs, Subset,
};
use partwise_storage::convert::{ConvertSpec, excerpt};
use partwise_storage::source::Source;
use partwise_storage::{Inputs, Layout, Overwrite, Selection, StorageError, Store};

use super::filter::Filter;
use super::fit::notes;
use super::host::{Host, Note};
use super::paths::{Output, OutputKind, Paths, Role};
use super::places::{check_with, store_of};
use super::stored::{Opened, Stored};
use super::{JobError, foresee, input, kept};
use crate::machine;

/// Principal components of one input, from a file to a result.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PcaJob {
    /// A store, a file in a format that is read, or several files as one matrix.
    pub input: Inputs,
    /// Which matrix of a file.
    pub selection: Selection,
    /// Which genes and cells of it.
    pub filter: Filter,
    /// The settings.
    pub config: PcaConfig,
    /// The result; `None`: beside the input.
    pub output: Option<PathBuf>,
    /// Where a file is converted to. `None`: the store of the input that is found beside the output or
    /// the input, or a new one beside the output, named after the input and the selection.
    pub store: Option<PathBuf>,
    /// Where the state is kept between the passes, if it is.
    pub checkpoint: Option<CheckpointSpec>,
    /// Whether a result that exists may be replaced.
    pub overwrite: Overwrite,
    /// Whether a result that exists is kept if it is of the same data and settings.
    pub keep_result: bool,
}

/// Finished principal components.
#[derive(Debug)]
#[non_exhaustive]
pub struct PcaDone {
    /// Cells n.
    pub cells: usize,
    /// Genes m.
    pub genes: usize,
    /// The result.
    pub result: PathBuf,
    /// The store.
    pub store: PathBuf,
    /// The variances, and the rest that is known of the scores.
    pub scores: Scores,
    /// Whether the result was there already and was kept.
    pub kept: bool,
    /// How they were computed.
    pub plan: PcaPlan,
    /// How long the conversion took.
    pub converting: Duration,
}

impl PcaJob {
    /// The components `config` of `input`, all else by default.
    pub fn new(input: impl Into<Inputs>, config: PcaConfig) -> Self {
        PcaJob {
            input: input.into(),
            selection: Selection::default(),
            filter: Filter::default(),
            config,
            output: None,
            store: None,
            checkpoint: None,
            overwrite: Overwrite::Refuse,
            keep_result: false,
        }
    }

    /// Whether a result is there already, of these or other settings.
    ///
    /// # Errors
    ///
    /// When the places of the job contradict one another.
    pub fn has_result(&self) -> Result<bool, JobError> {
        Ok(self.places()?.0.exists())
    }

    /// Runs the job on `machine`: all processes of `host` call it.
    ///
    /// # Errors
    ///
    /// [`JobError`]s, as errors of the host: an output that cannot be written, before any work; an
    /// input or settings that do not suit; failures of a pass; [`DriverError::Cancelled`].
    pub fn run<H: Host>(&self, machine: &Machine, host: &H) -> Result<PcaDone, H::Error> {
        let places = host.agree(self.places().map_err(H::Error::from))?;
        let (result, store_path) = &places;
        let opened = host.agree(self.open(&places, machine).map_err(H::Error::from))?;
        let claim = self.claim(host)?;
        let Stored { mut store, converting } = Stored::of(opened, store_path, machine, self.overwrite, host)?;
        host.check_data(&store)?;
        host.freed();

        let subset = self.find_subset(&store, machine, host)?;
        let plan = host.agree(self.plan(&store, subset.as_deref(), machine, host).map_err(H::Error::from))?;
        let done = |scores, kept, store: &Store| PcaDone {
            cells: subset.as_ref().map_or(store.cells(), |subset| subset.cell_count()),
            genes: subset.as_ref().map_or(store.genes(), |subset| subset.gene_count()),
            result: result.clone(),
            store: store.path().to_path_buf(),
            scores,
            kept,
            plan: plan.clone(),
            converting,
        };
        if let Some(scores) = self.find_kept(&store, subset.as_deref(), &plan, result, host)? {
            return Ok(done(scores, true, &store));
        }
        let blocks = store.blocks().div_ceil(host.comm().size());
        let useful = plan.execution.threads_wanted.min(blocks);
        if plan.execution.threads < useful {
            host.note(&Note::FewerThreads { threads: plan.execution.threads, useful });
        }
        host.agree(if plan.execution.map_store { host.map(&mut store) } else { Ok(()) })?;

        let run = Run { comm: host.comm(), checkpoint: claim.as_ref(), subset: subset.as_ref() };
        let scores =
            find_axes(&store, &plan, &run, host, |axes| write(axes, &store, notes(&store), result, self.overwrite));
        let scores = match scores {
            // The driver does not know whose values they are.
            Err(error @ (DriverError::Range { .. } | DriverError::Magnitude { .. } | DriverError::Constant { .. })) => {
                return Err(JobError::Values { store: store.path().into(), error }.into());
            }
            scores => scores.map_err(JobError::from)?,
        };
        host.note(&Note::Written { path: result });
        Ok(done(scores, false, &store))
    }

    /// Claims the folder of the checkpoints, so that no other run writes to it meanwhile.
    fn claim<H: Host>(&self, host: &H) -> Result<Option<Claim>, H::Error> {
        let Some(checkpoint) = &self.checkpoint else { return Ok(None) };
        let claim = checkpoint.claim(&Runs::One, host.comm(), host);
        Ok(Some(claim.map_err(JobError::from)?))
    }

    /// The scores of the result that is there already, if it is kept: process 0 decides for all.
    fn find_kept<H: Host>(
        &self,
        store: &Store,
        subset: Option<&Subset>,
        plan: &PcaPlan,
        result: &Path,
        host: &H,
    ) -> Result<Option<Scores>, H::Error> {
        if !self.keep_result {
            return Ok(None);
        }
        let is_kept = match host.comm().rank() {
            0 => kept::is_of_components(&plan.model, store, subset, result, self.overwrite),
            _ => Ok(false),
        };
        let mut is_kept = [i64::from(host.agree(is_kept.map_err(H::Error::from))?)];
        host.comm().all_reduce_sum(&mut [&mut is_kept]).map_err(JobError::from)?;
        if is_kept == [0] {
            return Ok(None);
        }
        host.note(&Note::KeptResult { path: result });
        host.agree(read(result).map_err(JobError::from).map_err(H::Error::from))
    }

    /// The result and the store.
    fn places(&self) -> Result<(PathBuf, PathBuf), JobError> {
        let named = self.input.named_after();
        let result = self.output.clone().unwrap_or_else(|| named.with_extension("pca.h5ad"));
        let store = store_of(&self.input, &self.selection, self.store.as_deref(), &result)?;
        Ok((result, store))
    }

    /// Opens the input once the output is known to be possible, and refuses settings that no conversion
    /// would make possible.
    fn open(&self, (result, store): &(PathBuf, PathBuf), machine: &Machine) -> Result<Opened, JobError> {
        input::check(&self.input)?;
        self.filter.check()?;
        let paths = self.input.paths().fold(Paths::default(), |paths, path| paths.reading(Role::Input, path));
        let mut paths = self.filter.lists().fold(paths, |paths, list| paths.reading(Role::Names, list));
        let output = |role, path: &PathBuf, kind, overwrite| Output { role, path: path.clone(), kind, overwrite };
        if !input::is_store(&self.input) {
            // A store that is there may be used again: that is decided when it is opened.
            paths = paths.writing(output(Role::Store, store, OutputKind::Store, Overwrite::Replace));
        }
        let overwrite = if self.keep_result { Overwrite::Replace } else { self.overwrite };
        paths = paths.writing(output(Role::Result, result, OutputKind::AnnData, overwrite));
        match &self.checkpoint {
            None => paths.check()?,
            Some(checkpoint) => {
                let others = [result.as_path(), store].into_iter().chain(self.input.paths());
                check_with(paths, checkpoint, others)?;
                checkpoint.check(&Runs::One)?;
            }
        }
        let mut opened = Opened::of(&self.input, &self.selection, store)?;
        if let Opened::Source(source) = &mut opened {
            let foreseen = foresee::shape(source.as_ref());
            let converting = machine.with_conversion(machine::resident());
            match self.of_all_genes().plan(&foreseen, None, &converting) {
                // A dense file may become a sparse store, which takes less.
                Err(ConfigError::Memory { .. }) if foreseen.layout == Layout::Dense => (),
                Err(ConfigError::Memory { budget, needed, .. }) => {
                    let needed = needed.max(self.needed(source.as_mut(), &converting)?);
                    return Err(ConfigError::Memory { budget, needed, lower_blocks: None }.into());
                }
                planned => {
                    planned?;
                }
            }
        }
        Ok(opened)
    }

    /// The smallest budget for `source` as an excerpt of it shows: that of the conversion counts too.
    fn needed(&self, source: &mut dyn Source, machine: &Machine) -> Result<u64, JobError> {
        let (memory, threads) = (machine.memory, machine.threads);
        let spec = ConvertSpec { block_rows: None, memory, threads, overwrite: self.overwrite };
        match excerpt(source, &spec) {
            Err(StorageError::MemoryBudget { smallest, .. }) => Ok(smallest),
            Err(error) => Err(error.into()),
            Ok(excerpt) => match self.of_all_genes().plan(&DataShape::from(&excerpt), None, machine) {
                Err(ConfigError::Memory { needed, .. }) => Ok(needed),
                planned => Ok(planned?.execution.peak_bytes),
            },
        }
    }

    /// Finds the genes and cells that are kept, if a part of them is.
    fn find_subset<H: Host>(
        &self,
        store: &Store,
        machine: &Machine,
        host: &H,
    ) -> Result<Option<Arc<Subset>>, H::Error> {
        let note = |note: &Note<'_>| {
            if host.comm().rank() == 0 {
                host.note(note)
            }
        };
        // Settings that do not suit all of the data suit no part of them.
        let whole = self.plan(store, None, machine, host);
        let whole = host.agree(whole.map_err(H::Error::from))?;
        let keep = self.filter.of(store, &machine.with_resident(machine::resident()), &note);
        let keep = host.agree(keep.map_err(H::Error::from))?;
        host.freed();
        if keep.is_all() {
            return Ok(None);
        }
        let engine = Engine::new(whole.execution.segment_bytes as usize, host).among(host.comm());
        let data = StoreBlocks::new(store);
        let subset = Subset::find(&data, keep, &engine, whole.execution.threads).map_err(JobError::from)?;
        host.freed();
        let (genes, cells) = ((subset.gene_count(), store.genes()), (subset.cell_count(), store.cells()));
        note(&Note::Kept { genes, cells });
        Ok(Some(Arc::new(subset)))
    }

    fn plan<H: Host>(
        &self,
        store: &Store,
        subset: Option<&Subset>,
        machine: &Machine,
        host: &H,
    ) -> Result<PcaPlan, JobError> {
        let comm = host.comm();
        let own = shards(&StoreBlocks::new(store), comm.size()).swap_remove(comm.rank());
        let shape = DataShape::of_store(store)?.with_shard(store, own);
        let leaves_out_genes = subset.is_some_and(|subset| subset.genes().is_some());
        let shape = if leaves_out_genes { shape.leaving_out_genes() } else { shape };
        let machine = machine.with_resident(machine::resident()).with_maps(host.may_map());
        let config = if subset.is_some() { self.config.clone() } else { self.of_all_genes() };
        Ok(config.plan(&shape, subset, &machine)?)
    }

    /// The settings for the input as a whole. If genes are left out, the Gram matrix is that of the others,
    /// and counts once they are known.
    fn of_all_genes(&self) -> PcaConfig {
        match self.filter.leaves_out_genes() {
            true => self.config.clone().with_method(MethodSpec::Krylov),
            false => self.config.clone(),
        }
    }
}
