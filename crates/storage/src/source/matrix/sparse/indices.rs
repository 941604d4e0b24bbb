//! Reads the columns of entries.

use crate::StorageError;
use crate::number::{Number, Scalar, bytes_of, with_scalar};
use crate::source::matrix::numbers::{Numbers, ReadAhead};

/// Indices converted at a time.
pub(super) const PIECE: usize = 1 << 16;

/// The list `indices`.
pub(super) struct Indices {
    numbers: Box<dyn Numbers>,
    scratch: Vec<u64>,
}

impl Indices {
    pub(super) fn of(numbers: Box<dyn Numbers>) -> Indices {
        Indices { numbers, scratch: Vec::new() }
    }

    /// The most bytes in memory while they are read in order.
    pub(super) fn resident_bytes(&self) -> u64 {
        self.numbers.resident_bytes().saturating_add((PIECE * self.numbers.scalar().size()) as u64)
    }

    /// Reads all indices ahead, which are below `columns`, if the numbers offer it.
    pub(super) fn ahead(&self, columns: usize, threads: usize, memory: u64) -> Option<Box<dyn ReadAhead<u32>>> {
        self.numbers.indices_ahead(columns, threads, memory)
    }

    /// Reads columns from `first` on. Returns the position and value of the first that is not below
    /// `columns`.
    pub(super) fn read(
        &mut self,
        first: usize,
        out: &mut [u32],
        columns: usize,
    ) -> Result<Option<(usize, i128)>, StorageError> {
        let (limit, scalar) = (columns as u64, self.numbers.scalar());
        if matches!(scalar, Scalar::I32 | Scalar::U32) {
            self.numbers.read(&[first], &[out.len()], bytemuck::cast_slice_mut(out))?;
            let signed = scalar == Scalar::I32;
            // A negative i32 is beyond any number of columns as u32.
            let at = out.iter().position(|&column| u64::from(column) >= limit || (signed && column > i32::MAX as u32));
            return Ok(at.map(|at| (at, if signed { i128::from(out[at] as i32) } else { i128::from(out[at]) })));
        }
        let mut done = 0;
        for piece in out.chunks_mut(PIECE) {
            let outside = with_scalar!(scalar, T => {
                self.scratch.resize(bytes_of::<T>(piece.len()).div_ceil(8), 0);
                let read = &mut bytemuck::cast_slice_mut::<u64, T>(&mut self.scratch)[..piece.len()];
                self.numbers.read(&[first + done], &[piece.len()], bytemuck::cast_slice_mut(read))?;
                let mut outside = None;
                for (at, (&column, slot)) in read.iter().zip(piece.iter_mut()).enumerate() {
                    let wide = column.whole();
                    if wide < 0 || wide >= i128::from(limit) {
                        outside = Some((done + at, wide));
                        break;
                    }
                    *slot = wide as u32;
                }
                outside
            });
            if outside.is_some() {
                return Ok(outside);
            }
            done += piece.len();
        }
        Ok(None)
    }
}
