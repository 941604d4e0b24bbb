//! Converts a source to a store, in bounded memory, on several threads.
//!
//! One thread reads one tile after another (the HDF5 library runs under one lock), encoders pack
//! the tiles, and the calling thread appends them in order. Each tile in flight has a slot, and the
//! budget limits the number of slots. The store depends only on the source and the block height.
//!
//! | file       | question                                                  |
//! |------------|-----------------------------------------------------------|
//! | `shape`    | sparse or dense, and how tall are tiles and blocks?       |
//! | `plan`     | how many threads and tiles in flight fit into the budget? |
//! | `pipeline` | how do reader, encoders and writer work together?         |
//! | `reader`   | when is a tile read, and into which slot?                 |
//! | `excerpt`  | what are the properties of a store before it is written?  |
//! | `check`    | which rows of a source are refused?                       |
//! | `tidy`     | how are rows sorted, merged and freed of zeros?           |
//! | `names`    | which names occur twice?                                  |

mod check;
mod excerpt;
#[cfg(feature = "hdf5")]
mod names;
mod pipeline;
mod plan;
mod reader;
mod shape;
mod tidy;

use std::path::Path;

pub use self::excerpt::{Excerpt, ExcerptTile, excerpt};
use self::shape::StoreShape;
use crate::source::{Rounding, Source};
use crate::store::{Overwrite, Store, StoreHeader, StoreWriter};
use crate::{Axis, Monitor, StorageError, Unit, Warning};

/// Settings of a conversion.
#[derive(Debug, Clone)]
pub struct ConvertSpec {
    /// Rows of a block, a multiple of the tile's height. The default is
    /// [`default_block_rows`](crate::store::default_block_rows).
    pub block_rows: Option<usize>,
    /// The budget for the resident memory of the process, in bytes.
    pub memory: u64,
    /// The most encoding threads. Fewer run if the budget requires it.
    pub threads: usize,
    /// Whether an existing store may be replaced.
    pub overwrite: Overwrite,
}

/// Writes the matrix of `source`, with its names and columns, into a new store at `dest`.
///
/// Reports progress in rows. At the end it warns of values rounded, rows sorted, duplicates merged,
/// zeros dropped, duplicate names, and empty cells and genes.
///
/// # Errors
///
/// - a value or index of the source is invalid; there is no cell or no gene at all
/// - the source breaks a promise: lengths, its form
/// - `dest` exists, or cannot be written; no unfinished store is left
/// - the budget is too small; the error states the smallest one that works
/// - `monitor` cancels
pub fn convert(
    source: &mut dyn Source,
    dest: &Path,
    spec: &ConvertSpec,
    monitor: &dyn Monitor,
) -> Result<Store, StorageError> {
    let shape = StoreShape::of(source, spec)?;
    // Before anything is allocated for the genes that the source claims.
    plan::plan(source, &shape, plan::expected_entries(&shape, source.form()), spec)?;
    let before = source.rounding();
    let header = StoreHeader {
        cells: shape.cells,
        genes: shape.genes,
        layout: shape.layout,
        block_rows: shape.block_rows,
        tile_rows: shape.tile_rows,
        source: source.stamp(),
    };
    let mut writer = StoreWriter::create(dest, header, spec.overwrite)?;
    monitor.start("convert", shape.cells as u64, Unit::Rows);
    let done = pipeline::run(source, &shape, spec, &mut writer, monitor)?;
    monitor.finish();
    let annotations = writer.annotations_path();
    source.write_annotations(&annotations, monitor)?;
    #[cfg(feature = "hdf5")]
    for axis in [Axis::Cells, Axis::Genes] {
        if let Some(found) = names::duplicates(&annotations, axis)? {
            monitor.warn(&Warning::DuplicateNames { axis, count: found.count, example: found.example });
        }
    }
    done.tidied.report(monitor);
    report_rounding(before, source, monitor);
    if monitor.cancelled() {
        return Err(StorageError::Cancelled);
    }
    let store = writer.finish()?;
    let empty_genes = store.gene_moments().iter().filter(|gene| gene.nonzeros == 0).count() as u64;
    for (axis, count) in [(Axis::Cells, done.empty_cells), (Axis::Genes, empty_genes)] {
        if count > 0 {
            monitor.warn(&Warning::Empty { axis, count });
        }
    }
    Ok(store)
}

/// Warns of the values that were rounded since `before`.
fn report_rounding(before: Rounding, source: &dyn Source, monitor: &dyn Monitor) {
    let after = source.rounding();
    let count = after.count.saturating_sub(before.count);
    if count > 0 {
        monitor.warn(&Warning::RoundedToF32 { dataset: source.dataset().into(), count, example: after.example });
    }
}
