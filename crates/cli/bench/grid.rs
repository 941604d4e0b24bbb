//! The cases: each block height with each number of threads and each k.

use partwise::driver::usages::UsagesPlace;
use partwise::driver::{ConfigError, DataShape, Machine, Plan};
use partwise::storage::{StorageError, Store};

use super::case;
use crate::failure::Failure;

/// The default heights, as powers of two.
const HEIGHTS: std::ops::RangeInclusive<u32> = 8..=14;

/// One combination to measure.
pub(super) struct Case {
    pub(super) block_rows: usize,
    pub(super) threads: usize,
    pub(super) k: usize,
    /// The plan, or the least memory in bytes that the case takes.
    pub(super) plan: Result<Plan, u64>,
}

/// All cases, ordered by k, then threads, then height.
pub(super) struct Grid {
    pub(super) cases: Vec<Case>,
}

impl Grid {
    /// Plans every case. `shape` gives the shape of the store for a height.
    ///
    /// # Errors
    ///
    /// When a setting is wrong, or no case fits into the memory.
    pub(super) fn plan(
        shape: impl Fn(usize) -> Result<DataShape, StorageError>,
        heights: &[usize],
        threads: &[usize],
        ks: &[usize],
        memory: u64,
    ) -> Result<Self, Failure> {
        let mut cases = Vec::new();
        for &k in ks {
            for &threads in threads {
                for &block_rows in heights {
                    let plan = match case::config(k).plan(&shape(block_rows)?, &Machine::new(threads, memory)) {
                        Ok(plan) => Ok(plan),
                        Err(ConfigError::Memory { needed, .. }) => Err(needed),
                        Err(error) => return Err(error.into()),
                    };
                    cases.push(Case { block_rows, threads, k, plan });
                }
            }
        }
        match cases.iter().filter_map(|case| case.plan.as_ref().err()).min() {
            Some(&needed) if cases.iter().all(|case| case.plan.is_err()) => {
                Err(ConfigError::Memory { budget: memory, needed, lower_blocks: None }.into())
            }
            _ => Ok(Grid { cases }),
        }
    }

    /// The cases that fit into the memory, with their index among all cases.
    pub(super) fn fitting(&self) -> impl Iterator<Item = (usize, &Case)> {
        self.cases.iter().enumerate().filter(|(_, case)| case.plan.is_ok())
    }

    /// The most bytes that W, in two generations, takes on disk in any case.
    pub(super) fn scratch_bytes(&self, cells: usize) -> u64 {
        let on_disk = |case: &Case| case.plan.as_ref().is_ok_and(|plan| plan.execution.usages != UsagesPlace::Memory);
        let bytes = |case: &Case| 8 * (cells * case.k) as u64;
        self.cases.iter().filter(|case| on_disk(case)).map(bytes).max().unwrap_or(0)
    }
}

/// The expected shape of the store in blocks of `block_rows` rows, before the copy exists.
pub(super) fn foreseen(store: &Store, block_rows: usize) -> Result<DataShape, StorageError> {
    let shape = DataShape::of_store(store)?;
    let max_block_bytes = block_rows.div_ceil(shape.tile_rows) as u64 * shape.max_tile_bytes;
    Ok(DataShape { block_rows, max_block_bytes, ..shape })
}

/// Refuses heights that are not a multiple of the rows of a tile.
pub(super) fn check_heights(store: &Store, heights: &[usize]) -> Result<(), Failure> {
    let odd = heights.iter().find(|rows| !rows.is_multiple_of(store.tile_rows()));
    odd.map_or(Ok(()), |odd| {
        let (path, tile) = (store.path().display(), store.tile_rows());
        Err(Failure::usage(format!(
            "--block-rows {odd}: the block height of {path} must be a multiple of the {tile} rows of its tiles, such as {}",
            odd.next_multiple_of(tile)
        )))
    })
}

/// The powers of two that cut the store into at least two blocks, and the height that it has.
pub(super) fn default_heights(store: &Store) -> Vec<usize> {
    heights(store.cells(), store.tile_rows(), store.block_rows())
}

fn heights(cells: usize, tile_rows: usize, own: usize) -> Vec<usize> {
    let powers = HEIGHTS.map(|log| 1 << log).filter(|rows: &usize| *rows < cells && rows.is_multiple_of(tile_rows));
    powers.chain([own]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_heights_give_two_blocks_or_are_the_own() {
        for (cells, tile_rows, own, expected) in [
            (100, 256, 256, &[256][..]),
            (600, 256, 256, &[256, 512, 256]),
            (1_024, 128, 1_024, &[256, 512, 1_024]),
            (2_000, 250, 500, &[500]),
            (1 << 20, 256, 4_096, &[256, 512, 1_024, 2_048, 4_096, 8_192, 16_384, 4_096]),
        ] {
            assert_eq!(heights(cells, tile_rows, own), expected, "{cells} cells");
        }
    }
}
