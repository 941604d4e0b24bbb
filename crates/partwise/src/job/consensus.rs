//! The programs that many replicates have in common, from their spectra and the counts to results.

use std::collections::HashMap;
use std::path::PathBuf;

use fixedbitset::FixedBitSet;
use partwise_driver::blocks::StoreBlocks;
use partwise_driver::comm::agree;
use partwise_driver::consensus::{
    self, Distances, Medians, Programs, Selected, Stores, Written, find_medians, refit, write,
};
use partwise_driver::engine::Engine;
use partwise_driver::plan::RowsPlan;
use partwise_driver::shard::shards;
use partwise_driver::{ConfigError, DataShape, Machine, Spectra};
use partwise_storage::anndata::{Value, visit_names};
use partwise_storage::{Axis, Inputs, Overwrite, Selection, StorageError, Store};

use super::JobError;
use super::fit::notes;
use super::host::{Host, Note};
use super::input::{self, is_store};
use super::origin::Origin;
use super::output;
use super::paths::{Output, OutputKind, Paths, Role};
use super::places::store_of;
use super::stored::{Opened, Stored};
use super::texts::{Content, Texts};
use crate::machine;

/// Genes that a message gives as examples.
const EXAMPLES: usize = 3;
/// Tables of genes × k in memory while usages are written: those of the programs, and spectra in two scales.
const TABLES: usize = 6;

/// The consensus of replicates, for one or several k.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConsensusJob {
    /// The folder of a sweep, or of a cNMF run, `DIR/NAME`.
    pub replicates: PathBuf,
    /// The counts that the replicates were made from: all genes. `None`: a sweep knows them.
    pub input: Option<Inputs>,
    /// Which matrix of a file.
    pub selection: Selection,
    /// Numbers of components.
    pub ks: Vec<usize>,
    /// Spectra whose local density is not below it are left out.
    pub density: f64,
    /// The result of one k, or the folder of the results of several; `None`: beside the replicates.
    pub output: Option<PathBuf>,
    /// The folder `DIR/NAME` for the files that cNMF writes, named as it names them; `None`: none of them.
    pub cnmf_files: Option<PathBuf>,
    /// Where a file is converted to; `None`: as for a fit.
    pub store: Option<PathBuf>,
    /// Whether a result that exists may be replaced.
    pub overwrite: Overwrite,
    /// What the program around the job writes when it has ended. Refused with the other paths, before any work.
    pub other_outputs: Vec<Output>,
}

/// A finished consensus.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConsensusDone {
    /// Cells n.
    pub cells: usize,
    /// Genes m.
    pub genes: usize,
    /// Genes that were selected.
    pub selected: usize,
    /// In the order of `ks`.
    pub results: Vec<OneConsensus>,
    /// Reads of all of X.
    pub passes: usize,
    /// The store.
    pub store: PathBuf,
    /// The forecast of the peak resident size.
    pub planned_peak_bytes: u64,
    /// Workers.
    pub threads: usize,
}

/// The consensus of one k.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OneConsensus {
    /// Components.
    pub k: usize,
    /// The medians.
    pub medians: Medians,
    /// What follows from them.
    pub programs: Programs,
    /// The result.
    pub result: PathBuf,
    /// The table of the genes that mark each program.
    pub top_genes: PathBuf,
    /// The files that cNMF writes, if they were asked for.
    pub cnmf_files: Vec<PathBuf>,
    /// A hash of its usages and its spectra in values per million.
    pub digest: String,
}

impl ConsensusJob {
    /// The consensus of `replicates` for `ks`, all else by default.
    pub fn new(replicates: impl Into<PathBuf>, ks: impl Into<Vec<usize>>) -> Self {
        ConsensusJob {
            replicates: replicates.into(),
            input: None,
            selection: Selection::default(),
            ks: ks.into(),
            density: 0.5,
            output: None,
            cnmf_files: None,
            store: None,
            overwrite: Overwrite::Refuse,
            other_outputs: Vec::new(),
        }
    }

