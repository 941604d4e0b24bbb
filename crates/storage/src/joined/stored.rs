//! A store as one of several files: its rows are decoded, and the files that it was made from are not read
//! again.

use std::ops::Range;
use std::path::Path;

use crate::hdf;
use crate::source::annotations::Table;
use crate::source::{Form, Rounding, RowChunk, Source};
use crate::store::{Layout, SegmentBuf, SourceStamp, Store};
use crate::tile::{Rows, Tile, TileError};
use crate::{Axis, FrameWriter, Monitor, StorageError};

/// A store, read by rows.
pub(super) struct StoreSource {
    store: Store,
    buffer: SegmentBuf,
    rows: Rows,
}

/// Whether there is a store at `path`.
pub(super) fn is_store(path: &Path) -> bool {
    path.join("manifest.json").is_file()
}

impl StoreSource {
    pub(super) fn open(path: &Path) -> Result<Self, StorageError> {
        Ok(StoreSource { store: Store::open(path)?, buffer: SegmentBuf::new(), rows: Rows::default() })
    }
}

impl Source for StoreSource {
    fn path(&self) -> &Path {
        self.store.path()
    }

    fn dataset(&self) -> &str {
        "X"
    }

    fn cells(&self) -> usize {
        self.store.cells()
    }

    fn genes(&self) -> usize {
        self.store.genes()
    }

    fn form(&self) -> Form {
        match self.store.layout() {
            Layout::Sparse => {
                // Tiles of the new store may lie across two of this one.
                let most_per_tile = 2 * self.store.max_tile_nonzeros();
                Form::Sparse { entries: self.store.nonzeros(), most_per_tile }
            }
            Layout::Dense => Form::Dense,
        }
    }

    fn resident_bytes(&self) -> u64 {
        let (tiles, tile) = (self.store.cells().div_ceil(self.store.tile_rows()), self.store.max_tile_bytes() as u64);
        tile + 8 * self.store.max_tile_nonzeros() as u64 + 32 * tiles as u64 + 40 * self.store.genes() as u64
    }

    fn read_rows(&mut self, rows: Range<usize>, chunk: &mut RowChunk) -> Result<(), StorageError> {
        assert!(rows.start <= rows.end && rows.end <= self.cells(), "rows {rows:?} are inside the matrix");
        let (store, genes) = (&self.store, self.store.genes());
        match store.layout() {
            Layout::Sparse => chunk.sparse().0.push(0),
            Layout::Dense => chunk.dense().reserve(rows.len().saturating_mul(genes)),
        }
        let mut row = rows.start;
        while row < rows.end {
            let block = row / store.block_rows();
            let tile = (row - block * store.block_rows()) / store.tile_rows();
            let first = block * store.block_rows() + tile * store.tile_rows();
            let segment = store.read(block, tile..tile + 1, &mut self.buffer)?;
            let end = match (segment.tile(tile)?, &mut *chunk) {
                (Tile::Sparse(packed), RowChunk::Sparse { indptr, indices, values }) => {
                    let end = rows.end.min(first + packed.rows());
                    let damaged = |source: TileError| StorageError::DamagedTile {
                        path: store.path().into(),
                        block,
                        first_row: first,
                        last_row: first + packed.rows() - 1,
                        source,
                    };
                    let decoded = self.rows.of(&packed).map_err(damaged)?;
                    let span = decoded.indptr[row - first]..decoded.indptr[end - first];
                    let before = values.len();
                    indices.extend_from_slice(&decoded.indices[span.clone()]);
                    values.extend_from_slice(&decoded.values[span.clone()]);
                    let ends = &decoded.indptr[row - first + 1..=end - first];
                    indptr.extend(ends.iter().map(|end| end - span.start + before));
                    end
                }
                (Tile::Dense(table), RowChunk::Dense { values }) => {
                    let end = rows.end.min(first + table.rows);
                    values.extend_from_slice(&table.values[(row - first) * genes..(end - first) * genes]);
                    end
                }
                _ => unreachable!("the chunk has the layout of the store"),
            };
            row = end;
        }
        Ok(())
    }

    fn rounding(&self) -> Rounding {
        Rounding::default()
    }

    fn write_table(&self, axis: Axis, table: &mut FrameWriter, monitor: &dyn Monitor) -> Result<(), StorageError> {
        let path = self.store.annotations()?;
        let file = hdf::file::open(&path)?;
        let name = if axis == Axis::Cells { "obs" } else { "var" };
        let source = Table::of_anndata(axis, &file, "", name, None).unwrap_or_else(|| Table::absent(axis));
        source.write(&path, table, monitor)
    }

    fn stamp(&self) -> SourceStamp {
        self.store.source().clone()
    }
}
