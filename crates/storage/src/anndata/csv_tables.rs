//! Tables as text (CSV, RFC 4180): those of a result, and those of genes. A row for each cell or gene, its name
//! first.

use std::path::Path;

use hdf5::Datatype;

use super::factors;
use super::names::visit_names;
use super::text_file::{Kind, TextFile, written};
use super::uns::read_uns;
use super::{USAGES, Value};
use crate::hdf::{self, problem, raw};
use crate::{Axis, Monitor, Overwrite, StorageError, Unit};

/// Rows that are in memory at once.
const ROWS: usize = 1024;
/// Bytes of names that are in memory at once, unless one name has more.
const NAMES: usize = 1 << 20;

/// A table of a result as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CsvTable {
    /// The name of its file.
    pub file: &'static str,
    /// What it is, in a message.
    pub what: &'static str,
    /// How files of its kind begin.
    pub begins: &'static [&'static str],
    from: From,
    /// What the names of columns begin with, and the number of the first one.
    columns: (&'static str, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// A table of cells or genes, by its place in the result.
    Rows(Axis, &'static str),
    /// The lists of numbers of a dictionary, a row for each component.
    Lists(&'static [&'static str]),
}

const NMF: (&str, usize) = ("nmf_", 0);
const PC: (&str, usize) = ("PC", 1);

const TABLES: [CsvTable; 7] = [
    rows("usages.csv", "a table of usages", Axis::Cells, "obsm/X_nmf", NMF),
    rows("spectra.csv", "a table of spectra", Axis::Genes, "varm/spectra", NMF),
    rows("gene_scores.csv", "a table of scores", Axis::Genes, "varm/gene_scores", NMF),
    lists("programs.csv", "a table of programs", &["nmf", "programs"], NMF),
    rows("pca.csv", "a table of principal components", Axis::Cells, "obsm/X_pca", PC),
    rows("axes.csv", "a table of axes", Axis::Genes, "varm/PCs", PC),
    lists("variance.csv", "a table of variances", &["pca"], PC),
];

