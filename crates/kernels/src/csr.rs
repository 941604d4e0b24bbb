//! Compressed sparse rows, in the form that the product takes.

use std::ops::Range;

/// Rows of a sparse matrix with 32-bit columns. A matrix and its transpose in this form are its two orders:
/// by rows and by columns.
///
/// [`CsrBuf::new`] checks everything once, so the product needs no checks inside. A `CsrBuf` guarantees that row i
/// has the entries `ends[i - 1]..ends[i]` (from 0 for the first) of `indices` and `values`, that ends never decrease
/// and are inside, and that indices are below `columns`. Rows may be empty, and an index may occur twice in a row.
#[derive(Clone, Debug, Default)]
pub struct CsrBuf {
    ends: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f32>,
    columns: usize,
}

impl CsrBuf {
    /// | argument  | length   | holds                                   |
    /// |-----------|----------|-----------------------------------------|
    /// | `ends`    | rows     | the end of each row's entries           |
    /// | `indices` | nonzeros | the column of each entry                |
    /// | `values`  | nonzeros | its value                               |
    /// | `columns` |          | columns of the matrix                   |
    ///
    /// Reads every end and index once.
    ///
    /// # Panics
    ///
    /// When the arguments do not meet the guarantees of the type.
    #[track_caller]
    pub fn new(ends: Vec<usize>, indices: Vec<u32>, values: Vec<f32>, columns: usize) -> CsrBuf {
        assert_eq!(indices.len(), values.len(), "every entry has a column and a value");
        assert_eq!(ends.last().copied().unwrap_or(0), indices.len(), "the last row ends with the last entry");
        assert!(ends.is_sorted(), "rows end in order");
        let last = indices.iter().fold(0, |a, &b| a.max(b)) as usize;
        assert!(indices.is_empty() || last < columns, "column {last} of {columns}");
        CsrBuf { ends, indices, values, columns }
    }

    /// All rows.
    pub fn view(&self) -> Csr<'_> {
        let CsrBuf { ends, indices, values, columns } = self;
        Csr { start: 0, ends, indices, values, columns: *columns }
    }
}

/// Some rows of a [`CsrBuf`], with its guarantees.
#[derive(Clone, Copy, Debug)]
pub struct Csr<'a> {
    start: usize,
    ends: &'a [usize],
    indices: &'a [u32],
    values: &'a [f32],
    columns: usize,
}

impl<'a> Csr<'a> {
    /// Some of the rows.
    ///
    /// # Panics
    ///
    /// When there are not as many.
    #[track_caller]
    pub fn rows(&self, rows: Range<usize>) -> Csr<'a> {
        let start = rows.start.checked_sub(1).map_or(self.start, |before| self.ends[before]);
        Csr { start, ends: &self.ends[rows], ..*self }
    }

    /// Cuts the rows into at most `parts` runs with about as many entries: none has more than its share, and one row
    /// beyond it.
    ///
    /// # Panics
    ///
    /// When `parts` is zero.
    #[track_caller]
    pub fn cut(&self, parts: usize) -> impl Iterator<Item = Range<usize>> + 'a {
        assert!(parts > 0, "rows are cut into one part at least");
        let (start, ends) = (self.start, self.ends);
        let entries = ends.last().map_or(0, |end| end - start);
        let first = move |part: usize| match part {
            0 => 0,
            part if part == parts => ends.len(),
            part => {
                ends.partition_point(|&end| (end - start) as u128 * parts as u128 <= entries as u128 * part as u128)
            }
        };
        (0..parts).map(move |part| first(part)..first(part + 1)).filter(|rows| !rows.is_empty())
    }

    /// The number of rows.
    #[inline]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no row.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The number of columns: all indices are below it.
    #[inline]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Where the entries of each row are in [`indices`](Self::indices) and [`values`](Self::values).
    #[inline]
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> + 'a {
        let starts = std::iter::once(self.start).chain(self.ends.iter().copied());
        starts.zip(self.ends).map(|(start, &end)| start..end)
    }

    /// The column of each entry.
    #[inline]
    pub fn indices(&self) -> &'a [u32] {
        self.indices
    }

    /// The value of each entry.
    #[inline]
    pub fn values(&self) -> &'a [f32] {
        self.values
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_follow_one_another_and_have_their_share(
            lengths in prop::collection::vec(prop_oneof![Just(0usize), 0usize..9, 0usize..300], 0..60),
            first in 0usize..5,
            parts in 1usize..20,
        ) {
            let mut end = 0;
            let ends: Vec<usize> = lengths.iter().map(|length| { end += length; end }).collect();
            let all = CsrBuf::new(ends, vec![0; end], vec![1.0; end], 1);
            let first = first.min(lengths.len());
            let (rows, lengths) = (all.view().rows(first..lengths.len()), &lengths[first..]);
            let cut: Vec<Range<usize>> = rows.cut(parts).collect();
            prop_assert!(cut.len() <= parts);
            let mut next = 0;
            let (entries, longest) = (lengths.iter().sum::<usize>(), lengths.iter().max().copied().unwrap_or(0));
            for part in cut {
                prop_assert_eq!(part.start, next);
                next = part.end;
                let own: usize = lengths[part].iter().sum();
                prop_assert!(own <= entries.div_ceil(parts) + longest, "{} of {}", own, entries);
            }
            prop_assert_eq!(next, lengths.len());
        }
    }
}
