//! Start from a fit of a weighted sample of rows, in memory.
//!
//! On a quarter of the sample twice as many components as wanted are fitted; those most alike are merged until
//! k are left ([`merge`](super::merge)); these are fitted to the quarter and then to all of the sample.
//!
//! Why too many first: from k means of random rows the usual local optimum has one program twice and two others, or a
//! rare one, in one component or none. With components to spare each program finds one, and what is alike says which of
//! them were to spare. Measured (default settings; the error where it ended, seeds 0 to 5 or 0 to 3) against what was
//! here before, eight starts of k components on a sixteenth of the sample and the best of them grown:
//!
//! | data, k | eight starts | merged |
//! | --- | --- | --- |
//! | 40,000 × 2,000, ten programs and one in 40 cells, 11 | 0.4378 in 4 of 6, rare one lost in 2 | 0.4378 in 6 of 6 |
//! | 200,000 × 5,000, ten uneven programs and one in 200 cells, 11 | 0.6605 to 0.6607 | 0.6577 |
//! | the same with flatter programs | 0.8253 to 0.8277 | 0.8253, once 0.8261 |
//! | 50,000 × 20,000, 20 programs, 30 | 0.39505 | 0.39448 |
//!
//! and the start takes a third of the time. Merging on a sixteenth of the sample lost the rare program again, which has
//! three rows there. Fewer inner sweeps while there are too many ended higher; three times as many components cost half
//! as much again and gained on small inputs only. What the sample holds of a program is its share of ‖X‖², so what it
//! does not show is not worth a component either.
//!
//! All of it together may cost at most the work of [`WORK_PASSES`] passes over X, counted in stored entries times
//! components. Inputs so small that the sample is all of X may use [`SMALL_WORK`] entries, a fraction of a second, because
//! there a better start costs nobody anything; what one start leaves of that goes into more, and the best is taken.

use partwise_storage::store::{Layout, Store};

use super::merge::merge;
use super::random::means_of_rows;
use crate::compute::gather::{Chosen, Gather, Local};
use crate::data::{Blocks, StoreBlocks};
use crate::engine::{Direction, Engine, Hushed};
use crate::error::DriverError;
use crate::sample::{Caps, Sample, SampleView, Share, draw};
use crate::scale::GeneScale;
use crate::solve::{Factorization, Limits, Rules};
use crate::spectra::Spectra;
use crate::usages::{Usages, UsagesPlace, UsagesStart};

/// Most work on the sample, in passes over X.
const WORK_PASSES: f64 = 5.0;
/// Stored entries that may be gone through where the sample is all of X.
const SMALL_WORK: f64 = 40e6;
/// Part of what is left of it that the quarter may use once there are k components.
const QUARTER_PART: f64 = 0.3;
/// The smaller sample has one entry in so many; below so many rows it is left out.
const QUARTER: u64 = 4;
const FEWEST_ROWS: usize = 256;
/// How many times too many components there are, the part of the work that fitting them may take, and the relative
/// decrease that ends it; and where the sample is all of X.
const WIDE: (usize, f64, f64) = (2, 0.4, 1e-3);
const WIDE_SMALL: (usize, f64, f64) = (3, 0.2, 3e-3);
/// Starts at most where the sample is all of X, as long as the work lasts for one more like the last.
const STARTS: u64 = 8;
/// A fit of a sample ends when two passes in a row decrease its loss by less than this. What is merged, or grown to a
/// larger sample, changes by more; the last one goes on for longer, since passes over a sample are cheaper than those
/// over X that they save.
const QUARTER_TOL: f64 = 3e-4;
const SAMPLE_TOL: f64 = 3e-5;

/// Settings of the start.
pub(crate) struct SampleStart<'s> {
    pub(crate) store: &'s Store,
    pub(crate) scale: &'s GeneScale,
    pub(crate) k: usize,
    pub(crate) seed: u64,
    pub(crate) caps: Caps,
    pub(crate) threads: usize,
}

/// The most components that are fitted for k wanted, where the sample is all of X or not.
pub(crate) fn widest(k: usize, genes: usize, whole: bool) -> usize {
    (if whole { WIDE_SMALL.0 } else { WIDE.0 } * k).min(genes)
}

