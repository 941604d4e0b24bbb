//! A fit of a sample in two orders: what [`solve`](crate::solve) does pass by pass with blocks, in plain loops.
//!
//! ```text
//! Ĥ  ← max(0, H + β (H − H₋))
//! W₊ ← update(W; X·Ĥᵀ, Ĥ·Ĥᵀ)
//! H₊ ← update(Ĥ; W₊ᵀX, W₊ᵀW₊)
//! ```
//!
//! A pass that raises the loss is dropped, and the next one starts without extrapolation.

use partwise_kernels::{Dead, FactorBuf, FactorMut, FactorRef, PreparedRule, RuleScratch, UpdateRule, gram, loss};
use rayon::prelude::*;
use tracing::info_span;

use crate::model::Rules;
use crate::sample::TwoOrders;
use crate::solve::{Momentum, extrapolate};
use crate::spectra::{GENE_CHUNK, Spectra, unit_norm_powers};

/// Rows of a factor that one task updates.
const TASK: usize = 128;
/// Values of two factors that one task multiplies.
const INNER: usize = 1 << 13;
/// Inner sweeps that find the spectra of the genes that took no part in the fit.
const SWEEPS: usize = 10;

/// A fit of a sample.
pub(crate) struct SampleFit {
    /// H of the leading genes.
    pub(crate) spectra: Spectra,
    /// W, if it is of a sample in two orders.
    pub(crate) usages: Option<FactorBuf>,
    /// WᵀW.
    pub(crate) wtw: Vec<f64>,
    /// ½‖X̂ − WH‖² over the leading genes.
    pub(crate) loss: f64,
    /// Passes made.
    pub(crate) passes: usize,
}

impl TwoOrders {
    /// Passes from `spectra` (of the leading genes) until two in a row lower the loss by less than `tol`, at most `passes`,
    /// or until `stop`.
    pub(crate) fn fit(&self, mut spectra: Spectra, passes: usize, tol: f64, stop: &dyn Fn() -> bool) -> SampleFit {
        let _span = info_span!("fit of the sample").entered();
        let (k, ks, cells) = (spectra.k(), spectra.ks(), self.cells());
        spectra.scale_components(&unit_norm_powers(&mut spectra.gram(), k));
        let (mut previous, mut trial) = (spectra.clone(), spectra.clone());
        let (mut usages, mut next) = (FactorBuf::zeros(cells, k), FactorBuf::zeros(cells, k));
        let (mut xht, mut wtx) = (FactorBuf::zeros(cells, k), FactorBuf::zeros(self.genes(), k));
        let mut momentum = Momentum::new(Rules::SAMPLED.extrapolate);
        let (mut wtw, mut least, mut still) = (vec![0.0; k * k], f64::INFINITY, 0);
        let mut made = 0;
        while made < passes && still < 2 && !stop() {
            made += 1;
            let beta = momentum.weight();
            extrapolate(&mut trial, &spectra, &previous, beta as f32);
            self.xht(&mut xht, trial.view());
            let rule = Rules::SAMPLED.usages.prepare(&narrow(&trial.gram()), k, Dead::Zero);
            apply(&rule, &mut next, Some(&usages), &xht, (k, ks));
            let next_wtw = gram_of(&next, k, ks);
            self.wtx(&mut wtx, next.view(cells, k));
            update_spectra(Rules::SAMPLED.spectra, trial.ht_mut(), &wtx, &next_wtw, k, ks);
            let cross = inner(&wtx, trial.ht());
            let model = loss::model_term(&next_wtw, &trial.gram());
            let now = loss::LossTerms { x_sq_norm: self.sq_norm(), cross, model }.loss();
            let accepted = now <= least || beta == 0.0;
            if accepted {
                still = if (least - now) / least < tol { still + 1 } else { 0 };
                std::mem::swap(&mut previous, &mut spectra);
                std::mem::swap(&mut spectra, &mut trial);
                std::mem::swap(&mut usages, &mut next);
                (wtw, least) = (next_wtw, now);
            }
            momentum.after(accepted);
        }
        SampleFit { spectra, usages: Some(usages), wtw, loss: least, passes: made }
    }

