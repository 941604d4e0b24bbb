//! Usages of new cells under the spectra of a result.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use partwise_driver::plan::RowsPlan;
use partwise_driver::result::Destination;
use partwise_driver::{CellScale, DataShape, KnownSpectra, Machine, Spectra, Transformed, transform};
use partwise_storage::anndata::{Table, Value, read_factors, read_gene_numbers, read_uns, visit_texts};
use partwise_storage::{Axis, Inputs, Overwrite, Selection, StorageError, Store};

use super::host::{Host, Note};
use super::input::is_store;
use super::paths::{Output, OutputKind, Paths, Role};
use super::places::store_of;
use super::stored::{Opened, Stored};
use super::{JobError, input};
use crate::machine;

/// Genes that a message gives as examples.
const EXAMPLES: usize = 3;
/// Spectra that are read at once.
const ROWS_AT_ONCE: usize = 4096;
/// Tables of genes × k in memory: the spectra, scaled ones, and H·Hᵀ on its way.
const TABLES: usize = 3;

/// The usages of new cells under the spectra of a result.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TransformJob {
    /// The result of a fit or a consensus.
    pub result: PathBuf,
    /// The new cells.
    pub input: Inputs,
    /// Which matrix of a file.
    pub selection: Selection,
    /// The column of `var` by which genes are matched; `None`: their names.
    pub gene_key: Option<String>,
    /// The usages; `None`: beside the input.
    pub output: Option<PathBuf>,
    /// Where a file is converted to; `None`: as for a fit.
    pub store: Option<PathBuf>,
    /// Whether an output that exists may be replaced.
    pub overwrite: Overwrite,
    /// Whether the shares of programs are columns of `obs`, too.
    pub usages_in_obs: bool,
}

/// A finished job.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TransformDone {
    /// Cells and genes of the new data.
    pub cells: usize,
    /// See above.
    pub genes: usize,
    /// Components.
    pub k: usize,
    /// How genes were matched.
    pub matched: Matched,
    /// ‖X − W·H‖ / ‖X‖ of the new cells, over the genes that were matched.
    pub relative_error: f64,
    /// The same of the cells that the spectra were fitted to, over all genes.
    pub fitted_relative_error: f64,
    /// A hash of the bits of W and H.
    pub digest: String,
    /// The file of usages.
    pub output: PathBuf,
    /// The store of the new cells.
    pub store: PathBuf,
    /// How it was carried out.
    pub plan: RowsPlan,
}

/// How many genes were matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matched {
    /// Genes that both have.
    pub both: usize,
    /// Genes of the result that the new data do not have.
    pub missing: usize,
    /// Genes of the new data that the result does not have.
    pub unknown: usize,
}

impl TransformJob {
    /// Usages of `input` under the spectra of `result`, all else by default.
    pub fn new(result: impl Into<PathBuf>, input: impl Into<Inputs>) -> Self {
        TransformJob {
            result: result.into(),
            input: input.into(),
            selection: Selection::default(),
            gene_key: None,
            output: None,
            store: None,
            overwrite: Overwrite::Refuse,
            usages_in_obs: false,
        }
    }

    /// Runs the job on `machine`: all processes of `host` call it.
    ///
    /// # Errors
    ///
    /// As for a fit, and if the result is none, or no gene is in both.
    pub fn run<H: Host>(&self, machine: &Machine, host: &H) -> Result<TransformDone, H::Error> {
        let default = self.input.named_after().with_extension("usages.h5ad");
        let output = self.output.clone().unwrap_or(default);
        let opened = host.agree(self.open(&output).map_err(H::Error::from))?;
        let (place, opened) = opened;
        let Stored { store, .. } = Stored::of(opened, &place, machine, self.overwrite, host)?;
        host.check_data(&store)?;
        host.freed();
        let known = host.agree(self.known(&store).map_err(H::Error::from))?;
        if host.comm().rank() == 0 {
            host.note(&Note::Matched { matched: known.matched });
        }
        let planned = || {
            let shape = DataShape::of_store(&store)?;
            let machine = machine.with_resident(machine::resident());
            Ok(RowsPlan::new(&shape, &machine, known.spectra.spectra.k(), TABLES)?)
        };
        let plan = host.agree(planned().map_err(|error: JobError| H::Error::from(error)))?;
        let k = known.spectra.spectra.k();
        let dest = Destination::new(&output).with_overwrite(self.overwrite).with_usages_in_obs(self.usages_in_obs);
        let dest = dest.with_notes(known.notes);
        let done = transform(&store, &known.spectra, &plan, dest, (host.comm(), host)).map_err(JobError::from)?;
        let Transformed { relative_error, digest, .. } = done;
        Ok(TransformDone {
            cells: store.cells(),
            genes: store.genes(),
            k,
            matched: known.matched,
            relative_error,
            fitted_relative_error: known.fitted_relative_error,
            digest,
            store: store.path().into(),
            output,
            plan,
        })
    }

