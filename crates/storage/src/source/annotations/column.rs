//! Copies one column of any anndata version in a current encoding.
//!
//! Values are copied through reads, wherever they lie. A column that anndata could not read again
//! is skipped: anndata would refuse the whole file because of it.

use std::path::Path;

use hdf5::{Dataset, Group, ObjectReference1, ReferencedObject, Result};

use super::list::{Checked, List};
use crate::hdf::attribute;

/// The outcome of copying a column.
pub(super) enum Outcome {
    /// The column was copied.
    Copied,
    /// The column was skipped, for this reason.
    Skipped(String),
}

/// A column that was checked.
enum Column {
    Plain(List),
    Categorical {
        codes: List,
        categories: List,
        ordered: bool,
    },
    /// Values and where they are missing.
    Nullable {
        encoding: String,
        values: List,
        mask: List,
        /// How missing strings are shown.
        shown: Option<String>,
    },
}

/// Copies the member `name` of `from`, which should have `rows` entries, into `to`. Sorts many
/// categories in `folder`.
///
/// # Errors
///
/// - the library cannot read or write it; part of the copy may exist
pub(super) fn copy(from: &Group, name: &str, rows: usize, to: &Group, folder: &Path) -> Result<Outcome> {
    if name.split('/').any(|part| part.is_empty() || part == ".") {
        return Ok(Outcome::Skipped("its name is not a path inside the table".into()));
    }
    let column = match from.group(name) {
        Ok(group) => of_group(&group, rows, folder)?,
        Err(_) => of_dataset(from, name, rows, folder)?,
    };
    let column = match column {
        Ok(column) => column,
        Err(reason) => return Ok(Outcome::Skipped(reason)),
    };
    if let Some((parent, _)) = name.rsplit_once('/').filter(|(parent, _)| !to.link_exists(parent)) {
        to.create_group(parent)?;
    }
    match column {
        Column::Plain(list) => list.copy(to, name)?,
        Column::Categorical { codes, categories, ordered } => {
            let group = to.create_group(name)?;
            finish_categorical(&group, ordered)?;
            codes.copy(&group, "codes")?;
            categories.copy(&group, "categories")?;
        }
        Column::Nullable { encoding, values, mask, shown } => {
            let group = to.create_group(name)?;
            attribute::set_encoding(&group, &encoding, "0.1.0")?;
            if let Some(shown) = shown {
                attribute::set_text(&group, "na-value", &shown)?;
            }
            values.copy(&group, "values")?;
            mask.copy(&group, "mask")?;
        }
    }
    Ok(Outcome::Copied)
}

/// Marks a group with `codes` and `categories` as a categorical column.
pub(super) fn finish_categorical(group: &Group, ordered: bool) -> Result<()> {
    attribute::set_encoding(group, "categorical", "0.2.0")?;
    attribute::set_bool(group, "ordered", ordered)
}

/// Removes the remains of a failed copy.
pub(super) fn remove(group: &Group, name: &str) {
    if group.link_exists(name) {
        // The order of columns leaves it out, whether this works or not.
        let _ = group.unlink(name);
    }
}

/// A column that is one list, perhaps of codes that refer to categories (anndata 0.7).
fn of_dataset(from: &Group, name: &str, rows: usize, folder: &Path) -> Checked<Column> {
    let list = match List::open(from, name)? {
        Ok(list) => list,
        Err(reason) => return Ok(Err(reason)),
    };
    if let Some(reason) = list.wrong_len(rows) {
        return Ok(Err(reason));
    }
    let Some(categories) = categories_of(from, list.dataset()) else { return Ok(Ok(Column::Plain(list))) };
    let ordered = attribute::integers(&categories, "ordered").is_some_and(|v| v.first() == Some(&1));
    match List::of(categories)? {
        Ok(categories) => categorical(list, categories, ordered, folder),
        Err(reason) => Ok(Err(format!("its categories cannot be copied: {reason}"))),
    }
}

/// A column of several parts: categorical or nullable.
fn of_group(group: &Group, rows: usize, folder: &Path) -> Checked<Column> {
    let Some(encoding) = attribute::text(group, "encoding-type") else {
        return Ok(Err("it is a group without an encoding-type".into()));
    };
    let (main, other) = match encoding.as_str() {
        "categorical" => ("codes", "categories"),
        "nullable-integer" | "nullable-boolean" | "nullable-string-array" => ("values", "mask"),
        _ => return Ok(Err(format!("a column cannot have the encoding {encoding}"))),
    };
    let mut lists = Vec::new();
    for part in [main, other] {
        match List::open(group, part)? {
            Ok(list) => lists.push(list),
            Err(reason) => return Ok(Err(format!("its {part}: {reason}"))),
        }
    }
    let [first, second] = <[List; 2]>::try_from(lists).map_err(|_| "a column has two parts")?;
    if let Some(reason) = first.wrong_len(rows) {
        return Ok(Err(reason));
    }
    if encoding == "categorical" {
        let ordered = attribute::integers(group, "ordered").is_some_and(|v| v.first() == Some(&1));
        return categorical(first, second, ordered, folder);
    }
    if let Some(reason) = second.wrong_len(rows) {
        return Ok(Err(format!("its mask: {reason}")));
    }
    let fits = match encoding.as_str() {
        "nullable-integer" => first.integers().is_some(),
        "nullable-boolean" => first.is_boolean(),
        _ => first.is_texts(),
    };
    if !fits || !second.is_boolean() {
        return Ok(Err(format!("its values or its mask have another type than {encoding}")));
    }
    let shown = attribute::text(group, "na-value");
    Ok(Ok(Column::Nullable { encoding, values: first, mask: second, shown }))
}

/// A categorical column, if codes and categories belong together.
fn categorical(codes: List, categories: List, ordered: bool, folder: &Path) -> Checked<Column> {
    let wrong = match codes.wrong_code(categories.len())? {
        Some(reason) => Some(reason),
        None => categories.wrong_categories(folder)?,
    };
    Ok(wrong.map_or_else(|| Ok(Column::Categorical { codes, categories, ordered }), Err))
}

/// The categories of a column of anndata 0.7, which an attribute refers to.
fn categories_of(parent: &Group, dataset: &Dataset) -> Option<Dataset> {
    let attribute = dataset.attr("categories").ok()?;
    let reference: ObjectReference1 = attribute.read_scalar().ok()?;
    match parent.dereference(&reference).ok()? {
        ReferencedObject::Dataset(categories) => Some(categories),
        _ => None,
    }
}