    /// H of all genes of the matrix: that of a fit, and for the other genes the best for its W.
    pub(crate) fn complete(mut self, fit: &SampleFit) -> Spectra {
        let _span = info_span!("genes that did not lead").entered();
        let SampleFit { spectra, usages, wtw, .. } = fit;
        let (k, ks, cells, others) = (spectra.k(), spectra.ks(), self.cells(), self.order().len() - self.genes());
        let mut wtx = FactorBuf::zeros(others, k);
        let usages = usages.as_ref().expect("a fit of a sample in two orders has its usages");
        self.wtx_of_others(&mut wtx, usages.view(cells, k));
        let mut found = FactorBuf::zeros(others, k);
        update_spectra(UpdateRule::Hals { sweeps: SWEEPS }, &mut found, &wtx, wtw, k, ks);
        let mut all = Spectra::zeros(self.order().len(), k);
        let rows = spectra.ht().chunks_exact(ks).chain(found.chunks_exact(ks));
        for (&gene, row) in self.order().iter().zip(rows) {
            all.ht_mut()[gene as usize * ks..][..ks].copy_from_slice(row);
        }
        all
    }
}

/// Updates H (genes × ks) for WᵀX and WᵀW.
fn update_spectra(rule: UpdateRule, ht: &mut [f32], wtx: &[f32], wtw: &[f64], k: usize, ks: usize) {
    let rule = rule.prepare(&narrow(wtw), k, Dead::Keep);
    apply(&rule, ht, None, wtx, (k, ks));
}

/// Updates the rows of a factor (rows × ks) for their cross products, a few in each task: from what they are, or
/// from the rows of another.
fn apply(rule: &PreparedRule, rows: &mut [f32], from: Option<&[f32]>, cross: &[f32], (k, ks): (usize, usize)) {
    let _span = info_span!("update of a factor", tasks = rows.len().div_ceil(TASK * ks)).entered();
    rows.par_chunks_mut(TASK * ks).zip(cross.par_chunks(TASK * ks)).enumerate().for_each_init(
        RuleScratch::new,
        |scratch, (task, (rows, cross))| {
            if let Some(from) = from {
                rows.copy_from_slice(&from[task * TASK * ks..][..rows.len()]);
            }
            let height = rows.len() / ks;
            rule.apply(FactorMut::new(rows, height, k, ks), FactorRef::new(cross, height, k, ks), scratch);
        },
    );
}

/// WᵀW, in shares of rows that are added in order.
fn gram_of(w: &[f32], k: usize, ks: usize) -> Vec<f64> {
    let share = |rows: &[f32]| {
        let mut share = vec![0.0; k * k];
        gram::add_gram(&mut share, FactorRef::new(rows, rows.len() / ks, k, ks));
        share
    };
    let _span = info_span!("Gram matrix of W", tasks = w.len().div_ceil(GENE_CHUNK * ks)).entered();
    let shares: Vec<Vec<f64>> = w.par_chunks(GENE_CHUNK * ks).map(share).collect();
    shares.into_iter().fold(vec![0.0; k * k], |mut sum, share| {
        sum.iter_mut().zip(share).for_each(|(sum, share)| *sum += share);
        sum
    })
}

/// ⟨WᵀX, H⟩, in shares of genes that are added in order.
fn inner(wtx: &[f32], ht: &[f32]) -> f64 {
    let share = |(a, b): (&[f32], &[f32])| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let _span = info_span!("inner product", tasks = wtx.len().div_ceil(INNER)).entered();
    let shares: Vec<f64> = wtx.par_chunks(INNER).zip(ht.par_chunks(INNER)).map(share).collect();
    shares.iter().sum()
}

fn narrow(gram: &[f64]) -> Vec<f32> {
    gram.iter().map(|&value| value as f32).collect()
}

#[cfg(test)]
mod tests {
    use partwise_storage::Quiet;
    use partwise_storage::sampling::{self, Caps, Draw, Population, RowWeight, draw};
    use partwise_storage::tile::TakenRows;

    use super::super::ground::packed_fit;
    use super::*;
    use crate::blocks::{FitData, Matrix};
    use crate::config::ScaleSpec;
    use crate::engine::Engine;
    use crate::sample::{Gathered, SampleRows};
    use crate::scale::GeneScale;

    const CELLS: usize = 900;
    const K: usize = 4;

