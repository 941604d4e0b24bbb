//! Copies of datasets and groups that depend on their content alone.
//!
//! The library's own copy keeps modification times, and renews them when an attribute is set, so
//! that two copies of one file differ. Here a copy is a new dataset without times, and its values
//! pass through memory. The library still copies values that lie in other files, references, and
//! data whose filters are lossy or missing.

use hdf5::{Dataset, Group, Result};

use super::raw::{self, Class};
use super::{filter, text};

/// Bytes copied at a time, unless one row or one chunk has more.
const PIECE: usize = 1 << 20;

/// Bytes of a compressed chunk that may pass through memory.
const LARGEST_CHUNK: usize = 4 << 20;

/// The deepest nesting of groups that is followed. Links of a file may form circles.
const DEEPEST: usize = 16;

/// Copies `from`, with its attributes, to `name` in `to`.
///
/// # Errors
///
/// - it cannot be read or written; part of the copy may exist
pub(crate) fn dataset(from: &Dataset, to: &Group, name: &str) -> Result<Dataset> {
    let copy = if can_pass(from)? { raw::create_like(from, to, name)? } else { None };
    let Some(copy) = copy else {
        from.copy_to(to, name)?;
        return to.dataset(name);
    };
    raw::copy_attributes(from, &copy)?;
    copy_values(from, &copy)?;
    Ok(copy)
}

/// Copies the group `from` with all its members to `name` in `to`. Broken links are skipped.
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

/// Whether values of `dataset` can be decoded and encoded again unchanged, in little memory.
fn can_pass(dataset: &Dataset) -> Result<bool> {
    let size = dataset.dtype()?.size();
    let chunk = dataset.chunk().map_or(0, |chunk| chunk.iter().product::<usize>().saturating_mul(size));
    Ok(dataset.filters().is_empty() || chunk <= LARGEST_CHUNK && filter::are_exact(dataset))
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
    let step = match raw::class(&memory) {
        // The library holds a copy of each string meanwhile.
        Class::VariableString => (text::BATCH * memory.size() / row).max(1),
        // Each compressed chunk is read and written once.
        _ => (PIECE / row).max(1).next_multiple_of(from.chunk().map_or(1, |chunk| chunk[0].max(1))),
    };
    let (mut first, mut counts) = (vec![0; shape.len()], shape.clone());
    for start in (0..rows).step_by(step) {
        first[0] = start;
        counts[0] = step.min(rows - start);
        raw::copy_box(from, to, &memory, &first, &counts, &mut scratch)?;
    }
    Ok(())
}
