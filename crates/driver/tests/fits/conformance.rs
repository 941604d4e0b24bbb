//! Every implementation of `Blocks` and `Comm` keeps the promises of its trait.

use partwise_driver::blocks::{StoreBlocks, conformance};
use partwise_driver::comm::{self, Solo};
use partwise_storage::store::Layout;

use crate::planted::{counts, dense, store};
use crate::threads_comm::together;

#[test]
fn the_blocks_of_a_store_keep_the_promises_of_blocks() {
    let folder = tempfile::tempdir().unwrap();
    for (layout, matrix) in [(Layout::Sparse, counts(1400, 90, 4, 1)), (Layout::Dense, dense(1400, 90, 4, 2))] {
        let mut store = store(folder.path(), &matrix, layout, 512);
        let blocks = 0..store.blocks();
        conformance::hold(&StoreBlocks::new(&store));
        // Nothing stays, all of it, and the first block with the page cache for the second; some of the
        // blocks belong to another process.
        let first = (store.block(0).bytes as u64).next_multiple_of(4096) + 64;
        for (own, pinned, cached) in
            [(blocks.clone(), 0, 0), (blocks.clone(), u64::MAX, 0), (blocks.clone(), first, first), (1..2, u64::MAX, 0)]
        {
            conformance::hold(&StoreBlocks::new(&store).keeping(own, pinned, cached));
        }
        // SAFETY: nobody else knows the temporary folder.
        unsafe { store.map().unwrap() };
        conformance::hold(&StoreBlocks::new(&store));
        conformance::hold(&StoreBlocks::new(&store).keeping(blocks, u64::MAX, 0));
    }
}

#[test]
fn processes_keep_the_promises_of_comm() {
    comm::conformance::hold(&Solo);
    for size in 1..=5 {
        together(size, |comm| comm::conformance::hold(comm));
    }
}
