//! Folds that share a pass have the sums that each has alone, and the tiles are read once for all of them.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use partwise_driver::DriverError;
use partwise_driver::blocks::{Blocks, RowWeights, StoreBlocks};
use partwise_driver::comm::{Comm, CommError, Solo, all_gather};
use partwise_driver::engine::{Direction, Engine, Fold, TilePlace, Worker};
use partwise_driver::exact::ExactSum;
use partwise_driver::products::TileProducts;
use partwise_kernels::{FactorBuf, FactorMut};
use partwise_storage::Quiet;
use partwise_storage::store::{BlockInfo, Layout, SegmentBuf};
use partwise_storage::tile::{Tile, TileError};

use crate::planted::{Matrix, counts, dense, store};
use crate::threads_comm::together;

/// Σ over rows of x_ij, a sum for each gene, from the entries of the tiles.
struct GeneSums(ExactSum);

impl GeneSums {
    fn new(genes: usize) -> Self {
        let mut sum = ExactSum::new(genes, 1);
        sum.reset(|_| 1e7);
        GeneSums(sum)
    }

    fn read(&self, genes: usize) -> Vec<f64> {
        let mut sums = vec![0.0; genes];
        self.0.read(0..genes, 0..1, &mut sums);
        sums
    }
}

impl Fold for GeneSums {
    type Local = Vec<f64>;

    fn begin(&self, _: &mut Vec<f64>, _: usize, _: &BlockInfo) -> Result<(), DriverError> {
        Ok(())
    }
    fn tile(&self, local: &mut Vec<f64>, tile: &mut TileProducts<'_>, _: &TilePlace) -> Result<(), TileError> {
        local.resize(tile.genes(), 0.0);
        tile.entries(|_, gene, value| local[gene] += f64::from(value))
    }
    fn end(&self, local: &mut Vec<f64>, block: usize, _: &BlockInfo) -> Result<(), DriverError> {
        self.0.add(local, block).unwrap();
        Ok(())
    }
    fn merge(&self, comm: &dyn Comm) -> Result<(), CommError> {
        let mut stripes = self.0.lock();
        comm.all_reduce_sum(&mut stripes.iter_mut().map(|stripe| stripe.as_mut_slice()).collect::<Vec<_>>())
    }
}

/// Counts rows, and sums the rows of X·Hᵀ.
struct Projections {
    ht: FactorBuf,
    genes: usize,
    k: usize,
    sum: ExactSum,
    rows: AtomicU64,
}

impl Projections {
    fn new(genes: usize, k: usize) -> Self {
        let mut ht = FactorBuf::zeros(genes, k);
        for (gene, row) in ht.view_mut(genes, k).iter_mut().enumerate() {
            row[..k].iter_mut().enumerate().for_each(|(c, value)| *value = ((gene * 7 + c * 3) % 5) as f32 / 4.0);
        }
        let mut sum = ExactSum::new(1, k);
        sum.reset(|_| 1e9);
        Projections { ht, genes, k, sum, rows: AtomicU64::new(0) }
    }

    fn read(&self) -> (Vec<f64>, u64) {
        let mut sums = vec![0.0; self.k];
        self.sum.read(0..1, 0..self.k, &mut sums);
        (sums, self.rows.load(Ordering::Relaxed))
    }
}

#[derive(Default)]
struct Projected {
    xht: Vec<f32>,
    share: Vec<f64>,
    rows: u64,
}

impl Fold for Projections {
    type Local = Projected;

