//! Several processes end together, whatever ends one of them.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use partwise_driver::blocks::StoreBlocks;
use partwise_driver::comm::{Comm, Elsewhere, meet};
use partwise_driver::fit::{Run, fit_with};
use partwise_driver::result::{self, Destination};
use partwise_driver::shard::shards;
use partwise_driver::{DriverError, FitId, FitMonitor, InitSpec, NmfConfig, TraceRow};
use partwise_storage::store::{Layout, Store};
use partwise_storage::{ErrorKind, Monitor, Quiet, StorageError};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::planted::{counts, plan, store, uncancelled};
use crate::threads_comm::{ThreadComm, together};

/// Cancels when asked for the n-th time, and counts the passes that it is shown.
struct Impatient {
    patience: AtomicUsize,
    passes: AtomicUsize,
}

impl Impatient {
    fn new(patience: usize) -> Self {
        Impatient { patience: AtomicUsize::new(patience), passes: AtomicUsize::new(0) }
    }
}

impl Monitor for Impatient {
    fn cancelled(&self) -> bool {
        self.patience.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err()
    }
}

impl FitMonitor for Impatient {
    fn pass(&self, _: FitId, _: &TraceRow) {
        self.passes.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn who_is_asked_to_stop_stops_all_at_the_same_pass() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(2000, 40, 3, 4), Layout::Sparse, 256);
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let (mut stopped, mut done) = (0, 0);
    for round in 0..60 {
        let (size, threads) = ([1, 2, 3, 5][round % 4], rng.random_range(1..=2));
        let (guilty, patience) = (rng.random_range(0..size), rng.random_range(0..200));
        let init = if rng.random() { InitSpec::Sample } else { InitSpec::Random };
        let config = NmfConfig::new(3).with_init(init).with_max_passes(8).with_tol(0.0);
        let plan = plan(&store, &config, threads);
        let ended = together(size, |comm| {
            let monitor = Impatient::new(if comm.rank() == guilty { patience } else { usize::MAX });
            let fit = uncancelled(fit_with(&store, &plan, &Run { comm, ..Run::default() }, &monitor));
            // No process is left in a sum: all arrive at this one.
            meet(comm).unwrap();
            let cancelled = match fit {
                Ok(_) => false,
                Err(DriverError::Cancelled) => true,
                Err(other) => panic!("{other:?}"),
            };
            (cancelled, monitor.passes.into_inner())
        });
        assert!(ended.iter().all(|end| *end == ended[0]), "process {guilty} after {patience}: {ended:?}");
        *(if ended[0].0 { &mut stopped } else { &mut done }) += 1;
    }
    assert!(stopped > 10 && done > 2, "{stopped} stopped, {done} done");
}

/// Damages the first tile of a block.
fn damage(store: &Store, block: usize) -> Store {
    let file = store.path().join("blocks-00000.bin");
    let mut bytes = std::fs::read(&file).unwrap();
    // A block takes whole pages; its tiles follow a header and a directory.
    let first: usize = (0..block).map(|block| (128 + store.block(block).bytes).next_multiple_of(4096)).sum();
    bytes[first + 128 + store.tile_bytes(block, 0) / 2] ^= 0x10;
    std::fs::write(&file, bytes).unwrap();
    Store::open(store.path()).unwrap()
}

#[test]
fn a_damaged_block_is_told_by_who_has_it_and_ends_the_others() {
    for (block, init) in [(0, InitSpec::Random), (4, InitSpec::Random), (6, InitSpec::Sample)] {
        let folder = tempfile::tempdir().unwrap();
        let store = damage(&store(folder.path(), &counts(1750, 40, 3, 2), Layout::Sparse, 256), block);
        let plan = plan(&store, &NmfConfig::new(3).with_init(init), 2);
        for size in [2, 3, 5] {
            let shards: Vec<Range<usize>> = shards(&StoreBlocks::new(&store), size);
            let errors =
                together(size, |comm| match fit_with(&store, &plan, &Run { comm, ..Run::default() }, &Quiet) {
                    Ok(_) => panic!("block {block} was damaged for nothing"),
                    Err(error) => error,
                });
            for (shard, error) in shards.iter().zip(errors) {
                if shard.contains(&block) {
                    assert!(matches!(error, DriverError::Storage(_)), "{error:?}");
                    assert!(error.to_string().contains(&format!("block {block}")), "{error}");
                } else {
                    assert!(matches!(error, DriverError::Comm(_)), "{error:?}");
                }
            }
        }
    }
}

#[test]
fn a_result_that_one_process_cannot_write_is_written_by_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(900, 40, 3, 2), Layout::Sparse, 256);
    let plan = plan(&store, &NmfConfig::new(3).with_max_passes(2), 1);
    let names = || std::fs::read_dir(folder.path()).unwrap().count();
    let before = names();
    let write = |comm: &ThreadComm, dest: &Path| {
        let fit = fit_with(&store, &plan, &Run { comm, ..Run::default() }, &Quiet).unwrap();
        let ended = result::write_among(&fit, &store, Destination::new(dest), comm);
        meet(comm).unwrap();
        ended.unwrap_err()
    };

    // One process looks for the file where there is none, as on a node that does not share the
    // folder.
    let (here, elsewhere) = (folder.path().join("r.h5ad"), folder.path().join("none/r.h5ad"));
    let errors = together(3, |comm| write(comm, if comm.rank() == 1 { &elsewhere } else { &here }));
    assert!(matches!(&errors[1], DriverError::Storage(StorageError::NotShared { .. })), "{errors:?}");
    for rank in [0, 2] {
        assert!(matches!(errors[rank], DriverError::Elsewhere(Elsewhere { rank: 1 })), "{errors:?}");
    }
    assert_eq!(names(), before);

    // Existing files stay.
    std::fs::write(&here, "mine").unwrap();
    let errors = together(3, |comm| write(comm, &here));
    assert!(matches!(&errors[0], DriverError::Storage(error) if error.kind() == ErrorKind::Exists), "{errors:?}");
    for rank in [1, 2] {
        assert!(matches!(errors[rank], DriverError::Elsewhere(Elsewhere { rank: 0 })), "{errors:?}");
    }
    assert_eq!((names(), std::fs::read(&here).unwrap()), (before + 1, b"mine".to_vec()));
}
