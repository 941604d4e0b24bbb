//! W, the usages (n cells × k), in two generations: the one that the last accepted pass left and the one that the
//! pass under way writes. Where both do not fit in the budget they lie in scratch files that have no name, so that
//! nothing is left behind however the process ends.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use rand::SeedableRng;
use rand::distr::{Distribution, Uniform};
use rand_chacha::ChaCha8Rng;

use crate::error::DriverError;

/// Where W lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsagesPlace {
    /// In memory: 8·n·k bytes for both generations.
    Memory,
    /// In two scratch files in this folder: 4·n·k bytes each.
    Disk(PathBuf),
}

/// What W is before the first pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum UsagesStart {
    /// Zero: for rules that solve for W whatever it was.
    Zero,
    /// Uniform in (0, `scale`], each row block from its own stream: for Lee and Seung's rule, which cannot leave zero.
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
}

/// The usages of all cells, read and written one row block at a time.
///
/// Rows are given and taken with stride `ks` (components padded with zeros to the kernels' width) and kept without
/// the padding. A block is written by whichever thread owns it; blocks do not overlap.
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
    /// Usages of `cells` rows in blocks of `block_rows`, holding `start` until the first pass is accepted.
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

    /// Reads a block of the current generation into `rows` (b × ks; padding becomes zero).
    ///
    /// # Errors
    ///
    /// When the scratch file cannot be read.
    ///
    /// # Panics
    ///
    /// When `rows` has another shape.
    pub fn load(&self, block: usize, rows: &mut [f32], ks: usize) -> Result<(), DriverError> {
        let count = self.rows_of(block);
        assert_eq!(rows.len(), count * ks, "rows has the shape of the block");
        match self.start {
            Some(UsagesStart::Zero) => rows.fill(0.0),
            Some(UsagesStart::Uniform { scale, seed }) => self.draw(block, rows, ks, scale, seed),
            None => self.generation(block, self.current, |kept| spread(kept, rows, self.k, ks))?,
        }
        scale_columns(rows, ks, &self.rescale);
        Ok(())
    }

    /// Writes a block (b × ks) of the next generation.
    ///
    /// # Errors
    ///
    /// When the scratch file cannot be written.
    ///
    /// # Panics
    ///
    /// When `rows` has another shape.
    pub fn store(&self, block: usize, rows: &[f32], ks: usize) -> Result<(), DriverError> {
        let count = self.rows_of(block);
        assert_eq!(rows.len(), count * ks, "rows has the shape of the block");
        let next = 1 - self.current;
        match &self.generations {
            Generations::Memory(blocks) => {
                let kept = &mut lock(&blocks[block])[next];
                kept.resize(count * self.k, 0.0);
                gather(rows, kept, self.k, ks);
                Ok(())
            }
            Generations::Disk { folder, files } => {
                let mut kept = vec![0.0; count * self.k];
                gather(rows, &mut kept, self.k, ks);
                files[next]
                    .write_all_at(bytemuck::cast_slice(&kept), self.offset(block))
                    .map_err(|source| DriverError::Scratch { folder: folder.clone(), source })
            }
        }
    }

    /// The generation that the pass just ended has written becomes the current one.
    pub fn accept(&mut self) {
        self.start = None;
        self.current = 1 - self.current;
        self.rescale.fill(1.0);
    }

    /// Gives up the memory of the generation that is not the current one: no further pass will write it.
    pub fn settle(&mut self) {
        if let Generations::Memory(blocks) = &mut self.generations {
            for block in blocks {
                block.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner())[1 - self.current] = Vec::new();
            }
        }
    }

    /// H's row `c` was multiplied by `1 / powers[c]`: from now on the current generation reads multiplied by
    /// `powers[c]`. Powers of two, so that nothing is rounded.
    pub fn rescale(&mut self, powers: &[f32]) {
        for (have, power) in self.rescale.iter_mut().zip(powers) {
            *have *= power;
        }
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
                then(&kept);
            }
        }
        Ok(())
    }

    fn draw(&self, block: usize, rows: &mut [f32], ks: usize, scale: f32, seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(1 + block as u64);
        let uniform = Uniform::new(0.0f32, 1.0).expect("0 < 1");
        for row in rows.chunks_exact_mut(ks) {
            row.fill(0.0);
            for value in &mut row[..self.k] {
                *value = (1.0 - uniform.sample(&mut rng)) * scale;
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Rows of length k become rows of length ks with zeros behind.
fn spread(kept: &[f32], rows: &mut [f32], k: usize, ks: usize) {
    for (row, kept) in rows.chunks_exact_mut(ks).zip(kept.chunks_exact(k)) {
        row[..k].copy_from_slice(kept);
        row[k..].fill(0.0);
    }
}

/// Rows of length ks become rows of length k.
fn gather(rows: &[f32], kept: &mut [f32], k: usize, ks: usize) {
    for (kept, row) in kept.chunks_exact_mut(k).zip(rows.chunks_exact(ks)) {
        kept.copy_from_slice(&row[..k]);
    }
}

/// Multiplies column c of rows (b × ks) by `factors[c]`.
fn scale_columns(rows: &mut [f32], ks: usize, factors: &[f32]) {
    if factors.iter().all(|&factor| factor == 1.0) {
        return;
    }
    for row in rows.chunks_exact_mut(ks) {
        for (value, factor) in row.iter_mut().zip(factors) {
            *value *= factor;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(place: &UsagesPlace) -> Usages {
        let mut usages = Usages::new(10, 3, 4, place, UsagesStart::Zero).unwrap();
        for block in 0..usages.blocks() {
            let rows = usages.rows_of(block);
            let values: Vec<f32> =
                (0..rows * 4).map(|i| if i % 4 == 3 { 0.0 } else { (block * 100 + i) as f32 }).collect();
            usages.store(block, &values, 4).unwrap();
        }
        usages.accept();
        usages
    }

    #[test]
    fn memory_and_disk_hold_the_same() {
        let disk = UsagesPlace::Disk(std::env::temp_dir());
        let (mut a, mut b) = (filled(&UsagesPlace::Memory), filled(&disk));
        for usages in [&mut a, &mut b] {
            usages.rescale(&[2.0, 1.0, 0.5]);
        }
        for block in 0..3 {
            let n = a.rows_of(block) * 4;
            let (mut x, mut y) = (vec![9.0; n], vec![7.0; n]);
            a.load(block, &mut x, 4).unwrap();
            b.load(block, &mut y, 4).unwrap();
            assert_eq!(x, y);
            assert_eq!(
                &x[..4],
                &[2.0 * (block * 100) as f32, (block * 100 + 1) as f32, 0.5 * (block * 100 + 2) as f32, 0.0]
            );
        }
    }

    #[test]
    fn an_unaccepted_generation_is_not_seen() {
        let usages = filled(&UsagesPlace::Memory);
        usages.store(0, &[5.0; 16], 4).unwrap();
        let mut rows = vec![0.0; 16];
        usages.load(0, &mut rows, 4).unwrap();
        assert_eq!(rows[1], 1.0);
    }

    #[test]
    fn what_is_settled_reads_the_same_and_holds_one_generation() {
        let mut usages = filled(&UsagesPlace::Memory);
        usages.store(1, &[5.0; 16], 4).unwrap();
        usages.settle();
        let mut rows = vec![0.0; 16];
        usages.load(1, &mut rows, 4).unwrap();
        assert_eq!(rows[1], 101.0);
        let Generations::Memory(blocks) = &usages.generations else { panic!("in memory") };
        assert!(blocks.iter().all(|block| lock(block)[1 - usages.current].capacity() == 0));
    }

    #[test]
    fn a_start_follows_the_scale_of_h_as_well() {
        let start = UsagesStart::Uniform { scale: 1.0, seed: 5 };
        let mut usages = Usages::new(4, 3, 4, &UsagesPlace::Memory, start).unwrap();
        let read = |usages: &Usages| {
            let mut rows = vec![0.0; 16];
            usages.load(0, &mut rows, 4).unwrap();
            rows
        };
        let before = read(&usages);
        usages.rescale(&[4.0, 1.0, 1.0]);
        assert_eq!(read(&usages)[0], 4.0 * before[0]);
        assert_eq!(read(&usages)[1], before[1]);
    }

    #[test]
    fn uniform_starts_differ_by_block_and_seed_and_are_positive() {
        let start = |seed| UsagesStart::Uniform { scale: 2.0, seed };
        let usages = Usages::new(8, 3, 4, &UsagesPlace::Memory, start(1)).unwrap();
        let other = Usages::new(8, 3, 4, &UsagesPlace::Memory, start(2)).unwrap();
        let read = |usages: &Usages, block| {
            let mut rows = vec![0.0; 16];
            usages.load(block, &mut rows, 4).unwrap();
            rows
        };
        assert_ne!(read(&usages, 0), read(&usages, 1));
        assert_ne!(read(&usages, 0), read(&other, 0));
        assert_eq!(read(&usages, 0), read(&usages, 0));
        for row in read(&usages, 0).chunks(4) {
            assert!(row[..3].iter().all(|&v| v > 0.0 && v <= 2.0) && row[3] == 0.0);
        }
    }
}
