//! Copies tables that are lists of records: anndata before 0.7.
//!
//! The first field is the name. A categorical column is an integer field of codes; its categories
//! are in `uns/NAME_categories`.

use std::path::Path;

use hdf5::{Dataset, Datatype, Group, Result};

use super::Copy;
use super::column::{self, Outcome};
use super::list::{self, List};
use super::shown;
use crate::StorageError;
use crate::anndata::FrameWriter;
use crate::hdf::attribute;
use crate::hdf::number::NumberType;
use crate::hdf::problem::problem;
use crate::hdf::raw;
use crate::hdf::text::{TextColumn, TextWriter};
use crate::number::{Number, with_scalar};

/// Copies names and columns.
pub(super) fn copy(
    records: &Dataset,
    uns: Option<&Group>,
    copy: &Copy<'_>,
    frame: &mut FrameWriter,
) -> Result<(), StorageError> {
    let read = |e: &hdf5::Error| problem("read", copy.path, copy.table, e);
    let fields = records.dtype().and_then(|t| raw::fields(&t)).map_err(|e| read(&e))?;
    let Some(((index, index_type), columns)) = fields.split_first() else {
        return Err(read(&"has records without fields".into()));
    };
    match TextColumn::of(records, Some((index, index_type))).map_err(|e| read(&e))? {
        Some(texts) => {
            let mut writer = frame.index(Some(index))?;
            let written = writer.copy(&texts).and_then(|()| writer.finish());
            written
                .and_then(|d| attribute::set_encoding(&d, "string-array", "0.2.0"))
                .map_err(|e| frame.problem(index, &e))?;
        }
        None => {
            if !shown::write(records, Some(index), index_type, index, copy, frame)? {
                return Err(read(&"the names are neither texts nor numbers".into()));
            }
        }
    }
    for (name, datatype) in columns {
        copy.go_on()?;
        match copy_field(records, name, datatype, uns, frame.group(), copy.folder) {
            Ok(Outcome::Copied) => frame.announce(name),
            Ok(Outcome::Skipped(reason)) => copy.skip(name, reason),
            Err(error) => {
                column::remove(frame.group(), name);
                copy.fault(name, &error)?;
            }
        }
    }
    Ok(())
}

fn copy_field(
    records: &Dataset,
    name: &str,
    datatype: &Datatype,
    uns: Option<&Group>,
    to: &Group,
    folder: &Path,
) -> Result<Outcome> {
    if let Some(texts) = TextColumn::of(records, Some((name, datatype)))? {
        let mut writer = TextWriter::create(to, name, texts.len())?;
        writer.copy(&texts)?;
        let list = writer.finish()?;
        attribute::set_encoding(&list, "string-array", "0.2.0")?;
        return Ok(Outcome::Copied);
    }
    let Some(number) = NumberType::of(datatype)? else {
        return Ok(Outcome::Skipped("a column cannot have its type".into()));
    };
    let categories = uns.and_then(|uns| List::open(uns, &format!("{name}_categories")).ok()?.ok());
    if let Some(categories) = categories.filter(|_| !list::is_float(&number)) {
        // If obs and var had columns of one name, the file keeps one list, perhaps the other one's.
        let (least, greatest) = range(records, name, &number)?;
        if least >= -1 && greatest < categories.len() as i128 && categories.wrong_categories(folder)?.is_none() {
            let group = to.create_group(name)?;
            copy_numbers(records, name, &number, &group, "codes")?;
            column::finish_categorical(&group, false)?;
            categories.copy(&group, "categories")?;
            return Ok(Outcome::Copied);
        }
    }
    copy_numbers(records, name, &number, to, name)?;
    Ok(Outcome::Copied)
}

/// Copies one field of numbers or booleans as a list of its own.
fn copy_numbers(records: &Dataset, field: &str, number: &NumberType, to: &Group, name: &str) -> Result<()> {
    let list = to
        .new_dataset_builder()
        .empty_as(&number.memory)
        .no_chunk()
        .obj_track_times(false)
        .shape(records.size())
        .create(name)?;
    attribute::set_encoding(&list, "array", "0.2.0")?;
    number.visit(records, Some(field), |first, bytes| {
        let count = bytes.len() / number.scalar.size();
        raw::write(&list, &number.memory, &[first], &[count], bytes)
    })
}

/// The least and the greatest value of an integer field.
fn range(records: &Dataset, field: &str, number: &NumberType) -> Result<(i128, i128)> {
    let (mut least, mut greatest) = (i128::MAX, i128::MIN);
    number.visit(records, Some(field), |_, bytes| {
        with_scalar!(number.scalar, T => for value in bytes.chunks_exact(size_of::<T>()) {
            let value = bytemuck::pod_read_unaligned::<T>(value).whole();
            least = least.min(value);
            greatest = greatest.max(value);
        });
        Ok(())
    })?;
    Ok((least, greatest))
}
