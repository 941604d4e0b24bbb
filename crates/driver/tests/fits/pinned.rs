//! Blocks that stay in memory are read once, and nothing else depends on them.

use partwise_driver::{DataShape, Machine, NmfConfig, Plan, fit};
use partwise_storage::store::Layout;
use partwise_storage::{Quiet, Store};

use crate::planted::{counts, dense, plan, store};

const PASSES: usize = 4;

fn bytes(store: &Store, blocks: std::ops::Range<usize>) -> u64 {
    blocks.map(|block| store.block(block).bytes as u64).sum()
}

/// Digest, and bytes read.
fn run(store: &Store, plan: &Plan) -> (String, u64) {
    let fit = fit(store, plan, &Quiet).unwrap();
    assert_eq!(fit.trace.len(), PASSES);
    (fit.digest, fit.bytes_read)
}

#[test]
fn what_stays_is_read_once_and_does_not_show_in_the_result() {
    let folder = tempfile::tempdir().unwrap();
    for (layout, matrix) in [(Layout::Sparse, counts(2000, 70, 3, 1)), (Layout::Dense, dense(2000, 70, 3, 1))] {
        let store = store(folder.path(), &matrix, layout, 256);
        let all = bytes(&store, 0..store.blocks());
        let config =
            NmfConfig::new(3).with_init(partwise_driver::InitSpec::Random).with_max_passes(PASSES).with_tol(0.0);
        for threads in [1, 2] {
            let mut plan = plan(&store, &config, threads);
            plan.execution.segment_bytes = 1;
            plan.execution.pinned_bytes = 0;
            let (digest, read) = run(&store, &plan);
            assert_eq!(read, PASSES as u64 * all);

            // Three blocks, each with the rest of its last page, and not quite a fourth one.
            plan.execution.pinned_bytes =
                (0..3).map(|block| bytes(&store, block..block + 1).next_multiple_of(4096) + 64).sum();
            plan.execution.pinned_bytes += bytes(&store, 3..4);
            plan.execution.cached_bytes = 0;
            assert_eq!(
                run(&store, &plan),
                (digest.clone(), all + (PASSES as u64 - 1) * bytes(&store, 3..store.blocks()))
            );

            plan.execution.pinned_bytes = u64::MAX;
            assert_eq!(run(&store, &plan), (digest, all));
        }
    }
}

#[test]
fn a_mapped_store_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = store(folder.path(), &counts(600, 40, 3, 2), Layout::Sparse, 256);
    let config = NmfConfig::new(3).with_max_passes(3).with_tol(0.0);
    let plan = config.plan(&DataShape::of_store(&store).unwrap(), &Machine::new(2, 1 << 30)).unwrap();
    let read = fit(&store, &plan, &Quiet).unwrap();
    // SAFETY: only this test knows the temporary folder.
    unsafe { store.map().unwrap() };
    let mapped = fit(&store, &plan, &Quiet).unwrap();
    assert!(read.bytes_read > 0);
    assert_eq!((mapped.bytes_read, mapped.digest), (0, read.digest));
}