    /// Checks every path, and opens the new cells. Returns the place of their store as well.
    fn open(&self, output: &Path) -> Result<(PathBuf, Opened), JobError> {
        if !self.result.exists() {
            return Err(StorageError::NotFound { path: self.result.clone() }.into());
        }
        input::check(&self.input)?;
        let store = store_of(&self.input, &self.selection, self.store.as_deref(), output)?;
        let mut paths = self.input.paths().fold(Paths::default(), |paths, path| paths.reading(Role::Input, path));
        paths = paths.reading(Role::Spectra, &self.result);
        if !is_store(&self.input) {
            let (kind, overwrite) = (OutputKind::Store, Overwrite::Replace);
            paths = paths.writing(Output { role: Role::Store, path: store.clone(), kind, overwrite });
        }
        let (kind, overwrite) = (OutputKind::AnnData, self.overwrite);
        paths.writing(Output { role: Role::Result, path: output.into(), kind, overwrite }).check()?;
        drop(read_factors(&self.result)?);
        Ok((store.clone(), Opened::of(&self.input, &self.selection, &store)?))
    }

    /// The spectra of the result, in the order of the genes of `store`.
    fn known(&self, store: &Store) -> Result<Known, JobError> {
        let file = read_factors(&self.result)?;
        let k = file.components();
        let key = self.gene_key.as_deref();
        let annotations = store.annotations()?;
        let deviations = read_gene_numbers(&self.result, "scale")?;
        let told: BTreeMap<String, Value> = match read_uns(&self.result, "nmf") {
            Ok(Value::Map(members)) => members.into_iter().collect(),
            _ => BTreeMap::new(),
        };
        let is_scaled = told.get("scale") == Some(&Value::from("std"));
        if is_scaled && deviations.as_ref().is_none_or(|numbers| numbers.len() != file.genes()) {
            return Err(StorageError::MissingDataset {
                path: self.result.clone(),
                dataset: "var/scale".into(),
                remedy: "its genes were scaled, and the fit must be repeated to have their scale".into(),
            }
            .into());
        }

        // Those of a consensus are in values per million, and count for the genes that were selected.
        let is_consensus = told.get("consensus") == Some(&Value::from(true));
        let in_millions = is_consensus && told.get("scores_of_tpm") == Some(&Value::from(true));
        let scales: Vec<f64> = match deviations.filter(|_| is_scaled) {
            Some(numbers) => numbers,
            None => vec![1.0; file.genes()],
        };
        let is_used = |gene: usize| scales[gene].is_finite();
        let places = self.match_genes(&annotations, store.genes(), (file.genes(), &is_used), key)?;
        let table = if is_consensus { Some(Table::open(&self.result, "varm", "spectra_tpm")?) } else { None };
        if let Some(table) = table.as_ref().filter(|table| (table.rows(), table.columns()) != (file.genes(), k)) {
            return Err(StorageError::InvalidDataset {
                path: self.result.clone(),
                dataset: "varm/spectra_tpm".into(),
                problem: format!(
                    "has {} x {} values for {} genes and k = {k}",
                    table.rows(),
                    table.columns(),
                    file.genes()
                ),
                remedy: "use a result as partwise wrote it".into(),
            }
            .into());
        }
        // Spectra of a consensus were divided by deviations with n, and the cells by those with n - 1.
        let n = file.cells() as f64;
        let ratio = if is_consensus && n > 1.0 { (n / (n - 1.0)).sqrt() } else { 1.0 };

        let mut spectra = Spectra::zeros(store.genes(), k);
        let mut factors = vec![0.0_f32; store.genes()];
        let ks = spectra.ks();
        let mut values = Vec::new();
        for first in (0..file.genes()).step_by(ROWS_AT_ONCE) {
            let rows = first..(first + ROWS_AT_ONCE).min(file.genes());
            values.resize(rows.len() * k, 0.0);
            match &table {
                Some(table) => table.read(rows.clone(), k, &mut values)?,
                None => file.read_spectra(rows.clone(), &mut values)?,
            }
            for (gene, row) in rows.zip(values.chunks_exact(k)) {
                let Some(place) = places[gene] else { continue };
                let to = &mut spectra.ht_mut()[place * ks..place * ks + k];
                to.iter_mut().zip(row).for_each(|(to, &value)| *to = (f64::from(value) * ratio) as f32);
                factors[place] = (1.0 / scales[gene]) as f32;
            }
        }
        let (both, used) = (places.iter().flatten().count(), (0..file.genes()).filter(|&gene| is_used(gene)).count());
        let matched = Matched { both, missing: used - both, unknown: store.genes() - both };
        let real = |name: &str| match told.get(name) {
            Some(Value::Float(value)) => *value,
            _ => f64::NAN,
        };
        // The error of a consensus is of another matrix.
        let fitted_relative_error = if is_consensus { f64::NAN } else { real("relative_error") };
        let mut notes: Vec<(String, Value)> = vec![
            ("version".into(), env!("CARGO_PKG_VERSION").into()),
            ("k".into(), Value::Int(k as i64)),
            ("transformed".into(), true.into()),
            ("genes_matched".into(), Value::Int(matched.both as i64)),
            ("genes_missing".into(), Value::Int(matched.missing as i64)),
            ("genes_unknown".into(), Value::Int(matched.unknown as i64)),
            ("gene_key".into(), key.unwrap_or_default().into()),
            ("fitted_relative_error".into(), fitted_relative_error.into()),
        ];
        let told = told.into_iter();
        notes.extend(told.filter(|(name, _)| name == "digest").map(|(_, digest)| ("spectra_of".into(), digest)));
        notes.push(("scale".into(), if is_scaled { "std" } else { "none" }.into()));
        let cells = if in_millions { CellScale::PerMillion } else { CellScale::None };
        Ok(Known { spectra: KnownSpectra { spectra, factors, cells }, matched, fitted_relative_error, notes })
    }