    /// Runs the job on `machine`: all processes of `host` call it.
    ///
    /// # Errors
    ///
    /// As for a fit; if the replicates are not there, their genes not in the data, or the filter leaves nothing.
    pub fn run<H: Host>(&self, machine: &Machine, host: &H) -> Result<ConsensusDone, H::Error> {
        let run = host.agree(Origin::open(&self.replicates).map_err(H::Error::from))?;
        let counts = host.agree(run.counts(self.input.as_ref()).map_err(H::Error::from))?;
        let results = self.results();
        let texts = self.texts(&results);
        let (place, opened) = host.agree(self.open(&run, &counts, &results, &texts).map_err(H::Error::from))?;
        let Stored { store, .. } = Stored::of(opened, &place, machine, self.overwrite, host)?;
        host.check_data(&store)?;
        host.freed();
        let prepared = host.agree(self.prepare(&run, (&store, &counts), machine, host).map_err(H::Error::from))?;
        Ok(self.find(&store, prepared, (results, texts), host)?)
    }

    /// The files of the results, in the order of `ks`.
    pub fn results(&self) -> Vec<PathBuf> {
        let default = |ending: &str| self.replicates.components().collect::<PathBuf>().with_extension(ending);
        match self.ks[..] {
            [k] => vec![self.output.clone().unwrap_or_else(|| default(&format!("k{k}.h5ad")))],
            _ => {
                let folder = self.output.clone().unwrap_or_else(|| default("consensus"));
                let folder: PathBuf = folder.components().collect();
                self.ks.iter().map(|k| folder.join(format!("k{k}.h5ad"))).collect()
            }
        }
    }

    /// The texts beside each of the results.
    fn texts(&self, results: &[PathBuf]) -> Vec<Texts> {
        let of_k = |(result, &k): (&PathBuf, &usize)| Texts::of(result, self.cnmf_files.as_deref(), k, self.density);
        results.iter().zip(&self.ks).map(of_k).collect()
    }

