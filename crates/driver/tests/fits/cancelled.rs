//! A fit that is cancelled comes back with its last accepted pass.

use std::sync::atomic::{AtomicUsize, Ordering};

use partwise_driver::comm::Comm;
use partwise_driver::{
    DriverError, Fit, FitId, FitMonitor, FitSet, InitSpec, NmfConfig, Run, SolverSpec, StopReason, TraceRow, fit,
    fit_wave,
};
use partwise_storage::store::Layout;
use partwise_storage::{Monitor, Quiet};

use crate::planted::{counts, plan, store, usages};
use crate::sets::{alone, facts, plan_set};
use crate::threads_comm::together;

/// Cancels once a pass with number `after` has ended and it has been asked `more` times since.
struct Canceller {
    after: usize,
    more: usize,
    ended: AtomicUsize,
    asked: AtomicUsize,
}

impl Canceller {
    fn new(after: usize, more: usize) -> Self {
        Canceller { after, more, ended: AtomicUsize::new(0), asked: AtomicUsize::new(0) }
    }
}

impl Monitor for Canceller {
    fn cancelled(&self) -> bool {
        self.ended.load(Ordering::Relaxed) >= self.after && self.asked.fetch_add(1, Ordering::Relaxed) >= self.more
    }
}

impl FitMonitor for Canceller {
    fn pass(&self, _: FitId, row: &TraceRow) {
        self.ended.store(row.pass, Ordering::Relaxed);
    }
}

/// Everything of a fit but the reason of its end.
fn until(fit: &Fit) -> (String, usize, Vec<String>, u64, Vec<f32>) {
    let trace = fit.trace.iter().map(|row| format!("{:?}", row.without_machine())).collect();
    (fit.digest.clone(), fit.passes, trace, fit.relative_error.to_bits(), usages(fit))
}

#[test]
fn a_cancelled_fit_has_the_bits_of_one_that_was_allowed_no_more_passes() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(1500, 90, 4, 1), Layout::Sparse, 256);
    let (mut accepted, mut rejected) = (0, 0);
    for (solver, init) in
        [(SolverSpec::Auto, InitSpec::Random), (SolverSpec::Auto, InitSpec::Sample), (SolverSpec::Mu, InitSpec::Random)]
    {
        let config = NmfConfig::new(5).with_solver(solver).with_init(init.clone()).with_tol(0.0);
        let first = if init == InitSpec::Sample { 2 } else { 1 };
        // Some that end on an accepted pass, and some that end on a rejected one.
        let whole = fit(&store, &plan(&store, &config.clone().with_max_passes(60), 2), &Quiet).unwrap();
        let of_rejected = whole.trace.iter().filter(|row| !row.accepted).map(|row| row.pass);
        for passes in (first..24).step_by(1 + first).chain(of_rejected.take(2)) {
            let allowed = fit(&store, &plan(&store, &config.clone().with_max_passes(passes), 2), &Quiet).unwrap();
            assert_eq!((allowed.passes, allowed.stop), (passes, StopReason::MaxPasses));
            *(if allowed.trace.last().unwrap().accepted { &mut accepted } else { &mut rejected }) += 1;
            for (threads, more) in [(1, 0), (2, 5), (1, 9)] {
                // A pass asks twelve times or more: six blocks, before and after each.
                let plan = plan(&store, &config, threads);
                let cancelled = fit(&store, &plan, &Canceller::new(passes, more)).unwrap();
                assert_eq!(cancelled.stop, StopReason::Cancelled);
                assert_eq!(until(&cancelled), until(&allowed), "{config:?}, cancelled after {passes} and {more}");
            }
        }
    }
    assert!(accepted > 10 && rejected > 0, "{accepted} accepted passes, {rejected} rejected ones");
}

#[test]
fn a_fit_that_is_cancelled_before_its_first_pass_ends_has_no_result() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(1500, 90, 4, 1), Layout::Sparse, 256);
    for init in [InitSpec::Random, InitSpec::Sample] {
        let plan = plan(&store, &NmfConfig::new(5).with_init(init), 1);
        for more in [0, 1, 9] {
            let ended = fit(&store, &plan, &Canceller::new(0, more));
            assert!(matches!(ended, Err(DriverError::Cancelled)), "{ended:?}");
        }
    }
}

#[test]
fn a_cancelled_set_keeps_the_fits_that_have_ended() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(900, 60, 3, 5), Layout::Sparse, 256);
    // From random spectra, so that fits end after different numbers of passes.
    let config = NmfConfig::new(1).with_init(InitSpec::Random).with_tol(1e-2).with_max_passes(14);
    let set = FitSet::new(config).with_ks([2, 9, 5]).with_seeds([0, 6]);
    let plan = plan_set(&store, &set, 2);
    let left_alone = alone(&store, &plan);
    let ends = || left_alone.iter().map(|facts| facts.passes);
    let (least, most) = (ends().min().unwrap(), ends().max().unwrap());
    assert!(least < most);
    for passes in 2..most {
        let mut short = plan.clone();
        short.models.iter_mut().for_each(|model| model.limits.max_passes = passes);
        let allowed = fit_wave(&store, &short, 0, &Run::default(), &Quiet).unwrap();
        // One process of two is asked to stop.
        let cancelled = together(2, |comm| {
            let after = if comm.rank() == 1 { passes } else { usize::MAX };
            fit_wave(&store, &plan, 0, &Run { comm, ..Run::default() }, &Canceller::new(after, 2)).unwrap()
        });
        for fits in cancelled {
            for ((fit, allowed), alone) in fits.iter().zip(&allowed).zip(&left_alone) {
                assert_eq!((&fit.digest, fit.passes), (&allowed.digest, allowed.passes), "{}", fit.model.id());
                match alone.passes <= passes {
                    true => assert_eq!(facts(fit), *alone),
                    false => assert_eq!(fit.stop, StopReason::Cancelled),
                }
            }
        }
    }
}
