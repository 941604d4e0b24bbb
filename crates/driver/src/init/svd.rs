//! A start from the singular vectors of a sample ("NNDSVD": Boutsidis and Gallopoulos, *Pattern
//! Recognition* 41, 2008).
//!
//! The right singular vectors v_c of X are found by subspace iteration (Halko, Martinsson and Tropp,
//! *SIAM Review* 53, 2011): l directions Q, some more than wanted, are multiplied by XᵀX and made
//! orthonormal a few times. The first is non-negative. Each further one has entries of both signs,
//! and so has u_c, its left partner. The component is the part of v_c of one sign, of that one for
//! which the part of u_c and that of v_c have the larger product of norms.
//!
//! On some real counts this start finds optima that means of random rows miss; on a simulated
//! continuum of cells it is the worse one. So a start of each kind is made, and the sample decides
//! (see [`climb`](super::climb)).

use partwise_kernels::FactorBuf;
use partwise_kernels::eigen::symmetric_eigen;
use rayon::prelude::*;
use tracing::info_span;

use super::ground::Ground;
use super::random::means_of_rows;
use crate::blocks::{Blocks, MemoryBlocks};
use crate::compute::subspace::{Local, Subspace, SubspaceSums};
use crate::engine::{Direction, Engine, Worker};
use crate::error::DriverError;
use crate::sample::TwoOrders;
use crate::scale::{GeneScale, scaled_sq_norm};
use crate::spectra::{GENE_CHUNK, Spectra};

/// Multiplications by XᵀX. One more takes the norms of both signs.
const STEPS: usize = 5;
/// Directions beyond those wanted.
const SPARE: usize = 10;
/// The stream of the seed that the first directions are drawn from; others are those of the other
/// starts.
const STREAM: u64 = 1 << 32;
/// Directions with less than this part of the largest squared norm are rounding.
const RANK_TOL: f64 = 1e-12;

/// How many directions are followed for k components of a matrix: at most `most` and as many as it
/// has rows or genes, but k at least.
pub(super) fn directions(k: usize, most: usize, ground: &dyn Ground) -> usize {
    (k + SPARE).min(most).min(ground.cells()).min(ground.genes()).max(k)
}

/// Subspace iteration on a sample X̂ of m genes, with l directions.
pub(super) trait Steps {
    /// `X̂ᵀX̂·q / ‖X̂‖²` (m × l) in the memory of `q`.
    fn step(&mut self, q: Spectra) -> Result<Spectra, DriverError>;

    /// The squared norms of the positive entries of X̂·q, column by column, and of the negative ones.
    fn signed_norms(&mut self, q: &Spectra) -> Result<(Vec<f64>, Vec<f64>), DriverError>;
}

/// Passes over the matrix that a start takes.
pub(super) const PASSES: usize = STEPS + 1;

/// k rows of H from the singular vectors of a sample, found with l directions. A component beyond the
/// rank of the matrix is a mean of random rows. Costs [`PASSES`] passes with l components and
/// O(m·l²) a step.
pub(super) fn nndsvd(ground: &dyn Ground, (k, l): (usize, usize), seed: u64) -> Result<Spectra, DriverError> {
    let _span = info_span!("singular vectors").entered();
    let means = means_of_rows(ground, l, seed, STREAM)?;
    let mut steps = ground.steps(l);
    let mut q = orthonormal(means.clone());
    for _ in 0..STEPS {
        q = orthonormal(steps.step(q)?);
    }
    let (positive, negative) = steps.signed_norms(&q)?;
    drop(steps);

    let mut spectra = Spectra::zeros(ground.genes(), k);
    for c in 0..k {
        let part = part_of(&q, c, positive[c].sqrt(), negative[c].sqrt());
        let ks = spectra.ks();
        let row = spectra.ht_mut().iter_mut().skip(c).step_by(ks);
        match part {
            Some(sign) => row.zip(q.component(c)).for_each(|(value, v)| *value = (sign * v).max(0.0)),
            None => row.zip(means.component(c)).for_each(|(value, mean)| *value = mean),
        }
    }
    Ok(spectra)
}