    /// Checks settings, replicates and paths, and opens the input. Returns the place of its store as well.
    fn open(
        &self,
        run: &Origin,
        counts: &Inputs,
        results: &[PathBuf],
        texts: &[Texts],
    ) -> Result<(PathBuf, Opened), JobError> {
        let mut sorted = self.ks.clone();
        sorted.sort_unstable();
        if sorted.is_empty() || sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            let problem = if sorted.is_empty() { "is empty" } else { "has one twice" };
            return Err(ConfigError::List { name: "k", problem: problem.into() }.into());
        }
        if sorted[0] == 0 {
            return Err(ConfigError::Zero { name: "k" }.into());
        }
        if !(self.density.is_finite() && self.density > 0.0) {
            return Err(ConfigError::Number { name: "the density threshold", value: self.density }.into());
        }
        input::check(counts)?;
        // Beside the result, or the folder of the results.
        let output = if results.len() > 1 { output::folder(&results[0]) } else { &results[0] };
        let store = store_of(counts, &self.selection, self.store.as_deref(), output)?;
        let mut paths = counts.paths().fold(Paths::default(), |paths, path| paths.reading(Role::Input, path));
        paths = paths.reading(Role::Names, &run.list());
        for &k in &self.ks {
            run.spectra_count(k)?;
            paths = paths.reading(Role::Spectra, &run.spectra(k));
        }
        if !is_store(counts) {
            let (kind, overwrite) = (OutputKind::Store, Overwrite::Replace);
            paths = paths.writing(Output { role: Role::Store, path: store.clone(), kind, overwrite });
        }
        if results.len() > 1 {
            let (kind, overwrite) = (OutputKind::Folder, Overwrite::Replace);
            paths = paths.writing(Output { role: Role::Results, path: output.into(), kind, overwrite });
        }
        for result in results {
            let (kind, overwrite) = (OutputKind::AnnData, self.overwrite);
            paths = paths.writing(Output { role: Role::Result, path: result.clone(), kind, overwrite });
        }
        paths = self.other_outputs.iter().cloned().fold(paths, Paths::writing);
        let folder = (results.len() > 1).then_some(output);
        Texts::announce(texts, paths, folder, self.overwrite).check()?;
        Ok((store.clone(), Opened::of(counts, &self.selection, &store)?))
    }

    /// Everything before the passes.
    fn prepare<H: Host>(
        &self,
        run: &Origin,
        (store, counts): (&Store, &Inputs),
        machine: &Machine,
        host: &H,
    ) -> Result<Prepared, JobError> {
        run.check(store)?;
        let names = run.genes()?;
        let places = places(run, &names, store, counts)?;
        let most = places.len().min(store.cells());
        if let Some(&k) = self.ks.iter().find(|&&k| k > most) {
            return Err(ConfigError::Components { k, cells: store.cells(), genes: places.len(), most }.into());
        }
        let machine = machine.with_resident(machine::resident());
        let own = shards(&StoreBlocks::new(store), host.comm().size()).swap_remove(host.comm().rank());
        let shape = DataShape::of_store(store)?.with_shard(store, own);
        let mut values = 0;
        for &k in &self.ks {
            values = values.max(run.spectra_count(k)?.saturating_mul(places.len()));
        }
        let plan = consensus::plan(&shape, &machine, &self.ks, values)?;
        let copy = run.copy()?;
        let of_rows = copy.as_ref().map(|copy| -> Result<DataShape, JobError> {
            let own = shards(&StoreBlocks::new(copy), host.comm().size()).swap_remove(host.comm().rank());
            Ok(DataShape::of_store(copy)?.with_shard(copy, own))
        });
        let of_rows = of_rows.transpose()?.map_or(shape, |of_copy| DataShape { genes: shape.genes, ..of_copy });
        // The distances of every k stay until its result is written.
        let distances = self.ks.len() as u64 * Distances::MOST_BYTES;
        let machine = machine.with_resident(machine.resident + distances);
        let rows = RowsPlan::new(&of_rows, &machine, self.ks.iter().sum(), TABLES)?;
        let medians = self.medians(run, places.len(), plan.threads, host)?;
        Ok(Prepared { medians, names, places, copy, notes: run.notes()?, plan, rows })
    }

    fn find<H: Host>(
        &self,
        store: &Store,
        Prepared { medians, names, places, copy, notes: of_replicates, plan, rows }: Prepared,
        (results, texts): (Vec<PathBuf>, Vec<Texts>),
        host: &H,
    ) -> Result<ConsensusDone, JobError> {
        let (comm, leads) = (host.comm(), host.comm().rank() == 0);
        let mut genes = FixedBitSet::with_capacity(store.genes());
        places.iter().for_each(|&place| genes.insert(place));
        let selected = self.ks.iter().zip(&medians).map(|(&k, medians)| {
            let mut spectra = Spectra::zeros(store.genes(), k);
            let ks = spectra.ks();
            for (c, spectrum) in medians.spectra.chunks_exact(places.len()).enumerate() {
                for (&place, &value) in places.iter().zip(spectrum) {
                    spectra.ht_mut()[place * ks + c] = value as f32;
                }
            }
            Selected { genes: genes.clone(), medians: spectra }
        });
        let selected: Vec<Selected> = selected.collect();
        let engine = Engine::new(plan.segment_bytes as usize, host).among(comm);
        let (programs, passes) = refit(&StoreBlocks::new(store), &selected, &engine, plan.threads)?;
        drop(selected);
        host.freed();
        let unused = programs.iter().map(|programs| programs.unused_cells).max().unwrap_or(0);
        if unused > 0 && leads {
            host.note(&Note::UnusedCells { unused, of: store.cells() });
        }

        let folder = output::folder(&results[0]);
        let made = match results.len() > 1 && leads {
            true => std::fs::create_dir_all(folder).map_err(|error| StorageError::io("create", folder, error)),
            false => Ok(()),
        };
        agree(comm, made.map_err(JobError::from))?;
        let of_k = |(medians, programs)| Written { medians, density: self.density, programs };
        let written: Vec<Written<'_>> = medians.iter().zip(&programs).map(of_k).collect();
        let mut about: Vec<(String, Value)> = notes(store);
        about.extend(of_replicates);
        let stores = Stores { all: store, selected: copy.as_ref() };
        let digests = write(stores, &written, (&results, self.overwrite), &about, &rows, (comm, host))?;
        let mut each = results.iter().zip(&texts).zip(&programs);
        let write_texts = |((result, texts), programs): ((&PathBuf, &Texts), &Programs)| {
            texts.write(&Content { store, result, programs, selected: (&names, &places) }, self.overwrite, host)
        };
        agree(comm, if leads { each.try_for_each(write_texts) } else { Ok(()) })?;
        results.iter().for_each(|result| host.note(&Note::Written { path: result }));
        let each = self.ks.iter().zip(medians).zip(programs).zip(results).zip(texts).zip(digests);
        let one = |(((((&k, medians), programs), result), texts), digest)| {
            let Texts { top_genes, cnmf } = texts;
            let cnmf_files = cnmf.iter().flat_map(|files| files.paths().map(PathBuf::from)).collect();
            OneConsensus { k, medians, programs, result, top_genes, cnmf_files, digest }
        };
        Ok(ConsensusDone {
            cells: store.cells(),
            genes: store.genes(),
            selected: places.len(),
            results: each.map(one).collect(),
            // Usages are found in the copy of the selected genes, if there is one.
            passes: passes + usize::from(copy.is_none()),
            store: store.path().into(),
            planned_peak_bytes: plan.peak_bytes.max(rows.peak_bytes),
            threads: plan.threads,
        })
    }

    /// The medians of every k, one after the other, on so many threads.
    fn medians<H: Host>(&self, run: &Origin, genes: usize, threads: usize, host: &H) -> Result<Vec<Medians>, JobError> {
        let mut medians = Vec::with_capacity(self.ks.len());
        for &k in &self.ks {
            let replicates = run.replicates(k, genes)?;
            let found = find_medians(&replicates, self.density, threads, host);
            medians.push(found.map_err(|error| JobError::of_consensus(run.spectra(k), error))?);
            drop(replicates);
            host.freed();
        }
        Ok(medians)
    }
}

