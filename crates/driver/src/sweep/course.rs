//! Replicates between two passes: all that the next pass follows from, and its bytes in a checkpoint.
//! `docs/format.md` describes them.
//!
//! The replicates of a cohort have a file together, because they may meet. Those of another cohort do not matter
//! to them, so that a run may resume with other waves.

use std::path::Path;

use partwise_storage::StorageError;

use super::Cohort;
use crate::checkpoint::{self, Draft, Files, Restore, Seal, Sealed, Snapshot, State};
use crate::error::DriverError;
use crate::solve::Solver;

const MAGIC: u64 = u64::from_le_bytes(*b"PWREPLI1");
/// Words of the header.
const HEADER: usize = 6;
/// In the place of the replicate that one has met: none.
const NOBODY: u64 = u64::MAX;

/// The replicates of a cohort between two passes, to be written.
#[derive(Clone, Copy)]
pub(super) struct Moment<'m, 'd> {
    pub(super) cohort: Cohort,
    /// Passes of those that go on.
    pub(super) passes: usize,
    /// The place of the one that each has met.
    pub(super) met: &'m [Option<usize>],
    pub(super) solvers: &'m [Solver<'d>],
}

impl Snapshot for Moment<'_, '_> {
    fn passes(&self) -> usize {
        self.passes
    }

    fn bytes(&self) -> u64 {
        let of = |solver: &Solver<'_>| {
            let spectra = &solver.standing().spectra;
            checkpoint::state_bytes(spectra.genes(), spectra.k(), solver.trace().len())
        };
        8 * (HEADER + self.met.len()) as u64 + self.solvers.iter().map(of).sum::<u64>()
    }

    fn write(&self, path: &Path) -> Result<Seal, StorageError> {
        let Cohort { k, first, len } = self.cohort;
        let genes = self.solvers.first().map_or(0, |solver| solver.standing().spectra.genes());
        let header: [u64; HEADER] = [MAGIC, genes as u64, k as u64, first as u64, len as u64, self.passes as u64];
        let met: Vec<u64> = self.met.iter().map(|met| met.map_or(NOBODY, |met| met as u64)).collect();
        let mut file = Draft::create(path)?;
        file.put(bytemuck::cast_slice(&header))?;
        file.put(bytemuck::cast_slice(&met))?;
        for solver in self.solvers {
            checkpoint::put_state(&mut file, &checkpoint::Moment::of(solver, 0.0))?;
        }
        file.finish()
    }

    fn is_typical(&self) -> bool {
        true
    }
}

/// The replicates of a cohort between two passes, to continue with.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) passes: usize,
    pub(super) met: Vec<Option<usize>>,
    /// Of each replicate.
    pub(super) states: Vec<State>,
}

impl checkpoint::Course for Course {
    fn passes(&self) -> usize {
        self.passes
    }
}

/// The properties that a resuming run expects of its checkpoint.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    pub(super) genes: usize,
    pub(super) cohort: Cohort,
    pub(super) extrapolate: bool,
}

impl Restore for Expected {
    type Course = Course;

    fn read(&self, files: &Files<'_>) -> Result<Course, DriverError> {
        let (path, seal) = files.state();
        Ok(self.read(&path, seal)?)
    }
}

