//! The genes of one input and how much they vary, from a file to a table.

use std::path::{Path, PathBuf};

use partwise_driver::blocks::StoreBlocks;
use partwise_driver::engine::Engine;
use partwise_driver::plan::RowsPlan;
use partwise_driver::{ConfigError, DataShape, HvgMethod, HvgSpec, Machine};
use partwise_storage::anndata::{GENES_BEGIN, write_gene_csv};
use partwise_storage::{Inputs, Overwrite, Selection, Store};

use super::filter::Filter;
use super::host::{Host, Note};
use super::paths::{Output, OutputKind, Paths, Role};
use super::places::store_of;
use super::stored::{Opened, Stored};
use super::{JobError, input};
use crate::machine;

/// A table of the genes of one input, with those that vary most for their level.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GenesJob {
    /// A store, a file in a format that is read, or several files as one matrix.
    pub input: Inputs,
    /// Which matrix of a file.
    pub selection: Selection,
    /// The genes to choose from: those of a list, or that enough cells have.
    pub filter: Filter,
    /// How many genes are selected, and by which method.
    pub hvg: HvgSpec,
    /// The table; `None`: beside the input.
    pub output: Option<PathBuf>,
    /// Where a file is converted to; `None`: as for a fit.
    pub store: Option<PathBuf>,
    /// Whether a table that exists may be replaced.
    pub overwrite: Overwrite,
}

/// A finished table.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GenesDone {
    /// Cells n.
    pub cells: usize,
    /// Genes m.
    pub genes: usize,
    /// Genes that are selected.
    pub selected: usize,
    /// The least score of these.
    pub least: f64,
    /// How they were scored.
    pub method: HvgMethod,
    /// Whether values were scaled to values per million: the method cnmf does so with counts.
    pub per_million: bool,
    /// Reads of all of X.
    pub passes: usize,
    /// The table.
    pub output: PathBuf,
    /// The store.
    pub store: PathBuf,
}

impl GenesJob {
    /// The genes `hvg` of `input`, all else by default.
    pub fn new(input: impl Into<Inputs>, hvg: HvgSpec) -> Self {
        GenesJob {
            input: input.into(),
            selection: Selection::default(),
            filter: Filter::default(),
            hvg,
            output: None,
            store: None,
            overwrite: Overwrite::Refuse,
        }
    }

    /// Runs the job on `machine`.
    ///
    /// # Errors
    ///
    /// As for a fit, and if no gene to choose from has a score.
    pub fn run<H: Host>(&self, machine: &Machine, host: &H) -> Result<GenesDone, H::Error> {
        let output = self.output.clone().unwrap_or_else(|| self.input.named_after().with_extension("genes.csv"));
        let (place, opened) = self.open(&output)?;
        let Stored { store, .. } = Stored::of(opened, &place, machine, self.overwrite, host)?;
        host.freed();
        Ok(self.table(&store, output, machine, host)?)
    }

    /// Checks every path, and opens the input. Returns the place of its store as well.
    fn open(&self, output: &Path) -> Result<(PathBuf, Opened), JobError> {
        input::check(&self.input)?;
        self.filter.check()?;
        let store = store_of(&self.input, &self.selection, self.store.as_deref(), output)?;
        let paths = self.input.paths().fold(Paths::default(), |paths, path| paths.reading(Role::Input, path));
        let mut paths = self.filter.lists().fold(paths, |paths, list| paths.reading(Role::Names, list));
        if !input::is_store(&self.input) {
            let (kind, overwrite) = (OutputKind::Store, Overwrite::Replace);
            paths = paths.writing(Output { role: Role::Store, path: store.clone(), kind, overwrite });
        }
        let kind = OutputKind::Text { what: "a table of genes", begins: GENES_BEGIN };
        let output = Output { role: Role::Output, path: output.into(), kind, overwrite: self.overwrite };
        paths.writing(output).check()?;
        Ok((store.clone(), Opened::of(&self.input, &self.selection, &store)?))
    }

    fn table<H: Host>(
        &self,
        store: &Store,
        output: PathBuf,
        machine: &Machine,
        host: &H,
    ) -> Result<GenesDone, JobError> {
        let machine = machine.with_resident(machine::resident());
        let mut filter = self.filter.clone();
        filter.hvg = Some(self.hvg);
        // Of values that are no counts, the one who asked for the table hears by `per_million`.
        let note = |note: &Note<'_>| match note {
            Note::SelectedByValues => (),
            note => host.note(note),
        };
        let among = filter.of(store, &machine, &note)?.genes;
        let plan = RowsPlan::new(&DataShape::of_store(store)?, &machine, 1, self.hvg.tables())?;
        let engine = Engine::new(plan.segment_bytes as usize, host);
        let data = StoreBlocks::new(store);
        let found = self.hvg.select(&data, among.as_ref(), &engine, plan.threads)?;
        let (selected, scores) = (&found.genes, found.scores.scores());
        if selected.is_clear() {
            return Err(ConfigError::NothingKept { cells: store.cells(), genes: 0 }.into());
        }
        let (moments, columns) = (store.gene_moments(), found.scores.columns());
        let known = |number: f64| (!number.is_nan()).then_some(number);
        let of_gene = |gene: usize| {
            let numbers = columns.map(|(_, numbers)| known(numbers[gene]));
            // As pandas writes and reads it.
            (moments[gene].nonzeros, numbers, if selected.contains(gene) { "True" } else { "False" })
        };
        let [first, second, third, last] = columns.map(|(name, _)| name);
        let names = ["cells", first, second, third, last, "highly_variable"];
        write_gene_csv(&store.annotations()?, &names, of_gene, &output)?;
        Ok(GenesDone {
            cells: store.cells(),
            genes: store.genes(),
            selected: selected.count_ones(..),
            least: selected.ones().map(|gene| scores[gene]).fold(f64::INFINITY, f64::min),
            method: self.hvg.method,
            per_million: self.hvg.method == HvgMethod::Cnmf && store.summary().integer,
            passes: found.reads,
            output,
            store: store.path().into(),
        })
    }
}
