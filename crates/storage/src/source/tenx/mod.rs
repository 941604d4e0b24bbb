//! Counts as Cell Ranger writes them: folders of text files, and HDF5 files.
//!
//! Both hold genes × cells, names of cells, and a table of features, of which genes are one type.
//! Genes are called by their symbols, and their ids are a column.
//!
//! | file     | question                                                     |
//! |----------|--------------------------------------------------------------|
//! | `folder` | how is a matrix read with the lists beside it?               |
//! | `locate` | which files of a folder, or of folders in it, are the matrix? |
//! | `hdf5`   | how is a group of an HDF5 file read?                         |
//! | `choice` | which features are read?                                     |
//! | `names`  | which names and columns does each of them have?              |

mod choice;
mod folder;
#[cfg(feature = "hdf5")]
mod hdf5;
mod locate;
mod names;

pub(super) use self::folder::open as open_folder;
#[cfg(feature = "hdf5")]
pub(super) use self::hdf5::{groups, open as open_hdf5};
pub(super) use self::locate::has_lists;
