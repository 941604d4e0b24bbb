//! The row blocks of each process: consecutive ones, with about equally many stored entries.

use std::ops::Range;

use partwise_storage::store::BlockInfo;

use crate::blocks::Blocks;

/// The blocks of each of `size` processes, in order. If there are fewer blocks than processes, some
/// have none.
///
/// Every process cuts at the block boundary nearest to its even part of the work, so no process has
/// more than its part and one block. Costs O(blocks).
pub fn shards(data: &dyn Blocks, size: usize) -> Vec<Range<usize>> {
    shards_of(data.blocks(), &|block| work(&data.block(block)), size)
}

/// The work of a block. Even an empty row is some work.
pub(crate) fn work(block: &BlockInfo) -> u64 {
    block.nonzeros + block.rows as u64
}

/// The same for blocks of which only the work is known.
pub(crate) fn shards_of(blocks: usize, work: &dyn Fn(usize) -> u64, size: usize) -> Vec<Range<usize>> {
    let total: u128 = (0..blocks).map(|block| u128::from(work(block))).sum();
    let mut cuts = Vec::with_capacity(size + 1);
    cuts.push(0);
    let (mut block, mut done) = (0, 0u128);
    for rank in 1..size {
        let part = total * rank as u128 / size as u128;
        // Every process has a block as long as there are enough of them.
        let last = blocks.saturating_sub(size - rank).max(block);
        let least = (cuts[rank - 1] + 1).min(last);
        while block < last {
            let next = u128::from(work(block));
            if block >= least && done + next / 2 > part {
                break;
            }
            done += next;
            block += 1;
        }
        cuts.push(block);
    }
    cuts.push(blocks);
    cuts.windows(2).map(|pair| pair[0]..pair[1]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn works() -> impl Strategy<Value = Vec<u64>> {
        // Blocks of one size, of none, and few that outweigh all others.
        let work = prop_oneof![Just(0), Just(1000), 0u64..2000, 0u64..1_000_000, Just(u64::MAX)];
        prop::collection::vec(work, 0..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn every_block_has_one_process_and_none_has_too_many(works in works(), size in 1usize..50) {
            let shards = shards_of(works.len(), &|block| works[block], size);
            prop_assert_eq!(shards.len(), size);
            let all: Vec<usize> = shards.iter().cloned().flatten().collect();
            prop_assert_eq!(all, (0..works.len()).collect::<Vec<_>>());
            // Consecutive also where a shard is empty.
            prop_assert!(shards.windows(2).all(|pair| pair[0].end == pair[1].start));
            prop_assert_eq!((shards[0].start, shards[size - 1].end), (0, works.len()));

            let with_blocks = shards.iter().filter(|shard| !shard.is_empty()).count();
            prop_assert_eq!(with_blocks, size.min(works.len()));

            let sum = |works: &[u64]| works.iter().map(|&work| u128::from(work)).sum::<u128>();
            let largest = u128::from(works.iter().copied().max().unwrap_or(0));
            let part = sum(&works).div_ceil(size as u128);
            for shard in shards {
                let work = sum(&works[shard.clone()]);
                prop_assert!(work <= part + largest, "{:?} has {} of {} and {}", shard, work, part, largest);
            }
        }
    }

    #[test]
    fn even_blocks_are_dealt_evenly() {
        for (blocks, size, expected) in [
            (8, 2, vec![0..4, 4..8]),
            (9, 4, vec![0..2, 2..5, 5..7, 7..9]),
            (3, 3, vec![0..1, 1..2, 2..3]),
            (0, 2, vec![0..0, 0..0]),
            (3, 5, vec![0..0, 0..0, 0..1, 1..2, 2..3]),
        ] {
            assert_eq!(shards_of(blocks, &|_| 100, size), expected, "{blocks} blocks, {size} processes");
        }
    }
}