    fn begin(&self, local: &mut Projected, _: usize, _: &BlockInfo) -> Result<(), DriverError> {
        (local.share, local.rows) = (vec![0.0; self.k], 0);
        Ok(())
    }
    fn tile(&self, local: &mut Projected, tile: &mut TileProducts<'_>, _: &TilePlace) -> Result<(), TileError> {
        let (rows, stride) = (tile.rows(), partwise_kernels::stride(self.k));
        local.xht.clear();
        local.xht.resize(rows * stride, 0.0);
        tile.xht(FactorMut::new(&mut local.xht, rows, self.k, stride), self.ht.view(self.genes, self.k))?;
        for row in local.xht.chunks(stride) {
            local.share.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        local.rows += rows as u64;
        Ok(())
    }
    fn end(&self, local: &mut Projected, block: usize, _: &BlockInfo) -> Result<(), DriverError> {
        self.sum.add(&mut local.share, block).unwrap();
        self.rows.fetch_add(local.rows, Ordering::Relaxed);
        Ok(())
    }
    fn merge(&self, comm: &dyn Comm) -> Result<(), CommError> {
        let rows = all_gather(comm, self.rows.load(Ordering::Relaxed) as i64)?;
        self.rows.store(rows.iter().sum::<i64>() as u64, Ordering::Relaxed);
        let mut stripes = self.sum.lock();
        comm.all_reduce_sum(&mut stripes.iter_mut().map(|stripe| stripe.as_mut_slice()).collect::<Vec<_>>())
    }
}

/// Wants every n-th tile of the matrix, and writes down which tiles it is shown and which blocks begin and end.
struct Every {
    n: usize,
    tile_rows: usize,
    shown: Mutex<Vec<usize>>,
    begun: AtomicUsize,
    ended: AtomicUsize,
}

impl Every {
    fn new(n: usize, data: &dyn Blocks) -> Self {
        let (begun, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Every { n, tile_rows: data.tile_rows(), shown: Mutex::default(), begun, ended }
    }

    /// The tiles shown in one pass, ascending, and the number of blocks.
    fn shown(&self) -> (Vec<usize>, usize) {
        let mut shown = std::mem::take(&mut *self.shown.lock().unwrap());
        shown.sort_unstable();
        let blocks = self.begun.swap(0, Ordering::Relaxed);
        assert_eq!(self.ended.swap(0, Ordering::Relaxed), blocks, "a block that begins also ends");
        (shown, blocks)
    }
}

impl Fold for Every {
    type Local = ();

    fn begin(&self, (): &mut (), _: usize, _: &BlockInfo) -> Result<(), DriverError> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
    fn tile(&self, (): &mut (), _: &mut TileProducts<'_>, place: &TilePlace) -> Result<(), TileError> {
        self.shown.lock().unwrap().push(place.cells.start / self.tile_rows);
        Ok(())
    }
    fn end(&self, (): &mut (), _: usize, _: &BlockInfo) -> Result<(), DriverError> {
        self.ended.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
    fn merge(&self, _: &dyn Comm) -> Result<(), CommError> {
        Ok(())
    }
    fn wants(&self, _: usize, cells: Range<usize>) -> bool {
        (cells.start / self.tile_rows).is_multiple_of(self.n)
    }
}

/// The blocks of a store, with the number of calls that bring and open tiles.
struct Counting<'s> {
    blocks: StoreBlocks<'s>,
    fetched: AtomicUsize,
    opened: AtomicUsize,
}

impl<'s> Counting<'s> {
    fn new(blocks: StoreBlocks<'s>) -> Self {
        Counting { blocks, fetched: AtomicUsize::new(0), opened: AtomicUsize::new(0) }
    }

    /// Calls of `fetch` and of `tile` since the last time.
    fn calls(&self) -> (usize, usize) {
        (self.fetched.swap(0, Ordering::Relaxed), self.opened.swap(0, Ordering::Relaxed))
    }
}

impl Blocks for Counting<'_> {
    fn cells(&self) -> usize {
        self.blocks.cells()
    }
    fn genes(&self) -> usize {
        self.blocks.genes()
    }
    fn entries(&self) -> u64 {
        self.blocks.entries()
    }
    fn layout(&self) -> Layout {
        self.blocks.layout()
    }
    fn blocks(&self) -> usize {
        self.blocks.blocks()
    }
    fn block_rows(&self) -> usize {
        self.blocks.block_rows()
    }
    fn tile_rows(&self) -> usize {
        self.blocks.tile_rows()
    }
    fn block(&self, block: usize) -> BlockInfo {
        self.blocks.block(block)
    }
    fn tile_bytes(&self, block: usize, tile: usize) -> usize {
        self.blocks.tile_bytes(block, tile)
    }
    fn gene_sq_norms(&self) -> &[f64] {
        self.blocks.gene_sq_norms()
    }
    fn row_weights(&self, block: usize) -> RowWeights<'_> {
        self.blocks.row_weights(block)
    }
    fn resident(&self) -> bool {
        self.blocks.resident()
    }
    fn fetch(&self, block: usize, tiles: Range<usize>, buf: &mut SegmentBuf) -> Result<(), DriverError> {
        self.fetched.fetch_add(1, Ordering::Relaxed);
        self.blocks.fetch(block, tiles, buf)
    }
    fn tile<'a>(
        &'a self,
        block: usize,
        tiles: Range<usize>,
        tile: usize,
        buf: &'a SegmentBuf,
    ) -> Result<Tile<'a>, DriverError> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.blocks.tile(block, tiles, tile, buf)
    }
    fn damaged(&self, block: usize, tile: usize, error: TileError) -> DriverError {
        self.blocks.damaged(block, tile, error)
    }
}

fn pass<F: Fold>(comm: &dyn Comm, data: &dyn Blocks, fold: &F, threads: usize)
where
    F::Local: Default,
{
    let mut workers: Vec<Worker<F::Local>> = (0..threads).map(|_| Worker::default()).collect();
    Engine::new(1, &Quiet).among(comm).pass(data, fold, &mut workers, Direction::Forward).unwrap();
}

