//! Some of the columns of a matrix.

use std::ops::Range;

/// The most runs of consecutive columns in a subset.
const MOST_RUNS: usize = 1 << 20;

/// Columns that are kept, as runs of consecutive ones.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Subset {
    runs: Vec<Range<u32>>,
    /// The place of the first column of each run among those kept.
    places: Vec<u32>,
    /// The number of columns that are kept.
    kept: u32,
}

impl Subset {
    /// Adds the next column that is kept. Returns false if the subset would have too many runs.
    pub(super) fn keep(&mut self, column: u32) -> bool {
        let is_full = self.runs.len() == MOST_RUNS;
        match self.runs.last_mut() {
            Some(run) if run.end == column => run.end += 1,
            _ if is_full => return false,
            _ => {
                self.runs.push(column..column + 1);
                self.places.push(self.kept);
            }
        }
        self.kept += 1;
        true
    }

    /// The columns that both keep.
    pub(super) fn both(&self, other: &Subset) -> Subset {
        let mut both = Subset::default();
        let (mut at, mut beside) = (0, 0);
        while let (Some(mine), Some(theirs)) = (self.runs.get(at), other.runs.get(beside)) {
            let shared = mine.start.max(theirs.start)..mine.end.min(theirs.end);
            if !shared.is_empty() {
                both.places.push(both.kept);
                both.kept += shared.end - shared.start;
                both.runs.push(shared);
            }
            if mine.end < theirs.end { at += 1 } else { beside += 1 }
        }
        both
    }

    /// The number of columns that are kept.
    pub(super) fn len(&self) -> usize {
        self.kept as usize
    }

    /// The place of `column` among those kept, if it is.
    pub(super) fn place(&self, column: u32) -> Option<u32> {
        let at = self.runs.partition_point(|run| run.end <= column);
        self.runs.get(at).filter(|run| run.start <= column).map(|run| self.places[at] + (column - run.start))
    }

    pub(super) fn resident_bytes(&self) -> u64 {
        (self.runs.capacity() * size_of::<Range<u32>>() + self.places.capacity() * size_of::<u32>()) as u64
    }

    /// Removes the entries of other columns from consecutive rows.
    pub(super) fn filter(&self, indptr: &mut [usize], columns: &mut Vec<u32>, values: &mut Vec<f32>) {
        let (mut kept, mut at) = (0, 0);
        for end in &mut indptr[1..] {
            while at < *end {
                if let Some(place) = self.place(columns[at]) {
                    (columns[kept], values[kept]) = (place, values[at]);
                    kept += 1;
                }
                at += 1;
            }
            *end = kept;
        }
        columns.truncate(kept);
        values.truncate(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(columns: &[u32]) -> Subset {
        let mut subset = Subset::default();
        columns.iter().for_each(|&column| assert!(subset.keep(column)));
        subset
    }

    #[test]
    fn columns_have_their_places_among_those_kept() {
        let subset = of(&[0, 1, 5, 6, 7, 9]);
        let places: Vec<_> = (0..11).map(|column| subset.place(column)).collect();
        let expected = [Some(0), Some(1), None, None, None, Some(2), Some(3), Some(4), None, Some(5), None];
        assert_eq!((places, subset.len()), (expected.to_vec(), 6));
    }

    #[test]
    fn what_two_subsets_share_is_a_subset() {
        for (first, second, both) in [
            (&[0, 1, 5, 6, 7, 9][..], &[1, 2, 6, 9, 10][..], &[1, 6, 9][..]),
            (&[0, 1, 2, 3], &[1, 3], &[1, 3]),
            (&[4], &[], &[]),
        ] {
            assert_eq!(of(first).both(&of(second)), of(both));
            assert_eq!(of(second).both(&of(first)), of(both));
        }
    }

    #[test]
    fn filtered_rows_keep_their_order() {
        let (mut indptr, mut columns, mut values) =
            (vec![0, 3, 3, 5], vec![7, 0, 3, 2, 5], vec![1.0, 2.0, 3.0, 4.0, 5.0]);
        of(&[0, 5, 7]).filter(&mut indptr, &mut columns, &mut values);
        assert_eq!((indptr, columns, values), (vec![0, 2, 2, 3], vec![2, 0, 1], vec![1.0, 2.0, 5.0]));
    }
}
