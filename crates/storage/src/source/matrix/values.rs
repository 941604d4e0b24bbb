//! Reads numbers of any type as f32.

use super::numbers::{Numbers, ReadAhead};
use crate::StorageError;
use crate::number::Rounding;
use crate::number::{Number, Scalar, bytes_of, to_f32, with_scalar};

/// Values converted at a time.
const PIECE: usize = 1 << 16;

/// The values of a matrix.
pub(super) struct Values {
    numbers: Box<dyn Numbers>,
    scratch: Vec<u64>,
    rounding: Rounding,
}

/// The reason why values cannot be read.
pub(super) enum Fault {
    /// They cannot be read.
    Read(StorageError),
    /// NMF does not accept the value at this position of the box, row-major.
    Value { at: usize, value: f64 },
}

impl Values {
    pub(super) fn of(numbers: Box<dyn Numbers>) -> Values {
        Values { numbers, scratch: Vec::new(), rounding: Rounding::default() }
    }

    /// Adds values that were rounded elsewhere.
    pub(super) fn add_rounding(&mut self, rounding: Rounding) {
        if rounding.count > 0 {
            self.rounding.add(rounding);
        }
    }

    /// Reads all values ahead, if the numbers offer it.
    pub(super) fn ahead(&self, threads: usize, memory: u64) -> Option<Box<dyn ReadAhead<f32>>> {
        self.numbers.values_ahead(threads, memory)
    }

    /// The most bytes in memory while boxes of `width` columns are read.
    pub(super) fn resident_bytes(&self, width: usize) -> u64 {
        let scratch = match self.numbers.scalar() {
            Scalar::F32 => 0,
            other => PIECE.max(width).saturating_mul(other.size()) as u64,
        };
        self.numbers.resident_bytes().saturating_add(scratch)
    }

    /// The values rounded so far.
    pub(super) fn rounding(&self) -> Rounding {
        self.rounding
    }

    /// Reads the box `first .. first + counts` into `out`, in pieces of whole rows.
    pub(super) fn read(&mut self, first: &[usize], counts: &[usize], out: &mut [f32]) -> Result<(), Fault> {
        if self.numbers.scalar() == Scalar::F32 {
            self.numbers.read(first, counts, bytemuck::cast_slice_mut(out)).map_err(Fault::Read)?;
            for (at, value) in out.iter_mut().enumerate() {
                *value = value.accept().ok_or(Fault::Value { at, value: f64::from(*value) })?;
            }
            return Ok(());
        }
        let width: usize = counts[1..].iter().product();
        let rows_at_once = (PIECE / width.max(1)).max(1);
        let (mut first, mut piece) = (first.to_vec(), counts.to_vec());
        let mut done = 0;
        while done < counts[0] {
            piece[0] = rows_at_once.min(counts[0] - done);
            let span = done * width..(done + piece[0]) * width;
            self.read_piece(&first, &piece, &mut out[span.clone()]).map_err(|fault| match fault {
                Fault::Value { at, value } => Fault::Value { at: span.start + at, value },
                unread => unread,
            })?;
            first[0] += piece[0];
            done += piece[0];
        }
        Ok(())
    }

    fn read_piece(&mut self, first: &[usize], counts: &[usize], out: &mut [f32]) -> Result<(), Fault> {
        with_scalar!(self.numbers.scalar(), T => {
            self.scratch.resize(bytes_of::<T>(out.len()).div_ceil(8), 0);
            let values = &mut bytemuck::cast_slice_mut::<u64, T>(&mut self.scratch)[..out.len()];
            self.numbers.read(first, counts, bytemuck::cast_slice_mut(values)).map_err(Fault::Read)?;
            to_f32(values, out, &mut self.rounding).map_err(|(at, value)| Fault::Value { at, value })
        })
    }
}
