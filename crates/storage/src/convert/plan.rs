//! Plans how many threads and how many tiles in flight fit into a memory budget.
//!
//! The plan does not change the store: tiles and their order are always the same.

use super::ConvertSpec;
use super::shape::StoreShape;
use crate::StorageError;
use crate::source::{Form, Source};
use crate::store::Layout;

/// A process with HDF5 (14 MiB), and twice the memory for names and columns.
pub(super) const PROCESS: u64 = 32 << 20;

/// Bytes that a reader may keep in memory while the leading rows are read, with any budget: names
/// and columns are not written yet, and their share of [`PROCESS`] is free.
const SAMPLING: u64 = 16 << 20;

/// The fixed cost of encoding, measured: code, threads.
const ENCODING: u64 = 1 << 20;

/// The fixed cost of writing names, measured: code of the HDF5 library that opening a file does not
/// touch, and its buffers.
const WRITING: u64 = 6 << 20;

/// The most memory for writing and checking names and columns, measured.
const NAMES: u64 = 4 << 20;
const NAMES_PER_CELL: u64 = 240;

/// Stack and allocator of an encoding thread, measured.
const ENCODER: u64 = 128 << 10;

/// Stack, allocator and small buffers of a thread.
const THREAD: u64 = 512 << 10;

/// The memory needs of a conversion.
#[derive(Debug, Clone, Copy)]
struct Needs {
    /// Bytes that do not depend on tiles and threads.
    fixed: u64,
    /// Bytes while names and columns are written, after the tiles.
    naming: u64,
    /// Bytes for each tile in flight: its rows, its packed form, its moments.
    per_tile: u64,
    /// Bytes of scratch memory for each encoding thread.
    per_thread: u64,
}

/// The number of threads and tiles of a conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    /// Encoding threads.
    pub(super) threads: usize,
    /// The most tiles in flight.
    pub(super) tiles: usize,
}

/// The most entries expected in a tile.
pub(super) fn expected_entries(shape: &StoreShape, form: Form) -> usize {
    match form {
        Form::Sparse { most_per_tile, .. } => most_per_tile,
        Form::Dense => shape.sampled_entries_per_tile,
        Form::Entries { .. } => unreachable!("entries are transposed first"),
    }
}

/// Plans the conversion of tiles of up to `entries` entries.
///
/// # Errors
///
/// - the budget is too small; the error states the smallest one that works
pub(super) fn plan(
    source: &dyn Source,
    shape: &StoreShape,
    entries: usize,
    spec: &ConvertSpec,
) -> Result<Plan, StorageError> {
    let needs = needs(shape, entries, source.resident_bytes(), source.annotation_bytes());
    needs.plan(spec.memory, spec.threads).map_err(|smallest| StorageError::MemoryBudget {
        path: source.path().into(),
        given: spec.memory,
        smallest,
        condition: String::new(),
    })
}

/// Estimates the memory of a conversion in addition to that of the process. The largest tile read
/// has `most` entries (a sparse source gives the number for all tiles), of `packed` bytes each. The
/// estimate is of resident memory; [`needs`] reserves twice the content of every buffer.
///
/// # Errors
///
/// - the budget is too small; the error states the smallest one that works
pub(super) fn foresee(
    source: &dyn Source,
    shape: &StoreShape,
    spec: &ConvertSpec,
    (most, packed): (u64, f64),
) -> Result<u64, StorageError> {
    let entries = expected_entries(shape, source.form());
    let Plan { threads, tiles } = plan(source, shape, entries, spec)?;
    let entries = match source.form() {
        Form::Sparse { most_per_tile, .. } => most_per_tile,
        Form::Dense | Form::Entries { .. } => most as usize,
    };
    let (threads, tiles) = (threads as u64, tiles.min(shape.tiles()) as u64);
    let threads = threads.min(tiles);
    let (genes, entries) = (shape.genes as u64, entries as u64);
    let (tile, thread) = match shape.layout {
        Layout::Sparse => {
            let packed = (packed * entries as f64) as u64;
            let times = |bytes: u64| entries.saturating_mul(bytes).saturating_add(packed);
            (times(8).saturating_add(64 * genes.min(entries)), times(17).saturating_add(8 * genes))
        }
        Layout::Dense => (8 * shape.tile_rows as u64 * genes, 4 * shape.tile_rows as u64 * genes),
    };
    let encoding = [64 * genes, tiles.saturating_mul(tile), threads.saturating_mul(thread.saturating_add(ENCODER))];
    let encoding = encoding.into_iter().fold(source.resident_bytes(), u64::saturating_add);
    let naming = NAMES_PER_CELL.saturating_mul(shape.cells as u64).min(NAMES);
    let naming = source.annotation_bytes().saturating_add(WRITING + naming);
    let all = encoding.saturating_add(ENCODING).max(naming);
    Ok(all.saturating_add(all / 8))
}

