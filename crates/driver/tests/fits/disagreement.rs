//! Processes that were given different settings do not begin.

use partwise_driver::comm::{Comm, Elsewhere, meet};
use partwise_driver::result::{self, Destination};
use partwise_driver::{DriverError, FitSet, InitSpec, NmfConfig, Plan, Run, ScaleSpec, SolverSpec, fit_wave};
use partwise_storage::Quiet;
use partwise_storage::store::{Layout, Store};

use crate::planted::{counts, run, store};
use crate::sets::plan_set;
use crate::threads_comm::together;

/// What each of three processes ends with if one of them has `other` and the rest have `plan`.
fn ends(store: &Store, plan: &Plan, other: &Plan, which: usize) -> Vec<DriverError> {
    together(3, |comm| {
        let plan = if comm.rank() == which { other } else { plan };
        let error = fit_wave(store, plan, 0, &Run { comm, ..Run::default() }, &Quiet).unwrap_err();
        // Nobody is left in a sum: all come to this one.
        meet(comm).unwrap();
        error
    })
}

#[test]
fn a_process_with_other_settings_says_which_and_the_others_do_not_wait() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(900, 40, 3, 5), Layout::Sparse, 256);
    let config = || NmfConfig::new(3).with_max_passes(4);
    let given = |name: &str, seed| {
        let path = folder.path().join(name);
        result::write(&run(&store, &config().with_seed(seed)), &store, Destination::new(&path)).unwrap();
        FitSet::new(config().with_init(InitSpec::Given(path)))
    };
    let (start, other_start) = (given("a.h5ad", 0), given("b.h5ad", 1));
    let one = FitSet::new(config());
    let several = one.clone().with_ks([3, 5]);
    for (set, other, named) in [
        (&one, FitSet::new(config().with_seed(1)), ["seed = 1", "seed = 0"]),
        (&one, FitSet::new(config().with_tol(1e-3)), ["tol = 0.001", "tol = 0.0001"]),
        (&one, FitSet::new(config().with_max_passes(5)), ["= 5", "= 4"]),
        (&one, FitSet::new(NmfConfig::new(4).with_max_passes(4)), ["k = 4", "k = 3"]),
        (&one, FitSet::new(config().with_scale(ScaleSpec::Std)), ["scale = std", "scale = none"]),
        (&one, FitSet::new(config().with_init(InitSpec::Random)), ["init = random", "init = sample"]),
        (&one, FitSet::new(config().with_solver(SolverSpec::Bpp)), ["rule = bpp", "rule = hals"]),
        (&start, other_start.clone(), ["start = ", "start = "]),
        (&several, several.clone().with_ks([5, 3]), ["k = 5", "k = 3"]),
        (&several, several.clone().with_seeds([0, 1]), ["seed = 1", "seed = 0"]),
        (&several, one.clone(), ["k = 3", "k = 5"]),
    ] {
        let (plan, other) = (plan_set(&store, set, 1), plan_set(&store, &other, 1));
        for which in [1, 2] {
            for (rank, error) in ends(&store, &plan, &other, which).into_iter().enumerate() {
                match &error {
                    DriverError::Settings { rank: who, .. } if rank == which => {
                        let said = error.to_string();
                        assert!(*who == rank && named.iter().all(|name| said.contains(name)), "{said}");
                    }
                    DriverError::Elsewhere(Elsewhere { rank: who }) if rank != which => assert_eq!(*who, which),
                    error => panic!("process {rank}: {error:?}"),
                }
            }
        }
        // If it is process 0, all others differ from it.
        for (rank, error) in ends(&store, &plan, &other, 0).into_iter().enumerate() {
            match error {
                DriverError::Settings { rank: who, .. } if rank > 0 => assert_eq!(who, rank),
                DriverError::Elsewhere(Elsewhere { rank: 1 }) if rank == 0 => (),
                error => panic!("process {rank}: {error:?}"),
            }
        }
    }
}

#[test]
fn threads_and_memory_may_differ() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(900, 40, 3, 5), Layout::Sparse, 256);
    let set = FitSet::new(NmfConfig::new(3).with_max_passes(4));
    let digests = together(3, |comm| {
        let mut plan = plan_set(&store, &set, 1 + comm.rank());
        plan.execution.pinned_bytes = comm.rank() as u64 * 10_000;
        fit_wave(&store, &plan, 0, &Run { comm, ..Run::default() }, &Quiet).unwrap()[0].digest.clone()
    });
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{digests:?}");
}
