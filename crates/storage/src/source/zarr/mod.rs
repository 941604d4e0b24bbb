//! AnnData in zarr stores, of version 2 and 3 of zarr: a folder, or a zip archive of one.
//!
//! | file          | question                                                           |
//! |---------------|--------------------------------------------------------------------|
//! | `container`   | where are the files of a store: in a folder or in an archive?      |
//! | `archive`     | which files does a zip archive hold?                               |
//! | `node`        | what is at a path: a group, an array, nothing?                     |
//! | `array`       | what do the metadata of an array say? `v2` and `v3` parse them     |
//! | `element`     | what is one value of an array?                                     |
//! | `steps`       | which decoders turn a file into values?                            |
//! | `pieces`      | how is a chunk, or one inner chunk of a shard, read and decoded?   |
//! | `numbers`     | how are lists and tables of numbers read?                          |
//! | `lists`       | how are strings and records read?                                  |
//! | `locate`      | which group or array is the selected matrix?                       |
//! | `annotations` | how do names and columns get into an AnnData file?                 |
//!
//! This is a reader of ours, not the crate `zarrs`. AnnData needs lists and tables only, in regular
//! chunks; `zarrs` has N axes, writers, and about 80 crates more. Above all, memory has to be
//! bounded here: `zarrs` unpacks zstd chunks to whatever length they have, while every decoder of
//! [`codec`](crate::codec) stops at the length that the metadata promise, and that length is
//! compared with the bytes in the file and counted against the budget first.
//!
//! Chunks of several axes, shards inside shards, and codecs that no version of anndata writes are
//! refused by name.

#[cfg(feature = "hdf5")]
mod annotations;
mod archive;
mod array;
mod container;
mod element;
mod lists;
mod locate;
mod node;
mod numbers;
mod pieces;
mod steps;
mod tables;
mod v2;
mod v3;

use std::path::Path;
use std::sync::Arc;

use self::container::Container;
use self::locate::Found;
use self::node::Store;
use self::numbers::ZarrNumbers;
use self::tables::Tables;
use super::matrix::numbers::{Access, Numbers};
use super::matrix::{self, Matrix, MatrixSource, Parts};
use super::{Source, stamp};
use crate::remedy::Choice;
use crate::store::Selection;
use crate::{Axis, StorageError};
#[cfg(feature = "hdf5")]
use crate::{FrameWriter, Monitor};

/// Opens the selected matrix of the zarr store at `path`, a folder or a zip archive.
pub(super) fn open(path: &Path, selection: &Selection) -> Result<Box<dyn Source>, StorageError> {
    let container = Container::open(path)?;
    if !container.is_zarr() {
        return Err(StorageError::UnknownFormat {
            path: path.into(),
            reason: "it is a zip archive, but not of NumPy arrays (.npz) nor of a zarr store; unpack it, or save the \
                     data as .h5ad or .npy"
                .into(),
        });
    }
    let store = Arc::new(Store::new(path, container));
    selection.check(path, "a zarr store", &[Choice::Layer, Choice::Raw, Choice::Transpose])?;
    let (place, found) = locate::locate(&store, path, selection)?;
    let tables = Tables::locate(&store, selection)?;
    let part = |name: &str, access| -> Result<Box<dyn Numbers>, StorageError> {
        Ok(Box::new(ZarrNumbers::open(&store, name, access)?))
    };
    let name = &place.dataset;
    let matrix = match found {
        Found::Sparse { by, shape } => {
            let list = |part_name| part(&format!("{name}/{part_name}"), Access::Rows);
            let parts = Parts { indptr: list("indptr")?, indices: list("indices")?, data: list("data")? };
            Matrix::of_parts(parts, shape.or_else(|| tables.lens()), by, place.clone())?
        }
        Found::Dense { by } => {
            let access = if by == Axis::Cells { Access::Rows } else { Access::Boxes };
            Matrix::of_table(part(name, access)?, by, place.clone())?
        }
    };
    tables.check_lens(matrix.shape(), &place)?;
    let tables = ZarrTables { tables, store };
    Ok(Box::new(MatrixSource { place, matrix, tables, stamp: stamp(path, selection)? }))
}

/// The tables of a zarr store, which stays open.
struct ZarrTables {
    tables: Tables,
    store: Arc<Store>,
}

impl matrix::Tables for ZarrTables {
    fn resident_bytes(&self) -> u64 {
        self.store.resident_bytes()
    }

    fn annotation_bytes(&self) -> u64 {
        self.tables.resident_bytes()
    }

    #[cfg(feature = "hdf5")]
    fn write(&self, axis: Axis, table: &mut FrameWriter, monitor: &dyn Monitor) -> Result<(), StorageError> {
        annotations::write(&self.tables, axis, table, monitor)
    }
}
