//! Converts a source to a store, in bounded memory, on several threads.
//!
//! One thread reads one tile after another (the HDF5 library runs under one lock), encoders pack
//! the tiles, and the calling thread appends them in order. Each tile in flight has a slot, and the
//! budget limits the number of slots. The store depends only on the source and the block height.
//!
//! Entries that are not stored by rows are put into rows first, in one place for all formats.
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
//! | `transpose` | how do entries in any order become rows, out of core?    |

mod check;
mod excerpt;
#[cfg(feature = "hdf5")]
mod names;
mod pipeline;
mod plan;
mod reader;
mod shape;
mod tidy;
mod transpose;

use std::path::Path;

#[cfg(feature = "hdf5")]
pub(crate) use self::check::Place;
pub use self::excerpt::{Excerpt, ExcerptTile, excerpt};
#[cfg(feature = "hdf5")]
pub(crate) use self::reader::sparse_rows;
use self::shape::StoreShape;
use self::transpose::Transposed;
#[cfg(feature = "hdf5")]
pub(crate) use self::transpose::{Gather, gather};
use crate::source::{Form, Rounding, Source, peek};
use crate::store::{self, GoOn, Overwrite, SourceStamp, Store, StoreHeader, StoreWriter};
use crate::{Axis, ErrorKind, Monitor, StorageError, Unit, Warning};

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

/// The part of the budget for reading ahead, and the most bytes for it: longer runs only delay the
/// packing of their first rows.
const AHEAD: u64 = 16;
const MOST_AHEAD: u64 = 32 << 20;

/// Writes the matrix of `source`, with its names and columns, into a new store at `dest`. Closes the
/// source before the store is finished.
///
/// A source of entries is read once into a temporary file beside `dest`, of about the size of the
/// store, and becomes rows from there.
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
    mut source: Box<dyn Source + '_>,
    dest: &Path,
    spec: &ConvertSpec,
    monitor: &dyn Monitor,
) -> Result<Store, StorageError> {
    let before = source.rounding();
    let folder = dest.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    source.use_folder(folder);
    read_ahead(source.as_mut(), spec);
    let packed = if let Form::Entries { .. } = source.form() {
        store::check_destination(dest, spec.overwrite)?;
        let mut transposed = Transposed::of(source.as_mut(), folder, spec, monitor)?;
        pack(&mut transposed, dest, spec, before, monitor)?
    } else {
        pack(source.as_mut(), dest, spec, before, monitor)?
    };
    // Before the store is there: a library that fails while it closes a damaged file ends the process.
    drop(source);
    packed.finish(monitor)
}

/// Lets `source` read ahead, within its part of the budget.
fn read_ahead(source: &mut dyn Source, spec: &ConvertSpec) {
    source.read_ahead(spec.threads, (spec.memory / AHEAD).min(MOST_AHEAD));
}

/// All rows, names and columns of a source, in files that are no store yet.
struct Packed {
    writer: StoreWriter,
    empty_cells: u64,
}

impl Packed {
    fn finish(self, monitor: &dyn Monitor) -> Result<Store, StorageError> {
        let store = self.writer.finish()?;
        let empty_genes = store.gene_moments().iter().filter(|gene| gene.nonzeros == 0).count() as u64;
        for (axis, count) in [(Axis::Cells, self.empty_cells), (Axis::Genes, empty_genes)] {
            if count > 0 {
                monitor.warn(&Warning::Empty { axis, count });
            }
        }
        Ok(store)
    }
}

/// Writes the rows of `source` for a new store. `before` are the values rounded before.
fn pack(
    source: &mut dyn Source,
    dest: &Path,
    spec: &ConvertSpec,
    before: Rounding,
    monitor: &dyn Monitor,
) -> Result<Packed, StorageError> {
    let shape = StoreShape::of(source, spec)?;
    // Before anything is allocated for the genes that the source claims.
    let plan = plan::plan(source, &shape, plan::expected_entries(&shape, source.form()), spec)?;
    let header = StoreHeader {
        cells: shape.cells,
        genes: shape.genes,
        layout: shape.layout,
        block_rows: shape.block_rows,
        tile_rows: shape.tile_rows,
        source: source.stamp(),
    };
    let mut writer = match source.is_joined() {
        false => StoreWriter::create(dest, header, spec.overwrite)?,
        true => {
            let common_rows = &|earlier: &SourceStamp| source.common_rows(earlier);
            let go_on = GoOn { genes: source.genes_crc(), common_rows };
            StoreWriter::go_on(dest, header, spec.overwrite, &go_on)?
        }
    };
    let resumed = shape.rows_before(writer.tiles_done());
    if resumed > 0 {
        monitor.warn(&Warning::WentOn { cells: resumed as u64 });
    }
    monitor.start("convert", shape.cells as u64, Unit::Rows);
    monitor.advance(resumed as u64);
    let is_joined = source.is_joined();
    // Of several files, whole blocks stay for the next run.
    let kept = |error: StorageError, rows: usize| {
        let cells = rows as u64;
        match error.kind() {
            _ if !is_joined || rows == 0 => error,
            ErrorKind::Cancelled => StorageError::Stopped { cells },
            _ => {
                monitor.warn(&Warning::Kept { cells });
                error
            }
        }
    };
    let packed = pipeline::run(source, &shape, spec, &mut writer, monitor);
    let mut done = packed.map_err(|error| kept(error, writer.rows_kept()))?;
    if is_joined {
        done.tidied.forget_order();
    }
    monitor.finish();
    // Names and columns take the memory for reading ahead.
    source.read_ahead(1, 0);
    if let Some(caps) = writer.kept_caps() {
        // A thread holds the entries of two tiles.
        let sampled = writer.write_sample(caps, (plan.tiles / 2).max(1), monitor);
        sampled.map_err(|error| kept(error, writer.rows_kept()))?;
    }
    let annotations = writer.annotations_path();
    source.write_annotations(&annotations, monitor).map_err(|error| kept(error, writer.rows_kept()))?;
    #[cfg(feature = "hdf5")]
    for axis in [Axis::Cells, Axis::Genes] {
        if let Some(found) = names::duplicates(&annotations, axis)? {
            monitor.warn(&Warning::DuplicateNames { axis, count: found.count, example: found.example });
        }
    }
    done.tidied.report(monitor);
    report_rounding(before, source, monitor);
    if monitor.cancelled() {
        return Err(kept(StorageError::Cancelled, writer.rows_kept()));
    }
    if !writer.is_integer() {
        let counts = peek::counts_elsewhere(source);
        monitor.warn(&Warning::NotCounts { dataset: source.dataset().into(), counts });
    }
    Ok(Packed { writer, empty_cells: done.empty_cells })
}

/// Warns of the values that were rounded since `before`.
fn report_rounding(before: Rounding, source: &dyn Source, monitor: &dyn Monitor) {
    let after = source.rounding();
    let count = after.count.saturating_sub(before.count);
    if count > 0 {
        monitor.warn(&Warning::RoundedToF32 { dataset: source.dataset().into(), count, example: after.example });
    }
}