/// Checks that the first reads fit into the budget: the leading rows of a dense source, the row
/// pointers of a sparse one.
///
/// # Errors
///
/// - they cannot; the error states a budget that works for any values, because none of them was
///   read
pub(super) fn check_sampling(
    source: &dyn Source,
    (cells, genes): (usize, usize),
    spec: &ConvertSpec,
) -> Result<(), StorageError> {
    let row = match source.form() {
        Form::Sparse { .. } | Form::Entries { .. } => 0,
        Form::Dense => (genes as u64).saturating_mul(size_of::<f32>() as u64),
    };
    let resident = source.resident_bytes();
    let reading = resident.saturating_add(row);
    if reading <= SAMPLING || spec.memory >= PROCESS.saturating_add(reading) {
        return Ok(());
    }
    let smallest = [Layout::Dense, Layout::Sparse].map(|layout| {
        let tile_rows = layout.tile_rows(genes);
        let entries = tile_rows.saturating_mul(genes);
        let entries = match (source.form(), layout) {
            (Form::Sparse { .. } | Form::Entries { .. }, Layout::Dense) => return 0,
            (Form::Sparse { entries: all, .. } | Form::Entries { at_most: all }, Layout::Sparse) => {
                entries.min(all as usize)
            }
            (Form::Dense, _) => entries,
        };
        let shape =
            StoreShape { cells, genes, layout, tile_rows, block_rows: tile_rows, sampled_entries_per_tile: entries };
        needs(&shape, entries, resident, source.annotation_bytes()).smallest()
    });
    Err(StorageError::MemoryBudget {
        path: source.path().into(),
        given: spec.memory,
        smallest: smallest[0].max(smallest[1]),
        condition: " for any values (this budget is too small to read some of them)".into(),
    })
}

/// The needs of tiles of up to `entries` entries. A source may claim any number, so that sums
/// saturate.
fn needs(shape: &StoreShape, entries: usize, source_resident: u64, annotations: u64) -> Needs {
    let (genes, rows, entries) = (shape.genes as u64, shape.tile_rows as u64, entries as u64);
    let tiles = shape.cells.div_ceil(shape.tile_rows) as u64;
    // Sums of genes, the table of tiles.
    let fixed = source_resident.saturating_add(PROCESS + 208 * genes).saturating_add(tiles.saturating_mul(48));
    // The process has its share for names of usual files.
    let naming = fixed.saturating_add(annotations);
    let entries_of = |bytes: u64| entries.saturating_mul(bytes);
    match shape.layout {
        Layout::Sparse => Needs {
            // Columns and values; the packed form at worst; a share of the sums for each gene
            // present.
            fixed,
            naming,
            per_tile: entries_of(8 + 5).saturating_add(64 * genes.min(entries) + 48 * rows + genes / 8),
            // The encoder sorts, codes and packs, and grows its buffers by doubling.
            per_thread: entries_of(24).saturating_add(THREAD + 48 * genes),
        },
        Layout::Dense => {
            let tile = (4 * rows).saturating_mul(genes);
            Needs { fixed, naming, per_tile: 2 * tile + 64 * genes + 48 * rows, per_thread: THREAD + tile + 16 * genes }
        }
    }
}

impl Needs {
    /// The smallest budget that works.
    fn smallest(&self) -> u64 {
        // One tile is read while another one is packed.
        let encoding = self.fixed.saturating_add(self.per_tile.saturating_mul(2)).saturating_add(self.per_thread);
        encoding.max(self.naming)
    }

    /// The plan for a budget, or the smallest budget that works.
    fn plan(&self, memory: u64, threads: usize) -> Result<Plan, u64> {
        let smallest = self.smallest();
        if memory < smallest || smallest == u64::MAX {
            return Err(smallest);
        }
        let encoding = self.fixed + 2 * self.per_tile + self.per_thread;
        let more = (memory - encoding) / (self.per_tile + self.per_thread);
        let threads = (1 + more).min(threads.max(1) as u64);
        let left = memory - self.fixed - threads * self.per_thread;
        let tiles = (left / self.per_tile.max(1)).clamp(threads + 1, 2 * threads + 1);
        Ok(Plan { threads: threads as usize, tiles: tiles as usize })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS: Needs = Needs { fixed: 1000, naming: 1100, per_tile: 100, per_thread: 50 };

    #[test]
    fn a_budget_below_the_smallest_is_refused_with_the_smallest() {
        assert_eq!(NEEDS.plan(1249, 4), Err(1250));
        assert_eq!(NEEDS.plan(1250, 4), Ok(Plan { threads: 1, tiles: 2 }));
        let named = Needs { naming: 1400, ..NEEDS };
        assert_eq!(named.plan(1399, 4), Err(1400));
        assert_eq!(named.plan(1400, 4), NEEDS.plan(1400, 4));
    }

    #[test]
    fn more_memory_gives_more_threads_and_then_more_tiles_but_never_beyond_the_budget() {
        for memory in 1250..4000 {
            let plan = NEEDS.plan(memory, 7).unwrap();
            assert!(plan.threads <= 7 && plan.tiles > plan.threads && plan.tiles <= 15);
            assert!(1000 + 100 * plan.tiles as u64 + 50 * plan.threads as u64 <= memory, "{memory}: {plan:?}");
        }
        assert_eq!(NEEDS.plan(1 << 40, 7), Ok(Plan { threads: 7, tiles: 15 }));
    }
}
