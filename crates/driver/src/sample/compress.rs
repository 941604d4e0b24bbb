//! Compressed rows and columns from entries that are given row by row.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use partwise_kernels::{Csr, CsrBuf};
use rayon::prelude::*;
use tracing::info_span;

/// Rows that one task fills.
const TASK: usize = 64;
/// Parts of the rows that are turned at the same time. Each needs a place for every column.
const PARTS: usize = 8;
/// Bytes that turning takes beside the rows and their copy, for each column.
pub(crate) const TURNING_BYTES: u64 = 8 * (PARTS as u64 + 1);

/// The columns `wanted` of `rows` rows, whose entries (column and value) `of` gives, twice.
pub(super) fn by_row<E: Iterator<Item = (usize, f32)>>(
    rows: usize,
    wanted: &Range<usize>,
    of: &(impl Fn(usize) -> E + Sync),
) -> CsrBuf {
    let kept = |row: usize| of(row).filter(|(column, _)| wanted.contains(column));
    let span = info_span!("counting of entries", tasks = rows).entered();
    let mut ends: Vec<usize> = (0..rows).into_par_iter().map(|row| kept(row).count()).collect();
    drop(span);
    let mut end = 0;
    for count in &mut ends {
        end += *count;
        *count = end;
    }
    let (mut indices, mut values) = (vec![0; end], vec![0.0; end]);
    let mut tasks = Vec::new();
    let (mut indices_left, mut values_left, mut start) = (&mut indices[..], &mut values[..], 0);
    for (task, ends) in ends.chunks(TASK).enumerate() {
        let end = ends[ends.len() - 1];
        let (of_task, rest) = indices_left.split_at_mut(end - start);
        let (values_of_task, values_rest) = values_left.split_at_mut(end - start);
        tasks.push((task * TASK..task * TASK + ends.len(), of_task, values_of_task));
        (indices_left, values_left, start) = (rest, values_rest, end);
    }
    let _span = info_span!("rows of the sample", tasks = tasks.len()).entered();
    tasks.into_par_iter().for_each(|(rows, indices, values)| {
        let slots = indices.iter_mut().zip(values);
        for ((column, value), (index, slot)) in rows.flat_map(kept).zip(slots) {
            (*index, *slot) = ((column - wanted.start) as u32, value);
        }
    });
    CsrBuf::new(ends, indices, values, wanted.len())
}

/// The same matrix by columns, original rows ascending in each.
///
/// Parts of the rows are counted, and then moved, at the same time. In each column the entries of one part follow those
/// of the part before, so no part has a slice of its own to write to. So elements are atomic; a relaxed store is a plain
/// one on the processors in use.
pub(super) fn transposed(rows: Csr<'_>) -> CsrBuf {
    let _span = info_span!("turning of the sample").entered();
    let parts: Vec<Range<usize>> = rows.cut(PARTS).collect();
    let span = info_span!("counting of columns", tasks = parts.len()).entered();
    let count = |part: &Range<usize>| {
        let mut counts = vec![0_usize; rows.columns()];
        let entries = rows.rows(part.clone()).ranges().flat_map(|entries| &rows.indices()[entries]);
        entries.for_each(|&column| counts[column as usize] += 1);
        counts
    };
    let mut places: Vec<Vec<usize>> = parts.par_iter().map(count).collect();
    drop(span);
    let mut ends = Vec::with_capacity(rows.columns());
    let mut before = 0;
    for column in 0..rows.columns() {
        for places in &mut places {
            before += std::mem::replace(&mut places[column], before);
        }
        ends.push(before);
    }
    let zeros = || std::iter::repeat_with(AtomicU32::default).take(before).collect::<Vec<_>>();
    let (indices, values) = (zeros(), zeros());
    let span = info_span!("moving of entries", tasks = parts.len()).entered();
    parts.into_par_iter().zip(&mut places).for_each(|(part, places)| {
        for (row, entries) in part.clone().zip(rows.rows(part).ranges()) {
            for at in entries {
                let place = &mut places[rows.indices()[at] as usize];
                indices[*place].store(row as u32, Ordering::Relaxed);
                values[*place].store(rows.values()[at].to_bits(), Ordering::Relaxed);
                *place += 1;
            }
        }
    });
    drop(span);
    let indices = indices.into_iter().map(AtomicU32::into_inner).collect();
    let values = values.into_iter().map(|bits| f32::from_bits(bits.into_inner())).collect();
    CsrBuf::new(ends, indices, values, rows.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn columns_have_the_entries_of_the_rows(
            lists in prop::collection::vec(prop::collection::btree_map(0u32..40, 0.0f32..9.0, 0..12), 0..200),
        ) {
            let mut end = 0;
            let ends = lists.iter().map(|row| { end += row.len(); end }).collect();
            let (indices, values) = lists.iter().flatten().map(|(column, value)| (*column, *value)).unzip();
            let rows = CsrBuf::new(ends, indices, values, 40);
            let columns = transposed(rows.view());
            let columns = columns.view();
            prop_assert_eq!((columns.len(), columns.columns()), (40, lists.len()));
            for (column, entries) in columns.ranges().enumerate() {
                let of_row = |(row, list): (usize, &std::collections::BTreeMap<u32, f32>)| {
                    list.get(&(column as u32)).map(|value| (row as u32, *value))
                };
                let expected: Vec<(u32, f32)> = lists.iter().enumerate().filter_map(of_row).collect();
                let found = columns.indices()[entries.clone()].iter().copied();
                let found: Vec<(u32, f32)> = found.zip(columns.values()[entries].iter().copied()).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
