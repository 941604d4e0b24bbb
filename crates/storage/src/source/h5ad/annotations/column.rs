//! Copies one column of any anndata version in a current encoding.

use hdf5::{Dataset, Group, Location, ObjectReference1, ReferencedObject, Result};

use crate::hdf::number::NumberType;
use crate::hdf::raw::{self, Class};
use crate::hdf::text::{TextColumn, TextWriter};
use crate::hdf::{attribute, copy};
use crate::number::{Number, Scalar, with_scalar};

/// Codes checked at a time.
const BATCH: usize = 1 << 14;

/// The outcome of copying a column.
pub(super) enum Outcome {
    /// The column was copied.
    Copied,
    /// The column was skipped, for this reason.
    Skipped(String),
}

/// Copies the member `name` of `from`, which should have `rows` entries, into `to`.
///
/// # Errors
///
/// - the library cannot read or write it; part of the copy may exist
pub(super) fn copy(from: &Group, name: &str, rows: usize, to: &Group) -> Result<Outcome> {
    if name.split('/').any(|part| part.is_empty() || part == ".") {
        return Ok(Outcome::Skipped("its name is not a path inside the table".into()));
    }
    if let Some((parent, _)) = name.rsplit_once('/').filter(|(parent, _)| !to.link_exists(parent)) {
        to.create_group(parent)?;
    }
    if let Ok(group) = from.group(name) {
        return copy_group(&group, name, rows, to);
    }
    let dataset = from.dataset(name)?;
    if let Some(reason) = wrong_len(&dataset, rows) {
        return Ok(Outcome::Skipped(reason));
    }
    match categories_of(from, &dataset) {
        Some(categories) => {
            if let Some(reason) = wrong_code(&dataset, categories.size())? {
                return Ok(Outcome::Skipped(reason));
            }
            let group = to.create_group(name)?;
            let ordered = attribute::integers(&categories, "ordered").is_some_and(|v| v.first() == Some(&1));
            let codes = copy::dataset(&dataset, &group, "codes")?;
            attribute::remove(&codes, "categories")?;
            attribute::set_encoding(&codes, "array", "0.2.0")?;
            finish_categorical(&group, ordered)?;
            copy_list(&categories, "categories", &group)
        }
        None => copy_list(&dataset, name, to),
    }
}

/// Marks a group with `codes` and `categories` as a categorical column.
pub(super) fn finish_categorical(group: &Group, ordered: bool) -> Result<()> {
    attribute::set_encoding(group, "categorical", "0.2.0")?;
    attribute::set_bool(group, "ordered", ordered)
}

/// Copies a list of numbers or strings.
pub(super) fn copy_list(dataset: &Dataset, name: &str, to: &Group) -> Result<Outcome> {
    let file = dataset.dtype()?;
    let fixed = raw::class(&file) == Class::FixedString;
    if let Some(texts) = TextColumn::of(dataset, None)? {
        if fixed || dataset.ndim() != 1 {
            let mut writer = TextWriter::create(to, name, texts.len())?;
            writer.copy(&texts)?;
            writer.finish()?;
        } else {
            copy::dataset(dataset, to, name)?;
        }
        let copy = to.dataset(name)?;
        attribute::set_encoding(&copy, "string-array", "0.2.0")?;
    } else if NumberType::of(&file)?.is_some() {
        let copy = copy::dataset(dataset, to, name)?;
        attribute::set_encoding(&copy, "array", "0.2.0")?;
    } else {
        return Ok(Outcome::Skipped("a column cannot have its type".into()));
    }
    Ok(Outcome::Copied)
}

/// Removes the remains of a failed copy.
pub(super) fn remove(group: &Group, name: &str) {
    if group.link_exists(name) {
        // The order of columns leaves it out, whether this works or not.
        let _ = group.unlink(name);
    }
}

/// Copies a column of several parts (categorical, nullable) with its encoding, which some writers
/// store as bytes.
fn copy_group(group: &Group, name: &str, rows: usize, to: &Group) -> Result<Outcome> {
    let Some(encoding) = attribute::text(group, "encoding-type") else {
        return Ok(Outcome::Skipped("it is a group without an encoding-type".into()));
    };
    if encoding == "categorical" {
        let (codes, categories) = (group.dataset("codes")?, group.dataset("categories")?);
        let wrong = match wrong_len(&codes, rows) {
            Some(reason) => Some(reason),
            None => wrong_code(&codes, categories.size())?,
        };
        if let Some(reason) = wrong {
            return Ok(Outcome::Skipped(reason));
        }
    }
    let copy = copy::group(group, to, name)?;
    modernise(&copy)?;
    for member in copy.member_names()? {
        if let Ok(dataset) = copy.dataset(&member) {
            modernise(&dataset)?;
        }
    }
    Ok(Outcome::Copied)
}

/// Why a list does not fit a table of `rows` rows, if it does not.
fn wrong_len(list: &Dataset, rows: usize) -> Option<String> {
    (list.size() != rows).then(|| format!("it has {} entries for {rows} rows", list.size()))
}

/// Why `codes` are not positions in `categories` categories (or −1 for none), if they are not.
fn wrong_code(codes: &Dataset, categories: usize) -> Result<Option<String>> {
    let number = NumberType::of(&codes.dtype()?)?.filter(|n| !matches!(n.scalar, Scalar::F32 | Scalar::F64));
    let Some(number) = number.filter(|_| codes.ndim() == 1) else {
        return Ok(Some("its codes are not a list of integers".into()));
    };
    with_scalar!(number.scalar, T => {
        let mut batch: Vec<T> = vec![bytemuck::Zeroable::zeroed(); BATCH.min(codes.size())];
        for first in (0..codes.size()).step_by(BATCH) {
            let batch = &mut batch[..BATCH.min(codes.size() - first)];
            raw::read(codes, &number.memory, &[first], &[batch.len()], batch)?;
            let outside = |code: &T| !(-1..categories as i128).contains(&code.whole());
            if let Some(at) = batch.iter().position(outside) {
                let (row, code) = (first + at, batch[at]);
                return Ok(Some(format!("row {row} has the code {code}, expected one of {categories} categories")));
            }
        }
    });
    Ok(None)
}

/// Rewrites the encoding attributes as the strings that anndata expects.
fn modernise(at: &Location) -> Result<()> {
    for name in ["encoding-type", "encoding-version"] {
        if let Some(value) = attribute::text(at, name) {
            attribute::set_text(at, name, &value)?;
        }
    }
    Ok(())
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
