//! Which cells are kept for pictures: evenly spaced ones, so that equal results have equal samples.

/// Some of the cells of a result, in their order.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    cells: usize,
    rows: Vec<usize>,
}

impl Sample {
    /// At most `most` of `cells` cells.
    pub(crate) fn new(cells: usize, most: usize) -> Sample {
        let count = cells.min(most);
        Sample { cells, rows: evenly(cells, count) }
    }

    /// The number of all cells.
    pub(crate) fn cells(&self) -> usize {
        self.cells
    }

    /// The rows of the cells of the sample.
    pub(crate) fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// Whether it has all cells.
    pub(crate) fn is_whole(&self) -> bool {
        self.rows.len() == self.cells
    }
}

/// `count` of the numbers below `all`, evenly spaced.
pub(crate) fn evenly(all: usize, count: usize) -> Vec<usize> {
    (0..count).map(|i| (i as u128 * all as u128 / count as u128) as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_even_and_has_all_of_few() {
        assert_eq!(Sample::new(3, 10).rows(), [0, 1, 2]);
        assert!(Sample::new(3, 3).is_whole() && !Sample::new(4, 3).is_whole());
        assert_eq!(Sample::new(10, 4).rows(), [0, 2, 5, 7]);
        let rows = evenly(1_000_003, 4000);
        assert!(rows.windows(2).all(|pair| (250..=251).contains(&(pair[1] - pair[0]))) && rows[3999] < 1_000_003);
    }
}
