//! W, the usages (n cells × k), in two generations: the last accepted pass left one, and the pass
//! under way writes the other. If both do not fit in the budget they lie in scratch files without a
//! name, so that nothing is left behind however the process ends.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use rand::SeedableRng;
use rand::distr::{Distribution, Uniform};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use partwise_kernels::{FactorMut, FactorRef};
use partwise_storage::traffic;
use tracing::info_span;

use crate::error::DriverError;

/// Where W lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsagesPlace {
    /// In memory: 8·n·k bytes for both generations.
    Memory,
    /// In two scratch files in this folder: 4·n·k bytes each.
    Disk(PathBuf),
    /// Nowhere: every pass finds W from zero, and keeps none of it.
    Nowhere,
}

/// What W is before the first pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum UsagesStart {
    /// Zero: for rules that solve for W whatever it was.
    Zero,
    /// Uniform in (0, `scale`], each row block from its own stream: for Lee and Seung's rule, which
    /// cannot leave zero.
    Uniform {
        /// Upper end of the interval.
        scale: f32,
        /// Seed of the streams.
        seed: u64,
    },
}

#[derive(Debug)]
enum Generations {
    Memory(Vec<Mutex<[Vec<f32>; 2]>>),
    Disk { folder: PathBuf, files: [File; 2] },
    Nowhere,
}

/// The usages of all cells, read and written one row block at a time.
///
/// Rows are given and taken as factor views (components padded with zeros to the kernels' width)
/// and kept without the padding. The thread that works on a block writes it; blocks do not overlap.
#[derive(Debug)]
pub struct Usages {
    cells: usize,
    k: usize,
    block_rows: usize,
    start: Option<UsagesStart>,
    current: usize,
    /// Powers of two that bring the current generation to the present scale of H, one a component.
    rescale: Vec<f32>,
    generations: Generations,
}

impl Usages {
    /// Usages of `cells` rows in blocks of `block_rows`, holding `start` until the first pass is
    /// accepted.
    ///
    /// # Errors
    ///
    /// When the scratch files cannot be made.
    pub fn new(
        cells: usize,
        k: usize,
        block_rows: usize,
        place: &UsagesPlace,
        start: UsagesStart,
    ) -> Result<Self, DriverError> {
        let generations = match place {
            UsagesPlace::Memory => {
                let blocks = cells.div_ceil(block_rows);
                Generations::Memory((0..blocks).map(|_| Mutex::default()).collect())
            }
            UsagesPlace::Disk(folder) => {
                let scratch = |folder: &Path| {
                    tempfile::tempfile_in(folder)
                        .map_err(|source| DriverError::Scratch { folder: folder.to_path_buf(), source })
                };
                Generations::Disk { folder: folder.clone(), files: [scratch(folder)?, scratch(folder)?] }
            }
            UsagesPlace::Nowhere => Generations::Nowhere,
        };
        Ok(Usages { cells, k, block_rows, start: Some(start), current: 0, rescale: vec![1.0; k], generations })
    }

    /// Cells n.
    pub fn cells(&self) -> usize {
        self.cells
    }

    /// Components k.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Rows of every block but the last.
    pub fn block_rows(&self) -> usize {
        self.block_rows
    }

    /// Row blocks.
    pub fn blocks(&self) -> usize {
        self.cells.div_ceil(self.block_rows)
    }

    /// First row of block `block`.
    pub fn first_row_of(&self, block: usize) -> usize {
        block * self.block_rows
    }

    /// Rows of block `block`.
    pub fn rows_of(&self, block: usize) -> usize {
        self.block_rows.min(self.cells - block * self.block_rows)
    }

    /// Reads a block of the current generation into `rows` (b × k, without padding).
    ///
    /// # Errors
    ///
    /// When the scratch file cannot be read.
    ///
    /// # Panics
    ///
    /// When `rows` has another shape.
    pub fn load(&self, block: usize, rows: &mut [f32]) -> Result<(), DriverError> {
        assert_eq!(rows.len(), self.rows_of(block) * self.k, "rows has the shape of the block");
        match self.start {
            Some(start) => self.begin(block, start, rows.chunks_exact_mut(self.k)),
            None => self.generation(block, self.current, |kept| rows.copy_from_slice(kept))?,
        }
        for row in rows.chunks_exact_mut(self.k) {
            scale(row, &self.rescale);
        }
        Ok(())
    }

