//! How many replicates run in the same passes, and the memory that they take.

use std::ops::Range;

use partwise_kernels::FactorBuf;

use super::{Cohort, ReplicateStart, start};
use crate::comm::{Comm, CommError, all_gather};
use crate::error::ConfigError;
use crate::plan::SEGMENT_BYTES;
use crate::plan::peak::{Held, Sizes};
use crate::shape::{DataShape, Machine};

/// Components of a wave where every wave finds the data in memory. More share the decoding of a tile, which is
/// small beside their products by then; fewer give their results earlier.
const ENOUGH: usize = 1024;

/// Most samples in memory together. With more, nothing would be seen of the work on them for long.
const MOST_SAMPLES: usize = 64;

/// The decisions before a sweep; none of them shows in a result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SweepPlan {
    /// Workers.
    pub threads: usize,
    /// Bytes of a segment.
    pub segment_bytes: u64,
    /// Whether the store is mapped into memory.
    pub map_store: bool,
    /// Bytes of packed blocks that stay in memory.
    pub pinned_bytes: u64,
    /// Bytes of packed blocks after these that are left to the page cache.
    pub cached_bytes: u64,
    /// Replicates whose samples are in memory together; 0 if they start from none.
    pub samples: usize,
    /// Cohorts that share their passes.
    pub waves: Vec<Range<usize>>,
    /// For every cohort, the end of the longest wave that may begin with it.
    ends: Vec<usize>,
    /// The forecast of the peak resident size.
    pub peak_bytes: u64,
}

impl SweepPlan {
    /// A plan for `cohorts` that begin at `start`, over data of this shape: the copy of the selected genes.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Memory`]: a cohort does not fit with one thread and the smallest segments.
    pub fn new(
        cohorts: &[Cohort],
        start: ReplicateStart,
        shape: &DataShape,
        machine: &Machine,
    ) -> Result<Self, ConfigError> {
        let budget = Budget { shape, machine, sampled: start == ReplicateStart::Sample };
        let most = machine.threads.min(shape.own_blocks().max(1));
        let smallest = shape.max_tile_bytes;
        // The cohort that needs most decides how many threads there are.
        let alone = |held: Held| cohorts.iter().map(|cohort| budget.peak(&[*cohort], held)).max().unwrap_or(0);
        let fits = |peak: u64| peak <= machine.memory;
        let threads = (1..=most).rev().find(|&threads| fits(alone(streamed(threads, smallest))));
        let Some(threads) = threads else {
            let needed = alone(streamed(1, smallest));
            return Err(ConfigError::Memory { budget: machine.memory, needed, lower_blocks: None });
        };
        let segments = [SEGMENT_BYTES, SEGMENT_BYTES / 4, 0].map(|bytes| bytes.max(smallest));
        let segment = segments.into_iter().find(|&segment| fits(alone(streamed(threads, segment))));
        let held = streamed(threads, segment.unwrap_or(smallest));

        let resident = Held { mapped: machine.maps, pinned: if machine.maps { 0 } else { shape.own_bytes }, ..held };
        let (held, enough) = match fits(alone(resident)) {
            true => (resident, ENOUGH),
            // Every wave reads the data anew.
            false => (held, usize::MAX),
        };
        let end_of = |first: usize| {
            let together = |&end: &usize| {
                let wave = &cohorts[first..end];
                wave.iter().map(|cohort| cohort.k * cohort.len).sum::<usize>() <= enough
                    && fits(budget.peak(wave, held))
            };
            (first + 2..=cohorts.len()).take_while(together).last().unwrap_or(first + 1)
        };
        let ends: Vec<usize> = (0..cohorts.len()).map(end_of).collect();
        let longest = || ends.iter().enumerate().map(|(first, &end)| &cohorts[first..end]);
        let peak = |held: Held| longest().map(|wave| budget.peak(wave, held)).max().unwrap_or(0);
        let starts = |samples, held: Held| longest().map(|wave| budget.starts(wave, samples, held)).max().unwrap_or(0);
        // Fewer samples take more reads to draw them; fewer blocks in memory, more bytes of every pass.
        let free = machine.memory.saturating_sub(peak(held));
        let part = machine.memory - if held == resident { 0 } else { free / 2 };
        let together = |&samples: &usize| samples == 1 || starts(samples, held) <= part;
        let samples = if budget.sampled { (1..=MOST_SAMPLES).take_while(together).last().unwrap_or(1) } else { 0 };
        let peak = |held: Held| peak(held).max(starts(samples, held));
        let room = if held == resident { 0 } else { machine.memory.saturating_sub(peak(held)) };
        let held = Held { pinned: held.pinned + room.min(shape.own_bytes) / 20 * 19, ..held };
        Ok(SweepPlan {
            samples,
            threads,
            segment_bytes: held.segment,
            map_store: held.mapped,
            pinned_bytes: held.pinned,
            cached_bytes: machine.cache,
            peak_bytes: peak(held),
            waves: waves(&ends),
            ends,
        })
    }

