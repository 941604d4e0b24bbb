//! Packs a few tiles of a source as a conversion would. They show the properties of its store
//! before it is written, and serve to time the arithmetic.

use aligned_vec::{AVec, ConstAlign};

use super::check::{self, Place};
use super::shape::StoreShape;
use super::tidy::Tidier;
use super::transpose::Transposed;
use super::{ConvertSpec, plan, read_ahead, reader};
use crate::source::{Form, RowChunk, Source};
use crate::store::Layout;
use crate::tile::{CellMoments, CsrRows, TileEncoder, encode_dense};
use crate::{Quiet, StorageError};

/// The most tiles of an excerpt, spread over the rows.
const TILES: usize = 8;

/// Stored entries (values, if dense) after which no further tile is read.
const ENTRIES: usize = 2_000_000;

/// A packed tile in memory.
#[derive(Debug, Clone)]
pub struct ExcerptTile {
    /// Its bytes, aligned as in a store.
    pub bytes: AVec<u8, ConstAlign<64>>,
    /// Its rows.
    pub rows: usize,
    /// Its values above zero.
    pub nonzeros: u64,
}

/// Estimates of a store before it is written.
#[derive(Debug, Clone)]
pub struct Excerpt {
    /// Rows of the matrix.
    pub cells: usize,
    /// Columns of the matrix.
    pub genes: usize,
    /// Sparse or dense tiles.
    pub layout: Layout,
    /// Rows of a block.
    pub block_rows: usize,
    /// Rows of a tile.
    pub tile_rows: usize,
    /// Values above zero (estimate).
    pub nonzeros: u64,
    /// Bytes of all tiles (estimate).
    pub packed_bytes: u64,
    /// Bytes of the largest tile (estimate).
    pub max_tile_bytes: u64,
    /// Nonzeros of the fullest tile (estimate).
    pub max_tile_nonzeros: u64,
    /// The mean nonzeros of a row that is drawn with probability proportional to its squared norm.
    pub sample_row_nonzeros: u64,
    /// Memory of the conversion in addition to that of the process (estimate), in bytes.
    pub converting_bytes: u64,
    /// The tiles of the excerpt, in the order of their rows.
    pub tiles: Vec<ExcerptTile>,
}

/// Packs a few tiles of `source`: all of a small one, otherwise up to eight tiles or about two
/// million entries.
///
/// Costs reading, decompressing and packing these tiles. A source of entries is read whole, into a
/// temporary file without a name in the folder for such files.
///
/// # Errors
///
/// - as for [`convert`](super::convert()), for the rows that are read
pub fn excerpt(source: &mut dyn Source, spec: &ConvertSpec) -> Result<Excerpt, StorageError> {
    if let Form::Entries { .. } = source.form() {
        let mut transposed = Transposed::of(source, &std::env::temp_dir(), spec, &Quiet)?;
        return excerpt_of_rows(&mut transposed, spec);
    }
    excerpt_of_rows(source, spec)
}

fn excerpt_of_rows(source: &mut dyn Source, spec: &ConvertSpec) -> Result<Excerpt, StorageError> {
    let shape = StoreShape::of(source, spec)?;
    let form = source.form();
    let mut packer = Packer::default();
    let (mut tiles, mut cells) = (Vec::new(), Vec::new());
    let (mut rows, mut entries, mut stored) = (0, 0, 0);
    let step = shape.tiles().div_ceil(TILES).max(1);
    for tile in (0..shape.tiles()).step_by(step) {
        let (packed, moments, held) = packer.pack(source, &shape, form, tile)?;
        rows += packed.rows;
        stored += held as u64;
        entries += match shape.layout {
            Layout::Sparse => packed.nonzeros as usize,
            Layout::Dense => packed.rows * shape.genes,
        };
        tiles.push(packed);
        cells.extend(moments);
        if entries >= ENTRIES {
            break;
        }
    }

    if rows == shape.cells && !source.is_joined() {
        Place::of(source, shape.genes).check_total(form, stored)?;
    }
    // As the conversion will, which is foreseen below.
    read_ahead(source, spec);
    let scale = shape.cells as f64 / rows.max(1) as f64;
    let scaled = |sum: u64| (sum as f64 * scale) as u64;
    let nonzeros = tiles.iter().map(|tile| tile.nonzeros).sum();
    let largest = tiles.iter().map(|tile| tile.bytes.len() as u64).max().unwrap_or(0);
    let most = tiles.iter().map(|tile| tile.nonzeros).max().unwrap_or(0).max(1);
    let (nonzeros, max_tile_nonzeros) = match form {
        // The row pointers give both, but the entries that they count may be zeros.
        Form::Sparse { entries, most_per_tile } => (scaled(nonzeros).min(entries), most.max(most_per_tile as u64)),
        Form::Dense | Form::Entries { .. } => (scaled(nonzeros), most),
    };
    let max_tile_bytes = (largest as f64 * (max_tile_nonzeros as f64 / most as f64)) as u64;
    let weighted: f64 = cells.iter().map(|cell| f64::from(cell.nonzeros) * cell.sum_sq).sum();
    let norms: f64 = cells.iter().map(|cell| cell.sum_sq).sum();
    Ok(Excerpt {
        cells: shape.cells,
        genes: shape.genes,
        layout: shape.layout,
        block_rows: shape.block_rows,
        tile_rows: shape.tile_rows,
        nonzeros,
        packed_bytes: scaled(tiles.iter().map(|tile| tile.bytes.len() as u64).sum()),
        max_tile_bytes,
        max_tile_nonzeros,
        sample_row_nonzeros: if norms > 0.0 { (weighted / norms).ceil() as u64 } else { 1 },
        converting_bytes: plan::foresee(source, &shape, spec, (most, largest as f64 / most as f64))?,
        tiles,
    })
}

/// Packs tiles. Keeps its buffers.
#[derive(Default)]
struct Packer {
    dense: RowChunk,
    chunk: RowChunk,
    tidier: Tidier,
    encoder: TileEncoder,
    bytes: Vec<u8>,
}

impl Packer {
    /// Returns a tile, the sums of its rows, and the number of entries that the source stores for
    /// it.
    fn pack(
        &mut self,
        source: &mut dyn Source,
        shape: &StoreShape,
        form: Form,
        tile: usize,
    ) -> Result<(ExcerptTile, Vec<CellMoments>, usize), StorageError> {
        let rows = shape.rows_of(tile);
        let stored = reader::read_tile(source, shape, form, tile, &mut self.dense, &mut self.chunk)?;
        let fault = |fault| Place::of(source, shape.genes).fault(rows.start, fault);
        let moments = match &mut self.chunk {
            RowChunk::Sparse { indptr, indices, values } => {
                self.tidier.tidy(indptr, indices, values, shape.genes).map_err(fault)?;
                self.encoder.encode(CsrRows { indptr, indices, values }, shape.genes, &mut self.bytes)
            }
            RowChunk::Dense { values } => {
                check::check_dense(values, shape.genes).map_err(fault)?;
                encode_dense(values, shape.genes, &mut self.bytes)
            }
        };
        let nonzeros = moments.cells.iter().map(|cell| u64::from(cell.nonzeros)).sum();
        let mut bytes = AVec::with_capacity(64, self.bytes.len());
        bytes.extend_from_slice(&self.bytes);
        Ok((ExcerptTile { bytes, rows: rows.len(), nonzeros }, moments.cells, stored))
    }
}