    /// Counts of a few programs; more genes than lead.
    fn matrix(genes: usize) -> Vec<f32> {
        let mut state = 7u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f32 / (1u64 << 31) as f32
        };
        let value = |i: usize, j: usize, luck: f32| {
            let rate = if i % K == j % K { 6.0 } else { 0.4 } / (1.0 + j as f32 / 400.0);
            (rate * luck * luck * 2.0).floor()
        };
        (0..CELLS * genes).map(|at| value(at / genes, at % genes, next())).collect()
    }

    struct Drawn {
        data: Matrix,
        draw: Draw,
        rows: Vec<TakenRows>,
        scale: GeneScale,
    }

    fn drawn(genes: usize, spec: ScaleSpec, rows: usize) -> Drawn {
        let dense = matrix(genes);
        let data = Matrix::from_dense(genes, &dense).unwrap();
        let scale = GeneScale::new(spec, data.gene_moments(), CELLS);
        let caps = Caps { entries: u64::MAX, rows };
        let population = Population {
            cells: CELLS,
            sq_norm: data.sq_norm(),
            moments: &mut |cells| data.cell_moments(cells),
            entries: &|row| row.nonzeros,
        };
        let draw = draw(population, RowWeight::Mixed, caps, 3).unwrap();
        let mut all = TakenRows::default();
        for cell in 0..CELLS {
            let row = &dense[cell * genes..(cell + 1) * genes];
            let (found, values): (Vec<u32>, Vec<f32>) = (0..).zip(row).filter(|(_, value)| **value > 0.0).unzip();
            all.cells.push(cell);
            all.genes.extend(found);
            all.values.extend(values);
            all.ends.push(all.values.len());
        }
        Drawn { data, draw, rows: vec![all], scale }
    }

    impl Drawn {
        fn orders(&self, gathered: &Gathered<'_>) -> TwoOrders {
            let rows = SampleRows { draw: &self.draw, rows: self.draw.rows.len(), gathered, scale: &self.scale };
            TwoOrders::new(&rows, &self.data).turned(self.draw.rows.len())
        }

        /// The weighted and scaled sample, row by row, with its genes in the order of `orders`, and ‖X̂‖² of all.
        fn sample(&self, genes: usize, order: &[u32]) -> Vec<Vec<f64>> {
            let (dense, weights) = (matrix(genes), self.draw.weights(self.draw.rows.len()).unwrap());
            let row = |(row, weight): (&sampling::Drawn, &f32)| {
                let value = |&j: &u32| dense[row.cell * genes + j as usize] * self.scale.factor(j as usize) * weight;
                order.iter().map(|j| f64::from(value(j))).collect()
            };
            self.draw.rows.iter().zip(&weights).map(row).collect()
        }
    }

    #[test]
    fn a_fit_is_that_of_the_packed_sample() {
        for spec in [ScaleSpec::None, ScaleSpec::Std] {
            let drawn = drawn(60, spec, 300);
            let gathered = Gathered::new(&drawn.rows);
            let orders = drawn.orders(&gathered);
            assert_eq!((orders.genes(), orders.cells()), (60, 300));
            let mut start = Spectra::zeros(60, K);
            start.ht_mut().iter_mut().enumerate().for_each(|(at, value)| *value = 1.0 + (at * 7 % 5) as f32);
            // In the order of the matrix, for the packed sample.
            let mut of_matrix = start.clone();
            for (place, &gene) in orders.order().iter().enumerate() {
                of_matrix.ht_mut()[gene as usize * K..][..K].copy_from_slice(&start.ht()[place * K..][..K]);
            }
            let fit = orders.fit(start, 12, 0.0, &|| false);
            assert_eq!(fit.passes, 12);
            let engine = Engine::new(1 << 20, &Quiet);
            let packed = packed_fit((&drawn.draw, &gathered), (60, &drawn.scale), of_matrix, 12, &engine);
            // Each in its own units.
            let relative = |loss: f64, sq_norm: f64| (2.0 * loss / sq_norm).sqrt();
            let sq_norm: f64 = drawn.sample(60, orders.order()).iter().flatten().map(|x| x * x).sum();
            let (ours, theirs) = (relative(fit.loss, orders.sq_norm()), relative(packed.loss, sq_norm));
            assert!((ours - theirs).abs() < 1e-5, "{ours} {theirs}");
        }
    }

    #[test]
    fn the_first_rows_take_part_alone_and_then_all_do() {
        let drawn = drawn(60, ScaleSpec::Std, 300);
        let gathered = Gathered::new(&drawn.rows);
        let orders = drawn.orders(&gathered).turned(150);
        let (order, unit) = (orders.order().to_vec(), orders.unit);
        let rows = drawn.sample(60, &order);
        let nonzeros = |rows: &[Vec<f64>]| rows.iter().flatten().filter(|x| **x > 0.0).count() as u64;
        let sq_norm = |rows: &[Vec<f64>]| rows.iter().flatten().map(|x| (x * unit).powi(2)).sum::<f64>();
        let holds = |orders: &TwoOrders, rows: &[Vec<f64>]| {
            assert_eq!((orders.cells(), orders.entries()), (rows.len(), nonzeros(rows)));
            assert!((orders.sq_norm() / sq_norm(rows) - 1.0).abs() < 1e-6);
            let mut seen = 0;
            orders.entries_of(
                |_| true,
                |row, gene, value| {
                    assert!((f64::from(value) - rows[row][gene] * unit).abs() < 1e-6);
                    seen += 1;
                },
            );
            assert_eq!(seen, nonzeros(rows));
            // XᵀX·1, from both orders.
            let mut ones = Spectra::zeros(60, 1);
            let ks = ones.ks();
            ones.ht_mut().iter_mut().step_by(ks).for_each(|value| *value = 1.0);
            let (mut sums, mut found) = (FactorBuf::zeros(rows.len(), 1), FactorBuf::zeros(60, 1));
            orders.xht(&mut sums, ones.view());
            orders.wtx(&mut found, sums.view(rows.len(), 1));
            for (gene, found) in found.iter().step_by(ks).enumerate() {
                let sum = |row: &Vec<f64>| row.iter().sum::<f64>() * row[gene] * unit * unit;
                let expected: f64 = rows.iter().map(sum).sum();
                assert!((f64::from(*found) - expected).abs() <= 1e-5 * expected, "{gene}: {found} {expected}");
            }
        };
        holds(&orders, &rows[..150]);
        assert_eq!(orders.whole(), (300, nonzeros(&rows)));
        holds(&orders.turned(300), &rows);
    }

    #[test]
    fn the_other_genes_get_their_best_spectra() {
        let genes = 5200;
        let drawn = drawn(genes, ScaleSpec::None, 120);
        let gathered = Gathered::new(&drawn.rows);
        let orders = drawn.orders(&gathered);
        let leading = orders.genes();
        assert!((5000..5200).contains(&leading), "{leading}");
        let start = Spectra::zeros(leading, K);
        let mut start = start;
        start.ht_mut().iter_mut().enumerate().for_each(|(at, value)| *value = 1.0 + (at * 7 % 5) as f32);
        let fit = orders.fit(start, 30, 0.0, &|| false);
        let (order, usages) = (orders.order().to_vec(), fit.usages.clone().unwrap());
        let all = orders.complete(&fit);
        let x = drawn.sample(genes, &order);
        // W is in units of the sample: of a gene that led, X − W·H tells which.
        let unit = drawn.orders(&gathered).unit;
        for (place, &gene) in order.iter().enumerate().skip(leading - 3) {
            let h = &all.ht()[gene as usize * K..][..K];
            for c in 0..K {
                // The gradient of ½‖x − Wh‖²: zero where h is above zero, at least zero elsewhere.
                let (mut gradient, mut size) = (0.0, 1e-9);
                for (row, w) in x.iter().zip(usages.chunks_exact(K)) {
                    let model: f64 = w.iter().zip(h).map(|(w, h)| f64::from(*w) * f64::from(*h)).sum();
                    gradient += f64::from(w[c]) * (model - row[place] * unit);
                    size += f64::from(w[c]) * (model + row[place] * unit);
                }
                let gradient = gradient / size;
                let stationary = if h[c] > 0.0 { gradient.abs() < 0.02 } else { gradient > -0.02 };
                assert!(place < leading || stationary, "gene {gene}, component {c}: {gradient} at {}", h[c]);
            }
        }
    }

    #[test]
    fn a_fit_that_is_stopped_ends_after_its_pass() {
        let drawn = drawn(60, ScaleSpec::None, 300);
        let gathered = Gathered::new(&drawn.rows);
        let passes = std::cell::Cell::new(0);
        let mut start = Spectra::zeros(60, K);
        start.ht_mut().fill(1.0);
        let stop = || passes.replace(passes.get() + 1) == 2;
        assert_eq!(drawn.orders(&gathered).fit(start, 12, 0.0, &stop).passes, 2);
    }
}
