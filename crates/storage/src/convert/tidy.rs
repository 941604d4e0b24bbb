//! Puts rows in the order of the store: columns ascending, each once, no zeros.

use super::check::Fault;
use crate::number::Number;
use crate::{Monitor, Warning};

/// Counts of the changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tidied {
    /// Rows whose columns were not ascending.
    pub(super) sorted: u64,
    /// Entries that were added to another one at the same place.
    pub(super) merged: u64,
    /// Stored zeros that were dropped.
    pub(super) zeros: u64,
}

impl Tidied {
    pub(super) fn add(&mut self, other: Tidied) {
        self.sorted += other.sorted;
        self.merged += other.merged;
        self.zeros += other.zeros;
    }

    /// Does not count the rows whose columns were sorted: the order was no file's.
    pub(super) fn forget_order(&mut self) {
        self.sorted = 0;
    }

    /// Warns of the changes, if there were any.
    pub(super) fn report(self, monitor: &dyn Monitor) {
        let warnings = [
            (self.sorted, Warning::SortedRows { count: self.sorted }),
            (self.merged, Warning::MergedDuplicates { count: self.merged }),
            (self.zeros, Warning::DroppedZeros { count: self.zeros }),
        ];
        warnings.iter().filter(|(count, _)| *count > 0).for_each(|(_, warning)| monitor.warn(warning));
    }
}

/// Puts compressed rows in order, in place. Keeps scratch memory for one row.
#[derive(Debug, Default)]
pub(super) struct Tidier {
    order: Vec<u32>,
    row: Vec<(u32, f32)>,
}

impl Tidier {
    /// Sorts columns, adds up duplicates (in f64, in the order stored), drops zeros and shortens
    /// the arrays, whose lengths agree.
    ///
    /// Rows that are in order already cost one pass over them.
    ///
    /// # Errors
    ///
    /// - a column is not below `genes`
    /// - a value is negative or not finite, or duplicates add up beyond f32
    pub(super) fn tidy(
        &mut self,
        indptr: &mut [usize],
        indices: &mut Vec<u32>,
        values: &mut Vec<f32>,
        genes: usize,
    ) -> Result<Tidied, Fault> {
        let mut tidied = Tidied::default();
        let mut write = 0;
        let mut start = 0;
        for row in 0..indptr.len() - 1 {
            let end = indptr[row + 1];
            let columns = &indices[start..end];
            let inside = columns.last().is_none_or(|&column| (column as usize) < genes);
            // Folds without an early end, which the compiler vectorises: nearly all rows are in order.
            let ascending = columns.windows(2).fold(true, |all, pair| all & (pair[0] < pair[1]));
            let positive = values[start..end].iter().fold(true, |all, &value| all & is_positive(value));
            if ascending && inside && positive {
                if write != start {
                    indices.copy_within(start..end, write);
                    values.copy_within(start..end, write);
                }
                write += end - start;
            } else {
                check(row, &indices[start..end], &values[start..end], genes)?;
                let kept = self.put_in_order(&indices[start..end], &values[start..end], &mut tidied);
                for &(column, value) in kept {
                    if value == f32::INFINITY {
                        return Err(Fault::Sum { row, column });
                    }
                    indices[write] = column;
                    values[write] = value;
                    write += 1;
                }
            }
            start = end;
            indptr[row + 1] = write;
        }
        indices.truncate(write);
        values.truncate(write);
        Ok(tidied)
    }

    fn put_in_order(&mut self, columns: &[u32], values: &[f32], tidied: &mut Tidied) -> &[(u32, f32)] {
        self.order.clear();
        self.order.extend(0..columns.len() as u32);
        if !columns.is_sorted() {
            tidied.sorted += 1;
            // Stable, so that duplicates are added in the order stored.
            self.order.sort_by_key(|&i| columns[i as usize]);
        }
        self.row.clear();
        let mut at = 0;
        while at < self.order.len() {
            let column = columns[self.order[at] as usize];
            let mut sum = 0.0_f64;
            let mut entries = 0;
            while let Some(&i) = self.order.get(at).filter(|&&i| columns[i as usize] == column) {
                sum += f64::from(values[i as usize]);
                entries += 1;
                at += 1;
            }
            tidied.merged += entries - 1;
            if sum == 0.0 {
                tidied.zeros += 1;
            } else {
                self.row.push((column, sum as f32));
            }
        }
        &self.row
    }
}