    /// Bytes of a matrix of this shape that each pass after the first reads.
    pub fn read_bytes(&self, shape: &DataShape) -> u64 {
        if self.map_store { 0 } else { shape.own_bytes.saturating_sub(self.pinned_bytes) }
    }

    /// The same with waves that fit into the memory of all processes. All of them call it, with a plan of the same
    /// cohorts.
    ///
    /// # Errors
    ///
    /// When a process is lost.
    pub fn agreed(mut self, comm: &dyn Comm) -> Result<Self, CommError> {
        for end in &mut self.ends {
            let of_all = all_gather(comm, *end as i64)?;
            *end = of_all.into_iter().min().map_or(*end, |least| least as usize);
        }
        self.waves = waves(&self.ends);
        Ok(self)
    }
}

/// Waves one after the other, each as long as it may be.
fn waves(ends: &[usize]) -> Vec<Range<usize>> {
    let mut waves: Vec<Range<usize>> = Vec::new();
    while let Some(first) = Some(waves.last().map_or(0, |wave| wave.end)).filter(|&first| first < ends.len()) {
        waves.push(first..ends[first]);
    }
    waves
}

fn streamed(threads: usize, segment: u64) -> Held {
    Held { threads, pool: threads, segment, usages: false, mapped: false, pinned: 0 }
}

struct Budget<'b> {
    shape: &'b DataShape,
    machine: &'b Machine,
    /// Whether replicates start from samples.
    sampled: bool,
}

