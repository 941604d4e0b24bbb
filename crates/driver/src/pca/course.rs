//! Components between two passes: all that the next pass follows from, and its bytes in a checkpoint.
//! `docs/format.md` describes them.
//!
//! | after the pass of  | state                                                        |
//! |--------------------|--------------------------------------------------------------|
//! | logarithms         | the moments of the genes                                     |
//! | a product          | these, and the Krylov space with its next directions         |
//! | the Gram matrix, or the last product | the moments, and the axes                  |
//!
//! Without logarithms the data have the moments. All processes have the same state, so process 0 writes
//! it. The pass of the scores leaves nothing: a run that is stopped in it repeats that pass alone.

use std::path::Path;

use partwise_storage::StorageError;
use partwise_storage::store::GeneMoments;

use super::basics::Basics;
use super::basis::Space;
use super::{PcaModel, TargetSum};
use crate::blocks::FitData;
use crate::checkpoint::{self, Checkpoints, Draft, Files, Identity, Kept, Restore, Seal, Sealed, Snapshot};
use crate::error::DriverError;
use crate::fit::Run;
use crate::monitor::{CheckpointEvent, FitMonitor};
use crate::spectra::Spectra;

const MAGIC: u64 = u64::from_le_bytes(*b"PWPCAST1");
/// Words of the header.
const HEADER: usize = 8;

/// How far the axes are, to be written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stage<'s> {
    /// No pass for the axes has been made.
    Begun,
    /// Between two products.
    Space(&'s Space),
    /// Found.
    Axes(&'s Spectra),
}

impl<'s> Stage<'s> {
    /// That of a space that is not complete.
    pub(super) fn of(space: &'s Space) -> Self {
        if space.columns.is_empty() { Stage::Begun } else { Stage::Space(space) }
    }
}

/// Components between two passes, to be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment<'m> {
    /// Reads of all of X so far, without those for a subset, which every run makes anew.
    passes: usize,
    /// Of logarithms.
    moments: Option<&'m [GeneMoments]>,
    stage: Stage<'m>,
}

/// How far the axes are, read back.
#[derive(Debug, Default)]
pub(super) enum Found {
    #[default]
    Nothing,
    Space(Space),
    Axes(Spectra),
}

/// Components between two passes, to continue with.
#[derive(Debug, Default)]
pub(super) struct Course {
    pub(super) passes: usize,
    pub(super) moments: Option<Vec<GeneMoments>>,
    pub(super) found: Found,
}

/// The checkpoints of a run, if it keeps any.
#[derive(Debug)]
pub(super) struct Keeper<'r>(Option<Checkpoints<'r>>);

impl<'r> Keeper<'r> {
    /// Opens the checkpoints of `run`, and reads the newest if it resumes.
    pub(super) fn open(
        data: &dyn FitData,
        model: &PcaModel,
        run: &Run<'r>,
        monitor: &'r dyn FitMonitor,
    ) -> Result<(Self, Course), DriverError> {
        let Some(claim) = run.checkpoint else { return Ok((Keeper(None), Course::default())) };
        let identity = identity(data, model, &claim.spec().cpu);
        let id = model.config.id();
        let hear = Box::new(move |event: &CheckpointEvent<'_>| monitor.checkpoint(id, event));
        // No process has rows of its own.
        let kept = Kept { name: None, together: 1, identity, own: 0..0, hear };
        let mut checkpoints = Checkpoints::open(claim, kept, run.comm, monitor)?;
        let course = checkpoints.resume(&Expected { of: data.gene_moments(), model })?;
        Ok((Keeper(Some(checkpoints)), course.unwrap_or_default()))
    }

    /// After a pass: writes a checkpoint if one is due.
    pub(super) fn consider(&mut self, moment: &Moment<'_>) -> Result<(), DriverError> {
        self.0.as_mut().map_or(Ok(()), |checkpoints| checkpoints.consider(moment))
    }

    /// The outcome of a pass that began with `moment`. If it was cancelled, writes that state.
    pub(super) fn outcome<T>(&mut self, pass: Result<T, DriverError>, moment: &Moment<'_>) -> Result<T, DriverError> {
        if let (Some(checkpoints), Err(DriverError::Cancelled)) = (&mut self.0, &pass) {
            checkpoints.leave(moment)?;
        }
        pass
    }
}

fn identity(data: &dyn FitData, model: &PcaModel, cpu: &str) -> Identity {
    let settings = model.settings().into_iter().map(|(name, value)| (name, value.to_string()));
    let target = match model.config.log1p {
        Some(TargetSum::Sum(sum)) => Some(("target_sum", sum.to_string())),
        _ => None,
    };
    Identity::of_kind("principal components", data, settings.chain(target), cpu)
}

/// Bytes of the file: header, moments, T, and factors of so many columns together.
fn bytes(genes: usize, has_moments: bool, t: usize, columns: usize) -> u64 {
    let moments = if has_moments { 2 * genes } else { 0 };
    8 * (HEADER + moments + t) as u64 + 4 * (genes * columns) as u64
}

/// Values of T, of so many products with l directions.
fn t_values(products: usize, l: usize) -> usize {
    products * (products + 1) / 2 * l * l
}

impl<'m> Moment<'m> {
    /// After so many passes of components with these `basics`.
    pub(super) fn of(passes: usize, basics: &'m Basics, stage: Stage<'m>) -> Self {
        Moment { passes, moments: basics.target.is_some().then_some(&basics.moments[..]), stage }
    }

