//! Writes sparse matrices by rows.

use std::path::{Path, PathBuf};

use hdf5::{Dataset, Datatype, Group, H5Type};

use crate::StorageError;
use crate::hdf::{attribute, problem, raw};
use crate::tile::CsrRows;

/// Elements of one HDF5 chunk: 256 KiB of values.
const CHUNK: usize = 1 << 16;

/// Appends rows to `X` in compressed sparse rows.
pub struct CsrWriter {
    group: Group,
    data: Growing,
    indices: Growing,
    indptr: Growing,
    /// Whether row pointers have 4 bytes, which limits the entries.
    narrow: bool,
    entries: u64,
    rows: usize,
    shape: (usize, usize),
    path: PathBuf,
}

impl CsrWriter {
    pub(super) fn create(root: &Group, path: &Path, shape: (usize, usize), at_most: u64) -> Result<Self, StorageError> {
        let narrow = at_most <= i32::MAX as u64;
        let create = || {
            let group = root.create_group("X")?;
            attribute::set_encoding(&group, "csr_matrix", "0.1.0")?;
            attribute::set_integers(&group, "shape", &[shape.0 as i64, shape.1 as i64])?;
            let data = Growing::create::<f32>(&group, "data")?;
            let indices = Growing::create::<i32>(&group, "indices")?;
            let mut indptr = if narrow {
                Growing::create::<i32>(&group, "indptr")?
            } else {
                Growing::create::<i64>(&group, "indptr")?
            };
            if narrow {
                indptr.append(&[0_i32])?
            } else {
                indptr.append(&[0_i64])?
            }
            Ok(CsrWriter { group, data, indices, indptr, narrow, entries: 0, rows: 0, shape, path: path.into() })
        };
        create().map_err(|e| problem::problem("write", path, "X", &e))
    }

    /// Appends rows.
    ///
    /// # Errors
    ///
    /// - the disk is full or failing
    ///
    /// # Panics
    ///
    /// When there are more rows than cells, or more entries than announced to
    /// [`x_csr`](super::AnnDataWriter::x_csr).
    #[track_caller]
    pub fn push(&mut self, rows: CsrRows<'_>) -> Result<(), StorageError> {
        let height = rows.indptr.len() - 1;
        let (start, end) = (rows.indptr[0], rows.indptr[height]);
        assert!(self.rows + height <= self.shape.0, "no more rows than cells");
        let base = self.entries as i64 - start as i64;
        self.entries += (end - start) as u64;
        assert!(!self.narrow || self.entries <= i32::MAX as u64, "no more entries than announced");
        let mut write = || {
            self.data.append(&rows.values[..end - start])?;
            self.indices.append(bytemuck::cast_slice::<u32, i32>(&rows.indices[..end - start]))?;
            let pointers = rows.indptr[1..].iter().map(|&p| p as i64 + base);
            if self.narrow {
                self.indptr.append(&pointers.map(|p| p as i32).collect::<Vec<_>>())
            } else {
                self.indptr.append(&pointers.collect::<Vec<_>>())
            }
        };
        write().map_err(|e| problem::problem("write", &self.path, "X", &e))?;
        self.rows += height;
        Ok(())
    }

    /// Ends the matrix.
    ///
    /// # Errors
    ///
    /// - the disk is full or failing
    ///
    /// # Panics
    ///
    /// When rows are missing.
    #[track_caller]
    pub fn finish(self) -> Result<(), StorageError> {
        assert_eq!(self.rows, self.shape.0, "every row was pushed");
        self.group.file().and_then(|f| f.flush()).map_err(|e| problem::problem("write", &self.path, "X", &e))
    }
}

/// A list that grows at its end.
struct Growing {
    dataset: Dataset,
    memory: Datatype,
    len: usize,
}

impl Growing {
    fn create<T: H5Type>(group: &Group, name: &str) -> hdf5::Result<Self> {
        let dataset = group.new_dataset::<T>().chunk(CHUNK).obj_track_times(false).shape(0..).create(name)?;
        attribute::set_encoding(&dataset, "array", "0.2.0")?;
        Ok(Growing { dataset, memory: Datatype::from_type::<T>()?, len: 0 })
    }

    fn append<T: bytemuck::Pod>(&mut self, values: &[T]) -> hdf5::Result<()> {
        if values.is_empty() {
            return Ok(());
        }
        self.dataset.resize(self.len + values.len())?;
        raw::write(&self.dataset, &self.memory, &[self.len], &[values.len()], values)?;
        self.len += values.len();
        Ok(())
    }
}
