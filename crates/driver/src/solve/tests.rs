use std::sync::Arc;

use partwise_storage::Quiet;
use partwise_storage::store::Layout;
use partwise_storage::tile::encode_dense;

use super::*;
use crate::blocks::{Cut, MemoryBlocks, PackedTile};
use crate::config::ScaleSpec;
use crate::trace::COLUMNS;
use crate::usages::{UsagesPlace, UsagesStart};

/// A pass that was accepted, or not, after which the loss was lower by this part.
fn pass(accepted: bool, relative_decrease: f64) -> TraceRow {
    let zero = TraceRow::of_words([0; COLUMNS.len()]);
    TraceRow { accepted, relative_decrease, kkt_residual: f64::NAN, ..zero }
}

#[test]
fn two_still_passes_in_a_row_end_a_fit_and_one_does_not() {
    let until = Until { passes: 9, tol: 1e-3, residual: false };
    let (moves, still) = (pass(true, 1e-2), pass(true, 1e-4));
    assert_eq!(until.reached(&[moves, still]), None);
    assert_eq!(until.reached(&[still, moves]), None);
    assert_eq!(until.reached(&[still, moves, still]), None);
    assert_eq!(until.reached(&[moves, still, still]), Some(StopReason::Converged));
    // A rejected pass between them counts for nothing, and none ends a fit.
    let rejected = pass(false, -1e-2);
    assert_eq!(until.reached(&[still, rejected, still]), Some(StopReason::Converged));
    assert_eq!(until.reached(&[still, still, rejected]), None);
    assert_eq!(Until { tol: 0.0, ..until }.reached(&[still, still]), None);
    assert_eq!(Until { passes: 2, ..until }.reached(&[moves, moves]), Some(StopReason::MaxPasses));
}

/// The matrix that a fit of weighted rows factorizes is R·X, in every sum of a pass.
#[test]
fn the_loss_of_weighted_rows_is_that_of_the_rows_multiplied() {
    let (cells, genes, k) = (40, 12, 2);
    let values: Vec<f32> = (0..cells * genes).map(|i| ((i * i + 3 * i) % 17) as f32).collect();
    let weights: Vec<f32> = (0..cells).map(|i| [1.0, 2.5, 0.75][i % 3]).collect();
    let mut bytes = Vec::new();
    encode_dense(&values, genes, &mut bytes);
    let tile = Arc::new(PackedTile::copy(&bytes, cells, (cells * genes) as u64));
    let cut = Cut { layout: Layout::Dense, genes, tile_rows: 64, tiles_per_block: 1 };
    let data = MemoryBlocks::new(cut, vec![tile], Some(weights.clone())).unwrap();

    let mut spectra = Spectra::zeros(genes, k);
    let ks = spectra.ks();
    for (j, row) in spectra.ht_mut().chunks_exact_mut(ks).enumerate() {
        (row[0], row[1]) = (1.0 + (j % 5) as f32, 1.0 + (j % 3) as f32);
    }
    let usages = Usages::new(cells, k, data.block_rows(), &UsagesPlace::Memory, UsagesStart::Zero).unwrap();
    let state = State { standing: Standing::start(spectra, false), usages, before: 0, trace: Vec::new() };
    let scale = GeneScale::new(ScaleSpec::None, &[], cells);
    let until = Until { passes: 1, tol: 0.0, residual: false };
    let mut solvers = [Solver::new(&data, &scale, Rules::SAMPLED, until, state)];
    run(&Engine::new(1 << 20, &Quiet), &data, &mut solvers, 1, &mut |_, _| Ok(())).unwrap();
    let [solver] = solvers;

    let loss = solver.standing().loss.unwrap();
    let mut w = vec![0.0; cells * k];
    solver.usages().load(0, &mut w).unwrap();
    let (mut explicit, mut sq_norm) = (0.0, 0.0);
    for (i, w) in w.chunks_exact(k).enumerate() {
        for j in 0..genes {
            let x = f64::from(weights[i]) * f64::from(values[i * genes + j]);
            let h = |c: usize| f64::from(solver.standing().spectra.get(c, j));
            explicit += 0.5 * (x - f64::from(w[0]) * h(0) - f64::from(w[1]) * h(1)).powi(2);
            sq_norm += x * x;
        }
    }
    assert!((loss - explicit).abs() < 1e-6 * sq_norm, "{loss} against {explicit}");
}

/// They would count in H·Hᵀ of the first pass.
#[test]
fn genes_that_are_left_out_are_zero_from_the_start_on() {
    let (cells, genes, k) = (3, 4, 2);
    let mut bytes = Vec::new();
    encode_dense(&[1.0; 12], genes, &mut bytes);
    let tile = Arc::new(PackedTile::copy(&bytes, cells, 12));
    let cut = Cut { layout: Layout::Dense, genes, tile_rows: 64, tiles_per_block: 1 };
    let data = MemoryBlocks::new(cut, vec![tile], None).unwrap();
    let mut spectra = Spectra::zeros(genes, k);
    let ks = spectra.ks();
    spectra.ht_mut().chunks_exact_mut(ks).for_each(|row| row[..k].fill(1.0));
    let usages = Usages::new(cells, k, data.block_rows(), &UsagesPlace::Memory, UsagesStart::Zero).unwrap();
    let state = State { standing: Standing::start(spectra, true), usages, before: 0, trace: Vec::new() };
    let mut kept = fixedbitset::FixedBitSet::with_capacity(genes);
    kept.insert(1);
    kept.insert(3);
    let scale = GeneScale::new(ScaleSpec::None, &[], cells).keeping(Some(&kept));
    let until = Until { passes: 1, tol: 0.0, residual: false };
    let mut solver = Solver::new(&data, &scale, Rules::SAMPLED, until, state);
    solver.prepare();
    for spectra in [&solver.standing.spectra, &solver.standing.previous, &solver.trial] {
        let sums: Vec<bool> = (0..genes).map(|gene| spectra.get(0, gene) + spectra.get(1, gene) > 0.0).collect();
        assert_eq!(sums, [false, true, false, true]);
    }
}
