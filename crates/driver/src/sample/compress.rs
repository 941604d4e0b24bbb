//! Compressed rows and columns from entries that are given row by row.

use std::ops::Range;

use partwise_kernels::{Csr, CsrBuf};
use rayon::prelude::*;

/// Rows that one task fills.
const TASK: usize = 64;

/// The columns `wanted` of `rows` rows, whose entries (column and value) `of` gives, twice.
pub(super) fn by_row<E: Iterator<Item = (usize, f32)>>(
    rows: usize,
    wanted: &Range<usize>,
    of: &(impl Fn(usize) -> E + Sync),
) -> CsrBuf {
    let kept = |row: usize| of(row).filter(|(column, _)| wanted.contains(column));
    let mut ends: Vec<usize> = (0..rows).into_par_iter().map(|row| kept(row).count()).collect();
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
    tasks.into_par_iter().for_each(|(rows, indices, values)| {
        let slots = indices.iter_mut().zip(values);
        for ((column, value), (index, slot)) in rows.flat_map(kept).zip(slots) {
            (*index, *slot) = ((column - wanted.start) as u32, value);
        }
    });
    CsrBuf::new(ends, indices, values, wanted.len())
}

/// The same matrix by columns, original rows ascending in each.
pub(super) fn transposed(rows: Csr<'_>) -> CsrBuf {
    let mut ends = vec![0; rows.columns()];
    rows.ranges().flat_map(|entries| &rows.indices()[entries]).for_each(|&column| ends[column as usize] += 1);
    let mut before = 0;
    for end in &mut ends {
        before += std::mem::replace(end, before);
    }
    let (mut indices, mut values) = (vec![0; before], vec![0.0; before]);
    for (row, entries) in rows.ranges().enumerate() {
        for at in entries {
            let place = &mut ends[rows.indices()[at] as usize];
            (indices[*place], values[*place]) = (row as u32, rows.values()[at]);
            *place += 1;
        }
    }
    CsrBuf::new(ends, indices, values, rows.len())
}
