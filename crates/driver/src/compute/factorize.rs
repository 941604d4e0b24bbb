//! One pass of Frobenius NMF, for one factorization or several side by side.
//!
//! With H fixed, every tile of rows does
//!
//! ```text
//! X·Hᵀ  →  W ← update(W; X·Hᵀ, H·Hᵀ)  →  share += (WᵀX, WᵀW)
//! ```
//!
//! and the sums of the pass, `WᵀX` (m × k) and `WᵀW` (k × k), are all that the update of H needs.
//!
//! Several factorizations of one matrix lie side by side in **panels**: buffers of at most
//! [`PANEL_LANES`] lanes. The products of a panel are taken together, so that each panel goes
//! through a tile's nonzeros once. Lanes never meet in a product, and each factorization is updated
//! with its own k × k Gram matrix: it has the bits that it has alone.
//!
//! Scaled genes (X̂ = X·D) and weighted rows (X̃ = R·X, a sample) never touch X: X̂·Hᵀ = X·(D·Hᵀ)
//! with D·Hᵀ made once before the pass, WᵀX̂ = (WᵀX)·D applied once after it; X̃·Hᵀ = R·(X·Hᵀ) and
//! WᵀX̃ = (R·W)ᵀX on the tile. Genes and rows with the factor zero are left out (`subset`): an update
//! from a row of zeros in X·Hᵀ makes the row of W zero, whatever it was.
//!
//! The bounds that the exact sums need hold for every rule in use, because each updates every
//! component of a row at least once against the same H: `w_ic ≤ ‖x_i‖ / ‖h_c‖`, hence
//! `‖w_c‖ ≤ ‖X̂‖ / ‖h_c‖` and, with ‖h_c‖ ≥ 1, `(WᵀX)_cj ≤ ‖X̂‖·‖x_:j‖` and `(WᵀW)_cd ≤ ‖X̂‖²`
//! (`docs/numerics.md`).

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use partwise_kernels::{FactorBuf, FactorMut, FactorRef, PreparedRule, RuleScratch, gram, stride};
use partwise_storage::store::{BlockInfo, Layout};
use partwise_storage::tile::TileError;

use crate::blocks::Blocks;
use crate::comm::{Comm, CommError};
use crate::engine::{Fold, TilePlace};
use crate::error::DriverError;
use crate::exact::{BeyondBound, ExactSum};
use crate::products::{Decoder, TileProducts};
use crate::usages::Usages;

/// Most lanes of a panel with several factorizations: as many as the sparse kernels take at once.
pub(crate) const PANEL_LANES: usize = 64;
/// Most tiles that add to a share of WᵀX, in f32, before it becomes integers. Each of them is one
/// rounding of the whole share, and roundings go the same way where tiles are alike
/// (`docs/numerics.md`).
const SHARE_TILES: usize = 6;
/// Lanes of a cache line: rows of panels with several factorizations start on one, and so do cells in a tile.
const LINE: usize = 16;

/// The places of factorizations side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PanelShape {
    /// Distance of genes in H and WᵀX.
    pub(crate) ld: usize,
    /// Distance of cells in W and X·Hᵀ.
    cell_ld: usize,
    /// The first lane and the components of each member.
    pub(crate) members: Vec<(usize, usize)>,
}

impl PanelShape {
    /// Lanes from the first member's to the last one's.
    pub(crate) fn lanes(&self) -> usize {
        self.members.last().map_or(0, |&(first, k)| first + stride(k))
    }

    /// Components of the panel as one factor: those of its only member, or all lanes.
    pub(crate) fn k(&self) -> usize {
        match self.members[..] {
            [(_, k)] => k,
            _ => self.lanes(),
        }
    }

