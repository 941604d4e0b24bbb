//! The Gram matrix XᵀX of the genes that are kept, in one pass.
//!
//! Every block does
//!
//! ```text
//! share += P·XᵀX·P
//! ```
//!
//! with P the powers of two that bring the norms of the genes into [1, 2). Multiplying by them is exact,
//! and by Cauchy–Schwarz every element of P·XᵀX·P, and of the part of any rows, is below 4: one unit
//! serves all elements, and a rare gene has as many digits as a frequent one.
//!
//! The share of a block adds exact products in the order of the rows (`kernels::xtx`).

use partwise_kernels::xtx::{self, Entries, Triangle};
use partwise_storage::store::{BlockInfo, GeneMoments};
use partwise_storage::tile::TileError;

use crate::blocks::Blocks;
use crate::comm::{Comm, CommError};
use crate::engine::{Fold, TilePlace};
use crate::error::DriverError;
use crate::exact::{ExactSum, exponent, power_of_two};
use crate::products::TileProducts;

/// Values of the triangle in a row of the sum: a divisor of the size of every triangle.
const WIDTH: usize = 64;
/// Entries that are collected before they are added: their rows stay in a cache, and the share, which
/// does not, is walked through once for all of them.
pub(crate) const BATCH: usize = 1 << 16;
/// Rows at most that they are of, if there are few entries.
const BATCH_ROWS: usize = 1 << 14;
/// What every element is below.
const BOUND: f64 = 4.0;
/// A factor is a normal 32-bit float, and so is its inverse.
const LARGEST: i32 = 120;

/// The sum of a pass.
#[derive(Debug)]
pub(crate) struct GramSum {
    triangle: Triangle,
    /// The place of every gene of the data among those that are kept.
    places: Vec<Option<u32>>,
    /// The power of two of every gene of the data.
    powers: Vec<f32>,
    sum: ExactSum,
}

impl GramSum {
    /// Zero, for the genes of the data for which `is_kept` holds, which have these moments.
    pub(crate) fn new(moments: &[GeneMoments], is_kept: impl Fn(usize) -> bool) -> Self {
        let mut kept = 0..;
        let places: Vec<Option<u32>> =
            (0..moments.len()).map(|gene| is_kept(gene).then(|| kept.next().expect("fewer genes than 2³²"))).collect();
        let power = |gene: &GeneMoments| match gene.sum_sq {
            square if square > 0.0 => power_of_two((-exponent(square.sqrt())).clamp(-LARGEST, LARGEST)) as f32,
            _ => 1.0,
        };
        let triangle = Triangle::new(places.iter().flatten().count());
        let mut sum = ExactSum::new(triangle.values() / WIDTH, WIDTH);
        sum.reset(|_| BOUND);
        GramSum { triangle, places, powers: moments.iter().map(power).collect(), sum }
    }

    /// Bytes that it holds for so many genes that are kept, of `all`.
    pub(crate) fn bytes(genes: usize, all: usize) -> u64 {
        ExactSum::bytes(Triangle::new(genes).values() / WIDTH, WIDTH) + 12 * all as u64
    }

    /// Row j of XᵀX from column j on, for the gene that is the j-th of those kept, which have these
    /// places in the data.
    pub(crate) fn read(&self, j: usize, genes: &[usize], out: &mut Vec<f64>) {
        let (place, first, width) = self.triangle.row(j);
        out.clear();
        out.resize(width.next_multiple_of(WIDTH) + WIDTH, 0.0);
        let rows = place / WIDTH..(place + width).div_ceil(WIDTH);
        let some = rows.len() * WIDTH;
        self.sum.read(rows, 0..WIDTH, &mut out[..some]);
        out.drain(..place % WIDTH + j - first);
        out.truncate(genes.len() - j);
        let power = |gene: usize| f64::from(self.powers[gene]);
        for (value, &gene) in out.iter_mut().zip(&genes[j..]) {
            *value /= power(gene) * power(genes[j]);
        }
    }
}

/// One worker's share and scratch.
#[derive(Debug)]
pub(crate) struct Local {
    share: Vec<f64>,
    entries: Entries,
}

impl Local {
    pub(crate) fn new(sum: &GramSum) -> Self {
        Local { share: vec![0.0; sum.triangle.values()], entries: Entries::new() }
    }

    /// Bytes that a worker holds for so many genes that are kept. A tile has up to `tile` entries.
    pub(crate) fn bytes(genes: usize, block_rows: usize, tile: usize) -> u64 {
        8 * Triangle::new(genes).values() as u64 + Entries::bytes(BATCH + tile, block_rows.min(2 * BATCH_ROWS), genes)
    }
}

/// The pass.
pub(crate) struct Gram<'p> {
    pub(crate) data: &'p dyn Blocks,
    pub(crate) sum: &'p GramSum,
}

impl Fold for Gram<'_> {
    type Local = Local;

    fn begin(&self, local: &mut Local, _block: usize, _info: &BlockInfo) -> Result<(), DriverError> {
        local.entries.clear();
        Ok(())
    }

    fn tile(&self, local: &mut Local, tile: &mut TileProducts<'_>, place: &TilePlace) -> Result<(), TileError> {
        let Local { share, entries } = local;
        let weights = self.data.row_weights(place.block);
        let before = entries.rows();
        entries.extend(place.rows.len(), tile.entries_at_most());
        tile.entries(|row, gene, value| {
            if let Some(at) = self.sum.places[gene] {
                let value = value * self.sum.powers[gene] * weights.of(place.rows.start + row);
                if value != 0.0 {
                    entries.push(before + row, at, value);
                }
            }
        })?;
        if entries.len() >= BATCH || entries.rows() >= BATCH_ROWS {
            xtx::add(share, self.sum.triangle, entries);
        }
        Ok(())
    }

    fn end(&self, local: &mut Local, block: usize, info: &BlockInfo) -> Result<(), DriverError> {
        xtx::add(&mut local.share, self.sum.triangle, &mut local.entries);
        let beyond = |_| DriverError::Range { first_row: info.first_row, last_row: info.first_row + info.rows - 1 };
        self.sum.sum.add(&mut local.share, block).map_err(beyond)
    }

    /// About m²/2 numbers.
    fn merge(&self, comm: &dyn Comm) -> Result<(), CommError> {
        let mut locks = self.sum.sum.lock();
        let mut parts: Vec<&mut [i64]> = locks.iter_mut().map(|stripe| stripe.as_mut_slice()).collect();
        comm.all_reduce_sum(&mut parts)
    }
}
