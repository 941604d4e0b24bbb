//! The genes and cells of the input that are fitted: by lists of names, and by least sums.
//!
//! Names of a list are kept as hashes of 128 bits, so that a list of millions of cells fits beside the
//! data. Each is looked up while the names of the store go by.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use fixedbitset::FixedBitSet;
use partwise_driver::blocks::StoreBlocks;
use partwise_driver::{ConfigError, HvgMethod, HvgSpec, Keep, Machine};
use partwise_storage::anndata::{hash_of_name, visit_names};
use partwise_storage::{Axis, StorageError, Store};

use super::JobError;
use super::host::Note;

/// Bytes of memory for a name of a list.
const BYTES_PER_NAME: u64 = 72;
/// Names that a note gives as examples.
const EXAMPLES: usize = 3;

/// Which genes and cells of the input are fitted. Genes are chosen first: `min_cells` counts all cells of
/// the input, `min_counts` only genes that are kept.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Filter {
    /// A file with the names of genes to keep, one a line; `None`: all.
    pub genes_file: Option<PathBuf>,
    /// A file with the names of cells to keep, one a line; `None`: all.
    pub cells_file: Option<PathBuf>,
    /// Those that vary most, of the genes that the list and `min_cells` leave; `None`: all.
    pub hvg: Option<HvgSpec>,
    /// Cells at least that have a nonzero value of a gene.
    pub min_cells: u64,
    /// The least sum of the values of a cell.
    pub min_counts: f64,
}

impl Filter {
    /// Whether everything is kept.
    pub fn is_none(&self) -> bool {
        *self == Filter::default()
    }

    /// Whether genes are chosen.
    pub(super) fn leaves_out_genes(&self) -> bool {
        self.genes_file.is_some() || self.min_cells > 0
    }

    /// The files of names.
    pub(super) fn lists(&self) -> impl Iterator<Item = &Path> {
        [&self.genes_file, &self.cells_file].into_iter().flatten().map(PathBuf::as_path)
    }

    /// Refuses lists that are missing, and least sums that are no numbers.
    pub(super) fn check(&self) -> Result<(), JobError> {
        for list in self.lists() {
            open(list)?;
        }
        match self.min_counts.is_finite() && self.min_counts >= 0.0 {
            true => Ok(()),
            false => Err(ConfigError::Number { name: "the least sum of a cell", value: self.min_counts }.into()),
        }
    }

    /// What is kept of `store`; `note` hears of names that it does not have. Refuses data whose genes cannot be selected
    /// as asked.
    pub(super) fn of(&self, store: &Store, machine: &Machine, note: &dyn Fn(&Note<'_>)) -> Result<Keep, JobError> {
        let listed = |list: Option<&PathBuf>, axis, len| match list {
            None => Ok(None),
            Some(path) => named(path, axis, len, store, machine, note).map(Some),
        };
        let mut genes = listed(self.genes_file.as_ref(), Axis::Genes, store.genes())?;
        if self.min_cells > 0 {
            let genes = genes.get_or_insert_with(|| {
                let mut all = FixedBitSet::with_capacity(store.genes());
                all.insert_range(..);
                all
            });
            let moments = store.gene_moments().iter().enumerate();
            moments.filter(|(_, moments)| moments.nonzeros < self.min_cells).for_each(|(gene, _)| genes.remove(gene));
        }
        if let Some(hvg) = self.hvg {
            let checked = hvg.check(&StoreBlocks::new(store), genes.as_ref());
            checked.map_err(|error| JobError::Genes { path: store.path().into(), error })?;
            if hvg.method == HvgMethod::Cnmf && !store.summary().integer {
                note(&Note::SelectedByValues);
            }
        }
        let mut keep = Keep::default();
        keep.genes = genes;
        keep.hvg = self.hvg;
        keep.cells = listed(self.cells_file.as_ref(), Axis::Cells, store.cells())?;
        keep.min_counts = self.min_counts;
        Ok(keep)
    }
}

fn open(list: &Path) -> Result<BufReader<File>, StorageError> {
    if !list.exists() {
        return Err(StorageError::NotFound { path: list.into() });
    }
    File::open(list).map(BufReader::new).map_err(|error| StorageError::io("read", list, error))
}

/// Shows the names of a list: its lines that are not empty.
fn visit_list(list: &Path, mut see: impl FnMut(&str)) -> Result<(), StorageError> {
    let (mut file, mut line, mut number) = (open(list)?, Vec::new(), 0);
    loop {
        line.clear();
        number += 1;
        if file.read_until(b'\n', &mut line).map_err(|error| StorageError::io("read", list, error))? == 0 {
            return Ok(());
        }
        let text = std::str::from_utf8(&line).map_err(|_| StorageError::InvalidLine {
            path: list.into(),
            line: number,
            problem: "is no text in UTF-8".into(),
            remedy: "write one name a line".into(),
        })?;
        let name = text.trim_end_matches(['\n', '\r']);
        if !name.is_empty() {
            see(name.trim_start_matches('\u{feff}'));
        }
    }
}

/// The places of the names that the file `list` has, among the `len` names of an axis of `store`.
fn named(
    list: &Path,
    axis: Axis,
    len: usize,
    store: &Store,
    machine: &Machine,
    note: &dyn Fn(&Note<'_>),
) -> Result<FixedBitSet, JobError> {
    let mut lines = 0;
    visit_list(list, |_| lines += 1)?;
    let needed = machine.resident + BYTES_PER_NAME * lines;
    if needed > machine.memory {
        return Err(ConfigError::Memory { budget: machine.memory, needed, lower_blocks: None }.into());
    }
    let mut wanted: HashMap<u128, bool> = HashMap::with_capacity(lines as usize);
    visit_list(list, |name| {
        wanted.insert(hash_of_name(name), false);
    })?;

    let (mut kept, mut place, mut first) = (FixedBitSet::with_capacity(len), 0, None);
    visit_names(&store.annotations()?, axis, |name| {
        if let Some(found) = wanted.get_mut(&hash_of_name(name)) {
            *found = true;
            kept.insert(place);
        }
        first.get_or_insert_with(|| name.to_owned());
        place += 1;
    })?;
    let missing = wanted.values().filter(|found| !**found).count();
    if kept.is_clear() {
        return Err(JobError::NoneListed { path: list.into(), axis, example: first.unwrap_or_default() });
    }
    if missing > 0 {
        let mut examples = Vec::new();
        visit_list(list, |name| {
            if examples.len() < EXAMPLES && wanted.get(&hash_of_name(name)) == Some(&false) {
                examples.push(name.to_owned());
            }
        })?;
        note(&Note::NotInData { list, axis, missing, of: wanted.len(), examples: &examples });
    }
    Ok(kept)
}