    /// Lays factorizations of these numbers of components side by side, in order. Dense products
    /// are made for each on its own, because the way in which faer blocks a product depends on its
    /// width, and so could bits.
    pub(crate) fn cut(ks: &[usize], layout: Layout) -> Vec<PanelShape> {
        let mut panels: Vec<PanelShape> = Vec::new();
        for &k in ks {
            match panels.last_mut() {
                Some(panel) if layout == Layout::Sparse && panel.lanes() + stride(k) <= PANEL_LANES => {
                    panel.members.push((panel.lanes(), k));
                }
                _ => panels.push(PanelShape { ld: 0, cell_ld: 0, members: vec![(0, k)] }),
            }
        }
        for panel in &mut panels {
            let lanes = panel.lanes();
            panel.ld = if panel.members.len() > 1 { lanes.next_multiple_of(LINE) } else { lanes };
            // The sparse products write a cell's row for each of its nonzeros, and a vector that lies on two lines
            // takes twice the time. Genes are too many to be kept apart, and each is visited once in a tile.
            let straddle = layout == Layout::Sparse && !LINE.is_multiple_of(lanes);
            panel.cell_ld = if straddle { lanes.next_multiple_of(LINE) } else { panel.ld };
        }
        panels
    }
}

/// The sums of one panel.
#[derive(Debug)]
pub(crate) struct PanelSums {
    /// (WᵀX)ᵀ, m × ld, in the units of X.
    pub(crate) wtx: ExactSum,
    /// One a member.
    pub(crate) members: Vec<MemberSums>,
}

/// The sums of one factorization besides WᵀX.
#[derive(Debug)]
pub(crate) struct MemberSums {
    /// WᵀW, k × k.
    pub(crate) wtw: ExactSum,
    change: AtomicU32,
    nonzeros: AtomicU64,
}

impl PanelSums {
    pub(crate) fn new(genes: usize, shape: &PanelShape) -> Self {
        let member = |&(_, k): &(usize, usize)| MemberSums {
            wtw: ExactSum::new(k, k),
            change: AtomicU32::new(0),
            nonzeros: AtomicU64::new(0),
        };
        PanelSums { wtx: ExactSum::new(genes, shape.ld), members: shape.members.iter().map(member).collect() }
    }

    /// Bytes of the sums.
    pub(crate) fn bytes(genes: usize, shape: &PanelShape) -> u64 {
        ExactSum::bytes(genes, shape.ld)
    }

    /// Back to zero before a pass over a matrix with these column norms (squared) and ‖X̂‖².
    pub(crate) fn reset(&mut self, gene_sq_norms: &[f64], sq_norm: f64) {
        let norm = sq_norm.sqrt();
        self.wtx.reset(|gene| norm * gene_sq_norms[gene].sqrt());
        for member in &mut self.members {
            member.wtw.reset(|_| sq_norm);
            member.change = AtomicU32::new(0);
            member.nonzeros = AtomicU64::new(0);
        }
    }
}

impl MemberSums {
    /// Largest |change| of any entry of W in the pass.
    pub(crate) fn usages_change(&self) -> f32 {
        f32::from_bits(self.change.load(Ordering::Relaxed))
    }

    /// Entries of W that are not zero.
    pub(crate) fn usages_nonzeros(&self) -> u64 {
        self.nonzeros.load(Ordering::Relaxed)
    }
}

/// One worker's shares and scratch, panel by panel.
#[derive(Debug)]
pub(crate) struct Local {
    panels: Vec<PanelLocal>,
    /// Whether the shares of the block in hand have kept their bounds so far.
    within: Result<(), BeyondBound>,
}

#[derive(Debug)]
struct PanelLocal {
    /// Distance of genes.
    ld: usize,
    /// Distance of cells.
    cell_ld: usize,
    /// Components of the panel as one factor.
    k: usize,
    /// (WᵀX)ᵀ of the last tiles of the block in hand, m × ld.
    wtx: FactorBuf,
    /// W of the block in hand, b × cell_ld.
    w: FactorBuf,
    /// W of the tile before its update, to measure its change.
    before: FactorBuf,
    /// X·Hᵀ of the tile; afterwards R·W if rows are weighted.
    xht: FactorBuf,
    scratch: RuleScratch,
    members: Vec<MemberLocal>,
}

#[derive(Debug)]
struct MemberLocal {
    /// WᵀW of the block in hand, k × k.
    wtw: Vec<f64>,
    change: f32,
    nonzeros: u64,
}

