//! A list or a table of numbers in a file, whatever the format of the file.

use crate::StorageError;
use crate::number::{Rounding, Scalar};

/// The order in which the numbers of a list or table are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::source) enum Access {
    /// Row after row, across all columns (of a list: entry after entry).
    Rows,
    /// Boxes that cover whole chunks.
    Boxes,
}

/// Numbers of one type: an HDF5 dataset or a zarr array.
///
/// Read in the order that they were opened for, each chunk is decompressed once.
pub(in crate::source) trait Numbers: Send {
    /// The type in memory.
    fn scalar(&self) -> Scalar;

    /// The length of each axis.
    fn shape(&self) -> &[usize];

    /// The length of a chunk along each axis; `None` if the numbers lie in one piece.
    fn chunk(&self) -> Option<&[usize]>;

    /// Bytes in the file.
    fn stored_bytes(&self) -> u64;

    /// The most bytes in memory while the numbers are read in order.
    fn resident_bytes(&self) -> u64;

    /// Reads the box `first .. first + counts`, row by row, as native numbers.
    ///
    /// # Errors
    ///
    /// - the file cannot be read, or is damaged
    fn read(&mut self, first: &[usize], counts: &[usize], out: &mut [u8]) -> Result<(), StorageError>;

    /// Reads a list of values ahead, on `threads` threads and in at most `memory` bytes more; `None` if
    /// that is not possible.
    fn values_ahead(&self, threads: usize, memory: u64) -> Option<Box<dyn ReadAhead<f32>>> {
        let _ = (threads, memory);
        None
    }

    /// The same for a list of indices below `limit`.
    fn indices_ahead(&self, limit: usize, threads: usize, memory: u64) -> Option<Box<dyn ReadAhead<u32>>> {
        let _ = (limit, threads, memory);
        None
    }
}

/// A list that is read in order and decoded ahead.
pub(in crate::source) trait ReadAhead<T>: Send {
    /// Bytes in memory.
    fn resident_bytes(&self) -> u64;

    /// Values rounded so far.
    fn rounding(&self) -> Rounding;

    /// Reads numbers from `first` on. Returns false, with anything in `out`, if they cannot be read
    /// this way; [`Numbers::read`] then reads them or finds the fault.
    fn read(&mut self, first: usize, out: &mut [T]) -> bool;
}

/// The number of entries of a list or table.
pub(super) fn len(numbers: &dyn Numbers) -> usize {
    numbers.shape().iter().product()
}
