//! A forecast of the store that a file becomes, from the header of the file alone. With it, `fit`
//! refuses impossible settings before the conversion.

use partwise_driver::DataShape;
use partwise_storage::source::{Form, Source};
use partwise_storage::store::kept_caps;
use partwise_storage::{Layout, default_block_rows};

/// Packed bytes per entry of counts. Fractions take up to five times as many.
const BYTES_PER_ENTRY: u64 = 1;

/// The shape of the store that `source` would become. For a sparse file, the bytes are a lower
/// bound. A dense file of mostly zeros becomes a sparse store, which is smaller than this forecast.
pub(super) fn shape(source: &dyn Source) -> DataShape {
    let (cells, genes) = (source.cells(), source.genes());
    let values = cells as u64 * genes as u64;
    let (layout, nonzeros, packed_bytes, max_tile_bytes, max_tile_nonzeros) = match source.form() {
        Form::Sparse { entries, most_per_tile } => {
            (Layout::Sparse, entries, BYTES_PER_ENTRY * entries, BYTES_PER_ENTRY * most_per_tile as u64, most_per_tile)
        }
        // The fullest tile is not known.
        Form::Entries { at_most } => {
            let a_tile = at_most * Layout::Sparse.tile_rows(genes) as u64 / cells.max(1) as u64;
            (Layout::Sparse, at_most, BYTES_PER_ENTRY * at_most, BYTES_PER_ENTRY * a_tile, a_tile as usize)
        }
        Form::Dense => {
            let tile = 4 * (Layout::Dense.tile_rows(genes) * genes) as u64;
            (Layout::Dense, values, 4 * values, tile, 0)
        }
    };
    let (block_rows, tile_rows) = (default_block_rows(cells, genes, nonzeros), layout.tile_rows(genes));
    let tiles = block_rows.div_ceil(tile_rows) as u64;
    DataShape {
        cells,
        genes,
        nonzeros,
        layout,
        block_rows,
        tile_rows,
        packed_bytes,
        max_tile_bytes,
        max_tile_nonzeros,
        max_block_bytes: tiles * max_tile_bytes,
        keeps_sample: kept_caps(layout, nonzeros).is_some(),
        own_cells: cells,
        own_bytes: packed_bytes,
        leaves_out_genes: false,
        leading_genes: genes.min(DataShape::FEWEST_LEADING),
        leading_nonzeros: nonzeros,
        sample_row_entries: 2 * nonzeros / cells.max(1) as u64,
    }
}
