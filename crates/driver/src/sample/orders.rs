//! A sample in memory in two orders: by rows and by genes.
//!
//! A start goes through its sample dozens of times. In both orders each number of X·Hᵀ and of WᵀX is one sum in
//! registers ([`sparse::csr`]): nothing is added up in memory, nothing is merged, and rows and genes are shared out
//! among threads in any way with the same bits. Scale and weights are multiplied in, and a power of two that brings
//! rows to a norm of about one: products stay inside the range of f32 whatever the units of X.
//!
//! Most of what can be told is in few genes: on 20,000 genes of simulated counts, 1,100 hold 80 % of ‖X̂‖². A start
//! is found on the [`leading`] ones. The spectra of the others follow in the end from one solve. With 600 a fit
//! takes about 0.6 of the CPU time up to the end of its first pass, and the start is as good for most data, but a
//! program that few cells carry shows in many genes, each of them weak: one in 200 cells of 120,000 × 5,000 was
//! found from six seeds of six on all 5,000 genes, four on 3,000 and none on 2,000.

use partwise_kernels::{Csr, CsrBuf, FactorMut, FactorRef, sparse};
use partwise_storage::sampling::Draw;
use partwise_storage::store::GeneMoments;
use rayon::prelude::*;
use tracing::info_span;

use super::compress;
use super::packed::Gathered;
use crate::blocks::FitData;
use crate::exact::{exponent, power_of_two};
use crate::scale::{GeneScale, scaled_sq_norm};

/// The part of ‖X̂‖² that the leading genes hold at least, and the fewest of them.
const HELD: f64 = 0.7;
pub(crate) const FEWEST: usize = 5000;
/// Tasks of a product. The first genes have many times the entries of the last, so tasks have as many entries as
/// one another, and not as many rows.
const TASKS: usize = 256;

/// A sample as it was read: its rows, and how they take part.
#[derive(Clone, Copy)]
pub(crate) struct SampleRows<'s> {
    pub(crate) draw: &'s Draw,
    /// How many of its rows.
    pub(crate) rows: usize,
    pub(crate) gathered: &'s Gathered<'s>,
    pub(crate) scale: &'s GeneScale,
}

/// A sample by rows, its leading genes apart from the others; and, once it is [turned](Self::turned), the leading
/// genes of its first rows by gene as well.
///
/// The rows of a sample come by priority, so the first ones are a smaller sample. Weights stay those of the whole, so
/// rows that it has for certain (p = 1) count for too much in the smaller one. A start is looked for in the first
/// rows, and what is found goes on with all of them.
pub(crate) struct TwoOrders {
    /// The rows that take part: the first ones, so many.
    cells: usize,
    /// The genes of the matrix in this one, leading genes first, and how many lead.
    order: Vec<u32>,
    leading: usize,
    by_row: CsrBuf,
    by_gene: CsrBuf,
    /// The other genes, by row.
    others: CsrBuf,
    /// ‖X̂‖² of the leading genes in the rows that take part.
    sq_norm: f64,
    /// What all values are multiplied by, a power of two.
    #[cfg(test)]
    pub(crate) unit: f64,
}

/// The genes in falling order of what they can tell, and how many of them lead: of X̂, genes scaled by `scale`.
///
/// Of counts, Σ x of a gene's ‖x‖² is noise that no program explains (of Poisson counts with rates λ, the sum of
/// squares is Σ λ² + Σ λ on average). The rest counts: so genes that few cells have, but these many times, come before
/// genes that all cells have now and then.
pub(crate) fn leading(moments: &[GeneMoments], are_counts: bool, scale: impl Fn(usize) -> f32) -> (Vec<u32>, usize) {
    let told = |(gene, of): (usize, &GeneMoments)| {
        let noise = if are_counts { of.sum } else { 0.0 };
        (of.sum_sq - noise).max(0.0) * f64::from(scale(gene)).powi(2)
    };
    let norms: Vec<f64> = moments.iter().enumerate().map(told).collect();
    let mut genes: Vec<u32> = (0..norms.len() as u32).collect();
    genes.sort_by(|&a, &b| norms[b as usize].total_cmp(&norms[a as usize]));
    let (total, mut held, mut leading) = (norms.iter().sum::<f64>(), 0.0, 0);
    while leading < genes.len() && (leading < FEWEST || held < HELD * total) {
        held += norms[genes[leading] as usize];
        leading += 1;
    }
    (genes, leading)
}

