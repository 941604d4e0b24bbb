//! Fits that share their passes have the bits that each of them has alone, and share the reading.

use std::ops::Range;
use std::path::Path;

use partwise_driver::comm::{Comm, Solo};
use partwise_driver::usages::UsagesPlace;
use partwise_driver::{
    DataShape, Fit, FitSet, Init, InitSpec, Machine, Model, NmfConfig, Plan, Run, ScaleSpec, SolverSpec, fit_wave,
};
use partwise_storage::Quiet;
use partwise_storage::store::{Layout, Store};

use crate::planted::{counts, dense, store};
use crate::threads_comm::together;

/// On sparse data two panels, of which one has several members, and one more: 5, 9 and 20; 30; 70; 3.
const KS: [usize; 6] = [5, 9, 20, 30, 70, 3];

/// Everything of a fit that neither the machine nor the other fits may change.
#[derive(Debug, PartialEq)]
pub(crate) struct Facts {
    k: usize,
    seed: u64,
    pub(crate) digest: String,
    pub(crate) passes: usize,
    stop: String,
    sample_passes: f64,
    relative_error: f64,
    spectra: Vec<f32>,
    /// As text: the first row has a NaN.
    trace: Vec<String>,
}

pub(crate) fn facts(fit: &Fit) -> Facts {
    let model = &fit.model;
    Facts {
        k: model.k,
        seed: model.seed,
        digest: fit.digest.clone(),
        passes: fit.passes,
        stop: fit.stop.to_string(),
        sample_passes: fit.sample_passes,
        relative_error: fit.relative_error,
        spectra: fit.spectra().to_rows(),
        trace: fit.trace.iter().map(|row| format!("{:?}", row.without_machine())).collect(),
    }
}

pub(crate) fn plan_set(store: &Store, set: &FitSet, threads: usize) -> Plan {
    set.plan(&DataShape::of_store(store).unwrap(), &Machine::new(threads, 1 << 30)).unwrap()
}

/// All of so many fits at once.
pub(crate) fn one_wave(fits: usize) -> Vec<Range<usize>> {
    std::iter::once(0..fits).collect()
}

/// The fits of all waves, in the order of the plan.
pub(crate) fn fit_all(store: &Store, plan: &Plan, comm: &dyn Comm) -> Vec<Fit> {
    let run = Run { comm, ..Run::default() };
    (0..plan.execution.waves.len()).flat_map(|wave| fit_wave(store, plan, wave, &run, &Quiet).unwrap()).collect()
}

/// Each fit of `plan`, alone.
pub(crate) fn alone(store: &Store, plan: &Plan) -> Vec<Facts> {
    let each = plan.models.iter().map(|model| {
        let mut plan = plan.clone();
        plan.models = vec![model.clone()];
        plan.is_set = false;
        plan.execution.waves = one_wave(1);
        facts(&fit_all(store, &plan, &Solo)[0])
    });
    each.collect()
}

#[track_caller]
fn assert_same(together: &[Fit], alone: &[Facts], case: &str) {
    assert_eq!(together.len(), alone.len(), "{case}");
    for (fit, alone) in together.iter().zip(alone) {
        assert_eq!(facts(fit), *alone, "{case}: {}", fit.model.id());
    }
}

/// A sample that is a part of the matrix: all of it may cost more work than the rest of the fit.
pub(crate) fn part(model: &mut Model, entries: u64, rows: usize) {
    if matches!(model.init, Init::Sample { .. }) {
        model.init = Init::Sample { entries, rows };
    }
}

fn layouts(folder: &Path) -> [Store; 2] {
    [
        store(folder, &counts(1500, 90, 4, 1), Layout::Sparse, 256),
        store(folder, &dense(1500, 90, 4, 2), Layout::Dense, 256),
    ]
}

