//! Views of factors: values with their shape and the distance between two rows.

use std::ops::Range;

use super::stride;

/// The rows of a factor, read-only: `rows` × k values.
///
/// Row i starts at `i·ld` and has [`stride(k)`](stride) values. Those from k on are padding and
/// zero. Values between the end of one row and the start of the next belong to other
/// factorizations: several of them can lie side by side in one buffer with wide rows. All of them
/// together are a factor, too, whose k is the sum of their strides.
///
/// ```
/// use partwise_kernels::FactorRef;
///
/// // Two factorizations side by side, with 3 and 2 components. Both have two rows.
/// let values = [1., 2., 3., 0., 10., 20., 0., 0., 4., 5., 6., 0., 30., 40., 0., 0.];
/// let both = FactorRef::new(&values, 2, 8, 8);
/// let second = both.columns(4, 2);
/// assert_eq!((second.rows(), second.k(), second.lanes(), second.ld()), (2, 2, 4, 8));
/// assert_eq!(second.row(1), [30., 40., 0., 0.]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FactorRef<'a> {
    /// From the start of the first row to the end of the last, without a gap behind it.
    values: &'a [f32],
    rows: usize,
    k: usize,
    ld: usize,
}

/// The rows of a factor, for writing. Shapes are those of [`FactorRef`].
///
/// [`columns`](Self::columns) and [`slice`](Self::slice) consume the view. Call
/// [`reborrow`](Self::reborrow) first to use the whole view again afterwards.
#[derive(Debug)]
pub struct FactorMut<'a> {
    values: &'a mut [f32],
    rows: usize,
    k: usize,
    ld: usize,
}

/// The number of values from the start of the first row to the end of the last, after all checks.
#[track_caller]
fn extent(len: usize, rows: usize, k: usize, ld: usize) -> usize {
    assert!(k > 0, "a factor has at least one component");
    assert!(ld.is_multiple_of(4) && ld >= stride(k), "rows of {k} components are {ld} values apart");
    // Overflow is checked because the unsafe code of the kernels relies on this extent.
    let extent = match rows {
        0 => Some(0),
        _ => (rows - 1).checked_mul(ld).and_then(|start| start.checked_add(stride(k))),
    };
    let extent = extent.expect("a factor's length fits in usize");
    assert!(len >= extent, "{rows} rows of {k} components, {ld} values apart, take {extent} values, not {len}");
    extent
}

/// The number of values from the start of the first row to the end of the last.
#[inline]
fn span(rows: usize, lanes: usize, ld: usize) -> usize {
    if rows == 0 { 0 } else { (rows - 1) * ld + lanes }
}

/// The range of values of the factorization of `k` components that starts at value `first` of each
/// row.
#[track_caller]
fn part(rows: usize, lanes: usize, ld: usize, first: usize, k: usize) -> Range<usize> {
    assert!(k > 0, "a factor has at least one component");
    assert!(
        first.is_multiple_of(4) && first + stride(k) <= lanes,
        "{k} components from value {first} on in rows of {lanes}"
    );
    if rows == 0 { 0..0 } else { first..first + span(rows, stride(k), ld) }
}

/// The range of values of the rows in `range`.
#[track_caller]
fn between(rows: usize, lanes: usize, ld: usize, range: &Range<usize>) -> Range<usize> {
    assert!(range.start <= range.end && range.end <= rows, "rows {range:?} of {rows}");
    if range.is_empty() { 0..0 } else { range.start * ld..range.start * ld + span(range.len(), lanes, ld) }
}

impl<'a> FactorRef<'a> {
    /// `rows` × k values whose rows start `ld` values apart, from the start of `values` on. The
    /// view leaves out values beyond the last row.
    ///
    /// # Panics
    ///
    /// When `k` is zero, `ld` is no multiple of 4 or below [`stride(k)`](stride), or `values` ends
    /// before the last row.
    #[track_caller]
    #[inline]
    pub fn new(values: &'a [f32], rows: usize, k: usize, ld: usize) -> Self {
        FactorRef { values: &values[..extent(values.len(), rows, k, ld)], rows, k, ld }
    }

    /// The number of rows.
    #[inline]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of components.
    #[inline]
    pub fn k(&self) -> usize {
        self.k
    }

