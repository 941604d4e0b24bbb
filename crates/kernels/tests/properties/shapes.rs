//! Random tiles and factors of any shape.

use partwise_kernels::{Dead, FactorBuf, FactorMut, FactorRef, Isa, RuleScratch, Runs, UpdateRule, stride};
use proptest::prelude::*;

/// A sparse tile and its shape.
#[derive(Clone, Debug)]
pub(crate) struct SparseTile {
    /// The number of rows.
    pub(crate) rows: usize,
    /// The number of genes.
    pub(crate) m: usize,
    genes: Vec<u32>,
    ends: Vec<u32>,
    run_rows: Vec<u8>,
    values: Vec<f32>,
}

impl SparseTile {
    /// The tile as runs.
    pub(crate) fn runs(&self) -> Runs<'_> {
        Runs::new(&self.genes, &self.ends, &self.run_rows, &self.values, self.rows, self.m)
    }

    /// The tile as a rows × m matrix.
    pub(crate) fn to_dense(&self) -> Vec<f32> {
        let mut x = vec![0.0; self.rows * self.m];
        for (gene, rows, values) in self.runs().iter() {
            for (&row, &value) in rows.iter().zip(values) {
                x[row as usize * self.m + gene] = value;
            }
        }
        x
    }
}

/// The typical length of runs.
#[derive(Clone, Copy, Debug)]
enum Density {
    Empty,
    Rare,
    Half,
    Full,
}

/// 1–256 rows and 0–12 genes, with runs from empty to full and values that are counts or fractions.
pub(crate) fn sparse_tile() -> impl Strategy<Value = SparseTile> {
    let rows = prop_oneof![Just(1usize), Just(2), Just(255), Just(256), 1..=256usize];
    (rows, 0..=12usize).prop_flat_map(|(rows, m)| {
        let density = prop_oneof![Just(Density::Empty), Just(Density::Rare), Just(Density::Half), Just(Density::Full)];
        let run = (density, prop::collection::vec((0..100u32, value()), rows));
        prop::collection::vec(run, m).prop_map(move |genes| build(rows, &genes))
    })
}

fn build(rows: usize, genes: &[(Density, Vec<(u32, f32)>)]) -> SparseTile {
    let mut tile = SparseTile { rows, m: genes.len(), genes: vec![], ends: vec![], run_rows: vec![], values: vec![] };
    for (gene, (density, cells)) in genes.iter().enumerate() {
        let percent = match density {
            Density::Empty => 0,
            Density::Rare => 2,
            Density::Half => 50,
            Density::Full => 100,
        };
        for (row, &(chance, value)) in cells.iter().enumerate() {
            if chance < percent {
                tile.run_rows.push(row as u8);
                tile.values.push(value);
            }
        }
        tile.genes.push(gene as u32);
        tile.ends.push(tile.run_rows.len() as u32);
    }
    tile
}

/// A nonzero of X.
fn value() -> impl Strategy<Value = f32> {
    prop_oneof![3 => Just(1.0f32), 2 => (2..50u32).prop_map(|v| v as f32), 2 => between(0.01, 4.0), 1 => between(1e5, 1e6)]
}

/// An entry of a factor: sometimes zero, otherwise over six decades.
fn entry() -> impl Strategy<Value = f32> {
    prop_oneof![1 => Just(0.0f32), 4 => between(0.0, 2.0), 1 => between(1e-4, 1e-2)]
}

/// rows × stride(k) with zero padding.
pub(crate) fn factor(rows: usize, k: usize) -> impl Strategy<Value = FactorBuf> {
    prop::collection::vec(entry(), rows * k).prop_map(move |values| {
        let mut factor = FactorBuf::zeros(rows, k);
        for i in 0..rows {
            factor[i * stride(k)..][..k].copy_from_slice(&values[i * k..][..k]);
        }
        factor
    })
}

/// k × k: `Σ a aᵀ` over `k + 2` rows, sometimes with a dead component, in f32.
pub(crate) fn gram_matrix(k: usize) -> impl Strategy<Value = Vec<f32>> {
    (factor(k + 2, k), prop::option::weighted(0.3, 0..k)).prop_map(move |(mut rows, dead)| {
        if let Some(dead) = dead {
            rows.chunks_exact_mut(stride(k)).for_each(|row| row[dead] = 0.0);
        }
        let mut gram = vec![0.0; k * k];
        partwise_kernels::naive::gram::add_gram(&mut gram, rows.view(k + 2, k));
        gram.iter().map(|&g| g as f32).collect()
    })
}

/// A view of all rows of a factor of `k` components.
pub(crate) fn view(values: &[f32], k: usize) -> FactorRef<'_> {
    FactorRef::new(values, values.len() / stride(k), k, stride(k))
}

/// A view of all rows of a factor of `k` components, for writing.
pub(crate) fn view_mut(values: &mut [f32], k: usize) -> FactorMut<'_> {
    let rows = values.len() / stride(k);
    FactorMut::new(values, rows, k, stride(k))
}

/// Prepares the rule and applies it to all rows.
pub(crate) fn update(rule: UpdateRule, isa: Isa, rows: &mut [f32], cross: &[f32], gram: &[f32], k: usize, dead: Dead) {
    let rule = rule.prepare_with(isa, gram, k, dead);
    rule.apply(view_mut(rows, k), view(cross, k), &mut RuleScratch::new());
}

/// Numbers of components: every residue of the panel widths, the edges first.
pub(crate) fn components() -> impl Strategy<Value = usize> {
    prop_oneof![prop::sample::select(vec![1usize, 4, 5, 16, 17, 63, 64, 65, 70, 129]), 1..=70usize]
}

/// The bits, so that `assert_eq!` compares them and shows the sign of zeros.
pub(crate) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// Whether the padding of a factor is zero.
pub(crate) fn padding_is_zero(factor: &[f32], k: usize) -> bool {
    factor.chunks_exact(stride(k)).all(|row| row[k..].iter().all(|&v| v == 0.0))
}

/// A number of the interval. (Ranges of f32 in proptest sometimes fail an assertion inside
/// proptest.)
pub(crate) fn between(low: f32, high: f32) -> impl Strategy<Value = f32> + Clone {
    (0..=1u32 << 20).prop_map(move |step| low + (high - low) * (step as f32 / (1u32 << 20) as f32))
}