    /// Reads a block of the current generation into a factor (b × k), multiplied by `powers`, one a
    /// component, in place of the powers that [`rescale`](Self::rescale) has collected. Padding
    /// becomes zero.
    pub(crate) fn load_scaled(&self, block: usize, mut rows: FactorMut<'_>, powers: &[f32]) -> Result<(), DriverError> {
        assert_eq!((rows.rows(), rows.k()), (self.rows_of(block), self.k), "rows has the shape of the block");
        rows.fill(0.0);
        let k = self.k;
        match self.start {
            Some(start) => self.begin(block, start, rows.iter_mut().map(|row| &mut row[..k])),
            None => self.generation(block, self.current, |kept| {
                for (row, kept) in rows.iter_mut().zip(kept.chunks_exact(k)) {
                    row[..k].copy_from_slice(kept);
                }
            })?,
        }
        if powers.iter().any(|&power| power != 1.0) {
            rows.iter_mut().for_each(|row| scale(&mut row[..k], powers));
        }
        Ok(())
    }

    /// Shows a block of the current generation as it is kept (b × k), without the powers that
    /// [`rescale`](Self::rescale) has collected.
    ///
    /// # Errors
    ///
    /// When the scratch file cannot be read, or `then` fails.
    pub(crate) fn show_kept(
        &self,
        block: usize,
        then: impl FnOnce(&[f32]) -> Result<(), DriverError>,
    ) -> Result<(), DriverError> {
        let mut shown = Ok(());
        self.generation(block, self.current, |kept| shown = then(kept))?;
        shown
    }

    /// The start that W still is while no pass has been accepted.
    pub(crate) fn start(&self) -> Option<UsagesStart> {
        self.start
    }

    /// The powers of two that [`rescale`](Self::rescale) has collected, one a component.
    pub(crate) fn pending(&self) -> &[f32] {
        &self.rescale
    }

    /// The powers as they would be after `rescale(powers)`.
    pub(crate) fn rescaled(&self, powers: &[f32]) -> Vec<f32> {
        self.rescale.iter().zip(powers).map(|(have, power)| have * power).collect()
    }

    /// Writes a block (b × k) of the next generation.
    ///
    /// # Errors
    ///
    /// When the scratch file cannot be written.
    ///
    /// # Panics
    ///
    /// When `rows` has another shape.
    pub fn store(&self, block: usize, rows: FactorRef<'_>) -> Result<(), DriverError> {
        assert_eq!((rows.rows(), rows.k()), (self.rows_of(block), self.k), "rows has the shape of the block");
        self.write(block, |kept| {
            for (kept, row) in kept.chunks_exact_mut(self.k).zip(rows.iter()) {
                kept.copy_from_slice(&row[..self.k]);
            }
        })
    }

    /// Writes a block of the next generation from rows without padding (b × k).
    ///
    /// # Errors
    ///
    /// When the scratch file cannot be written.
    ///
    /// # Panics
    ///
    /// When `rows` has another shape.
    pub fn store_packed(&self, block: usize, rows: &[f32]) -> Result<(), DriverError> {
        self.write(block, |kept| kept.copy_from_slice(rows))
    }

    /// Has `fill` write the rows of a block (b × k) of the next generation.
    fn write(&self, block: usize, fill: impl FnOnce(&mut [f32])) -> Result<(), DriverError> {
        let length = self.rows_of(block) * self.k;
        let next = 1 - self.current;
        match &self.generations {
            Generations::Memory(blocks) => {
                let kept = &mut lock(&blocks[block])[next];
                kept.resize(length, 0.0);
                fill(kept);
                Ok(())
            }
            Generations::Disk { folder, files } => {
                let mut kept = vec![0.0; length];
                fill(&mut kept);
                files[next]
                    .write_all_at(bytemuck::cast_slice(&kept), self.offset(block))
                    .map_err(|source| DriverError::Scratch { folder: folder.clone(), source })?;
                traffic::ended();
                Ok(())
            }
            Generations::Nowhere => Ok(()),
        }
    }

