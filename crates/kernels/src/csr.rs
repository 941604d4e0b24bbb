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