/// H from a fit of a sample, and the work on it in passes over X. Always by the rules that need the fewest passes,
/// whatever the fit goes on with.
pub(crate) fn sample(start: &SampleStart<'_>, engine: &Engine<'_>) -> Result<(Spectra, f64), DriverError> {
    let sample = read(start, engine)?;
    engine.monitor().freed();
    let hushed = Hushed(engine.monitor());
    let engine = engine.hushed(&hushed);
    let total = StoreBlocks::new(start.store).entries() as f64;
    let small = sample.is_everything();
    let mut work =
        Work { left: if small { SMALL_WORK.max(WORK_PASSES * total) } else { WORK_PASSES * total }, spent: 0.0 };

    let rows = quarter(&sample);
    let part = SampleView::new(&sample, rows).map_err(DriverError::Sample)?;
    let all = SampleView::new(&sample, sample.rows()).map_err(DriverError::Sample)?;
    let (factor, share, tol) = if small { WIDE_SMALL } else { WIDE };
    let wide = (factor * start.k).min(start.store.genes()).min(rows).max(start.k);
    let mut best: Option<(f64, Spectra)> = None;
    for stream in 0..STARTS {
        let before = work.spent;
        let spectra = means_of_rows(&part, start.scale, wide, start.seed, stream).map_err(DriverError::Sample)?;
        let (spectra, wtw, _) = work.fit(start, &engine, &part, spectra, share, tol)?;
        let mut spectra = merge(&spectra, &wtw, start.k);
        if rows < sample.rows() {
            (spectra, ..) = work.fit(start, &engine, &part, spectra, QUARTER_PART, QUARTER_TOL)?;
        }
        let (spectra, _, loss) = work.fit(start, &engine, &all, spectra, 1.0, SAMPLE_TOL)?;
        if best.as_ref().is_none_or(|(least, _)| loss < *least) {
            best = Some((loss, spectra));
        }
        if !small || work.left < work.spent - before {
            break;
        }
    }
    let (_, spectra) = best.expect("there is a first start");
    Ok((spectra, work.spent / total))
}

/// Work that may be done and that has been, in stored entries, each gone through for k components.
struct Work {
    left: f64,
    spent: f64,
}

impl Work {
    /// Passes over `view` until its loss falls by less than `tol`, for at most this part of the work that is left;
    /// the new H, WᵀW and the loss.
    fn fit(
        &mut self,
        start: &SampleStart<'_>,
        engine: &Engine<'_>,
        view: &SampleView<'_>,
        spectra: Spectra,
        part: f64,
        tol: f64,
    ) -> Result<(Spectra, Vec<f64>, f64), DriverError> {
        let k = spectra.k();
        let cost = view.entries() as f64 * k as f64 / start.k as f64;
        // One at least: a merger needs WᵀW, and the least input may be its own sample.
        let passes = ((self.left * part / cost) as usize).max(1);
        let usages = Usages::new(view.cells(), k, view.block_rows(), &UsagesPlace::Memory, UsagesStart::Zero)?;
        let mut fit = Factorization::new(view, start.scale, Rules::SAMPLED, spectra, usages, start.threads);
        let mut made = 0;
        fit.run(engine, Limits { passes, tol, residual: false }, 1, &mut |_| made += 1)?;
        self.left -= cost * f64::from(made);
        self.spent += cost * f64::from(made);
        Ok(fit.into_spectra())
    }
}

/// Draws the rows and takes them out of the store in one pass.
fn read(start: &SampleStart<'_>, engine: &Engine<'_>) -> Result<Sample, DriverError> {
    let store = start.store;
    let share = if start.scale.factors().is_some() { Share::Mixed } else { Share::SquaredNorm };
    let genes = store.genes();
    let layout = store.layout();
    let (drawn, threshold) = draw(
        store.cells(),
        store.sq_norm(),
        share,
        start.caps,
        start.seed,
        &mut |rows| store.cell_moments(rows),
        &|moments| match layout {
            Layout::Sparse => u64::from(moments.nonzeros),
            Layout::Dense => genes as u64,
        },
    )?;
    let mut chosen: Vec<Chosen> =
        drawn.iter().map(|row| Chosen { cell: row.cell, entries: row.entries as usize }).collect();
    chosen.sort_unstable_by_key(|row| row.cell);
    let data = StoreBlocks::new(store);
    let gather = Gather::new(&chosen, &data);
    let mut locals: Vec<Local> = (0..start.threads).map(|_| Local::default()).collect();
    engine.announce("sample", &data);
    engine.pass(&data, &gather, &mut locals, Direction::Forward)?;
    engine.monitor().finish();
    drop(locals);
    engine.monitor().freed();
    Ok(Sample::pack(layout, genes, drawn, threshold, gather.into_rows()))
}

/// Rows of the smaller sample: a quarter of the entries, or all rows where a quarter would be too few.
fn quarter(sample: &Sample) -> usize {
    let all = sample.rows();
    let entries = sample.entries(all) / QUARTER;
    let mut rows = 0;
    while rows < all && sample.entries(rows) < entries {
        rows += sample.tile_rows();
    }
    if rows < FEWEST_ROWS || 2 * rows > all { all } else { rows }
}