    fn factors(&self) -> &'m [Spectra] {
        match self.stage {
            Stage::Begun => &[],
            Stage::Space(space) => &space.blocks,
            Stage::Axes(axes) => std::slice::from_ref(axes),
        }
    }

    fn columns(&self) -> &'m [Vec<Vec<f64>>] {
        if let Stage::Space(space) = self.stage { &space.columns } else { &[] }
    }

    fn genes(&self) -> usize {
        self.moments.map(<[_]>::len).or(self.factors().first().map(Spectra::genes)).unwrap_or(0)
    }
}

impl Snapshot for Moment<'_> {
    fn passes(&self) -> usize {
        self.passes
    }

    fn bytes(&self) -> u64 {
        let t = self.columns().iter().flatten().map(Vec::len).sum();
        bytes(self.genes(), self.moments.is_some(), t, self.factors().iter().map(Spectra::k).sum())
    }

    fn write(&self, path: &Path) -> Result<Seal, StorageError> {
        let stage = match self.stage {
            Stage::Begun => 0,
            Stage::Space(_) => 1,
            Stage::Axes(_) => 2,
        };
        let header: [u64; HEADER] = [
            MAGIC,
            self.genes() as u64,
            self.passes as u64,
            u64::from(self.moments.is_some()),
            stage,
            self.factors().len() as u64,
            self.factors().first().map_or(0, Spectra::k) as u64,
            0,
        ];
        let mut file = Draft::create(path)?;
        file.put(bytemuck::cast_slice(&header))?;
        for gene in self.moments.into_iter().flatten() {
            file.put(bytemuck::cast_slice(&[gene.sum, gene.sum_sq]))?;
        }
        for block in self.columns().iter().flatten() {
            file.put(bytemuck::cast_slice(block))?;
        }
        for factor in self.factors() {
            for gene in factor.ht().chunks_exact(factor.ks()) {
                file.put(bytemuck::cast_slice(&gene[..factor.k()]))?;
            }
        }
        file.finish()
    }

    fn is_typical(&self) -> bool {
        matches!(self.stage, Stage::Space(_))
    }
}

impl checkpoint::Course for Course {
    fn passes(&self) -> usize {
        self.passes
    }
}

/// The properties that a checkpoint of these components has.
struct Expected<'e> {
    /// The moments of the data, of which logarithms have sums of their own.
    of: &'e [GeneMoments],
    model: &'e PcaModel,
}

impl Restore for Expected<'_> {
    type Course = Course;

    fn read(&self, files: &Files<'_>) -> Result<Course, DriverError> {
        let (path, seal) = files.state();
        Ok(self.read(&path, seal)?)
    }
}