    /// The number of values in a row, padding included: [`stride(k)`](stride).
    #[inline]
    pub fn lanes(&self) -> usize {
        stride(self.k)
    }

    /// The distance between the starts of two rows in f32, at least [`lanes`](Self::lanes).
    #[inline]
    pub fn ld(&self) -> usize {
        self.ld
    }

    /// All values from the first row's start to the last row's end, including those between rows.
    #[inline]
    pub fn values(&self) -> &'a [f32] {
        self.values
    }

    /// Row `i`: [`lanes`](Self::lanes) values.
    ///
    /// # Panics
    ///
    /// When `i` is not below [`rows`](Self::rows).
    #[track_caller]
    #[inline]
    pub fn row(&self, i: usize) -> &'a [f32] {
        assert!(i < self.rows, "row {i} of {}", self.rows);
        &self.values[i * self.ld..][..self.lanes()]
    }

    /// The rows in order, [`lanes`](Self::lanes) values each.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [f32]> + use<'a> {
        let lanes = self.lanes();
        self.values.chunks(self.ld).map(move |row| &row[..lanes])
    }

    /// The factorization of `k` components that starts at value `first` of each row.
    ///
    /// # Panics
    ///
    /// When `first` is no multiple of 4, `k` is zero, or the part reaches beyond
    /// [`lanes`](Self::lanes).
    #[track_caller]
    #[inline]
    pub fn columns(self, first: usize, k: usize) -> FactorRef<'a> {
        let part = part(self.rows, self.lanes(), self.ld, first, k);
        FactorRef { values: &self.values[part], rows: self.rows, k, ld: self.ld }
    }

    /// The rows in the range.
    ///
    /// # Panics
    ///
    /// When the range ends before it starts or reaches beyond the last row.
    #[track_caller]
    #[inline]
    pub fn slice(self, rows: Range<usize>) -> FactorRef<'a> {
        let part = between(self.rows, self.lanes(), self.ld, &rows);
        FactorRef { values: &self.values[part], rows: rows.len(), k: self.k, ld: self.ld }
    }
}

impl<'a> FactorMut<'a> {
    /// `rows` × k values whose rows start `ld` values apart, from the start of `values` on. The
    /// view leaves out values beyond the last row.
    ///
    /// # Panics
    ///
    /// When `k` is zero, `ld` is no multiple of 4 or below [`stride(k)`](stride), or `values` ends
    /// before the last row.
    #[track_caller]
    #[inline]
    pub fn new(values: &'a mut [f32], rows: usize, k: usize, ld: usize) -> Self {
        let extent = extent(values.len(), rows, k, ld);
        FactorMut { values: &mut values[..extent], rows, k, ld }
    }

    /// The number of rows.
    #[inline]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of components.
    #[inline]
    pub fn k(&self) -> usize {
        self.k
    }

    /// The number of values in a row, padding included: [`stride(k)`](stride).
    #[inline]
    pub fn lanes(&self) -> usize {
        stride(self.k)
    }

    /// The distance between the starts of two rows in f32, at least [`lanes`](Self::lanes).
    #[inline]
    pub fn ld(&self) -> usize {
        self.ld
    }

    /// All values from the first row's start to the last row's end, including those between rows.
    #[inline]
    pub fn values(&self) -> &[f32] {
        self.values
    }

    /// [`values`](Self::values) for writing. Values between rows belong to other factorizations.
    #[inline]
    pub fn values_mut(&mut self) -> &mut [f32] {
        self.values
    }

