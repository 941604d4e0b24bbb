//! Tables of a consensus as tab-separated text: the genes of highest score, and the tables that cNMF writes.
//!
//! Those of cNMF are laid out as pandas writes them: the first row has an empty corner, or the name of the index,
//! and the names of the columns; each row begins with its name; a value that is no number is empty.

use std::path::Path;

use super::csv_tables::write_rows;
use super::names::{index_name, visit_names};
use super::text_file::{Kind, written};
use super::top_genes::read_top_genes;
use super::{USAGES, UsageTables};
use crate::{Axis, Monitor, Overwrite, StorageError};

/// How a table of top genes begins.
pub const TOP_GENES_BEGIN: &[&str] = &["nmf_0"];
/// How a table of programs by genes begins.
pub const PROGRAMS_BEGIN: &[&str] = &["\t"];

/// The columns of a table of programs by genes.
#[derive(Debug, Clone, Copy)]
pub enum GeneColumns<'g> {
    /// All genes of an AnnData file, in its order.
    All(&'g Path),
    /// These genes.
    Listed(&'g [String]),
}

/// Writes the `count` genes of highest score in each program of the result at `path` to `dest`: a column for each
/// program, the highest first. A program in which fewer genes have a score above zero has empty values at the end.
///
/// # Errors
///
/// - the result cannot be read
/// - `dest` exists and may not be overwritten, or cannot be written: nothing is left there
pub fn write_top_genes(path: &Path, count: usize, dest: &Path, overwrite: Overwrite) -> Result<(), StorageError> {
    let top = read_top_genes(path, count)?.genes;
    written(dest, Kind::Tsv, overwrite, |text| {
        text.row((0..top.len()).map(UsageTables::column).collect::<Vec<_>>())?;
        let gene = |genes: &Vec<String>, place: usize| genes.get(place).cloned().unwrap_or_default();
        let most = top.iter().map(Vec::len).max().unwrap_or(0);
        (0..most).try_for_each(|place| text.row(top.iter().map(|genes| gene(genes, place)).collect::<Vec<_>>()))
    })
}

/// Writes a table of programs by genes to `dest`: `rows` has the name of each program, and its value for each gene.
///
/// # Errors
///
/// - the names of the genes cannot be read
/// - `dest` exists and may not be overwritten, or cannot be written: nothing is left there
pub fn write_programs<V: IntoIterator<Item = f32>>(
    columns: GeneColumns<'_>,
    rows: impl IntoIterator<Item = (String, V)>,
    dest: &Path,
    overwrite: Overwrite,
) -> Result<(), StorageError> {
    written(dest, Kind::Tsv, overwrite, |text| {
        text.field("")?;
        match columns {
            GeneColumns::Listed(names) => names.iter().try_for_each(|name| text.field(name))?,
            GeneColumns::All(path) => {
                let mut head = Ok(());
                visit_names(path, Axis::Genes, |name| {
                    if head.is_ok() {
                        head = text.field(name);
                    }
                })?;
                head?;
            }
        }
        text.end()?;
        for (name, values) in rows {
            let values: Vec<Option<f32>> =
                values.into_iter().map(|value| Some(value).filter(|value| !value.is_nan())).collect();
            text.row((name, values))?;
        }
        Ok(())
    })
}

/// Writes the usages of the result at `path` to `dest`, a row for each cell, programs numbered from 1. Some rows are
/// in memory at a time.
///
/// # Errors
///
/// - the result cannot be read
/// - `dest` exists and may not be overwritten, or cannot be written: nothing is left there
/// - `monitor` cancels: nothing is left there
pub fn write_usages(path: &Path, dest: &Path, overwrite: Overwrite, monitor: &dyn Monitor) -> Result<(), StorageError> {
    let (corner, place) = (index_name(path, Axis::Cells)?, format!("obsm/{USAGES}"));
    written(dest, Kind::Tsv, overwrite, |text| {
        write_rows(path, (Axis::Cells, &place), (&corner, ("", 1)), text, monitor)
    })
}