impl Local {
    pub(crate) fn new(data: &dyn Blocks, panels: &[PanelShape]) -> Self {
        let panel = |shape: &PanelShape| PanelLocal {
            ld: shape.ld,
            cell_ld: shape.cell_ld,
            k: shape.k(),
            wtx: FactorBuf::zeros(data.genes(), shape.ld),
            w: FactorBuf::zeros(data.block_rows(), shape.cell_ld),
            before: FactorBuf::zeros(data.tile_rows(), shape.cell_ld),
            xht: FactorBuf::zeros(data.tile_rows(), shape.cell_ld),
            scratch: RuleScratch::new(),
            members: shape
                .members
                .iter()
                .map(|&(_, k)| MemberLocal { wtw: vec![0.0; k * k], change: 0.0, nonzeros: 0 })
                .collect(),
        };
        Local { panels: panels.iter().map(panel).collect(), within: Ok(()) }
    }

    /// Bytes that a worker holds once it has seen the fullest tile, of `tile_nonzeros` (0 if tiles
    /// are dense).
    pub(crate) fn bytes(
        genes: usize,
        block_rows: usize,
        tile_rows: usize,
        tile_nonzeros: usize,
        panels: &[PanelShape],
    ) -> u64 {
        let of_panel = |panel: &PanelShape| {
            let grams: usize = panel.members.iter().map(|&(_, k)| k * k).sum();
            let cells = FactorBuf::bytes(block_rows, panel.cell_ld) + 2 * FactorBuf::bytes(tile_rows, panel.cell_ld);
            FactorBuf::bytes(genes, panel.ld) + cells + 8 * grams as u64
        };
        panels.iter().map(of_panel).sum::<u64>() + Decoder::bytes(genes, tile_nonzeros)
    }
}

impl PanelLocal {
    fn xht(&mut self, rows: usize) -> FactorMut<'_> {
        FactorMut::new(&mut self.xht, rows, self.k, self.cell_ld)
    }
}

/// A factorization of a pass, with its H fixed.
pub(crate) struct Member<'p> {
    /// Its first lane in the panel.
    pub(crate) first: usize,
    pub(crate) k: usize,
    pub(crate) usages: &'p Usages,
    /// The powers of two, one a component, that bring W to the scale of H.
    pub(crate) rescale: Vec<f32>,
    /// The update of W, prepared for the H of the pass.
    pub(crate) rule: &'p PreparedRule,
    /// ‖h_c‖² for every component, as the rule has them.
    pub(crate) sq_norms: &'p [f32],
}

/// Factorizations side by side.
pub(crate) struct Panel<'p> {
    /// D·Hᵀ of all members, m × lanes.
    pub(crate) ht: FactorRef<'p>,
    pub(crate) members: Vec<Member<'p>>,
    pub(crate) sums: &'p PanelSums,
}

/// A pass of some factorizations of one matrix.
pub(crate) struct Factorize<'p> {
    pub(crate) data: &'p dyn Blocks,
    pub(crate) panels: Vec<Panel<'p>>,
}

impl Panel<'_> {
    /// W of the tile: updates it, member by member, and adds its Gram matrices.
    fn update(&self, local: &mut PanelLocal, rows: std::ops::Range<usize>) {
        let (ld, k, height) = (local.cell_ld, local.k, rows.len());
        let PanelLocal { w, before, xht, scratch, members, .. } = local;
        let w = &mut w[rows.start * ld..rows.end * ld];
        before[..w.len()].copy_from_slice(w);
        let xht = FactorRef::new(xht, height, k, ld);
        let before = FactorRef::new(before, height, k, ld);
        for (member, own) in self.members.iter().zip(members) {
            let mut w = FactorMut::new(w, height, k, ld).columns(member.first, member.k);
            let (xht, before) = (xht.columns(member.first, member.k), before.columns(member.first, member.k));
            member.rule.apply(w.reborrow(), xht, scratch);
            let w = w.as_ref();
            debug_assert!(
                bounds_hold(w, before, xht, member.sq_norms),
                "usages exceed the bound that exact sums rely on"
            );
            for (new, old) in w.iter().zip(before.iter()) {
                for (new, old) in new.iter().zip(old) {
                    own.change = own.change.max((new - old).abs());
                    own.nonzeros += u64::from(*new != 0.0);
                }
            }
            gram::add_gram(&mut own.wtw, w);
        }
    }
}

