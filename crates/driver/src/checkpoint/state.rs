//! The file of everything besides W that a fit needs. `docs/format.md` has its bytes. That of replicates has
//! the same for each of them.
//!
//! Eight-byte words come first: a header, WᵀW, the trace. Then come 32-bit floats: the pending
//! powers, H, and H before it, both gene by gene.

use std::path::Path;

use partwise_storage::StorageError;

use super::Moment;
use super::file::{Draft, Seal, Sealed};
use crate::engine::Direction;
use crate::solve::{Momentum, Standing};
use crate::spectra::Spectra;
use crate::trace::{COLUMNS, TraceRow};
use crate::usages::UsagesStart;

const MAGIC: u64 = u64::from_le_bytes(*b"PWSTATE1");
/// Words of the header, and of a row of the trace.
const HEADER: usize = 12;
const ROW: usize = COLUMNS.len();

/// The content of the file.
#[derive(Debug)]
pub(crate) struct State {
    pub(super) passes: usize,
    pub(super) sample_passes: f64,
    pub(crate) trace: Vec<TraceRow>,
    pub(crate) standing: Standing,
    /// The start that W still is while no pass has been accepted; later W has files of its own.
    pub(super) start: Option<UsagesStart>,
    /// Powers of two that W still is to be multiplied by.
    pub(crate) pending: Vec<f32>,
}

/// Bytes of the file for this many genes, components and rows of the trace.
pub(crate) fn bytes(genes: usize, k: usize, rows: usize) -> u64 {
    8 * (HEADER + k * k + ROW * rows) as u64 + 4 * (k + 2 * genes * k) as u64
}

/// Writes the file and brings it to the disk.
pub(super) fn write(path: &Path, moment: &Moment<'_>) -> Result<Seal, StorageError> {
    let mut file = Draft::create(path)?;
    put(&mut file, moment)?;
    file.finish()
}

/// Adds all of this to a file.
pub(crate) fn put(file: &mut Draft, moment: &Moment<'_>) -> Result<(), StorageError> {
    let Moment { passes, sample_passes, trace, standing, usages } = moment;
    let Standing { spectra, previous, momentum, wtw, loss, direction } = standing;
    let (kind, scale, seed) = match usages.start() {
        None => (0, 0.0, 0),
        Some(UsagesStart::Zero) => (1, 0.0, 0),
        Some(UsagesStart::Uniform { scale, seed }) => (2, f64::from(scale), seed),
    };
    let header: [u64; HEADER] = [
        MAGIC,
        spectra.genes() as u64,
        spectra.k() as u64,
        *passes as u64,
        trace.len() as u64,
        sample_passes.to_bits(),
        momentum.t().to_bits(),
        loss.unwrap_or(f64::NAN).to_bits(),
        u64::from(*direction == Direction::Backward),
        kind,
        scale.to_bits(),
        seed,
    ];
    file.put(bytemuck::cast_slice(&header))?;
    file.put(bytemuck::cast_slice(wtw))?;
    for row in *trace {
        file.put(bytemuck::cast_slice(&row.words()))?;
    }
    file.put(bytemuck::cast_slice(usages.pending()))?;
    for spectra in [spectra, previous] {
        for gene in spectra.ht().chunks_exact(spectra.ks()) {
            file.put(bytemuck::cast_slice(&gene[..spectra.k()]))?;
        }
    }
    Ok(())
}

/// Reads the file that `seal` belongs to, for this many genes and components.
pub(super) fn read(path: &Path, seal: Seal, genes: usize, k: usize, extrapolate: bool) -> Result<State, StorageError> {
    let mut file = Sealed::open(path, seal.bytes)?;
    let state = take(&mut file, genes, k, extrapolate)?;
    file.finish(seal.crc32c)?;
    Ok(state)
}

