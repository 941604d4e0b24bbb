//! One pass of Frobenius NMF.
//!
//! With H fixed, every tile of rows does
//!
//! ```text
//! X·Hᵀ  →  W ← update(W; X·Hᵀ, H·Hᵀ)  →  share += (WᵀX, WᵀW)
//! ```
//!
//! and what the pass leaves behind, `WᵀX` (m × ks) and `WᵀW` (k × k), is all that the update of H needs.
//!
//! Scaled genes (X̂ = X·D) and weighted rows (X̃ = R·X, a sample) never touch X: X̂·Hᵀ = X·(D·Hᵀ) with D·Hᵀ made once
//! before the pass, WᵀX̂ = (WᵀX)·D applied once after it; X̃·Hᵀ = R·(X·Hᵀ) and WᵀX̃ = (R·W)ᵀX on the tile.
//!
//! The bounds that the exact sums need hold for every rule in use, because each updates every component of a row at
//! least once against the same H: `w_ic ≤ ‖x_i‖ / ‖h_c‖`, hence `‖w_c‖ ≤ ‖X̂‖ / ‖h_c‖` and, with ‖h_c‖ ≥ 1,
//! `(WᵀX)_cj ≤ ‖X̂‖·‖x_:j‖` and `(WᵀW)_cd ≤ ‖X̂‖²` (`docs/numerics.md`).

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use partwise_kernels::{Dead, FactorBuf, Runs, UpdateRule, dense, gram, sparse};
use partwise_storage::store::BlockInfo;
use partwise_storage::tile::{RunBatch, SHEET_NONZEROS, Tile, TileError};

use crate::comm::{Comm, CommError};
use crate::data::Blocks;
use crate::engine::{Fold, TilePlace};
use crate::error::DriverError;
use crate::exact::ExactSum;
use crate::usages::Usages;

/// What a pass leaves behind.
#[derive(Debug)]
pub(crate) struct PassSums {
    /// (WᵀX)ᵀ, m × ks, in the units of X.
    pub(crate) wtx: ExactSum,
    /// WᵀW, k × k.
    pub(crate) wtw: ExactSum,
    change: AtomicU32,
    nonzeros: AtomicU64,
}

impl PassSums {
    pub(crate) fn new(genes: usize, k: usize, ks: usize) -> Self {
        PassSums {
            wtx: ExactSum::new(genes, ks),
            wtw: ExactSum::new(k, k),
            change: AtomicU32::new(0),
            nonzeros: AtomicU64::new(0),
        }
    }

    /// Back to zero before a pass over a matrix with these column norms (squared) and ‖X̂‖².
    pub(crate) fn reset(&mut self, gene_sq_norms: &[f64], sq_norm: f64) {
        let norm = sq_norm.sqrt();
        self.wtx.reset(|gene| norm * gene_sq_norms[gene].sqrt());
        self.wtw.reset(|_| sq_norm);
        self.change = AtomicU32::new(0);
        self.nonzeros = AtomicU64::new(0);
    }

    /// Adds up what all processes have: m·ks + k² numbers and a few more.
    fn merge(&self, comm: &dyn Comm) -> Result<(), CommError> {
        let mut nonzeros = [self.nonzeros.load(Ordering::Relaxed) as i64];
        let mut changes = vec![0; comm.size()];
        changes[comm.rank()] = i64::from(self.change.load(Ordering::Relaxed));
        let (mut wtx, mut wtw) = (self.wtx.lock(), self.wtw.lock());
        let mut parts: Vec<&mut [i64]> = vec![&mut nonzeros, &mut changes];
        parts.extend(wtx.iter_mut().chain(&mut wtw).map(|stripe| stripe.as_mut_slice()));
        comm.all_reduce_sum(&mut parts)?;
        self.nonzeros.store(nonzeros[0] as u64, Ordering::Relaxed);
        let change = changes.into_iter().max().unwrap_or(0);
        self.change.store(change as u32, Ordering::Relaxed);
        Ok(())
    }

    /// Largest |change| of any entry of W in the pass.
    pub(crate) fn usages_change(&self) -> f32 {
        f32::from_bits(self.change.load(Ordering::Relaxed))
    }

    /// Entries of W that are not zero.
    pub(crate) fn usages_nonzeros(&self) -> u64 {
        self.nonzeros.load(Ordering::Relaxed)
    }
}

/// One thread's share and scratch.
#[derive(Debug)]
pub(crate) struct Local {
    /// The tile, decoded, or its last sheet.
    sheet: RunBatch,
    /// (WᵀX)ᵀ of the block in hand, m × ks.
    wtx: FactorBuf,
    /// WᵀW of the block in hand, k × k.
    wtw: Vec<f64>,
    /// W of the block in hand, b × ks.
    w: FactorBuf,
    /// W of the tile as it was, to tell its change.
    before: FactorBuf,
    /// X·Hᵀ of the tile; afterwards R·W where rows are weighted.
    xht: FactorBuf,
    change: f32,
    nonzeros: u64,
}

impl Local {
    pub(crate) fn new(data: &dyn Blocks, k: usize) -> Self {
        Local {
            sheet: RunBatch::new(),
            wtx: FactorBuf::zeros(data.genes(), k),
            wtw: vec![0.0; k * k],
            w: FactorBuf::zeros(data.block_rows(), k),
            before: FactorBuf::zeros(data.tile_rows(), k),
            xht: FactorBuf::zeros(data.tile_rows(), k),
            change: 0.0,
            nonzeros: 0,
        }
    }

