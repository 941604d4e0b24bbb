//! What starts race on: a sample in memory, packed like a store or in two orders.

use super::order_fit::SampleFit;
use super::svd::{BlockSteps, OrderSteps, Steps};
use crate::blocks::{Blocks, MemoryBlocks};
use crate::engine::Engine;
use crate::error::DriverError;
use crate::model::Rules;
use crate::sample::TwoOrders;
use crate::scale::GeneScale;
use crate::solve::{Solver, Standing, State, Until, run};
use crate::spectra::Spectra;
use crate::usages::{Usages, UsagesPlace, UsagesStart};

/// A sample X̂ of n rows and m genes, scaled and weighted.
pub(super) trait Ground {
    /// Rows n.
    fn cells(&self) -> usize;

    /// Genes m.
    fn genes(&self) -> usize;

    /// Stored entries.
    fn entries(&self) -> u64;

    /// Shows every entry of the rows `wanted` as (row, gene, value): scaled, but weighted only in two orders. Means of
    /// a few rows may have either.
    fn entries_of(
        &self,
        wanted: &dyn Fn(usize) -> bool,
        see: &mut dyn FnMut(usize, usize, f32),
    ) -> Result<(), DriverError>;

    /// Passes from `spectra` until its loss falls by less than `tol` twice in a row, at most `passes`.
    fn fit(&self, spectra: Spectra, passes: usize, tol: f64) -> Result<SampleFit, DriverError>;

    /// Subspace iteration with l directions.
    fn steps(&self, l: usize) -> Box<dyn Steps + '_>;
}

/// A packed sample, gone through by the passes of the engine.
pub(super) struct Packed<'p> {
    pub(super) view: &'p MemoryBlocks,
    pub(super) scale: &'p GeneScale,
    pub(super) engine: &'p Engine<'p>,
    pub(super) threads: usize,
}

impl Ground for Packed<'_> {
    fn cells(&self) -> usize {
        self.view.cells()
    }

    fn genes(&self) -> usize {
        self.view.genes()
    }

    fn entries(&self) -> u64 {
        self.view.entries()
    }

    fn entries_of(
        &self,
        wanted: &dyn Fn(usize) -> bool,
        see: &mut dyn FnMut(usize, usize, f32),
    ) -> Result<(), DriverError> {
        let seen = self.view.entries_of_all(|row, gene, value| {
            if wanted(row) {
                see(row, gene, value * self.scale.factor(gene));
            }
        });
        seen.map_err(DriverError::Memory)
    }

    fn fit(&self, spectra: Spectra, passes: usize, tol: f64) -> Result<SampleFit, DriverError> {
        let (view, k) = (self.view, spectra.k());
        let usages = Usages::new(view.cells(), k, view.block_rows(), &UsagesPlace::Memory, UsagesStart::Zero)?;
        let standing = Standing::start(spectra, Rules::SAMPLED.extrapolate);
        let until = Until { passes, tol, residual: false };
        let state = State { standing, usages, before: 0, trace: Vec::new() };
        let mut solver = [Solver::new(view, self.scale, Rules::SAMPLED, until, state)];
        run(self.engine, view, &mut solver, self.threads, &mut |_, _| Ok(()))?;
        let [solver] = solver;
        let passes = solver.trace().len();
        let (spectra, wtw, loss) = solver.into_spectra();
        Ok(SampleFit { spectra, usages: None, wtw, loss, passes })
    }

    fn steps(&self, l: usize) -> Box<dyn Steps + '_> {
        Box::new(BlockSteps::new((self.view, self.scale), l, self.engine, self.threads))
    }
}

/// A sample in two orders, gone through by the threads of the pool that it is called in.
pub(super) struct Ordered<'o> {
    pub(super) orders: &'o TwoOrders,
    pub(super) engine: &'o Engine<'o>,
}

impl Ordered<'_> {
    /// Whether the user stops it. Among other processes the next pass tells: all of them do the same here, and none
    /// may leave the others.
    fn stopped(&self) -> bool {
        self.engine.comm().size() == 1 && self.engine.monitor().cancelled()
    }
}

impl Ground for Ordered<'_> {
    fn cells(&self) -> usize {
        self.orders.cells()
    }

    fn genes(&self) -> usize {
        self.orders.genes()
    }

    fn entries(&self) -> u64 {
        self.orders.entries()
    }

    fn entries_of(
        &self,
        wanted: &dyn Fn(usize) -> bool,
        see: &mut dyn FnMut(usize, usize, f32),
    ) -> Result<(), DriverError> {
        self.orders.entries_of(wanted, see);
        Ok(())
    }

    fn fit(&self, spectra: Spectra, passes: usize, tol: f64) -> Result<SampleFit, DriverError> {
        let fit = self.orders.fit(spectra, passes, tol, &|| self.stopped());
        if self.stopped() { Err(DriverError::Cancelled) } else { Ok(fit) }
    }

    fn steps(&self, l: usize) -> Box<dyn Steps + '_> {
        Box::new(OrderSteps::new(self.orders, l))
    }
}

/// Passes over a packed sample, as the slow twin of a fit in two orders.
#[cfg(test)]
pub(super) fn packed_fit(
    (draw, gathered): (&partwise_storage::sampling::Draw, &crate::sample::Gathered<'_>),
    (genes, scale): (usize, &GeneScale),
    spectra: Spectra,
    passes: usize,
    engine: &Engine<'_>,
) -> SampleFit {
    let rows = draw.rows.len();
    let layout = partwise_storage::store::Layout::Sparse;
    let sample = crate::sample::Sample::pack(layout, genes, draw, &[rows], gathered);
    let view = sample.first(rows).expect("a packed sample decodes");
    Packed { view: &view, scale, engine, threads: 2 }.fit(spectra, passes, 0.0).expect("a pass in memory")
}