/// Steps through the blocks of a packed sample.
pub(super) struct BlockSteps<'i> {
    view: &'i MemoryBlocks,
    scale: &'i GeneScale,
    engine: &'i Engine<'i>,
    sums: SubspaceSums,
    workers: Vec<Worker<Local>>,
    sq_norm: f64,
    /// D·Q, if genes are scaled.
    scaled: Option<Spectra>,
}

impl<'i> BlockSteps<'i> {
    pub(super) fn new(
        (view, scale): (&'i MemoryBlocks, &'i GeneScale),
        l: usize,
        engine: &'i Engine<'i>,
        threads: usize,
    ) -> Self {
        BlockSteps {
            view,
            scale,
            engine,
            sums: SubspaceSums::new(view.genes(), l),
            workers: (0..threads.min(view.blocks()).max(1)).map(|_| Worker::new(Local::new(view, l))).collect(),
            sq_norm: scaled_sq_norm(view, scale),
            scaled: scale.factors().map(|_| Spectra::zeros(view.genes(), l)),
        }
    }

    /// One pass with the directions `q`.
    fn pass(&mut self, q: &Spectra) -> Result<(), DriverError> {
        let directions = match (&mut self.scaled, self.scale.factors()) {
            (Some(scaled), Some(factors)) => {
                scaled.ht_mut().copy_from_slice(q.ht());
                scaled.multiply_genes(factors);
                scaled.view()
            }
            _ => q.view(),
        };
        self.sums.reset(self.view.gene_sq_norms(), self.sq_norm);
        let fold = Subspace { data: self.view, directions, sums: &self.sums };
        self.engine.pass(self.view, &fold, &mut self.workers, Direction::Forward)?;
        Ok(())
    }
}

impl Steps for BlockSteps<'_> {
    fn step(&mut self, mut q: Spectra) -> Result<Spectra, DriverError> {
        self.pass(&q)?;
        let (ks, inverse) = (q.ks(), 1.0 / self.sq_norm);
        q.ht_mut().par_chunks_mut(GENE_CHUNK * ks).enumerate().for_each(|(chunk, ht)| {
            let genes = chunk * GENE_CHUNK..chunk * GENE_CHUNK + ht.len() / ks;
            let mut sums = vec![0.0; ht.len()];
            self.sums.xty.read(genes, 0..ks, &mut sums);
            ht.iter_mut().zip(sums).for_each(|(value, sum)| *value = (sum * inverse) as f32);
        });
        if let Some(factors) = self.scale.factors() {
            q.multiply_genes(factors);
        }
        Ok(q)
    }

    fn signed_norms(&mut self, q: &Spectra) -> Result<(Vec<f64>, Vec<f64>), DriverError> {
        self.pass(q)?;
        let l = q.k();
        let mut norms = vec![0.0; 2 * l];
        self.sums.signed.read(0..2, 0..l, &mut norms);
        let negative = norms.split_off(l);
        Ok((norms, negative))
    }
}

/// Steps through a sample in two orders.
pub(super) struct OrderSteps<'o> {
    orders: &'o TwoOrders,
    /// Y = X̂·Q.
    y: FactorBuf,
    xty: FactorBuf,
}

impl<'o> OrderSteps<'o> {
    pub(super) fn new(orders: &'o TwoOrders, l: usize) -> Self {
        OrderSteps { orders, y: FactorBuf::zeros(orders.cells(), l), xty: FactorBuf::zeros(orders.genes(), l) }
    }
}

