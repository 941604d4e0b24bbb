//! Replicates of a sweep: held against plain arithmetic, and the same whatever runs beside them.

use partwise_driver::blocks::{FitData, StoreBlocks};
use partwise_driver::comm::{Comm, Solo};
use partwise_driver::engine::Engine;
use partwise_driver::sweep::{COHORT, Cohort, Progress, Replicate, ReplicateStart, Run, SweepPlan, Watch, run_wave};
use partwise_driver::{DataShape, Machine, SweepConfig};
use partwise_storage::Quiet;
use partwise_storage::store::{Layout, Store};

use crate::planted::{Matrix, counts, dense, store};
use crate::threads_comm::together;

/// Watches nothing.
struct Nobody;

impl Watch for Nobody {
    fn stage(&self, _: Progress) -> String {
        String::new()
    }
}

/// All replicates, wave by wave.
pub(crate) fn sweep(store: &Store, config: &SweepConfig, machine: &Machine, comm: &dyn Comm) -> Vec<Vec<Replicate>> {
    let cohorts: Vec<Cohort> = config.cohorts().collect();
    let plan = SweepPlan::new(&cohorts, config.start, &DataShape::of_store(store).unwrap(), machine).unwrap();
    run(&StoreBlocks::new(store), config, &plan, comm)
}

fn run(data: &dyn FitData, config: &SweepConfig, plan: &SweepPlan, comm: &dyn Comm) -> Vec<Vec<Replicate>> {
    let cohorts: Vec<Cohort> = config.cohorts().collect();
    let engine = Engine::new(plan.segment_bytes as usize, &Quiet).among(comm);
    let waves = plan.waves.iter().map(|wave| {
        let run = Run { engine: &engine, plan, checkpoint: None, watch: &Nobody };
        run_wave(data, &cohorts[wave.clone()], config, &run).unwrap()
    });
    waves.flatten().collect()
}

pub(crate) fn machine(threads: usize) -> Machine {
    Machine::new(threads, 1 << 30).with_maps(false)
}

pub(crate) fn config(ks: &[usize], replicates: usize) -> SweepConfig {
    let mut config = SweepConfig::new(ks, replicates);
    (config.seed, config.tol) = (7, 1e-5);
    config
}

#[test]
fn a_replicate_is_the_same_beside_others_in_waves_on_threads_and_among_processes() {
    let folder = tempfile::tempdir().unwrap();
    let layouts = [(Layout::Sparse, counts(2500, 60, 4, 1)), (Layout::Dense, dense(700, 40, 4, 2))];
    for (layout, matrix) in layouts {
        let store = store(folder.path(), &matrix, layout, 256);
        for start in [ReplicateStart::Random, ReplicateStart::Sample] {
            let config = |ks: &[usize]| {
                let mut config = config(ks, 4);
                config.start = start;
                config
            };
            let all = sweep(&store, &config(&[3, 5, 9]), &machine(2), &Solo);
            assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 4]);
            for threads in [1, 3] {
                assert_eq!(sweep(&store, &config(&[3, 5, 9]), &machine(threads), &Solo), all, "{threads} threads");
            }
            for (place, k) in [3, 5, 9].into_iter().enumerate() {
                assert_eq!(sweep(&store, &config(&[k]), &machine(2), &Solo), all[place..=place], "k = {k} alone");
            }
            let cohorts: Vec<Cohort> = config(&[3, 5, 9]).cohorts().collect();
            let mut plan = SweepPlan::new(&cohorts, start, &DataShape::of_store(&store).unwrap(), &machine(2)).unwrap();
            assert_eq!(plan.waves.len(), 1);
            plan.waves = vec![0..1, 1..3];
            plan.samples = 3;
            assert_eq!(run(&StoreBlocks::new(&store), &config(&[3, 5, 9]), &plan, &Solo), all, "in two waves");
            for found in together(3, |comm| sweep(&store, &config(&[3, 5, 9]), &machine(2), comm)) {
                assert_eq!(found, all, "among three processes");
            }
        }
    }
}