impl Expected {
    /// Reads the file that `seal` belongs to. Allocates nothing that the size of the file does not justify.
    fn read(&self, path: &Path, seal: Seal) -> Result<Course, StorageError> {
        let Cohort { k, first, len } = self.cohort;
        let mut file = Sealed::open(path, seal.bytes)?;
        let mut header = [0u64; HEADER];
        file.take(bytemuck::cast_slice_mut(&mut header))?;
        let damaged = |what: &str, found: u64| Err(StorageError::damaged(path, what, "another", found));
        if header[..HEADER - 1] != [MAGIC, self.genes as u64, k as u64, first as u64, len as u64] {
            return damaged("the header", header[0]);
        }
        let mut words = vec![0u64; len];
        file.take(bytemuck::cast_slice_mut(&mut words))?;
        let mut met = Vec::with_capacity(len);
        for (place, word) in words.into_iter().enumerate() {
            match word {
                NOBODY => met.push(None),
                earlier if earlier < place as u64 => met.push(Some(earlier as usize)),
                other => return damaged("a replicate that another has met", other),
            }
        }
        let mut states = Vec::with_capacity(len);
        for _ in 0..len {
            states.push(checkpoint::take_state(&mut file, self.genes, k, self.extrapolate)?);
        }
        file.finish(seal.crc32c)?;
        Ok(Course { passes: header[HEADER - 1] as usize, met, states })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::{FitData, Matrix};
    use crate::config::ScaleSpec;
    use crate::model::Rules;
    use crate::scale::GeneScale;
    use crate::solve::{self, Standing, Until};
    use crate::spectra::Spectra;
    use crate::trace::TraceRow;
    use crate::usages::{Usages, UsagesPlace, UsagesStart};

    const COHORT: Cohort = Cohort { k: 2, first: 20, len: 3 };
    const EXPECTED: Expected = Expected { genes: 4, cohort: COHORT, extrapolate: true };

    /// Writes three replicates after two passes, the last of which has met the first.
    fn written(path: &Path) -> (Seal, Vec<Vec<f32>>) {
        let values: Vec<f32> = (0..20).map(|value| value as f32).collect();
        let matrix = Matrix::from_dense(4, &values).unwrap();
        let blocks = FitData::blocks(&matrix);
        let scale = GeneScale::new(ScaleSpec::None, &[], 5);
        let solver = |replicate: usize| {
            let mut spectra = Spectra::zeros(4, 2);
            let ks = spectra.ks();
            spectra.ht_mut().chunks_exact_mut(ks).for_each(|gene| gene[..2].fill(1.0 + replicate as f32));
            let mut standing = Standing::start(spectra, true);
            standing.loss = Some(0.1 * replicate as f64);
            let usages = Usages::new(5, 2, 5, &UsagesPlace::Nowhere, UsagesStart::Zero).unwrap();
            let row = TraceRow::of_words([1 + replicate as u64; crate::trace::COLUMNS.len()]);
            let until = Until { passes: 9, tol: 0.0, residual: false };
            let state = solve::State { standing, usages, before: 0, trace: vec![row, row] };
            Solver::new(blocks, &scale, Rules::EXTRAPOLATED, until, state)
        };
        let solvers: Vec<Solver<'_>> = (0..3).map(solver).collect();
        let met = [None, None, Some(0)];
        let moment = Moment { cohort: COHORT, passes: 2, met: &met, solvers: &solvers };
        let seal = moment.write(path).unwrap();
        assert_eq!(seal.bytes, moment.bytes());
        (seal, solvers.iter().map(|solver| solver.standing().spectra.ht().to_vec()).collect())
    }

    #[test]
    fn what_is_written_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let (seal, spectra) = written(&path);
        let course = EXPECTED.read(&path, seal).unwrap();
        assert_eq!((course.passes, course.met), (2, vec![None, None, Some(0)]));
        for ((state, spectra), replicate) in course.states.iter().zip(spectra).zip(0..) {
            assert_eq!(state.standing.spectra.ht(), spectra);
            assert_eq!(state.standing.loss, Some(0.1 * f64::from(replicate)));
            assert_eq!(state.trace.len(), 2);
        }
    }

    #[test]
    fn every_flipped_bit_every_cut_and_another_cohort_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let (seal, _) = written(&path);
        for cohort in [Cohort::new(3, 20, 3), Cohort::new(2, 0, 3), Cohort::new(2, 20, 2)] {
            assert!(Expected { cohort, ..EXPECTED }.read(&path, seal).is_err(), "{cohort:?}");
        }
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bad = whole.clone();
            bad[at] ^= 1 << (at % 8);
            std::fs::write(&path, &bad).unwrap();
            assert!(EXPECTED.read(&path, seal).is_err(), "byte {at}");
            std::fs::write(&path, &whole[..at]).unwrap();
            // A manifest that vouches for the cut file makes it no better.
            let cut = Seal { bytes: at as u64, crc32c: crc32c::crc32c(&whole[..at]) };
            assert!(EXPECTED.read(&path, cut).is_err(), "vouched for, cut at {at}");
        }
    }

    #[test]
    fn numbers_of_a_header_that_is_vouched_for_are_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        written(&path);
        let whole = std::fs::read(&path).unwrap();
        // But for the passes.
        for word in (0..HEADER + 3).filter(|word| *word != HEADER - 1) {
            for value in [4, 5, 1 << 40, u64::MAX - 1] {
                let mut bad = whole.clone();
                bad[8 * word..8 * (word + 1)].copy_from_slice(&u64::to_le_bytes(value));
                if bad == whole {
                    continue;
                }
                std::fs::write(&path, &bad).unwrap();
                let seal = Seal { bytes: bad.len() as u64, crc32c: crc32c::crc32c(&bad) };
                assert!(EXPECTED.read(&path, seal).is_err(), "word {word} = {value}");
            }
        }
    }
}
