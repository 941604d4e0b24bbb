//! From tiles to a file: made in parallel a window at a time, written in order while the next
//! window is made.

use std::path::Path;

use partwise_storage::anndata::{AnnDataWriter, ArrayWriter, CsrWriter, Value};
use partwise_storage::source::RowChunk;
use partwise_storage::store::Overwrite;
use partwise_storage::tile::CsrRows;
use partwise_storage::{Axis, Monitor, StorageError, Unit};
use rayon::prelude::*;

use super::planted::Planted;
use super::{SimulateConfig, SimulateError, SimulateKind, Simulated, clusters, counts};
use crate::Machine;

/// Memory of the process before the first tile: code, the HDF5 library, allocator slack, stacks.
const BASE_BYTES: u64 = 24 << 20;

/// How many tiles are made at once so that two windows of them, the programs and the process fit
/// into `memory`. Found before anything is made.
pub(super) fn tiles_at_once(config: &SimulateConfig, machine: &Machine) -> Result<usize, SimulateError> {
    let &SimulateConfig { genes, programs, .. } = config;
    let &Machine { threads, memory, .. } = machine;
    // A profile and its alias table take 12 bytes a gene; a thread tallies into 5 bytes a gene.
    let bytes_per_gene = 12u64.saturating_mul(programs as u64).saturating_add(32).saturating_add(5 * threads as u64);
    let fixed = bytes_per_gene.saturating_mul(genes as u64).saturating_add(BASE_BYTES);
    // Two windows, and buffers that may be twice as large as their content.
    let tile = 4 * match config.kind {
        SimulateKind::Clusters => clusters::tile_bytes(genes),
        SimulateKind::Counts { depth, .. } => counts::tile_bytes(genes, depth),
    };
    match memory.checked_sub(fixed).map_or(0, |free| free / tile.max(1)) {
        0 => {
            let needed = fixed.saturating_add(tile);
            Err(SimulateError::Memory { budget: memory, needed, genes, programs })
        }
        most => Ok((4 * threads).min(usize::try_from(most).unwrap_or(usize::MAX))),
    }
}

/// Writes the whole file; `tiles` of them are made at once by `threads` threads.
pub(super) fn write(
    planted: &dyn Planted,
    config: &SimulateConfig,
    dest: &Path,
    overwrite: Overwrite,
    (threads, tiles): (usize, usize),
    monitor: &dyn Monitor,
) -> Result<Simulated, SimulateError> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|error| SimulateError::Threads { threads, message: error.to_string() })?;
    let mut file = AnnDataWriter::create(dest, overwrite)?;
    write_names(&mut file, planted, config)?;
    let mut programs = file.array2("varm", "programs", config.genes, config.programs)?;
    programs.write_rows(0, planted.profiles())?;
    drop(programs);
    file.uns("simulate", &settings(config))?;

    let matrix = Matrix::begin(&mut file, config)?;
    monitor.start("simulate", config.cells as u64, Unit::Rows);
    let nonzeros = pool.install(|| write_matrix(matrix, planted, config.cells, tiles, monitor))?;
    monitor.finish();
    file.finish()?;
    Ok(Simulated { nonzeros })
}

/// Tiles of the whole matrix as (tile, rows).
fn tiles_of(planted: &dyn Planted, cells: usize) -> impl Iterator<Item = (usize, usize)> {
    let height = planted.tile_rows();
    (0..cells.div_ceil(height)).map(move |tile| (tile, height.min(cells - tile * height)))
}

fn write_names(file: &mut AnnDataWriter, planted: &dyn Planted, config: &SimulateConfig) -> Result<(), StorageError> {
    let truth = || tiles_of(planted, config.cells).map(|(tile, rows)| planted.truth(tile, rows));
    let mut obs = file.dataframe(Axis::Cells, config.cells)?;
    obs.names((0..config.cells).map(|cell| format!("cell{cell}")))?;
    let categories: Vec<String> = (0..config.programs).map(|program| program.to_string()).collect();
    obs.categorical("cluster", &categories, truth().flat_map(|truth| truth.clusters).map(|cluster| cluster as usize))?;
    if let SimulateKind::Counts { .. } = config.kind {
        obs.floats("library_size", truth().flat_map(|truth| truth.library_sizes).map(f64::from))?;
    }
    obs.finish()?;
    let mut var = file.dataframe(Axis::Genes, config.genes)?;
    var.names((0..config.genes).map(|gene| format!("gene{gene}")))?;
    var.finish()
}

