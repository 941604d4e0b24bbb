//! Writes an AnnData file that appears complete or not at all.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fixedbitset::FixedBitSet;
use hdf5::{File, Group};

use super::frame;
use super::part::Part;
use super::{ArrayWriter, CsrWriter, FrameWriter, Value, value};
use crate::hdf::disk::Disk;
use crate::hdf::{self, attribute};
use crate::store::Overwrite;
use crate::{Axis, Monitor, Quiet, StorageError, lock};

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
    disk: Arc<Disk>,
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
        let (file, disk) = hdf::file::create(part.path())?;
        let writer = AnnDataWriter { file, disk, part, dest: dest.into(), overwrite };
        attribute::set_encoding(&writer.file, "anndata", "0.1.0").map_err(|e| writer.problem("/", &e))?;
        for name in ["layers", "obsm", "obsp", "uns", "varm", "varp"] {
            let dict = writer.file.create_group(name).map_err(|e| writer.problem(name, &e))?;
            attribute::set_encoding(&dict, "dict", "0.1.0").map_err(|e| writer.problem(name, &e))?;
        }
        Ok(writer)
    }

    /// Begins a file for `dest` with the cells and genes of the AnnData file `annotations` that are kept; `None`: all.
    ///
    /// `annotations` has names and columns of cells and genes, as those of a store, and is only read. If all are kept,
    /// it is copied byte for byte, which is many times faster than name by name.
    ///
    /// # Errors
    ///
    /// - as [`create`](Self::create)
    /// - `annotations` cannot be read, or has another number of rows
    pub fn with_annotations(
        annotations: &Path,
        (cells, genes): (Option<&FixedBitSet>, Option<&FixedBitSet>),
        dest: &Path,
        overwrite: Overwrite,
    ) -> Result<Self, StorageError> {
        if cells.is_none() && genes.is_none() {
            return Self::extend(annotations, dest, overwrite, &Quiet);
        }
        let mut writer = Self::create(dest, overwrite)?;
        writer.copy_rows_of(annotations, cells, genes)?;
        Ok(writer)
    }

    /// Begins a file for `dest` with everything that the AnnData file `whole` has, byte for byte, which
    /// is only read. What is written replaces what has its name.
    ///
    /// # Errors
    ///
    /// - as [`create`](Self::create); `whole` cannot be read, or is not an HDF5 file
    /// - `monitor` cancels
    pub(super) fn extend(
        whole: &Path,
        dest: &Path,
        overwrite: Overwrite,
        monitor: &dyn Monitor,
    ) -> Result<Self, StorageError> {
        check_destination(dest, overwrite)?;
        let part = Part::claim(dest)?;
        part.fill_from(whole, dest, monitor)?;
        let (file, disk) = hdf::file::edit(part.path(), whole)?;
        let writer = AnnDataWriter { file, disk, part, dest: dest.into(), overwrite };
        for name in ["obsm", "uns", "varm"] {
            if !writer.file.link_exists(name) {
                let dict = writer.file.create_group(name).map_err(|e| writer.problem(name, &e))?;
                attribute::set_encoding(&dict, "dict", "0.1.0").map_err(|e| writer.problem(name, &e))?;
            }
        }
        Ok(writer)
    }

    /// Removes `group/name`, if it is there.
    pub(super) fn remove(&mut self, group: &str, name: &str) -> Result<(), StorageError> {
        let remove = || match self.file.group(group)? {
            group if group.link_exists(name) => group.unlink(name),
            _ => Ok(()),
        };
        remove().map_err(|e: hdf5::Error| self.problem(&format!("{group}/{name}"), &e))
    }

    /// Copies the group `uns/name` of another file.
    pub(super) fn copy_uns(&mut self, from: &Group, name: &str) -> Result<(), StorageError> {
        let copied = self.file.group("uns").and_then(|uns| hdf::copy::group(from, &uns, name));
        copied.map(drop).map_err(|e| self.problem(&format!("uns/{name}"), &e))
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
        self.copy_rows_of(annotations, None, None)
    }

    /// Copies the rows of `obs` and `var` that are kept; `None`: all.
    fn copy_rows_of(
        &mut self,
        annotations: &Path,
        cells: Option<&FixedBitSet>,
        genes: Option<&FixedBitSet>,
    ) -> Result<(), StorageError> {
        let source = hdf::file::open(annotations)?;
        for (axis, kept) in [(Axis::Cells, cells), (Axis::Genes, genes)] {
            let name = frame_name(axis);
            let group = source.group(name).map_err(|e| hdf::problem::problem("read", annotations, name, &e))?;
            let copied = match kept {
                None => hdf::copy::group(&group, &self.file, name).map(drop),
                Some(kept) => hdf::copy::rows_of_table(&group, &self.file, name, kept),
            };
            copied.map_err(|e| self.problem(name, &e))?;
        }
        Ok(())
    }

    /// Adds a column of numbers to `var`, one for each gene, in the place of any column of that name.
    ///
    /// # Errors
    ///
    /// - `var` has not been written, or the column cannot be
    pub fn gene_column(&mut self, name: &str, values: &[f64]) -> Result<(), StorageError> {
        let place = format!("var/{name}");
        let table = self.announce(Axis::Genes, name).map_err(|e| self.problem(&place, &e))?;
        let written = frame::write_numbers(&table, name, values.len(), values.iter().copied());
        written.map(drop).map_err(|e| self.problem(&place, &e))
    }

    /// Adds a column of truth values to `var`, one for each gene, in the place of any column of that name.
    ///
    /// # Errors
    ///
    /// - `var` has not been written, or the column cannot be
    pub fn gene_flags(&mut self, name: &str, values: &[bool]) -> Result<(), StorageError> {
        let place = format!("var/{name}");
        let table = self.announce(Axis::Genes, name).map_err(|e| self.problem(&place, &e))?;
        let written = frame::write_flags(&table, name, values);
        written.map(drop).map_err(|e| self.problem(&place, &e))
    }

    /// Begins a column of f32 in `obs`, in the place of any column of that name.
    ///
    /// # Errors
    ///
    /// - `obs` has not been written, or the file cannot be
    pub fn cell_column(&mut self, name: &str, cells: usize) -> Result<ArrayWriter, StorageError> {
        let place = format!("obs/{name}");
        self.announce(Axis::Cells, name).map_err(|e| self.problem(&place, &e))?;
        self.with_room(ArrayWriter::create_list(&self.file, &self.dest, &place, cells)?, cells)
    }

    /// Adds `name` to the columns of an axis, at their end, and removes any column of that name. The
    /// column itself is still to be written.
    fn announce(&self, axis: Axis, name: &str) -> hdf5::Result<Group> {
        let table = self.file.group(frame_name(axis))?;
        if table.link_exists(name) {
            table.unlink(name)?;
        }
        let mut order = attribute::texts(&table, "column-order").unwrap_or_default();
        order.retain(|column| column != name);
        order.push(name.to_owned());
        attribute::set_texts(&table, "column-order", &order)?;
        Ok(table)
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
    /// - the file cannot be written, or the disk has no room for the table
    pub fn x_dense(&mut self, cells: usize, genes: usize) -> Result<ArrayWriter, StorageError> {
        self.table("X", (cells, genes))
    }

    /// Begins the table `group/name` of `rows` × `columns`, such as `obsm/X_nmf`.
    ///
    /// # Errors
    ///
    /// - the file cannot be written, or the disk has no room for the table
    pub fn array2(
        &mut self,
        group: &str,
        name: &str,
        rows: usize,
        columns: usize,
    ) -> Result<ArrayWriter, StorageError> {
        self.table(&format!("{group}/{name}"), (rows, columns))
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
        let AnnDataWriter { file, disk, part, dest, overwrite } = self;
        // Flush first: releases of the library that write without our driver report a failure here,
        // and cannot drop what they could not write once they close the file.
        file.flush().map_err(|e| hdf::problem::problem("write", &dest, "/", &e))?;
        file.close().map_err(|e| hdf::problem::problem("write", &dest, "/", &e))?;
        disk.sync().map_err(|e| StorageError::io("write", &dest, e))?;
        check_destination(&dest, overwrite)?;
        part.place(&dest, overwrite == Overwrite::Replace).map_err(|e| StorageError::io("create", &dest, e))?;
        let folder = dest.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::File::open(folder).and_then(|f| f.sync_all()).map_err(|e| StorageError::io("sync", folder, e))
    }

    /// Begins a table, and makes room for all of it: other processes may write its rows in place.
    fn table(&self, name: &str, (rows, columns): (usize, usize)) -> Result<ArrayWriter, StorageError> {
        let table = ArrayWriter::create(&self.file, &self.dest, name, (rows, columns))?;
        self.with_room(table, rows.saturating_mul(columns))
    }

    fn with_room(&self, table: ArrayWriter, values: usize) -> Result<ArrayWriter, StorageError> {
        if values > 0 {
            let room = self.disk.reserve(table.place()?, (values as u64).saturating_mul(size_of::<f32>() as u64));
            room.map_err(|error| StorageError::io("write", &self.dest, error))?;
        }
        Ok(table)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::hdf::disk::WRITES_LEFT;
    use crate::tile::CsrRows;

    /// A file with all kinds of elements. Columns and names come from the file `annotations`.
    fn write(dest: &Path, annotations: Option<&Path>) -> Result<(), StorageError> {
        let mut writer = AnnDataWriter::create(dest, Overwrite::Refuse)?;
        let cells = 10_000;
        match annotations {
            Some(annotations) => writer.copy_annotations(annotations)?,
            None => {
                let mut frame = writer.dataframe(Axis::Cells, cells)?;
                frame.names((0..cells).map(|cell| format!("a long name of the cell {cell}")))?;
                frame.floats("depth", (0..cells).map(|cell| cell as f64))?;
                frame.categorical("kind", &["a", "b"], (0..cells).map(|cell| cell % 2))?;
                frame.finish()?;
                let mut frame = writer.dataframe(Axis::Genes, 3)?;
                frame.names(["x", "y", "z"])?;
                frame.finish()?;
            }
        }
        let mut x = writer.x_csr(cells, 3, cells as u64)?;
        let (indptr, indices, values) = ((0..=100).collect::<Vec<_>>(), [1; 100], [2.0; 100]);
        for _ in 0..cells / 100 {
            x.push(CsrRows { indptr: &indptr, indices: &indices, values: &values })?;
        }
        x.finish()?;
        let mut w = writer.array2("obsm", "X_nmf", cells, 4)?;
        for row in 0..cells {
            w.write_rows(row, &[row as f32; 4])?;
        }
        drop(w);
        let about = [("k".to_owned(), Value::Int(4)), ("stop".to_owned(), "converged".into())];
        writer.uns("nmf", &Value::Map(about.into()))?;
        writer.finish()
    }

    #[test]
    fn a_disk_that_is_full_at_any_write_is_an_error_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("first.h5ad"), folder.path().join("second.h5ad"));
        write(&first, None).unwrap();
        let mut full = 0;
        for writes in 0.. {
            WRITES_LEFT.set(writes);
            let written = write(&second, Some(&first));
            WRITES_LEFT.set(usize::MAX);
            let Err(error) = written else { break };
            assert_eq!(error.kind(), ErrorKind::Io, "after {writes} writes: {error}");
            assert!(error.to_string().contains("No space left"), "after {writes} writes: {error}");
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "after {writes} writes");
            full += 1;
        }
        assert!(full > 20, "{full} writes");
        let whole = folder.path().join("whole.h5ad");
        write(&whole, Some(&first)).unwrap();
        assert!(std::fs::read(second).unwrap() == std::fs::read(whole).unwrap());
    }
}
