//! HDF5 files of Cell Ranger: a group of compressed rows, one for each cell.
//!
//! ```text
//! matrix/{data,indices,indptr,shape,barcodes,features/{name,id,feature_type,genome}}    since version 3
//! GENOME/{data,indices,indptr,shape,barcodes,gene_names,genes}                          before
//! ```

use std::path::{Path, PathBuf};

use hdf5::{File, Group};

use super::choice::Chosen;
use super::names::{self, GENE_IDS, Names, Part};
use crate::hdf::cache::ChunkNeed;
use crate::hdf::file::{Reading, exists};
use crate::hdf::number::NumberType;
use crate::hdf::problem::problem;
use crate::hdf::text::TextColumn;
use crate::hdf::{claim, elsewhere, filter, raw};
use crate::number::{Number, with_scalar};
use crate::remedy::Choice;
use crate::source::matrix::{DAMAGED, Matrix, MatrixSource, Place, Tables};
use crate::source::{Source, stamp};
use crate::store::Selection;
use crate::{Axis, FrameWriter, Matrices, Monitor, Remedy, StorageError};

/// The group of files since version 3.
const MATRIX: &str = "matrix";

/// The groups that hold a matrix; empty if the file is of another format.
pub(in crate::source) fn groups(file: &File) -> Vec<String> {
    let mut groups = file.member_names().unwrap_or_default();
    let parts = ["data", "indices", "indptr", "shape"];
    groups.retain(|group| parts.iter().all(|part| exists(file, &format!("{group}/{part}"))));
    groups
}

/// Opens the selected one of `groups`.
///
/// # Errors
///
/// - there are several genomes, and none was chosen, or one that the file does not have
/// - the matrix contradicts itself, or its names
pub(in crate::source) fn open(
    file: Reading,
    groups: Vec<String>,
    path: &Path,
    selection: &Selection,
) -> Result<Box<dyn Source>, StorageError> {
    selection.check(path, "a 10x file", &[Choice::Features, Choice::Genome])?;
    let is_by_genome = !groups.iter().any(|group| group == MATRIX);
    let name = if is_by_genome { genome(groups, path, selection)? } else { MATRIX.to_owned() };
    let place = Place { path: path.into(), dataset: name.clone(), others: Matrices::default() };
    let group = file.group(&name).map_err(|e| place.problem("", &e))?;
    let (genes, cells) = shape(&group, &place)?;
    let lists = Lists::open(&group, &place, (cells, genes))?;
    let mut matrix = Matrix::sparse(&group, Some((cells, genes)), Axis::Cells, place.clone())?;
    let mut in_it = selection.clone();
    if is_by_genome {
        // It chose the group.
        in_it.genome = None;
    }
    let chosen = Chosen::of(&lists, path, &in_it)?;
    if let Some(subset) = &chosen.subset {
        matrix.keep(subset.clone());
    }
    let stamp = stamp(path, selection)?;
    let tables = TenxTables { lists, chosen, _file: file };
    Ok(Box::new(MatrixSource { place, matrix, tables, stamp }))
}

/// The selected genome of a file that has a group for each.
fn genome(groups: Vec<String>, path: &Path, selection: &Selection) -> Result<String, StorageError> {
    let problem = match &selection.genome {
        Some(genome) if groups.contains(genome) => return Ok(genome.clone()),
        Some(genome) => format!("no genome is {genome}"),
        None if groups.len() == 1 => return Ok(groups[0].clone()),
        None => "it holds counts of several genomes".to_owned(),
    };
    let remedy = Remedy::ChooseOne { choice: Choice::Genome, names: groups }.into();
    Err(StorageError::NoneChosen { path: path.into(), problem, remedy })
}

/// The dataset `shape`: genes and cells.
fn shape(group: &Group, place: &Place) -> Result<(usize, usize), StorageError> {
    let read = || {
        let list = group.dataset("shape")?;
        let mut sides = Vec::new();
        if let (Some(number), 2, 1) = (NumberType::of(&list.dtype()?)?, list.size(), list.ndim()) {
            number.visit(&list, None, |_, bytes| {
                with_scalar!(number.scalar, T => {
                    let numbers = bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned::<T>);
                    sides.extend(numbers.map(|number| usize::try_from(number.whole()).ok()));
                });
                Ok(())
            })?;
        }
        Ok(sides)
    };
    match read().map_err(|e| place.problem("shape", &e))?[..] {
        [Some(genes), Some(cells)] => Ok((genes, cells)),
        _ => Err(place.invalid("shape", "is not the numbers of genes and of cells".into(), DAMAGED)),
    }
}