/// Takes what [`put`] has added. Allocates nothing that the size of the file does not justify.
pub(crate) fn take(file: &mut Sealed, genes: usize, k: usize, extrapolate: bool) -> Result<State, StorageError> {
    let mut header = [0u64; HEADER];
    file.take(bytemuck::cast_slice_mut(&mut header))?;
    let [magic, its_genes, its_k, passes, rows, sample_passes, t, loss, direction, kind, scale, seed] = header;
    let damaged =
        |file: &Sealed, what: &str, found: u64| Err(StorageError::damaged(file.path(), what, "another", found));
    if magic != MAGIC || its_genes != genes as u64 || its_k != k as u64 {
        return damaged(file, "the header", magic);
    }
    let rows = usize::try_from(rows).unwrap_or(usize::MAX);
    // The rest of the file has room for this many rows.
    if rows as u64 > file.left() / (8 * ROW) as u64 || bytes(genes, k, rows) - 8 * HEADER as u64 > file.left() {
        return damaged(file, "the number of rows of the trace", rows as u64);
    }
    let start = match kind {
        0 => None,
        1 => Some(UsagesStart::Zero),
        2 => Some(UsagesStart::Uniform { scale: f64::from_bits(scale) as f32, seed }),
        other => return damaged(file, "the kind of W", other),
    };

    let mut wtw = vec![0.0; k * k];
    file.take(bytemuck::cast_slice_mut(&mut wtw))?;
    let mut trace = Vec::with_capacity(rows);
    for _ in 0..rows {
        let mut row = [0u64; ROW];
        file.take(bytemuck::cast_slice_mut(&mut row))?;
        trace.push(TraceRow::of_words(row));
    }
    let mut pending = vec![0.0; k];
    file.take(bytemuck::cast_slice_mut(&mut pending))?;
    let mut take_spectra = || {
        let mut spectra = Spectra::zeros(genes, k);
        let ks = spectra.ks();
        for gene in spectra.ht_mut().chunks_exact_mut(ks) {
            file.take(bytemuck::cast_slice_mut(&mut gene[..k]))?;
        }
        Ok::<_, StorageError>(spectra)
    };
    let (spectra, previous) = (take_spectra()?, take_spectra()?);

    let loss = f64::from_bits(loss);
    Ok(State {
        passes: passes as usize,
        sample_passes: f64::from_bits(sample_passes),
        trace,
        standing: Standing {
            spectra,
            previous,
            momentum: Momentum::at(extrapolate, f64::from_bits(t)),
            wtw,
            loss: (!loss.is_nan()).then_some(loss),
            direction: if direction == 0 { Direction::Forward } else { Direction::Backward },
        },
        start,
        pending,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usages::{Usages, UsagesPlace};

    fn row(pass: usize) -> TraceRow {
        TraceRow::of_words(std::array::from_fn(|i| match i {
            0 => pass as u64,
            3 => f64::NAN.to_bits(),
            5 => 1,
            11 => 77,
            _ => (0.1 * i as f64).to_bits(),
        }))
    }

    fn standing() -> Standing {
        let mut spectra = Spectra::zeros(5, 3);
        spectra.ht_mut().iter_mut().enumerate().filter(|(i, _)| i % 4 < 3).for_each(|(i, value)| *value = i as f32);
        let mut standing = Standing::start(spectra, true);
        standing.previous.ht_mut()[0] = f32::from_bits(1);
        standing.momentum = Momentum::at(true, 2.75);
        standing.wtw = (0..9).map(|i| 0.3 * f64::from(i)).collect();
        standing.loss = Some(0.1 + 0.2);
        standing.direction = Direction::Backward;
        standing
    }

    fn written(path: &Path, start: UsagesStart) -> Seal {
        let mut usages = Usages::new(4, 3, 4, &UsagesPlace::Memory, start).unwrap();
        usages.rescale(&[2.0, 1.0, 0.5]);
        let (trace, standing) = ([row(2), row(3)], standing());
        let moment = Moment { passes: 3, sample_passes: 0.7, trace: &trace, standing: &standing, usages: &usages };
        write(path, &moment).unwrap()
    }

    #[test]
    fn what_is_written_comes_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        for start in [UsagesStart::Zero, UsagesStart::Uniform { scale: 0.1, seed: u64::MAX }] {
            let seal = written(&path, start);
            assert_eq!(seal.bytes, bytes(5, 3, 2));
            let state = read(&path, seal, 5, 3, true).unwrap();
            assert_eq!((state.passes, state.sample_passes, state.start), (3, 0.7, Some(start)));
            assert_eq!(state.pending, [2.0, 1.0, 0.5]);
            assert_eq!(state.trace.iter().map(TraceRow::words).collect::<Vec<_>>(), [row(2).words(), row(3).words()]);
            let (had, want) = (state.standing, standing());
            assert_eq!((had.spectra.ht(), had.previous.ht()), (want.spectra.ht(), want.previous.ht()));
            assert_eq!((had.momentum.t(), had.wtw, had.loss), (want.momentum.t(), want.wtw, want.loss));
            assert_eq!(had.direction, want.direction);
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let seal = written(&path, UsagesStart::Zero);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bad = whole.clone();
            bad[at] ^= 1 << (at % 8);
            std::fs::write(&path, &bad).unwrap();
            assert!(read(&path, seal, 5, 3, true).is_err(), "byte {at}");
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(read(&path, seal, 5, 3, true).is_err(), "cut at {at}");
            // A manifest that vouches for the cut file makes it no better.
            let cut = Seal { bytes: at as u64, crc32c: crc32c::crc32c(&whole[..at]) };
            assert!(read(&path, cut, 5, 3, true).is_err(), "vouched for, cut at {at}");
        }
    }
}
