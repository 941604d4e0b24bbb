//! A whole pass over a store, beside what it cannot beat: reading its bytes, and two plain faer products of its shape.
//!
//! Shapes are the table below. A pass is read, decoded, multiplied, updated and summed; its time is the one that the
//! trace of a fit gives, so what is measured is what a user gets. The store is in the page cache. The faer products
//! (X·Hᵀ and WᵀX) run on dense data in memory, on as many threads as the pass, with H and W as in the pass: like for
//! like for the dense case, out of reach for nothing else. Records of runs are in `benches/record`.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};
use partwise::driver::simulate::{DEFAULT_DEPTH, DEFAULT_DOMINANCE, SimulateConfig, SimulateKind, simulate};
use partwise::storage::convert::{ConvertSpec, convert};
use partwise::storage::source;
use partwise::storage::store::{Overwrite, Selection};
use partwise::{DataShape, InitSpec, Machine, NmfConfig, Plan, Quiet, ScaleSpec, SolverSpec, Store};

const COUNTS: SimulateKind = SimulateKind::Counts { depth: DEFAULT_DEPTH, dominance: DEFAULT_DOMINANCE };

/// Name, kind, cells, genes, components.
const SHAPES: [(&str, SimulateKind, usize, usize, usize); 6] = [
    ("counts", COUNTS, 20_000, 20_000, 10),
    ("counts", COUNTS, 20_000, 20_000, 20),
    ("counts", COUNTS, 20_000, 20_000, 32),
    ("counts", COUNTS, 20_000, 20_000, 64),
    ("shallow counts", SimulateKind::Counts { depth: 150.0, dominance: DEFAULT_DOMINANCE }, 100_000, 2_000, 20),
    ("dense", SimulateKind::Clusters, 20_000, 2_000, 20),
];
const THREADS: [usize; 2] = [1, 2];
const MEMORY: u64 = 4 << 30;
/// Passes of a timed fit; the first is left out, since it finds cold buffers.
const PASSES: usize = 4;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    for (name, kind, cells, genes, k) in SHAPES {
        let store = stored(folder.path(), name, kind, cells, genes);
        let case = format!("{name} {cells}x{genes} k={k}");
        passes(&mut criterion, &case, &store, k);
        bare_read(&mut criterion, &case, &store);
        if name == "counts" {
            one_core(&mut criterion, &format!("{name} {cells}x{genes}"), &store, k);
        }
        if matches!(kind, SimulateKind::Clusters) {
            plain_products(&mut criterion, &case, cells, genes, k);
        }
    }
    criterion.final_summary();
}

fn machine(threads: usize) -> Machine {
    Machine::new(threads, MEMORY)
}

fn stored(folder: &Path, name: &str, kind: SimulateKind, cells: usize, genes: usize) -> Store {
    let (h5ad, path) = (folder.join(format!("{name}.h5ad")), folder.join(format!("{name}.pw")));
    if path.exists() {
        return Store::open(&path).expect("the store just made opens");
    }
    let config = SimulateConfig::new(kind, cells, genes, 10);
    simulate(&config, &h5ad, Overwrite::Replace, &machine(2), &Quiet).expect("simulated data");
    let source = source::open(&h5ad, &Selection::default()).expect("simulated data open");
    let spec = ConvertSpec { block_rows: None, memory: MEMORY, threads: 2, overwrite: Overwrite::Refuse };
    convert(source, &path, &spec, &Quiet).expect("simulated data convert")
}

/// Nonzeros a second through whole passes, and GB/s of packed bytes in the name of the case.
fn passes(criterion: &mut Criterion, case: &str, store: &Store, k: usize) {
    let mut group = criterion.benchmark_group(format!("pass/{case}"));
    group.throughput(Throughput::Elements(store.nonzeros()));
    for scale in [ScaleSpec::None, ScaleSpec::Std] {
        let config =
            NmfConfig::new(k).with_init(InitSpec::Random).with_scale(scale).with_tol(0.0).with_max_passes(PASSES);
        for threads in THREADS {
            let plan = config.plan(&DataShape::of_store(store).expect("a shape"), &machine(threads)).expect("a plan");
            let id = BenchmarkId::new(format!("scale {scale:?}"), format!("{threads} threads"));
            group.bench_function(id, |bencher| {
                bencher.iter_custom(|iterations| (0..iterations).map(|_| pass_time(store, &plan)).sum());
            });
        }
    }
    group.finish();
}

