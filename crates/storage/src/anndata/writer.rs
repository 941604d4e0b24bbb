//! Writes an AnnData file that appears complete or not at all.

use std::path::{Path, PathBuf};

use hdf5::File;

use super::part::Part;
use super::{ArrayWriter, CsrWriter, FrameWriter, Value, value};
use crate::hdf::{self, attribute};
use crate::store::Overwrite;
use crate::{Axis, StorageError, lock};

/// Writes one AnnData file.
///
/// The file is written beside its destination as `.NAME.part`, by one run at a time.
/// [`finish`](Self::finish) syncs and renames it. Dropping the writer before that removes the
/// unfinished file and leaves the destination untouched.
///
/// anndata requires `obs` and `var` in a file: write them with
/// [`copy_annotations`](Self::copy_annotations) or [`dataframe`](Self::dataframe). Sub-writers
/// borrow nothing and may be used side by side. Drop or finish them before `finish`.
pub struct AnnDataWriter {
    // Fields are dropped in this order: the file is closed before it is removed.
    file: File,
    part: Part,
    dest: PathBuf,
    overwrite: Overwrite,
}

impl AnnDataWriter {
    /// Begins a file for `dest` with the empty groups that anndata expects.
    ///
    /// # Errors
    ///
    /// - `dest` exists and may not be overwritten, or is not an HDF5 file
    /// - another run is writing `dest`
    /// - its folder is not writable
    pub fn create(dest: &Path, overwrite: Overwrite) -> Result<Self, StorageError> {
        check_destination(dest, overwrite)?;
        let part = Part::claim(dest)?;
        let file = hdf::file::create(part.path())?;
        let writer = AnnDataWriter { file, part, dest: dest.into(), overwrite };
        attribute::set_encoding(&writer.file, "anndata", "0.1.0").map_err(|e| writer.problem("/", &e))?;
        for name in ["layers", "obsm", "obsp", "uns", "varm", "varp"] {
            let dict = writer.file.create_group(name).map_err(|e| writer.problem(name, &e))?;
            attribute::set_encoding(&dict, "dict", "0.1.0").map_err(|e| writer.problem(name, &e))?;
        }
        Ok(writer)
    }

    /// The destination.
    pub fn path(&self) -> &Path {
        &self.dest
    }

    /// Copies `obs` and `var` of the AnnData file at `annotations`.
    ///
    /// # Errors
    ///
    /// - one of them is missing, cannot be read or written
    pub fn copy_annotations(&mut self, annotations: &Path) -> Result<(), StorageError> {
        let source = hdf::file::open(annotations)?;
        for name in ["obs", "var"] {
            let group = source.group(name).map_err(|e| hdf::problem::problem("read", annotations, name, &e))?;
            hdf::copy::group(&group, &self.file, name).map_err(|e| self.problem(name, &e))?;
        }
        Ok(())
    }

    /// Begins `X` as compressed sparse rows of `cells` × `genes`.
    ///
    /// `at_most` bounds the entries that will be pushed. Row pointers take 4 bytes below 2³¹, and 8
    /// above.
    ///
    /// # Errors
    ///
    /// - the file cannot be written
    pub fn x_csr(&mut self, cells: usize, genes: usize, at_most: u64) -> Result<CsrWriter, StorageError> {
        CsrWriter::create(&self.file, &self.dest, (cells, genes), at_most)
    }

    /// Begins `X` as a table of `cells` × `genes`.
    ///
    /// # Errors
    ///
    /// - the file cannot be written
    pub fn x_dense(&mut self, cells: usize, genes: usize) -> Result<ArrayWriter, StorageError> {
        ArrayWriter::create(&self.file, &self.dest, "X", (cells, genes))
    }

    /// Begins the table `group/name` of `rows` × `columns`, such as `obsm/X_nmf`.
    ///
    /// # Errors
    ///
    /// - the file cannot be written
    pub fn array2(
        &mut self,
        group: &str,
        name: &str,
        rows: usize,
        columns: usize,
    ) -> Result<ArrayWriter, StorageError> {
        ArrayWriter::create(&self.file, &self.dest, &format!("{group}/{name}"), (rows, columns))
    }

    /// Writes `uns/name`.
    ///
    /// # Errors
    ///
    /// - the file cannot be written
    pub fn uns(&mut self, name: &str, value: &Value) -> Result<(), StorageError> {
        let uns = self.file.group("uns").map_err(|e| self.problem("uns", &e))?;
        value::write(&uns, name, value).map_err(|e| self.problem(&format!("uns/{name}"), &e))
    }

    /// Begins `obs` or `var` with `rows` rows.
    ///
    /// # Errors
    ///
    /// - the file cannot be written
    pub fn dataframe(&mut self, axis: Axis, rows: usize) -> Result<FrameWriter, StorageError> {
        FrameWriter::create(&self.file, &self.dest, frame_name(axis), rows)
    }

    /// Syncs the file and renames it to its destination.
    ///
    /// # Errors
    ///
    /// - the disk is full or failing: no new file is left, at the destination or beside it
    /// - something that may not be overwritten has appeared at the destination
    pub fn finish(self) -> Result<(), StorageError> {
        let AnnDataWriter { file, part, dest, overwrite } = self;
        // Flush first: an error of closing alone would leave the library with pages that it cannot
        // write.
        file.flush().map_err(|e| hdf::problem::problem("write", &dest, "/", &e))?;
        file.close().map_err(|e| hdf::problem::problem("write", &dest, "/", &e))?;
        let sync = std::fs::OpenOptions::new().write(true).open(part.path()).and_then(|f| f.sync_all());
        sync.map_err(|e| StorageError::io("write", &dest, e))?;
        check_destination(&dest, overwrite)?;
        part.place(&dest, overwrite == Overwrite::Replace).map_err(|e| StorageError::io("create", &dest, e))?;
        let folder = dest.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::File::open(folder).and_then(|f| f.sync_all()).map_err(|e| StorageError::io("sync", folder, e))
    }

    /// Converts an error of the library while writing `dataset`.
    fn problem(&self, dataset: &str, error: &hdf5::Error) -> StorageError {
        hdf::problem::problem("write", &self.dest, dataset, error)
    }
}

/// The name of the table of an axis in anndata.
pub(crate) fn frame_name(axis: Axis) -> &'static str {
    match axis {
        Axis::Cells => "obs",
        Axis::Genes => "var",
    }
}

/// Checks that an AnnData file may be placed at `dest`. Changes nothing.
///
/// # Errors
///
/// - `dest` is something that is never replaced: a folder, a pipe or a device, a file of another kind
/// - `dest` exists and may not be overwritten
/// - it cannot be looked at
pub fn check_destination(dest: &Path, overwrite: Overwrite) -> Result<(), StorageError> {
    let Some(meta) = lock::stat(dest)? else { return Ok(()) };
    let keep = |reason: &str| Err(StorageError::NotReplaceable { path: dest.into(), reason: reason.into() });
    if meta.is_dir() {
        return keep("it is a folder");
    }
    // Renaming replaces a link, not its target.
    if !meta.is_symlink() {
        if !meta.is_file() {
            return keep("it is a pipe or a device, not a file");
        }
        let mut head = [0; 8];
        let begins = std::fs::File::open(dest).and_then(|mut f| std::io::Read::read_exact(&mut f, &mut head));
        if meta.len() > 0 && (begins.is_err() || &head != b"\x89HDF\r\n\x1a\n") {
            return keep("it is not an HDF5 file");
        }
    }
    match overwrite {
        Overwrite::Refuse => Err(StorageError::Exists { path: dest.into() }),
        Overwrite::Replace => Ok(()),
    }
}
