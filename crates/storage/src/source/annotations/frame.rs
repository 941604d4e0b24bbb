//! Copies tables that are groups with a member for each column: anndata since 0.7, loom.

use hdf5::Group;

use super::list::List;
use super::{Copy, column, shown};
use crate::anndata::FrameWriter;
use crate::hdf::cache::ChunkNeed;
use crate::hdf::text::TextColumn;
use crate::hdf::{attribute, claim};
use crate::{Axis, StorageError};

/// The name of the member that holds the names, in a table of anndata.
pub(super) fn index_name(group: &Group) -> Option<String> {
    let said = attribute::text(group, "_index").filter(|name| group.link_exists(name));
    said.or_else(|| ["_index", "index"].into_iter().find(|n| group.link_exists(n)).map(str::to_owned))
}

/// The number of rows.
pub(super) fn len(group: &Group, index: &str) -> Option<usize> {
    let dataset = group.dataset(index).or_else(|_| group.dataset(&format!("{index}/values")));
    dataset.or_else(|_| group.dataset(&format!("{index}/codes"))).ok().map(|d| d.size())
}

/// The most bytes for chunks of one list, in `group` or, with `deep`, in a group in it.
pub(super) fn largest_chunk(group: &Group, deep: bool) -> u64 {
    let names = group.member_names().unwrap_or_default();
    let of = |name: &String| match group.dataset(name) {
        Ok(list) if claim::wrong(&list).is_none() => ChunkNeed::of(&list).resident,
        Ok(_) => 0,
        Err(_) if deep => group.group(name).map_or(0, |parts| largest_chunk(&parts, false)),
        Err(_) => 0,
    };
    names.iter().map(of).max().unwrap_or(0)
}

/// Copies names, which are in the member `index`, and columns.
pub(super) fn copy(
    group: &Group,
    index: Option<&str>,
    copy: &Copy<'_>,
    axis: Axis,
    frame: &mut FrameWriter,
) -> Result<(), StorageError> {
    match index {
        Some(name) => copy_index(group, name, copy, axis, frame)?,
        None => copy.number(axis, frame)?,
    }
    for name in column_names(group, index) {
        copy.go_on()?;
        if frame.group().link_exists(&name) {
            // anndata writes an index and an equal column of the same name only once.
            if Some(name.as_str()) == index {
                frame.announce(&name);
            } else {
                copy.skip(&name, "another column has its name");
            }
            continue;
        }
        match column::copy(group, &name, copy.rows, frame.group(), copy.folder) {
            Ok(column::Outcome::Copied) => frame.announce(&name),
            Ok(column::Outcome::Skipped(reason)) => copy.skip(&name, reason),
            Err(error) => {
                column::remove(frame.group(), &name);
                copy.fault(&name, &error)?;
            }
        }
    }
    Ok(())
}

/// The columns in their order; by name if the file has no order.
fn column_names(group: &Group, index: Option<&str>) -> Vec<String> {
    let ordered = attribute::texts(group, "column-order");
    ordered.unwrap_or_else(|| {
        let mut names = group.member_names().unwrap_or_default();
        names.retain(|name| name != "__categories" && Some(name.as_str()) != index);
        names
    })
}

fn copy_index(
    group: &Group,
    name: &str,
    copy: &Copy<'_>,
    axis: Axis,
    frame: &mut FrameWriter,
) -> Result<(), StorageError> {
    if group.group(name).is_ok() {
        let copied = column::copy(group, name, copy.rows, frame.group(), copy.folder);
        if let column::Outcome::Skipped(reason) = copied.map_err(|e| copy.problem(name, &e))? {
            return Err(copy.unusable(name, &reason));
        }
        return attribute::set_text(frame.group(), "_index", name).map_err(|e| frame.problem(name, &e));
    }
    let list = match List::open(group, name).map_err(|e| copy.problem(name, &e))? {
        Ok(list) => list,
        Err(reason) => return Err(copy.unusable(name, &reason)),
    };
    let read = |e: &hdf5::Error| copy.problem(name, e);
    if let Some(texts) = TextColumn::of(list.dataset(), None).map_err(|e| read(&e))? {
        let mut writer = frame.index(Some(name))?;
        let written = writer.copy(&texts).and_then(|()| writer.finish());
        return written
            .and_then(|d| attribute::set_encoding(&d, "string-array", "0.2.0"))
            .map_err(|e| copy.problem(name, &e));
    }
    let datatype = list.dataset().dtype().map_err(|e| read(&e))?;
    match shown::write(list.dataset(), None, &datatype, name, copy, frame)? {
        true => Ok(()),
        false => copy.number(axis, frame),
    }
}