#[test]
fn fits_of_a_set_have_the_bits_that_each_has_alone() {
    let folder = tempfile::tempdir().unwrap();
    for mut store in layouts(folder.path()) {
        let mut turn = 0;
        for solver in [SolverSpec::Auto, SolverSpec::Hals, SolverSpec::Mu, SolverSpec::Bpp] {
            for init in [InitSpec::Sample, InitSpec::Random] {
                for scale in [ScaleSpec::None, ScaleSpec::Std] {
                    let config = NmfConfig::new(1).with_solver(solver).with_init(init.clone()).with_scale(scale);
                    let set = FitSet::new(config.with_max_passes(4)).with_ks(KS).with_seeds([3]);
                    let plan = |threads| {
                        let mut plan = plan_set(&store, &set, threads);
                        plan.models.iter_mut().for_each(|model| part(model, 30_000, 500));
                        plan
                    };
                    let alone = alone(&store, &plan(2));
                    let case = format!("{:?} {solver:?} {init:?} {scale:?}", store.layout());
                    for (threads, disk) in [(1, false), (2, true), (7, false)] {
                        let mut plan = plan(threads);
                        assert_eq!(plan.execution.waves, one_wave(KS.len()));
                        // Each case has one of these forms on one number of threads.
                        turn += 1;
                        match turn % 4 {
                            0 => plan.execution.waves = vec![0..2, 2..6],
                            1 => plan.execution.waves = vec![0..3, 3..4, 4..6],
                            _ => (),
                        }
                        if disk {
                            plan.execution.segment_bytes = 1;
                            plan.execution.usages = UsagesPlace::Disk(folder.path().to_path_buf());
                        }
                        let case = format!("{case}, {threads} threads, waves {:?}", plan.execution.waves);
                        assert_same(&fit_all(&store, &plan, &Solo), &alone, &case);
                    }
                }
            }
        }
        // SAFETY: nobody else knows the temporary folder.
        unsafe { store.map().unwrap() };
        let set = FitSet::new(NmfConfig::new(1).with_max_passes(4)).with_ks([4, 9, 6]);
        let plan = plan_set(&store, &set, 3);
        assert_same(&fit_all(&store, &plan, &Solo), &alone(&store, &plan), "mapped");
    }
}

#[test]
fn samples_of_several_sizes_and_seeds_are_those_that_each_fit_draws_alone() {
    let folder = tempfile::tempdir().unwrap();
    let sizes = [(30_000, 500), (9_000, 1_400), (60_000, 1_000), (1_000_000, 256)];
    for store in layouts(folder.path()) {
        for scale in [ScaleSpec::None, ScaleSpec::Std] {
            let config = NmfConfig::new(1).with_init(InitSpec::Sample).with_scale(scale).with_max_passes(3);
            let set = FitSet::new(config).with_ks([6, 4, 11, 8]).with_seeds([3, 12]);
            for threads in [1, 2, 7] {
                let mut plan = plan_set(&store, &set, threads);
                for (i, model) in plan.models.iter_mut().enumerate() {
                    // The two seeds of a k have samples of different sizes as well.
                    let (entries, rows) = sizes[(i / 2 + i) % sizes.len()];
                    part(model, entries, rows);
                }
                let alone = alone(&store, &plan);
                let case = format!("{:?} {scale:?}, {threads} threads", store.layout());
                assert_same(&fit_all(&store, &plan, &Solo), &alone, &case);
                plan.execution.waves = vec![0..3, 3..8];
                assert_same(&fit_all(&store, &plan, &Solo), &alone, &case);
            }
        }
    }
}

#[test]
fn a_set_that_starts_from_all_of_the_matrix_has_the_bits_of_each_fit_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(900, 60, 3, 5), Layout::Sparse, 256);
    let set = FitSet::new(NmfConfig::new(1).with_max_passes(6)).with_ks([3, 5]).with_seeds([0, 9]);
    let alone = alone(&store, &plan_set(&store, &set, 2));
    for threads in [1, 3, 7] {
        let fits = fit_all(&store, &plan_set(&store, &set, threads), &Solo);
        assert_same(&fits, &alone, &format!("{threads} threads"));
    }
}

