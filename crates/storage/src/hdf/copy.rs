//! Copies of datasets and groups that depend on their content alone.
//!
//! The library's own copy keeps modification times, and renews them when an attribute is set, so
//! that two copies of one file differ. It also copies a link to values in another file instead of
//! the values. Here a copy is a new dataset without times, and its values pass through memory.

use fixedbitset::FixedBitSet;
use hdf5::{Dataset, Group, Result};

use super::raw::{self, Class};
use super::text::{TextColumn, TextWriter};
use super::{attribute, elsewhere, filter};

/// Bytes copied at a time, unless one row or one small chunk has more.
const PIECE: usize = 1 << 20;

/// Bytes of the largest chunk that a copy has. Larger ones become contiguous.
const LARGEST_CHUNK: usize = 1 << 20;

/// The deepest nesting of groups that is followed. Links of a file may form circles.
const DEEPEST: usize = 16;

/// Copies the values of `from`, with its attributes, to `name` in `to`. Strings become UTF-8 of any
/// length. `None` if the values mean nothing in another file (references).
///
/// # Errors
///
/// - it cannot be read or written; part of the copy may exist
/// - its values lie in another file that is missing
pub(crate) fn dataset(from: &Dataset, to: &Group, name: &str) -> Result<Option<Dataset>> {
    if let Some(source) = elsewhere::missing(from) {
        return Err(format!("its values are missing: {source}").into());
    }
    if let Some(texts) = TextColumn::of(from, None)?.filter(|_| from.ndim() == 1) {
        let mut writer = TextWriter::create(to, name, texts.len())?;
        writer.copy(&texts)?;
        let copy = writer.finish()?;
        raw::copy_attributes(from, &copy)?;
        return Ok(Some(copy));
    }
    let Some(copy) = raw::create_like(from, to, name, &from.shape(), keeps_chunks(from)?)? else { return Ok(None) };
    raw::copy_attributes(from, &copy)?;
    copy_values(from, &copy)?;
    Ok(Some(copy))
}

/// Copies the rows `kept` of a list in a table, as [`dataset`] copies all of them.
///
/// # Errors
///
/// - it cannot be read or written; part of the copy may exist
/// - it is no list of as many values as `kept` has places
fn rows_of_list(from: &Dataset, to: &Group, name: &str, kept: &FixedBitSet) -> Result<()> {
    if from.shape() != [kept.len()] {
        return Err(format!("{name} is no list of {} values", kept.len()).into());
    }
    let count = kept.count_ones(..);
    if let Some(texts) = TextColumn::of(from, None)? {
        let mut writer = TextWriter::create(to, name, count)?;
        let (mut row, mut written) = (0, Ok(()));
        texts.visit_all(|text| {
            if written.is_ok() && kept.contains(row) {
                written = writer.push(text);
            }
            row += 1;
        })?;
        written?;
        let copy = writer.finish()?;
        return raw::copy_attributes(from, &copy);
    }
    let Some(copy) = raw::create_like(from, to, name, &[count], false)? else {
        return Err(format!("{name} holds references").into());
    };
    raw::copy_attributes(from, &copy)?;
    let memory = raw::native(&from.dtype()?)?;
    let width = memory.size();
    let step = (PIECE / width.max(1)).max(1);
    let (mut values, mut written) = (Vec::new(), 0);
    for first in (0..kept.len()).step_by(step) {
        let rows = step.min(kept.len() - first);
        values.clear();
        values.resize(rows * width, 0_u8);
        raw::read(from, &memory, &[first], &[rows], &mut values)?;
        let mut taken = 0;
        for row in (0..rows).filter(|row| kept.contains(first + row)) {
            values.copy_within(row * width..(row + 1) * width, taken * width);
            taken += 1;
        }
        raw::write(&copy, &memory, &[written], &[taken], &values[..taken * width])?;
        written += taken;
    }
    Ok(())
}

/// Copies the rows `kept` of the table `from`, a group with a list or a group of lists for each column,
/// to `name` in `to`. Categories are copied whole.
///
/// # Errors
///
/// - something cannot be read or written; part of the copy may exist
/// - a column is no list of as many values as `kept` has places
pub(crate) fn rows_of_table(from: &Group, to: &Group, name: &str, kept: &FixedBitSet) -> Result<()> {
    let copy = to.create_group(name)?;
    raw::copy_attributes(from, &copy)?;
    let is_categorical = attribute::text(from, "encoding-type").is_some_and(|encoding| encoding == "categorical");
    for member in from.member_names()? {
        if let Ok(inner) = from.group(&member) {
            rows_of_table(&inner, &copy, &member, kept)?;
        } else if is_categorical && member == "categories" {
            dataset(&from.dataset(&member)?, &copy, &member)?;
        } else {
            rows_of_list(&from.dataset(&member)?, &copy, &member, kept)?;
        }
    }
    Ok(())
}

/// Copies the group `from` with all its members to `name` in `to`. Broken links and references are
/// skipped.
///
/// # Errors
///
/// - something cannot be read or written; part of the copy may exist
/// - groups are nested more than 16 deep
pub(crate) fn group(from: &Group, to: &Group, name: &str) -> Result<Group> {
    group_at(from, to, name, 0)
}

fn group_at(from: &Group, to: &Group, name: &str, depth: usize) -> Result<Group> {
    if depth > DEEPEST {
        return Err(format!("groups are nested more than {DEEPEST} deep").into());
    }
    let copy = to.create_group(name)?;
    raw::copy_attributes(from, &copy)?;
    for member in from.member_names()? {
        if let Ok(inner) = from.group(&member) {
            group_at(&inner, &copy, &member, depth + 1)?;
        } else if let Ok(inner) = from.dataset(&member) {
            dataset(&inner, &copy, &member)?;
        }
    }
    Ok(copy)
}

/// Whether a copy has the chunks and filters of `dataset`: its values can be encoded again
/// unchanged, in little memory.
fn keeps_chunks(dataset: &Dataset) -> Result<bool> {
    Ok(chunk_bytes(dataset)?.is_none_or(|bytes| bytes <= LARGEST_CHUNK) && filter::are_exact(dataset))
}

fn chunk_bytes(dataset: &Dataset) -> Result<Option<usize>> {
    let size = dataset.dtype()?.size();
    Ok(dataset.chunk().map(|chunk| chunk.iter().product::<usize>().saturating_mul(size)))
}

fn copy_values(from: &Dataset, to: &Dataset) -> Result<()> {
    let shape = from.shape();
    if from.size() == 0 {
        return Ok(());
    }
    let memory = raw::native(&from.dtype()?)?;
    let mut scratch = Vec::new();
    let Some((&rows, inner)) = shape.split_first() else {
        return raw::copy_box(from, to, &memory, &[], &[], &mut scratch);
    };
    let row = inner.iter().product::<usize>().saturating_mul(memory.size()).max(1);
    // Each small chunk is read and written once.
    let chunk = match chunk_bytes(from)? {
        Some(bytes) if bytes <= LARGEST_CHUNK => from.chunk().map_or(1, |chunk| chunk[0].max(1)),
        _ => 1,
    };
    let step = match raw::class(&memory) {
        // The library holds a copy of each string meanwhile.
        Class::VariableString => 1,
        _ => (PIECE / row).max(1).next_multiple_of(chunk),
    };
    let (mut first, mut counts) = (vec![0; shape.len()], shape.clone());
    for start in (0..rows).step_by(step) {
        first[0] = start;
        counts[0] = step.min(rows - start);
        raw::copy_box(from, to, &memory, &first, &counts, &mut scratch)?;
    }
    Ok(())
}
