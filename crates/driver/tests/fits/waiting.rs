//! Waiting for the disk is counted if there is a reader, and only then.

use std::ops::Range;
use std::time::Duration;

use partwise_driver::blocks::StoreBlocks;
use partwise_driver::comm::{Comm, CommError};
use partwise_driver::engine::{Direction, Engine, Fold, TilePlace, Worker};
use partwise_driver::products::TileProducts;
use partwise_driver::{DriverError, FitMonitor, InitSpec, NmfConfig, fit};
use partwise_storage::store::{BlockInfo, Layout};
use partwise_storage::tile::TileError;
use partwise_storage::{Monitor, Quiet};

use crate::planted::{counts, plan, run, store};

/// Computes nothing. Takes a while to tell whether it wants a tile; the reader asks before it
/// reads.
struct SlowToAsk(Duration);

impl Fold for SlowToAsk {
    type Local = ();

    fn begin(&self, _: &mut (), _: usize, _: &BlockInfo) -> Result<(), DriverError> {
        Ok(())
    }
    fn tile(&self, _: &mut (), _: &mut TileProducts<'_>, _: &TilePlace) -> Result<(), TileError> {
        Ok(())
    }
    fn end(&self, _: &mut (), _: usize, _: &BlockInfo) -> Result<(), DriverError> {
        Ok(())
    }
    fn merge(&self, _: &dyn Comm) -> Result<(), CommError> {
        Ok(())
    }
    fn wants(&self, _: usize, _: Range<usize>) -> bool {
        std::thread::sleep(self.0);
        true
    }
}

/// Holds up every reader that asks whether to go on, and no compute thread. A pass over a store in
/// the page cache may otherwise have nothing to wait for.
struct SlowReaders(Duration);

impl Monitor for SlowReaders {
    fn cancelled(&self) -> bool {
        if std::thread::current().name() == Some("reader") {
            std::thread::sleep(self.0);
        }
        false
    }
}

impl FitMonitor for SlowReaders {}

#[test]
fn a_slow_reader_is_waited_for_and_a_map_that_is_in_memory_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = store(folder.path(), &counts(1500, 60, 3, 1), Layout::Sparse, 256);
    let slow = SlowToAsk(Duration::from_millis(20));
    let engine = Engine::new(1, &Quiet);
    let pass = |data: &StoreBlocks<'_>| {
        engine.pass(data, &slow, &mut [Worker::default(), Worker::default()], Direction::Forward).unwrap().waiting
    };

    // Six blocks of a tile each: the workers wait for each of them, less what the threads take to
    // start.
    let waited = pass(&StoreBlocks::new(&store));
    assert!(waited >= slow.0 * 3, "{waited:?}");
    let config = NmfConfig::new(3).with_init(InitSpec::Random).with_tol(0.0).with_max_passes(2);
    let slow_fit = fit(&store, &plan(&store, &config, 2), &SlowReaders(slow.0)).unwrap();
    let waited = slow_fit.trace.iter().map(|row| row.waiting_seconds).collect::<Vec<_>>();
    assert!(waited.len() == 2 && waited.iter().all(|&seconds| seconds > 0.0), "{waited:?}");

    // SAFETY: only this test knows the temporary folder.
    unsafe { store.map().unwrap() };
    let data = StoreBlocks::new(&store);
    // The first pass over a map brings its pages.
    assert!(pass(&data) > Duration::ZERO);
    assert_eq!(pass(&data), Duration::ZERO);
    assert_eq!(run(&store, &config).trace[1].waiting_seconds, 0.0);
}