fn settings(config: &SimulateConfig) -> Value {
    let kind = match config.kind {
        SimulateKind::Clusters => vec![("kind".into(), "clusters".into())],
        SimulateKind::Counts { depth, dominance } => vec![
            ("kind".into(), "counts".into()),
            ("depth".into(), depth.into()),
            ("dominance".into(), dominance.into()),
        ],
    };
    // Seeds are unsigned. AnnData readers of every language take those most easily as text.
    let rest = [("programs".into(), (config.programs as i64).into()), ("seed".into(), config.seed.to_string().into())];
    Value::Map(kind.into_iter().chain(rest).collect())
}

/// `X` in the layout of the kind.
enum Matrix {
    Sparse(CsrWriter),
    Dense { writer: ArrayWriter, row: usize, genes: usize },
}

impl Matrix {
    fn begin(file: &mut AnnDataWriter, config: &SimulateConfig) -> Result<Self, StorageError> {
        let (cells, genes) = (config.cells, config.genes);
        Ok(match config.kind {
            SimulateKind::Counts { .. } => {
                let most = (cells as u64).saturating_mul(genes as u64);
                Matrix::Sparse(file.x_csr(cells, genes, most)?)
            }
            SimulateKind::Clusters => Matrix::Dense { writer: file.x_dense(cells, genes)?, row: 0, genes },
        })
    }

    fn push(&mut self, chunk: &RowChunk) -> Result<(), StorageError> {
        match (self, chunk) {
            (Matrix::Sparse(writer), RowChunk::Sparse { indptr, indices, values }) => {
                writer.push(CsrRows { indptr, indices, values })
            }
            (Matrix::Dense { writer, row, genes }, RowChunk::Dense { values }) => {
                writer.write_rows(*row, values)?;
                *row += values.len() / *genes;
                Ok(())
            }
            _ => unreachable!("a generator gives the layout of its kind"),
        }
    }

    fn finish(self) -> Result<(), StorageError> {
        match self {
            Matrix::Sparse(writer) => writer.finish(),
            Matrix::Dense { .. } => Ok(()),
        }
    }
}

/// Writes all rows and counts the nonzeros. Runs on the pool: one of its threads writes while the
/// others make tiles.
fn write_matrix(
    mut matrix: Matrix,
    planted: &dyn Planted,
    cells: usize,
    at_once: usize,
    monitor: &dyn Monitor,
) -> Result<u64, StorageError> {
    let mut tiles = tiles_of(planted, cells).peekable();
    let mut window = || -> Vec<RowChunk> {
        let window: Vec<_> = tiles.by_ref().take(at_once).collect();
        window.into_par_iter().map(|(tile, rows)| planted.rows(tile, rows)).collect()
    };
    let mut nonzeros = 0;
    let mut ready = window();
    while !ready.is_empty() {
        let (written, next) = rayon::join(
            || {
                for chunk in &ready {
                    matrix.push(chunk)?;
                    let (rows, values) = match chunk {
                        RowChunk::Sparse { indptr, values, .. } => (indptr.len() - 1, values),
                        RowChunk::Dense { values } => (values.len() / planted.genes(), values),
                    };
                    nonzeros += values.iter().filter(|&&value| value != 0.0).count() as u64;
                    monitor.advance(rows as u64);
                }
                Ok::<_, StorageError>(())
            },
            &mut window,
        );
        written?;
        if monitor.cancelled() {
            return Err(StorageError::Cancelled);
        }
        ready = next;
    }
    matrix.finish()?;
    Ok(nonzeros)
}