    /// The generation that the pass just ended has written becomes the current one.
    pub fn accept(&mut self) {
        if !matches!(self.generations, Generations::Nowhere) {
            self.start = None;
        }
        self.current = 1 - self.current;
        self.rescale.fill(1.0);
    }

    /// Frees the memory of the generation that is not current: no further pass writes it.
    pub fn settle(&mut self) {
        if let Generations::Memory(blocks) = &mut self.generations {
            // Giving the pages of gigabytes back takes time, too.
            let _span = info_span!("freeing of usages", tasks = blocks.len()).entered();
            blocks.par_iter_mut().for_each(|block| {
                block.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner())[1 - self.current] = Vec::new();
            });
        }
    }

    /// H's row `c` was multiplied by `1 / powers[c]`: from now on the current generation reads
    /// multiplied by `powers[c]`. Powers of two, so that nothing is rounded.
    pub fn rescale(&mut self, powers: &[f32]) {
        self.rescale = self.rescaled(powers);
    }

    fn offset(&self, block: usize) -> u64 {
        4 * (block * self.block_rows * self.k) as u64
    }

    fn generation(&self, block: usize, which: usize, then: impl FnOnce(&[f32])) -> Result<(), DriverError> {
        match &self.generations {
            Generations::Memory(blocks) => then(&lock(&blocks[block])[which]),
            Generations::Disk { folder, files } => {
                let mut kept = vec![0.0f32; self.rows_of(block) * self.k];
                files[which]
                    .read_exact_at(bytemuck::cast_slice_mut(&mut kept), self.offset(block))
                    .map_err(|source| DriverError::Scratch { folder: folder.clone(), source })?;
                traffic::ended();
                then(&kept);
            }
            Generations::Nowhere => then(&vec![0.0; self.rows_of(block) * self.k]),
        }
        Ok(())
    }

    /// Fills the rows of a block (k values each) with the start.
    fn begin<'r>(&self, block: usize, start: UsagesStart, rows: impl Iterator<Item = &'r mut [f32]>) {
        let (upper, seed) = match start {
            UsagesStart::Zero => return rows.for_each(|row| row.fill(0.0)),
            UsagesStart::Uniform { scale, seed } => (scale, seed),
        };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(1 + block as u64);
        let uniform = Uniform::new(0.0f32, 1.0).expect("0 < 1");
        for row in rows {
            row.iter_mut().for_each(|value| *value = (1.0 - uniform.sample(&mut rng)) * upper);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Multiplies a row component by component.
fn scale(row: &mut [f32], factors: &[f32]) {
    row.iter_mut().zip(factors).for_each(|(value, factor)| *value *= factor);
}

#[cfg(test)]
mod tests {
    use partwise_kernels::FactorBuf;

    use super::*;

    fn filled(place: &UsagesPlace) -> Usages {
        let mut usages = Usages::new(10, 3, 4, place, UsagesStart::Zero).unwrap();
        for block in 0..usages.blocks() {
            let values: Vec<f32> = (0..usages.rows_of(block) * 3).map(|i| (block * 100 + i) as f32).collect();
            usages.store_packed(block, &values).unwrap();
        }
        usages.accept();
        usages
    }

    fn load(usages: &Usages, block: usize) -> Vec<f32> {
        let mut rows = vec![9.0; usages.rows_of(block) * 3];
        usages.load(block, &mut rows).unwrap();
        rows
    }

    #[test]
    fn usages_that_are_kept_nowhere_are_zero_in_every_pass() {
        let mut usages = filled(&UsagesPlace::Nowhere);
        usages.rescale(&[2.0, 1.0, 0.5]);
        let mut rows = vec![7.0; usages.rows_of(1) * 3];
        usages.load(1, &mut rows).unwrap();
        assert!(rows.iter().all(|&value| value == 0.0));
    }

    #[test]
    fn memory_and_disk_hold_the_same() {
        let disk = UsagesPlace::Disk(std::env::temp_dir());
        let (mut a, mut b) = (filled(&UsagesPlace::Memory), filled(&disk));
        for usages in [&mut a, &mut b] {
            usages.rescale(&[2.0, 1.0, 0.5]);
        }
        for block in 0..3 {
            let x = load(&a, block);
            assert_eq!(x, load(&b, block));
            let first = (block * 100) as f32;
            assert_eq!(&x[..3], &[2.0 * first, first + 1.0, 0.5 * (first + 2.0)]);
        }
    }

    #[test]
    fn rows_inside_a_wide_buffer_are_the_same_rows() {
        let mut usages = filled(&UsagesPlace::Memory);
        // Two factorizations side by side; this one has the lanes from 4 on.
        let mut wide = [7.0; 4 * 12];
        usages.load_scaled(1, FactorMut::new(&mut wide[4..], 4, 3, 12), &[1.0, 2.0, 1.0]).unwrap();
        for (row, packed) in wide.chunks(12).zip(load(&usages, 1).chunks(3)) {
            assert_eq!(row, [7.0, 7.0, 7.0, 7.0, packed[0], 2.0 * packed[1], packed[2], 0.0, 7.0, 7.0, 7.0, 7.0]);
        }
        usages.store(1, FactorRef::new(&wide[4..], 4, 3, 12)).unwrap();
        usages.store(0, FactorBuf::zeros(4, 3).view(4, 3)).unwrap();
        usages.accept();
        assert_eq!(load(&usages, 1)[1], 202.0);
        assert_eq!(load(&usages, 0), [0.0; 12]);
    }

    #[test]
    fn an_unaccepted_generation_is_not_seen() {
        let usages = filled(&UsagesPlace::Memory);
        usages.store_packed(0, &[5.0; 12]).unwrap();
        assert_eq!(load(&usages, 0)[1], 1.0);
    }

    #[test]
    fn what_is_settled_reads_the_same_and_holds_one_generation() {
        let mut usages = filled(&UsagesPlace::Memory);
        usages.store_packed(1, &[5.0; 12]).unwrap();
        usages.settle();
        assert_eq!(load(&usages, 1)[1], 101.0);
        let Generations::Memory(blocks) = &usages.generations else { panic!("in memory") };
        assert!(blocks.iter().all(|block| lock(block)[1 - usages.current].capacity() == 0));
    }

    #[test]
    fn a_start_follows_the_scale_of_h_as_well() {
        let start = UsagesStart::Uniform { scale: 1.0, seed: 5 };
        let mut usages = Usages::new(4, 3, 4, &UsagesPlace::Memory, start).unwrap();
        let before = load(&usages, 0);
        usages.rescale(&[4.0, 1.0, 1.0]);
        let after = load(&usages, 0);
        assert_eq!((after[0], after[1]), (4.0 * before[0], before[1]));
    }

    #[test]
    fn uniform_starts_differ_by_block_and_seed_and_are_positive() {
        let start = |seed| UsagesStart::Uniform { scale: 2.0, seed };
        let usages = Usages::new(8, 3, 4, &UsagesPlace::Memory, start(1)).unwrap();
        let other = Usages::new(8, 3, 4, &UsagesPlace::Memory, start(2)).unwrap();
        assert_ne!(load(&usages, 0), load(&usages, 1));
        assert_ne!(load(&usages, 0), load(&other, 0));
        assert_eq!(load(&usages, 0), load(&usages, 0));
        assert!(load(&usages, 0).iter().all(|&value| value > 0.0 && value <= 2.0));
        let mut buf = FactorBuf::zeros(4, 3);
        usages.load_scaled(0, buf.view_mut(4, 3), &[1.0; 3]).unwrap();
        let rows: Vec<f32> = buf.view(4, 3).iter().flat_map(|row| row[..3].to_vec()).collect();
        assert_eq!(rows, load(&usages, 0));
    }
}