    /// For each gene of the result that is used its place among the genes of the new data.
    fn match_genes(
        &self,
        annotations: &Path,
        genes: usize,
        (of_result, is_used): (usize, &dyn Fn(usize) -> bool),
        key: Option<&str>,
    ) -> Result<Vec<Option<usize>>, JobError> {
        let mut places: HashMap<String, usize> = HashMap::with_capacity(genes);
        let (mut repeated, mut place, mut first) = (Vec::new(), 0, None);
        visit_texts(annotations, Axis::Genes, key, |name| {
            first.get_or_insert_with(|| name.to_owned());
            if places.insert(name.to_owned(), place).is_some() {
                repeated.push(name.to_owned());
            }
            place += 1;
        })?;
        let input = self.input.named_after();
        let (mut found, mut known, mut of_first) = (Vec::with_capacity(of_result), HashMap::new(), None);
        let mut twice = Vec::new();
        visit_texts(&self.result, Axis::Genes, key, |name| {
            of_first.get_or_insert_with(|| name.to_owned());
            let place = places.get(name).copied().filter(|_| found.len() < of_result && is_used(found.len()));
            if place.is_some() && known.insert(name.to_owned(), ()).is_some() {
                twice.push(name.to_owned());
            }
            found.push(place);
        })?;
        // Names that repeat matter only where both have them.
        repeated.retain(|name| known.contains_key(name));
        for (path, mut names) in [(input, repeated), (self.result.clone(), twice)] {
            if !names.is_empty() {
                names.truncate(EXAMPLES);
                return Err(JobError::RepeatedGenes { path, names });
            }
        }
        if known.is_empty() {
            let (result, new) = (of_first.unwrap_or_default(), first.unwrap_or_default());
            return Err(JobError::NoSharedGene { path: self.result.clone(), result, new });
        }
        Ok(found)
    }
}

/// The spectra for one store.
struct Known {
    spectra: KnownSpectra,
    matched: Matched,
    fitted_relative_error: f64,
    /// For `uns["nmf"]`.
    notes: Vec<(String, Value)>,
}