/// Nonzeros a second from the packed store through both products and HALS with one sweep, on one core: what two products
/// of a CSR library, which leave out the update and have the matrix unpacked in memory, are to be compared with.
fn one_core(criterion: &mut Criterion, case: &str, store: &Store, k: usize) {
    let config = NmfConfig::new(k).with_solver(SolverSpec::Hals).with_init(InitSpec::Random);
    let config = config.with_tol(0.0).with_max_passes(PASSES);
    let plan = config.plan(&DataShape::of_store(store).expect("a shape"), &machine(1)).expect("a plan");
    let mut group = criterion.benchmark_group(format!("one core/{case}"));
    group.throughput(Throughput::Elements(store.nonzeros()));
    group.bench_function(format!("k={k}"), |bencher| {
        bencher.iter_custom(|iterations| (0..iterations).map(|_| pass_time(store, &plan)).sum());
    });
    group.finish();
}

/// The time of a pass in a fit.
fn pass_time(store: &Store, plan: &Plan) -> Duration {
    let fit = partwise::driver::fit(store, plan, &Quiet).expect("a fit");
    assert_eq!(fit.trace.len(), PASSES);
    assert!(fit.relative_error < 1.0, "the fit explains something");
    let seconds: f64 = fit.trace[1..].iter().map(|row| row.seconds).sum();
    Duration::from_secs_f64(seconds / (PASSES - 1) as f64)
}

/// The packed bytes read from the page cache, in the engine's pieces.
fn bare_read(criterion: &mut Criterion, case: &str, store: &Store) {
    let files: Vec<_> = std::fs::read_dir(store.path())
        .expect("the store's folder")
        .map(|entry| entry.expect("a file of the store").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "bin"))
        .collect();
    let bytes: u64 = files.iter().map(|path| path.metadata().expect("its size").len()).sum();
    let mut group = criterion.benchmark_group(format!("bare read/{case}"));
    group.throughput(Throughput::Bytes(bytes));
    group.bench_function("1 thread", |bencher| {
        let mut buffer = vec![0; 2 << 20];
        bencher.iter(|| {
            let mut read = 0;
            for path in &files {
                let mut file = File::open(path).expect("a block file");
                loop {
                    match file.read(&mut buffer).expect("a read") {
                        0 => break,
                        n => read += n as u64,
                    }
                }
            }
            assert_eq!(read, bytes);
        });
    });
    group.finish();
}

/// X·Hᵀ and WᵀX with X dense in memory, by faer alone.
fn plain_products(criterion: &mut Criterion, case: &str, cells: usize, genes: usize, k: usize) {
    let x = Mat::<f32>::from_fn(genes, cells, |j, i| ((i * 31 + j * 17) % 101) as f32);
    let ht = Mat::<f32>::from_fn(genes, k, |j, c| ((j + 3 * c) % 13) as f32);
    let w = Mat::<f32>::from_fn(cells, k, |i, c| ((i + c) % 7) as f32);
    let (mut xht, mut wtx) = (Mat::<f32>::zeros(cells, k), Mat::<f32>::zeros(genes, k));
    let mut group = criterion.benchmark_group(format!("plain faer products/{case}"));
    group.throughput(Throughput::Elements((cells * genes) as u64));
    for threads in THREADS {
        let par = if threads == 1 { Par::Seq } else { Par::rayon(threads) };
        group.bench_function(format!("{threads} threads"), |bencher| {
            bencher.iter(|| {
                let once = Instant::now();
                matmul(xht.as_mut(), Accum::Replace, x.transpose(), &ht, 1.0, par);
                matmul(wtx.as_mut(), Accum::Replace, &x, &w, 1.0, par);
                once.elapsed()
            });
        });
    }
    group.finish();
}