const fn rows(
    file: &'static str,
    what: &'static str,
    axis: Axis,
    place: &'static str,
    columns: (&'static str, usize),
) -> CsvTable {
    let begins: &[&str] = match axis {
        Axis::Cells => &["cell,"],
        Axis::Genes => &["gene,"],
    };
    CsvTable { file, what, begins, from: From::Rows(axis, place), columns }
}

const fn lists(
    file: &'static str,
    what: &'static str,
    place: &'static [&'static str],
    columns: (&'static str, usize),
) -> CsvTable {
    CsvTable { file, what, begins: &["component,"], from: From::Lists(place), columns }
}

/// The tables that the result at `path` has.
///
/// # Errors
///
/// - it cannot be read, or is no result of a fit, a transformation or a PCA
pub fn csv_tables(path: &Path) -> Result<Vec<CsvTable>, StorageError> {
    let file = hdf::file::open(path)?;
    let has = |place: &str| hdf::file::exists(&file, place);
    if !has(&format!("obsm/{USAGES}")) && !has("obsm/X_pca") {
        return Err(super::merge::no_result(path));
    }
    let has = |table: &CsvTable| match table.from {
        From::Rows(_, place) => has(place),
        From::Lists(place) => has(&format!("uns/{}", place.join("/"))),
    };
    Ok(TABLES.into_iter().filter(|table| has(table)).collect())
}

/// Writes `table` of the result at `path` to `dest`: whole or not at all. An existing file is replaced.
///
/// # Errors
///
/// - the result cannot be read
/// - `dest` cannot be written: nothing is left there
/// - `monitor` cancels
pub fn write_csv(path: &Path, table: &CsvTable, dest: &Path, monitor: &dyn Monitor) -> Result<(), StorageError> {
    written(dest, Kind::Csv, Overwrite::Replace, |text| match table.from {
        From::Rows(axis, place) => {
            let corner = if axis == Axis::Cells { "cell" } else { "gene" };
            write_rows(path, (axis, place), (corner, table.columns), text, monitor)
        }
        From::Lists(place) => write_lists(path, place, table.columns, text),
    })
}

/// How a table of genes begins.
pub const GENES_BEGIN: &[&str] = &["gene,"];

/// Writes what is known of each gene of the AnnData file `names_of` to `dest`: a row with its name, and
/// what `of_gene` gives for its place, under the heads `columns`. An existing file is replaced.
///
/// # Errors
///
/// - the names cannot be read
/// - `dest` cannot be written: nothing is left there
pub fn write_gene_csv<R: serde::Serialize>(
    names_of: &Path,
    columns: &[&str],
    of_gene: impl Fn(usize) -> R,
    dest: &Path,
) -> Result<(), StorageError> {
    written(dest, Kind::Csv, Overwrite::Replace, |text| {
        text.row(("gene", columns))?;
        let (mut gene, mut written) = (0, Ok(()));
        visit_names(names_of, Axis::Genes, |name| {
            if written.is_ok() {
                written = text.row((name, of_gene(gene)));
            }
            gene += 1;
        })?;
        written
    })
}

/// Writes a table of cells or genes of the result at `path`. The head is `corner` and the names of the columns, which
/// have the prefix and are counted from `first`.
pub(super) fn write_rows(
    path: &Path,
    (axis, place): (Axis, &str),
    (corner, (prefix, first)): (&str, (&str, usize)),
    text: &mut TextFile<'_>,
    monitor: &dyn Monitor,
) -> Result<(), StorageError> {
    let file = hdf::file::open(path)?;
    let (dataset, [len, width]) = factors::table(&file, path, place)?;
    let fail = |e: &hdf5::Error| problem::problem("read", path, place, e);
    let memory = Datatype::from_type::<f32>().map_err(|e| fail(&e))?;
    let columns: Vec<String> = (first..first + width).map(|column| format!("{prefix}{column}")).collect();
    text.row((corner, columns))?;
    monitor.start(place, len as u64, Unit::Rows);

    let (mut names, mut bytes, mut row, mut values) = (Vec::<String>::new(), 0, 0, Vec::new());
    let mut write = |names: &mut Vec<String>| {
        if monitor.cancelled() {
            return Err(StorageError::Cancelled);
        }
        values.resize(names.len() * width, 0.0_f32);
        raw::read(&dataset, &memory, &[row, 0], &[names.len(), width], &mut values).map_err(|e| fail(&e))?;
        for (name, values) in names.iter().zip(values.chunks_exact(width)) {
            text.row((name, values))?;
        }
        row += names.len();
        monitor.advance(names.len() as u64);
        names.clear();
        Ok(())
    };
    let (mut written, mut count) = (Ok(()), 0);
    visit_names(path, axis, |name| {
        count += 1;
        if written.is_err() || count > len {
            return;
        }
        bytes += name.len();
        names.push(name.to_owned());
        if names.len() == ROWS || bytes >= NAMES {
            (written, bytes) = (write(&mut names), 0);
        }
    })?;
    written?;
    write(&mut names)?;
    monitor.finish();
    match count == len {
        true => Ok(()),
        false => Err(StorageError::InvalidDataset {
            path: path.into(),
            dataset: place.into(),
            problem: format!("has {len} rows for {count} names"),
            remedy: "use a result as partwise wrote it".into(),
        }),
    }
}

/// Writes the lists of a dictionary that have as many numbers as the first of them.
fn write_lists(
    path: &Path,
    place: &[&str],
    (prefix, first): (&str, usize),
    text: &mut TextFile<'_>,
) -> Result<(), StorageError> {
    let (root, inner) = place.split_first().unwrap_or((&"", &[]));
    let mut about = read_uns(path, root)?;
    for name in inner {
        let Value::Map(members) = about else { return Ok(()) };
        about =
            members.into_iter().find(|(member, _)| member == name).map_or(Value::Map(Vec::new()), |(_, value)| value);
    }
    let Value::Map(members) = about else { return Ok(()) };
    let lists = members.into_iter().filter_map(|(name, value)| match value {
        Value::FloatArray(numbers) => Some((name, numbers)),
        _ => None,
    });
    let (names, lists): (Vec<String>, Vec<Vec<f64>>) = lists.unzip();
    text.row(("component", names))?;
    for component in 0..lists.first().map_or(0, Vec::len) {
        let numbers: Vec<Option<f64>> = lists.iter().map(|list| list.get(component).copied()).collect();
        text.row((format!("{prefix}{}", first + component), numbers))?;
    }
    Ok(())
}