#[cfg(test)]
mod tests {
    use partwise_storage::Quiet;
    use partwise_storage::source;
    use partwise_storage::store::Selection;

    use super::super::{DEFAULT_DEPTH, DEFAULT_DOMINANCE, simulate};
    use super::*;

    /// All rows of the file that is made, and its length.
    fn made(config: &SimulateConfig, threads: usize, memory: u64) -> (RowChunk, u64) {
        let folder = tempfile::tempdir().unwrap();
        let dest = folder.path().join("made.h5ad");
        let made = simulate(config, &dest, Overwrite::Refuse, &Machine::new(threads, memory), &Quiet).unwrap();
        let mut source = source::open(&dest, &Selection::default()).unwrap();
        assert_eq!((source.cells(), source.genes()), (config.cells, config.genes));
        let mut rows = RowChunk::default();
        source.read_rows(0..config.cells, &mut rows).unwrap();
        let (RowChunk::Sparse { values, .. } | RowChunk::Dense { values }) = &rows;
        assert_eq!(made.nonzeros, values.iter().filter(|&&value| value > 0.0).count() as u64);
        (rows, dest.metadata().unwrap().len())
    }

    #[test]
    fn any_number_of_threads_and_any_budget_give_one_file() {
        for kind in [SimulateKind::Clusters, SimulateKind::Counts { depth: 50.0, dominance: 0.75 }] {
            let config = SimulateConfig::new(kind, 1_500, 300, 4).with_seed(3);
            let one = made(&config, 1, 1 << 30);
            assert!(one == made(&config, 3, 26 << 20), "{kind:?}");
            assert!(one != made(&config.with_seed(4), 1, 1 << 30), "{kind:?}");
        }
    }

    #[test]
    fn a_budget_that_is_too_small_says_what_would_do() {
        let config = SimulateConfig::new(
            SimulateKind::Counts { depth: DEFAULT_DEPTH, dominance: DEFAULT_DOMINANCE },
            1_000,
            20_000,
            10,
        );
        let folder = tempfile::tempdir().unwrap();
        let dest = folder.path().join("made.h5ad");
        let error = simulate(&config, &dest, Overwrite::Refuse, &Machine::new(1, 16 << 20), &Quiet).unwrap_err();
        let SimulateError::Memory { needed, .. } = error else { panic!("{error}") };
        assert!(simulate(&config, &dest, Overwrite::Refuse, &Machine::new(1, needed), &Quiet).is_ok());
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        for (kind, cells, genes, programs) in [
            (SimulateKind::Clusters, 0, 1, 1),
            (SimulateKind::Clusters, 1, 0, 1),
            (SimulateKind::Clusters, 1, 1, 0),
            (SimulateKind::Counts { depth: 0.0, dominance: 0.5 }, 1, 1, 1),
            (SimulateKind::Counts { depth: 9.0, dominance: 1.1 }, 1, 1, 1),
            (SimulateKind::Counts { depth: 9.0, dominance: f64::NAN }, 1, 1, 1),
            (SimulateKind::Counts { depth: f64::NAN, dominance: 0.5 }, 1, 1, 1),
        ] {
            let config = SimulateConfig::new(kind, cells, genes, programs);
            let error = simulate(&config, Path::new("never"), Overwrite::Refuse, &Machine::new(1, 1 << 30), &Quiet)
                .unwrap_err();
            assert!(matches!(error, SimulateError::Setting { .. }), "{error}");
        }
    }

    #[test]
    fn a_cancelled_run_leaves_nothing() {
        struct Cancel;
        impl Monitor for Cancel {
            fn cancelled(&self) -> bool {
                true
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let config = SimulateConfig::new(SimulateKind::Clusters, 100, 10, 2);
        let dest = folder.path().join("made.h5ad");
        let error = simulate(&config, &dest, Overwrite::Refuse, &Machine::new(1, 1 << 30), &Cancel).unwrap_err();
        assert!(matches!(error, SimulateError::Storage(StorageError::Cancelled)));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