impl Steps for OrderSteps<'_> {
    fn step(&mut self, mut q: Spectra) -> Result<Spectra, DriverError> {
        self.orders.xht(&mut self.y, q.view());
        self.orders.wtx(&mut self.xty, self.y.view(self.orders.cells(), q.k()));
        let inverse = (1.0 / self.orders.sq_norm()) as f32;
        q.ht_mut().iter_mut().zip(&*self.xty).for_each(|(value, sum)| *value = sum * inverse);
        Ok(q)
    }

    fn signed_norms(&mut self, q: &Spectra) -> Result<(Vec<f64>, Vec<f64>), DriverError> {
        self.orders.xht(&mut self.y, q.view());
        let (mut positive, mut negative) = (vec![0.0; q.k()], vec![0.0; q.k()]);
        for row in self.y.chunks_exact(q.ks()) {
            for ((value, positive), negative) in row.iter().zip(&mut positive).zip(&mut negative) {
                let square = f64::from(*value) * f64::from(*value);
                *(if *value > 0.0 { positive } else { negative }) += square;
            }
        }
        Ok((positive, negative))
    }
}

/// The left singular vectors of `z` (m × l), those of large values first. Columns beyond its rank
/// are zero.
///
/// From the eigenvectors of ZᵀZ, which squares the condition of Z. That is good enough here: the
/// entries of Z have 24 bits, and its Gram matrix has 53.
fn orthonormal(mut z: Spectra) -> Spectra {
    let (l, ks) = (z.k(), z.ks());
    let eigen = symmetric_eigen(&z.gram(), l);
    let least = RANK_TOL * eigen.values[0].max(0.0);
    let inverse: Vec<f64> =
        eigen.values.iter().map(|&value| if value > least { 1.0 / value.sqrt() } else { 0.0 }).collect();
    let _span = info_span!("orthonormal directions", tasks = z.genes().div_ceil(GENE_CHUNK)).entered();
    z.ht_mut().par_chunks_mut(GENE_CHUNK * ks).for_each_init(
        || vec![0.0; l],
        |turned, chunk| {
            for gene in chunk.chunks_exact_mut(ks) {
                turned.fill(0.0);
                for (&value, vectors) in gene.iter().zip(eigen.vectors.chunks_exact(l)) {
                    turned.iter_mut().zip(vectors).for_each(|(sum, vector)| *sum += f64::from(value) * vector);
                }
                for ((value, turned), inverse) in gene.iter_mut().zip(&*turned).zip(&inverse) {
                    *value = (turned * inverse) as f32;
                }
            }
        },
    );
    z
}

/// The sign of the part of v_c, column `c` of `q`, that becomes the component; `None` if the vector
/// is zero. `positive` and `negative` are the norms of the parts of X·v_c.
fn part_of(q: &Spectra, c: usize, positive: f64, negative: f64) -> Option<f32> {
    let norm = |sign: f32| q.component(c).map(|v| f64::from((sign * v).max(0.0)).powi(2)).sum::<f64>().sqrt();
    let (up, down) = (positive * norm(1.0), negative * norm(-1.0));
    (up.max(down) > 0.0).then_some(if up >= down { 1.0 } else { -1.0 })
}

#[cfg(test)]
mod tests {
    use partwise_storage::Quiet;

    use super::super::ground::Packed;
    use super::*;
    use crate::blocks::{FitData, Matrix};
    use crate::config::ScaleSpec;

    /// Rows of a matrix with three parts of falling size and a little of everything.
    fn matrix(cells: usize, genes: usize) -> Vec<f32> {
        let value = |i: usize, j: usize| {
            let part = if i % 3 == j % 3 { [30.0, 12.0, 5.0][i % 3] } else { 0.0 };
            part + ((i * 7 + j * 5) % 11) as f32 * 0.1
        };
        (0..cells * genes).map(|at| value(at / genes, at % genes)).collect()
    }

