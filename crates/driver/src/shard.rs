//! Which row blocks each process has: consecutive ones, with about equally many stored entries.

use std::ops::Range;

use partwise_storage::store::BlockInfo;

use crate::data::Blocks;

/// The blocks of each of `size` processes, in order. Where there are fewer blocks than processes some have none.
///
/// Every process cuts at the block boundary nearest to its even part of the work, so no process has more than its part and
/// one block. Costs O(blocks).
pub fn shards(data: &dyn Blocks, size: usize) -> Vec<Range<usize>> {
    cut((0..data.blocks()).map(|block| data.block(block)), size)
}

/// The same from what is known of each block, in order.
pub(crate) fn cut(blocks: impl Iterator<Item = BlockInfo>, size: usize) -> Vec<Range<usize>> {
    // A row costs something even where it is empty.
    let work: Vec<u64> = blocks.map(|info| info.nonzeros + info.rows as u64).collect();
    let blocks = work.len();
    let total: u128 = work.iter().map(|&work| u128::from(work)).sum();
    let mut cuts = Vec::with_capacity(size + 1);
    cuts.push(0);
    let (mut block, mut done) = (0, 0u128);
    for rank in 1..size {
        let part = total * rank as u128 / size as u128;
        // Every process has a block as long as there are enough of them.
        let last = blocks.saturating_sub(size - rank).max(block);
        let least = (cuts[rank - 1] + 1).min(last);
        while block < last {
            let next = u128::from(work[block]);
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