const GENES: usize = 60;
const K: usize = 7;

fn matrices() -> [(Layout, Matrix); 2] {
    [(Layout::Sparse, counts(1900, GENES, 3, 1)), (Layout::Dense, dense(1900, GENES, 3, 2))]
}

#[test]
fn folds_that_share_a_pass_have_the_sums_that_each_has_alone() {
    let folder = tempfile::tempdir().unwrap();
    for (layout, matrix) in matrices() {
        let store = store(folder.path(), &matrix, layout, 512);
        let data = Counting::new(StoreBlocks::new(&store));
        let tiles: usize = (0..data.blocks()).map(|block| data.block(block).tiles).sum();
        let (sums, projections) = (GeneSums::new(GENES), Projections::new(GENES, K));
        pass(&Solo, &data, &sums, 2);
        assert_eq!(data.calls(), (tiles, tiles), "a segment has one tile");
        pass(&Solo, &data, &projections, 2);
        assert_eq!(data.calls(), (tiles, tiles));

        let naive = |gene: usize| (0..matrix.cells).map(|row| f64::from(matrix.row(row)[gene])).sum::<f64>();
        for (gene, sum) in sums.read(GENES).into_iter().enumerate() {
            assert!((sum - naive(gene)).abs() <= 1e-6, "gene {gene}: {sum}, not {}", naive(gene));
        }
        let (of_components, rows) = projections.read();
        assert_eq!(rows, matrix.cells as u64);
        for (c, sum) in of_components.into_iter().enumerate() {
            let naive: f64 = (0..GENES).map(|gene| naive(gene) * (((gene * 7 + c * 3) % 5) as f64 / 4.0)).sum();
            assert!((sum - naive).abs() <= 1e-5 * naive, "component {c}: {sum}, not {naive}");
        }

        for threads in [1, 3] {
            for size in [1, 2, 3] {
                let both = together(size, |comm| {
                    let pair = (GeneSums::new(GENES), Projections::new(GENES, K));
                    pass(comm, &data, &pair, threads);
                    pair
                });
                assert_eq!(data.calls(), (tiles, tiles), "two folds read what one reads");
                for (a, b) in both {
                    assert_eq!(a.read(GENES), sums.read(GENES), "{layout:?}, {size} processes");
                    assert_eq!(b.read(), projections.read(), "{layout:?}, {size} processes");
                }
                let nested = together(size, |comm| {
                    let one = Projections::new(GENES, K);
                    let three = ((one, GeneSums::new(GENES)), Projections::new(GENES, K + 4));
                    pass(comm, &data, &three, threads);
                    three
                });
                assert_eq!(data.calls(), (tiles, tiles), "three folds read what one reads");
                for ((b, a), _) in nested {
                    assert_eq!((a.read(GENES), b.read()), (sums.read(GENES), projections.read()));
                }
            }
        }
    }
}

#[test]
fn a_tile_that_one_fold_wants_is_shown_to_all_and_one_that_none_wants_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    for (layout, matrix) in matrices() {
        let store = store(folder.path(), &matrix, layout, 256);
        let data = Counting::new(StoreBlocks::new(&store));
        let tiles: usize = (0..data.blocks()).map(|block| data.block(block).tiles).sum();
        let of_block = tiles.div_ceil(data.blocks());
        let multiples = |of: &[usize]| -> Vec<usize> {
            (0..tiles).filter(|tile| of.iter().any(|n| tile.is_multiple_of(*n))).collect()
        };
        let blocks_of = |tiles: &[usize]| {
            let mut blocks: Vec<usize> = tiles.iter().map(|tile| tile / of_block).collect();
            blocks.dedup();
            blocks.len()
        };
        for (a, b) in [(2, 3), (3, 1), (tiles, 5)] {
            let (first, second) = (Every::new(a, &data), Every::new(b, &data));
            pass(&Solo, &data, &first, 2);
            let wanted = multiples(&[a]);
            assert_eq!(data.calls(), (wanted.len(), wanted.len()));
            assert_eq!(first.shown(), (wanted.clone(), blocks_of(&wanted)));

            let pair = (first, second);
            pass(&Solo, &data, &pair, 2);
            let wanted = multiples(&[a, b]);
            assert_eq!(data.calls(), (wanted.len(), wanted.len()), "{layout:?} {a} {b}");
            for fold in [&pair.0, &pair.1] {
                assert_eq!(fold.shown(), (wanted.clone(), blocks_of(&wanted)), "{layout:?} {a} {b}");
            }
        }
    }
}