#[test]
fn replicates_that_start_from_rows_of_their_own_need_fewer_passes_and_differ_by_their_rows() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(4000, 60, 4, 1), Layout::Sparse, 256);
    let mut settings = config(&[4], 6);
    settings.meet = false;
    let random = sweep(&store, &settings, &machine(2), &Solo).remove(0);
    settings.start = ReplicateStart::Sample;
    let sampled = sweep(&store, &settings, &machine(2), &Solo).remove(0);
    let passes = |of: &[Replicate]| of.iter().map(|replicate| replicate.passes).sum::<usize>();
    assert!(3 * passes(&sampled) < 2 * passes(&random), "{} and {}", passes(&sampled), passes(&random));
    let least = |of: &[Replicate]| of.iter().map(|replicate| replicate.error).fold(f64::INFINITY, f64::min);
    assert!((least(&sampled) / least(&random) - 1.0).abs() < 1e-3);
    // After one pass the replicates still differ, as their rows do.
    settings.max_passes = 1;
    let first = sweep(&store, &settings, &machine(2), &Solo).remove(0);
    assert!(first.windows(2).all(|pair| pair[0].spectra != pair[1].spectra));
}

#[test]
fn more_replicates_leave_those_that_are_there_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(1200, 40, 3, 5), Layout::Sparse, 256);
    let few = sweep(&store, &config(&[4], 5), &machine(2), &Solo);
    let many = sweep(&store, &config(&[4], COHORT + 3), &machine(2), &Solo);
    assert_eq!(many.iter().map(Vec::len).collect::<Vec<_>>(), [COHORT, 3]);
    assert_eq!(few[0], many[0][..5]);
    let numbers: Vec<usize> = many.iter().flatten().map(|replicate| replicate.number).collect();
    assert_eq!(numbers, (0..COHORT + 3).collect::<Vec<_>>());
}

#[test]
fn replicates_that_meet_have_the_spectra_of_one_another_and_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(2000, 50, 3, 9), Layout::Sparse, 256);
    let mut settings = config(&[3], 8);
    settings.tol = 1e-6;
    let together = sweep(&store, &settings, &machine(2), &Solo).remove(0);
    settings.meet = false;
    let alone = sweep(&store, &settings, &machine(2), &Solo).remove(0);
    let met: Vec<&Replicate> = together.iter().filter(|replicate| replicate.met.is_some()).collect();
    assert!(met.len() >= 3, "planted programs are found from most starts: {}", met.len());
    for replicate in &together {
        let own = &alone[replicate.number];
        assert!((replicate.error / own.error - 1.0).abs() < 1e-3, "{} and {}", replicate.error, own.error);
        match replicate.met {
            None => assert_eq!(replicate, own),
            Some(earlier) => {
                assert!(earlier < replicate.number && together[earlier].met.is_none());
                assert_eq!(replicate.spectra, together[earlier].spectra);
                assert!(replicate.passes < own.passes, "it has made fewer passes");
            }
        }
    }
}

/// A replicate in plain arithmetic of 64 bits, from the H that the first pass starts with.
struct Plain {
    x: Vec<f64>,
    cells: usize,
    genes: usize,
    k: usize,
}

impl Plain {
    /// Genes divided by their deviation; those that are constant stay.
    fn new(matrix: &Matrix, k: usize) -> Self {
        let (cells, genes) = (matrix.cells, matrix.genes);
        let mut x: Vec<f64> = matrix.values.iter().map(|&value| f64::from(value)).collect();
        for gene in 0..genes {
            let column = || (0..cells).map(|cell| f64::from(matrix.values[cell * genes + gene]));
            let mean = column().sum::<f64>() / cells as f64;
            let variance = column().map(|value| (value - mean).powi(2)).sum::<f64>() / cells as f64;
            if variance > 0.0 {
                (0..cells).for_each(|cell| x[cell * genes + gene] /= variance.sqrt());
            }
        }
        Plain { x, cells, genes, k }
    }

