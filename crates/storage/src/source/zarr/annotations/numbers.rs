//! Writes a list of numbers in order.

use hdf5::{Datatype, Group};

use crate::hdf::{attribute, raw};
use crate::number::{Scalar, with_scalar};

/// Values written at a time.
pub(super) const BATCH: usize = 1 << 14;

/// A column of numbers that is written in order.
pub(super) struct Column {
    dataset: hdf5::Dataset,
    memory: Datatype,
    done: usize,
}

impl Column {
    /// A new list `name` in `to`.
    pub(super) fn create(to: &Group, name: &str, len: usize, scalar: Scalar, is_bool: bool) -> hdf5::Result<Column> {
        let (dataset, memory) = if is_bool {
            let builder = to.new_dataset::<bool>().no_chunk().obj_track_times(false);
            (builder.shape(len).create(name)?, Datatype::from_type::<bool>()?)
        } else {
            with_scalar!(scalar, T => {
                let builder = to.new_dataset::<T>().no_chunk().obj_track_times(false);
                (builder.shape(len).create(name)?, Datatype::from_type::<T>()?)
            })
        };
        attribute::set_encoding(&dataset, "array", "0.2.0")?;
        Ok(Column { dataset, memory, done: 0 })
    }

    /// Writes the next values, native numbers.
    pub(super) fn write(&mut self, values: &[u8]) -> hdf5::Result<()> {
        let count = values.len() / self.memory.size();
        if count > 0 {
            raw::write(&self.dataset, &self.memory, &[self.done], &[count], values)?;
        }
        self.done += count;
        Ok(())
    }
}