/// The names of such a file, which stays open.
struct TenxTables {
    lists: Lists,
    chosen: Chosen,
    _file: Reading,
}

impl Tables for TenxTables {
    fn annotation_bytes(&self) -> u64 {
        self.lists.resident
    }

    fn gene_ids(&self) -> Option<&'static str> {
        self.lists.has(Part::Id).then_some(GENE_IDS)
    }

    fn write(&self, axis: Axis, table: &mut FrameWriter, monitor: &dyn Monitor) -> Result<(), StorageError> {
        names::write(&self.lists, &self.chosen, axis, table, monitor)
    }
}

/// The lists of names in a group.
struct Lists {
    path: PathBuf,
    lists: Vec<List>,
    /// The most bytes for chunks of one list.
    resident: u64,
}

struct List {
    part: Part,
    /// Its name in messages.
    name: String,
    texts: TextColumn,
}

/// The datasets that may hold each list. The first one that does is read.
const PLACES: [(Part, &[&str]); 5] = [
    (Part::Barcode, &["barcodes"]),
    (Part::Symbol, &["features/name", "gene_names", "features/id", "genes"]),
    (Part::Id, &["features/id", "genes"]),
    (Part::Type, &["features/feature_type"]),
    (Part::Genome, &["features/genome"]),
];

impl Lists {
    /// Opens the lists, which have a text for each cell or gene.
    fn open(group: &Group, place: &Place, (cells, genes): (usize, usize)) -> Result<Lists, StorageError> {
        let mut lists = Lists { path: place.path.clone(), lists: Vec::new(), resident: 0 };
        for (part, names) in PLACES {
            let rows = if part == Part::Barcode { cells } else { genes };
            let is_there = |name: &&&str| group.dataset(name).is_ok();
            let Some(name) = names.iter().find(is_there) else { continue };
            let plain = group.dataset(name).map_err(|e| place.problem(name, &e))?;
            if plain.size() != rows || plain.ndim() != 1 {
                let axis = if part == Part::Barcode { Axis::Cells } else { Axis::Genes };
                let problem = format!("has {} entries, but the matrix has {rows} {axis}", plain.size());
                return Err(place.invalid(
                    name,
                    problem,
                    "matrix and names do not belong together; create the file again",
                ));
            }
            if let Some(filter) = filter::missing(&plain) {
                let problem = format!("is compressed with {filter}, which the HDF5 library here cannot read");
                return Err(place.invalid(name, problem, "save the file with compression=\"gzip\""));
            }
            if let Some(source) = elsewhere::missing(&plain) {
                let problem = format!("has values in another file, and there is no {source}");
                return Err(place.invalid(name, problem, "put that file beside this one"));
            }
            if let Some(problem) = claim::wrong(&plain) {
                return Err(place.invalid(name, problem, DAMAGED));
            }
            let need = ChunkNeed::of(&plain);
            // Closed first: a dataset that is opened twice shares its first chunk cache.
            drop(plain);
            let list = raw::open_dataset(group, name, need).map_err(|e| place.problem(name, &e))?;
            let Some(texts) = TextColumn::of(&list, None).map_err(|e| place.problem(name, &e))? else { continue };
            lists.resident = lists.resident.max(need.resident);
            lists.lists.push(List { part, name: format!("{}/{name}", place.dataset), texts });
        }
        Ok(lists)
    }

    fn list(&self, part: Part) -> Option<&List> {
        self.lists.iter().find(|list| list.part == part)
    }
}

impl Names for Lists {
    fn has(&self, part: Part) -> bool {
        self.list(part).is_some()
    }

    fn visit(&self, part: Part, each: &mut dyn FnMut(&[u8])) -> Result<(), StorageError> {
        let Some(list) = self.list(part) else { return Ok(()) };
        list.texts.visit_all(each).map_err(|e| problem("read", &self.path, &list.name, &e))
    }
}
