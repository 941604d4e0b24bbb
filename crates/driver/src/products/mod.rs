//! The products of one tile, sparse or dense.
//!
//! A fold asks for `X·Hᵀ`, `WᵀX` or the entries of a tile. Only this file knows whether the tile is
//! sparse or dense and whether one sheet holds it. A tile in one sheet is decoded once for all
//! factorizations and folds that take their products from it.

use partwise_kernels::{FactorMut, FactorRef, Runs, dense, sparse};
use partwise_storage::store::Layout;
use partwise_storage::tile::{ChosenRow, DenseTile, RunBatch, SHEET_NONZEROS, TakeScratch, TakenRows, Tile, TileError};

/// Buffers that tiles are decoded into: one a worker, kept from pass to pass.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Runs sorted by length, as the products want them.
    sheet: RunBatch,
    /// Runs in gene order, for folds that look at entries.
    batch: RunBatch,
    row_scratch: TakeScratch,
    /// Factors of the rows of a tile whose values are taken as logarithms.
    factors: Vec<f32>,
    /// The logarithms of a dense tile.
    dense: Vec<f32>,
}

impl Decoder {
    /// Empty buffers, which grow to the fullest tile.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes that the buffers hold for products of tiles of `tile_nonzeros` (0: dense) and `genes`.
    pub fn bytes(genes: usize, tile_nonzeros: usize) -> u64 {
        RunBatch::sheet_bytes(genes, tile_nonzeros) as u64
    }

    /// Bytes that they hold besides if values are taken as logarithms.
    pub(crate) fn logarithm_bytes(tile_rows: usize, genes: usize, layout: Layout) -> u64 {
        let values = if layout == Layout::Dense { tile_rows * genes } else { 0 };
        4 * (tile_rows + values) as u64
    }

    /// The products of `tile`, which has `genes` columns.
    pub fn products<'d>(&'d mut self, tile: Tile<'d>, genes: usize) -> TileProducts<'d> {
        let rows = match &tile {
            Tile::Sparse(tile) => tile.rows(),
            Tile::Dense(tile) => tile.rows,
        };
        TileProducts { tile, rows, genes, decoder: self, decoded: false, logarithms: false }
    }
}

/// A tile of X (b × m), to take products from.
pub struct TileProducts<'d> {
    tile: Tile<'d>,
    rows: usize,
    genes: usize,
    decoder: &'d mut Decoder,
    /// Whether the sheet holds the whole tile.
    decoded: bool,
    /// Whether values are taken as logarithms.
    logarithms: bool,
}

impl std::fmt::Debug for TileProducts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TileProducts({} × {})", self.rows, self.genes)
    }
}

/// A part of a tile: all rows, and for sparse tiles some of the nonzeros, decoded. The products of
/// the parts add up to those of the tile.
#[derive(Debug, Clone, Copy)]
pub struct TilePart<'p>(Part<'p>);

#[derive(Debug, Clone, Copy)]
enum Part<'p> {
    Sparse(Runs<'p>),
    Dense(&'p [f32]),
}

impl TilePart<'_> {
    /// `xht += x · hᵀ`.
    ///
    /// | argument | shape | holds                                               |
    /// |----------|-------|-----------------------------------------------------|
    /// | `xht`    | b × k | added to; one factorization, or several side by side |
    /// | `ht`     | m × k | spectra, gene-major                                 |
    ///
    /// Costs `2·nonzeros·k` flops (`2·b·m·k` where dense) and allocates nothing.
    pub fn xht(&self, xht: FactorMut<'_>, ht: FactorRef<'_>) {
        match self.0 {
            Part::Sparse(runs) => sparse::xht(xht, runs, ht),
            Part::Dense(x) => dense::xht(xht, x, ht),
        }
    }

    /// `share += xᵀ · w`, gene-major.
    ///
    /// | argument | shape | holds                                               |
    /// |----------|-------|-----------------------------------------------------|
    /// | `share`  | m × k | added to; one factorization, or several side by side |
    /// | `w`      | b × k | usages of the tile's rows                           |
    ///
    /// Costs as [`xht`](Self::xht).
    pub fn wtx(&self, share: FactorMut<'_>, w: FactorRef<'_>) {
        match self.0 {
            Part::Sparse(runs) => sparse::wtx(share, runs, w),
            Part::Dense(x) => dense::wtx(share, x, w),
        }
    }
}