impl Fold for Factorize<'_> {
    type Local = Local;

    fn begin(&self, local: &mut Local, block: usize, info: &BlockInfo) -> Result<(), DriverError> {
        local.within = Ok(());
        for (panel, local) in self.panels.iter().zip(&mut local.panels) {
            let (k, ld) = (local.k, local.cell_ld);
            for (member, own) in panel.members.iter().zip(&mut local.members) {
                let w = FactorMut::new(&mut local.w, info.rows, k, ld).columns(member.first, member.k);
                member.usages.load_scaled(block, w, &member.rescale)?;
                own.change = 0.0;
                own.nonzeros = 0;
            }
        }
        Ok(())
    }

    fn tile(&self, local: &mut Local, tile: &mut TileProducts<'_>, place: &TilePlace) -> Result<(), TileError> {
        let rows = place.rows.clone();
        let weights = self.data.row_weights(place.block);
        let Local { panels: locals, within } = local;

        locals.iter_mut().for_each(|local| local.xht[..rows.len() * local.cell_ld].fill(0.0));
        tile.parts(|part| {
            for (panel, local) in self.panels.iter().zip(&mut *locals) {
                part.xht(local.xht(rows.len()), panel.ht);
            }
        })?;
        for (panel, local) in self.panels.iter().zip(&mut *locals) {
            let ld = local.cell_ld;
            weights.multiply(&mut local.xht[..rows.len() * ld], rows.clone(), ld);
            panel.update(local, rows.clone());
            // Rows that are left out have become zero: R·W is W.
            if !weights.only_leave_out() {
                local.xht[..rows.len() * ld].copy_from_slice(&local.w[rows.start * ld..rows.end * ld]);
                weights.multiply(&mut local.xht[..rows.len() * ld], rows.clone(), ld);
            }
        }
        tile.parts(|part| {
            for local in &mut *locals {
                let PanelLocal { ld, cell_ld, k, wtx, w, xht, .. } = local;
                let left =
                    if weights.only_leave_out() { &w[rows.start * *cell_ld..rows.end * *cell_ld] } else { &xht[..] };
                let share = FactorMut::new(wtx, self.data.genes(), *k, *ld);
                part.wtx(share, FactorRef::new(left, rows.len(), *k, *cell_ld));
            }
        })?;
        if (rows.start / self.data.tile_rows() + 1).is_multiple_of(SHARE_TILES) {
            for (panel, local) in self.panels.iter().zip(locals) {
                *within = within.and(panel.sums.wtx.add(&mut local.wtx, place.block));
            }
        }
        Ok(())
    }

    fn end(&self, local: &mut Local, block: usize, info: &BlockInfo) -> Result<(), DriverError> {
        let beyond = |_| DriverError::Range { first_row: info.first_row, last_row: info.first_row + info.rows - 1 };
        local.within.map_err(beyond)?;
        for (panel, local) in self.panels.iter().zip(&mut local.panels) {
            let (k, ld) = (local.k, local.cell_ld);
            panel.sums.wtx.add(&mut local.wtx, block).map_err(beyond)?;
            let w = FactorRef::new(&local.w, info.rows, k, ld);
            for ((member, own), sums) in panel.members.iter().zip(&mut local.members).zip(&panel.sums.members) {
                member.usages.store(block, w.columns(member.first, member.k))?;
                sums.wtw.add(&mut own.wtw, block).map_err(beyond)?;
                // The bits of non-negative floats are ordered like the floats.
                sums.change.fetch_max(own.change.to_bits(), Ordering::Relaxed);
                sums.nonzeros.fetch_add(own.nonzeros, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// One sum over the processes for all panels together: m·ld + Σ k² numbers and a few more.
    fn merge(&self, comm: &dyn Comm) -> Result<(), CommError> {
        let members = || self.panels.iter().flat_map(|panel| &panel.sums.members);
        let mut nonzeros: Vec<i64> = members().map(|sums| sums.usages_nonzeros() as i64).collect();
        let mut changes: Vec<i64> = members()
            .flat_map(|sums| {
                let mut by_rank = vec![0; comm.size()];
                by_rank[comm.rank()] = i64::from(sums.change.load(Ordering::Relaxed));
                by_rank
            })
            .collect();
        let mut locks: Vec<_> = self
            .panels
            .iter()
            .flat_map(|panel| std::iter::once(&panel.sums.wtx).chain(panel.sums.members.iter().map(|sums| &sums.wtw)))
            .flat_map(ExactSum::lock)
            .collect();
        let mut parts: Vec<&mut [i64]> = vec![&mut nonzeros, &mut changes];
        parts.extend(locks.iter_mut().map(|stripe| stripe.as_mut_slice()));
        comm.all_reduce_sum(&mut parts)?;
        for ((sums, nonzeros), changes) in members().zip(nonzeros).zip(changes.chunks_exact(comm.size())) {
            sums.nonzeros.store(nonzeros as u64, Ordering::Relaxed);
            sums.change.store(changes.iter().copied().max().unwrap_or(0) as u32, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Whether `w_c ‖h_c‖² ≤ ⟨x, h_c⟩` for every row after its update, from which the bounds of the
/// exact sums follow, but for as much as the update rounds (`docs/numerics.md`). NaN and infinities
/// pass: the sums refuse them.
fn bounds_hold(w: FactorRef<'_>, before: FactorRef<'_>, xht: FactorRef<'_>, sq_norms: &[f32]) -> bool {
    let k = w.k();
    let rounded = (k + 4) as f64 * f64::from(f32::EPSILON);
    w.iter().zip(before.iter()).zip(xht.iter()).all(|((w, before), xht)| {
        // The largest that any component has been on the way, times the norm of its row of H.
        let on_the_way: f64 = (0..k)
            .filter(|&c| sq_norms[c] >= f32::MIN_POSITIVE)
            .map(|c| {
                let norm = f64::from(sq_norms[c]).sqrt();
                (f64::from(xht[c]) / norm).max(f64::from(before[c]) * norm)
            })
            .sum();
        (0..k).all(|c| {
            let (sq_norm, most) = (f64::from(sq_norms[c]), f64::from(xht[c]));
            let slack = rounded * (most + sq_norm.sqrt() * on_the_way) + f64::from(f32::MIN_POSITIVE);
            let beyond = f64::from(w[c]) * sq_norm - most - slack;
            !beyond.is_finite() || beyond <= 0.0
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usages_beyond_their_bound_are_noticed() {
        let (before, xht) = ([0.0, 1.0, 0.0, 0.0], [6.0, 2.0, 0.0, 0.0]);
        let hold = |w: [f32; 4]| {
            let view = |row| FactorRef::new(row, 1, 2, 4);
            bounds_hold(view(&w), view(&before), view(&xht), &[2.0, 1.0])
        };
        assert!(hold([3.0, 2.0, 0.0, 0.0]) && hold([0.0; 4]) && hold([3.000_001, 2.0, 0.0, 0.0]));
        assert!(!hold([3.001, 0.0, 0.0, 0.0]) && !hold([0.0, 2.001, 0.0, 0.0]));
        assert!(hold([f32::NAN, 0.0, 0.0, 0.0]), "the sum refuses it");
    }

    #[test]
    fn panels_hold_what_fits_into_their_lanes() {
        let cut = |ks: &[usize]| PanelShape::cut(ks, Layout::Sparse);
        assert_eq!(cut(&[20]), [PanelShape { ld: 20, cell_ld: 32, members: vec![(0, 20)] }]);
        // Rows of 8 never lie on two lines, and dense cells have no gaps.
        assert_eq!(cut(&[8]), [PanelShape { ld: 8, cell_ld: 8, members: vec![(0, 8)] }]);
        let dense = PanelShape::cut(&[20], Layout::Dense);
        assert_eq!(dense, [PanelShape { ld: 20, cell_ld: 20, members: vec![(0, 20)] }]);
        let two = cut(&[5, 10, 30, 70, 9]);
        let members: Vec<_> = two.iter().map(|panel| panel.members.clone()).collect();
        assert_eq!(members, [vec![(0, 5), (8, 10), (20, 30)], vec![(0, 70)], vec![(0, 9)]]);
        assert_eq!(
            two.iter().map(|panel| (panel.lanes(), panel.ld)).collect::<Vec<_>>(),
            [(52, 64), (72, 72), (12, 12)]
        );
        assert_eq!(PanelShape::cut(&[5, 6], Layout::Dense).len(), 2);
        assert!(cut(&[]).is_empty());
    }
}