impl Budget<'_> {
    /// The peak of cohorts side by side, with one sample at a time if they start from samples.
    fn peak(&self, cohorts: &[Cohort], held: Held) -> u64 {
        self.passes(cohorts, held).max(self.starts(cohorts, usize::from(self.sampled), held))
    }

    /// The peak while cohorts start with so many samples at a time; 0 if they have none.
    fn starts(&self, cohorts: &[Cohort], samples: usize, held: Held) -> u64 {
        let largest = cohorts.iter().map(|cohort| cohort.k).max().unwrap_or(0);
        // H of all that have started, and those that are held back until they all have.
        let factors = |cohort: &Cohort| 2 * cohort.len as u64 * FactorBuf::bytes(self.shape.genes, cohort.k);
        let started: u64 = cohorts.iter().map(factors).sum();
        let sizes = Sizes { sampled: Some(start::caps), seeds: samples, ..self.sizes(vec![largest; samples]) };
        if samples == 0 { 0 } else { sizes.peak(Held { pinned: 0, ..held }) + held.pinned + started }
    }

    /// The peak of the passes of cohorts side by side.
    fn passes(&self, cohorts: &[Cohort], held: Held) -> u64 {
        let ks = cohorts.iter().flat_map(|cohort| std::iter::repeat_n(cohort.k, cohort.len)).collect();
        let sizes = self.sizes(ks);
        // One cohort at a time is compared, its spectra scaled, in f64; and one is written.
        let compared = cohorts.iter().map(|cohort| 8 * (cohort.len * cohort.k * self.shape.genes) as u64).max();
        sizes.peak(held) + compared.unwrap_or(0)
    }

    fn sizes(&self, ks: Vec<usize>) -> Sizes<'_> {
        Sizes {
            shape: self.shape,
            machine: self.machine,
            ks,
            seeds: 1,
            scaled: true,
            sampled: None,
            given: false,
            scored: false,
            written: true,
            passes: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use partwise_storage::store::Layout;

    use super::*;
    use crate::sweep::SweepConfig;

    fn shape(cells: usize) -> DataShape {
        let nonzeros = 250 * cells as u64;
        DataShape {
            cells,
            genes: 2000,
            nonzeros,
            layout: Layout::Sparse,
            block_rows: 1536,
            tile_rows: 256,
            packed_bytes: nonzeros,
            max_tile_bytes: 70_000,
            max_block_bytes: 420_000,
            leading_genes: 1000,
            leading_nonzeros: nonzeros / 3,
            sample_row_entries: 250,
            max_tile_nonzeros: 70_000,
            keeps_sample: false,
            own_cells: cells,
            own_bytes: nonzeros,
            leaves_out_genes: false,
        }
    }

    fn plan(cells: usize, memory: u64, threads: usize) -> Result<SweepPlan, ConfigError> {
        let cohorts: Vec<Cohort> = SweepConfig::new((5..=15).collect::<Vec<_>>(), 100).cohorts().collect();
        SweepPlan::new(&cohorts, ReplicateStart::Random, &shape(cells), &Machine::new(threads, memory))
    }

    #[test]
    fn samples_fit_into_the_budget_and_more_of_them_into_a_larger_one() {
        let cohorts: Vec<Cohort> = SweepConfig::new((5..=15).collect::<Vec<_>>(), 100).cohorts().collect();
        let plan = |memory: u64| {
            let machine = Machine::new(4, memory);
            SweepPlan::new(&cohorts, ReplicateStart::Sample, &shape(12_000_000), &machine)
        };
        let plans = [400 << 20, 1 << 30, 4 << 30].map(|memory| plan(memory).unwrap());
        assert!(plans.iter().zip([400 << 20, 1 << 30, 4 << 30]).all(|(plan, memory)| plan.peak_bytes <= memory));
        let samples = plans.map(|plan| plan.samples);
        assert!(samples[0] >= 1 && samples[2] > 8, "{samples:?}");
        let Err(ConfigError::Memory { needed, .. }) = plan(30 << 20) else { panic!("it does not fit") };
        assert!(plan(needed).is_ok());
    }

    #[test]
    fn waves_cover_all_cohorts_within_the_budget() {
        for (cells, memory, threads) in [(3_000, 4 << 30, 16), (1_000_000, 1 << 30, 8), (1_000_000, 150 << 20, 8)] {
            let plan = plan(cells, memory, threads).unwrap();
            let ends: Vec<usize> = plan.waves.iter().map(|wave| wave.end).collect();
            assert_eq!((plan.waves[0].start, ends[ends.len() - 1]), (0, 55));
            assert!(plan.waves.windows(2).all(|pair| pair[0].end == pair[1].start && !pair[1].is_empty()));
            assert!(plan.peak_bytes <= memory, "{plan:?}");
        }
    }

    #[test]
    fn data_that_stay_in_memory_have_waves_of_a_thousand_components_and_others_as_many_as_fit() {
        let resident = plan(1_000_000, 2 << 30, 4).unwrap();
        assert!(resident.map_store && resident.waves.len() >= 11_000 / ENOUGH, "{resident:?}");
        let streamed = plan(12_000_000, 2 << 30, 4).unwrap();
        assert!(!streamed.map_store && streamed.waves.len() < resident.waves.len(), "{streamed:?}");
        assert!(streamed.pinned_bytes > 0);
    }

    #[test]
    fn a_budget_too_small_for_a_cohort_says_what_is_needed() {
        let Err(ConfigError::Memory { needed, .. }) = plan(1_000_000, 30 << 20, 4) else { panic!("it does not fit") };
        assert!(plan(1_000_000, needed, 4).is_ok());
    }
}
