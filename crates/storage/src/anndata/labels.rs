//! Reads a column of any kind, cell by cell or gene by gene.

use std::path::Path;

use super::column::{Fault, Kind, Value, visit};
use super::frame_name;
use super::names::columns;
use crate::hdf::{self, attribute, problem};
use crate::{Axis, StorageError};

/// A value of a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Label<'a> {
    /// A text, or the name of a category.
    Text(&'a str),
    /// A number; 0 and 1 of a column of truth values.
    Number(f64),
    /// No value.
    Missing,
}

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelKind {
    /// Texts or categories.
    Texts,
    /// Truth values.
    Booleans,
    /// Integers.
    Integers,
    /// Other numbers.
    Floats,
}

/// The columns of `obs` or `var` of the AnnData file at `path`, without the names, in their order.
///
/// # Errors
///
/// - the file or the table cannot be read
pub fn column_names(path: &Path, axis: Axis) -> Result<Vec<String>, StorageError> {
    let name = frame_name(axis);
    let file = hdf::file::open(path)?;
    let table = file.group(name).map_err(|error| problem::problem("read", path, name, &error))?;
    let index = attribute::text(&table, "_index").unwrap_or_else(|| "_index".into());
    Ok(columns(&table, &index))
}

/// Shows the values of the column `column` of `obs` or `var`, in order. Costs memory for a quarter of a MiB of
/// text, and for the categories if there are any.
///
/// # Errors
///
/// - the file cannot be read, or has no such column of texts, numbers or truth values
pub fn visit_labels(
    path: &Path,
    axis: Axis,
    column: &str,
    mut see: impl FnMut(Label<'_>),
) -> Result<LabelKind, StorageError> {
    let name = frame_name(axis);
    let file = hdf::file::open(path)?;
    let table = file.group(name).map_err(|error| problem::problem("read", path, name, &error))?;
    let problem = |error: &hdf5::Error| problem::problem("read", path, &format!("{name}/{column}"), error);
    let kind = visit(&table, column, &mut |value| {
        match value {
            Value::Text(Some(text)) => see(Label::Text(&String::from_utf8_lossy(text))),
            Value::Number(Some((number, _))) => see(Label::Number(number)),
            Value::Text(None) | Value::Number(None) => see(Label::Missing),
        }
        Ok(())
    });
    match kind {
        Ok(Ok(Kind::Texts)) => Ok(LabelKind::Texts),
        Ok(Ok(Kind::Booleans)) => Ok(LabelKind::Booleans),
        Ok(Ok(Kind::Integers)) => Ok(LabelKind::Integers),
        Ok(Ok(Kind::Floats)) => Ok(LabelKind::Floats),
        Ok(Err(reason)) => Err(problem(&reason.into())),
        Err(Fault::Library(_, error)) => Err(problem(&error)),
        Err(Fault::System(error)) => Err(StorageError::io("read", path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::AnnDataWriter;
    use super::*;
    use crate::store::Overwrite;

    #[test]
    fn columns_of_every_kind_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.h5ad");
        let mut file = AnnDataWriter::create(&path, Overwrite::Refuse).unwrap();
        let mut obs = file.dataframe(Axis::Cells, 3).unwrap();
        obs.names(["a", "b", "c"]).unwrap();
        obs.categorical_or_missing("type", &["B", "T"], [Some(1), None, Some(0)]).unwrap();
        obs.integers("cluster", [2, 0, 1]).unwrap();
        obs.floats("part", [0.5, 0.0, 1.5]).unwrap();
        obs.booleans("good", [true, false, true]).unwrap();
        obs.texts("word", ["x", "", "<b>"]).unwrap();
        obs.finish().unwrap();
        file.finish().unwrap();
        let of = |column: &str| {
            let mut seen = Vec::new();
            let kind = visit_labels(&path, Axis::Cells, column, |label| {
                seen.push(match label {
                    Label::Text(text) => text.to_owned(),
                    Label::Number(number) => number.to_string(),
                    Label::Missing => "-".into(),
                });
            });
            (kind.unwrap(), seen.join(" "))
        };
        assert_eq!(of("type"), (LabelKind::Texts, "T - B".into()));
        assert_eq!(of("cluster"), (LabelKind::Integers, "2 0 1".into()));
        assert_eq!(of("part"), (LabelKind::Floats, "0.5 0 1.5".into()));
        assert_eq!(of("good"), (LabelKind::Booleans, "1 0 1".into()));
        assert_eq!(of("word"), (LabelKind::Texts, "x  <b>".into()));
        assert_eq!(column_names(&path, Axis::Cells).unwrap(), ["type", "cluster", "part", "good", "word"]);
        assert!(visit_labels(&path, Axis::Cells, "none", |_| ()).is_err());
    }
}