/// The places of the selected genes in the data, in the order of the list.
fn places(run: &Origin, names: &[String], store: &Store, counts: &Inputs) -> Result<Vec<usize>, JobError> {
    if let Some(places) = run.places()? {
        let are_places = places.is_sorted_by(|a, b| a < b) && places.last().is_none_or(|&last| last < store.genes());
        if places.len() != names.len() || !are_places {
            let (expected, found) = (format!("{} genes", places.len()), format!("{} genes", names.len()));
            return Err(StorageError::damaged(&run.list(), "the list", expected, found).into());
        }
        return Ok(places);
    }
    let mut found: HashMap<&str, Option<usize>> = names.iter().map(|name| (name.as_str(), None)).collect();
    if found.len() < names.len() {
        return Err(JobError::AmbiguousGenes { path: run.list(), names: repeated(names) });
    }
    let (mut place, mut twice) = (0, Vec::new());
    visit_names(&store.annotations()?, Axis::Genes, |name| {
        if found.get_mut(name).is_some_and(|known| known.replace(place).is_some()) {
            twice.push(name.to_owned());
        }
        place += 1;
    })?;
    if !twice.is_empty() {
        twice.truncate(EXAMPLES);
        return Err(JobError::AmbiguousGenes { path: counts.named_after(), names: twice });
    }
    let missing: Vec<&String> = names.iter().filter(|name| found[name.as_str()].is_none()).collect();
    if !missing.is_empty() {
        return Err(JobError::MissingGenes {
            path: counts.named_after(),
            list: run.list(),
            missing: missing.len(),
            of: names.len(),
            examples: missing.iter().take(EXAMPLES).map(|name| (*name).clone()).collect(),
        });
    }
    Ok(names.iter().filter_map(|name| found[name.as_str()]).collect())
}

/// What the passes need.
struct Prepared {
    medians: Vec<Medians>,
    /// The names of the selected genes.
    names: Vec<String>,
    /// The places of the selected genes, in the order of the columns of the medians.
    places: Vec<usize>,
    /// The store of the selected genes, if there is one.
    copy: Option<Store>,
    /// What a result says of the replicates.
    notes: Vec<(String, Value)>,
    plan: RowsPlan,
    rows: RowsPlan,
}

/// Some names that are there twice.
fn repeated(names: &[String]) -> Vec<String> {
    let mut sorted: Vec<&String> = names.iter().collect();
    sorted.sort_unstable();
    let mut twice: Vec<String> =
        sorted.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone()).collect();
    twice.dedup();
    twice.truncate(EXAMPLES);
    twice
}