    /// Bytes that it holds once it has seen a tile of `tile_nonzeros` (0 where tiles are dense), the most of any.
    pub(crate) fn bytes(
        genes: usize,
        block_rows: usize,
        tile_rows: usize,
        tile_nonzeros: usize,
        k: usize,
        ks: usize,
    ) -> u64 {
        let sheet = RunBatch::sheet_bytes(genes, tile_nonzeros) as u64;
        4 * (ks * (genes + block_rows + 2 * tile_rows)) as u64 + 8 * (k * k) as u64 + sheet
    }
}

/// A pass with H fixed.
pub(crate) struct Factorize<'p> {
    pub(crate) data: &'p dyn Blocks,
    pub(crate) usages: &'p Usages,
    pub(crate) sums: &'p PassSums,
    pub(crate) rule: UpdateRule,
    /// D·Hᵀ, m × ks.
    pub(crate) ht: &'p [f32],
    /// H·Hᵀ of the scaled H, k × k.
    pub(crate) hht: &'p [f32],
    pub(crate) k: usize,
    pub(crate) ks: usize,
}

impl Fold for Factorize<'_> {
    type Local = Local;

    fn begin(&self, local: &mut Local, block: usize, info: &BlockInfo) -> Result<(), DriverError> {
        self.usages.load(block, &mut local.w[..info.rows * self.ks], self.ks)?;
        local.change = 0.0;
        local.nonzeros = 0;
        Ok(())
    }

    fn tile(&self, local: &mut Local, tile: &Tile<'_>, place: &TilePlace) -> Result<(), TileError> {
        let (k, ks) = (self.k, self.ks);
        let Local { sheet, wtx, wtw, w, before, xht, change, nonzeros } = local;
        let rows = place.rows.clone();
        let w = &mut w[rows.start * ks..rows.end * ks];
        let xht = &mut xht[..w.len()];
        let weights = self.data.row_weights(place.block).map(|weights| &weights[rows]);

        let (height, genes) = (place.rows.len(), self.data.genes());
        // What is in one sheet is decoded once and stays for the second product.
        let one_sheet = matches!(tile, Tile::Sparse(tile) if tile.nonzeros() <= SHEET_NONZEROS);

        xht.fill(0.0);
        match tile {
            Tile::Sparse(tile) => {
                let mut runs = tile.runs();
                while runs.next_sheet(sheet)? {
                    sparse::xht(xht, runs_of(sheet, height, genes), self.ht, ks);
                    if one_sheet {
                        break;
                    }
                }
            }
            Tile::Dense(tile) => dense::xht(xht, tile.values, self.ht, tile.genes, k, ks),
        }
        if let Some(weights) = weights {
            scale_rows(xht, weights, ks);
        }

        let before = &mut before[..w.len()];
        before.copy_from_slice(w);
        self.rule.apply(w, xht, self.hht, k, ks, Dead::Zero);
        for (new, old) in w.iter().zip(before.iter()) {
            *change = change.max((new - old).abs());
            *nonzeros += u64::from(*new != 0.0);
        }

        gram::add_gram(wtw, w, k, ks);
        let left: &[f32] = match weights {
            None => w,
            Some(weights) => {
                xht.copy_from_slice(w);
                scale_rows(xht, weights, ks);
                xht
            }
        };
        match tile {
            Tile::Sparse(_) if one_sheet => sparse::wtx(wtx, runs_of(sheet, height, genes), left, ks),
            Tile::Sparse(tile) => {
                let mut runs = tile.runs();
                while runs.next_sheet(sheet)? {
                    sparse::wtx(wtx, runs_of(sheet, height, genes), left, ks);
                }
            }
            Tile::Dense(tile) => dense::wtx(wtx, tile.values, left, tile.genes, k, ks),
        }
        Ok(())
    }

    fn end(&self, local: &mut Local, block: usize, info: &BlockInfo) -> Result<(), DriverError> {
        self.usages.store(block, &local.w[..info.rows * self.ks], self.ks)?;
        let beyond = |_| DriverError::Range { first_row: info.first_row, last_row: info.first_row + info.rows - 1 };
        self.sums.wtx.add(&mut local.wtx, block).map_err(beyond)?;
        self.sums.wtw.add(&mut local.wtw, block).map_err(beyond)?;
        // The bits of non-negative floats are ordered like the floats.
        self.sums.change.fetch_max(local.change.to_bits(), Ordering::Relaxed);
        self.sums.nonzeros.fetch_add(local.nonzeros, Ordering::Relaxed);
        Ok(())
    }

    fn merge(&self, comm: &dyn Comm) -> Result<(), CommError> {
        self.sums.merge(comm)
    }
}

fn runs_of(sheet: &RunBatch, rows: usize, genes: usize) -> Runs<'_> {
    Runs::new(&sheet.genes, &sheet.ends, &sheet.rows, &sheet.values, rows, genes)
}

/// Multiplies row i (of length ks) by `weights[i]`.
fn scale_rows(rows: &mut [f32], weights: &[f32], ks: usize) {
    for (row, &weight) in rows.chunks_exact_mut(ks).zip(weights) {
        row.iter_mut().for_each(|value| *value *= weight);
    }
}