    /// The same start by the definition, in f64: eigenvectors of X̂ᵀX̂, and X̂·v for the signs.
    fn naive(rows: &[Vec<f64>], k: usize) -> Vec<Vec<f64>> {
        let genes = rows[0].len();
        let gram: Vec<f64> =
            (0..genes * genes).map(|at| rows.iter().map(|row| row[at / genes] * row[at % genes]).sum()).collect();
        let eigen = symmetric_eigen(&gram, genes);
        let component = |c: usize| {
            let v: Vec<f64> = (0..genes).map(|j| eigen.vectors[j * genes + c]).collect();
            let u: Vec<f64> = rows.iter().map(|row| row.iter().zip(&v).map(|(x, v)| x * v).sum()).collect();
            let norm = |of: &[f64], sign: f64| of.iter().map(|x| (sign * x).max(0.0).powi(2)).sum::<f64>().sqrt();
            let sign = if norm(&u, 1.0) * norm(&v, 1.0) >= norm(&u, -1.0) * norm(&v, -1.0) { 1.0 } else { -1.0 };
            v.iter().map(|v| (sign * v).max(0.0)).collect()
        };
        (0..k).map(component).collect()
    }

    #[test]
    fn components_are_parts_of_the_singular_vectors() {
        const K: usize = 3;
        let (cells, genes) = (600, 24);
        let rows = matrix(cells, genes);
        for spec in [ScaleSpec::None, ScaleSpec::Std] {
            let data = Matrix::from_dense(genes, &rows).unwrap();
            let scale = GeneScale::new(spec, data.gene_moments(), cells);
            let engine = Engine::new(1 << 20, &Quiet);
            let weights: Vec<f32> = (0..cells).map(|i| [1.0, 4.0, 2.0, 1.5][i % 4]).collect();
            let view = data.memory().weighted(weights.clone());
            let packed = Packed { view: &view, scale: &scale, engine: &engine, threads: 2 };
            let found = nndsvd(&packed, (K, 12), 4).unwrap();
            let hat = |(row, weight): (&[f32], &f32)| {
                row.iter().enumerate().map(|(j, x)| f64::from(x * scale.factor(j) * weight)).collect()
            };
            let expected = naive(&rows.chunks_exact(genes).zip(&weights).map(hat).collect::<Vec<_>>(), K);
            for (c, expected) in expected.iter().enumerate() {
                for (value, expected) in found.component(c).zip(expected) {
                    assert!((f64::from(value) - expected).abs() < 1e-4, "component {c}, {spec:?}: {value} {expected}");
                }
            }
        }
    }

    #[test]
    fn a_sample_may_have_fewer_rows_than_components() {
        let data = Matrix::from_dense(4, &[1.0, 2.0, 0.0, 3.0]).unwrap();
        let scale = GeneScale::new(ScaleSpec::None, data.gene_moments(), 1);
        let engine = Engine::new(1 << 20, &Quiet);
        let packed = Packed { view: data.memory(), scale: &scale, engine: &engine, threads: 1 };
        let found = nndsvd(&packed, (2, directions(2, 6, &packed)), 4).unwrap();
        assert_eq!(found.component(1).collect::<Vec<_>>(), [1.0, 2.0, 0.0, 3.0]);
    }

    #[test]
    fn components_beyond_the_rank_are_means_of_rows() {
        let data = Matrix::from_dense(4, &[1.0, 2.0, 0.0, 3.0].repeat(50)).unwrap();
        let scale = GeneScale::new(ScaleSpec::None, data.gene_moments(), 50);
        let engine = Engine::new(1 << 20, &Quiet);
        let packed = Packed { view: data.memory(), scale: &scale, engine: &engine, threads: 1 };
        let found = nndsvd(&packed, (3, 4), 4).unwrap();
        let expected = [1.0, 2.0, 0.0, 3.0].map(|value: f32| value / 14.0f32.sqrt());
        assert!(found.component(0).zip(expected).all(|(value, expected)| (value - expected).abs() < 1e-6));
        for c in 1..3 {
            assert_eq!(found.component(c).collect::<Vec<_>>(), [1.0, 2.0, 0.0, 3.0]);
        }
    }
}