/// Whether a value is above zero and finite.
fn is_positive(value: f32) -> bool {
    // One comparison for both: the bits of exactly these values lie between those of 0 and of
    // infinity.
    value.to_bits().wrapping_sub(1) < f32::INFINITY.to_bits() - 1
}

/// Finds the first entry of a row that no store may hold.
fn check(row: usize, columns: &[u32], values: &[f32], genes: usize) -> Result<(), Fault> {
    for (&column, &value) in columns.iter().zip(values) {
        if column as usize >= genes {
            return Err(Fault::Column { row, column });
        }
        if value.accept().is_none() {
            return Err(Fault::Value { row, column, value });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tidy(indptr: &[usize], indices: &[u32], values: &[f32]) -> (Vec<usize>, Vec<u32>, Vec<f32>, Tidied) {
        let (mut indptr, mut indices, mut values) = (indptr.to_vec(), indices.to_vec(), values.to_vec());
        let tidied = Tidier::default().tidy(&mut indptr, &mut indices, &mut values, 10).unwrap();
        (indptr, indices, values, tidied)
    }

    #[test]
    fn rows_in_order_stay_as_they_are() {
        let rows = (vec![0, 2, 2, 3], vec![0, 5, 1], vec![1.0, 2.0, 3.0]);
        let (indptr, indices, values, tidied) = tidy(&rows.0, &rows.1, &rows.2);
        assert_eq!((indptr, indices, values, tidied), (rows.0, rows.1, rows.2, Tidied::default()));
    }

    #[test]
    fn unsorted_rows_are_sorted_duplicates_added_and_zeros_dropped() {
        let (indptr, indices, values, tidied) = tidy(
            &[0, 3, 5, 9, 10],
            &[7, 3, 7, 1, 2, 4, 4, 0, 9, 6],
            &[1.0, 2.0, 3.0, 0.0, 5.0, 0.0, 0.0, 8.0, 9.0, 4.0],
        );
        assert_eq!(indptr, [0, 2, 3, 5, 6]);
        assert_eq!(indices, [3, 7, 2, 0, 9, 6]);
        assert_eq!(values, [2.0, 4.0, 5.0, 8.0, 9.0, 4.0]);
        assert_eq!(tidied, Tidied { sorted: 2, merged: 2, zeros: 2 });
    }

    #[test]
    fn a_sum_beyond_f32_is_found() {
        let (mut indptr, mut indices, mut values) = (vec![0, 1, 3], vec![0, 4, 4], vec![1.0, 3e38, 3e38]);
        let found = Tidier::default().tidy(&mut indptr, &mut indices, &mut values, 5);
        assert_eq!(found, Err(Fault::Sum { row: 1, column: 4 }));
    }

    #[test]
    fn entries_that_no_store_may_hold_are_found_in_order_and_out_of_order() {
        for columns in [[1, 2, 3], [3, 2, 1], [2, 2, 2]] {
            let tidy = |columns: [u32; 3], values: [f32; 3]| {
                Tidier::default().tidy(&mut [0, 0, 3], &mut columns.to_vec(), &mut values.to_vec(), 4)
            };
            for value in [-1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let Err(Fault::Value { row: 1, column, value: found }) = tidy(columns, [1.0, value, 1.0]) else {
                    panic!()
                };
                assert_eq!((column, found.to_bits()), (columns[1], value.to_bits()));
            }
            let outside = [columns[0], columns[1], 4];
            assert_eq!(tidy(outside, [1.0; 3]), Err(Fault::Column { row: 1, column: 4 }));
            assert!(tidy(columns, [f32::MIN_POSITIVE / 2.0, -0.0, f32::MAX]).is_ok());
        }
        assert!(is_positive(f32::from_bits(1)) && is_positive(f32::MAX) && !is_positive(0.0) && !is_positive(-0.0));
    }
}
