//! A fit that cannot be made is refused, with the reason.

use std::sync::atomic::{AtomicUsize, Ordering};

use partwise_driver::result::{self, Destination};
use partwise_driver::{DriverError, FitMonitor, InitSpec, NmfConfig, fit};
use partwise_storage::store::Layout;
use partwise_storage::{Monitor, Quiet};

use crate::planted::{counts, plan, run, store, uncancelled};

#[test]
fn a_start_of_another_shape_is_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(300, 40, 3, 1), Layout::Sparse, 256);
    let config = NmfConfig::new(3).with_max_passes(2);
    let path = folder.path().join("three.h5ad");
    result::write(&run(&store, &config), &store, Destination::new(&path)).unwrap();
    let other = NmfConfig::new(4).with_init(InitSpec::Given(path));
    let error = fit(&store, &plan(&store, &other, 1), &Quiet).unwrap_err();
    assert!(matches!(error, DriverError::Start { .. }));
    let message = error.to_string();
    assert!(message.contains("three.h5ad") && message.contains("k = 3") && message.contains("k = 4"), "{message}");
}

#[test]
fn a_damaged_block_is_reported_with_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = store(folder.path(), &counts(900, 40, 3, 2), Layout::Sparse, 256).path().to_path_buf();
    let blocks = path.join("blocks-00000.bin");
    let mut bytes = std::fs::read(&blocks).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].iter_mut().for_each(|byte| *byte ^= 0x10);
    std::fs::write(&blocks, bytes).unwrap();
    let store = partwise_storage::store::Store::open(&path).unwrap();
    for threads in [1, 4] {
        let error = fit(&store, &plan(&store, &NmfConfig::new(3), threads), &Quiet).unwrap_err();
        assert!(matches!(error, DriverError::Storage(_)), "{error:?}");
        assert!(error.to_string().contains("blocks-00000.bin"), "{error}");
    }
}

/// Cancels when asked for the n-th time.
struct Impatient(AtomicUsize);

impl Monitor for Impatient {
    fn cancelled(&self) -> bool {
        self.0.fetch_sub(1, Ordering::Relaxed) == 0
    }
}
impl FitMonitor for Impatient {}

#[test]
fn an_interruption_ends_the_fit_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(2000, 40, 3, 4), Layout::Sparse, 256);
    let plan = plan(&store, &NmfConfig::new(3), 3);
    for patience in [0, 1, 7, 40, 90] {
        let error = uncancelled(fit(&store, &plan, &Impatient(AtomicUsize::new(patience)))).unwrap_err();
        assert!(matches!(error, DriverError::Cancelled), "{error:?}");
    }
}

#[test]
fn values_whose_products_leave_32_bit_floats_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let scaled = |factor: f32| {
        let mut x = counts(600, 40, 3, 5);
        x.values.iter_mut().for_each(|value| *value *= factor);
        let store = store(folder.path(), &x, Layout::Sparse, 256);
        let result = fit(&store, &plan(&store, &NmfConfig::new(3).with_max_passes(20), 2), &Quiet);
        std::fs::remove_dir_all(store.path()).unwrap();
        result
    };
    for factor in [1e30, 1e-30, 1e18] {
        let error = scaled(factor).unwrap_err();
        assert!(matches!(error, DriverError::Magnitude { .. } | DriverError::Range { .. }), "{error:?}");
    }
    // Powers of two near the ends of the allowed range change nothing.
    let errors = [0, -49, 45].map(|power| scaled(2f32.powi(power)).unwrap().relative_error);
    assert!(errors.iter().all(|error| (error / errors[0] - 1.0).abs() < 1e-3), "{errors:?}");
}