impl TwoOrders {
    /// The sample of `data` by rows. Products, entries and norms need it [turned](Self::turned).
    pub(crate) fn new(sample: &SampleRows<'_>, data: &dyn FitData) -> Self {
        let _span = info_span!("order of the sample").entered();
        let SampleRows { draw, rows, gathered, scale } = *sample;
        let (order, leading) = leading(data.gene_moments(), data.holds_counts(), |gene| scale.factor(gene));
        let mut places = vec![0; order.len()];
        order.iter().zip(0..).for_each(|(&gene, place)| places[gene as usize] = place);
        let norm_of_row = (scaled_sq_norm(data.blocks(), scale) / rows.max(1) as f64).sqrt();
        let unit = power_of_two(-exponent(norm_of_row)) as f32;
        let weights = draw.weights(rows);
        // The places of the genes of a row, and the values as they take part.
        let (weights, places) = (weights.as_deref(), &places[..]);
        let entries = |row: usize| {
            let (genes, values) = gathered.entries(draw.rows[row].cell);
            let weight = unit * weights.map_or(1.0, |weights| weights[row]);
            let entry = move |(&gene, &value): (&u32, &f32)| {
                (places[gene as usize] as usize, value * scale.factor(gene as usize) * weight)
            };
            genes.iter().zip(values).map(entry)
        };
        let by_row = compress::by_row(rows, &(0..leading), &entries);
        let others = compress::by_row(rows, &(leading..order.len()), &entries);
        TwoOrders {
            cells: rows,
            order,
            leading,
            by_row,
            by_gene: CsrBuf::default(),
            others,
            sq_norm: 0.0,
            #[cfg(test)]
            unit: f64::from(unit),
        }
    }

    /// In both orders, with the first `cells` rows taking part.
    pub(crate) fn turned(mut self, cells: usize) -> Self {
        // What was turned before is freed first: the plan has room for one.
        self.by_gene = CsrBuf::default();
        self.cells = cells;
        self.by_gene = compress::transposed(self.rows());
        self.sq_norm = self.by_gene.view().values().iter().map(|&value| f64::from(value).powi(2)).sum();
        self
    }

    /// Rows of the sample, and entries of the leading genes in all of them.
    pub(crate) fn whole(&self) -> (usize, u64) {
        let rows = self.by_row.view();
        (rows.len(), rows.values().len() as u64)
    }

    /// Rows that take part.
    pub(crate) fn cells(&self) -> usize {
        self.cells
    }

    /// Leading genes.
    pub(crate) fn genes(&self) -> usize {
        self.leading
    }

    /// The genes of the whole matrix, the leading ones first.
    pub(crate) fn order(&self) -> &[u32] {
        &self.order
    }

    /// Entries of the leading genes in these rows.
    pub(crate) fn entries(&self) -> u64 {
        self.by_gene.view().values().len() as u64
    }

    /// ‖X̂‖² of the leading genes in these rows.
    pub(crate) fn sq_norm(&self) -> f64 {
        self.sq_norm
    }

    /// Shows every entry of the leading genes in the rows `wanted` of these as (row, gene, value).
    pub(crate) fn entries_of(&self, wanted: impl Fn(usize) -> bool, mut see: impl FnMut(usize, usize, f32)) {
        let rows = self.rows();
        for (row, entries) in rows.ranges().enumerate().filter(|(row, _)| wanted(*row)) {
            for at in entries {
                see(row, rows.indices()[at] as usize, rows.values()[at]);
            }
        }
    }

    /// X·Hᵀ (n × k) of the leading genes' H (gene-major).
    pub(crate) fn xht(&self, product: &mut [f32], ht: FactorRef<'_>) {
        times(product, self.rows(), ht);
    }

    /// WᵀX of the leading genes, gene-major.
    pub(crate) fn wtx(&self, product: &mut [f32], w: FactorRef<'_>) {
        times(product, self.by_gene.view(), w);
    }

    /// WᵀX of the other genes, in the order of [`order`](Self::order). Frees the leading ones first.
    pub(crate) fn wtx_of_others(&mut self, product: &mut [f32], w: FactorRef<'_>) {
        (self.by_row, self.by_gene) = (CsrBuf::default(), CsrBuf::default());
        let others = std::mem::take(&mut self.others);
        let by_gene = compress::transposed(others.view());
        drop(others);
        times(product, by_gene.view(), w);
    }

    /// The leading genes of the rows that take part, by row.
    fn rows(&self) -> Csr<'_> {
        self.by_row.view().rows(0..self.cells)
    }
}

/// `product = x · factor`, rows shared out among threads.
fn times(product: &mut [f32], x: Csr<'_>, factor: FactorRef<'_>) {
    let (k, ks) = (factor.k(), factor.lanes());
    let mut left = &mut product[..x.len() * ks];
    let mut tasks = Vec::with_capacity(TASKS);
    for rows in x.cut(TASKS) {
        let (own, rest) = left.split_at_mut(rows.len() * ks);
        tasks.push((rows, own));
        left = rest;
    }
    let _span = info_span!("product", tasks = tasks.len()).entered();
    tasks.into_par_iter().for_each(|(rows, product)| {
        sparse::csr(FactorMut::new(product, rows.len(), k, ks), x.rows(rows), factor);
    });
}