impl Expected<'_> {
    /// Reads the file that `seal` belongs to. Allocates nothing that the size of the file does not
    /// justify.
    fn read(&self, path: &Path, seal: Seal) -> Result<Course, StorageError> {
        let (genes, model) = (self.of.len(), self.model);
        let mut file = Sealed::open(path, seal.bytes)?;
        let mut header = [0u64; HEADER];
        file.take(bytemuck::cast_slice_mut(&mut header))?;
        let [magic, its_genes, passes, has_moments, stage, factors, width, _] = header;
        let damaged = |what: &str, found: u64| Err(StorageError::damaged(path, what, "another", found));
        let logarithms = model.config.log1p.is_some();
        if magic != MAGIC || its_genes != genes as u64 || has_moments != u64::from(logarithms) {
            return damaged("the header", magic);
        }
        // How many factors there are, and how many columns each has.
        let (most, columns) = match stage {
            0 => (0..=0, 0),
            1 => (2..=model.steps as u64, model.directions),
            2 => (1..=1, model.config.components),
            other => return damaged("the stage", other),
        };
        if !most.contains(&factors) || width != columns as u64 {
            return damaged("the number of directions", width);
        }
        let factors = factors as usize;
        let products = if stage == 1 { factors - 1 } else { 0 };
        if bytes(genes, logarithms, t_values(products, columns), factors * columns) != seal.bytes {
            return damaged("the number of bytes", seal.bytes);
        }

        let mut moments = logarithms.then(|| self.of.to_vec());
        for gene in moments.iter_mut().flatten() {
            let mut sums = [0.0; 2];
            file.take(bytemuck::cast_slice_mut(&mut sums))?;
            [gene.sum, gene.sum_sq] = sums;
        }
        let mut t = Vec::with_capacity(products);
        for j in 0..products {
            let mut column = vec![vec![0.0; columns * columns]; j + 1];
            column.iter_mut().try_for_each(|block| file.take(bytemuck::cast_slice_mut(block)))?;
            t.push(column);
        }
        let mut blocks = Vec::with_capacity(factors);
        for _ in 0..factors {
            let mut factor = Spectra::zeros(genes, columns);
            let ks = factor.ks();
            for gene in factor.ht_mut().chunks_exact_mut(ks) {
                file.take(bytemuck::cast_slice_mut(&mut gene[..columns]))?;
            }
            blocks.push(factor);
        }
        file.finish(seal.crc32c)?;

        let found = match stage {
            1 => Found::Space(Space::at(blocks, t)),
            _ => blocks.pop().map_or(Found::Nothing, Found::Axes),
        };
        Ok(Course { passes: passes as usize, moments, found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pca::PcaConfig;

    const GENES: usize = 5;

    fn model(log1p: Option<TargetSum>) -> PcaModel {
        let config = PcaConfig::new(2).with_log1p(log1p);
        PcaModel { config, gram: false, directions: 3, exact: false, steps: 4 }
    }

    fn moments() -> Vec<GeneMoments> {
        let gene = |at: usize| GeneMoments { nonzeros: at as u64, max: 1.5, sum: 0.1 * at as f64, sum_sq: 0.3 };
        (0..GENES).map(gene).collect()
    }

    fn factor(columns: usize, first: f32) -> Spectra {
        let mut factor = Spectra::zeros(GENES, columns);
        let ks = factor.ks();
        for (at, gene) in factor.ht_mut().chunks_exact_mut(ks).enumerate() {
            gene[..columns].iter_mut().enumerate().for_each(|(c, value)| *value = first + (10 * at + c) as f32 / 7.0);
        }
        factor
    }

    fn space() -> Space {
        let block = |of: usize| (0..9).map(|at| 0.1 * (9 * of + at) as f64).collect::<Vec<f64>>();
        Space::at(vec![factor(3, 0.0), factor(3, 0.5), factor(3, -0.5)], vec![vec![block(0)], vec![block(1), block(2)]])
    }

    /// Each state, with the sums of logarithms and without them, and what it is read back with.
    fn each(see: impl Fn(&Moment<'_>, &Expected<'_>)) {
        let (space, axes, sums) = (space(), factor(2, 1.0), moments());
        let of: Vec<GeneMoments> = sums.iter().map(|gene| GeneMoments { sum: 7.0, sum_sq: 9.0, ..*gene }).collect();
        for log1p in [None, Some(TargetSum::Median)] {
            let (model, moments) = (model(log1p), log1p.map(|_| &sums[..]));
            for stage in [Stage::Begun, Stage::Space(&space), Stage::Axes(&axes)] {
                let is_there = moments.is_some() || !matches!(stage, Stage::Begun);
                if is_there {
                    see(&Moment { passes: 3, moments, stage }, &Expected { of: &of, model: &model });
                }
            }
        }
    }

    #[test]
    fn what_is_written_comes_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        each(|moment, expected| {
            let seal = moment.write(&path).unwrap();
            assert_eq!(seal.bytes, Snapshot::bytes(moment));
            let course = expected.read(&path, seal).unwrap();
            assert_eq!((course.passes, course.moments.as_deref()), (3, moment.moments));
            match (moment.stage, course.found) {
                (Stage::Begun, Found::Nothing) => (),
                (Stage::Space(want), Found::Space(had)) => {
                    assert_eq!(had.columns, want.columns);
                    let values = |space: &Space| space.blocks.iter().map(|q| q.ht().to_vec()).collect::<Vec<_>>();
                    assert_eq!(values(&had), values(want));
                }
                (Stage::Axes(want), Found::Axes(had)) => assert_eq!(had.ht(), want.ht()),
                other => panic!("{other:?}"),
            }
        });
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        each(|moment, expected| {
            let seal = moment.write(&path).unwrap();
            let whole = std::fs::read(&path).unwrap();
            for at in 0..whole.len() {
                let mut bad = whole.clone();
                bad[at] ^= 1 << (at % 8);
                std::fs::write(&path, &bad).unwrap();
                assert!(expected.read(&path, seal).is_err(), "byte {at}");
                std::fs::write(&path, &whole[..at]).unwrap();
                assert!(expected.read(&path, seal).is_err(), "cut at {at}");
                // A manifest that vouches for the cut file makes it no better.
                let cut = Seal { bytes: at as u64, crc32c: crc32c::crc32c(&whole[..at]) };
                assert!(expected.read(&path, cut).is_err(), "vouched for, cut at {at}");
            }
        });
    }

    #[test]
    fn numbers_of_a_header_that_is_vouched_for_are_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        each(|moment, expected| {
            moment.write(&path).unwrap();
            let whole = std::fs::read(&path).unwrap();
            for word in (0..HEADER - 1).filter(|word| *word != 2) {
                for value in [0, 1, 2, 3, 6, 1 << 40, u64::MAX] {
                    let mut bad = whole.clone();
                    bad[8 * word..8 * (word + 1)].copy_from_slice(&u64::to_le_bytes(value));
                    if bad == whole {
                        continue;
                    }
                    std::fs::write(&path, &bad).unwrap();
                    let seal = Seal { bytes: bad.len() as u64, crc32c: crc32c::crc32c(&bad) };
                    assert!(expected.read(&path, seal).is_err(), "word {word} = {value}");
                }
            }
        });
    }
}