    /// Inner sweeps over `target` (len × k) with its products (len × k) and the Gram matrix of the other factor.
    fn sweeps(&self, target: &mut [f64], products: &[f64], gram: &[f64], sweeps: usize) {
        let k = self.k;
        for (row, products) in target.chunks_exact_mut(k).zip(products.chunks_exact(k)) {
            for _ in 0..sweeps {
                for c in 0..k {
                    let model: f64 = (0..k).map(|d| row[d] * gram[c * k + d]).sum();
                    row[c] = (row[c] + (products[c] - model) / gram[c * k + c]).max(0.0);
                }
            }
        }
    }

    /// AᵀB of two factors of len × k and len × width, the latter by a function.
    fn products(&self, len: usize, width: usize, a: &[f64], b: impl Fn(usize, usize) -> f64) -> Vec<f64> {
        let mut out = vec![0.0; width * self.k];
        for i in 0..len {
            for j in 0..width {
                (0..self.k).for_each(|c| out[j * self.k + c] += a[i * self.k + c] * b(i, j));
            }
        }
        out
    }

    /// ‖X̂ − W·H‖² / ‖X̂‖² after so many passes from Hᵀ (m × k).
    fn error(&self, start: &[f64], passes: usize) -> f64 {
        let (k, genes, cells) = (self.k, self.genes, self.cells);
        let (mut h, mut before, mut t, mut least) = (start.to_vec(), start.to_vec(), 1.0_f64, f64::INFINITY);
        for _ in 0..passes {
            let next = f64::midpoint(1.0, (1.0 + 4.0 * t * t).sqrt());
            let beta = (t - 1.0) / next;
            let mut trial: Vec<f64> = h.iter().zip(&before).map(|(h, b)| (h + beta * (h - b)).max(0.0)).collect();
            let gram = self.products(genes, k, &trial, |j, c| trial[j * k + c]);
            let xht = self.products(genes, cells, &trial, |j, i| self.x[i * genes + j]);
            let mut w = vec![0.0; cells * k];
            self.sweeps(&mut w, &xht, &gram, 10);
            let gram = self.products(cells, k, &w, |i, c| w[i * k + c]);
            let wtx = self.products(cells, genes, &w, |i, j| self.x[i * genes + j]);
            self.sweeps(&mut trial, &wtx, &gram, 20);
            let error: f64 = (0..cells * genes)
                .map(|at| {
                    let (i, j) = (at / genes, at % genes);
                    let model: f64 = (0..k).map(|c| w[i * k + c] * trial[j * k + c]).sum();
                    (self.x[at] - model).powi(2)
                })
                .sum();
            if error <= least || beta == 0.0 {
                before = std::mem::replace(&mut h, trial);
                (least, t) = (error, next);
            } else {
                t = 1.0;
            }
        }
        least / self.x.iter().map(|value| value * value).sum::<f64>()
    }
}

#[test]
fn passes_are_those_of_the_plain_rules() {
    let folder = tempfile::tempdir().unwrap();
    let matrix = counts(600, 30, 3, 4);
    let store = store(folder.path(), &matrix, Layout::Sparse, 256);
    let plain = Plain::new(&matrix, 4);
    // The start: one pass changes H, so it is seen through the errors of the first passes of both.
    let mut settings = config(&[4], 2);
    settings.tol = 0.0;
    for passes in [1, 2, 5, 12] {
        settings.max_passes = passes;
        settings.meet = false;
        for replicate in &sweep(&store, &settings, &machine(2), &Solo)[0] {
            let start = start_of(&plain, replicate.number, settings.seed);
            let expected = plain.error(&start, passes);
            assert!(
                (replicate.error / expected - 1.0).abs() < 2e-4,
                "replicate {}, {passes} passes: {} and {expected}",
                replicate.number,
                replicate.error
            );
            assert_eq!(replicate.passes, passes);
        }
    }
}

/// |N(0, 1)|·√(mean / k), from the stream of the replicate.
fn start_of(plain: &Plain, number: usize, seed: u64) -> Vec<f64> {
    use rand::{RngExt, SeedableRng};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream((plain.k as u64) << 32 | number as u64);
    let mean = plain.x.iter().sum::<f64>() / plain.x.len() as f64;
    let mut normal = || {
        let (radius, angle) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    };
    (0..plain.genes * plain.k).map(|_| normal().abs() * (mean / plain.k as f64).sqrt()).collect()
}