    /// All values, for as long as the buffer is borrowed.
    #[inline]
    pub(crate) fn into_values(self) -> &'a mut [f32] {
        self.values
    }

    /// The same rows, read-only.
    #[inline]
    pub fn as_ref(&self) -> FactorRef<'_> {
        FactorRef { values: self.values, rows: self.rows, k: self.k, ld: self.ld }
    }

    /// The same view for a shorter lifetime. This one is usable again afterwards.
    #[inline]
    pub fn reborrow(&mut self) -> FactorMut<'_> {
        FactorMut { values: self.values, rows: self.rows, k: self.k, ld: self.ld }
    }

    /// Row `i`: [`lanes`](Self::lanes) values.
    ///
    /// # Panics
    ///
    /// When `i` is not below [`rows`](Self::rows).
    #[track_caller]
    #[inline]
    pub fn row(&self, i: usize) -> &[f32] {
        self.as_ref().row(i)
    }

    /// Row `i` for writing.
    ///
    /// # Panics
    ///
    /// When `i` is not below [`rows`](Self::rows).
    #[track_caller]
    #[inline]
    pub fn row_mut(&mut self, i: usize) -> &mut [f32] {
        assert!(i < self.rows, "row {i} of {}", self.rows);
        let lanes = self.lanes();
        &mut self.values[i * self.ld..][..lanes]
    }

    /// The rows in order, [`lanes`](Self::lanes) values each.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.as_ref().iter()
    }

    /// The rows in order, for writing.
    #[inline]
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = &mut [f32]> {
        let lanes = self.lanes();
        self.values.chunks_mut(self.ld).map(move |row| &mut row[..lanes])
    }

    /// Overwrites every row, padding included, with `value`. Values between rows stay.
    #[inline]
    pub fn fill(&mut self, value: f32) {
        if self.ld == self.lanes() {
            self.values.fill(value);
        } else {
            self.iter_mut().for_each(|row| row.fill(value));
        }
    }

    /// The factorization of `k` components that starts at value `first` of each row.
    ///
    /// # Panics
    ///
    /// When `first` is no multiple of 4, `k` is zero, or the part reaches beyond
    /// [`lanes`](Self::lanes).
    #[track_caller]
    #[inline]
    pub fn columns(self, first: usize, k: usize) -> FactorMut<'a> {
        let part = part(self.rows, self.lanes(), self.ld, first, k);
        FactorMut { values: &mut self.values[part], rows: self.rows, k, ld: self.ld }
    }

    /// The rows in the range.
    ///
    /// # Panics
    ///
    /// When the range ends before it starts or reaches beyond the last row.
    #[track_caller]
    #[inline]
    pub fn slice(self, rows: Range<usize>) -> FactorMut<'a> {
        let part = between(self.rows, self.lanes(), self.ld, &rows);
        FactorMut { values: &mut self.values[part], rows: rows.len(), k: self.k, ld: self.ld }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_the_values_of_their_rows_and_columns() {
        let values: Vec<f32> = (0..60).map(|v| v as f32).collect();
        let all = FactorRef::new(&values, 5, 9, 12);
        assert_eq!((all.rows(), all.k(), all.lanes(), all.ld(), all.values().len()), (5, 9, 12, 12, 60));
        let part = all.slice(1..4).columns(4, 3);
        assert_eq!((part.rows(), part.k(), part.lanes(), part.ld()), (3, 3, 4, 12));
        let rows: Vec<&[f32]> = part.iter().collect();
        assert_eq!(rows, [[16., 17., 18., 19.], [28., 29., 30., 31.], [40., 41., 42., 43.]]);
        assert_eq!(part.row(2), rows[2]);
        assert_eq!(part.values().len(), 28);
        assert_eq!(all.slice(5..5).columns(8, 1).iter().len(), 0);
    }

    #[test]
    fn a_part_is_filled_and_nothing_else() {
        let mut values = vec![1.0f32; 36];
        let mut all = FactorMut::new(&mut values, 3, 12, 12);
        all.reborrow().columns(4, 2).slice(1..3).fill(7.0);
        all.reborrow().columns(8, 4).row_mut(0)[3] = 5.0;
        for (i, row) in all.iter().enumerate() {
            for (c, &value) in row.iter().enumerate() {
                let filled = (4..8).contains(&c) && i > 0;
                assert_eq!(
                    value,
                    if filled {
                        7.0
                    } else if (i, c) == (0, 11) {
                        5.0
                    } else {
                        1.0
                    }
                );
            }
        }
    }

    #[test]
    #[should_panic(expected = "3 rows of 5 components, 8 values apart, take 24 values, not 23")]
    fn values_that_end_early_are_refused() {
        FactorRef::new(&[0.0; 23], 3, 5, 8);
    }

    #[test]
    #[should_panic(expected = "rows of 5 components are 4 values apart")]
    fn rows_that_overlap_are_refused() {
        FactorRef::new(&[0.0; 24], 3, 5, 4);
    }

    #[test]
    #[should_panic(expected = "5 components from value 4 on in rows of 8")]
    fn a_part_beyond_the_rows_is_refused() {
        FactorRef::new(&[0.0; 24], 3, 8, 8).columns(4, 5);
    }
}