#[test]
fn fits_may_start_in_different_ways_and_with_different_rules() {
    let folder = tempfile::tempdir().unwrap();
    for store in layouts(folder.path()) {
        let set = FitSet::new(NmfConfig::new(1).with_max_passes(5)).with_ks([7, 4, 30, 28, 12]);
        let mut plan = plan_set(&store, &set, 2);
        plan.models.iter_mut().for_each(|model| part(model, 30_000, 500));
        plan.models[1].init = Init::Random;
        for (model, solver) in plan.models.iter_mut().zip([
            SolverSpec::Auto,
            SolverSpec::Mu,
            SolverSpec::Bpp,
            SolverSpec::Hals,
            SolverSpec::Mu,
        ]) {
            (model.solver, model.rules) = (solver, solver.into());
        }
        assert_same(&fit_all(&store, &plan, &Solo), &alone(&store, &plan), &format!("{:?}", store.layout()));
    }
}

#[test]
fn a_set_of_several_processes_has_the_bits_of_one() {
    let folder = tempfile::tempdir().unwrap();
    for store in layouts(folder.path()) {
        for (solver, scale) in [(SolverSpec::Auto, ScaleSpec::Std), (SolverSpec::Mu, ScaleSpec::None)] {
            let config = NmfConfig::new(1).with_solver(solver).with_init(InitSpec::Sample).with_scale(scale);
            let set = FitSet::new(config.with_max_passes(4)).with_ks([5, 20, 34, 3]).with_seeds([1, 2]);
            let plan = |threads| {
                let mut plan = plan_set(&store, &set, threads);
                for (i, model) in plan.models.iter_mut().enumerate() {
                    part(model, 20_000 + 5_000 * (i as u64 % 3), 500);
                }
                plan
            };
            let alone = alone(&store, &plan(2));
            for size in [1, 2, 3] {
                let fits = together(size, |comm| fit_all(&store, &plan(1 + comm.rank() % 2), comm));
                for fits in fits {
                    assert_same(&fits, &alone, &format!("{:?} {solver:?}, {size} processes", store.layout()));
                }
            }
        }
    }
}

#[test]
fn the_data_are_read_once_for_all_samples_and_once_a_pass_for_all_fits() {
    let folder = tempfile::tempdir().unwrap();
    for store in layouts(folder.path()) {
        let all: u64 = (0..store.blocks()).map(|block| store.block(block).bytes as u64).sum();
        let config = NmfConfig::new(1).with_init(InitSpec::Sample).with_max_passes(40).with_tol(1e-3);
        let set = FitSet::new(config).with_ks([2, 8, 5]).with_seeds([0, 4]);
        for threads in [1, 2] {
            let mut plan = plan_set(&store, &set, threads);
            plan.execution.pinned_bytes = 0;
            // Every tile has rows of the samples.
            plan.models.iter_mut().for_each(|model| part(model, 20_000, 300));
            let fits = fit_all(&store, &plan, &Solo);
            let passes = fits.iter().map(|fit| fit.passes);
            let (least, most) = (passes.clone().min().unwrap(), passes.max().unwrap());
            assert!(least < most, "no fit ends before the others");
            assert!(fits.iter().all(|fit| fit.bytes_read == most as u64 * all), "{:?}", store.layout());

            // A sample of a row or two: the reading of it is less than a pass.
            plan.models.iter_mut().for_each(|model| part(model, 1_000_000, 1));
            let sampled = |plan: &Plan| {
                let fits = fit_all(&store, plan, &Solo);
                let full = fits.iter().map(|fit| fit.trace.len()).max().unwrap() as u64;
                fits[0].bytes_read - full * all
            };
            let read = sampled(&plan);
            let each: Vec<u64> = [0, 1]
                .map(|seed| {
                    let mut plan = plan.clone();
                    plan.models = vec![plan.models[seed].clone()];
                    plan.execution.waves = one_wave(1);
                    sampled(&plan)
                })
                .to_vec();
            assert!(read < all && each.iter().all(|&each| 0 < each && each <= read), "{read} of {all}, {each:?}");
            assert!(read <= each.iter().sum(), "{read}, {each:?}");
        }
    }
}
