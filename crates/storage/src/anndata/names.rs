//! Reads the names of cells and genes, and columns of texts.

use std::hash::{DefaultHasher, Hasher};
use std::path::Path;

use hdf5::Group;

use super::column::{Fault, Kind, Value, visit};
use super::frame_name;
use crate::hdf::{self, attribute, problem};
use crate::{Axis, StorageError};

/// Shows the names of an axis of the AnnData file at `path`, in order. They are texts that this crate has
/// written. Costs memory for a quarter of a MiB of text.
///
/// # Errors
///
/// - the file or its names cannot be read
pub fn visit_names(path: &Path, axis: Axis, see: impl FnMut(&str)) -> Result<(), StorageError> {
    visit_texts(path, axis, None, see)
}

/// Shows the texts of the column `column` of `obs` or `var`, or the names, as [`visit_names`]. A missing text
/// is empty.
///
/// # Errors
///
/// - the file cannot be read, or has no such column of texts
pub fn visit_texts(
    path: &Path,
    axis: Axis,
    column: Option<&str>,
    mut see: impl FnMut(&str),
) -> Result<(), StorageError> {
    let name = frame_name(axis);
    let file = hdf::file::open(path)?;
    let table = file.group(name).map_err(|error| problem::problem("read", path, name, &error))?;
    let index = attribute::text(&table, "_index").unwrap_or_else(|| "_index".into());
    let column = column.unwrap_or(&index);
    if !table.link_exists(column) {
        return Err(StorageError::MissingDataset {
            path: path.into(),
            dataset: format!("{name}/{column}"),
            remedy: format!("its columns are {}", columns(&table, &index).join(", ")).into(),
        });
    }
    let problem = |error: &hdf5::Error| problem::problem("read", path, &format!("{name}/{column}"), error);
    let kind = visit(&table, column, &mut |value| {
        if let Value::Text(text) = value {
            see(&String::from_utf8_lossy(text.unwrap_or_default()));
        }
        Ok(())
    });
    match kind {
        Ok(Ok(Kind::Texts)) => Ok(()),
        Ok(Ok(_)) => Err(problem(&"holds values that are no texts".into())),
        Ok(Err(reason)) => Err(problem(&reason.into())),
        Err(Fault::Library(_, error)) => Err(problem(&error)),
        Err(Fault::System(error)) => Err(StorageError::io("read", path, error)),
    }
}

/// The name that the index of an axis has in pandas; empty if it has none.
pub(super) fn index_name(path: &Path, axis: Axis) -> Result<String, StorageError> {
    let name = frame_name(axis);
    let file = hdf::file::open(path)?;
    let table = file.group(name).map_err(|error| problem::problem("read", path, name, &error))?;
    // anndata gives an index without a name this one.
    Ok(attribute::text(&table, "_index").filter(|index| index != "_index").unwrap_or_default())
}

/// The columns of a table, without its names.
pub(super) fn columns(table: &Group, index: &str) -> Vec<String> {
    let ordered = attribute::texts(table, "column-order");
    let mut columns = ordered.unwrap_or_else(|| table.member_names().unwrap_or_default());
    columns.retain(|column| column != index);
    columns
}

/// The numbers of the column `column` of `var`, one for each gene; `None` if there is no such column of
/// numbers.
///
/// # Errors
///
/// - the file cannot be read
pub fn read_gene_numbers(path: &Path, column: &str) -> Result<Option<Vec<f64>>, StorageError> {
    let file = hdf::file::open(path)?;
    let table = file.group("var").map_err(|error| problem::problem("read", path, "var", &error))?;
    if !table.link_exists(column) {
        return Ok(None);
    }
    let mut numbers = Vec::new();
    let kind = visit(&table, column, &mut |value| {
        if let Value::Number(number) = value {
            numbers.push(number.map_or(f64::NAN, |(float, _)| float));
        }
        Ok(())
    });
    match kind {
        Ok(Ok(Kind::Floats | Kind::Integers)) => Ok(Some(numbers)),
        Ok(_) => Ok(None),
        Err(Fault::Library(_, error)) => Err(problem::problem("read", path, &format!("var/{column}"), &error)),
        Err(Fault::System(error)) => Err(StorageError::io("read", path, error)),
    }
}

/// A hash of a name, of 128 bits, so that millions of names are compared in little memory. Of ten million
/// names, n²/2¹²⁹ < 10⁻²⁴ bounds the probability that two have the same one by chance.
pub fn hash_of_name(name: &str) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(salt);
        hasher.write(name.as_bytes());
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}