impl TileProducts<'_> {
    /// Rows b of the tile.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns m.
    pub fn genes(&self) -> usize {
        self.genes
    }

    /// Stored entries of the tile, zeros of a dense one included.
    pub(crate) fn entries_at_most(&self) -> usize {
        match &self.tile {
            Tile::Sparse(tile) => tile.nonzeros(),
            Tile::Dense(tile) => tile.values.len(),
        }
    }

    /// From here on, every value x of row i is ln(1 + x·factors\[i\]) for all computations of the pass.
    /// The logarithm is a function of this program and not the system's, so that it has the same bits
    /// everywhere.
    pub(crate) fn take_logarithms(&mut self, factors: &[f32]) {
        assert!(!self.decoded, "the values have not been looked at");
        assert_eq!(factors.len(), self.rows, "a factor for each row");
        if std::mem::replace(&mut self.logarithms, true) {
            return;
        }
        let Decoder { factors: kept, dense, .. } = &mut *self.decoder;
        kept.clear();
        kept.extend_from_slice(factors);
        if let Tile::Dense(DenseTile { values, genes, .. }) = self.tile {
            dense.clear();
            for (row, &factor) in values.chunks_exact(genes).zip(factors) {
                dense.extend(row.iter().map(|&value| logarithm(value, factor)));
            }
        }
    }

    /// Shows the tile part by part: once if one sheet holds it, which is then decoded only the
    /// first time.
    ///
    /// # Errors
    ///
    /// When the tile does not decode.
    pub fn parts(&mut self, mut see: impl FnMut(TilePart<'_>)) -> Result<(), TileError> {
        let tile = match self.tile {
            Tile::Dense(DenseTile { values, .. }) => {
                see(TilePart(Part::Dense(if self.logarithms { &self.decoder.dense } else { values })));
                return Ok(());
            }
            Tile::Sparse(tile) => tile,
        };
        let Decoder { sheet, factors, .. } = &mut *self.decoder;
        if !self.decoded {
            let one_sheet = tile.nonzeros() <= SHEET_NONZEROS;
            let mut runs = tile.runs();
            while runs.next_sheet(sheet)? {
                if self.logarithms {
                    take_logarithms(sheet, factors);
                }
                if one_sheet {
                    break;
                }
                see(TilePart(Part::Sparse(runs_of(sheet, self.rows, self.genes))));
            }
            self.decoded = one_sheet;
        }
        if self.decoded {
            see(TilePart(Part::Sparse(runs_of(sheet, self.rows, self.genes))));
        }
        Ok(())
    }

    /// `xht += x · hᵀ` of the whole tile, for one factor. Shapes and cost as [`TilePart::xht`].
    ///
    /// # Errors
    ///
    /// When the tile does not decode.
    pub fn xht(&mut self, mut xht: FactorMut<'_>, ht: FactorRef<'_>) -> Result<(), TileError> {
        self.parts(|part| part.xht(xht.reborrow(), ht))
    }

    /// `share += xᵀ · w` of the whole tile, for one factor. Shapes and cost as [`TilePart::wtx`].
    ///
    /// # Errors
    ///
    /// When the tile does not decode.
    pub fn wtx(&mut self, mut share: FactorMut<'_>, w: FactorRef<'_>) -> Result<(), TileError> {
        self.parts(|part| part.wtx(share.reborrow(), w))
    }

    /// Shows every stored entry as (row of the tile, gene, value): by gene and then by row if the
    /// tile is sparse, by row and then by gene, zeros included, if it is dense.
    ///
    /// # Errors
    ///
    /// When the tile does not decode.
    pub fn entries(&mut self, mut see: impl FnMut(usize, usize, f32)) -> Result<(), TileError> {
        match self.tile {
            Tile::Sparse(_) => self.runs(|run| {
                let Run { gene, rows, values } = run;
                rows.iter().zip(values).for_each(|(&row, &value)| see(usize::from(row), gene, value));
            }),
            Tile::Dense(tile) => {
                let values = if self.logarithms { &self.decoder.dense } else { tile.values };
                for (i, row) in values.chunks_exact(tile.genes).enumerate() {
                    row.iter().enumerate().for_each(|(gene, &value)| see(i, gene, value));
                }
                Ok(())
            }
        }
    }

    fn runs(&mut self, mut see: impl FnMut(Run<'_>)) -> Result<(), TileError> {
        let Tile::Sparse(tile) = self.tile else { return Ok(()) };
        let Decoder { batch, factors, .. } = &mut *self.decoder;
        let mut runs = tile.runs();
        while runs.next_batch(batch)? {
            if self.logarithms {
                take_logarithms(batch, factors);
            }
            let mut start = 0;
            for (&gene, &end) in batch.genes.iter().zip(&batch.ends) {
                let run = std::mem::replace(&mut start, end as usize)..end as usize;
                let (rows, values) = (&batch.rows[run.clone()], &batch.values[run]);
                see(Run { gene: gene as usize, rows, values });
            }
        }
        Ok(())
    }

    /// Copies some rows of the tile to the end of `into`, in order; the genes of a sparse row
    /// ascend. Values are those of the store.
    ///
    /// # Errors
    ///
    /// When the tile does not decode, or a row has another number of entries.
    pub(crate) fn copy_rows(&mut self, chosen: &[ChosenRow], into: &mut TakenRows) -> Result<(), TileError> {
        match self.tile {
            Tile::Sparse(tile) => {
                let Decoder { batch, row_scratch, .. } = &mut *self.decoder;
                into.take(&tile, chosen, batch, row_scratch)
            }
            Tile::Dense(tile) => {
                into.take_dense(&tile, chosen);
                Ok(())
            }
        }
    }
}

/// The nonzeros of one gene in a tile.
struct Run<'r> {
    gene: usize,
    rows: &'r [u8],
    values: &'r [f32],
}

fn logarithm(value: f32, factor: f32) -> f32 {
    libm::log1pf(value * factor)
}

fn take_logarithms(runs: &mut RunBatch, factors: &[f32]) {
    for (value, &row) in runs.values.iter_mut().zip(&runs.rows) {
        *value = logarithm(*value, factors[usize::from(row)]);
    }
}

fn runs_of(sheet: &RunBatch, rows: usize, genes: usize) -> Runs<'_> {
    Runs::new(&sheet.genes, &sheet.ends, &sheet.rows, &sheet.values, rows, genes)
}
