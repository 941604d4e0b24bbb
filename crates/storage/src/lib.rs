//! From bytes to row blocks: the block store and the readers of the files people have.
//!
//! The rest of partwise sees a matrix of n cells × m genes as a sequence of **blocks** of
//! consecutive rows, each cut into **tiles**. This crate makes such a sequence from users' files,
//! keeps it on disk in a compact form that is checked on every read, and returns it a tile at a
//! time. It knows no mathematics beyond sums, and samples of rows by
//! them.
//!
//! It does not print, does not exit and does not decide how many threads run. Long work reports to
//! a [`Monitor`], which can also stop it. A failure returns a [`StorageError`] that names file,
//! place and remedy.
//!
//! # Features
//!
//! - `hdf5` (default): AnnData files, read and written, through the HDF5 library: `.h5ad` inputs,
//!   the names and columns of cells and genes, results, exports, and the other formats based on HDF5.
//!   Without it no C library has to be installed (the decoders of deflate and zstd are C code that is
//!   compiled in); stores are read and written as with it, and other files are converted to stores
//!   without names.

#[cfg(not(target_endian = "little"))]
compile_error!("partwise reads its stores in place, which needs a little-endian machine");

#[cfg(feature = "hdf5")]
pub mod anndata;
mod codec;
pub mod convert;
pub mod crash;
mod detect;
pub mod error;
#[cfg(feature = "hdf5")]
mod hdf;
#[cfg(feature = "hdf5")]
pub mod joined;
mod lock;
pub mod monitor;
mod number;
pub mod remedy;
#[cfg(feature = "hdf5")]
mod repeats;
pub mod sampling;
pub mod sealed;
pub mod source;
pub mod store;
pub mod tile;
pub mod traffic;

#[cfg(feature = "hdf5")]
pub use anndata::{AnnDataWriter, Factors, FrameWriter, Value, export, read_factors};
pub use convert::{ConvertSpec, convert};
pub use error::{ErrorKind, StorageError};
#[cfg(feature = "hdf5")]
pub use joined::Inputs;
pub use monitor::{Axis, Monitor, Quiet, Unit, Warning};
pub use remedy::{Choice, Matrices, Remedy};
pub use source::{RowChunk, Source};
pub use store::{
    BlockInfo, EncodedTile, GeneMoments, Join, Joining, Layout, Overwrite, Segment, SegmentBuf, Selection, SourceStamp,
    Store, StoreHeader, StoreWriter, Summary, VerifyReport, default_block_rows, reblock, select_genes,
};
pub use tile::{
    CellMoments, CsrRows, DenseTile, RunBatch, RunDecoder, SparseTile, TILE_ROWS, Tile, TileEncoder, TileError,
    TileMoments, encode_dense,
};
